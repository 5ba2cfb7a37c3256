// The keyboards of the machine, with a keymap over them.
//
// Without a keymap, strokes are read from the firmware's console as every program reads them. A
// keymap needs more: whether AltGr and Caps Lock are down, which only the extended protocol tells,
// and which device a stroke comes from, because what a serial terminal sends is right as it comes
// and must stay so. The console hides the devices; so with a keymap each of them is read by itself.
#pragma once

#include "core/screen/keymap.h"
#include "efi/clock.h"
#include "efi/keys.h"

namespace lbm::efi {

class Keyboard {
 public:
  // Null: as the firmware decides.
  void set_keymap(const Keymap* keymap) { mapper_.set_keymap(keymap); }
  // Gives the strokes that wait to `keys`.
  void read(KeyDecoder& keys, TscClock& clock);

 private:
  struct Device;
  bool read_devices(KeyDecoder& keys, TscClock& clock);
  void read_device(Device& device, bool is_terminal, KeyDecoder& keys, TscClock& clock);

  KeyMapper mapper_;
};

}  // namespace lbm::efi
