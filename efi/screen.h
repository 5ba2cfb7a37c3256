// UTF-8 on the firmware's text screens.
//
// The firmware shows UTF-16 from one plane, in a font that has Latin-1 and box drawing and little
// more. What it can not show becomes the nearest ASCII where there is one (typographic quotes,
// dashes) and '?' otherwise, as wide as the character would be, so that the cursor arithmetic of
// the line editor holds.
#pragma once

#include "core/base/span.h"
#include "core/base/types.h"
#include "core/screen/escape_parser.h"
#include "efi/firmware.h"

namespace lbm::efi {

struct HiiFont;

class Screen {
 public:
  static constexpr u32 kMaxOutputs = 8;

  // Adds an output that shows everything written from now on. It is cleared: firmware leaves its
  // logo there.
  void add(SIMPLE_TEXT_OUTPUT_INTERFACE* output);
  [[nodiscard]] bool present() const { return n_output_ > 0; }

  // Malformed UTF-8 becomes '?'. Errors of the firmware are not errors of ours: a text that nobody
  // sees is still said.
  void write(Str utf8);
  // Of the first output; 80 x 25 where the firmware does not know.
  [[nodiscard]] u32 n_column() const;
  [[nodiscard]] u32 n_row() const;
  void clear();
  // The firmware's cursor, which blinks on a display that another draws on.
  void show_cursor(bool on);

 private:
  static constexpr u32 kLineUnits = 256;
  struct Size {
    u32 n_column = 80;
    u32 n_row = 25;
  };

  [[nodiscard]] Size size() const;
  void put(u32 codepoint);
  void put_unit(u16 unit);
  void flush();
  void set_colours(Span<const u32> parameters);
  [[nodiscard]] bool can_show(u16 unit);

  SIMPLE_TEXT_OUTPUT_INTERFACE* outputs_[kMaxOutputs] = {};
  u32 n_output_ = 0;
  EscapeParser parser_;
  u16 line_[kLineUnits + 1] = {};  // what waits for flush(), and its terminator
  u32 n_unit_ = 0;
  u32 foreground_ = EFI_LIGHTGRAY;
  bool bright_ = false;
  bool dim_ = false;
  const HiiFont* font_ = nullptr;
  // Per UTF-16 unit: was the font asked, and did it have a glyph.
  u8 asked_[65536 / 8] = {};
  u8 known_[65536 / 8] = {};
};

}  // namespace lbm::efi
