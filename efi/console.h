// The console of the bare machine: screens, keyboards, serial ports and the debug log, all live at
// once.
//
// Firmware usually offers one console that is everything at the same time: its ConSplitter copies
// ConOut to the screen and, as a PC-ANSI terminal that knows no UTF-8, to the serial port. So where
// a serial port is part of the console, the text goes to the screens among its members as UTF-16,
// and to the port itself as the UTF-8 it is. Where the members can not be told apart, ConOut gets
// everything, which is what every other program does. Serial ports that the firmware leaves alone
// are driven by us.
#pragma once

#include "core/platform.h"
#include "efi/clock.h"
#include "efi/escape_filter.h"
#include "efi/keys.h"
#include "efi/screen.h"
#include "efi/serial_port.h"

namespace lbm::efi {

class FirmwareConsole final : public Console {
 public:
  static constexpr u32 kMaxSerialPorts = 4;

  explicit FirmwareConsole(TscClock& clock) : clock_(clock) {}

  // Finds the devices. Until then nothing is shown.
  void start();
  // Gives the timer of wait_key() back; nothing else needs it.
  void stop();

  void write(Str utf8) override;
  [[nodiscard]] KeyEvent poll_key() override;
  [[nodiscard]] KeyEvent wait_key() override;
  [[nodiscard]] u32 n_column() const override { return screen_.n_column(); }
  [[nodiscard]] bool take_interrupt() override;

  [[nodiscard]] u32 n_serial_port() const { return n_port_; }

 private:
  bool find_mirrored_ports();
  void find_free_ports();
  void read_devices();
  void write_log(Str utf8);

  TscClock& clock_;
  Screen screen_;
  SerialPort ports_[kMaxSerialPorts];
  u32 n_port_ = 0;
  KeyDecoder keys_;
  EscapeFilter log_filter_;
  u64 next_poll_us_ = 0;
  EFI_EVENT tick_ = nullptr;
};

}  // namespace lbm::efi
