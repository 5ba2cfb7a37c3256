// The console of the bare machine: displays, keyboards, serial ports and the debug log, all live at
// once.
//
// Firmware usually offers one console that is everything at the same time: its ConSplitter copies
// ConOut to the screen and, as a PC-ANSI terminal that knows no UTF-8, to the serial port. So where
// a serial port is part of the console, the text goes to the port itself as the UTF-8 it is, and to
// the screens apart from it. Where the members can not be told apart, ConOut gets everything, which
// is what every other program does. Serial ports that the firmware leaves alone are driven by us.
//
// The screen is the cell screen on the pixels of the display (graphic_screen.h), or, where there is
// no display and where the user wants it so, the firmware's text console (screen.h).
#pragma once

#include "core/platform.h"
#include "core/screen/escape_parser.h"
#include "core/screen/options.h"
#include "efi/clock.h"
#include "efi/files.h"
#include "efi/graphic_screen.h"
#include "efi/keyboard.h"
#include "efi/keys.h"
#include "efi/screen.h"
#include "efi/serial_port.h"

namespace lbm::efi {

// The time of day as ConsoleStatus::clock has it.
struct TimeOfDay {
  Str (*now)(void* host) = nullptr;
  void* host = nullptr;
};

class FirmwareConsole final : public Console {
 public:
  static constexpr u32 kMaxSerialPorts = 4;

  explicit FirmwareConsole(TscClock& clock) : clock_(clock), graphic_(clock) {}

  // Finds the devices. Until then nothing is shown.
  void start();
  // How the screen is to be; may be called again. Where it can not be so, it stays readable.
  void configure(const ScreenOptions& options);
  // A further font, as fonts/unifont.lbmfont of the first volume that has one. That there is none
  // is no error. Errors: those of Font::open(), of the file, kOutOfMemory.
  [[nodiscard]] Status load_font(FirmwareVolume& volume);
  // Where F10 puts its pictures.
  void set_export(const FileExport& file_export) { graphic_.set_export(file_export); }
  // What the clock of the status bar shows while the user is waited for.
  void set_time_of_day(const TimeOfDay& time_of_day) { time_of_day_ = time_of_day; }
  // Gives the display back to the firmware, and the timer of wait_key().
  void stop();

  void write(Str utf8) override;
  void show_status(const ConsoleStatus& status) override;
  [[nodiscard]] KeyEvent poll_key() override;
  [[nodiscard]] KeyEvent wait_key() override;
  [[nodiscard]] u32 n_column() const override;
  [[nodiscard]] u32 n_row() const override;
  [[nodiscard]] bool take_interrupt() override;

  [[nodiscard]] u32 n_serial_port() const { return n_port_; }
  // True while the cell screen is shown.
  [[nodiscard]] bool is_graphic() const { return graphic_.active(); }

 private:
  bool find_mirrored_ports();
  void find_free_ports();
  void choose_screen();
  [[nodiscard]] Status add_font(ByteSource& file);
  void read_devices();
  [[nodiscard]] KeyEvent next_key();
  void write_log(Str utf8);
  void tick_clock();

  TscClock& clock_;
  Screen screen_;
  GraphicScreen graphic_;
  ScreenOptions options_;
  // A serial port is somewhere in ConOut: writing there is the only way to reach it.
  bool is_mixed_ = false;
  SerialPort ports_[kMaxSerialPorts];
  u32 n_port_ = 0;
  Keyboard keyboard_;
  KeyDecoder keys_;
  EscapeParser log_parser_;
  u64 next_poll_us_ = 0;
  EFI_EVENT tick_ = nullptr;
  TimeOfDay time_of_day_;
  u64 next_clock_us_ = 0;
};

}  // namespace lbm::efi
