// Records of `lbm chat` in a folder (SlotFiles, core/platform.h): slot S of NAME is the file
// NAME.S, written with pwrite(2) and fsync(2). The same bytes as on a stick.
//
// One process at a time writes: the folder holds a lock file. Another one reads, and says so.
#pragma once

#include <string>

#include "core/platform.h"

namespace lbm::cli {

class StateFolder final : public SlotFiles {
 public:
  // Makes the folder where its parents up to an existing one can be made; where that fails, or
  // somebody else has it, it is read-only and says why.
  explicit StateFolder(std::string path);
  ~StateFolder();
  StateFolder(const StateFolder&) = delete;
  StateFolder& operator=(const StateFolder&) = delete;

  // $XDG_STATE_HOME/lbm, ~/.local/state/lbm where that is not set; empty where the home folder does
  // not exist.
  [[nodiscard]] static std::string default_path();

  [[nodiscard]] Str why_read_only() const override { return {reason_.data(), reason_.size()}; }
  [[nodiscard]] u32 list(Str prefix, Span<Entry> out) override;
  [[nodiscard]] Result<u64> slot_bytes(Str name) override;
  [[nodiscard]] Status read(Str name, u32 slot, u64 offset, Span<u8> out) override;
  [[nodiscard]] Status write(Str name, u32 slot, u64 offset, Span<const u8> bytes) override;
  [[nodiscard]] Status reserve(Str name, u64 bytes, ProgressObserver* progress) override;

  // ReplHost::export_file(): a file of the folder, replaced as a whole.
  [[nodiscard]] Result<Str> export_file(Str name, Span<const u8> bytes);

 private:
  [[nodiscard]] std::string slot_path(Str name, u32 slot) const;

  std::string path_;
  std::string reason_;
  std::string exported_;
  int lock_ = -1;
};

}  // namespace lbm::cli
