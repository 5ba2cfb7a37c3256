#include "core/base/arena.h"

namespace lbm {

bool Arena::add_range(Span<u8> range) {
  if (n_range_ == kMaxRanges || range.empty()) return false;
  ranges_[n_range_++] = {range.data(), range.size(), 0};
  return true;
}

Result<Span<u8>> Arena::take_raw(u64 bytes, const char* what, usize alignment) {
  LBM_CHECK(!sealed_);
  for (u32 i = 0; i < n_range_; ++i) {
    Range& range = ranges_[i];
    const usize base = reinterpret_cast<usize>(range.base);
    const usize start = static_cast<usize>(align_up(base + range.used, alignment)) - base;
    if (start > range.size || bytes > range.size - start) continue;
    range.used = start + static_cast<usize>(bytes);
    return Span<u8>(range.base + start, static_cast<usize>(bytes));
  }
  return fail(ErrorCode::kOutOfMemory, "not enough memory, bytes needed")
      .about(what)
      .with(bytes, largest_free());
}

Result<Span<u8>> Arena::take_bytes(u64 bytes, const char* what, usize alignment) {
  Result<Span<u8>> raw = take_raw(bytes, what, alignment);
  if (raw.ok()) __builtin_memset(raw.value().data(), 0, raw.value().size());
  return raw;
}

Result<Str> Arena::take_text(Str text, const char* what) {
  Result<Span<u8>> raw = take_raw(text.size(), what, 1);
  if (!raw.ok()) return raw.error();
  __builtin_memcpy(raw.value().data(), text.data(), text.size());
  return Str(Span<const u8>(raw.value()));
}

Result<Span<u8>> Arena::grow(Span<u8> last, u64 new_bytes, const char* what) {
  LBM_CHECK(!sealed_);
  for (u32 i = 0; i < n_range_; ++i) {
    Range& range = ranges_[i];
    if (last.data() < range.base || last.data() > range.base + range.size) continue;
    if (last.data() + last.size() != range.base + range.used) continue;
    const usize start = static_cast<usize>(last.data() - range.base);
    if (new_bytes > range.size - start) {
      return fail(ErrorCode::kOutOfMemory, "not enough memory, bytes needed")
          .about(what)
          .with(new_bytes, range.size - start);
    }
    range.used = start + static_cast<usize>(new_bytes);
    return Span<u8>(last.data(), static_cast<usize>(new_bytes));
  }
  panic("grow() of an allocation that is not the newest", __FILE__, __LINE__);
}

Arena::Mark Arena::mark() const {
  Mark mark = {};
  for (u32 i = 0; i < n_range_; ++i) mark.used[i] = ranges_[i].used;
  return mark;
}

void Arena::rewind(const Mark& mark) {
  for (u32 i = 0; i < n_range_; ++i) ranges_[i].used = mark.used[i];
}

void Arena::reset() {
  for (u32 i = 0; i < n_range_; ++i) ranges_[i].used = 0;
}

u64 Arena::bytes_used() const {
  u64 sum = 0;
  for (u32 i = 0; i < n_range_; ++i) sum += ranges_[i].used;
  return sum;
}

u64 Arena::bytes_capacity() const {
  u64 sum = 0;
  for (u32 i = 0; i < n_range_; ++i) sum += ranges_[i].size;
  return sum;
}

u64 Arena::largest_free() const {
  u64 best = 0;
  for (u32 i = 0; i < n_range_; ++i) {
    const usize base = reinterpret_cast<usize>(ranges_[i].base);
    const u64 start = align_up(base + ranges_[i].used, kDefaultAlignment) - base;
    if (start < ranges_[i].size) best = max_u64(best, ranges_[i].size - start);
  }
  return best;
}

}  // namespace lbm
