"""A terminal on the serial port of a machine, for `qemu.py run`.

The user's terminal and the firmware's differ in some keys: the firmware reads PC-ANSI, where Backspace is 0x08 and
Delete is ESC [ X; today's terminals send 0x7f and ESC [ 3 ~. Keys are translated on the way in; what comes out goes
through as it is.
"""

import os
import re
import select
import sys

EXIT_KEY = 0x1D  # Ctrl-]
EXIT_KEY_NAME = "Ctrl-]"

# What terminals send -> what PC-ANSI firmware reads.
KEYS = {
    b"\x7f": b"\x08",        # Backspace
    b"\x1b[3~": b"\x1b[X",   # Delete
    b"\x1b[1~": b"\x1b[H", b"\x1b[7~": b"\x1b[H", b"\x1bOH": b"\x1b[H",   # Home
    b"\x1b[4~": b"\x1b[F", b"\x1b[8~": b"\x1b[F", b"\x1bOF": b"\x1b[F",   # End
    b"\x1b[5~": b"\x1b[I", b"\x1b[6~": b"\x1b[G",                         # PgUp, PgDn
    b"\x1bOA": b"\x1b[A", b"\x1bOB": b"\x1b[B", b"\x1bOC": b"\x1b[C", b"\x1bOD": b"\x1b[D",  # application cursor keys
    b"\x1b[1;5C": b"\x1b[C", b"\x1b[1;5D": b"\x1b[D",                     # with Ctrl: the key itself
}
KEY_PATTERN = re.compile(b"|".join(re.escape(key) for key in sorted(KEYS, key=len, reverse=True)))


def translate_keys(data: bytes) -> bytes:
    """Terminals send a key in one piece, so a sequence is not split between two reads."""
    return KEY_PATTERN.sub(lambda match: KEYS[match.group()], data)


def write_all(descriptor: int, data: bytes):
    while data:
        data = data[os.write(descriptor, data):]


class RawTerminal:
    """Keys one by one and unchanged, while the `with` block lasts. Does nothing when stdin is no terminal."""

    def __enter__(self):
        self._saved = None
        if sys.stdin.isatty():
            import termios
            import tty
            self._saved = termios.tcgetattr(sys.stdin)
            tty.setraw(sys.stdin)
        return self

    def __exit__(self, *_):
        if self._saved is not None:
            import termios
            termios.tcsetattr(sys.stdin, termios.TCSADRAIN, self._saved)
            # The program may have left a colour behind.
            write_all(sys.stdout.fileno(), b"\x1b[0m\r\n")


def pump(machine):
    """Carries keys to the machine until it ends or the exit key is pressed. The end of piped input is not the end."""
    source = sys.stdin.fileno()
    is_terminal = sys.stdin.isatty()
    open_input = True
    while machine.running():
        ready, _, _ = select.select([source] if open_input else [], [], [], 0.2)
        if not ready:
            continue
        data = os.read(source, 4096)
        if not data:
            open_input = False
            continue
        if is_terminal and EXIT_KEY in data:
            data = data[:data.index(EXIT_KEY)]
            open_input = False
            if not data:
                return
        try:
            machine.send(translate_keys(data) if is_terminal else data.replace(b"\n", b"\r"))
        except OSError:
            return  # the machine is about to end
        if is_terminal and not open_input:
            return
