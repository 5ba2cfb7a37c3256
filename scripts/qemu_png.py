"""Screens of QEMU as PNG files, with the standard library alone."""

import struct
import zlib


def png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def ppm_to_png(ppm: bytes) -> bytes:
    """A binary PPM (P6, 8 bits) as PNG. Errors: ValueError."""
    fields = []
    at = 0
    while len(fields) < 4:  # magic, width, height, largest value, with comments between
        while at < len(ppm) and ppm[at:at + 1].isspace():
            at += 1
        if ppm[at:at + 1] == b"#":
            at = ppm.find(b"\n", at)
            if at < 0:
                raise ValueError("a PPM header that does not end")
            continue
        end = at
        while end < len(ppm) and not ppm[end:end + 1].isspace():
            end += 1
        if end == at:
            raise ValueError("a PPM header that does not end")
        fields.append(ppm[at:end])
        at = end
    at += 1
    if fields[0] != b"P6" or fields[3] != b"255":
        raise ValueError("not a binary PPM of 8 bits")
    width, height = int(fields[1]), int(fields[2])
    pixels = ppm[at:at + width * height * 3]
    if len(pixels) != width * height * 3:
        raise ValueError("a PPM that ends too early")
    # Every row starts with its filter: 0, none.
    rows = b"".join(b"\0" + pixels[row * width * 3:(row + 1) * width * 3] for row in range(height))
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + png_chunk(b"IDAT", zlib.compress(rows, 6)) +
            png_chunk(b"IEND", b""))
