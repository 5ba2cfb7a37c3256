"""The screen and the keyboard of a whole machine: the UEFI application under QEMU, typed at, photographed.

Needs QEMU, OVMF and the application; EFI names it (run_tests.py does). No model: the prompt is enough to type at.
"""

import os
import re
import struct
import sys
import tempfile
import time
import unittest
import zlib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))
from qemu_machine import Machine, MachineOptions  # noqa: E402

EFI = Path(os.environ.get("EFI", ROOT / "build" / "efi" / "BOOTX64.EFI"))
TIMEOUT_S = 180
PROMPT = r"llmk> "

# Colours of core/screen/theme.cpp: text background, bar background.
DARK = (0x11151A, 0x252D37)
LIGHT = (0xFAFAF7, 0xDFE3E0)

# Keys by QEMU's names, and what they are on a German keyboard: letters that changed places, umlauts, Shift, AltGr, what the
# key beside Shift has, dead accents.
GERMAN = (("z", "y"), ("y", "z"), ("shift-z", "Y"), ("semicolon", "\u00f6"), ("shift-bracket_left", "\u00dc"), ("minus", "\u00df"),
          ("shift-minus", "?"), ("shift-7", "/"), ("backslash", "#"), ("alt_r-q", "@"), ("alt_r-e", "\u20ac"), ("alt_r-7", "{"),
          ("alt_r-comma", "<"), ("alt_r-slash", "|"), ("equal e", "\u00e9"), ("grave_accent spc", "^"))


def read_png(path):
    """(width, height, pixel(x, y) -> 0xRRGGBB) of a PNG of 8-bit RGB."""
    data = path.read_bytes()
    at, body, width, height = 8, b"", 0, 0
    while at < len(data):
        (length,) = struct.unpack_from(">I", data, at)
        kind, chunk = data[at + 4:at + 8], data[at + 8:at + 8 + length]
        if kind == b"IHDR":
            width, height, depth, colour = struct.unpack_from(">IIBB", chunk)
            assert (depth, colour) == (8, 2), "not 8-bit RGB"
        elif kind == b"IDAT":
            body += chunk
        at += 12 + length
    raw, stride, rows, above = zlib.decompress(body), 3 * width, [], bytes(3 * width)
    for y in range(height):
        kind, row = raw[y * (stride + 1)], bytearray(raw[y * (stride + 1) + 1:(y + 1) * (stride + 1)])
        for i in range(stride):
            left, up = row[i - 3] if i >= 3 else 0, above[i]
            corner = above[i - 3] if i >= 3 else 0
            if kind == 1:
                row[i] = (row[i] + left) & 0xFF
            elif kind == 2:
                row[i] = (row[i] + up) & 0xFF
            elif kind == 3:
                row[i] = (row[i] + (left + up) // 2) & 0xFF
            elif kind == 4:
                guess = left + up - corner
                best = min((left, up, corner), key=lambda value: abs(guess - value))
                row[i] = (row[i] + best) & 0xFF
        rows.append(bytes(row))
        above = rows[-1]
    return width, height, lambda x, y: int.from_bytes(rows[y][3 * x:3 * x + 3], "big")


@unittest.skipUnless(EFI.is_file(), f"{EFI} is not built")
class ScreenMachineTest(unittest.TestCase):
    def boot(self, *settings, extra=()):
        files = {"opt/lbm/set": "".join(f"{setting}\n" for setting in settings).encode()} if settings else {}
        machine = self.enterContext_(Machine(MachineOptions(kernel=EFI, files=files, extra=list(extra))))
        self.at = machine.wait_for(PROMPT, TIMEOUT_S).end()
        return machine

    def enterContext_(self, manager):  # unittest has it from Python 3.11 on
        value = manager.__enter__()
        self.addCleanup(manager.__exit__, None, None, None)
        return value

    def photograph(self, machine, until):
        """Photographs until the picture is as wanted: drawing and QEMU's own copy of the display take their time."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "screen.png"
            for _ in range(60):
                machine.screenshot(path)
                width, height, pixel = read_png(path)
                if until(width, height, pixel):
                    return True
                time.sleep(0.5)
        return False

    def test_a_german_keyboard_beside_a_serial_terminal(self):
        machine = self.boot("keymap=de", "theme=light")
        for keys, _ in GERMAN:
            for key in keys.split():
                machine.press(key)
                time.sleep(0.1)
        machine.wait_for(re.escape("".join(text for _, text in GERMAN)), TIMEOUT_S, self.at)
        machine.press("ctrl-u")
        # A terminal sends characters; no keymap is theirs.
        machine.type_line("/set zyzzy")
        machine.wait_for(re.escape("zyzzy"), TIMEOUT_S, self.at)
        self.assertTrue(self.photograph(machine, lambda width, height, pixel: (
            pixel(width // 2, 1) == LIGHT[1] and pixel(width - 1, height // 2) == LIGHT[0])), "the light theme")

    def test_the_keys_of_the_screen(self):
        machine = self.boot()

        def bars(cell_height):
            return lambda width, height, pixel: (
                pixel(width // 2, cell_height - 1) == DARK[1] and pixel(width // 2, cell_height + 8) == DARK[0])

        self.assertTrue(self.photograph(machine, bars(16)), "the status bar, in the small font")
        machine.type_line("/help")
        machine.type_line("/help")
        self.at = machine.wait_for(PROMPT, TIMEOUT_S, self.at).end()
        self.at = machine.wait_for(PROMPT, TIMEOUT_S, self.at).end()
        machine.press("pgup")  # the key bar says how much is below: lighter cells from its first column on
        self.assertTrue(self.photograph(machine, lambda width, height, pixel: (
            pixel(0, height - 1) == 0x3A4654 and pixel(width - 1, height - 1) == DARK[1])), "scrolled back")
        machine.press("f4")
        self.assertTrue(self.photograph(machine, lambda width, height, pixel: (
            pixel(width // 2, 27) == DARK[1] and pixel(0, 0) == DARK[0])), "the next font, 12x24, in the middle of the display")
        machine.press("f10")  # there is nowhere to put it, which is said and does no harm
        machine.type_line("/version")
        machine.wait_for(r"host uefi", TIMEOUT_S, self.at)

    def test_without_a_display(self):
        machine = self.boot(extra=["-vga", "none"])
        machine.press("v")  # the keyboard is still there
        machine.press("backspace")
        machine.type_line("/version")
        machine.wait_for(r"host uefi", TIMEOUT_S, self.at)
        machine.wait_for(r"host uefi", TIMEOUT_S, 0, "serial")
        self.assertNotIn("GiB free", machine.serial)  # no bars there


if __name__ == "__main__":
    unittest.main()
