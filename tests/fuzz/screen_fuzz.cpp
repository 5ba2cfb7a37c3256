// libFuzzer on the screen: a font file of a stranger, and text of a stranger drawn with it.
//
// An input of odd size is a font; all but the smallest get the right hash, because nothing behind
// it would ever be reached by chance. An input of even size is text: written, scrolled, laid out
// for another width, drawn.
#include <cstring>
#include <vector>

#include "core/base/sha256.h"
#include "core/screen/cell_screen.h"
#include "core/screen/theme.h"
#include "tests/screen/tiny_font.h"

namespace {

using namespace lbm;

struct Nowhere final : PixelSink {
  void show(u32, u32, u32, u32 height, const u32* pixels, u32 pitch) override {
    sum += pixels[(height - 1) * pitch];
  }
  u32 sum = 0;
};

struct Screen : CellScreen {
  Screen(u32 width, u32 height, const Font& font) {
    Setup setup;
    setup.width = width;
    setup.height = height;
    setup.painter = {&font, nullptr, &themes()[0], 8, 16};
    setup.n_line = 30;
    memory.resize(static_cast<usize>(bytes_needed(setup) + 7) / 8);
    start({reinterpret_cast<u8*>(memory.data()), memory.size() * 8}, setup);
  }
  std::vector<u64> memory;
};

void draw(const Font& font, Str text) {
  Nowhere sink;
  Screen narrow(20 * 8, 6 * 16, font);
  Screen wide(33 * 8 + 1, 9 * 16 + 3, font);
  const usize half = text.size() / 2;
  narrow.write(text.first(half));
  (void)narrow.paint(sink);
  (void)narrow.on_key(Key::kPageUp);
  narrow.write(text.from(half));
  (void)narrow.paint(sink);
  wide.take_text_of(narrow);
  wide.write(text.first(half));
  (void)wide.paint(sink);
  narrow.take_text_of(wide);
  (void)narrow.paint(sink);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const u8* data, usize size) {
  if (size > 1 << 16) return 0;
  std::vector<u8> bytes(data, data + size);
  if (size % 2 == 0) {
    static const tiny_font::File file;
    draw(file.open().value(), {reinterpret_cast<const char*>(bytes.data()), size});
    return 0;
  }
  if (size > Font::kHeaderBytes) {
    Sha256 hash;
    hash.update(Span<const u8>(bytes.data(), size).from(Font::kHeaderBytes));
    const Sha256Digest digest = hash.finish();
    std::memcpy(bytes.data() + 24, digest.bytes, sizeof(digest.bytes));
  }
  const Result<Font> font = Font::open({bytes.data(), size});
  if (font.ok()) draw(font.value(), "every \xe4\xb8\x80 character ~ \x7e");
  return 0;
}
