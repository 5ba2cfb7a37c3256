// What the custom mutator of the fuzzers sees in an input: its kind, the numbers in it that steer a
// parser, and the records that can be doubled, dropped and moved.
#pragma once

#include <cstdint>
#include <vector>

#include "core/base/types.h"

namespace lbm::fuzz {

// A number that a parser reads as a count, a length, a type or an offset.
struct Field {
  usize offset;
  u32 n_byte;  // 1, 2, 4 or 8
};

// A piece of the input that is whole in itself: a key with its value, an entry of a table, a JSON
// object. `counter` is the field that counts such pieces, or none (n_byte 0).
struct Record {
  usize begin;
  usize end;
  Field counter;
};

struct Structure {
  std::vector<Field> fields;
  std::vector<Record> records;
};

// Reads as far as the input makes sense, and never fails: mutated inputs are read again.
[[nodiscard]] Structure find_structure(const std::vector<u8>& bytes);

}  // namespace lbm::fuzz
