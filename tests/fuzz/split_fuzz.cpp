// libFuzzer on GGUF files in two parts: u32 size of the first, the first, the second. The first
// is opened, or the second where the size of the input is odd.
#include "tests/fuzz/read_model.h"
#include "tests/hosted/memory_source.h"

namespace {

using namespace lbm;

class Part final : public ByteSource {
 public:
  Part(Str name, Span<const u8> bytes) : name_(name), view_(bytes) {}
  void set_other(Part& other) { other_ = &other; }
  [[nodiscard]] u64 size() const override { return view_.size(); }
  [[nodiscard]] Status read(u64 offset, Span<u8> out) override { return view_.read(offset, out); }
  [[nodiscard]] Str name() const override { return name_; }
  [[nodiscard]] Result<ByteSource*> open_beside(Str neighbour) override {
    if (neighbour == other_->name_) return static_cast<ByteSource*>(other_);
    return fail(ErrorCode::kNotFound, "no such file beside it").about(neighbour);
  }

 private:
  Str name_;
  test::ViewSource view_;
  Part* other_ = nullptr;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const lbm::u8* data, lbm::usize size) {
  if (size < 4 || size > fuzz::kMaxInput) return 0;
  u32 n_first = 0;
  for (u32 i = 0; i < 4; ++i) n_first |= u32{data[i]} << (8 * i);
  const Span<const u8> rest(data + 4, size - 4);
  const usize n = n_first < rest.size() ? n_first : rest.size();
  Part first("m-00001-of-00002.gguf", rest.first(n));
  Part second("m-00002-of-00002.gguf", rest.from(n));
  first.set_other(second);
  second.set_other(first);
  fuzz::try_model(size % 2 == 0 ? first : second, size);
  return 0;
}
