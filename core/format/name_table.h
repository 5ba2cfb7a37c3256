// NameTable: finds the entries of a file's metadata by name, and proves that no name stands twice.
//
// A file may claim 65,536 keys and choose them. So the table takes 12 bytes an entry (an entry of a
// file has at least 14), is sorted in place by a heapsort without recursion, and orders by hash
// first and by the bytes of the name where hashes are equal: an attacker who makes every hash
// collide still gets O(n log n) comparisons, never O(n^2).
#pragma once

#include "core/base/arena.h"
#include "core/base/result.h"
#include "core/base/span.h"

namespace lbm {

class NameTable {
 public:
  NameTable() = default;

  // Room for `n` names from `arena`.
  [[nodiscard]] static Result<NameTable> create(Arena& arena, u32 n, const char* what);

  // Filling: set() for each index in file order, then set_end(), then sort().
  // `position` is where the entry starts in the metadata: a u64 length, then the name.
  void set(u32 index, u32 position, Str name);
  // The position after the last entry.
  void set_end(u32 position) { positions_[n_] = position; }
  // Sorts the names of `metadata`, which must outlive the table.
  // Errors: kDuplicate  names the key and the place of its second appearance.
  [[nodiscard]] Status sort(Span<const u8> metadata);

  [[nodiscard]] u32 size() const { return n_; }
  // Where entry `index` starts; size() gives the end of the last.
  [[nodiscard]] u32 position(u32 index) const { return positions_[index]; }
  [[nodiscard]] Str name(u32 index) const;
  // False when there is no such name.
  [[nodiscard]] bool find(Str name, u32& index) const;

 private:
  struct Entry {
    u32 hash;
    u32 index;  // in file order
  };
  [[nodiscard]] bool less(const Entry& a, const Entry& b) const;
  void sift_down(u32 root, u32 n);

  Span<const u8> metadata_;
  Span<u32> positions_;  // [n + 1], in file order
  Span<Entry> sorted_;   // [n], by (hash, name)
  u32 n_ = 0;
};

}  // namespace lbm
