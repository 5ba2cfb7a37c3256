#!/usr/bin/env python3
"""Plays a session on a whole machine in QEMU, typed over the serial port and on the keyboard, with every command there is.

  record_session.py                     plays it; transcripts and pictures of the display go to artifacts/session/
  record_session.py --list              the rows, and what they type

The stick is made as the release image is, with the default model and a tiny one made on the spot. It is started three times; what is
kept on it has to be there again. scripts/passes/session_rows.py has the rows. A command of /help that no row used is a failure.

Exit codes: 0 every row passed, 1 one did not, 2 usage.
"""

import argparse
import json
import re
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import List, Set

from make_image import plan_partitions
from passes.session_rows import AT_ONCE, BYTES, CONFIG, ENDED, FILES, KEPT_FILES, KEYBOARD, KEYS, SERIAL, STARTS, Row
from passes.tiny_model import write_tiny_model
from passes.voice import EXIT_FAILED, EXIT_PASSED, ROOT, Voice, shown_path, whole_number
from qemu_accel import choose_accelerator
from qemu_machine import Machine, MachineError, MachineOptions

DEFAULT_EFI = ROOT / "build" / "efi" / "BOOTX64.EFI"
DEFAULT_MODEL = ROOT / "models" / "cache" / "SmolLM2-135M-Instruct.Q4_1.gguf"
OUT = ROOT / "artifacts" / "session"
COMMAND_OF_HELP = re.compile(r"^  /(\w+) ", re.MULTILINE)
COMMAND_TYPED = re.compile(r"/(\w+)")
DRAWN_S = 0.4  # the screen is drawn, and QEMU has looked at it
KEY_NAMES = {" ": "spc", "/": "slash", "-": "minus", "_": "shift-minus", ".": "dot", ",": "comma", "?": "shift-slash"}


@dataclass
class Outcome:
    start: str
    name: str
    passed: bool
    detail: str
    seconds: float


class Player:
    """Plays rows on a machine; each looks only at what the program said after the row before."""

    def __init__(self, machine: Machine, timeout_s: float, pictures: Path):
        self.machine = machine
        self.timeout_s = timeout_s
        self.pictures = pictures
        self.at = 0

    def play(self, row: Row):
        """Errors: MachineError says what did not come."""
        self.give(row)
        for pattern in row.expect:
            self.at = self.machine.wait_for(pattern, self.timeout_s, self.at).end()
        if row.until == ENDED:
            code = self.machine.wait_exit(self.timeout_s)
            if code != 0:
                raise MachineError(f"the machine ended with exit code {code}")
        elif row.until != AT_ONCE:
            self.at = self.machine.wait_for(row.until, self.timeout_s, self.at).end()
        if row.picture:
            time.sleep(DRAWN_S)
            self.machine.screenshot(self.pictures / f"{row.picture}.png")

    def give(self, row: Row):
        if row.how == SERIAL:
            self.machine.type_line(row.typed)
        elif row.how == BYTES:
            self.machine.send(row.typed.encode("utf-8"))
        elif row.how == KEYBOARD:
            for character in row.typed:
                self.machine.press(KEY_NAMES.get(character, character))
            self.machine.press("ret")
        elif row.how == KEYS:
            for key in row.typed.split():
                self.machine.press(key)

    def recover(self):
        """After a row that failed: stops what runs and drops the line, so that the next row begins at a prompt."""
        if self.machine.running():
            self.machine.send(b"\x1b")
            time.sleep(1)
            self.machine.send(b"\x15\r")
            time.sleep(1)
        self.at = len(self.machine.log)


def commands_typed(row: Row) -> List[str]:
    """The name of the command that a row types, in a list, or none."""
    match = COMMAND_TYPED.match(row.typed) if row.how in (SERIAL, KEYBOARD) else None
    return [match.group(1)] if match else []


def make_stick(options, folder: Path) -> Path:
    """The image of a stick with both models. Errors: MachineError."""
    image = folder / "stick.img"
    config = folder / "repl.cfg"
    config.write_text(CONFIG, encoding="ascii")
    command = [sys.executable, str(ROOT / "scripts" / "make_image.py"), "--efi", str(options.efi), "--out", str(image),
               "--cfg", str(config), "--model", str(options.model), "--model", str(write_tiny_model(folder))]
    for name, text in FILES.items():
        (folder / name).write_text(text, encoding="ascii")
        command += ["--file", f"{name}={folder / name}"]
    made = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if made.returncode != 0:
        raise MachineError(f"the image could not be made: {made.stdout.strip()}")
    return image


def tell(voice: Voice, outcome: Outcome):
    detail = f": {outcome.detail}" if outcome.detail else ""
    voice.line(f"[{'OK' if outcome.passed else 'FAIL'}] {outcome.start}: {outcome.name}{detail}")


def play_row(player: Player, start: str, row: Row) -> Outcome:
    begin = time.monotonic()
    passed, detail = True, ""
    try:
        player.play(row)
    except MachineError as error:
        passed, detail = False, str(error)
        player.recover()
    return Outcome(start, row.name, passed, detail, round(time.monotonic() - begin, 2))


def play_start(start, machine_options: MachineOptions, options, voice: Voice) -> tuple:
    """One start of the machine: (outcomes of its rows, what the program said)."""
    outcomes: List[Outcome] = []
    machine = Machine(machine_options)
    try:
        with machine:
            player = Player(machine, options.timeout_sec, options.out)
            for row in start.rows:
                outcome = play_row(player, start.name, row)
                outcomes.append(outcome)
                tell(voice, outcome)
                if not machine.running() and row is not start.rows[-1]:
                    outcomes.append(Outcome(start.name, "the rows behind", False, "the machine is gone", 0.0))
                    break
    finally:
        # Also of a session that was broken off.
        (options.out / f"{start.name}.txt").write_text(machine.log, encoding="utf-8")
        (options.out / f"{start.name}.serial.txt").write_bytes(machine.serial_bytes)
    return outcomes, machine.log


def fetch_kept_files(image: Path, out: Path) -> Outcome:
    """What the program wrote for people to take away, from the STATE partition."""
    state = plan_partitions(image.stat().st_size)[1]
    missing = []
    for name in KEPT_FILES:
        copied = subprocess.run(["mcopy", "-n", "-o", "-i", f"{image}@@{state.start}", f"::/{name}", str(out / Path(name).name)],
                                stdin=subprocess.DEVNULL, capture_output=True, check=False)
        if copied.returncode != 0:
            missing.append(name)
    return Outcome("stick", "files to take away", not missing, f"not there: {', '.join(missing)}" if missing else "", 0.0)


def check_commands(help_text: str, used: Set[str]) -> Outcome:
    """Every command that /help lists was used."""
    known = set(COMMAND_OF_HELP.findall(help_text))
    left = sorted(known - used)
    ok = bool(known) and not left
    detail = "" if ok else f"never used: {', '.join(left)}" if known else "/help listed none"
    return Outcome("stick", f"each of the {len(known)} commands of /help was used", ok, detail, 0.0)


def record(options, voice: Voice) -> List[Outcome]:
    outcomes: List[Outcome] = []
    used: Set[str] = set()
    help_text = ""
    options.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="lbm-session-") as folder:
        image = make_stick(options, Path(folder))
        # What is written stays for the next start: the stick is ours.
        machine_options = MachineOptions(images=[image], memory="1G", drive_options="cache=unsafe")
        machine_options.accelerator = choose_accelerator(options.accel, MachineOptions())
        for start in STARTS:
            played, text = play_start(start, machine_options, options, voice)
            outcomes += played
            passed = {outcome.name for outcome in played if outcome.passed}
            used.update(name for row in start.rows if row.name in passed for name in commands_typed(row))
            help_text = help_text or text
        outcomes.append(fetch_kept_files(image, options.out))
    outcomes.append(check_commands(help_text, used))
    for outcome in outcomes[-2:]:
        tell(voice, outcome)
    return outcomes


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--list", action="store_true", help="list the rows and stop")
    parser.add_argument("--efi", type=Path, default=DEFAULT_EFI, help="the application (default: build/efi/BOOTX64.EFI)")
    parser.add_argument("--model", type=Path, default=DEFAULT_MODEL, help="the model that answers (default: the default model)")
    parser.add_argument("--out", type=Path, default=OUT, help="where transcripts and pictures go (default: artifacts/session)")
    parser.add_argument("--accel", default="auto", help="auto, kvm, tcg, or what QEMU's -accel takes (default: auto)")
    parser.add_argument("--timeout-sec", type=whole_number(5, 600), default=60, metavar="N", help="of a row, 5..600 (default: 60)")
    parser.add_argument("--json", action="store_true", help="the result as one JSON object on stdout, all else on stderr")
    return parser


def main(arguments) -> int:
    options = build_parser().parse_args(arguments)
    if options.list:
        for start in STARTS:
            for row in start.rows:
                print(f"{start.name:<7} {row.how:<9} {row.name:<50} {row.typed!r}")
        return EXIT_PASSED
    voice = Voice("session", options.json)
    for path, way_out in ((options.efi, "build it with: make efi"), (options.model, "fetch it with: make model")):
        if not path.is_file():
            voice.fail(f"there is no {path}; {way_out}")
            return EXIT_FAILED
    begin = time.monotonic()
    try:
        outcomes = record(options, voice)
    except MachineError as error:
        voice.fail(str(error))
        return EXIT_FAILED
    n_failed = sum(not outcome.passed for outcome in outcomes)
    voice.line(f"{time.monotonic() - begin:.0f} s; transcripts and pictures: {shown_path(options.out)}")
    voice.line(f"{len(outcomes) - n_failed} passed, {n_failed} failed")
    voice.result({"pass": n_failed == 0, "passed": len(outcomes) - n_failed, "failed": n_failed, "rows": [vars(o) for o in outcomes]})
    return EXIT_FAILED if n_failed else EXIT_PASSED


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that a machine that runs is ended, too
    sys.exit(main(sys.argv[1:]))
