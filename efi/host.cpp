// The parts of the host, put together (host.h).
#include "efi/host.h"

#include "core/base/fmt.h"
#include "core/chat/printable.h"
#include "efi/debug_devices.h"
#include "efi/firmware.h"
#include "efi/panic.h"
#include "kernels/select.h"

#ifndef LBM_VERSION
#define LBM_VERSION "development build"
#endif

namespace lbm::efi {

Str UefiHost::version() { return LBM_VERSION; }

void UefiHost::start(const CpuState& state) {
  cpu_state_ = state;
  console_.start();
  set_panic_console(&console_);
  clock_.calibrate();
  features_ = detect_cpu_features();
  volume_.start(&clock_);
  const auto tell = [](void* console, Str line) {
    // Names from a disk are in it.
    write_printable(*static_cast<Console*>(console), line);
    static_cast<Console*>(console)->write("\n");
  };
  volume_.set_notice({tell, static_cast<Console*>(&console_)});
  start_screen();
  const EFI_LOADED_IMAGE* image = protocol<EFI_LOADED_IMAGE>(image_handle(), kLoadedImageGuid);
  const EFI_HANDLE boot_volume = image != nullptr ? image->DeviceHandle : nullptr;
  has_state_partition_ = state_partition_.start(boot_volume);
  if (has_state_partition_) {
    state_folder_.start(state_partition_.handle(), "the partition LBMSTATE");
  } else {
    state_folder_.start(boot_volume, "the volume that this program started from");
  }
  measured_boot_.start();
  read_config();
  read_harness();
}

void UefiHost::stop() {
  workers_.stop(pages_, clock_);
  config_ = {};
  config_file_.release();
  set_panic_console(nullptr);
  console_.stop();
}

// What the screen takes from the volumes, and gives to them.
void UefiHost::start_screen() {
  const auto export_to = [](void* host, Str name, Span<const u8> bytes) {
    return static_cast<UefiHost*>(host)->export_file(name, bytes);
  };
  console_.set_export({export_to, this});
  console_.set_time_of_day({[](void* host) { return static_cast<UefiHost*>(host)->now(); }, this});
  const Status font = console_.load_font(volume_);
  if (font.ok()) return;
  TextBuffer<256> line;
  char reason[160];
  line.print("[font] {}; it is left out\n", format_error(font.error(), reason));
  console_.write(line.text());
}

// Beside the program first; then in the root of the other volumes, for whom the partition of the
// program is hidden (Windows does that). The first one that is there counts.
void UefiHost::read_config() {
  if (try_config("repl.cfg") || try_config("EFI/lbm/repl.cfg")) return;
  for (u32 volume = 1; volume < volume_.n_volume(); ++volume) {
    TextBuffer<24> place;
    if (try_config(place.print("{}:repl.cfg", volume).text())) return;
  }
}

// False: there is none. One that can not be read is worth a line.
bool UefiHost::try_config(Str place) {
  const Status read = config_file_.read(volume_, place, TextFile::Expect::kAnyBytes);
  if (read.ok()) {
    config_name_.clear();
    config_ = {config_name_.append(place).text(), config_file_.text(), config_file_.bytes()};
    return true;
  }
  // Of other volumes, which may be of any kind, only one that is read counts.
  if (read.error().code == ErrorCode::kNotFound || place.contains(":")) return false;
  TextBuffer<256> line;
  char reason[160];
  line.print("[cfg] {}; default settings are used\n", format_error(read.error(), reason));
  console_.write(line.text());
  return true;
}

// Under QEMU a harness may type for the user, and set what repl.cfg would (scripts/qemu.py).
void UefiHost::read_harness() {
  const usize n = read_fw_cfg("opt/lbm/cmd", script_text_);
  if (n > 0) script_ = {"opt/lbm/cmd", Str(script_text_, n)};

  Str rest(override_text_, read_fw_cfg("opt/lbm/set", override_text_));
  while (!rest.empty() && n_override_ < kMaxOverrides) {
    const usize end = rest.find("\n");
    const Str line = end == Str::kNone ? rest : rest.first(end);
    rest = end == Str::kNone ? Str() : rest.from(end + 1);
    const usize equals = line.find("=");
    if (equals != Str::kNone)
      overrides_[n_override_++] = {line.first(equals), line.from(equals + 1)};
  }
}

// The battery clock says what its owner set; whether that is local time is for the owner to know.
Str UefiHost::now() {
  EFI_TIME time;
  if (failed(runtime_services().GetTime(&time, nullptr))) return {};
  const bool sane = time.Year >= 1998 && time.Year <= 9999 && time.Month >= 1 && time.Month <= 12 &&
                    time.Day >= 1 && time.Day <= 31 && time.Hour < 24 && time.Minute < 60 &&
                    time.Second < 60;
  if (!sane) return {};
  u32 n = 0;
  const auto put = [&](u32 value, u32 n_digit, char separator) {
    for (u32 i = 0; i < n_digit; ++i, value /= 10) {
      now_text_[n + n_digit - 1 - i] = static_cast<char>('0' + value % 10);
    }
    n += n_digit;
    if (separator != 0) now_text_[n++] = separator;
  };
  put(time.Year, 4, '-');
  put(time.Month, 2, '-');
  put(time.Day, 2, 'T');
  put(time.Hour, 2, ':');
  put(time.Minute, 2, ':');
  put(time.Second, 2, 0);
  return {now_text_, n};
}

SlotFiles* UefiHost::state() {
  if (has_state_partition_) return &state_partition_;
  return &state_folder_;
}

void UefiHost::measure(Str what, const Sha256Digest& digest) {
  measured_boot_.measure(what, digest);
  const Str notice = measured_boot_.take_notice();
  if (notice.empty()) return;
  TextBuffer<160> line;
  line.print("[tpm] {}\n", notice);
  console_.write(line.text());
}

void UefiHost::idle() { boot_services().Stall(1'000); }

Workers& UefiHost::workers(u32 n_thread) {
  workers_.start(n_thread, cpu_state_, pages_, clock_);
  if (!workers_.notice().empty()) {
    TextBuffer<160> line;
    line.print("[cores] {}\n", workers_.notice());
    console_.write(line.text());
  }
  return workers_;
}

Result<const KernelTable*> UefiHost::kernels(Str isa) {
  if (isa == "auto") {
    const auto now_us = [](void* clock) { return static_cast<TscClock*>(clock)->now_us(); };
    compose_fastest(features_, {now_us, &clock_}, kernels_);
    return &kernels_;
  }
  char name[32] = {};
  if (isa.size() >= sizeof(name))
    return fail(ErrorCode::kNotFound, "no kernels of this name").about(isa);
  __builtin_memcpy(name, isa.data(), isa.size());
  if (!compose_named(features_, name, kernels_))
    return fail(ErrorCode::kUnsupported, "not among the kernels this processor can run").about(isa);
  return &kernels_;
}

}  // namespace lbm::efi
