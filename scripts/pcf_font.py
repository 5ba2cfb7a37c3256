"""Reads bitmap fonts in the PCF form of X11, as Debian's font packages have them. Used by pack_font.py and gen_font.py.

Source: the format as libXfont reads it (bitmap/pcfread.c). A file is a table of contents and tables; here metrics, bitmaps
and encodings are needed. Each table says its own byte order.
"""

import gzip
import struct
from pathlib import Path

METRICS, BITMAPS, ENCODINGS = 1 << 2, 1 << 3, 1 << 5
BIG_ENDIAN, MOST_SIGNIFICANT_BIT_FIRST, COMPRESSED = 1 << 2, 1 << 3, 1 << 8
NO_GLYPH = 0xFFFF


class FontError(Exception):
    """What is wrong with the file."""


class Pcf:
    """The characters of a file: `rows(codepoint)`."""

    def __init__(self, path: Path):
        data = path.read_bytes()
        self.data = gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data
        if self.data[:4] != b"\x01fcp":
            raise FontError(f"{path}: not a PCF font")
        (count,) = struct.unpack_from("<I", self.data, 4)
        self.tables = {kind: (form, offset) for kind, form, _, offset in
                       struct.iter_unpack("<4I", self.data[8:8 + 16 * count])}
        self.metrics = self._read_metrics()
        self.bitmap_at, self.row_pad, self.bitmaps = self._read_bitmaps()
        self.glyph_of = self._read_encodings()

    def _table(self, kind):
        form, offset = self.tables[kind]
        return form, ">" if form & BIG_ENDIAN else "<", offset + 4

    def _read_metrics(self):
        """(left bearing, right bearing, advance, ascent, descent) of each glyph."""
        form, order, at = self._table(METRICS)
        if form & COMPRESSED:
            (count,) = struct.unpack_from(order + "H", self.data, at)
            return [tuple(value - 0x80 for value in self.data[at + 2 + 5 * i:at + 7 + 5 * i]) for i in range(count)]
        (count,) = struct.unpack_from(order + "I", self.data, at)
        return [struct.unpack_from(order + "5h", self.data, at + 4 + 12 * i) for i in range(count)]

    def _read_bitmaps(self):
        form, order, at = self._table(BITMAPS)
        if not form & MOST_SIGNIFICANT_BIT_FIRST or (form >> 4 & 3) != 0 and not form & BIG_ENDIAN:
            raise FontError("bits in an order that is not read here")
        (count,) = struct.unpack_from(order + "I", self.data, at)
        offsets = struct.unpack_from(f"{order}{count}I", self.data, at + 4)
        sizes = struct.unpack_from(order + "4I", self.data, at + 4 + 4 * count)
        begin = at + 4 + 4 * count + 16
        return offsets, 1 << (form & 3), self.data[begin:begin + sizes[form & 3]]

    def _read_encodings(self):
        _, order, at = self._table(ENCODINGS)
        first_low, last_low, first_high, last_high, _ = struct.unpack_from(order + "5H", self.data, at)
        width = last_low - first_low + 1
        count = width * (last_high - first_high + 1)
        glyphs = struct.unpack_from(f"{order}{count}H", self.data, at + 10)
        return {(first_high + i // width) << 8 | (first_low + i % width): glyph
                for i, glyph in enumerate(glyphs) if glyph != NO_GLYPH}

    def advance(self, codepoint):
        return self.metrics[self.glyph_of[codepoint]][2]

    def rows(self, codepoint, width, height, ascent):
        """The glyph in a cell of width x height pixels whose baseline is `ascent` rows down: an integer a row, the leftmost
        pixel in bit width-1."""
        glyph = self.glyph_of[codepoint]
        left, right, _, above, below = self.metrics[glyph]
        ink = right - left
        n_byte = -(-ink // (8 * self.row_pad)) * self.row_pad if ink > 0 else 0
        cell = [0] * height
        for i in range(above + below):
            y = ascent - above + i
            at = self.bitmap_at[glyph] + i * n_byte
            bits = int.from_bytes(self.bitmaps[at:at + n_byte], "big") >> (8 * n_byte - ink) if n_byte else 0
            shift = width - left - ink
            if 0 <= y < height:
                cell[y] |= (bits << shift if shift >= 0 else bits >> -shift) & ((1 << width) - 1)
        return cell

    def ascent(self, height):
        """Rows above the baseline in a cell of this height: what the full-height glyphs have."""
        return max(above for _, _, _, above, below in self.metrics if above + below <= height)
