// A PNG writer for pictures of text (picture.h). Source: RFC 2083 (PNG), 1950 (zlib), 1951
// (deflate).
//
// The compressor knows two repetitions, the pixel to the left and the row above, and the fixed code
// of deflate. A screen of text is little else: it shrinks to some hundredth of its size, with two
// rows of memory.
#include "core/screen/picture.h"

namespace lbm {
namespace {

constexpr u32 kPixelBytes = 3;
constexpr u32 kMinMatch = 3;
constexpr u32 kMaxMatch = 258;
constexpr u32 kEndOfBlock = 256;
constexpr u32 kAdlerModulus = 65521;
// Bytes that Adler's sums can take before they overflow 32 bits.
constexpr u32 kAdlerRun = 5552;

constexpr u32 highest_bit(u32 value) { return 31u - static_cast<u32>(__builtin_clz(value)); }

// One step of CRC-32 for a nibble.
struct CrcTable {
  u32 of[16];
};
constexpr CrcTable make_crc_table() {
  CrcTable table = {};
  for (u32 i = 0; i < 16; ++i) {
    u32 value = i;
    for (u32 k = 0; k < 4; ++k) value = (value & 1) != 0 ? value >> 1 ^ 0xEDB88320u : value >> 1;
    table.of[i] = value;
  }
  return table;
}
constexpr CrcTable kCrc = make_crc_table();

class PngWriter {
 public:
  explicit PngWriter(Span<u8> out) : out_(out) {}

  [[nodiscard]] u64 size() const { return n_; }

  void put(Str bytes) {
    for (const char byte : bytes) put_byte(static_cast<u8>(byte));
  }
  void put_u32(u32 value) {  // PNG is big-endian
    for (u32 shift = 32; shift > 0; shift -= 8) put_byte(static_cast<u8>(value >> (shift - 8)));
  }
  void put_byte(u8 byte) {
    if (n_ < out_.size()) out_[static_cast<usize>(n_)] = byte;
    ++n_;
    crc_ = kCrc.of[(crc_ ^ byte) & 15] ^ crc_ >> 4;
    crc_ = kCrc.of[(crc_ ^ byte >> 4) & 15] ^ crc_ >> 4;
  }

  // Its length is written at the end.
  void begin_chunk(Str kind) {
    chunk_ = n_;
    put_u32(0);
    crc_ = ~0u;
    put(kind);
  }
  void end_chunk() {
    const u32 crc = ~crc_;
    const u32 length = static_cast<u32>(n_ - chunk_ - 8);
    for (u32 i = 0; i < 4; ++i) {
      if (chunk_ + i < out_.size())
        out_[static_cast<usize>(chunk_ + i)] = static_cast<u8>(length >> (24 - 8 * i));
    }
    put_u32(crc);
  }

  // Deflate writes numbers from the lowest bit on, and its codes from the highest.
  void put_bits(u32 value, u32 n_bit) {
    bits_ |= u64{value} << n_pending_;
    n_pending_ += n_bit;
    while (n_pending_ >= 8) {
      put_byte(static_cast<u8>(bits_));
      bits_ >>= 8;
      n_pending_ -= 8;
    }
  }
  void put_code(u32 code, u32 n_bit) {
    u32 reversed = 0;
    for (u32 i = 0; i < n_bit; ++i) reversed |= (code >> i & 1) << (n_bit - 1 - i);
    put_bits(reversed, n_bit);
  }
  void end_bits() {
    if (n_pending_ > 0) put_bits(0, 8 - n_pending_);
  }

  // A byte, the end of the block, or (from 257 on) a length, in the fixed code.
  void put_symbol(u32 symbol) {
    if (symbol < 144) return put_code(0x30 + symbol, 8);
    if (symbol < 256) return put_code(0x190 + symbol - 144, 9);
    if (symbol < 280) return put_code(symbol - 256, 7);
    put_code(0xC0 + symbol - 280, 8);
  }
  void put_match(u32 length, u32 distance) {
    const u32 l = length - kMinMatch;
    if (length == kMaxMatch) {
      put_symbol(285);
    } else if (l < 8) {
      put_symbol(257 + l);
    } else {
      const u32 n_extra = highest_bit(l) - 2;
      put_symbol(257 + 4 * (n_extra + 1) + (l >> n_extra & 3));
      put_bits(l & ((1u << n_extra) - 1), n_extra);
    }
    const u32 d = distance - 1;
    if (d < 4) return put_code(d, 5);
    const u32 n_extra = highest_bit(d) - 1;
    put_code(2 * (n_extra + 1) + (d >> n_extra & 1), 5);
    put_bits(d & ((1u << n_extra) - 1), n_extra);
  }

 private:
  Span<u8> out_;
  u64 n_ = 0;
  u64 chunk_ = 0;
  u32 crc_ = ~0u;
  u64 bits_ = 0;
  u32 n_pending_ = 0;
};

// How many bytes at `at` repeat those `distance` before them.
u32 match_length(const u8* at, u32 distance, u32 limit) {
  const u8* before = at - distance;
  u32 n = 0;
  while (n < limit && at[n] == before[n]) ++n;
  return n;
}

class Adler {
 public:
  void add(Span<const u8> bytes) {
    while (!bytes.empty()) {
      const usize n = bytes.size() < kAdlerRun ? bytes.size() : kAdlerRun;
      for (const u8 byte : bytes.first(n)) {
        a_ += byte;
        b_ += a_;
      }
      a_ %= kAdlerModulus;
      b_ %= kAdlerModulus;
      bytes = bytes.from(n);
    }
  }
  [[nodiscard]] u32 value() const { return b_ << 16 | a_; }

 private:
  u32 a_ = 1;
  u32 b_ = 0;
};

// Compresses the row at rows[n_byte..), with the row before it at rows[0..).
void put_row(PngWriter& png, const u8* rows, u32 n_byte, bool has_above) {
  const u8* row = rows + n_byte;
  for (u32 i = 0; i < n_byte;) {
    const u32 limit = n_byte - i < kMaxMatch ? n_byte - i : kMaxMatch;
    const u32 n_above = has_above ? match_length(row + i, n_byte, limit) : 0;
    const u32 n_left = i > kPixelBytes ? match_length(row + i, kPixelBytes, limit) : 0;
    const u32 n = n_above > n_left ? n_above : n_left;
    if (n < kMinMatch) {
      png.put_symbol(row[i++]);
      continue;
    }
    png.put_match(n, n_left == n ? kPixelBytes : n_byte);
    i += n;
  }
}

}  // namespace

u64 png_scratch_bytes(const CellScreen& screen) {
  return 2 * (1 + u64{kPixelBytes} * screen.picture_width());
}

u64 write_png(CellScreen& screen, Span<u8> scratch, Span<u8> out) {
  LBM_CHECK(scratch.size() >= png_scratch_bytes(screen));
  PngWriter png(out);
  png.put(Str("\x89PNG\r\n\x1a\n", 8));
  png.begin_chunk("IHDR");
  png.put_u32(screen.picture_width());
  png.put_u32(screen.picture_height());
  png.put(Str("\x08\x02\0\0\0",
              5));  // 8 bits each of red, green and blue; no interlace
  png.end_chunk();

  png.begin_chunk("IDAT");
  png.put(Str("\x78\x01", 2));  // zlib: deflate with a window of 32 KiB
  png.put_bits(1, 1);           // the last block,
  png.put_bits(1, 2);           // with the fixed code
  const u32 width = screen.picture_width();
  const u32 n_byte = 1 + kPixelBytes * width;
  u8* rows = scratch.data();
  u8* row = rows + n_byte;
  Adler adler;
  bool has_above = false;
  for (u32 cell_row = 0; cell_row < screen.n_cell_row(); ++cell_row) {
    const Span<const u32> pixels = screen.render_row(cell_row);
    for (u32 y = 0; y < screen.cell_height(); ++y) {
      __builtin_memcpy(rows, row, n_byte);
      row[0] = 0;  // no filter
      for (u32 x = 0; x < width; ++x) {
        const u32 pixel = pixels[usize{y} * width + x];
        row[1 + 3 * x] = static_cast<u8>(pixel >> 16);
        row[2 + 3 * x] = static_cast<u8>(pixel >> 8);
        row[3 + 3 * x] = static_cast<u8>(pixel);
      }
      adler.add({row, n_byte});
      put_row(png, rows, n_byte, has_above && n_byte <= 32768);
      has_above = true;
    }
  }
  png.put_symbol(kEndOfBlock);
  png.end_bits();
  png.put_u32(adler.value());
  png.end_chunk();
  png.begin_chunk("IEND");
  png.end_chunk();
  return png.size();
}

}  // namespace lbm
