// A serial port as a UTF-8 terminal, through the firmware's SerialIo protocol.
#pragma once

#include "core/base/span.h"
#include "core/base/types.h"
#include "efi/firmware.h"
#include "efi/keys.h"

namespace lbm::efi {

class SerialPort {
 public:
  SerialPort() = default;
  // `reads_keys` is false where the firmware's console input reads the port already.
  SerialPort(SERIAL_IO_INTERFACE* port, bool reads_keys) : port_(port), reads_keys_(reads_keys) {}

  // Sends the text as it is, with "\n" as CR LF. What a port does not take is lost: nobody may be
  // listening.
  void write(Str utf8);
  // Gives the bytes that have arrived to `keys`; does not wait.
  void read(KeyDecoder& keys, u64 now_us);

  [[nodiscard]] SERIAL_IO_INTERFACE* port() const { return port_; }

 private:
  bool send(const char* bytes, usize n);

  SERIAL_IO_INTERFACE* port_ = nullptr;
  bool reads_keys_ = false;
};

}  // namespace lbm::efi
