// A source in memory that breaks: reads beyond a byte, or of one part, fail.
#pragma once

#include "tests/hosted/memory_source.h"

namespace lbm::test {

class FailingSource final : public ByteSource {
 public:
  // Whatever touches the bytes from `begin` to `end` fails.
  FailingSource(std::vector<u8> bytes, u64 begin, u64 end = ~u64{0})
      : inner_(std::move(bytes)), begin_(begin), end_(end) {}

  [[nodiscard]] u64 size() const override { return inner_.size(); }
  [[nodiscard]] Status read(u64 offset, Span<u8> out) override {
    if (offset + out.size() > begin_ && offset < end_)
      return fail(ErrorCode::kIo, "the stick was pulled out").at(offset);
    return inner_.read(offset, out);
  }

 private:
  MemorySource inner_;
  u64 begin_;
  u64 end_;
};

}  // namespace lbm::test
