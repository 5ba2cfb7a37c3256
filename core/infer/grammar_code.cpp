#include "core/infer/grammar_code.h"

#include "core/base/arith.h"
#include "core/base/utf8.h"

namespace lbm {
namespace {

using Kind = GrammarOp::Kind;

constexpr u32 kLastOfLength[] = {0x7F, 0x7FF, 0xFFFF, 0x10FFFF};

// One way to spell some characters: a range of each byte.
struct ByteRanges {
  u8 low[4];
  u8 high[4];
  u32 n_byte;
};

// Calls take(ByteRanges) for the spellings of low..high, in order; no surrogate is among them.
// A range that is spelled by ranges of bytes has equal leading bytes, then a range, then 80..BF
// alone: what is not so is cut where a byte runs over.
template <class Take>
void for_each_spelling(u32 low, u32 high, const Take& take) {
  while (low <= high) {
    u32 end = high;
    u32 n_byte = 1;
    while (low > kLastOfLength[n_byte - 1]) ++n_byte;
    end = min_u32(end, kLastOfLength[n_byte - 1]);
    for (u32 i = n_byte - 1; i >= 1; --i) {
      const u32 below = (u32{1} << (6 * i)) - 1;  // bits of the last i bytes
      if ((low & ~below) == (end & ~below)) continue;
      if ((low & below) != 0) {
        end = low | below;
      } else if ((end & below) != below) {
        end = (end & ~below) - 1;
      }
    }
    char first[4];
    char last[4];
    encode_utf8(low, first);
    encode_utf8(end, last);
    ByteRanges spelling = {{}, {}, n_byte};
    for (u32 i = 0; i < n_byte; ++i) {
      spelling.low[i] = static_cast<u8>(first[i]);
      spelling.high[i] = static_cast<u8>(last[i]);
    }
    take(spelling);
    low = end + 1;
  }
}

}  // namespace

void GrammarCode::append(const GrammarOp& op) {
  if (n_op_ == ops_.size()) {
    is_full_ = true;
    return;
  }
  ops_[n_op_++] = op;
}

void GrammarCode::append_target(Kind kind, u32 target) {
  append({kind, 0, 0, static_cast<i32>(target) - static_cast<i32>(n_op_)});
}

void GrammarCode::insert_target(u32 at, Kind kind, u32 target) {
  append({});
  if (is_full_) return;
  __builtin_memmove(ops_.data() + at + 1, ops_.data() + at, (n_op_ - 1 - at) * sizeof(GrammarOp));
  ops_[at] = {kind, 0, 0, 0};
  set_target(at, target);
}

void GrammarCode::append_character(u32 codepoint) {
  char bytes[4];
  const u32 n = encode_utf8(codepoint, bytes);
  for (u32 i = 0; i < n; ++i) {
    const u8 byte = static_cast<u8>(bytes[i]);
    append({Kind::kRange, byte, byte, 0});
  }
}

void GrammarCode::append_ascii(Span<const CodepointRange> ranges) {
  if (ranges.size() == 1) {
    append({Kind::kRange, static_cast<u8>(ranges[0].low),
            static_cast<u8>(min_u32(ranges[0].high, 127)), 0});
    return;
  }
  AsciiSet set;
  for (const CodepointRange& range : ranges) {
    for (u32 c = range.low; c <= min_u32(range.high, 127); ++c) set.add(static_cast<u8>(c));
  }
  u32 number = 0;
  while (number < n_set_ && !(sets_[number] == set)) ++number;
  if (number == sets_.size()) {
    is_full_ = true;
    return;
  }
  if (number == n_set_) sets_[n_set_++] = set;
  append({Kind::kSet, 0, 0, static_cast<i32>(number)});
}

void GrammarCode::append_class(Span<const CodepointRange> ranges) {
  usize n_ascii = 0;
  while (n_ascii < ranges.size() && ranges[n_ascii].low < 128) ++n_ascii;
  GrammarAlternatives alternatives(*this);
  bool is_first = true;
  if (n_ascii != 0) {
    is_first = false;
    append_ascii(ranges.first(n_ascii));
  }
  for (const CodepointRange& range : ranges) {
    if (range.high < 128) continue;
    for_each_spelling(max_u32(range.low, 128), range.high, [&](const ByteRanges& spelling) {
      if (!is_first) alternatives.next();
      is_first = false;
      for (u32 i = 0; i < spelling.n_byte; ++i)
        append({Kind::kRange, spelling.low[i], spelling.high[i], 0});
    });
  }
  alternatives.end();
}

void GrammarAlternatives::next() {
  const i32 jump = static_cast<i32>(code_.size());
  code_.append({Kind::kJump, 0, 0, last_jump_});
  code_.insert_target(start_, Kind::kSplit, code_.size() + 1);
  last_jump_ = jump + 1;  // it was moved by the split
  start_ = code_.size();
}

void GrammarAlternatives::end() {
  while (last_jump_ >= 0 && !code_.is_full()) {
    const u32 jump = static_cast<u32>(last_jump_);
    last_jump_ = code_.op(jump).operand;
    code_.set_target(jump, code_.size());
  }
}

void GrammarCode::repeat(u32 start, u32 low, u32 high) {
  if (is_full_ || (low == 1 && high == 1)) return;
  if (high == 0) return drop_from(start);
  if (high == kNoEnd && low <= 1) {
    const u32 end = n_op_;
    if (low == 1) {  // again: x; split again
      append_target(Kind::kSplit, start);
      return;
    }
    insert_target(start, Kind::kSplit, end + 2);  // loop: split out; x; jump loop
    append_target(Kind::kJump, start);
    return;
  }
  if (low == 0 && high == 1) return insert_target(start, Kind::kSplit, n_op_ + 1);
  // One operation is copied; more of them become code that is called.
  GrammarOp unit = n_op_ == start ? GrammarOp{Kind::kJump, 0, 0, 1} : ops_[start];
  const bool is_single = n_op_ <= start + 1 && unit.kind != Kind::kInline;
  if (is_single) {
    drop_from(start);
  } else {
    insert_target(start, Kind::kJump, n_op_ + 2);
    append({Kind::kReturn, 0, 0, 0});
  }
  const auto append_unit = [&] {
    if (is_single) return append(unit);
    append_target(Kind::kInline, start + 1);
  };
  for (u32 i = 0; i < low && !is_full_; ++i) append_unit();
  if (high == kNoEnd) return append_target(Kind::kSplit, n_op_ - 1);
  const u32 end = n_op_ + 2 * (high - low);  // may be past all limits: then nothing is kept
  while (n_op_ < end && !is_full_) {
    append_target(Kind::kSplit, end);
    append_unit();
  }
}

// ---- left recursion -----------------------------------------------------------------------------

namespace {

// Walks what is reached without a byte, procedure by procedure (a rule, or what is repeated). A
// procedure that is reached while it is walked calls itself at its beginning. What comes after a
// call is reached where the called one may be empty, which is known when its walk is over.
class LeftWalk {
 public:
  LeftWalk(Span<const GrammarOp> ops, Span<const u32> entries) : ops_(ops), entries_(entries) {}

  [[nodiscard]] Status take_memory(Arena& scratch) {
    // An operation waits twice at most: once for each way to it that was open when it was reached
    // first, and once for the procedure that it calls.
    Result<Span<u32>> waiting = scratch.take<u32>(2 * u64{ops_.size()} + 2, "grammar check");
    if (!waiting.ok()) return waiting.error();
    Result<Span<Frame>> frames = scratch.take<Frame>(u64{ops_.size()} + 1, "grammar check");
    if (!frames.ok()) return frames.error();
    Result<Span<u8>> marks = scratch.take<u8>(u64{ops_.size()} + 1, "grammar check");
    if (!marks.ok()) return marks.error();
    waiting_ = waiting.value();
    frames_ = frames.value();
    marks_ = marks.value();
    return {};
  }

  // The entry of a procedure that calls itself at its beginning, below `entry`; kNoRule: none.
  [[nodiscard]] u32 walk(u32 entry) {
    if ((marks_[entry] & kDone) != 0) return kNoRule;
    open(entry);
    while (n_frame_ != 0) {
      const Frame& frame = frames_[n_frame_ - 1];
      if (n_waiting_ == frame.first_waiting) {
        marks_[frame.entry] = static_cast<u8>((marks_[frame.entry] & ~kOpen) | kDone);
        --n_frame_;
        continue;
      }
      const u32 at = waiting_[--n_waiting_];
      const GrammarOp& op = ops_[at];
      switch (op.kind) {
        case Kind::kRange:
        case Kind::kSet: break;
        case Kind::kSplit: reach(at + 1); [[fallthrough]];
        case Kind::kJump: reach(target(at)); break;
        case Kind::kReturn: marks_[frame.entry] |= kEmpty; break;
        case Kind::kCall:
        case Kind::kInline: {
          const u32 callee =
              op.kind == Kind::kCall ? entries_[static_cast<usize>(op.operand)] : target(at);
          if ((marks_[callee] & kOpen) != 0) return callee;
          if ((marks_[callee] & kDone) != 0) {
            if ((marks_[callee] & kEmpty) != 0) reach(at + 1);
          } else {
            waiting_[n_waiting_++] = at;
            open(callee);
          }
          break;
        }
      }
    }
    return kNoRule;
  }

 private:
  struct Frame {
    u32 entry;
    u32 first_waiting;
  };
  static constexpr u8 kOpen = 1;
  static constexpr u8 kDone = 2;
  static constexpr u8 kEmpty = 4;    // may be left without a byte
  static constexpr u8 kReached = 8;  // of any operation

  [[nodiscard]] u32 target(u32 at) const {
    return static_cast<u32>(static_cast<i32>(at) + ops_[at].operand);
  }
  void reach(u32 at) {
    if ((marks_[at] & kReached) != 0) return;
    marks_[at] |= kReached;
    waiting_[n_waiting_++] = at;
  }
  void open(u32 entry) {
    marks_[entry] |= kOpen;
    frames_[n_frame_++] = {entry, n_waiting_};
    reach(entry);
  }

  Span<const GrammarOp> ops_;
  Span<const u32> entries_;
  Span<u32> waiting_;
  Span<Frame> frames_;
  Span<u8> marks_;
  u32 n_waiting_ = 0;
  u32 n_frame_ = 0;
};

}  // namespace

Result<u32> find_left_recursion(Span<const GrammarOp> ops, Span<const u32> entries,
                                Arena& scratch) {
  const Arena::Mark mark = scratch.mark();
  LeftWalk walk(ops, entries);
  u32 found = kNoRule;
  const Status status = walk.take_memory(scratch);
  for (u32 i = 0; status.ok() && found == kNoRule && i < entries.size(); ++i) {
    const u32 callee = walk.walk(entries[i]);
    if (callee == kNoRule) continue;
    // The rule whose code has the callee: the last one that begins before it.
    found = i;
    for (u32 k = 0; k < entries.size(); ++k) {
      if (entries[k] <= callee && (entries[found] > callee || entries[k] > entries[found]))
        found = k;
    }
  }
  scratch.rewind(mark);
  if (!status.ok()) return status.error();
  return found;
}

}  // namespace lbm
