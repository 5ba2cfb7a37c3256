// The console can only be looked at from outside; here it has to survive what it is given. What it
// costs to draw is printed, for `scripts/qemu.py test -v --only console`.
#include "core/base/fmt.h"
#include "core/screen/font.h"
#include "efi/builtin_font.h"
#include "efi/graphic_screen.h"
#include "tests/bare/machine.h"
#include "tests/test.h"

using namespace lbm;

TEST_CASE("the console has a plausible width", "[efi]") {
  CHECK(bare::console().n_column() >= 20);
  CHECK(bare::console().n_column() <= 1000);
}

TEST_CASE("no key is there when nobody types", "[efi]") {
  CHECK(bare::console().poll_key().key == Key::kNone);
  CHECK(!bare::console().take_interrupt());
}

TEST_CASE("any bytes can be written", "[efi]") {
  bare::console().write(
      "[console] \x1b[92mgreen\x1b[0m caf\xc3\xa9 \xe2\x82\xac \xe4\xbd\xa0 \xf0\x9f\x98\x80 "
      "tab\tend \xff\xc3\n");
  bare::console().write(Str("[console] zero \0 byte\n", 22));
  bare::console().write("");
}

TEST_CASE("the built-in fonts have what European texts need", "[efi][console]") {
  constexpr u32 kSizes[efi::GraphicScreen::kBuiltinFonts][2] = {{8, 16}, {12, 24}, {16, 32}};
  constexpr u32 kRanges[][2] = {{0x21, 0x7E},     {0xA1, 0x17F},    {0x391, 0x3A1},
                                {0x3B1, 0x3C9},   {0x410, 0x44F},   {0x2013, 0x2014},
                                {0x2018, 0x201E}, {0x2190, 0x2193}, {0x2500, 0x2502},
                                {0x2550, 0x256C}, {0x2588, 0x2588}, {0x2591, 0x2593}};
  constexpr u32 kSingles[] = {0x20AC, 0x2022, 0x2026, 0x221E, 0x2260, 0x2264, 0x2265, 0xFFFD};
  for (u32 i = 0; i < efi::GraphicScreen::kBuiltinFonts; ++i) {
    const Result<Font> font = Font::open(efi::builtin_font(i));
    REQUIRE(font.ok());
    CHECK(font.value().cell_width() == kSizes[i][0]);
    CHECK(font.value().cell_height() == kSizes[i][1]);
    for (const auto& range : kRanges) {
      for (u32 codepoint = range[0]; codepoint <= range[1]; ++codepoint) {
        if (codepoint == 0xAD || codepoint == 0x3A2) continue;  // the soft hyphen; no character
        CHECK(font.value().find(codepoint).rows != nullptr);
      }
    }
    for (const u32 codepoint : kSingles) CHECK(font.value().find(codepoint).rows != nullptr);
  }
  CHECK(efi::builtin_font(efi::GraphicScreen::kBuiltinFonts).empty());
}

TEST_CASE("the screen can be another at any time", "[efi][console]") {
  efi::FirmwareConsole& console = bare::console();
  const bool was_graphic = console.is_graphic();
  const u32 n_column = console.n_column();
  ScreenOptions options;
  options.mode = ScreenMode::kText;
  console.configure(options);
  CHECK(!console.is_graphic());
  CHECK(console.n_row() >= 5);
  console.write("[console] text\n");
  options.mode = ScreenMode::kSerial;
  console.configure(options);
  console.write("[console] nothing on the screen\n");
  for (const Theme& theme : themes()) {
    options.mode = ScreenMode::kAuto;
    options.theme = &theme;
    options.font_scale = FontScale::k2;
    options.n_scrollback = 100;
    console.configure(options);
    CHECK(console.is_graphic() == was_graphic);
    console.write("[console] \x1b[91mcolours\x1b[0m\n");
  }
  console.configure(ScreenOptions());
  CHECK(console.n_column() == n_column);
}

TEST_CASE("the screen follows the mode of the display", "[efi][console]") {
  EFI_GUID guid = EFI_GRAPHICS_OUTPUT_PROTOCOL_GUID;
  void* found = nullptr;
  if (!bare::console().is_graphic() ||
      efi::failed(efi::boot_services().LocateProtocol(&guid, nullptr, &found)))
    return;
  auto* gop = static_cast<EFI_GRAPHICS_OUTPUT_PROTOCOL*>(found);
  const u32 before = gop->Mode->Mode;
  const u32 n_column = bare::console().n_column();
  for (u32 mode = 0; mode < gop->Mode->MaxMode; ++mode) {
    if (efi::failed(gop->SetMode(gop, mode))) continue;
    bare::console().write("[console] a mode\n");
    const u32 width = gop->Mode->Info->HorizontalResolution;
    CHECK(bare::console().n_column() >= width / 24);
    CHECK(bare::console().n_column() <= width / 8);
  }
  CHECK(!efi::failed(gop->SetMode(gop, before)));
  bare::console().write("[console] the first mode\n");
  CHECK(bare::console().n_column() == n_column);
}

TEST_CASE("a status is shown, whatever it says", "[efi][console]") {
  ConsoleStatus status;
  bare::console().show_status(status);
  status.model = "models/\xff\xe4\xbd\xa0.gguf";
  status.n_ctx = 1;
  status.n_ctx_used = ~0u;
  status.tok_s = -1;
  status.clock = "now";
  status.activity = "answering and answering and answering";
  bare::console().show_status(status);
  CHECK(bare::console().poll_key().key == Key::kNone);
}

TEST_CASE("what drawing costs", "[efi][console]") {
  constexpr u32 kWords = 200;
  constexpr u32 kLines = 30;
  const auto time = [](auto&& work) {
    const u64 begin = bare::clock().now_us();
    work();
    (void)bare::console().poll_key();  // draws what waits
    return bare::clock().now_us() - begin;
  };
  for (const ScreenMode mode : {ScreenMode::kSerial, ScreenMode::kText, ScreenMode::kAuto}) {
    ScreenOptions options;
    options.mode = mode;
    bare::console().configure(options);
    bare::console().write("[console] ");
    const u64 words = time([] {
      for (u32 i = 0; i < kWords; ++i)
        bare::console().write(i % 10 == 9 ? " word\n[console]" : " word");
    });
    const u64 lines = time([] {
      for (u32 i = 0; i < kLines; ++i) bare::console().write("[console] a line of text\n");
    });
    TextBuffer<128> text;
    constexpr Str kNames[] = {"auto", "gop", "text", "serial"};
    text.print("[console] screen={}: {} us a word of 5, {} us a line\n",
               kNames[static_cast<u32>(mode)], words / kWords, lines / kLines);
    bare::console().write(text.text());
    CHECK(words > 0);
  }
  bare::console().configure(ScreenOptions());
}
