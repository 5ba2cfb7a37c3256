// The console (console.h).
#include "efi/console.h"

#include "efi/cpu_state.h"
#include "efi/debug_devices.h"
#include "efi/firmware.h"

namespace lbm::efi {
namespace {

constexpr u32 kMaxHandles = 32;
constexpr Str kFontFile = "fonts/unifont.lbmfont";
constexpr u64 kMaxFontBytes = 64 * kMiB;
// During long work a key may wait this long. Asking a USB keyboard is not free.
constexpr u64 kInterruptPollUs = 5'000;
// While waiting for a key: how often the ports that only we read are looked at. In units of 100 ns.
constexpr u64 kTick100ns = 10 * 10'000;

// How often the time of day is asked for while waiting: reading the clock chip is not free.
constexpr u64 kClockPeriodUs = 1'000'000;

bool is_console_member(EFI_HANDLE handle) {
  EFI_GUID guid = kConsoleOutDeviceGuid;
  void* ignored = nullptr;
  return !failed(boot_services().HandleProtocol(handle, &guid, &ignored));
}

// The port below a terminal: the part of its device path that has SerialIo.
SERIAL_IO_INTERFACE* port_below(EFI_HANDLE terminal) {
  EFI_DEVICE_PATH* path = protocol<EFI_DEVICE_PATH>(terminal, kDevicePathGuid);
  EFI_GUID guid = kSerialIoGuid;
  EFI_HANDLE handle = nullptr;
  if (path == nullptr || failed(boot_services().LocateDevicePath(&guid, &path, &handle)))
    return nullptr;
  return protocol<SERIAL_IO_INTERFACE>(handle, kSerialIoGuid);
}

}  // namespace

// Screens without the serial terminals. False, with nothing kept, when the console has no serial
// member or they can not be told apart from the rest.
bool FirmwareConsole::find_mirrored_ports() {
  EFI_HANDLE handles[kMaxHandles];
  const u32 n_handle = handles_with(kTextOutputGuid, handles);
  u32 n_screen = 0;
  SIMPLE_TEXT_OUTPUT_INTERFACE* screens[Screen::kMaxOutputs] = {};
  for (u32 i = 0; i < n_handle; ++i) {
    if (!is_console_member(handles[i])) continue;
    if (!is_on_serial_port(handles[i])) {
      if (n_screen < Screen::kMaxOutputs) {
        screens[n_screen++] = protocol<SIMPLE_TEXT_OUTPUT_INTERFACE>(handles[i], kTextOutputGuid);
      }
      continue;
    }
    SERIAL_IO_INTERFACE* port = port_below(handles[i]);
    if (port == nullptr || n_port_ == kMaxSerialPorts) {
      n_port_ = 0;
      is_mixed_ = true;
      return false;
    }
    ports_[n_port_++] = SerialPort(port, /*reads_keys=*/false);
  }
  if (n_port_ == 0) return false;
  for (u32 i = 0; i < n_screen; ++i) screen_.add(screens[i]);
  return true;
}

// Ports on which the firmware runs no terminal.
void FirmwareConsole::find_free_ports() {
  EFI_HANDLE terminals[kMaxHandles];
  const u32 n_terminal = handles_with(kTextOutputGuid, terminals);
  EFI_HANDLE handles[kMaxHandles];
  const u32 n_handle = handles_with(kSerialIoGuid, handles);
  for (u32 i = 0; i < n_handle && n_port_ < kMaxSerialPorts; ++i) {
    SERIAL_IO_INTERFACE* port = protocol<SERIAL_IO_INTERFACE>(handles[i], kSerialIoGuid);
    bool taken = port == nullptr;
    for (u32 k = 0; k < n_terminal && !taken; ++k) {
      taken = is_on_serial_port(terminals[k]) && port_below(terminals[k]) == port;
    }
    for (u32 k = 0; k < n_port_ && !taken; ++k) taken = ports_[k].port() == port;
    if (!taken) ports_[n_port_++] = SerialPort(port, /*reads_keys=*/true);
  }
}

void FirmwareConsole::start() {
  if (!find_mirrored_ports()) screen_.add(system_table().ConOut);
  find_free_ports();
  choose_screen();
  EFI_EVENT tick = nullptr;
  if (!failed(boot_services().CreateEvent(EVT_TIMER, TPL_CALLBACK, nullptr, nullptr, &tick)) &&
      !failed(boot_services().SetTimer(tick, TimerPeriodic, kTick100ns))) {
    tick_ = tick;
  }
}

void FirmwareConsole::choose_screen() {
  const bool wants_pixels = options_.mode == ScreenMode::kAuto || options_.mode == ScreenMode::kGop;
  if (!wants_pixels || is_mixed_ || !graphic_.start(options_)) {
    if (graphic_.active()) screen_.clear();
    graphic_.stop();
  }
  screen_.show_cursor(!graphic_.active() && options_.mode != ScreenMode::kSerial);
  restore_float_state();
}

void FirmwareConsole::configure(const ScreenOptions& options) {
  if (options == options_) return;
  options_ = options;
  keyboard_.set_keymap(options.keymap);
  choose_screen();
}

Status FirmwareConsole::load_font(FirmwareVolume& volume) {
  for (u32 i = 0; i < volume.n_volume(); ++i) {
    const Result<ByteSource*> file = volume.open(i, kFontFile);
    if (!file.ok() && file.error().code == ErrorCode::kNotFound) continue;
    if (!file.ok()) return file.error();
    const Status status = add_font(*file.value());
    volume.close(file.value());
    restore_float_state();
    if (status.ok()) return status;
    Error error = status.error();
    return error.about(kFontFile);
  }
  return {};
}

Status FirmwareConsole::add_font(ByteSource& file) {
  const u64 n_byte = file.size();
  if (n_byte > kMaxFontBytes)
    return fail(ErrorCode::kLimit, "bytes of a font").with(n_byte, kMaxFontBytes);
  FirmwarePages pages;
  const Result<Span<u8>> memory = pages.take(n_byte, "font");
  if (!memory.ok()) return memory.error();
  const Span<u8> bytes = memory.value().first(static_cast<usize>(n_byte));
  Status status = file.read(0, bytes);
  if (status.ok()) status = graphic_.add_font(bytes);
  // A font that is good is kept for as long as the program runs.
  if (!status.ok()) pages.give_back(memory.value());
  return status;
}
void FirmwareConsole::stop() {
  if (graphic_.active()) screen_.clear();
  graphic_.stop();
  screen_.show_cursor(true);
  if (tick_ != nullptr) (void)boot_services().CloseEvent(tick_);
  tick_ = nullptr;
}

u32 FirmwareConsole::n_column() const {
  return graphic_.active() ? graphic_.n_column() : screen_.n_column();
}

u32 FirmwareConsole::n_row() const {
  return graphic_.active() ? graphic_.n_row() : screen_.n_row();
}

void FirmwareConsole::write_log(Str utf8) {
  // Runs of text between escape sequences, as they are.
  usize begin = 0;
  for (usize i = 0; i < utf8.size(); ++i) {
    if (log_parser_.feed(static_cast<u8>(utf8[i])) == EscapeParser::Kind::kText) continue;
    debug_write(utf8.slice(begin, i - begin));
    begin = i + 1;
  }
  debug_write(utf8.from(begin));
}

void FirmwareConsole::write(Str utf8) {
  if (graphic_.active()) {
    graphic_.write(utf8);
  } else if (options_.mode != ScreenMode::kSerial || is_mixed_) {
    screen_.write(utf8);
  }
  for (u32 i = 0; i < n_port_; ++i) ports_[i].write(utf8);
  write_log(utf8);
  restore_float_state();
}

void FirmwareConsole::show_status(const ConsoleStatus& status) {
  if (!graphic_.active()) return;
  graphic_.show_status(status);
  restore_float_state();
}

void FirmwareConsole::read_devices() {
  keyboard_.read(keys_, clock_);
  for (u32 i = 0; i < n_port_; ++i) ports_[i].read(keys_, clock_.now_us());
  keys_.settle(clock_.now_us());
  restore_float_state();
}

// The next key that is not for the screen.
KeyEvent FirmwareConsole::next_key() {
  for (;;) {
    const KeyEvent event = keys_.pop();
    if (event.key == Key::kNone || !graphic_.active() || !graphic_.on_key(event)) return event;
    restore_float_state();
    // The line editor knows Ctrl-L, and not that the screen has another width now.
    if (graphic_.take_broken_line()) return {Key::kCtrl, 'l'};
  }
}

KeyEvent FirmwareConsole::poll_key() {
  const KeyEvent waiting = next_key();
  if (waiting.key != Key::kNone) return waiting;
  if (graphic_.active()) graphic_.flush_if_due();
  read_devices();
  return next_key();
}

void FirmwareConsole::tick_clock() {
  const u64 now_us = clock_.now_us();
  if (time_of_day_.now == nullptr || now_us < next_clock_us_) return;
  next_clock_us_ = now_us + kClockPeriodUs;
  const Str time = time_of_day_.now(time_of_day_.host);
  restore_float_state();
  graphic_.show_clock(time);
}

KeyEvent FirmwareConsole::wait_key() {
  for (;;) {
    const KeyEvent event = poll_key();
    if (event.key != Key::kNone) return event;
    if (graphic_.active()) {
      tick_clock();
      graphic_.flush();
    }
    // Sleeping in the firmware rather than spinning: the processor halts between interrupts, and
    // its drivers run.
    EFI_EVENT events[2];
    UINTN n_event = 0;
    if (system_table().ConIn != nullptr) events[n_event++] = system_table().ConIn->WaitForKey;
    if (tick_ != nullptr) events[n_event++] = tick_;
    UINTN index = 0;
    if (n_event == 0 || failed(boot_services().WaitForEvent(n_event, events, &index)))
      boot_services().Stall(5'000);
  }
}

bool FirmwareConsole::take_interrupt() {
  const u64 now = clock_.now_us();
  if (now >= next_poll_us_) {
    read_devices();
    next_poll_us_ = clock_.now_us() + kInterruptPollUs;
    if (graphic_.active()) {
      // The screen has its keys during long work, too.
      KeyEvent event = keys_.pop_first(GraphicScreen::is_screen_key);
      while (event.key != Key::kNone) {
        (void)graphic_.on_key(event);
        event = keys_.pop_first(GraphicScreen::is_screen_key);
      }
      (void)graphic_.take_broken_line();  // nobody types during long work
      graphic_.flush_if_due();
      restore_float_state();
    }
  }
  return keys_.pop_interrupt();
}

}  // namespace lbm::efi
