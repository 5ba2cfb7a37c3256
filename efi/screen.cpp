// Text output of the firmware (screen.h).
#include "efi/screen.h"

#include "core/base/utf8.h"
#include "core/screen/ascii_like.h"

namespace lbm::efi {

// EFI_HII_FONT_PROTOCOL and its EFI_IMAGE_OUTPUT (UEFI specification, HII), which gnu-efi does
// not have. TestString() of the console would be the way to ask for a glyph, but EDK2's takes the
// warning "unknown glyph" for a success.
struct ImageOutput {
  u16 width;
  u16 height;
  void* bitmap;
};
struct HiiFont {
  void* string_to_image;
  void* string_id_to_image;
  EFI_STATUS(EFIAPI* get_glyph)
  (const HiiFont* font, CHAR16 unit, const void* string_info, ImageOutput** out, UINTN* baseline);
  void* get_font_info;
};
constexpr EFI_GUID kHiiFontGuid = {
    0xe9ca4775, 0x8657, 0x47fc, {0x97, 0xe7, 0x7e, 0xd6, 0x5a, 0x08, 0x43, 0x24}};

namespace {

constexpr u32 kTabColumns = 4;

// The eight ANSI colours, as the firmware numbers them.
constexpr u32 kColours[8] = {EFI_BLACK, EFI_RED,     EFI_GREEN, EFI_BROWN,
                             EFI_BLUE,  EFI_MAGENTA, EFI_CYAN,  EFI_LIGHTGRAY};

}  // namespace

void Screen::add(SIMPLE_TEXT_OUTPUT_INTERFACE* output) {
  if (output == nullptr || n_output_ == kMaxOutputs) return;
  outputs_[n_output_++] = output;
  (void)output->ClearScreen(output);
  (void)output->EnableCursor(output, TRUE);
  if (font_ == nullptr) {
    EFI_GUID guid = kHiiFontGuid;
    void* found = nullptr;
    if (!failed(boot_services().LocateProtocol(&guid, nullptr, &found)))
      font_ = static_cast<const HiiFont*>(found);
  }
}

Screen::Size Screen::size() const {
  if (n_output_ == 0) return {};
  SIMPLE_TEXT_OUTPUT_INTERFACE* output = outputs_[0];
  UINTN columns = 0;
  UINTN rows = 0;
  if (output->Mode == nullptr || output->Mode->Mode < 0) return {};
  const EFI_STATUS status =
      output->QueryMode(output, static_cast<UINTN>(output->Mode->Mode), &columns, &rows);
  if (failed(status) || columns < 20 || columns > 1000 || rows < 5 || rows > 1000) return {};
  return {static_cast<u32>(columns), static_cast<u32>(rows)};
}

u32 Screen::n_column() const { return size().n_column; }
u32 Screen::n_row() const { return size().n_row; }

void Screen::clear() {
  for (u32 i = 0; i < n_output_; ++i) (void)outputs_[i]->ClearScreen(outputs_[i]);
}

void Screen::show_cursor(bool on) {
  for (u32 i = 0; i < n_output_; ++i)
    (void)outputs_[i]->EnableCursor(outputs_[i], on ? TRUE : FALSE);
}

bool Screen::can_show(u16 unit) {
  if (unit < 0x80) return true;
  // Where there is no font to ask, only what every firmware font has by the specification.
  if (font_ == nullptr) return (unit >= 0xA0 && unit <= 0xFF) || (unit >= 0x2500 && unit <= 0x256C);
  u8& asked = asked_[unit / 8];
  u8& known = known_[unit / 8];
  const u8 bit = static_cast<u8>(1u << (unit % 8));
  if ((asked & bit) == 0) {
    asked = static_cast<u8>(asked | bit);
    ImageOutput* glyph = nullptr;
    if (font_->get_glyph(font_, unit, nullptr, &glyph, nullptr) == EFI_SUCCESS)
      known = static_cast<u8>(known | bit);
    if (glyph != nullptr) {
      if (glyph->bitmap != nullptr) (void)boot_services().FreePool(glyph->bitmap);
      (void)boot_services().FreePool(glyph);
    }
  }
  return (known & bit) != 0;
}

void Screen::flush() {
  if (n_unit_ == 0) return;
  line_[n_unit_] = 0;
  CHAR16* text = reinterpret_cast<CHAR16*>(line_);  // gnu-efi 4 spells CHAR16 wchar_t, of 16 bits
  for (u32 i = 0; i < n_output_; ++i) (void)outputs_[i]->OutputString(outputs_[i], text);
  n_unit_ = 0;
}

void Screen::put_unit(u16 unit) {
  if (n_unit_ == kLineUnits) flush();
  line_[n_unit_++] = unit;
}

void Screen::put(u32 codepoint) {
  if (codepoint < 0x80) {
    if (codepoint == '\n') put_unit('\r');
    if (codepoint == '\t') {
      for (u32 i = 0; i < kTabColumns; ++i) put_unit(' ');
      return;
    }
    const bool control =
        codepoint < 0x20 && codepoint != '\n' && codepoint != '\r' && codepoint != '\b';
    if (!control && codepoint != 0x7F) put_unit(static_cast<u16>(codepoint));
    return;
  }
  const u32 width = display_width(codepoint);
  if (width == 0) return;
  if (width == 1 && codepoint < 0xFFFD && can_show(static_cast<u16>(codepoint))) {
    return put_unit(static_cast<u16>(codepoint));
  }
  const char ascii = ascii_like(codepoint);
  put_unit(static_cast<u16>(ascii != 0 ? ascii : '?'));
  for (u32 i = 1; i < width; ++i) put_unit(' ');
}

void Screen::set_colours(Span<const u32> parameters) {
  for (const u32 value : parameters) {
    if (value == 0) {
      foreground_ = EFI_LIGHTGRAY;
      bright_ = false;
      dim_ = false;
    } else if (value == 1) {
      bright_ = true;
    } else if (value == 2) {
      dim_ = true;
    } else if (value == 22) {
      bright_ = false;
      dim_ = false;
    } else if (value >= 30 && value <= 37) {
      foreground_ = kColours[value - 30];
    } else if (value == 39) {
      foreground_ = EFI_LIGHTGRAY;
    } else if (value >= 90 && value <= 97) {
      foreground_ = kColours[value - 90] | EFI_BRIGHT;
    }
  }
  u32 colour = foreground_;
  if (bright_) colour |= EFI_BRIGHT;
  if (dim_) colour = EFI_DARKGRAY;
  flush();  // what came before keeps its colour
  for (u32 i = 0; i < n_output_; ++i) {
    (void)outputs_[i]->SetAttribute(outputs_[i],
                                    EFI_TEXT_ATTR(colour, static_cast<u32>(EFI_BLACK)));
  }
}

void Screen::write(Str utf8) {
  if (n_output_ == 0) return;
  while (!utf8.empty()) {
    const Utf8Char character = decode_utf8(utf8);
    utf8 = utf8.from(character.n_byte);
    switch (parser_.feed(character.codepoint)) {
      case EscapeParser::Kind::kText: put(character.codepoint); break;
      case EscapeParser::Kind::kHidden:
      case EscapeParser::Kind::kControl: break;
      case EscapeParser::Kind::kSgr: set_colours(parser_.parameters()); break;
    }
  }
  flush();
}

}  // namespace lbm::efi
