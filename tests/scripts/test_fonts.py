"""The scripts that make fonts: a made-up PCF font is read, packed, and turned into a source file."""

import gzip
import hashlib
import io
import struct
import tempfile
import unittest
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import scripts_path  # noqa: F401  (finds the scripts)
import gen_font
import pack_font
import pcf_font

FORMAT = pcf_font.BIG_ENDIAN | pcf_font.MOST_SIGNIFICANT_BIT_FIRST | 2  # rows padded to 4 bytes
ASCENT, DESCENT = 12, 4


def make_pcf(path, glyphs, compress=True):
    """`glyphs`: code point -> (width, rows as integers). Each has the whole height of a cell of 16 rows."""
    metrics = struct.pack(">I", FORMAT) + struct.pack(">I", len(glyphs))
    bitmaps, offsets = b"", []
    for width, rows in glyphs.values():
        metrics += struct.pack(">6h", 0, width, width, ASCENT, DESCENT, 0)
        offsets.append(len(bitmaps))
        for row in rows:
            bitmaps += (row << (32 - width)).to_bytes(4, "big")
    bitmap_table = struct.pack(">I", FORMAT) + struct.pack(">I", len(glyphs))
    bitmap_table += struct.pack(f">{len(glyphs)}I", *offsets) + struct.pack(">4I", 0, 0, len(bitmaps), 0) + bitmaps
    cells = [0xFFFF] * 0x10000
    for glyph, codepoint in enumerate(glyphs):
        cells[codepoint] = glyph
    encodings = struct.pack(">I", FORMAT) + struct.pack(">5H", 0, 0xFF, 0, 0xFF, 0) + struct.pack(">65536H", *cells)
    tables = {pcf_font.METRICS: metrics, pcf_font.BITMAPS: bitmap_table, pcf_font.ENCODINGS: encodings}
    for kind in tables:  # the byte order of the table is told in the table of contents, little-endian
        tables[kind] = struct.pack("<I", FORMAT) + tables[kind][4:]
    at, contents, body = 8 + 16 * len(tables), b"", b""
    for kind, table in tables.items():
        contents += struct.pack("<4I", kind, FORMAT, len(table), at + len(body))
        body += table
    data = b"\x01fcp" + struct.pack("<I", len(tables)) + contents + body
    path.write_bytes(gzip.compress(data) if compress else data)


def narrow(seed):
    return 8, [(seed * 7 + y * 13) & 0xFF for y in range(16)]


class FontsTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.pcf = self.folder / "font.pcf.gz"
        wide = (16, [(y * 0x1357) & 0xFFFF for y in range(16)])
        self.glyphs = {0x41: narrow(1), 0x42: narrow(2), 0xE4: narrow(3), 0x4E00: wide, 0x07: narrow(4), 0x80: narrow(5)}
        make_pcf(self.pcf, self.glyphs)

    def run_main(self, main, *arguments):
        out, err = io.StringIO(), io.StringIO()
        with redirect_stdout(out), redirect_stderr(err):
            code = main([str(argument) for argument in arguments])
        return code, out.getvalue() + err.getvalue()

    def test_a_packed_font_has_every_pixel(self):
        out = self.folder / "x.lbmfont"
        code, text = self.run_main(pack_font.main, "--pcf", self.pcf, "--out", out)
        self.assertEqual((code, "4 characters" in text), (0, True))
        data = out.read_bytes()
        magic, version, width, height, n_range, n_bitmap, reserved = struct.unpack_from("<8sHBBIII", data)
        self.assertEqual((magic, version, width, height, reserved), (b"LBMFONT\0", 1, 8, 16, 0))
        self.assertEqual(data[24:56], hashlib.sha256(data[56:]).digest())
        ranges = [struct.unpack_from("<4I", data, 56 + 16 * i) for i in range(n_range)]
        # No control characters; neighbours are one range.
        self.assertEqual([entry[:3] for entry in ranges], [(0x41, 2, 1), (0xE4, 1, 1), (0x4E00, 1, 2)])
        bitmaps = data[56 + 16 * n_range:]
        self.assertEqual(len(bitmaps), n_bitmap)
        self.assertEqual(list(bitmaps[16:32]), self.glyphs[0x42][1])
        at = ranges[2][3]
        self.assertEqual([int.from_bytes(bitmaps[at + 2 * y:at + 2 * y + 2], "big") for y in range(16)], self.glyphs[0x4E00][1])

    def test_files_that_are_not_compressed_are_read_too(self):
        plain = self.folder / "font.pcf"
        make_pcf(plain, self.glyphs, compress=False)
        one, two = self.folder / "1", self.folder / "2"
        self.run_main(pack_font.main, "--pcf", self.pcf, "--out", one)
        self.run_main(pack_font.main, "--pcf", plain, "--out", two)
        self.assertEqual(one.read_bytes(), two.read_bytes())

    def test_what_is_no_font_is_refused(self):
        self.pcf.write_bytes(b"not a font at all")
        code, text = self.run_main(pack_font.main, "--pcf", self.pcf, "--out", self.folder / "x")
        self.assertEqual((code, "not a PCF font" in text), (1, True))
        code, text = self.run_main(pack_font.main, "--pcf", self.folder / "none", "--out", self.folder / "x")
        self.assertEqual((code, "apt install xfonts-unifont" in text), (1, True))
        self.assertFalse((self.folder / "x").exists())

    def test_the_source_has_the_packed_fonts(self):
        for name, _, _ in gen_font.FONTS:
            make_pcf(self.folder / name, self.glyphs)
        out = self.folder / "new" / "font.cpp"
        code, _ = self.run_main(gen_font.main, "--folder", self.folder, "--out", out)
        self.assertEqual(code, 0)
        text = out.read_text()
        self.assertIn("constexpr u8 kFont8x16[", text)
        self.assertIn("if (index == 2) return kFont16x32;", text)
        packed = pack_font.pack(pack_font.read_glyphs(pcf_font.Pcf(self.pcf), 8, 16), 8, 16)
        self.assertIn(f"kFont8x16[{len(packed)}]", text)
        self.assertIn(", ".join(f"{byte:#04x}" for byte in packed[:20]), text)

    def test_a_missing_package_is_named(self):
        code, text = self.run_main(gen_font.main, "--folder", self.folder / "none", "--out", self.folder / "font.cpp")
        self.assertEqual((code, "xfonts-terminus" in text, "make deps" in text), (1, True, True))


if __name__ == "__main__":
    unittest.main()
