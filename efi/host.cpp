// The parts of the host, put together (host.h).
#include "efi/host.h"

#include "core/base/fmt.h"
#include "efi/debug_devices.h"
#include "efi/panic.h"
#include "kernels/select.h"

#ifndef LBM_VERSION
#define LBM_VERSION "development build"
#endif

namespace lbm::efi {

Str UefiHost::version() { return LBM_VERSION; }

void UefiHost::start() {
  console_.start();
  set_panic_console(&console_);
  clock_.calibrate();
  features_ = detect_cpu_features();
  volume_.start();
  read_config();
  read_script();
}

// A config that is there but can not be read is worth a line; none at all is normal.
void UefiHost::read_config() {
  static constexpr const char* kPlaces[] = {"repl.cfg", "EFI/lbm/repl.cfg"};
  for (const char* place : kPlaces) {
    const Result<Str> text = volume_.read_small_file(place, config_text_);
    if (text.ok()) {
      config_ = {place, text.value()};
      return;
    }
    if (text.error().code == ErrorCode::kNotFound) continue;
    TextBuffer<256> line;
    char reason[160];
    line.print("[cfg] {}; default settings are used\n", format_error(text.error(), reason));
    console_.write(line.text());
    return;
  }
}

// Under QEMU a harness may type for the user (scripts/qemu.py). It separates lines as it likes.
void UefiHost::read_script() {
  const usize n = read_fw_cfg("opt/lbm/cmd", script_text_);
  if (n > 0) script_ = {"opt/lbm/cmd", Str(script_text_, n)};
}

Result<const KernelTable*> UefiHost::kernels(Str isa) {
  if (isa == "auto") {
    const auto now_us = [](void* clock) { return static_cast<TscClock*>(clock)->now_us(); };
    return &fastest_kernel_table(features_, now_us, &clock_);
  }
  char name[32] = {};
  if (isa.size() >= sizeof(name)) return fail(ErrorCode::kNotFound, "no kernels of this name").about(isa);
  __builtin_memcpy(name, isa.data(), isa.size());
  const KernelTable* table = find_kernel_table(features_, name);
  if (table == nullptr) return fail(ErrorCode::kUnsupported, "not among the kernels this processor can run").about(isa);
  return table;
}

}  // namespace lbm::efi
