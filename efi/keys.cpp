// Decoding of key strokes and serial bytes (keys.h).
#include "efi/keys.h"

#include "core/base/utf8.h"

namespace lbm::efi {
namespace {

// Scan codes of EFI_SIMPLE_TEXT_INPUT_PROTOCOL (UEFI specification), by value.
constexpr Key kScanKeys[] = {
    Key::kNone,   Key::kUp,     Key::kDown,     Key::kRight,
    Key::kLeft,   Key::kHome,   Key::kEnd,      Key::kNone /* insert */,
    Key::kDelete, Key::kPageUp, Key::kPageDown, Key::kF1,
    Key::kF2,     Key::kF3,     Key::kF4,       Key::kF5,
    Key::kF6,     Key::kF7,     Key::kF8,       Key::kF9,
    Key::kF10,    Key::kNone,   Key::kNone,     Key::kEscape,
};

// ESC [ <letter> and ESC O <letter> of the VT100 family.
Key key_of_letter(u8 letter) {
  switch (letter) {
    case 'A': return Key::kUp;
    case 'B': return Key::kDown;
    case 'C': return Key::kRight;
    case 'D': return Key::kLeft;
    case 'H': return Key::kHome;
    case 'F': return Key::kEnd;
    case 'P': return Key::kF1;
    case 'Q': return Key::kF2;
    case 'R': return Key::kF3;
    case 'S': return Key::kF4;
    default: return Key::kNone;
  }
}

// ESC [ <number> ~
Key key_of_number(u32 number) {
  switch (number) {
    case 1:
    case 7: return Key::kHome;
    case 3: return Key::kDelete;
    case 4:
    case 8: return Key::kEnd;
    case 5: return Key::kPageUp;
    case 6: return Key::kPageDown;
    case 11: return Key::kF1;
    case 12: return Key::kF2;
    case 13: return Key::kF3;
    case 14: return Key::kF4;
    case 15: return Key::kF5;
    case 17: return Key::kF6;
    case 18: return Key::kF7;
    case 19: return Key::kF8;
    case 20: return Key::kF9;
    case 21: return Key::kF10;
    default: return Key::kNone;
  }
}

constexpr u32 kEscapeByte = 0x1B;

}  // namespace

void KeyDecoder::push(Key key, u32 codepoint) {
  if (key == Key::kNone || n_queued_ == kQueueSize) return;
  KeyEvent& slot = queue_[(head_ + n_queued_) % kQueueSize];
  slot.key = key;
  slot.codepoint = codepoint;
  ++n_queued_;
}

// An unfinished UTF-8 sequence was none: its units are the characters U+0080..U+00FF themselves.
void KeyDecoder::flush_pending() {
  for (u32 i = 0; i < n_pending_; ++i) {
    const u8 unit = static_cast<u8>(pending_[i]);
    if (unit >= 0xA0) push(Key::kChar, unit);  // below are the C1 controls, which no key types
  }
  n_pending_ = 0;
}

void KeyDecoder::push_control(u32 unit) {
  const bool after_return = after_return_;
  after_return_ = unit == '\r';
  switch (unit) {
    case '\r': return push(Key::kEnter);
    // A pasted text may end its lines with CR LF; that is one Enter. A line feed alone is Ctrl-J.
    case '\n':
      if (!after_return) push(Key::kCtrl, 'j');
      return;
    case '\b': return push(Key::kBackspace);
    case '\t': return push(Key::kTab);
    case kEscapeByte: return push(Key::kEscape);
    case 0x7F:
      return push(
          Key::kBackspace);  // only from ports of our own: firmware makes a Delete stroke of it
    default:
      if (unit >= 1 && unit <= 26) push(Key::kCtrl, 'a' + unit - 1);
  }
}

void KeyDecoder::push_unit(u32 unit, u64 now_us) {
  if (unit < 0x80 || unit > 0xFF) {
    flush_pending();
    if (unit < 0x20 || unit == 0x7F) return push_control(unit);
    after_return_ = false;
    if (unit >= 0xD800 && unit <= 0xDBFF) {
      high_surrogate_ = unit;
      last_us_ = now_us;
      return;
    }
    if (unit >= 0xDC00 && unit <= 0xDFFF) {
      if (high_surrogate_ != 0)
        push(Key::kChar, 0x10000 + ((high_surrogate_ - 0xD800) << 10) + (unit - 0xDC00));
      high_surrogate_ = 0;
      return;
    }
    high_surrogate_ = 0;
    return push(Key::kChar, unit);
  }
  after_return_ = false;
  if (n_pending_ == sizeof(pending_)) flush_pending();
  pending_[n_pending_++] = static_cast<char>(unit);
  last_us_ = now_us;
  const u32 n_needed = utf8_sequence_length(static_cast<u8>(pending_[0]));
  const bool continuation = n_pending_ == 1 || (unit & 0xC0) == 0x80;
  if (n_needed < 2 || !continuation) {
    // Not UTF-8. The newest unit may still begin a sequence.
    const char newest = pending_[n_pending_ - 1];
    const bool starts_one = n_pending_ > 1 && utf8_sequence_length(static_cast<u8>(newest)) >= 2;
    if (starts_one) --n_pending_;
    flush_pending();
    if (starts_one) {
      pending_[0] = newest;
      n_pending_ = 1;
    }
    return;
  }
  if (n_pending_ < n_needed) return;
  const Utf8Char decoded = decode_utf8({pending_, n_pending_});
  if (!decoded.valid) return flush_pending();
  n_pending_ = 0;
  push(Key::kChar, decoded.codepoint);
}

void KeyDecoder::feed_stroke(u16 scan_code, u16 unit, u64 now_us) {
  if (scan_code == 0) {
    if (unit != 0) push_unit(unit, now_us);
    return;
  }
  flush_pending();
  after_return_ = false;
  if (scan_code < sizeof(kScanKeys) / sizeof(kScanKeys[0])) push(kScanKeys[scan_code]);
}

void KeyDecoder::feed_character(u32 codepoint) {
  flush_pending();
  after_return_ = false;
  push(Key::kChar, codepoint);
}

void KeyDecoder::finish_escape(u8 final) {
  escape_ = Escape::kNone;
  push(final == '~' ? key_of_number(parameter_) : key_of_letter(final));
}

void KeyDecoder::feed_byte(u8 byte, u64 now_us) {
  switch (escape_) {
    case Escape::kNone:
      if (byte != kEscapeByte) return push_unit(byte, now_us);
      flush_pending();
      escape_ = Escape::kEscape;
      last_us_ = now_us;
      return;
    case Escape::kEscape:
      last_us_ = now_us;
      parameter_ = 0;
      if (byte == '[') {
        escape_ = Escape::kBracket;
      } else if (byte == 'O') {
        escape_ = Escape::kLetterO;
      } else {
        // A lone Esc, and then something else; a second Esc starts over.
        push(Key::kEscape);
        escape_ = byte == kEscapeByte ? Escape::kEscape : Escape::kNone;
        if (byte != kEscapeByte) push_unit(byte, now_us);
      }
      return;
    case Escape::kBracket:
    case Escape::kModifier:
    case Escape::kLetterO:
      last_us_ = now_us;
      if (byte >= '0' && byte <= '9') {
        if (escape_ == Escape::kBracket && parameter_ <= kMaxParameter)
          parameter_ = parameter_ * 10 + (byte - '0');
      } else if (byte == ';') {
        escape_ = Escape::kModifier;  // as in ESC [ 1 ; 5 C: the key itself is what counts
      } else if (byte >= 0x40 && byte <= 0x7E) {
        finish_escape(byte);
      } else {
        escape_ = Escape::kNone;
      }
      return;
  }
}

void KeyDecoder::settle(u64 now_us) {
  if (!unfinished() || now_us - last_us_ < kSplitUs) return;
  flush_pending();
  high_surrogate_ = 0;
  if (escape_ == Escape::kEscape) push(Key::kEscape);
  escape_ = Escape::kNone;
}

KeyEvent KeyDecoder::pop() {
  if (n_queued_ == 0) return {};
  const KeyEvent event = queue_[head_];
  head_ = (head_ + 1) % kQueueSize;
  --n_queued_;
  return event;
}

KeyEvent KeyDecoder::pop_first(bool (*wanted)(const KeyEvent& event)) {
  for (u32 i = 0; i < n_queued_; ++i) {
    const KeyEvent event = queue_[(head_ + i) % kQueueSize];
    if (!wanted(event)) continue;
    for (u32 k = i; k + 1 < n_queued_; ++k)
      queue_[(head_ + k) % kQueueSize] = queue_[(head_ + k + 1) % kQueueSize];
    --n_queued_;
    return event;
  }
  return {};
}

bool KeyDecoder::pop_interrupt() {
  const auto is_interrupt = [](const KeyEvent& event) {
    return event.key == Key::kEscape || (event.key == Key::kCtrl && event.codepoint == 'c');
  };
  return pop_first(is_interrupt).key != Key::kNone;
}

}  // namespace lbm::efi
