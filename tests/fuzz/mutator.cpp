// The custom mutator of every fuzzer (libFuzzer's LLVMFuzzerCustomMutator and CrossOver).
//
// A flipped byte in a file of 100 KB hardly ever hits a length. This one knows where they are: it
// puts numbers there that parsers get wrong, doubles, drops, moves and splices whole records and
// keeps the counts of them right, so that what is behind is reached too. One time in three it
// leaves the input to libFuzzer's own mutations. What the input means: structure.cpp.
#include "tests/fuzz/mutator.h"

#include <algorithm>
#include <cstring>

#include "core/base/pcg32.h"

extern "C" size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t max_size);

namespace lbm::fuzz {
namespace {

u64 read_field(const std::vector<u8>& bytes, const Field& field) {
  u64 value = 0;
  for (u32 i = 0; i < field.n_byte; ++i) value |= u64{bytes[field.offset + i]} << (8 * i);
  return value;
}

void write_field(std::vector<u8>& bytes, const Field& field, u64 value) {
  if (field.offset + field.n_byte > bytes.size()) return;
  for (u32 i = 0; i < field.n_byte; ++i)
    bytes[field.offset + i] = static_cast<u8>(value >> (8 * i));
}

class Mutation {
 public:
  Mutation(std::vector<u8>& bytes, u32 seed)
      : bytes_(bytes), random_(seed, 7), structure_(find_structure(bytes)) {}

  void run() {
    const u32 n = 1 + below(3);
    for (u32 i = 0; i < n; ++i) {
      const bool has_records = !structure_.records.empty();
      const bool has_fields = !structure_.fields.empty();
      if (has_records && (!has_fields || below(3) == 0)) {
        change_record();
        structure_ = find_structure(bytes_);
      } else if (has_fields) {
        change_field(structure_.fields[below(structure_.fields.size())]);
      }
    }
  }

  // A record of `other`, put where one of ours begins, or in its place.
  void splice(const std::vector<u8>& other) {
    const Structure theirs = find_structure(other);
    if (theirs.records.empty() || structure_.records.empty()) return;
    const Record& from = theirs.records[below(theirs.records.size())];
    const Record at = structure_.records[below(structure_.records.size())];
    const std::vector<u8> record(other.begin() + static_cast<std::ptrdiff_t>(from.begin),
                                 other.begin() + static_cast<std::ptrdiff_t>(from.end));
    below(2) == 0 ? insert(at, record) : replace(at, record);
  }

 private:
  u32 below(usize n) { return random_.next() % static_cast<u32>(n); }

  void change_field(const Field& field) {
    const u64 old = read_field(bytes_, field);
    const u64 size = bytes_.size();
    const u64 rest = size - field.offset;
    const u64 values[] = {0,
                          1,
                          old + 1,
                          old - 1,
                          old * 2,
                          old / 2,
                          ~old,
                          size,
                          size + 1,
                          rest,
                          rest - 1,
                          rest + 1,
                          ~u64{0},
                          ~u64{0} - 7,
                          u64{1} << 31,
                          u64{1} << 32,
                          (u64{1} << 32) - 1,
                          u64{1} << 40,
                          u64{1} << 63,
                          u64{random_.next()},
                          u64{random_.next()} & 0xFF,
                          read_field(bytes_, structure_.fields[below(structure_.fields.size())])};
    write_field(bytes_, field, values[below(sizeof(values) / sizeof(values[0]))]);
  }

  void change_record() {
    const Record record = structure_.records[below(structure_.records.size())];
    const auto begin = bytes_.begin() + static_cast<std::ptrdiff_t>(record.begin);
    const auto end = bytes_.begin() + static_cast<std::ptrdiff_t>(record.end);
    const Record other = structure_.records[below(structure_.records.size())];
    switch (below(4)) {
      case 0: insert(record, std::vector<u8>(begin, end)); break;
      case 1:
        bytes_.erase(begin, end);
        count(record.counter, ~u64{0});
        break;
      case 2: replace(other, std::vector<u8>(begin, end)); break;
      default: {
        const bool apart = record.end <= other.begin;
        if (apart) std::rotate(begin, end, bytes_.begin() + static_cast<std::ptrdiff_t>(other.end));
      }
    }
  }

  void insert(const Record& at, const std::vector<u8>& record) {
    bytes_.insert(bytes_.begin() + static_cast<std::ptrdiff_t>(at.begin), record.begin(),
                  record.end());
    // Now and then without the count, which is a mistake of its own.
    if (below(8) != 0) count(at.counter, 1);
  }
  void replace(const Record& at, const std::vector<u8>& record) {
    bytes_.erase(bytes_.begin() + static_cast<std::ptrdiff_t>(at.begin),
                 bytes_.begin() + static_cast<std::ptrdiff_t>(at.end));
    bytes_.insert(bytes_.begin() + static_cast<std::ptrdiff_t>(at.begin), record.begin(),
                  record.end());
  }
  void count(const Field& counter, u64 more) {
    if (counter.n_byte != 0) write_field(bytes_, counter, read_field(bytes_, counter) + more);
  }

  std::vector<u8>& bytes_;
  Pcg32 random_;
  Structure structure_;
};

// Back into libFuzzer's buffer; what does not fit is cut.
size_t put_back(const std::vector<u8>& bytes, uint8_t* data, size_t max_size) {
  const size_t n = std::min(bytes.size(), max_size);
  if (n != 0) std::memcpy(data, bytes.data(), n);
  return n;
}

}  // namespace
}  // namespace lbm::fuzz

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size,
                                          unsigned seed) {
  if (seed % 3 == 0) return LLVMFuzzerMutate(data, size, max_size);
  std::vector<lbm::u8> bytes(data, data + size);
  lbm::fuzz::Mutation(bytes, seed).run();
  const bool changed = bytes.size() != size || !std::equal(bytes.begin(), bytes.end(), data);
  // An input without structure has nothing to hold on to.
  return changed ? lbm::fuzz::put_back(bytes, data, max_size)
                 : LLVMFuzzerMutate(data, size, max_size);
}

extern "C" size_t LLVMFuzzerCustomCrossOver(const uint8_t* data1, size_t size1,
                                            const uint8_t* data2, size_t size2, uint8_t* out,
                                            size_t max_out_size, unsigned seed) {
  std::vector<lbm::u8> bytes(data1, data1 + size1);
  lbm::fuzz::Mutation(bytes, seed).splice({data2, data2 + size2});
  return lbm::fuzz::put_back(bytes, out, max_out_size);
}
