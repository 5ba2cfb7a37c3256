// The vocabulary of a model file: pieces, their types and scores, and the ids that mean something
// to the engine.
//
// Pieces are views into the metadata; here is only an index over them. Finding a piece by its
// spelling is a hash look-up, for which the table is at most half full and a probe sequence is
// bounded: a file whose pieces were made to collide is refused, so that no vocabulary can turn a
// look-up into a search.
#pragma once

#include "core/base/arena.h"
#include "core/base/result.h"
#include "core/format/model_file.h"

namespace lbm {

// tokenizer.ggml.token_type, with the numbers of the file format.
enum class TokenType : u8 { kUndefined, kNormal, kUnknown, kControl, kUserDefined, kUnused, kByte };
inline constexpr u32 kTokenTypeCount = 7;

// A hash that can be continued: hash of "ab" = PieceHash().add("a").add("b").
class PieceHash {
 public:
  constexpr PieceHash& add(char byte) {
    state_ = (state_ ^ static_cast<u8>(byte)) * 0x100000001B3u;  // FNV-1a
    return *this;
  }
  constexpr PieceHash& add(Str bytes) {
    for (const char byte : bytes) add(byte);
    return *this;
  }
  // Uniform in all 32 bits: FNV alone is poor in the upper ones.
  [[nodiscard]] constexpr u32 finish() const {
    return static_cast<u32>(((state_ ^ (state_ >> 29)) * 0x9E3779B97F4A7C15u) >> 32);
  }

 private:
  u64 state_ = 0xCBF29CE484222325u;
};

class Vocab {
 public:
  static constexpr u32 kNoToken = ~u32{0};
  // Probes that a look-up takes at most. Random hashes in a half-full table of 2^20 pieces stay
  // below 100.
  static constexpr u32 kMaxProbes = 512;

  // Reads tokens, token_type and the ids of special tokens. Scores are read where the model of
  // merging has them. Errors: kMissing, kBadType, kLimit, kMismatch (arrays of different lengths),
  // kDuplicate, kBadValue, kNumeric,
  //         kOutOfMemory. Each names the key and the byte offset.
  [[nodiscard]] Status load(Arena& arena, const ModelFile& file, bool with_scores);

  [[nodiscard]] u32 size() const { return n_piece_; }
  [[nodiscard]] Str piece(u32 id) const {
    const Place& place = places_[id];
    return {text_ + place.offset, place.size};
  }
  [[nodiscard]] TokenType type(u32 id) const {
    return static_cast<TokenType>(marks_[id] & kTypeMask);
  }
  [[nodiscard]] f32 score(u32 id) const { return scores_.empty() ? 0.0f : scores_[id]; }
  [[nodiscard]] u32 max_piece_bytes() const { return max_piece_bytes_; }

  // Control tokens, and tokens that are spelled like one that every model uses as such (<|im_end|>
  // ...). Text never becomes one.
  [[nodiscard]] bool is_control(u32 id) const {
    return type(id) == TokenType::kControl || (marks_[id] & kForcedControl) != 0;
  }
  // Those and the unknown token: found in text only where special tokens are parsed.
  [[nodiscard]] bool is_restricted(u32 id) const {
    return is_control(id) || type(id) == TokenType::kUnknown;
  }
  [[nodiscard]] bool ends_generation(u32 id) const { return (marks_[id] & kEndsGeneration) != 0; }
  // The white space after this special token belongs to it.
  [[nodiscard]] bool trims_after(u32 id) const { return (marks_[id] & kTrimsAfter) != 0; }
  [[nodiscard]] bool trims_before(u32 id) const { return (marks_[id] & kTrimsBefore) != 0; }

  // The id whose spelling is exactly `piece`, or kNoToken. An empty piece is never found.
  [[nodiscard]] u32 find(Str piece) const { return find(piece, PieceHash().add(piece).finish()); }
  [[nodiscard]] u32 find(Str piece, u32 hash) const { return find_joined(piece, {}, hash); }
  // The same for left and right written one after the other; `hash` is that of both.
  [[nodiscard]] u32 find_joined(Str left, Str right, u32 hash) const;

  // kNoToken where the file names none. A default for an absent key:
  // set_default_ids().
  [[nodiscard]] u32 bos() const { return bos_; }
  [[nodiscard]] u32 eos() const { return eos_; }
  [[nodiscard]] u32 unknown() const { return unknown_; }
  [[nodiscard]] u32 separator() const { return separator_; }
  // Ids that a file of a kind means by saying nothing, as far as the vocabulary reaches.
  struct DefaultIds {
    u32 bos = kNoToken;
    u32 eos = kNoToken;
    u32 unknown = kNoToken;
    u32 separator = kNoToken;
  };
  void set_default_ids(const DefaultIds& ids);

  // Marks what ends an answer, from the ids of the file and from well-known spellings. After the
  // ids are final.
  void mark_special_spellings();
  // Phi-3 was trained with special tokens that swallow the white space after them; its files do not
  // say so.
  void mark_trimming_tokens();
  // White space before / after this token belongs to it. Nothing for kNoToken.
  void mark_trimming(u32 id, bool before, bool after);

 private:
  struct Place {
    u32 offset;
    u32 size;
  };
  struct Slot {
    u32 hash;
    u32 id_plus_one;  // 0: empty
  };
  static constexpr u8 kTypeMask = 7;
  static constexpr u8 kForcedControl = 8;
  static constexpr u8 kEndsGeneration = 16;
  static constexpr u8 kTrimsAfter = 32;
  static constexpr u8 kTrimsBefore = 64;

  [[nodiscard]] Status load_pieces(Arena& arena, const ModelFile& file);
  [[nodiscard]] Status insert(u32 id, Str piece);
  [[nodiscard]] Status load_types(Arena& arena, const ModelFile& file);
  [[nodiscard]] Status load_scores(Arena& arena, const ModelFile& file);
  [[nodiscard]] Status load_ids(const ModelFile& file);
  [[nodiscard]] u32 slot_of(u32 hash) const {
    return static_cast<u32>((u64{hash} * slots_.size()) >> 32);
  }

  const char* text_ = "";  // the bytes of the token array; places are relative to it
  u32 n_piece_ = 0;
  u32 max_piece_bytes_ = 0;
  Span<Place> places_;
  Span<Slot> slots_;
  Span<u8> marks_;
  Span<f32> scores_;
  u32 bos_ = kNoToken;
  u32 eos_ = kNoToken;
  u32 unknown_ = kNoToken;
  u32 separator_ = kNoToken;
  u32 more_ends_[5] = {kNoToken, kNoToken, kNoToken, kNoToken, kNoToken};  // kEndKeys of vocab.cpp
};

}  // namespace lbm
