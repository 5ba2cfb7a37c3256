// From text to pixels: what is drawn, how little of it, and the picture of it.
#include "core/screen/cell_screen.h"

#include "core/screen/options.h"
#include "core/screen/picture.h"
#include "tests/screen/tiny_font.h"
#include "tests/test.h"

namespace {

using namespace lbm;

constexpr u32 kWidth = 48 * 8 + 5;  // odd pixels remain at the edges
constexpr u32 kHeight = 6 * 16 + 3;
constexpr u32 kEdge = 0x00123456;

constinit u64 g_memory[2][16000];
constinit u32 g_display[kWidth * kHeight];
constinit u8 g_scratch[2 * (1 + 3 * kWidth)];
constinit u8 g_png[60000];

struct Display final : PixelSink {
  Display() {
    for (u32& pixel : g_display) pixel = kEdge;
  }
  void show(u32 x, u32 y, u32 width, u32 height, const u32* pixels, u32 pitch) override {
    in_bounds = in_bounds && x + width <= kWidth && y + height <= kHeight;
    if (!in_bounds) return;
    for (u32 row = 0; row < height; ++row) {
      __builtin_memcpy(&g_display[(y + row) * kWidth + x], pixels + usize{row} * pitch, width * 4);
    }
    ++n_show;
  }
  bool in_bounds = true;
  u32 n_show = 0;
};

struct TestScreen : CellScreen {
  explicit TestScreen(const Font& font, u32 which = 0, u32 scale = 1) {
    Setup setup;
    setup.width = kWidth;
    setup.height = kHeight;
    setup.painter = {&font, nullptr, &themes()[0], 8 * scale, 16};
    setup.n_line = 20;
    LBM_CHECK(bytes_needed(setup) <= sizeof(g_memory[which]));
    start({reinterpret_cast<u8*>(g_memory[which]), sizeof(g_memory[which])}, setup);
  }
};

// True when the display shows the picture, with the edges left alone.
bool display_is_picture(CellScreen& screen) {
  const u32 left = (kWidth - screen.picture_width()) / 2;
  const u32 above = (kHeight - screen.picture_height()) / 2;
  for (u32 row = 0; row < screen.n_cell_row(); ++row) {
    const Span<const u32> pixels = screen.render_row(row);
    for (u32 y = 0; y < screen.cell_height(); ++y) {
      const u32* shown = &g_display[(above + row * screen.cell_height() + y) * kWidth + left];
      if (__builtin_memcmp(shown, &pixels[usize{y} * screen.picture_width()],
                           screen.picture_width() * 4) != 0)
        return false;
    }
  }
  return g_display[0] == kEdge && g_display[kWidth * kHeight - 1] == kEdge;
}

// ---- a reader for what write_png() writes: one block of the fixed code

struct Inflate {
  Span<const u8> in;
  usize bit = 0;
  bool ok = true;

  u32 bits(u32 n) {
    u32 value = 0;
    for (u32 i = 0; i < n; ++i, ++bit) {
      if (bit / 8 >= in.size()) {
        ok = false;
        return 0;
      }
      value |= static_cast<u32>(in[bit / 8] >> (bit % 8) & 1) << i;
    }
    return value;
  }
  u32 code(u32 n) {
    u32 value = 0;
    for (u32 i = 0; i < n; ++i) value = value << 1 | bits(1);
    return value;
  }
  u32 symbol() {
    u32 value = code(7);
    if (value < 24) return 256 + value;
    value = value << 1 | bits(1);
    if (value >= 0x30 && value < 0xC0) return value - 0x30;
    if (value >= 0xC0 && value < 0xC8) return 280 + value - 0xC0;
    return (value << 1 | bits(1)) - 0x190 + 144;
  }
  // Fills `out`; false when it is not exactly as long.
  bool run(Span<u8> out) {
    usize n = 0;
    if (bits(3) != 3) return false;
    for (;;) {
      const u32 s = symbol();
      if (!ok) return false;
      if (s == 256) return n == out.size();
      if (s < 256) {
        if (n == out.size()) return false;
        out[n++] = static_cast<u8>(s);
        continue;
      }
      u32 length = s - 257 + 3;
      if (s == 285) {
        length = 258;
      } else if (s >= 265) {
        const u32 n_extra = (s - 261) / 4;
        length = 3 + ((4 + (s - 261) % 4) << n_extra) + bits(n_extra);
      }
      u32 distance = code(5) + 1;
      if (distance > 4) {
        const u32 d = distance - 1;
        distance = 1 + ((2 + d % 2) << (d / 2 - 1)) + bits(d / 2 - 1);
      }
      if (distance > n || n + length > out.size()) return false;
      for (u32 i = 0; i < length; ++i, ++n) out[n] = out[n - distance];
    }
  }
};

u32 big_endian(const u8* at) {
  return u32{at[0]} << 24 | u32{at[1]} << 16 | u32{at[2]} << 8 | at[3];
}

constinit u8 g_raw[kHeight * (1 + 3 * kWidth)];

}  // namespace

TEST_CASE("what is drawn is what the picture shows", "[screen]") {
  const tiny_font::File file;
  const Result<Font> font = file.open();
  TestScreen screen(font.value());
  Display display;
  CHECK(screen.n_column() == 48);
  CHECK(screen.n_row() == 4);
  CHECK(screen.paint(display) == 48 * 6);
  CHECK(display_is_picture(screen));
  screen.write(
      "You> hello\n\x1b[92mAI> \xe4\xb8\x80\xe4\xb8\x81 "
      "\xe2\x82\xac\x1b[0m wide\x1b[4m!");
  CHECK(screen.paint(display) > 0);
  CHECK(display_is_picture(screen));
  screen.write("\n\n\n\n\nscrolled \x1b[7mreverse");
  (void)screen.paint(display);
  CHECK(display_is_picture(screen));
  CHECK(display.in_bounds);
}

TEST_CASE("a character costs its cell and the cursor's", "[screen]") {
  const tiny_font::File file;
  const Result<Font> font = file.open();
  TestScreen screen(font.value());
  Display display;
  screen.write("some text");
  (void)screen.paint(display);
  CHECK(screen.paint(display) == 0);
  display.n_show = 0;
  screen.write("x");
  CHECK(screen.paint(display) == 2);
  CHECK(display.n_show == 1);
  screen.write("\rsome");  // the same text again: only the cursor moves
  CHECK(screen.paint(display) == 2);
  CHECK(display_is_picture(screen));
}

TEST_CASE("glyphs are as the font has them", "[screen]") {
  const tiny_font::File file;
  const Result<Font> font = file.open();
  TestScreen screen(font.value());
  screen.write("A");
  const Span<const u32> pixels = screen.render_row(1);
  const Theme& theme = themes()[0];
  for (u32 y = 0; y < 16; ++y) {
    for (u32 x = 0; x < 8; ++x) {
      const bool lit = (tiny_font::row_bits('A', y) >> (7 - x) & 1) != 0;
      CHECK(pixels[usize{y} * screen.picture_width() + x] ==
            (lit ? theme.text.foreground : theme.text.background));
    }
  }
  TestScreen doubled(font.value(), 1, 2);  // twice as wide
  doubled.write("A");
  const Span<const u32> wide = doubled.render_row(1);
  for (u32 x = 0; x < 16; ++x) CHECK(wide[x] == pixels[x / 2]);
}

TEST_CASE("keys scroll, and any other key returns", "[screen]") {
  const tiny_font::File file;
  const Result<Font> font = file.open();
  TestScreen screen(font.value());
  Display display;
  screen.write("1\n2\n3\n4\n5\n6\n7\n8");
  CHECK(screen.on_key(Key::kPageUp));
  CHECK(screen.text().n_line_below() == 2);
  (void)screen.paint(display);
  CHECK(display_is_picture(screen));
  CHECK(screen.on_key(Key::kPageDown));
  CHECK(screen.text().n_line_below() == 0);
  CHECK(screen.on_key(Key::kPageUp));
  CHECK(!screen.on_key(Key::kChar));
  CHECK(screen.text().n_line_below() == 0);
  (void)screen.paint(display);
  CHECK(display_is_picture(screen));
}

TEST_CASE("another layout and another theme show the same text", "[screen]") {
  const tiny_font::File file;
  const Result<Font> font = file.open();
  TestScreen screen(font.value());
  screen.write("a text that is wider than half of the screen is");
  TestScreen large(font.value(), 1, 2);
  large.take_text_of(screen);
  CHECK(large.n_column() == 24);
  Display display;
  (void)large.paint(display);
  large.set_theme(themes()[1]);
  CHECK(large.paint(display) == 24 * 6);
  CHECK(display_is_picture(large));
}

TEST_CASE("a display that is too small has no screen", "[screen]") {
  const tiny_font::File file;
  const Result<Font> font = file.open();
  CellScreen::Setup setup;
  setup.painter = {&font.value(), nullptr, &themes()[0], 8, 16};
  setup.width = 19 * 8;
  setup.height = 600;
  CHECK(CellScreen::bytes_needed(setup) == 0);
  setup.width = 640;
  setup.height = 4 * 16 + 15;
  CHECK(CellScreen::bytes_needed(setup) == 0);
  setup.height = 80;
  CHECK(CellScreen::bytes_needed(setup) > 0);
}

TEST_CASE("the picture is a PNG of every pixel", "[screen]") {
  const tiny_font::File file;
  const Result<Font> font = file.open();
  TestScreen screen(font.value());
  screen.write("picture \x1b[95mof this\x1b[0m\nand of that: \xe4\xb8\x80");
  CHECK(png_scratch_bytes(screen) <= sizeof(g_scratch));
  const u64 n_byte = write_png(screen, g_scratch, {});
  REQUIRE(n_byte <= sizeof(g_png));
  CHECK(write_png(screen, g_scratch, Span<u8>(g_png).first(static_cast<usize>(n_byte))) == n_byte);
  CHECK(Str(Span<const u8>(g_png).first(8)) == Str("\x89PNG\r\n\x1a\n", 8));
  CHECK(big_endian(g_png + 16) == screen.picture_width());
  CHECK(big_endian(g_png + 20) == screen.picture_height());
  CHECK(big_endian(g_png + 29) == 0x9B9632DE);  // a CRC that another program computed
  const u32 n_data = big_endian(g_png + 33);
  REQUIRE(33 + 12 + n_data + 12 == n_byte);
  const usize n_raw = screen.picture_height() * (1 + 3 * usize{screen.picture_width()});
  REQUIRE(n_raw <= sizeof(g_raw));
  Inflate inflate{Span<const u8>(g_png).slice(43, n_data - 6)};
  REQUIRE(inflate.run(Span<u8>(g_raw).first(n_raw)));
  u32 a = 1;
  u32 b = 0;
  for (usize i = 0; i < n_raw; ++i) {
    a = (a + g_raw[i]) % 65521;
    b = (b + a) % 65521;
  }
  CHECK(big_endian(g_png + 41 + n_data - 4) == (b << 16 | a));
  usize at = 0;
  bool same = true;
  for (u32 row = 0; row < screen.n_cell_row(); ++row) {
    const Span<const u32> pixels = screen.render_row(row);
    for (usize i = 0; i < pixels.size(); ++i) {
      if (i % screen.picture_width() == 0) same = same && g_raw[at++] == 0;
      const u32 pixel = u32{g_raw[at]} << 16 | u32{g_raw[at + 1]} << 8 | g_raw[at + 2];
      same = same && pixel == pixels[i];
      at += 3;
    }
  }
  CHECK(same);
}

TEST_CASE("cells are large where there is room", "[screen]") {
  CHECK(choose_font_scale(640, 480) == FontScale::k1);
  CHECK(choose_font_scale(800, 600) == FontScale::k1);
  CHECK(choose_font_scale(1280, 800) == FontScale::k1);
  CHECK(choose_font_scale(1366, 768) == FontScale::k1);
  CHECK(choose_font_scale(1920, 1080) == FontScale::k1Half);
  CHECK(choose_font_scale(2560, 1440) == FontScale::k2);
  CHECK(choose_font_scale(3840, 2160) == FontScale::k3);
  CHECK(choose_font_scale(1080, 1920) == FontScale::k1);
  FontScale scale = FontScale::kAuto;
  CHECK(parse_font_scale("1.5", scale));
  CHECK(scale == FontScale::k1Half);
  CHECK(!parse_font_scale("4", scale));
  CHECK(scale == FontScale::k1Half);
  ScreenMode mode = ScreenMode::kAuto;
  CHECK(parse_screen_mode("serial", mode));
  CHECK(mode == ScreenMode::kSerial);
  CHECK(!parse_screen_mode("", mode));
}

TEST_CASE("colours of cells", "[screen]") {
  const Theme& dark = themes()[0];
  CHECK(find_theme("contrast") == &themes()[2]);
  CHECK(find_theme("solarized") == nullptr);
  CHECK(colours_of({'x', 0, 0, 0, Role::kText}, dark).foreground == dark.text.foreground);
  CHECK(colours_of({'x', 0, 0, style::kBold, Role::kText}, dark).foreground == dark.bold);
  CHECK(colours_of({'x', 1, 0, style::kBold | style::kForeground, Role::kText}, dark).foreground ==
        dark.palette[9]);
  CHECK(colours_of({'x', 196, 0, style::kForeground, Role::kText}, dark).foreground == 0xFF0000);
  CHECK(colours_of({'x', 0, 16, style::kBackground, Role::kText}, dark).background == 0);
  CHECK(colours_of({'x', 0, 255, style::kBackground, Role::kText}, dark).background == 0xEEEEEE);
  const ColourPair reverse = colours_of({'x', 0, 0, style::kReverse, Role::kBar}, dark);
  CHECK(reverse.foreground == dark.bar.background);
  CHECK(reverse.background == dark.bar.foreground);
  const u32 dim = colours_of({'x', 0, 0, style::kDim, Role::kText}, dark).foreground;
  CHECK(dim != dark.text.foreground);
  CHECK(dim != dark.text.background);
}
