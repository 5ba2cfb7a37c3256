// Vocabularies of a few hundred tokens as model files, good and bad ones, for tests that run
// everywhere.
#pragma once

#include "core/base/utf8.h"
#include "core/tokenizer/byte_level.h"
#include "core/tokenizer/tokenizer.h"
#include "core/tokenizer/vocab.h"
#include "tests/format/gguf_builder.h"

namespace lbm::test {

struct TinyToken {
  Str piece;
  TokenType type = TokenType::kNormal;
  f32 score = 0;
};

struct TinyVocab {
  Str model = "gpt2";
  Str pre = "gpt-2";
  // The 256 byte tokens come first: characters of the byte-level alphabet for gpt2; for llama
  // <unk>, <s>, </s> and then <0x00> to <0xFF>. The tokens of the test follow. For t5 and bert they
  // are all there is.
  u32 n_byte_token = 256;
  Span<const TinyToken> tokens;
  Span<const Str> merges;
  u32 bos = Tokenizer::kNoToken;  // kNoToken: the key is absent
  u32 eos = Tokenizer::kNoToken;
  i32 add_bos = -1;  // -1: absent
  i32 add_eos = -1;
  i32 add_space_prefix = -1;
  i32 merge_spaces = -1;
  i32 lowercase = -1;
  u32 unknown = Tokenizer::kNoToken;
  u32 separator = Tokenizer::kNoToken;
  Span<const u8> charsmap;
  Str normalizer;    // tokenizer.lbm.normalizer
  Str space_prefix;  // tokenizer.lbm.space_prefix
  Str name = "tiny";
  Str architecture = "llama";
  // One more key with a number, and one more with an array of numbers.
  Str number_key;
  MetaType number_type = MetaType::kU32;  // or kU64
  u64 number = 0;
  Str list_key;
  MetaType list_type = MetaType::kU32;  // or of one byte
  Span<const u32> list;
  // Faults.
  Str absent_key;  // is spelled in another way, so that nobody finds it
  bool no_merges = false;
  bool no_scores = false;
  bool no_types = false;
  i32 n_extra_type = 0;
  i32 n_extra_score = 0;
  MetaType type_of_types = MetaType::kI32;
  MetaType type_of_scores = MetaType::kF32;

  [[nodiscard]] bool is_llama() const { return model == "llama"; }
  [[nodiscard]] bool is_bare() const { return model == "t5" || model == "bert"; }
  // Id of tokens[0].
  [[nodiscard]] u32 first_id() const { return is_bare() ? 0 : n_byte_token + (is_llama() ? 3 : 0); }
};

class TinyVocabWriter {
 public:
  TinyVocabWriter(const TinyVocab& vocab, Span<u8> out) : vocab_(vocab), out_(out), gguf_(out) {}

  Span<const u8> write() {
    const u64 n_meta =
        5u + (vocab_.no_types ? 0u : 1u) + (vocab_.no_scores ? 0u : 1u) +
        (vocab_.no_merges ? 0u : 1u) + (vocab_.bos != Tokenizer::kNoToken) +
        (vocab_.eos != Tokenizer::kNoToken) + (vocab_.add_bos >= 0) + (vocab_.add_eos >= 0) +
        (vocab_.add_space_prefix >= 0) + (vocab_.merge_spaces >= 0) + (vocab_.lowercase >= 0) +
        (vocab_.unknown != Tokenizer::kNoToken) + (vocab_.separator != Tokenizer::kNoToken) +
        !vocab_.charsmap.empty() + !vocab_.normalizer.empty() + !vocab_.space_prefix.empty() +
        !vocab_.number_key.empty() + !vocab_.list_key.empty();
    gguf_.header(0, n_meta);
    gguf_.text_key("general.architecture", vocab_.architecture);
    gguf_.text_key("general.name", vocab_.name);
    gguf_.text_key("tokenizer.ggml.model", vocab_.model).text_key("tokenizer.ggml.pre", vocab_.pre);
    write_tokens();
    if (!vocab_.no_types) write_types();
    if (!vocab_.no_scores) write_scores();
    if (!vocab_.no_merges) {
      gguf_.key("tokenizer.ggml.merges", MetaType::kArray)
          .array(MetaType::kString, vocab_.merges.size());
      for (const Str merge : vocab_.merges) gguf_.text(merge);
    }
    if (vocab_.bos != Tokenizer::kNoToken) gguf_.u32_key("tokenizer.ggml.bos_token_id", vocab_.bos);
    if (vocab_.eos != Tokenizer::kNoToken) gguf_.u32_key("tokenizer.ggml.eos_token_id", vocab_.eos);
    flag("tokenizer.ggml.add_bos_token", vocab_.add_bos);
    flag("tokenizer.ggml.add_eos_token", vocab_.add_eos);
    flag("tokenizer.ggml.add_space_prefix", vocab_.add_space_prefix);
    flag("tokenizer.ggml.remove_extra_whitespaces", vocab_.merge_spaces);
    flag("tokenizer.ggml.normalizer.lowercase", vocab_.lowercase);
    if (vocab_.unknown != Tokenizer::kNoToken) {
      gguf_.u32_key("tokenizer.ggml.unknown_token_id", vocab_.unknown);
    }
    if (vocab_.separator != Tokenizer::kNoToken) {
      gguf_.u32_key("tokenizer.ggml.seperator_token_id", vocab_.separator);
    }
    if (!vocab_.charsmap.empty()) {
      gguf_.key("tokenizer.ggml.precompiled_charsmap", MetaType::kArray)
          .array(MetaType::kU8, vocab_.charsmap.size());
      for (const u8 byte : vocab_.charsmap) gguf_.u8_value(byte);
    }
    if (!vocab_.normalizer.empty()) {
      gguf_.text_key("tokenizer.lbm.normalizer", vocab_.normalizer);
    }
    if (!vocab_.space_prefix.empty()) {
      gguf_.text_key("tokenizer.lbm.space_prefix", vocab_.space_prefix);
    }
    if (!vocab_.absent_key.empty()) hide(vocab_.absent_key);
    if (!vocab_.number_key.empty()) {
      gguf_.key(vocab_.number_key, vocab_.number_type);
      number(vocab_.number_type, vocab_.number);
    }
    if (!vocab_.list_key.empty()) {
      gguf_.key(vocab_.list_key, MetaType::kArray).array(vocab_.list_type, vocab_.list.size());
      for (const u32 item : vocab_.list) number(vocab_.list_type, item);
    }
    gguf_.pad(32);
    return gguf_.bytes();
  }

 private:
  [[nodiscard]] u32 n_token() const {
    return vocab_.first_id() + static_cast<u32>(vocab_.tokens.size());
  }

  void hide(Str key) {
    const Str file(gguf_.bytes());
    const usize at = file.find(key);
    LBM_CHECK(at != Str::kNone);
    out_[at + key.size() - 1] = '~';
  }

  void flag(Str key, i32 value) {
    if (value >= 0) gguf_.key(key, MetaType::kBool).u8_value(static_cast<u8>(value));
  }

  void write_tokens() {
    gguf_.key("tokenizer.ggml.tokens", MetaType::kArray).array(MetaType::kString, n_token());
    if (vocab_.is_llama()) gguf_.text("<unk>").text("<s>").text("</s>");
    for (u32 byte = 0; byte < vocab_.n_byte_token && !vocab_.is_bare(); ++byte) {
      if (vocab_.is_llama()) {
        constexpr char kDigits[] = "0123456789ABCDEF";
        const char spelling[] = {'<', '0', 'x', kDigits[byte / 16], kDigits[byte % 16], '>'};
        gguf_.text(Str(spelling, 6));
      } else {
        char character[4];
        gguf_.text(Str(character, encode_utf8(kByteLevel.codepoint_of[byte], character)));
      }
    }
    for (const TinyToken& token : vocab_.tokens) gguf_.text(token.piece);
  }

  void write_types() {
    const u32 n = n_token() + static_cast<u32>(vocab_.n_extra_type);
    gguf_.key("tokenizer.ggml.token_type", MetaType::kArray).array(vocab_.type_of_types, n);
    for (u32 id = 0; id < n; ++id) {
      TokenType type = vocab_.is_llama() ? TokenType::kByte : TokenType::kNormal;
      if (vocab_.is_llama() && id < 3) type = id == 0 ? TokenType::kUnknown : TokenType::kControl;
      if (id >= vocab_.first_id()) {
        const u32 index = id - vocab_.first_id();
        type = index < vocab_.tokens.size() ? vocab_.tokens[index].type : TokenType::kNormal;
      }
      number(vocab_.type_of_types, static_cast<u32>(type));
    }
  }

  void write_scores() {
    const u32 n = n_token() + static_cast<u32>(vocab_.n_extra_score);
    gguf_.key("tokenizer.ggml.scores", MetaType::kArray).array(vocab_.type_of_scores, n);
    for (u32 id = 0; id < n; ++id) {
      const u32 index = id - vocab_.first_id();  // wraps for the tokens before
      const f32 score = index < vocab_.tokens.size() ? vocab_.tokens[index].score : 0.0f;
      number(vocab_.type_of_scores, __builtin_bit_cast(u32, score));
    }
  }

  void number(MetaType type, u64 bits) {
    if (type == MetaType::kU8 || type == MetaType::kI8) {
      gguf_.u8_value(static_cast<u8>(bits));
    } else if (type == MetaType::kU64) {
      gguf_.u64_value(bits);
    } else {
      gguf_.u32_value(static_cast<u32>(bits));
    }
  }

  const TinyVocab& vocab_;
  Span<u8> out_;
  GgufBuilder gguf_;
};

// One vocabulary at a time, in memory that the tests share.
class LoadedTiny {
 public:
  explicit LoadedTiny(const TinyVocab& vocab)
      : source_(TinyVocabWriter(vocab, g_file).write()), arena_(g_memory), scratch_(g_scratch) {
    Result<ModelFile> file = ModelFile::open(source_, arena_);
    LBM_CHECK(file.ok());
    file_ = file.value();
    used_before_ = arena_.bytes_used();
    Result<Tokenizer*> tokenizer = Tokenizer::create(arena_, file_);
    if (tokenizer.ok()) {
      tokenizer_ = tokenizer.value();
    } else {
      error_ = tokenizer.error();
    }
  }

  [[nodiscard]] bool ok() const { return tokenizer_ != nullptr; }
  [[nodiscard]] const Tokenizer* operator->() const { return tokenizer_; }
  [[nodiscard]] const Error& error() const { return error_; }
  [[nodiscard]] bool arena_is_as_before() const { return arena_.bytes_used() == used_before_; }
  [[nodiscard]] Arena& scratch() { return scratch_; }

  // The code and the offset of the refusal; the arena is as it was.
  [[nodiscard]] bool refused(ErrorCode code) const {
    return !ok() && error_.code == code && arena_is_as_before();
  }
  // The same, at the value of `key`.
  [[nodiscard]] bool refused_at(Str key, ErrorCode code) const {
    MetaValue value;
    return refused(code) && error_.subject_text().starts_with(key) && file_.find(key, value) &&
           error_.offset == value.file_offset;
  }
  // The refusal points at the element of that spelling, or at the value of a key.
  [[nodiscard]] bool points_at(Str text) const {
    const u64 at = error_.offset;
    return at < sizeof(g_file) - text.size() &&
           Str(reinterpret_cast<const char*>(g_file) + at, text.size()) == text;
  }

  // Whether `text` becomes `expected`.
  [[nodiscard]] bool encodes(Str text, Span<const u32> expected, EncodeOptions options = {}) {
    u32 ids[64];
    const Result<u32> n = tokenizer_->encode(text, options, ids, scratch_);
    return n.ok() && equal({ids, n.value()}, expected) && scratch_.bytes_used() == 0;
  }
  [[nodiscard]] bool encodes_segments(Span<const TextSegment> segments, Span<const u32> expected) {
    u32 ids[64];
    const Result<u32> n = tokenizer_->encode_segments(segments, ids, scratch_);
    return n.ok() && equal({ids, n.value()}, expected) && scratch_.bytes_used() == 0;
  }
  [[nodiscard]] bool decodes(Span<const u32> ids, Str expected, bool show_special = false,
                             bool at_start = true) {
    char text[256];
    const Result<Str> decoded = tokenizer_->decode(ids, show_special, at_start, text);
    return decoded.ok() && decoded.value() == expected;
  }

  [[nodiscard]] static bool equal(Span<const u32> a, Span<const u32> b) {
    bool same = a.size() == b.size();
    for (usize i = 0; same && i < a.size(); ++i) same = a[i] == b[i];
    return same;
  }

 private:
  inline static u8 g_file[32768];
  inline static u8 g_memory[262144];
  inline static u8 g_scratch[65536];

  BufferSource source_;
  Arena arena_;
  Arena scratch_;
  ModelFile file_;
  Tokenizer* tokenizer_ = nullptr;
  Error error_;
  u64 used_before_ = 0;
};

}  // namespace lbm::test
