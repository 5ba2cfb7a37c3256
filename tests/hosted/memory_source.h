// A ByteSource over bytes in memory, and whole files as bytes.
#pragma once

#include <cstring>
#include <fstream>
#include <string>
#include <vector>

#include "core/platform.h"

namespace lbm::test {

// A ByteSource that views bytes of somebody else.
class ViewSource final : public ByteSource {
 public:
  explicit ViewSource(Span<const u8> bytes) : bytes_(bytes) {}
  [[nodiscard]] u64 size() const override { return bytes_.size(); }
  [[nodiscard]] Status read(u64 offset, Span<u8> out) override {
    if (offset > bytes_.size() || out.size() > bytes_.size() - offset) {
      return fail(ErrorCode::kTruncated, "the source ends early").at(bytes_.size());
    }
    std::memcpy(out.data(), bytes_.data() + offset, out.size());
    return {};
  }

 private:
  Span<const u8> bytes_;
};

// One that owns them.
class MemorySource final : public ByteSource {
 public:
  explicit MemorySource(std::vector<u8> bytes)
      : bytes_(std::move(bytes)), view_({bytes_.data(), bytes_.size()}) {}
  MemorySource(const MemorySource&) = delete;
  MemorySource& operator=(const MemorySource&) = delete;
  [[nodiscard]] u64 size() const override { return view_.size(); }
  [[nodiscard]] Status read(u64 offset, Span<u8> out) override { return view_.read(offset, out); }

 private:
  std::vector<u8> bytes_;
  ViewSource view_;
};

inline std::vector<u8> read_bytes(const std::string& path) {
  std::ifstream in(path, std::ios::binary | std::ios::ate);
  std::vector<u8> bytes(in ? static_cast<usize>(in.tellg()) : 0);
  in.seekg(0);
  in.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  return bytes;
}

inline std::vector<f32> read_floats(const std::string& path) {
  const std::vector<u8> bytes = read_bytes(path);
  std::vector<f32> out(bytes.size() / sizeof(f32));
  std::memcpy(out.data(), bytes.data(), out.size() * sizeof(f32));
  return out;
}

}  // namespace lbm::test
