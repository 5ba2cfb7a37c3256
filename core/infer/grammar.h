// A grammar that answers must obey, compiled from GBNF (docs/grammar.md).
//
//   root  ::= "{" space pair ("," space pair)* "}"
//   pair  ::= ["] [a-z]{1,8} ["] ":" space [0-9]+
//   space ::= " "?
//
// The language is one of characters; what it is compiled to is one of bytes. A class of characters
// becomes the sequences of bytes that spell them in UTF-8, so a token that ends in the middle of a
// character needs no special care, and what a grammar lets pass is always valid UTF-8.
//
// A program is a list of operations, as for a regular expression, with calls: one piece of code a
// rule. Targets are relative to the operation, so that a finished piece may be moved and repeated.
//   Source: the language of llama.cpp's grammars; the machine is Pike's, with a stack.
#pragma once

#include "core/base/arena.h"
#include "core/base/result.h"
#include "core/base/span.h"

namespace lbm {

struct GrammarOp {
  enum class Kind : u8 {
    kRange,   // a byte of low..high
    kSet,     // an ASCII byte of set number `operand`
    kSplit,   // here and at `operand`
    kJump,    // at `operand`
    kCall,    // rule number `operand`, then here
    kInline,  // the code at `operand` up to its kReturn, then here: what a repetition repeats
    kReturn,
  };
  Kind kind = Kind::kReturn;
  u8 low = 0;
  u8 high = 0;
  i32 operand = 0;  // targets: relative to this operation
};

// Which of the 128 ASCII characters.
struct AsciiSet {
  u32 words[4] = {};

  [[nodiscard]] bool has(u8 byte) const {
    return byte < 128 && ((words[byte / 32] >> (byte % 32)) & 1) != 0;
  }
  void add(u8 byte) { words[byte / 32] |= u32{1} << (byte % 32); }
  friend bool operator==(const AsciiSet& a, const AsciiSet& b) {
    return a.words[0] == b.words[0] && a.words[1] == b.words[1] && a.words[2] == b.words[2] &&
           a.words[3] == b.words[3];
  }
};

class Grammar {
 public:
  static constexpr usize kMaxTextBytes = kMiB;
  static constexpr u32 kMaxOps = 128 * 1024;
  static constexpr u32 kMaxRules = 16 * 1024;
  static constexpr u32 kMaxSets = 1024;
  static constexpr u32 kMaxDepth = 64;    // of parentheses
  static constexpr u32 kMaxRanges = 512;  // of one class
  // What parse() takes from its scratch arena at most.
  static constexpr u64 kScratchBytes = 5 * kMiB;

  // Compiles `text`, into `arena`; on failure nothing of it is kept. What is taken from `scratch`,
  // which is another arena, is given back. Errors name line and column:
  //   kBadSyntax    kBadValue (a character that there is not, a repetition of more to less)
  //   kDuplicate    a rule is given twice     kMissing  a rule is not there; root, above all
  //   kUnsupported  left recursion, or a construct of another dialect
  //   kLimit        one of the bounds above   kOutOfMemory
  [[nodiscard]] static Result<Grammar*> parse(Arena& arena, Str text, Arena& scratch);

  [[nodiscard]] Span<const GrammarOp> ops() const { return ops_; }
  [[nodiscard]] const AsciiSet& set(i32 number) const { return sets_[static_cast<usize>(number)]; }
  // Where the code of a rule begins.
  [[nodiscard]] u32 rule(i32 number) const { return rules_[static_cast<usize>(number)]; }
  [[nodiscard]] u32 root() const { return root_; }

 private:
  friend class Arena;
  Grammar(Span<const GrammarOp> ops, Span<const AsciiSet> sets, Span<const u32> rules, u32 root)
      : ops_(ops), sets_(sets), rules_(rules), root_(root) {}

  Span<const GrammarOp> ops_;
  Span<const AsciiSet> sets_;
  Span<const u32> rules_;
  u32 root_;
};

}  // namespace lbm
