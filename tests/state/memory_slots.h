// SlotFiles in an array, with the faults of a medium: writes that are cut off, that fail, that are
// kept as something else; slots that do not read; a disk that is taken out.
#pragma once

#include "core/base/move.h"
#include "core/platform.h"

namespace lbm::test {

class MemorySlots final : public SlotFiles {
 public:
  static constexpr u32 kMaxRecords = 40;

  // `memory` holds all slots.
  explicit MemorySlots(Span<u8> memory) : memory_(memory) {}

  [[nodiscard]] Str why_read_only() const override { return read_only; }
  [[nodiscard]] u32 list(Str prefix, Span<Entry> out) override {
    u32 n = 0;
    for (u32 i = 0; i < n_file_; ++i) {
      if (!files_[i].entry.text().starts_with(prefix)) continue;
      if (n < out.size()) out[n] = files_[i].entry;
      ++n;
    }
    return n;
  }
  [[nodiscard]] Result<u64> slot_bytes(Str name) override {
    if (is_out()) return fail(ErrorCode::kIo, "the disk was taken out").about(name);
    const File* file = find(name);
    if (file == nullptr) return fail(ErrorCode::kNotFound, "no such record").about(name);
    return file->entry.slot_bytes;
  }
  [[nodiscard]] Status read(Str name, u32 slot, u64 offset, Span<u8> out) override {
    const File* file = find(name);
    if (is_out()) return fail(ErrorCode::kIo, "the disk was taken out").about(name);
    if (file == nullptr) return fail(ErrorCode::kNotFound, "no such record").about(name);
    if (offset + out.size() > file->entry.slot_bytes) return fail(ErrorCode::kTruncated, "short");
    if (slot == unreadable_slot)
      return fail(ErrorCode::kIo, "the device does not read").about(name);
    __builtin_memcpy(out.data(), file->slots[slot].data() + offset, out.size());
    return {};
  }
  [[nodiscard]] Status write(Str name, u32 slot, u64 offset, Span<const u8> bytes) override {
    const File* file = find(name);
    if (is_out()) return fail(ErrorCode::kIo, "the disk was taken out").about(name);
    if (file == nullptr) return fail(ErrorCode::kNotFound, "no such record").about(name);
    if (!read_only.empty()) return fail(ErrorCode::kReadOnly, "read only").about(name);
    if (offset + bytes.size() > file->entry.slot_bytes) return fail(ErrorCode::kLimit, "too long");
    ++n_write;
    n_byte_written += bytes.size();
    u8* const at = file->slots[slot].data() + offset;
    if (cut_after == 0) return fail(ErrorCode::kIo, "the device does not write").about(name);
    const usize n = bytes.size() < cut_after ? bytes.size() : cut_after;
    __builtin_memcpy(at, bytes.data(), n);
    if (cut_after != kNever) {
      cut_after -= n;
      if (n < bytes.size()) return fail(ErrorCode::kIo, "the power went away").about(name);
    }
    if (garbles) at[bytes.size() / 2] ^= 1;
    return {};
  }
  [[nodiscard]] Status reserve(Str name, u64 bytes, ProgressObserver* progress = nullptr) override {
    if (!read_only.empty()) return fail(ErrorCode::kReadOnly, "read only").about(name);
    if (progress != nullptr && !progress->on_progress(bytes, kSlots * bytes))
      return fail(ErrorCode::kCancelled, "stopped").about(name);
    if (const File* file = find(name); file != nullptr) {
      if (file->entry.slot_bytes >= bytes) return {};
      return fail(ErrorCode::kLimit, "the record is smaller").about(name);
    }
    const usize size = static_cast<usize>(bytes);
    if (n_file_ == kMaxRecords || kSlots * size > memory_.size() - used_)
      return fail(ErrorCode::kLimit, "no room").about(name);
    File& file = files_[n_file_++];
    __builtin_memcpy(file.entry.name, name.data(), name.size());
    file.entry.name_size = static_cast<u32>(name.size());
    file.entry.slot_bytes = bytes;
    for (Span<u8>& slot : file.slots) {
      slot = memory_.slice(used_, size);
      used_ += size;
      __builtin_memset(slot.data(), 0, size);
    }
    return {};
  }

  // The bytes of a slot, to be damaged.
  [[nodiscard]] Span<u8> slot(Str name, u32 index) { return find(name)->slots[index]; }

  static constexpr usize kNever = ~usize{0};
  Str read_only;
  usize cut_after = kNever;  // bytes that are still written before the power goes away
  bool garbles = false;      // a byte of every write becomes another
  u32 unreadable_slot = ~u32{0};
  u32 out_after = ~u32{0};  // after so many writes the disk is taken out
  u32 n_write = 0;
  u64 n_byte_written = 0;

 private:
  struct File {
    Entry entry;
    Span<u8> slots[kSlots];
  };
  // As on a machine: that the disk is gone is found where it is used.
  [[nodiscard]] bool is_out() {
    if (n_write >= out_after) read_only = "the disk was taken out";
    return n_write >= out_after;
  }
  [[nodiscard]] const File* find(Str name) const {
    for (u32 i = 0; i < n_file_; ++i) {
      if (files_[i].entry.text() == name) return &files_[i];
    }
    return nullptr;
  }

  Span<u8> memory_;
  usize used_ = 0;
  File files_[kMaxRecords];
  u32 n_file_ = 0;
};

// All records at their size would need 24 MiB; tests reserve smaller ones.
inline Span<u8> slot_memory() {
  alignas(64) static u8 memory[2 * kMiB];
  return memory;
}

}  // namespace lbm::test
