#include "core/format/name_table.h"

#include "core/base/byte_reader.h"

namespace lbm {
namespace {

// FNV-1a, 32 bits. It only has to spread honest names; see the header for dishonest ones.
u32 hash_name(Str name) {
  u32 hash = 2166136261u;
  for (const char c : name) hash = (hash ^ static_cast<u8>(c)) * 16777619u;
  return hash;
}

// < 0, 0 or > 0 as a stands before, at or after b in byte order.
int compare_names(Str a, Str b) {
  const usize n = a.size() < b.size() ? a.size() : b.size();
  const int order = __builtin_memcmp(a.data(), b.data(), n);
  if (order != 0 || a.size() == b.size()) return order;
  return a.size() < b.size() ? -1 : 1;
}

}  // namespace

Result<NameTable> NameTable::create(Arena& arena, u32 n, const char* what) {
  NameTable table;
  Result<Span<u32>> positions = arena.take<u32>(u64{n} + 1, what);
  if (!positions.ok()) return positions.error();
  Result<Span<Entry>> sorted = arena.take<Entry>(n, what);
  if (!sorted.ok()) return sorted.error();
  table.positions_ = positions.value();
  table.sorted_ = sorted.value();
  table.n_ = n;
  return table;
}

void NameTable::set(u32 index, u32 position, Str name) {
  positions_[index] = position;
  sorted_[index] = {hash_name(name), index};
}

Str NameTable::name(u32 index) const {
  LBM_CHECK(index < n_);
  ByteReader in(metadata_.from(positions_[index]));
  const u64 n_byte = in.read_u64();
  return in.read_text(n_byte);
}

bool NameTable::less(const Entry& a, const Entry& b) const {
  if (a.hash != b.hash) return a.hash < b.hash;
  return compare_names(name(a.index), name(b.index)) < 0;
}

// Restores the heap below `root` in sorted_[0, n): every parent not less than its children.
void NameTable::sift_down(u32 root, u32 n) {
  const Entry moving = sorted_[root];
  for (u32 child = 2 * root + 1; child < n; child = 2 * root + 1) {
    if (child + 1 < n && less(sorted_[child], sorted_[child + 1])) ++child;
    if (!less(moving, sorted_[child])) break;
    sorted_[root] = sorted_[child];
    root = child;
  }
  sorted_[root] = moving;
}

Status NameTable::sort(Span<const u8> metadata) {
  metadata_ = metadata;
  for (u32 root = n_ / 2; root-- > 0;) sift_down(root, n_);
  for (u32 last = n_; last-- > 1;) {
    lbm::swap(sorted_[0], sorted_[last]);
    sift_down(0, last);
  }
  for (u32 i = 1; i < n_; ++i) {
    const Entry& a = sorted_[i - 1];
    const Entry& b = sorted_[i];
    if (a.hash != b.hash || compare_names(name(a.index), name(b.index)) != 0) continue;
    const u32 second = a.index < b.index ? b.index : a.index;
    return fail(ErrorCode::kDuplicate, "this name was given before")
        .about(name(second))
        .at(positions_[second]);
  }
  return {};
}

bool NameTable::find(Str wanted, u32& index) const {
  const u32 hash = hash_name(wanted);
  u32 low = 0;
  u32 high = n_;
  while (low < high) {
    const u32 middle = low + (high - low) / 2;
    const Entry& entry = sorted_[middle];
    int order = entry.hash < hash ? -1 : 1;
    if (entry.hash == hash) {
      order = compare_names(name(entry.index), wanted);
      if (order == 0) {
        index = entry.index;
        return true;
      }
    }
    if (order < 0) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return false;
}

}  // namespace lbm
