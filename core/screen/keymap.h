// National keyboards over firmware that takes every keyboard for an American one.
//
// A key is known by the two characters that it gives on a US keyboard; a keymap says what it gives
// on another: alone, with Shift, with AltGr. Where the firmware has a layout of its own, the keymap
// has to stay "auto", which changes nothing.
#pragma once

#include "core/base/span.h"
#include "core/base/types.h"

namespace lbm {

struct Keymap {
  static constexpr u32 kKeyCount = 47;

  Str name;
  // Character by character as on kUsPlain (keymap.cpp); ' ': none.
  const char16_t* plain = nullptr;
  const char16_t* shift = nullptr;
  const char16_t* alt_gr = nullptr;
  const char16_t* dead = nullptr;  // accents that wait for the letter under them
};

// us, uk, de, fr, es, it, pt-br, dvorak.
[[nodiscard]] Span<const Keymap> keymaps();
// Null for a name that none has; "auto" is none.
[[nodiscard]] const Keymap* find_keymap(Str name);

class KeyMapper {
 public:
  void set_keymap(const Keymap* keymap) {
    keymap_ = keymap;
    accent_ = 0;
  }
  [[nodiscard]] const Keymap* keymap() const { return keymap_; }

  struct Modifiers {
    bool alt_gr = false;
    bool caps_lock = false;
  };
  struct Characters {
    u32 n = 0;
    u32 codepoints[2] = {};
  };
  // What a stroke that is `us_character` on a US keyboard gives: nothing (a dead accent waits), one
  // character, or an accent that does not go with the letter and the letter.
  [[nodiscard]] Characters on_stroke(u32 us_character, Modifiers modifiers);

 private:
  [[nodiscard]] u32 translate(u32 us_character, Modifiers modifiers) const;

  const Keymap* keymap_ = nullptr;
  u32 accent_ = 0;
};

}  // namespace lbm
