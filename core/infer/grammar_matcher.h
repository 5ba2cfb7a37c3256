// Runs a grammar over bytes: a pushdown automaton that becomes a finite one while it runs.
//
// Where a text stands in a grammar is a set of places (an operation that takes a byte, and the
// calls that are open: a stack). Sets are numbered as they come up, and what a byte does to a set
// is worked out once and remembered, so a walk over a vocabulary costs a look-up for most of its
// bytes. Stacks share their lower parts, and equal ones are one.
//
// All of it lives in memory of a fixed size. When it is full, collect() forgets what is not reached
// from the sets that are still wanted; what was forgotten is worked out again.
//   Source: K. Thompson (1968), with R. Cox's lazy automaton; a stack instead of a return address.
#pragma once

#include "core/infer/grammar.h"

namespace lbm {

struct GrammarMatcherLimits {
  u32 n_set = 2048;         // at most 65534
  u32 n_place = 64 * 1024;  // of all sets together
  u32 n_call = 32 * 1024;   // of all stacks together
  u32 n_reach = 16 * 1024;  // places on the way from one set to the next
};

class GrammarMatcher {
 public:
  static constexpr u32 kDead = 0;        // the set without places: no way on, and no end
  static constexpr u32 kFull = ~u32{0};  // no number: collect() makes room

  [[nodiscard]] static u64 bytes_needed(const GrammarMatcherLimits& limits);
  // `grammar` outlives the matcher. Errors: kOutOfMemory.
  [[nodiscard]] static Result<GrammarMatcher*> create(Arena& arena, const Grammar& grammar,
                                                      const GrammarMatcherLimits& limits);

  // The set at the beginning, or kFull.
  [[nodiscard]] u32 start();
  // The set after `byte`, kDead, or kFull.
  [[nodiscard]] u32 step(u32 set, u8 byte) {
    const u16 known = next_[usize{set} * 256 + byte];
    return known != kUnknown ? known : work_out(set, byte);
  }
  // Whether the text may end here, and whether it may go on.
  [[nodiscard]] bool can_end(u32 set) const { return sets_[set].can_end; }
  [[nodiscard]] bool can_go_on(u32 set) const { return sets_[set].n_place != 0; }

  // Places looked at so far: what the time of a step grows with.
  [[nodiscard]] u64 work() const { return work_; }

  // Keeps `roots` and nothing else, and writes their new numbers there. False: they fill the memory
  // by themselves, or nearly so.
  [[nodiscard]] bool collect(Span<u32> roots);

 private:
  friend class Arena;
  struct Place {
    u32 at;     // operation
    u32 stack;  // number of a call; 0: none is open
  };
  struct Call {
    u32 back;   // where it goes on
    u32 stack;  // below
  };
  struct Set {
    u32 first_place;
    u32 n_place;
    bool can_end;
  };
  static constexpr u16 kUnknown = 0xFFFF;

  GrammarMatcher(const Grammar& grammar, const GrammarMatcherLimits& limits)
      : grammar_(grammar), limits_(limits) {}
  [[nodiscard]] Status take_memory(Arena& arena);

  [[nodiscard]] u32 work_out(u32 set, u8 byte);
  void begin_reach();
  [[nodiscard]] bool reach(u32 at, u32 stack);
  [[nodiscard]] bool reach_call(u32 back, u32 entry, u32 stack);
  [[nodiscard]] u32 finish_reach();
  [[nodiscard]] bool follow(u32& n_place, bool& can_end);
  [[nodiscard]] u32 intern_set(u32 n_place, bool can_end);
  [[nodiscard]] u32 call_number(Call call);
  [[nodiscard]] u32 hash_of(const Set& set) const;
  void index_set(u32 number);
  void index_call(u32 number);
  void keep_calls();

  const Grammar& grammar_;
  const GrammarMatcherLimits limits_;
  Span<Set> sets_;
  Span<u16> next_;  // [n_set][256]
  Span<Place> places_;
  Span<Call> calls_;  // from 1 on; what is below a call has a lower number
  Span<Place> reached_;
  Span<u32> set_slots_;  // tables of numbers, at most half full; 0: free
  Span<u32> call_slots_;
  Span<u32> reach_slots_;
  Span<u32> moved_;  // by collect(): new numbers; also its marks
  u32 n_set_ = 0;
  u32 n_place_ = 0;
  u32 n_call_ = 1;
  u32 n_reached_ = 0;
  u64 work_ = 0;
};

}  // namespace lbm
