#include "core/tokenizer/vocab.h"

#include "core/base/byte_reader.h"
#include "core/format/limits.h"

namespace lbm {
namespace {

constexpr Str kTokensKey = "tokenizer.ggml.tokens";
constexpr Str kTypesKey = "tokenizer.ggml.token_type";
constexpr Str kScoresKey = "tokenizer.ggml.scores";
constexpr u64 kArrayHeaderBytes = 12;  // element type and count stand before the elements

// Ids that end an answer beside EOS: end of turn, end of message, and the separators of
// fill-in-the-middle, after which a model that was trained on code starts the next file.
constexpr Str kEndKeys[] = {"tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id",
                            "tokenizer.ggml.fim_pad_token_id", "tokenizer.ggml.fim_rep_token_id",
                            "tokenizer.ggml.fim_sep_token_id"};

// Spellings that mean the same in every model, whatever type the file gives them: converters get
// the type wrong, and a turn that does not end is what a user then sees. The list is llama.cpp's,
// so that the same files stop at the same tokens.
constexpr Str kEndSpellings[] = {
    "<|eot_id|>", "<|im_end|>", "<|end|>", "<|return|>", "<|call|>", "<|flush|>", "<|calls|>",
    "<end_of_turn>", "<|endoftext|>", "</s>", "<|eom_id|>", "<EOT>", "_<EOT>", "[EOT]", "[EOS]",
    "<|end_of_text|>", "<end_of_utterance>", "<eos>", "<turn|>", "<|tool_response>", "[e~[",
    "<\uFF5Cend\u2581of\u2581sentence\uFF5C>",
    // padding, repository and file separators of fill-in-the-middle
    "<|fim_pad|>", "<fim-pad>", "<fim_pad>", "<PAD>", "[PAD]", "<|fim_repo|>", "<|repo_name|>",
    "<fim-repo>", "<REPO>", "<reponame>", "<|file_sep|>"};
// Control tokens that do not end an answer.
constexpr Str kControlSpellings[] = {
    "<|fim_prefix|>", "<fim-prefix>", "<fim_prefix>",    "<\uFF5Cfim\u2581begin\uFF5C>",
    "<PRE>",          "\u2581<PRE>",  "<|code_prefix|>", "<|prefix|>",
    "<|fim_suffix|>", "<fim-suffix>", "<fim_suffix>",    "<\uFF5Cfim\u2581hole\uFF5C>",
    "<SUF>",          "\u2581<SUF>",  "<|code_suffix|>", "<|suffix|>",
    "<|fim_middle|>", "<fim-middle>", "<fim_middle>",    "<\uFF5Cfim\u2581end\uFF5C>",
    "<MID>",          "\u2581<MID>",  "<|code_middle|>", "<|middle|>"};

Error wrong_array(Str key, const MetaValue& value, const char* what) {
  return fail(ErrorCode::kBadType, what).about(key).at(value.file_offset);
}

// The id that `key` names; kNoToken where the key is absent. Errors: kBadType, kBadValue.
Result<u32> read_id(const ModelFile& file, Str key, u32 n_piece) {
  MetaValue value;
  if (!file.find(key, value)) return Vocab::kNoToken;
  const Result<u64> id = file.get_u64(key, 0, n_piece - 1);
  if (!id.ok()) return id.error();
  return static_cast<u32>(id.value());
}

}  // namespace

Status Vocab::load(Arena& arena, const ModelFile& file, bool with_scores) {
  Status status = load_pieces(arena, file);
  if (status.ok()) status = load_types(arena, file);
  if (status.ok() && with_scores) status = load_scores(arena, file);
  if (status.ok()) status = load_ids(file);
  return status;
}

Status Vocab::load_pieces(Arena& arena, const ModelFile& file) {
  const Result<MetaArray> found = file.get_array(kTokensKey);
  if (!found.ok()) return found.error();
  const MetaArray& tokens = found.value();
  MetaValue value;
  static_cast<void>(file.find(kTokensKey, value));
  if (tokens.type != MetaType::kString) {
    return wrong_array(kTokensKey, value, "an array of strings is needed");
  }
  if (tokens.count == 0 || tokens.count > kMaxVocabulary) {
    return fail(ErrorCode::kLimit,
                tokens.count == 0 ? "the vocabulary is empty" : "the vocabulary is too large")
        .about(kTokensKey)
        .with(tokens.count, kMaxVocabulary)
        .at(value.file_offset);
  }
  n_piece_ = static_cast<u32>(tokens.count);
  text_ = reinterpret_cast<const char*>(tokens.bytes.data());
  Result<Span<Place>> places = arena.take<Place>(n_piece_, "vocabulary");
  if (!places.ok()) return places.error();
  places_ = places.value();
  Result<Span<Slot>> slots = arena.take<Slot>(u64{n_piece_} * 2, "vocabulary index");
  if (!slots.ok()) return slots.error();
  slots_ = slots.value();

  StringCursor cursor(tokens);
  for (u32 id = 0; id < n_piece_; ++id) {
    const Str piece = cursor.next();
    const u64 offset = static_cast<u64>(piece.data() - text_);
    // A piece of the metadata, which is at most kMaxMetadataBytes long: both numbers fit.
    places_[id] = {static_cast<u32>(offset), static_cast<u32>(piece.size())};
    if (piece.size() > max_piece_bytes_) max_piece_bytes_ = static_cast<u32>(piece.size());
    const Status inserted = insert(id, piece);
    if (!inserted.ok()) {
      Error error = inserted.error();
      return error.at(value.file_offset + kArrayHeaderBytes + offset);
    }
  }
  return {};
}

Status Vocab::insert(u32 id, Str piece) {
  if (piece.empty()) return {};  // fills a gap in the ids; text never becomes it
  const u32 hash = PieceHash().add(piece).finish();
  u32 slot = slot_of(hash);
  for (u32 n = 0; n < kMaxProbes; ++n) {
    const Slot at = slots_[slot];
    if (at.id_plus_one == 0) {
      slots_[slot] = {hash, id + 1};
      return {};
    }
    if (at.hash == hash &&  // mutants: equal pieces have equal hashes
        this->piece(at.id_plus_one - 1) == piece) {
      return fail(ErrorCode::kDuplicate, "the vocabulary has this piece twice; the second id is")
          .about(piece)
          .with(id);
    }
    slot = slot + 1 == slots_.size() ? 0 : slot + 1;
  }
  return fail(ErrorCode::kLimit, "too many pieces of the vocabulary have the same hash")
      .about(kTokensKey)
      .with(id, kMaxProbes);
}

u32 Vocab::find_joined(Str left, Str right, u32 hash) const {
  const usize n_byte = left.size() + right.size();
  if (n_byte == 0 || n_byte > max_piece_bytes_) return kNoToken;
  u32 slot = slot_of(hash);
  for (u32 n = 0; n < kMaxProbes; ++n) {
    const Slot at = slots_[slot];
    if (at.id_plus_one == 0) return kNoToken;
    if (at.hash == hash) {
      const Str found = piece(at.id_plus_one - 1);
      if (found.size() == n_byte && found.first(left.size()) == left &&
          found.from(left.size()) == right) {
        return at.id_plus_one - 1;
      }
    }
    slot = slot + 1 == slots_.size() ? 0 : slot + 1;
  }
  return kNoToken;
}

Status Vocab::load_types(Arena& arena, const ModelFile& file) {
  Result<Span<u8>> marks = arena.take<u8>(n_piece_, "token types");
  if (!marks.ok()) return marks.error();
  marks_ = marks.value();
  MetaValue value;
  if (!file.find(kTypesKey, value)) {
    for (u8& mark : marks_) mark = static_cast<u8>(TokenType::kNormal);
    return {};
  }
  const MetaArray& types = value.array;
  if (value.type != MetaType::kArray ||
      (types.type != MetaType::kI32 && types.type != MetaType::kU32)) {
    return wrong_array(kTypesKey, value, "an array of i32 is needed");
  }
  if (types.count != n_piece_) {
    return fail(ErrorCode::kMismatch, "there must be one for each token; there are")
        .about(kTypesKey)
        .with(types.count, n_piece_)
        .at(value.file_offset);
  }
  ByteReader in(types.bytes);
  for (u32 id = 0; id < n_piece_; ++id) {
    const u32 type = in.read_u32();
    if (type >= kTokenTypeCount) {
      return fail(ErrorCode::kBadValue, "no such token type:")
          .about(kTypesKey)
          .with(type, kTokenTypeCount - 1)
          .at(value.file_offset + kArrayHeaderBytes + u64{4} * id);
    }
    marks_[id] = static_cast<u8>(type);
  }
  return {};
}

Status Vocab::load_scores(Arena& arena, const ModelFile& file) {
  MetaValue value;
  if (!file.find(kScoresKey, value)) {
    return fail(ErrorCode::kMissing, "this tokenizer merges by score, and the file has none")
        .about(kScoresKey);
  }
  const MetaArray& given = value.array;
  if (value.type != MetaType::kArray || given.type != MetaType::kF32) {
    return wrong_array(kScoresKey, value, "an array of f32 is needed");
  }
  if (given.count != n_piece_) {
    return fail(ErrorCode::kMismatch, "there must be one for each token; there are")
        .about(kScoresKey)
        .with(given.count, n_piece_)
        .at(value.file_offset);
  }
  Result<Span<f32>> scores = arena.take<f32>(n_piece_, "token scores");
  if (!scores.ok()) return scores.error();
  scores_ = scores.value();
  ByteReader in(given.bytes);
  for (u32 id = 0; id < n_piece_; ++id) {
    const f32 score = in.read_f32();
    if (!(score - score == 0.0f)) {  // false for infinities and NaN
      return fail(ErrorCode::kNumeric, "the score is not finite; token")
          .about(kScoresKey)
          .with(id)
          .at(value.file_offset + kArrayHeaderBytes + u64{4} * id);
    }
    scores_[id] = score;
  }
  return {};
}

Status Vocab::load_ids(const ModelFile& file) {
  struct Entry {
    Str key;
    u32* id;
  };
  static_assert(sizeof(kEndKeys) / sizeof(kEndKeys[0]) ==
                sizeof(more_ends_) / sizeof(more_ends_[0]));
  const Entry entries[] = {
      {"tokenizer.ggml.bos_token_id", &bos_},
      {"tokenizer.ggml.eos_token_id", &eos_},
      {"tokenizer.ggml.unknown_token_id", &unknown_},
      {"tokenizer.ggml.seperator_token_id", &separator_},  // the key's spelling
      {kEndKeys[0], &more_ends_[0]},
      {kEndKeys[1], &more_ends_[1]},
      {kEndKeys[2], &more_ends_[2]},
      {kEndKeys[3], &more_ends_[3]},
      {kEndKeys[4], &more_ends_[4]}};
  for (const Entry& entry : entries) {
    const Result<u32> id = read_id(file, entry.key, n_piece_);
    if (!id.ok()) return id.error();
    *entry.id = id.value();
  }
  return {};
}

void Vocab::set_default_ids(const DefaultIds& ids) {
  const auto set = [&](u32& id, u32 fallback) {
    if (id == kNoToken && fallback < n_piece_) id = fallback;
  };
  set(bos_, ids.bos);
  set(eos_, ids.eos);
  set(unknown_, ids.unknown);
  set(separator_, ids.separator);
}

void Vocab::mark_special_spellings() {
  const auto mark = [&](u32 id, u8 bits) {
    if (id != kNoToken) marks_[id] |= bits;
  };
  const auto has = [&](Str spelling) { return find(spelling) != kNoToken; };
  for (const Str spelling : kEndSpellings) mark(find(spelling), kForcedControl | kEndsGeneration);
  for (const Str spelling : kControlSpellings) mark(find(spelling), kForcedControl);
  mark(eos_, kEndsGeneration);
  for (const u32 id : more_ends_) mark(id, kEndsGeneration);
  // Where messages have channels, <|end|> ends one message and <|return|> or <|call|> the answer.
  const bool has_call = has("<|call|>") || has("<|calls|>");
  const u32 message_end = find("<|end|>");
  if (message_end != kNoToken && has_call && (has("<|return|>") || has("<|flush|>"))) {
    marks_[message_end] &= static_cast<u8>(~kEndsGeneration);
  }
  // Gemma 4 and relatives have </s> in the vocabulary as the HTML tag.
  const u32 strike = find("</s>");
  if (strike != kNoToken && has("<|tool_response>")) {
    marks_[strike] &= static_cast<u8>(~(kEndsGeneration | kForcedControl));
  }
}

void Vocab::mark_trimming_tokens() {
  constexpr Str kOthers[] = {"<unk>", "<s>", "<|endoftext|>"};
  for (u32 id = 0; id < n_piece_; ++id) {
    if (is_restricted(id) || type(id) == TokenType::kUserDefined) marks_[id] |= kTrimsAfter;
  }
  for (const Str spelling : kOthers) {
    const u32 id = find(spelling);
    if (id != kNoToken) marks_[id] &= static_cast<u8>(~kTrimsAfter);
  }
}

void Vocab::mark_trimming(u32 id, bool before, bool after) {
  if (id == kNoToken) return;
  if (before) marks_[id] |= kTrimsBefore;
  if (after) marks_[id] |= kTrimsAfter;
}

}  // namespace lbm
