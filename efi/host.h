// Everything the core asks of the world, answered by the firmware: the one object of the UEFI
// application.
#pragma once

#include "core/chat/repl.h"
#include "core/chat/text_file.h"
#include "efi/clock.h"
#include "efi/console.h"
#include "efi/cpu_state.h"
#include "efi/files.h"
#include "efi/memory.h"
#include "efi/screen_settings.h"
#include "efi/state_folder.h"
#include "efi/state_partition.h"
#include "efi/tpm.h"
#include "efi/workers.h"
#include "kernels/cpu_features.h"

namespace lbm::efi {

class UefiHost final : public ReplHost {
 public:
  UefiHost() : console_(clock_) {}
  UefiHost(const UefiHost&) = delete;
  UefiHost& operator=(const UefiHost&) = delete;

  // Console first, so that everything that follows can be seen to fail. `state` is what
  // enable_simd() left on this core.
  void start(const CpuState& state);
  // Gives back to the firmware what start() took from it, before the program returns.
  void stop();

  [[nodiscard]] Console& console() override { return console_; }
  [[nodiscard]] Clock& clock() override { return clock_; }
  [[nodiscard]] Pages& pages() override { return pages_; }
  [[nodiscard]] Volume& volume() override { return volume_; }
  [[nodiscard]] Workers& workers(u32 n_thread) override;
  [[nodiscard]] Result<const KernelTable*> kernels(Str isa) override;
  [[nodiscard]] NamedText config() override { return config_; }
  [[nodiscard]] Span<const SettingOverride> overrides() override {
    return {overrides_, n_override_};
  }
  void on_settings(const Settings& settings) override {
    console_.configure(screen_options(settings));
    volume_.set_short_names(settings.flag(Setting::kFat83));
  }
  [[nodiscard]] NamedText script() override { return script_; }
  [[nodiscard]] Str version() override;
  [[nodiscard]] Str host_name() override { return "uefi"; }
  [[nodiscard]] Str model_places() override { return "the root and models/ of every FAT volume"; }
  [[nodiscard]] Str now() override;
  [[nodiscard]] SlotFiles* state() override;
  [[nodiscard]] Status make_state() override { return state_folder_.make_folder(); }
  void describe_machine(ConsolePrinter& out) override;  // machine_report.cpp
  [[nodiscard]] Result<Str> export_file(Str name, Span<const u8> bytes) override {
    return state_folder_.export_file(name, bytes);
  }
  [[nodiscard]] bool logs_for_programs() const override { return true; }
  [[nodiscard]] bool measures() const override { return measured_boot_.available(); }
  void measure(Str what, const Sha256Digest& digest) override;
  void idle() override;

 private:
  static constexpr usize kMaxScriptBytes = 64 * kKiB;
  static constexpr usize kMaxOverrideBytes = 4 * kKiB;
  static constexpr u32 kMaxOverrides = 32;

  void start_screen();
  void read_config();
  [[nodiscard]] bool try_config(Str place);
  void read_harness();

  TscClock clock_;
  FirmwareConsole console_;
  FirmwarePages pages_;
  FirmwareVolume volume_;
  StatePartition state_partition_;
  bool has_state_partition_ = false;
  StateFolder state_folder_;
  MeasuredBoot measured_boot_;
  CoreWorkers workers_;
  CpuState cpu_state_;
  CpuFeatures features_;
  KernelTable kernels_ = {};
  TextFile config_file_{pages_};
  TextBuffer<24> config_name_;
  NamedText config_;
  NamedText script_;
  SettingOverride overrides_[kMaxOverrides];
  u32 n_override_ = 0;
  char now_text_[20] = {};
  char script_text_[kMaxScriptBytes];
  char override_text_[kMaxOverrideBytes];
};

}  // namespace lbm::efi
