// The kinds of inputs that the mutator knows: GGUF by its grammar, text by its brackets, and every
// other container by what numbers in it look like.
#include <algorithm>
#include <cstring>

#include "tests/fuzz/mutator.h"

namespace lbm::fuzz {
namespace {

constexpr usize kMaxFields = 4096;

u64 number_at(const std::vector<u8>& bytes, usize offset, u32 n_byte) {
  u64 value = 0;
  for (u32 i = 0; i < n_byte; ++i) value |= u64{bytes[offset + i]} << (8 * i);
  return value;
}

// ---- GGUF

class GgufWalk {
 public:
  GgufWalk(const std::vector<u8>& bytes, usize start) : bytes_(bytes), position_(start) {}

  Structure run() {
    const usize start = position_;
    number(4);  // magic
    number(4);
    const u64 n_tensor = number(8);
    const u64 n_meta = number(8);
    const Field tensor_count = {start + 8, 8};
    const Field meta_count = {start + 16, 8};
    for (u64 i = 0; i < n_meta && good_; ++i) {
      record(meta_count, [&] {
        skip(number(8));
        value(number(4));
      });
    }
    for (u64 i = 0; i < n_tensor && good_; ++i) {
      record(tensor_count, [&] {
        skip(number(8));
        const u64 n_dim = number(4);
        for (u64 d = 0; d < std::min<u64>(n_dim, 8); ++d) number(8);
        number(4);
        number(8);
      });
    }
    return found_;
  }

 private:
  template <class Body>
  void record(const Field& counter, const Body& body) {
    const usize begin = position_;
    body();
    if (good_) found_.records.push_back({begin, position_, counter});
  }
  u64 number(u32 n_byte) {
    if (n_byte > bytes_.size() - position_) good_ = false;
    if (!good_) return 0;
    if (found_.fields.size() < kMaxFields) found_.fields.push_back({position_, n_byte});
    const u64 value = number_at(bytes_, position_, n_byte);
    position_ += n_byte;
    return value;
  }
  void skip(u64 n) {
    if (n > bytes_.size() - position_) good_ = false;
    if (good_) position_ += static_cast<usize>(n);
  }
  void value(u64 type) {
    constexpr u32 kBytes[] = {1, 1, 2, 2, 4, 4, 4, 1, 8, 0, 8, 8, 8};
    if (type == 9) {
      const u64 element = number(4);
      const u64 count = number(8);
      if (element >= 13 || element == 9) return;
      for (u64 i = 0; i < count && good_; ++i) {
        const bool shown = i < 4 || i + 4 >= count;
        if (element == 8) {
          const u64 n = shown ? number(8) : peek_and_skip();
          skip(n);
        } else if (shown) {
          number(kBytes[element]);
        } else {
          skip(kBytes[element]);
        }
      }
    } else if (type < 13) {
      const u64 n = number(kBytes[type]);
      if (type == 8) skip(n);
    }
  }
  u64 peek_and_skip() {
    if (bytes_.size() - position_ < 8) good_ = false;
    if (!good_) return 0;
    const u64 value = number_at(bytes_, position_, 8);
    position_ += 8;
    return value;
  }

  const std::vector<u8>& bytes_;
  usize position_;
  bool good_ = true;
  Structure found_;
};

// ---- text with brackets: JSON, templates, settings

bool is_text(const std::vector<u8>& bytes) {
  const usize n = std::min<usize>(bytes.size(), 256);
  usize n_odd = 0;
  for (usize i = 0; i < n; ++i) n_odd += bytes[i] < 0x20 && bytes[i] != '\n' && bytes[i] != '\t';
  return n_odd * 16 < n;
}

Structure find_in_text(const std::vector<u8>& bytes, usize begin) {
  Structure found;
  std::vector<usize> open;
  usize line = begin;
  usize quote = 0;  // where a text began, plus 1
  for (usize i = begin; i < bytes.size() && found.records.size() < kMaxFields; ++i) {
    const u8 c = bytes[i];
    if (c == '"' && (i == begin || bytes[i - 1] != '\\')) {
      if (quote != 0) found.records.push_back({quote - 1, i + 1, {0, 0}});
      quote = quote != 0 ? 0 : i + 1;
    }
    if (c == '{' || c == '[' || c == '(') open.push_back(i);
    if ((c == '}' || c == ']' || c == ')') && !open.empty()) {
      found.records.push_back({open.back(), i + 1, {0, 0}});
      open.pop_back();
    }
    if (c == '\n' || c == ',') {
      found.records.push_back({line, i + 1, {0, 0}});
      line = i + 1;
    }
  }
  return found;
}

// ---- any other container: aligned numbers that could be counts, lengths or offsets

Structure find_small_numbers(const std::vector<u8>& bytes) {
  Structure found;
  const usize n_scan = std::min<usize>(bytes.size(), 4096);
  for (usize at = 0; at + 4 <= n_scan; at += 4) {
    const u64 value = number_at(bytes, at, 4);
    const bool wide = at % 8 == 0 && at + 8 <= n_scan && number_at(bytes, at, 8) == value;
    if (value <= 2 * bytes.size() || value >= 0xFFFF0000u) found.fields.push_back({at, 4});
    if (wide && value <= 2 * bytes.size()) found.fields.push_back({at, 8});
  }
  // Tables of our formats have entries of 16 to 64 bytes.
  for (const usize size : {usize{16}, usize{24}, usize{32}, usize{48}, usize{64}}) {
    for (usize at = 0; at + size <= n_scan; at += size) {
      found.records.push_back({at, at + size, {0, 0}});
    }
  }
  return found;
}

}  // namespace

Structure find_structure(const std::vector<u8>& bytes) {
  // As it is, or behind the u32 that says how long the first of two files is.
  for (const usize start : {usize{0}, usize{4}}) {
    if (bytes.size() >= start + 24 && std::memcmp(bytes.data() + start, "GGUF", 4) == 0)
      return GgufWalk(bytes, start).run();
  }
  // safetensors: a length, and JSON behind it.
  if (bytes.size() > 8 && bytes[8] == '{') {
    Structure found = find_in_text(bytes, 8);
    found.fields.push_back({0, 8});
    return found;
  }
  return is_text(bytes) ? find_in_text(bytes, 0) : find_small_numbers(bytes);
}

}  // namespace lbm::fuzz
