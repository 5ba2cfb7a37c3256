// Loading a tokenizer: the border where a file's keys become an Impl.
#include "core/base/utf8.h"
#include "core/tokenizer/byte_level.h"
#include "core/tokenizer/byte_spelling.h"
#include "core/tokenizer/tokenizer_impl.h"

namespace lbm {
namespace {

constexpr Str kModelKey = "tokenizer.ggml.model";
constexpr Str kTokensKey = "tokenizer.ggml.tokens";
constexpr Str kPretokenizerKey = "tokenizer.ggml.pre";
constexpr Str kMergesKey = "tokenizer.ggml.merges";
constexpr Str kCharsmapKey = "tokenizer.ggml.precompiled_charsmap";
// Keys of this project, for what a tokenizer.json says and GGUF has no words for
// (docs/formats/tokenizer.md).
constexpr Str kNormalizerKey = "tokenizer.lbm.normalizer";
constexpr Str kSpacePrefixKey = "tokenizer.lbm.space_prefix";
constexpr Str kTrimsBeforeKey = "tokenizer.lbm.lstrip_tokens";
constexpr Str kTrimsAfterKey = "tokenizer.lbm.rstrip_tokens";

constexpr char to_lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

bool contains_ignoring_case(Str text, Str lower) {
  for (usize i = 0; i + lower.size() <= text.size(); ++i) {
    usize n = 0;
    while (n < lower.size() && to_lower(text[i + n]) == lower[n]) ++n;
    if (n == lower.size()) return true;
  }
  return false;
}

}  // namespace

Status Tokenizer::Impl::load(Arena& arena, const ModelFile& file) {
  Status status = load_kind(file);
  const bool scored = kind == Kind::kSentencePiece || kind == Kind::kUnigram;
  if (status.ok()) status = vocab.load(arena, file, scored);
  if (!status.ok()) return status;
  switch (kind) {
    case Kind::kBytePairs: break;
    case Kind::kSentencePiece: vocab.set_default_ids({.bos = 1, .eos = 2, .unknown = 0}); break;
    case Kind::kUnigram: vocab.set_default_ids({.eos = 1, .unknown = 2}); break;
    case Kind::kWordPiece:
      vocab.set_default_ids({.bos = 101, .unknown = 100, .separator = 102});
      break;
  }
  vocab.mark_special_spellings();
  status = load_flags(file);
  if (status.ok()) status = load_trimming(file);
  if (status.ok()) status = load_byte_tokens();
  if (status.ok()) status = specials.load(vocab);
  if (status.ok()) status = load_pieces(arena, file);
  return status;
}

Status Tokenizer::Impl::load_kind(const ModelFile& file) {
  const Result<Str> name = file.get_text(kModelKey);
  if (!name.ok()) return name.error();
  model_name = name.value();
  if (model_name == "llama") {
    kind = Kind::kSentencePiece;
  } else if (model_name == "t5") {
    kind = Kind::kUnigram;
  } else if (model_name == "bert") {
    kind = Kind::kWordPiece;
  } else if (model_name == "gpt2" || model_name == "gemma4") {
    kind = Kind::kBytePairs;
    return load_pretokenizer(file);
  } else {
    return fail(ErrorCode::kUnsupported,
                "this build has no such tokenizer, only gpt2 and gemma4 (BPE), llama "
                "(SentencePiece), t5 (unigram) and bert (WordPiece)")
        .about(model_name)
        .at(file.place_of(kModelKey));
  }
  return {};
}

Status Tokenizer::Impl::load_pretokenizer(const ModelFile& file) {
  if (model_name == "gemma4") {
    pretokenizer = find_pretokenizer("gemma4");
    return {};
  }
  const Result<Str> pre = file.get_text_or(kPretokenizerKey, "");
  if (!pre.ok()) return pre.error();
  if (pre.value().empty()) {
    notice =
        "the file does not name its pre-tokenizer (tokenizer.ggml.pre): 'default' is used, and "
        "answers may be worse than the model can do; a newer conversion names it";
  }
  pretokenizer = find_pretokenizer(pre.value().empty() ? Str("default") : pre.value());
  if (pretokenizer != nullptr) return {};
  return fail(ErrorCode::kUnsupported, "this build has no such pre-tokenizer (tokenizer.ggml.pre)")
      .about(pre.value())
      .at(file.place_of("tokenizer.ggml.pre"));
}

Status Tokenizer::Impl::load_flags(const ModelFile& file) {
  struct Flag {
    Str key;
    bool* value;
    bool fallback;
  };
  const bool bpe = kind == Kind::kBytePairs;
  const bool word_piece = kind == Kind::kWordPiece;
  const bool has_bos = vocab.bos() != kNoToken;
  // A BOS that only the pre-tokenizer's name asks for is left out where the file has none.
  const bool bos_by_default =
      bpe ? pretokenizer->add_bos : kind == Kind::kSentencePiece || word_piece;
  const bool eos_by_default = kind == Kind::kUnigram && vocab.eos() != kNoToken;
  const Flag flags[] = {
      {"tokenizer.ggml.add_bos_token", &add_bos, bos_by_default && has_bos},
      {"tokenizer.ggml.add_eos_token", &add_eos, eos_by_default},
      {"tokenizer.ggml.remove_extra_whitespaces", &merge_spaces, false},
      {"tokenizer.ggml.normalizer.lowercase", &word_rules.lowercase, true},
      {"tokenizer.lbm.byte_fallback", &byte_fallback, false},
      {"tokenizer.lbm.split_words", &split_words, false},
      {"tokenizer.lbm.split_white_space", &split_white_space, false},
      {"tokenizer.lbm.ignore_merges", &ignore_merges, bpe && pretokenizer->ignore_merges},
      {"tokenizer.lbm.clean_spaces", &clean_spaces,
       word_piece || (bpe && pretokenizer->clean_spaces)},
  };
  for (const Flag& flag : flags) {
    const Result<bool> value = file.get_bool_or(flag.key, flag.fallback);
    if (!value.ok()) return value.error();
    *flag.value = value.value();
  }
  if (bpe && pretokenizer->always_bos && has_bos) add_bos = true;
  Status status = load_space_prefix(file);
  if (status.ok()) status = load_normalizer(file);
  if (status.ok()) status = check_ids();
  return status;
}

Status Tokenizer::Impl::load_space_prefix(const ModelFile& file) {
  const Result<bool> prefix =
      file.get_bool_or("tokenizer.ggml.add_space_prefix", kind == Kind::kSentencePiece);
  if (!prefix.ok()) return prefix.error();
  const Result<Str> mode = file.get_text_or(kSpacePrefixKey, "");
  if (!mode.ok()) return mode.error();
  if (mode.value() == "missing") {
    space_prefix = SpacePrefix::kMissing;
  } else if (mode.value() == "first") {
    space_prefix = SpacePrefix::kFirst;
  } else if (mode.value() == "always") {
    space_prefix = SpacePrefix::kAlways;
  } else if (!mode.value().empty()) {
    return fail(ErrorCode::kBadValue, "one of always, missing and first is needed")
        .about(kSpacePrefixKey)
        .at(file.place_of(kSpacePrefixKey));
  } else if (prefix.value() && (kind == Kind::kSentencePiece || kind == Kind::kUnigram)) {
    space_prefix = SpacePrefix::kAlways;  // BPE keeps text as it is, WordPiece does without
  }
  return {};
}

Status Tokenizer::Impl::load_normalizer(const ModelFile& file) {
  const Result<bool> strip =
      file.get_bool_or("tokenizer.ggml.normalizer.strip_accents", word_rules.lowercase);
  if (!strip.ok()) return strip.error();
  word_rules.strip_accents = strip.value();
  const Result<u64> max_chars = file.get_u64_or("tokenizer.lbm.max_word_chars", 0, 0, ~u32{0});
  if (!max_chars.ok()) return max_chars.error();
  word_rules.max_chars = static_cast<u32>(max_chars.value());
  const Result<Str> normalizer = file.get_text_or(kNormalizerKey, "");
  if (!normalizer.ok()) return normalizer.error();
  normalize = normalizer.value() == "nfc";
  word_rules.as_hugging_face = normalizer.value() == "bert";
  if (normalize || word_rules.as_hugging_face || normalizer.value().empty()) return {};
  return fail(ErrorCode::kUnsupported, "this build has no such normalizer, only nfc and bert")
      .about(normalizer.value())
      .at(file.place_of(kNormalizerKey));
}

Status Tokenizer::Impl::check_ids() const {
  const auto missing = [](Str key) {
    return fail(ErrorCode::kMismatch,
                "the file asks for this token at every prompt but does not name it")
        .about(key);
  };
  const bool word_piece = kind == Kind::kWordPiece;
  if ((add_bos || word_piece) && vocab.bos() == kNoToken) {
    return missing("tokenizer.ggml.bos_token_id");
  }
  if (add_eos && vocab.eos() == kNoToken) return missing("tokenizer.ggml.eos_token_id");
  if (word_piece && vocab.separator() == kNoToken) {
    return missing("tokenizer.ggml.seperator_token_id");
  }
  if ((kind == Kind::kUnigram || word_piece) && vocab.unknown() == kNoToken) {
    return fail(ErrorCode::kMissing, "this tokenizer needs an unknown token, and the file has none")
        .about("tokenizer.ggml.unknown_token_id");
  }
  return {};
}

// White space beside special tokens. GGUF has no key for it, so it goes by names, as in llama.cpp.
Status Tokenizer::Impl::load_trimming(const ModelFile& file) {
  const Result<Str> name = file.get_text_or("general.name", "");
  if (!name.ok()) return name.error();
  const Result<Str> architecture = file.get_text_or("general.architecture", "");
  if (!architecture.ok()) return architecture.error();
  const Str pre = pretokenizer == nullptr ? Str() : pretokenizer->name;
  if (pre == "jina-v2-de" || pre == "jina-v2-es" || pre == "jina-v2-code" ||
      architecture.value().contains("nomic-bert-moe") ||
      architecture.value().contains("jina-bert-v3")) {
    vocab.mark_trimming(vocab.find("<mask>"), true, false);
  } else if (contains_ignoring_case(name.value(), "phi-3") ||
             contains_ignoring_case(name.value(), "phi3")) {
    vocab.mark_trimming_tokens();
  } else if (contains_ignoring_case(name.value(), "modern-bert")) {
    vocab.mark_trimming(vocab.find("[MASK]"), true, false);
  }
  constexpr Str kKeys[] = {kTrimsBeforeKey, kTrimsAfterKey};
  for (const Str key : kKeys) {
    MetaValue value;
    if (!file.find(key, value)) continue;
    trims_unicode = true;
    if (value.type != MetaType::kArray ||  // mutants: the array of what is none has another type
        value.array.type != MetaType::kU32) {
      return fail(ErrorCode::kBadType, "an array of u32 is needed")
          .about(key)
          .at(value.file_offset);
    }
    for (u64 i = 0; i < value.array.count; ++i) {
      const i64 id = value.array.integer(i);
      if (id >= vocab.size()) {
        return fail(ErrorCode::kBadValue, "no such token:")
            .about(key)
            .with(static_cast<u64>(id), vocab.size() - 1)
            .at(value.file_offset);
      }
      vocab.mark_trimming(static_cast<u32>(id), key == kTrimsBeforeKey, key == kTrimsAfterKey);
    }
  }
  return {};
}

Status Tokenizer::Impl::load_pieces(Arena& arena, const ModelFile& file) {
  MetaValue unused;
  switch (kind) {
    case Kind::kSentencePiece: return {};
    case Kind::kBytePairs:
      if (pretokenizer->merges_optional && !file.find(kMergesKey, unused)) return {};
      return pairs.load(arena, file, vocab);
    case Kind::kWordPiece:
      return index.load(arena, vocab, [&](u32 id) { return is_mergeable(id); });
    case Kind::kUnigram: break;
  }
  constexpr f64 kUnknownPenalty = 10;  // SentencePiece's
  f32 worst = 0;
  bool has_normal = false;
  for (u32 id = 0; id < vocab.size(); ++id) {
    if (vocab.type(id) != TokenType::kNormal) continue;
    if (!has_normal || vocab.score(id) < worst) worst = vocab.score(id);
    has_normal = true;
  }
  unknown_score = static_cast<f64>(worst) - kUnknownPenalty;
  const Status status = charsmap.load(arena, file, kCharsmapKey);
  if (!status.ok()) return status;
  return index.load(arena, vocab, [&](u32 id) { return is_mergeable(id); });
}

Status Tokenizer::Impl::load_byte_tokens() {
  for (u32& token : byte_tokens) token = kNoToken;
  const Status status = load_fallback_tokens();
  if (!status.ok()) return status;
  if (kind == Kind::kBytePairs && pretokenizer->byte_level) load_byte_level_tokens();
  u32 n_missing = 0;
  for (const u32 token : byte_tokens) n_missing += token == kNoToken ? 1 : 0;
  has_all_bytes = n_missing == 0;
  // All bytes, or none: then what can not be spelled is the unknown token, which is token 0 where
  // the file names no other (set_default_ids).
  if (kind == Kind::kSentencePiece && !has_all_bytes && n_missing != 256) {
    return fail(ErrorCode::kMissing,
                "the vocabulary has byte tokens, but not for every byte; missing")
        .about(kTokensKey)
        .with(n_missing);
  }
  return {};
}

// SentencePiece: tokens of type byte, each spelled as the byte it stands for. A byte-level file has
// none, but if it has, their spellings are held to the same.
Status Tokenizer::Impl::load_fallback_tokens() {
  for (u32 id = 0; id < vocab.size(); ++id) {
    if (vocab.type(id) != TokenType::kByte) continue;
    const u32 byte = byte_of_spelling(vocab.piece(id));
    if (byte > 255) {
      return fail(ErrorCode::kBadValue, "a byte token is spelled <0x00> to <0xFF>; this one has id")
          .about(vocab.piece(id))
          .with(id);
    }
    if (escapes_spaces()) byte_tokens[byte] = id;
  }
  return {};
}

void Tokenizer::Impl::load_byte_level_tokens() {
  for (u32 byte = 0; byte < 256; ++byte) {
    char character[4];
    const u32 n = encode_utf8(kByteLevel.codepoint_of[byte], character);
    const u32 id = vocab.find(Str(character, n));
    if (!is_mergeable(id)) continue;
    // A user-defined token stands for its spelling as it is, so it is the byte only where both are
    // the same. (DeepSeek's files have such tokens for the bytes that UTF-8 never has.)
    if (vocab.type(id) == TokenType::kUserDefined && n != 1) continue;
    byte_tokens[byte] = id;
  }
  // EF BF BD in the alphabet.
  const u32 replacement = vocab.find("\xC3\xAF\xC2\xBF\xC2\xBD");
  if (is_mergeable(replacement)) replacement_token = replacement;
}

}  // namespace lbm
