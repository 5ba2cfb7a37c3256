// Reading a firmware file (file_source.h).
#include "efi/file_source.h"

#include "efi/cpu_state.h"

namespace lbm::efi {
namespace {

constexpr u64 kUnknownPosition = ~u64{0};
constexpr UINTN kRetryPauseUs = 10'000;

}  // namespace

void FileSource::attach(EFI_FILE_HANDLE file, u64 size, Str name) {
  file_ = file;
  size_ = size;
  position_ = kUnknownPosition;
  chunk_ = kFirstChunk;
  ceiling_ = kLargestChunk;
  n_failure_ = 0;
  name_size_ = static_cast<u32>(name.size() < sizeof(name_) ? name.size() : sizeof(name_));
  __builtin_memcpy(name_, name.data(), name_size_);
}

void FileSource::detach() {
  if (file_ != nullptr) (void)file_->Close(file_);
  file_ = nullptr;
}

bool FileSource::shrink() {
  position_ = kUnknownPosition;  // nobody says where a failed read leaves the file pointer
  if (chunk_ > kSmallestChunk) {
    chunk_ /= 2;
    ceiling_ = chunk_;
    return true;
  }
  if (++n_failure_ > kMaxFailures) return false;
  boot_services().Stall(kRetryPauseUs);
  return true;
}

Status FileSource::read(u64 offset, Span<u8> out) {
  if (file_ == nullptr) return fail(ErrorCode::kIo, "the file is not open").about(name());
  if (offset > size_ || out.size() > size_ - offset) {
    return fail(ErrorCode::kTruncated, "read beyond the end of the file").about(name()).with(out.size(), size_).at(offset);
  }
  n_failure_ = 0;
  usize done = 0;
  while (done < out.size()) {
    const u64 at = offset + done;
    if (position_ != at) {
      if (failed(file_->SetPosition(file_, at))) {
        if (shrink()) continue;
        return fail(ErrorCode::kIo, "the device does not seek").about(name()).at(at);
      }
      position_ = at;
    }
    const usize left = out.size() - done;
    const UINTN want = left < chunk_ ? left : chunk_;
    UINTN got = want;
    const EFI_STATUS status = file_->Read(file_, &got, out.data() + done);
    restore_float_state();
    if (failed(status) || got > want) {
      if (shrink()) continue;
      return fail(ErrorCode::kIo, "the device does not read").about(name()).at(at);
    }
    if (got == 0) return fail(ErrorCode::kTruncated, "the file ends before its size").about(name()).with(at, size_).at(at);
    done += got;
    position_ += got;
    n_failure_ = 0;
    if (got == want && want == chunk_ && chunk_ < ceiling_) chunk_ *= 2;
  }
  return {};
}

}  // namespace lbm::efi
