// Reading a firmware file (file_source.h).
#include "efi/file_source.h"

#include "efi/cpu_state.h"

namespace lbm::efi {
namespace {

constexpr u64 kUnknownPosition = ~u64{0};
constexpr UINTN kRetryPauseUs = 10'000;

}  // namespace

void FileSource::attach(EFI_FILE_HANDLE file, u64 size, Str name, FileOpener& opener) {
  file_ = file;
  opener_ = &opener;
  size_ = size;
  position_ = kUnknownPosition;
  chunk_ = kFirstChunk;
  ceiling_ = kLargestChunk;
  n_failure_ = 0;
  name_ = name;
}

void FileSource::detach() {
  if (file_ != nullptr) (void)file_->Close(file_);
  file_ = nullptr;
  opener_ = nullptr;
}

Result<ByteSource*> FileSource::open_beside(Str neighbour) {
  if (!attached()) return fail(ErrorCode::kIo, "the file is not open").about(name());
  return opener_->open_neighbour(*this, neighbour);
}

bool FileSource::recover(bool was_slow) {
  if (chunk_ > kSmallestChunk) {
    ceiling_ = chunk_ / 2;
    chunk_ = was_slow ? kSmallestChunk : ceiling_;
  } else if (was_slow || ++n_failure_ > kMaxFailures) {
    return false;
  } else {
    boot_services().Stall(kRetryPauseUs);
  }
  if (file_ != nullptr) (void)file_->Close(file_);
  file_ = opener_->open_again(*this);
  position_ = kUnknownPosition;
  return true;
}

bool FileSource::read_once(u64 at, Span<u8> out, usize& got) {
  if (file_ == nullptr) return false;
  if (position_ != at && failed(file_->SetPosition(file_, at))) return false;
  UINTN n = out.size() < chunk_ ? out.size() : chunk_;
  const UINTN n_wanted = n;
  const EFI_STATUS status = file_->Read(file_, &n, out.data());
  restore_float_state();
  if (failed(status) || n > n_wanted) return false;
  position_ = at + n;
  got = n;
  if (n == chunk_ && chunk_ < ceiling_) chunk_ *= 2;
  return true;
}

Status FileSource::read(u64 offset, Span<u8> out) {
  if (!attached()) return fail(ErrorCode::kIo, "the file is not open").about(name());
  if (offset > size_ || out.size() > size_ - offset) {
    return fail(ErrorCode::kTruncated, "read beyond the end of the file")
        .about(name())
        .with(out.size(), size_)
        .at(offset);
  }
  n_failure_ = 0;
  usize done = 0;
  while (done < out.size()) {
    const u64 at = offset + done;
    usize got = 0;
    const u64 start_us = opener_->now_us();
    if (!read_once(at, out.from(done), got)) {
      if (recover(opener_->now_us() - start_us >= kSlowUs)) continue;
      return fail(ErrorCode::kIo, "the device does not read").about(name()).at(at);
    }
    if (got == 0)
      return fail(ErrorCode::kTruncated, "the file ends before its size")
          .about(name())
          .with(at, size_)
          .at(at);
    done += got;
    n_failure_ = 0;
  }
  return {};
}

}  // namespace lbm::efi
