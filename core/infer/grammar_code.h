// The program of a grammar in the making: operations are appended, and finished pieces are moved
// and repeated.
#pragma once

#include "core/infer/grammar.h"

namespace lbm {

struct CodepointRange {
  u32 low;
  u32 high;  // included
};

class GrammarCode {
 public:
  GrammarCode(Span<GrammarOp> ops, Span<AsciiSet> sets) : ops_(ops), sets_(sets) {}

  [[nodiscard]] u32 size() const { return n_op_; }
  [[nodiscard]] Span<const GrammarOp> ops() const { return ops_.first(n_op_); }
  [[nodiscard]] GrammarOp& op(u32 at) { return ops_[at]; }
  [[nodiscard]] Span<const AsciiSet> sets() const { return sets_.first(n_set_); }
  // Something did not fit; what was written since then means nothing.
  [[nodiscard]] bool is_full() const { return is_full_; }

  void append(const GrammarOp& op);
  void append_target(GrammarOp::Kind kind, u32 target);
  // Before operation `at`, moving those from there on.
  void insert_target(u32 at, GrammarOp::Kind kind, u32 target);
  void set_target(u32 at, u32 target) {
    ops_[at].operand = static_cast<i32>(target) - static_cast<i32>(at);
  }
  // The bytes of one character.
  void append_character(u32 codepoint);
  // Any character of `ranges`, which are in order and do not touch; at least one.
  void append_class(Span<const CodepointRange> ranges);

  // The code from `start` on is repeated: low to high times.
  static constexpr u32 kNoEnd = ~u32{0};
  void repeat(u32 start, u32 low, u32 high);

 private:
  void append_ascii(Span<const CodepointRange> ranges);
  void drop_from(u32 start) { n_op_ = start; }

  Span<GrammarOp> ops_;
  Span<AsciiSet> sets_;
  u32 n_op_ = 0;
  u32 n_set_ = 0;
  bool is_full_ = false;
};

// Code that is followed by one of several ends: what `a | b | c` and classes are made of.
//   split to b; a; jump to the end; split to c; b; jump to the end; c
class GrammarAlternatives {
 public:
  explicit GrammarAlternatives(GrammarCode& code) : code_(code), start_(code.size()) {}

  // What was appended since the last call was one of them, and another one follows.
  void next();
  // It was the last.
  void end();

 private:
  GrammarCode& code_;
  u32 start_;           // of the newest alternative
  i32 last_jump_ = -1;  // of a list by their operands, until the end is known
};

// Finds a call that begins where its caller began: left recursion, which has no end.
// `entries` are where rules begin. Returns the number of a rule that does so, or kNoRule. `scratch`
// is given back.
inline constexpr u32 kNoRule = ~u32{0};
[[nodiscard]] Result<u32> find_left_recursion(Span<const GrammarOp> ops, Span<const u32> entries,
                                              Arena& scratch);

}  // namespace lbm
