// Serial output and input (serial_port.h).
#include "efi/serial_port.h"

namespace lbm::efi {
namespace {

constexpr u32 kMaxBytesPerRead = 512;

}  // namespace

bool SerialPort::send(const char* bytes, usize n) {
  while (n > 0) {
    UINTN sent = n;
    const EFI_STATUS status = port_->Write(port_, &sent, const_cast<char*>(bytes));
    if (failed(status) || sent == 0 || sent > n) return false;
    bytes += sent;
    n -= sent;
  }
  return true;
}

void SerialPort::write(Str utf8) {
  // After the first failure the rest of this text is dropped: every attempt may cost the port's
  // time-out.
  while (!utf8.empty()) {
    const usize line = utf8.find("\n");
    const usize n = line == Str::kNone ? utf8.size() : line;
    if (!send(utf8.data(), n)) return;
    if (line == Str::kNone) return;
    if (!send("\r\n", 2)) return;
    utf8 = utf8.from(line + 1);
  }
}

void SerialPort::read(KeyDecoder& keys, u64 now_us) {
  if (!reads_keys_) return;
  for (u32 i = 0; i < kMaxBytesPerRead; ++i) {
    // Read() waits for its time-out when nothing is there, so ask first.
    UINT32 control = 0;
    if (failed(port_->GetControl(port_, &control)) ||
        (control & EFI_SERIAL_INPUT_BUFFER_EMPTY) != 0)
      return;
    u8 byte = 0;
    UINTN n = 1;
    if (failed(port_->Read(port_, &n, &byte)) || n != 1) return;
    keys.feed_byte(byte, now_us);
  }
}

}  // namespace lbm::efi
