#include "core/infer/grammar_matcher.h"

#include "core/base/arith.h"

namespace lbm {
namespace {

using Kind = GrammarOp::Kind;

// A power of two, so that a table of n is at most half full.
u32 slots_for(u32 n) {
  u32 slots = 2;
  while (slots < 2 * n) slots *= 2;
  return slots;
}

u32 mix(u32 a, u32 b) {
  u64 hash = (u64{a} << 32 | b) * 0x9E3779B97F4A7C15u;
  hash ^= hash >> 29;
  hash *= 0xBF58476D1CE4E5B9u;
  return static_cast<u32>(hash >> 32);
}

template <class T>
Status take(Arena& arena, Span<T>& out, u64 n) {
  Result<Span<T>> taken = arena.take<T>(n, "grammar matcher");
  if (!taken.ok()) return taken.error();
  out = taken.value();
  return {};
}

}  // namespace

u64 GrammarMatcher::bytes_needed(const GrammarMatcherLimits& limits) {
  const u64 n_moved = max_u32(limits.n_set, limits.n_call);
  return sizeof(GrammarMatcher) + u64{limits.n_set} * (sizeof(Set) + 256 * sizeof(u16)) +
         u64{limits.n_place} * sizeof(Place) + u64{limits.n_call} * sizeof(Call) +
         u64{limits.n_reach} * sizeof(Place) + n_moved * sizeof(u32) +
         sizeof(u32) *
             (u64{slots_for(limits.n_set)} + slots_for(limits.n_call) + slots_for(limits.n_reach)) +
         10 * Arena::kDefaultAlignment;
}

Result<GrammarMatcher*> GrammarMatcher::create(Arena& arena, const Grammar& grammar,
                                               const GrammarMatcherLimits& limits) {
  const Arena::Mark mark = arena.mark();
  Result<GrammarMatcher*> matcher = arena.make<GrammarMatcher>("grammar matcher", grammar, limits);
  if (!matcher.ok()) return matcher;
  if (const Status s = matcher.value()->take_memory(arena); !s.ok()) {
    arena.rewind(mark);
    return s.error();
  }
  static_cast<void>(matcher.value()->collect({}));
  return matcher;
}

Status GrammarMatcher::take_memory(Arena& arena) {
  Status s = take(arena, sets_, limits_.n_set);
  if (s.ok()) s = take(arena, next_, u64{limits_.n_set} * 256);
  if (s.ok()) s = take(arena, places_, limits_.n_place);
  if (s.ok()) s = take(arena, calls_, limits_.n_call);
  if (s.ok()) s = take(arena, reached_, limits_.n_reach);
  if (s.ok()) s = take(arena, set_slots_, slots_for(limits_.n_set));
  if (s.ok()) s = take(arena, call_slots_, slots_for(limits_.n_call));
  if (s.ok()) s = take(arena, reach_slots_, slots_for(limits_.n_reach));
  if (s.ok()) s = take(arena, moved_, max_u32(limits_.n_set, limits_.n_call));
  return s;
}

// ---- from one set to the next -------------------------------------------------------------------

u32 GrammarMatcher::start() {
  begin_reach();
  if (!reach(grammar_.root(), 0)) return kFull;
  return finish_reach();
}

u32 GrammarMatcher::work_out(u32 set, u8 byte) {
  begin_reach();
  work_ += sets_[set].n_place;
  for (u32 i = 0; i < sets_[set].n_place; ++i) {
    const Place place = places_[sets_[set].first_place + i];
    const GrammarOp& op = grammar_.ops()[place.at];
    const bool takes = op.kind == Kind::kRange ? byte >= op.low && byte <= op.high
                                               : grammar_.set(op.operand).has(byte);
    if (takes && !reach(place.at + 1, place.stack)) return kFull;
  }
  const u32 next = finish_reach();
  if (next != kFull) next_[usize{set} * 256 + byte] = static_cast<u16>(next);
  return next;
}

void GrammarMatcher::begin_reach() {
  // Entries leave the table one by one: most walks reach a handful of places.
  for (const Place& place : reached_.first(n_reached_)) {
    u32 slot = mix(place.at, place.stack) & static_cast<u32>(reach_slots_.size() - 1);
    for (; reach_slots_[slot] != 0; slot = (slot + 1) & static_cast<u32>(reach_slots_.size() - 1))
      reach_slots_[slot] = 0;
  }
  n_reached_ = 0;
}

// False: no room.
bool GrammarMatcher::reach(u32 at, u32 stack) {
  const u32 mask = static_cast<u32>(reach_slots_.size() - 1);
  u32 slot = mix(at, stack) & mask;
  for (; reach_slots_[slot] != 0; slot = (slot + 1) & mask) {
    const Place& known = reached_[reach_slots_[slot] - 1];
    if (known.at == at && known.stack == stack) return true;
  }
  if (n_reached_ == reached_.size()) return false;
  reached_[n_reached_++] = {at, stack};
  reach_slots_[slot] = n_reached_;
  return true;
}

// A call at the very end of a rule leaves nothing to come back to: lists that are written as
// recursion take no stack.
bool GrammarMatcher::reach_call(u32 back, u32 entry, u32 stack) {
  const Span<const GrammarOp> ops = grammar_.ops();
  while (ops[back].kind == Kind::kJump)
    back = static_cast<u32>(static_cast<i32>(back) + ops[back].operand);
  if (ops[back].kind == Kind::kReturn) return reach(entry, stack);
  const u32 number = call_number({back, stack});
  return number != kFull && reach(entry, number);
}

// Goes on from the places reached until each takes a byte, and appends those to places_.
bool GrammarMatcher::follow(u32& n_place, bool& can_end) {
  const Span<const GrammarOp> ops = grammar_.ops();
  for (u32 i = 0; i < n_reached_; ++i) {
    const auto [at, stack] = reached_[i];
    const GrammarOp& op = ops[at];
    const u32 target = static_cast<u32>(static_cast<i32>(at) + op.operand);
    bool has_room = true;
    switch (op.kind) {
      case Kind::kRange:
      case Kind::kSet:
        has_room = n_place_ + n_place < places_.size();
        if (has_room) places_[n_place_ + n_place++] = {at, stack};
        break;
      case Kind::kSplit: has_room = reach(at + 1, stack) && reach(target, stack); break;
      case Kind::kJump: has_room = reach(target, stack); break;
      case Kind::kCall: has_room = reach_call(at + 1, grammar_.rule(op.operand), stack); break;
      case Kind::kInline: has_room = reach_call(at + 1, target, stack); break;
      case Kind::kReturn:
        if (stack == 0) {
          can_end = true;
        } else {
          has_room = reach(calls_[stack].back, calls_[stack].stack);
        }
        break;
    }
    if (!has_room) return false;
  }
  return true;
}

u32 GrammarMatcher::finish_reach() {
  u32 n_place = 0;
  bool can_end = false;
  const bool has_room = follow(n_place, can_end);
  work_ += n_reached_;
  return has_room ? intern_set(n_place, can_end) : kFull;
}

// ---- numbers ------------------------------------------------------------------------------------

u32 GrammarMatcher::hash_of(const Set& set) const {
  u32 hash = set.can_end ? 1 : 0;
  for (const Place& place : places_.slice(set.first_place, set.n_place))
    hash = mix(hash ^ place.at, place.stack);
  return hash;
}

// The number of the set that has the `n_place` places behind all others.
u32 GrammarMatcher::intern_set(u32 n_place, bool can_end) {
  const Set set = {n_place_, n_place, can_end};
  const u32 mask = static_cast<u32>(set_slots_.size() - 1);
  u32 slot = hash_of(set) & mask;
  if (n_place == 0 && !can_end) return kDead;
  for (; set_slots_[slot] != 0; slot = (slot + 1) & mask) {
    const Set& known = sets_[set_slots_[slot]];
    if (known.n_place == n_place && known.can_end == can_end &&
        __builtin_memcmp(places_.data() + known.first_place, places_.data() + n_place_,
                         n_place * sizeof(Place)) == 0)
      return set_slots_[slot];
  }
  if (n_set_ == sets_.size()) return kFull;
  sets_[n_set_] = set;
  n_place_ += n_place;
  set_slots_[slot] = n_set_;
  __builtin_memset(next_.data() + usize{n_set_} * 256, 0xFF, 256 * sizeof(u16));
  return n_set_++;
}

u32 GrammarMatcher::call_number(Call call) {
  const u32 mask = static_cast<u32>(call_slots_.size() - 1);
  u32 slot = mix(call.back, call.stack) & mask;
  for (; call_slots_[slot] != 0; slot = (slot + 1) & mask) {
    const Call& known = calls_[call_slots_[slot]];
    if (known.back == call.back && known.stack == call.stack) return call_slots_[slot];
  }
  if (n_call_ == calls_.size()) return kFull;
  calls_[n_call_] = call;
  call_slots_[slot] = n_call_;
  return n_call_++;
}

void GrammarMatcher::index_set(u32 number) {
  const u32 mask = static_cast<u32>(set_slots_.size() - 1);
  u32 slot = hash_of(sets_[number]) & mask;
  while (set_slots_[slot] != 0) slot = (slot + 1) & mask;
  set_slots_[slot] = number;
}

void GrammarMatcher::index_call(u32 number) {
  const u32 mask = static_cast<u32>(call_slots_.size() - 1);
  u32 slot = mix(calls_[number].back, calls_[number].stack) & mask;
  while (call_slots_[slot] != 0) slot = (slot + 1) & mask;
  call_slots_[slot] = number;
}

// ---- forgetting ---------------------------------------------------------------------------------

// Keeps the calls that a place needs, in their order: what is below a call moves before it.
void GrammarMatcher::keep_calls() {
  for (u32& mark : moved_) mark = 0;
  for (const Place& place : places_.first(n_place_)) {
    for (u32 call = place.stack; call != 0 && moved_[call] == 0; call = calls_[call].stack)
      moved_[call] = 1;
  }
  u32 n = 1;
  for (u32& slot : call_slots_) slot = 0;
  for (u32 i = 1; i < n_call_; ++i) {
    if (moved_[i] == 0) continue;
    calls_[n] = {calls_[i].back, calls_[i].stack == 0 ? 0 : moved_[calls_[i].stack]};
    moved_[i] = n;
    index_call(n++);
  }
  n_call_ = n;
  for (Place& place : places_.first(n_place_)) {
    if (place.stack != 0) place.stack = moved_[place.stack];
  }
}

bool GrammarMatcher::collect(Span<u32> roots) {
  begin_reach();
  work_ += moved_.size();
  for (u32& mark : moved_) mark = 0;
  for (const u32 root : roots) moved_[root] = 1;
  u32 n_set = 1;  // kDead stays
  u32 n_place = 0;
  sets_[kDead] = {0, 0, false};
  for (u32 i = 1; i < n_set_; ++i) {
    if (moved_[i] == 0) continue;
    const Set set = sets_[i];
    __builtin_memmove(places_.data() + n_place, places_.data() + set.first_place,
                      set.n_place * sizeof(Place));
    sets_[n_set] = {n_place, set.n_place, set.can_end};
    n_place += set.n_place;
    moved_[i] = n_set++;
  }
  moved_[kDead] = kDead;
  for (u32& root : roots) root = moved_[root];
  n_set_ = n_set;
  n_place_ = n_place;
  keep_calls();
  for (u32& slot : set_slots_) slot = 0;
  for (u32 i = 1; i < n_set_; ++i) index_set(i);
  for (u32 i = 0; i < 256; ++i) next_[i] = kDead;
  __builtin_memset(next_.data() + 256, 0xFF, usize{n_set_ - 1} * 256 * sizeof(u16));
  return n_set_ <= sets_.size() / 2 && n_place_ <= places_.size() / 2 &&
         n_call_ <= calls_.size() / 2;
}

}  // namespace lbm
