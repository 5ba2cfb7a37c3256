#!/usr/bin/env python3
"""Packs a bitmap font for the screen of llm-baremetal (docs/formats/font.md).

  pack_font.py [--pcf FILE] [--out unifont.lbmfont] [--cell 8x16]

Without --pcf it takes GNU Unifont (Debian: apt install xfonts-unifont), which has a glyph for every character of Unicode's
first plane. Copy the file to fonts/ on the stick: with it, Chinese, Japanese, Korean, Indic and many other scripts show.

Characters that are wider than a cell take two, as they do on the screen.

Exit codes: 0 written, 1 the font is missing or not what it should be, 2 usage.
"""

import argparse
import hashlib
import struct
import sys
from pathlib import Path

from pcf_font import FontError, Pcf

UNIFONT = (Path("/usr/share/fonts/X11/misc/unifont.pcf.gz"),)
MAGIC, VERSION, HEADER_BYTES = b"LBMFONT\0", 1, 56


def pack(glyphs, width, height) -> bytes:
    """`glyphs`: code point -> (cells, rows as integers). The file."""
    ranges, bitmaps = [], bytearray()
    for codepoint in sorted(glyphs):
        cells, rows = glyphs[codepoint]
        if ranges and ranges[-1][0] + ranges[-1][1] == codepoint and ranges[-1][2] == cells:
            ranges[-1][1] += 1
        else:
            ranges.append([codepoint, 1, cells, len(bitmaps)])
        row_bytes = (cells * width + 7) // 8
        for row in rows:
            bitmaps += (row << (8 * row_bytes - cells * width)).to_bytes(row_bytes, "big")
    body = b"".join(struct.pack("<4I", *entry) for entry in ranges) + bytes(bitmaps)
    header = MAGIC + struct.pack("<HBBIII", VERSION, width, height, len(ranges), len(bitmaps), 0)
    return header + hashlib.sha256(body).digest() + body


def read_glyphs(pcf: Pcf, width, height, keep=lambda codepoint: True):
    """The characters of a font for cells of width x height; those wider than a cell take two."""
    ascent = pcf.ascent(height)
    glyphs = {}
    for codepoint in pcf.glyph_of:
        if codepoint < 0x20 or 0x7F <= codepoint < 0xA0 or not keep(codepoint):
            continue
        cells = 2 if pcf.advance(codepoint) > width else 1
        glyphs[codepoint] = (cells, pcf.rows(codepoint, cells * width, height, ascent))
    return glyphs


def main(arguments) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pcf", type=Path, help="the font to pack (default: GNU Unifont)")
    parser.add_argument("--out", type=Path, default=Path("unifont.lbmfont"))
    parser.add_argument("--cell", default="8x16", help="pixels of a cell (default: 8x16)")
    options = parser.parse_args(arguments)
    source = options.pcf or next((path for path in UNIFONT if path.is_file()), None)
    if source is None or not source.is_file():
        print(f"pack_font: {source or UNIFONT[0]}: there is no such font. On Debian: apt install xfonts-unifont", file=sys.stderr)
        return 1
    try:
        width, height = (int(part) for part in options.cell.split("x"))
    except ValueError:
        parser.error(f"--cell {options.cell}: give width x height, like 8x16")
    try:
        glyphs = read_glyphs(Pcf(source), width, height)
        if not glyphs:
            raise FontError(f"{source}: no characters")
    except (FontError, KeyError, struct.error) as error:
        print(f"pack_font: {source}: {error}", file=sys.stderr)
        return 1
    data = pack(glyphs, width, height)
    options.out.write_bytes(data)
    print(f"{options.out}: {len(glyphs)} characters, {len(data)} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
