#include "web/memory.h"

#include "core/base/arith.h"

// The end of the module's own data; the linker defines it.
extern "C" lbm::u8 __heap_base;

namespace lbm::web {
namespace {

constexpr u64 kPageBytes = 64 * kKiB;          // of WebAssembly
constexpr u64 kUnit = 4 * kKiB;                // of an allocation
constexpr u64 kMaxBytes = 65535 * kPageBytes;  // one page less than 4 GiB: sizes fit into usize

u64 memory_bytes() { return __builtin_wasm_memory_size(0) * kPageBytes; }

Span<u8> range_at(u64 begin, u64 bytes) {
  return {reinterpret_cast<u8*>(static_cast<usize>(begin)), static_cast<usize>(bytes)};
}

}  // namespace

// Makes the memory end at end_ + bytes or later.
bool LinearMemory::grow(u64 bytes) {
  if (bytes > kMaxBytes || end_ + bytes > kMaxBytes) return false;
  if (end_ + bytes <= memory_bytes()) return true;
  const u64 n_page = (end_ + bytes - memory_bytes() + kPageBytes - 1) / kPageBytes;
  return __builtin_wasm_memory_grow(0, static_cast<usize>(n_page)) != static_cast<usize>(-1);
}

void LinearMemory::remove(u32 index) {
  for (u32 i = index + 1; i < n_hole_; ++i) holes_[i - 1] = holes_[i];
  --n_hole_;
}

Result<Span<u8>> LinearMemory::take(u64 bytes, const char* what) {
  if (end_ == 0) end_ = align_up(reinterpret_cast<usize>(&__heap_base), kUnit);
  if (bytes > kMaxBytes) return fail(ErrorCode::kOutOfMemory, what).with(bytes, bytes_free());
  const u64 n_byte = align_up(max_u64(bytes, 1), kUnit);
  for (u32 i = 0; i < n_hole_; ++i) {
    Hole& hole = holes_[i];
    if (hole.end - hole.begin < n_byte) continue;
    const u64 begin = hole.begin;
    hole.begin += n_byte;
    if (hole.begin == hole.end) remove(i);
    return range_at(begin, n_byte);
  }
  // A hole at the end counts towards what is needed.
  const bool joins = n_hole_ != 0 && holes_[n_hole_ - 1].end == end_;
  const u64 begin = joins ? holes_[n_hole_ - 1].begin : end_;
  if (!grow(n_byte - (end_ - begin)))
    return fail(ErrorCode::kOutOfMemory, what).with(bytes, bytes_free());
  if (joins) --n_hole_;
  end_ = begin + n_byte;
  return range_at(begin, n_byte);
}

void LinearMemory::give_back(Span<u8> range) {
  Hole hole;
  hole.begin = reinterpret_cast<usize>(range.data());
  hole.end = hole.begin + align_up(range.size(), kUnit);
  u32 at = 0;
  while (at < n_hole_ && holes_[at].begin < hole.begin) ++at;
  if (at < n_hole_ && holes_[at].begin == hole.end) {
    hole.end = holes_[at].end;
    remove(at);
  }
  if (at > 0 && holes_[at - 1].end == hole.begin) {
    holes_[at - 1].end = hole.end;
    return;
  }
  LBM_CHECK(n_hole_ < kMaxHoles);
  for (u32 i = n_hole_; i > at; --i) holes_[i] = holes_[i - 1];
  holes_[at] = hole;
  ++n_hole_;
}

u64 LinearMemory::bytes_free() const {
  u64 n = kMaxBytes - end_;
  for (u32 i = 0; i < n_hole_; ++i) n += holes_[i].end - holes_[i].begin;
  return n;
}

u64 LinearMemory::largest_free() const {
  u64 largest = kMaxBytes - end_;
  for (u32 i = 0; i < n_hole_; ++i) largest = max_u64(largest, holes_[i].end - holes_[i].begin);
  return largest;
}

}  // namespace lbm::web
