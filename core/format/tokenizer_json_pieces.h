// The pieces of a tokenizer.json by id, found again by their text.
#pragma once

#include "core/base/json_reader.h"

namespace lbm {

class TokenizerPieces {
 public:
  static constexpr u32 kNone = ~u32{0};
  // tokenizer.ggml.token_type
  enum class Type : u8 {
    kNormal = 1,
    kUnknown = 2,
    kControl = 3,
    kUserDefined = 4,
    kUnused = 5,
    kByte = 6
  };

  // Room for ids below n_id and n_text texts.
  // Errors: kOutOfMemory.
  [[nodiscard]] Status create(Arena& arena, u32 n_id, u32 n_text);

  // The piece of a new id; `node` is where the file has it. What is wrong with it (an id or a text
  // that is there already, a text that is too long) is an error of the document.
  void put(const JsonValue& node, u32 id, Str text, Type type, f32 score = 0);
  [[nodiscard]] u32 find(Str text) const;  // kNone: there is none

  // Those that have an id below the largest that was put; of a gap the text is empty.
  [[nodiscard]] u32 size() const { return n_; }
  [[nodiscard]] bool is_gap(u32 id) const { return !taken_[id]; }
  [[nodiscard]] Str text(u32 id) const { return texts_[id]; }
  [[nodiscard]] Type type(u32 id) const { return types_[id]; }
  [[nodiscard]] f32 score(u32 id) const { return scores_[id]; }
  void set_type(u32 id, Type type) { types_[id] = type; }
  // Notes white space that belongs to the token.
  void set_trims(u32 id, bool before, bool after);
  [[nodiscard]] bool trims_before(u32 id) const { return (trims_[id] & 1) != 0; }
  [[nodiscard]] bool trims_after(u32 id) const { return (trims_[id] & 2) != 0; }

 private:
  static constexpr u32 kMaxProbes = 512;
  struct Slot {
    u32 hash;
    u32 id_plus_one;  // 0: empty
  };
  // The slot of `text`, or the empty one where it belongs; kNone: too many are in the way.
  [[nodiscard]] u32 slot_of(Str text, u32 hash) const;

  Span<Str> texts_;
  Span<Type> types_;
  Span<f32> scores_;
  Span<bool> taken_;
  Span<u8> trims_;
  Span<Slot> slots_;
  u32 n_ = 0;
};

}  // namespace lbm
