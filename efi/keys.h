// From what keyboards and serial ports deliver to KeyEvents.
//
// Two kinds of input meet here. The firmware's console input gives characters (UTF-16 units) and
// scan codes; where one of its keyboards is a serial terminal, text beyond ASCII arrives as the
// bytes of its UTF-8, one "character" 0x80..0xFF each. A serial port that the firmware does not use
// as a console gives plain bytes with escape sequences. A run of 0x80..0xFF that is a valid UTF-8
// sequence becomes one character; anything else stays the Latin-1 characters that a national
// keyboard typed. Nobody types U+00C3 and U+00A9 within kSplitUs of each other.
//
// No firmware call is made here, so that tests can type without a keyboard.
#pragma once

#include "core/platform.h"

namespace lbm::efi {

class KeyDecoder {
 public:
  // How long the rest of a UTF-8 sequence, or of an escape sequence, may take to arrive.
  static constexpr u64 kSplitUs = 30'000;

  // One stroke of the firmware's console input. `scan_code` is 0 for characters.
  void feed_stroke(u16 scan_code, u16 unit, u64 now_us);
  // A character that is known to be one, as from a keymap.
  void feed_character(u32 codepoint);
  // One byte of a serial port.
  void feed_byte(u8 byte, u64 now_us);
  // Ends sequences that were left unfinished for kSplitUs.
  void settle(u64 now_us);

  // The next key; Key::kNone when there is none.
  [[nodiscard]] KeyEvent pop();
  // Removes the first Esc or Ctrl-C that waits, leaving all other keys in place.
  bool pop_interrupt();
  // Removes the first key that `wanted` takes; Key::kNone when there is none.
  [[nodiscard]] KeyEvent pop_first(bool (*wanted)(const KeyEvent& event));
  // True while part of a sequence waits for its rest.
  [[nodiscard]] bool unfinished() const {
    return n_pending_ > 0 || escape_ != Escape::kNone || high_surrogate_ != 0;
  }

 private:
  static constexpr u32 kQueueSize = 4096;  // a pasted page; what does not fit is dropped
  static constexpr u32 kMaxParameter = 99;
  enum class Escape : u8 { kNone, kEscape, kBracket, kModifier, kLetterO };

  void push(Key key, u32 codepoint = 0);
  void push_unit(u32 unit, u64 now_us);
  void push_control(u32 unit);
  void flush_pending();
  void finish_escape(u8 final);

  KeyEvent queue_[kQueueSize];
  u32 head_ = 0;
  u32 n_queued_ = 0;
  char pending_[4] = {};  // the start of a UTF-8 sequence
  u32 n_pending_ = 0;
  u32 high_surrogate_ = 0;
  Escape escape_ = Escape::kNone;
  u32 parameter_ = 0;
  bool after_return_ = false;
  u64 last_us_ = 0;  // when the newest part of an unfinished sequence came
};

}  // namespace lbm::efi
