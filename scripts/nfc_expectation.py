#!/usr/bin/env python3
"""Prints the numbers that tests/base/unicode_normalize_test.cpp expects, computed with Python's unicodedata.

The normalization of assigned characters never changes from one version of Unicode to the next, so any Python gives the
same numbers as long as no code point of the test is newer than its database (15.0 added none that normalization changes).
"""
import unicodedata

RANGES = [(0x300, 0x70), (0xC0, 0x180), (0x1E00, 0x200), (0xAC00, 11172), (0x1100, 0x13), (0x1161, 0x15), (0x11A7, 0x1C),
          (ord("a"), 26), (0x5B0, 0x10), (0x915, 0x25), (0x93C, 1), (0x1D15E, 7)]
BASIS, PRIME, MASK = 0x811C9DC5, 0x01000193, 0xFFFFFFFF


def add(value, text):
    for byte in text.encode() + b"\xff":
        value = (value ^ byte) * PRIME & MASK
    return value


class Pcg32:
    """core/base/pcg32.h"""

    def __init__(self, seed, stream):
        self.state, self.increment = 0, stream << 1 | 1
        self.next()
        self.state = (self.state + seed) % 2**64
        self.next()

    def next(self):
        old = self.state
        self.state = (old * 6364136223846793005 + self.increment) % 2**64
        shifted = ((old >> 18 ^ old) >> 27) & MASK
        rotation = old >> 59
        return (shifted >> rotation | shifted << (-rotation & 31)) & MASK


def main():
    value, changed = BASIS, 0
    for code in range(0x110000):
        if 0xD800 <= code < 0xE000:
            continue
        text = unicodedata.normalize("NFC", chr(code))
        if text != chr(code):
            changed += 1
            value = add(value, text)
    print(f"changed {changed}, hash 0x{value:08X}")
    random, value = Pcg32(7, 11), BASIS
    for _ in range(20000):
        text = ""
        for _ in range(random.next() % 12):
            first, n = RANGES[random.next() % len(RANGES)]
            text += chr(first + random.next() % n)
        value = add(value, unicodedata.normalize("NFC", text))
    print(f"random 0x{value:08X}")


if __name__ == "__main__":
    main()
