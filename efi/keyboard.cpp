// See keyboard.h.
#include "efi/keyboard.h"

#include "efi/firmware.h"

#include <eficonex.h>  // needs efi.h before it

namespace lbm::efi {

struct Keyboard::Device : EFI_SIMPLE_TEXT_INPUT_EX_PROTOCOL {};

namespace {

constexpr EFI_GUID kExtendedInputGuid = EFI_SIMPLE_TEXT_INPUT_EX_PROTOCOL_GUID;
constexpr u32 kMaxDevices = 16;
constexpr u32 kMaxStrokesPerPoll = 1024;
constexpr u32 kControl = EFI_LEFT_CONTROL_PRESSED | EFI_RIGHT_CONTROL_PRESSED;

}  // namespace

void Keyboard::read(KeyDecoder& keys, TscClock& clock) {
  if (mapper_.keymap() != nullptr && read_devices(keys, clock)) return;
  SIMPLE_INPUT_INTERFACE* input = system_table().ConIn;
  for (u32 i = 0; input != nullptr && i < kMaxStrokesPerPoll; ++i) {
    EFI_INPUT_KEY stroke = {0, 0};
    if (input->ReadKeyStroke(input, &stroke) != EFI_SUCCESS) break;
    keys.feed_stroke(stroke.ScanCode, stroke.UnicodeChar, clock.now_us());
  }
}

// False where there is no device to be read by itself. They are looked for each time: keyboards are
// plugged in and out, and the protocol of one that has gone must not be touched.
bool Keyboard::read_devices(KeyDecoder& keys, TscClock& clock) {
  EFI_HANDLE handles[kMaxDevices];
  const u32 n_handle = handles_with(kExtendedInputGuid, handles);
  bool any = false;
  for (u32 i = 0; i < n_handle; ++i) {
    // The console itself has the protocol, too, but no device path.
    if (protocol<EFI_DEVICE_PATH>(handles[i], kDevicePathGuid) == nullptr) continue;
    Device* device = protocol<Device>(handles[i], kExtendedInputGuid);
    if (device == nullptr) continue;
    any = true;
    read_device(*device, is_on_serial_port(handles[i]), keys, clock);
  }
  return any;
}

void Keyboard::read_device(Device& device, bool is_terminal, KeyDecoder& keys, TscClock& clock) {
  for (u32 i = 0; i < kMaxStrokesPerPoll; ++i) {
    EFI_KEY_DATA data = {};
    if (device.ReadKeyStrokeEx(&device, &data) != EFI_SUCCESS) break;
    const u16 unit = data.Key.UnicodeChar;
    if (is_terminal || data.Key.ScanCode != 0 || unit < 0x20 || unit >= 0x7F) {
      keys.feed_stroke(data.Key.ScanCode, unit, clock.now_us());
      continue;
    }
    const u32 shift = data.KeyState.KeyShiftState;
    const KeyMapper::Modifiers modifiers = {
        (shift & EFI_RIGHT_ALT_PRESSED) != 0,
        (data.KeyState.KeyToggleState & EFI_CAPS_LOCK_ACTIVE) != 0};
    const KeyMapper::Characters typed = mapper_.on_stroke(unit, modifiers);
    for (u32 k = 0; k < typed.n; ++k) {
      const u32 letter = typed.codepoints[k] | 0x20;
      // Here Ctrl is a state, and not, as in the simple protocol, a character of its own.
      if ((shift & kControl) != 0 && letter >= 'a' && letter <= 'z') {
        keys.feed_stroke(0, static_cast<u16>(letter - 'a' + 1), clock.now_us());
      } else {
        keys.feed_character(typed.codepoints[k]);
      }
    }
  }
}

}  // namespace lbm::efi
