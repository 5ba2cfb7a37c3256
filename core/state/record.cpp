// See record.h.
#include "core/state/record.h"

#include "core/base/arith.h"
#include "core/base/byte_reader.h"

namespace lbm {
namespace {

constexpr u8 kMagic[8] = {'L', 'B', 'M', 'R', 'E', 'C', '1', 0};
constexpr usize kSizeAt = 16;
constexpr usize kDigestAt = 32;
constexpr usize kChunk = 8 * kKiB;  // of reading, on the stack

void put_u64(u8* out, u64 value) {
  for (u32 i = 0; i < 8; ++i) out[i] = static_cast<u8>(value >> (8 * i));
}

// a follows b (record.h).
bool is_newer(u64 a, u64 b) {
  const u64 ahead = a - b;
  return ahead != 0 && ahead < u64{1} << 63;
}

u64 generation_after(u64 generation) { return generation + 1 == 0 ? 1 : generation + 1; }

}  // namespace

bool is_record_name(Str name) {
  if (name.empty() || name.size() > SlotFiles::kMaxName) return false;
  for (const char c : name) {
    const bool fits = (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
    if (!fits) return false;
  }
  return true;
}

// A device that fails on one slot must not cost the other, so its errors are not passed on: such a
// slot has something that is not valid.
Record::Slot Record::read_slot(u32 slot, Header& header) const {
  u8 bytes[kHeaderBytes];
  if (!files_->read(name_, slot, 0, bytes).ok()) return Slot::kDirty;
  bool blank = true;
  for (const u8 byte : bytes) blank = blank && byte == 0;
  if (blank) return Slot::kBlank;
  if (__builtin_memcmp(bytes, kMagic, sizeof(kMagic)) != 0) return Slot::kDirty;
  ByteReader reader(bytes);
  reader.skip(sizeof(kMagic));
  header.generation = reader.read_u64();
  header.size = reader.read_u64();
  __builtin_memcpy(header.digest.bytes, bytes + kDigestAt, sizeof(header.digest.bytes));
  if (header.generation == 0 || header.size > capacity_) return Slot::kDirty;
  Sha256 hash(blocks_);
  u8 chunk[kChunk];
  for (u64 done = 0; done < header.size;) {
    const Span<u8> piece(chunk, static_cast<usize>(min_u64(kChunk, header.size - done)));
    if (!files_->read(name_, slot, kHeaderBytes + done, piece).ok()) return Slot::kDirty;
    hash.update(piece);
    done += piece.size();
  }
  hash.update(name_.bytes());
  hash.update({bytes, kDigestAt});
  return hash.finish() == header.digest ? Slot::kValid : Slot::kDirty;
}

Status Record::open() {
  newest_ = kNone;
  n_dirty_ = 0;
  generation_ = size_ = 0;
  const Result<u64> bytes = files_->slot_bytes(name_);
  if (!bytes.ok()) return bytes.error();
  if (bytes.value() < kHeaderBytes)
    return fail(ErrorCode::kLimit, "the file of a record is too small")
        .about(name_)
        .with(bytes.value(), kHeaderBytes);
  capacity_ = bytes.value() - kHeaderBytes;
  for (u32 slot = 0; slot < SlotFiles::kSlots; ++slot) {
    Header header;
    const Slot found = read_slot(slot, header);
    if (found == Slot::kDirty) ++n_dirty_;
    if (found != Slot::kValid) continue;
    if (newest_ != kNone && !is_newer(header.generation, generation_)) continue;
    newest_ = slot;
    generation_ = header.generation;
    size_ = header.size;
  }
  return {};
}

Status Record::read(u64 offset, Span<u8> out) const {
  if (!present()) return fail(ErrorCode::kMissing, "there is nothing in it").about(name_);
  if (offset > size_ || out.size() > size_ - offset) {
    return fail(ErrorCode::kTruncated, "read beyond the end of a record")
        .about(name_)
        .with(out.size(), size_)
        .at(offset);
  }
  return files_->read(name_, newest_, kHeaderBytes + offset, out);
}

Result<Span<u8>> Record::read_all(Span<u8> out) const {
  if (size_ > out.size())
    return fail(ErrorCode::kLimit, "the record is too long").about(name_).with(size_, out.size());
  const Span<u8> bytes = out.first(static_cast<usize>(size_));
  const Status read_it = read(0, bytes);
  if (!read_it.ok()) return read_it.error();
  return bytes;
}

// Writes the header of a payload of `size` bytes that was hashed into `payload`.
void Record::seal(Sha256& payload, u64 size, u8* header) const {
  __builtin_memset(header, 0, kHeaderBytes);
  __builtin_memcpy(header, kMagic, sizeof(kMagic));
  put_u64(header + sizeof(kMagic), generation_after(generation_));
  put_u64(header + kSizeAt, size);
  payload.update(name_.bytes());
  payload.update({header, kDigestAt});
  const Sha256Digest digest = payload.finish();
  __builtin_memcpy(header + kDigestAt, digest.bytes, sizeof(digest.bytes));
}

// The slot has to hold this header, with the payload that it promises; then it is the newest.
Status Record::check_written(const u8* header) {
  const u32 slot = target();
  Header found;
  if (read_slot(slot, found) != Slot::kValid ||
      __builtin_memcmp(found.digest.bytes, header + kDigestAt, sizeof(found.digest.bytes)) != 0) {
    return fail(ErrorCode::kBadHash, "the device gives back something else than was written")
        .about(name_)
        .with(slot);
  }
  newest_ = slot;
  generation_ = found.generation;
  size_ = found.size;
  return {};
}

Status Record::write(Span<u8> bytes, usize size) {
  if (size > capacity_)
    return fail(ErrorCode::kLimit, "too long for its record").about(name_).with(size, capacity_);
  Sha256 hash(blocks_);
  hash.update(bytes.slice(kHeaderBytes, size));
  seal(hash, size, bytes.data());
  const Status written = files_->write(name_, target(), 0, bytes.first(kHeaderBytes + size));
  if (!written.ok()) return written;
  return check_written(bytes.data());
}

void Record::begin() {
  n_appended_ = 0;
  appended_ = Sha256(blocks_);
}

Status Record::append(Span<const u8> bytes) {
  if (bytes.size() > capacity_ - n_appended_) {
    return fail(ErrorCode::kLimit, "too long for its record")
        .about(name_)
        .with(n_appended_ + bytes.size(), capacity_);
  }
  const Status written = files_->write(name_, target(), kHeaderBytes + n_appended_, bytes);
  if (!written.ok()) return written;
  appended_.update(bytes);
  n_appended_ += bytes.size();
  return {};
}

// The header comes last: until it is there, the slot is not valid.
Status Record::commit() {
  u8 header[kHeaderBytes];
  seal(appended_, n_appended_, header);
  const Status written = files_->write(name_, target(), 0, header);
  if (!written.ok()) return written;
  return check_written(header);
}

}  // namespace lbm
