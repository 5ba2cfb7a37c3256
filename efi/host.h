// Everything the core asks of the world, answered by the firmware: the one object of the UEFI application.
#pragma once

#include "core/chat/repl.h"
#include "efi/clock.h"
#include "efi/console.h"
#include "efi/files.h"
#include "efi/memory.h"
#include "kernels/cpu_features.h"

namespace lbm::efi {

class UefiHost final : public ReplHost {
 public:
  UefiHost() : console_(clock_) {}
  UefiHost(const UefiHost&) = delete;
  UefiHost& operator=(const UefiHost&) = delete;

  // Console first, so that everything that follows can be seen to fail. Needs the CPU state of enable_simd().
  void start();

  [[nodiscard]] Console& console() override { return console_; }
  [[nodiscard]] Clock& clock() override { return clock_; }
  [[nodiscard]] Pages& pages() override { return pages_; }
  [[nodiscard]] Volume& volume() override { return volume_; }
  // One core, for now: the others need MP services and stacks of their own (docs/uefi.md).
  [[nodiscard]] Workers& workers(u32) override { return workers_; }
  [[nodiscard]] Result<const KernelTable*> kernels(Str isa) override;
  [[nodiscard]] NamedText config() override { return config_; }
  [[nodiscard]] NamedText script() override { return script_; }
  [[nodiscard]] Str version() override;
  [[nodiscard]] Str host_name() override { return "uefi"; }
  [[nodiscard]] Str model_places() override { return "the root and models/ of every FAT volume"; }

 private:
  static constexpr usize kMaxConfigBytes = 64 * kKiB;
  static constexpr usize kMaxScriptBytes = 64 * kKiB;

  void read_config();
  void read_script();

  TscClock clock_;
  FirmwareConsole console_;
  FirmwarePages pages_;
  FirmwareVolume volume_;
  SingleWorker workers_;
  CpuFeatures features_;
  NamedText config_;
  NamedText script_;
  char config_text_[kMaxConfigBytes];
  char script_text_[kMaxScriptBytes];
};

}  // namespace lbm::efi
