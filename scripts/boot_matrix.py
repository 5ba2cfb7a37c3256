#!/usr/bin/env python3
"""The boot matrix: many machines in QEMU, each of which has to end in a chat or in a named refusal.

  boot_matrix.py                all rows, one machine after the other
  boot_matrix.py --short        some of them, for CI
  boot_matrix.py --row NAME     this one; may be given again
  boot_matrix.py --list         their names, and what they are

Every machine boots the same application from a disk made as the release image is, with a tiny model made on the spot. A chat is an
answer; its run digest has to be the same on all machines (and that of lbm, where it is built). What each machine said is kept in
artifacts/boot-matrix/NAME.log. scripts/passes/matrix_rows.py has the rows.

Exit codes: 0 every row ended as it should, 1 one did not, 2 usage.
"""

import argparse
import json
import mmap
import re
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, List, Optional

from passes.matrix_rows import DIGEST, FIRMWARE, PROMPT, ROWS, Row
from passes.tiny_model import NAME, write_tiny_model, write_tiny_model_as, write_zero_model
from passes.voice import EXIT_FAILED, EXIT_PASSED, ROOT, PassFailed, Voice, shown_path, whole_number
from qemu_accel import choose_accelerator
from qemu_chat import BootVolume, fill_boot_folder
from qemu_machine import Machine, MachineError, MachineOptions

DEFAULT_EFI = ROOT / "build" / "efi" / "BOOTX64.EFI"
LOGS = ROOT / "artifacts" / "boot-matrix"
N_TOKEN = 8
CONFIG = f"temp=0\nseed=1\nmax_tokens={N_TOKEN}\nstats=1\ndigest=1\n"

# Contents that are the tiny model in another format. Its vocabulary may be another there, and so is its answer then.
FORMS = ("split", "slm", "llama2c")

PASSED = "passed"
FAILED = "failed"
SKIPPED = "skipped"


@dataclass
class Outcome:
    name: str
    state: str
    detail: str
    seconds: float
    digest: Optional[str] = None


class Contents:
    """The disks that rows boot from, made when first asked for. Machines work on snapshots, so a disk serves many rows."""

    def __init__(self, efi: Path, folder: Path):
        self.efi = efi
        self.folder = folder
        self.tiny = write_tiny_model(folder)
        self._volumes: Dict[str, BootVolume] = {}
        self._forms: Dict[str, List[Path]] = {}

    def volume(self, name: str, models: List[Path]) -> BootVolume:
        """A bootable disk with these models."""
        if name not in self._volumes:
            self._volumes[name] = BootVolume(self.efi, models, CONFIG)
        return self._volumes[name]

    def form(self, name: str) -> List[Path]:
        """The files of the tiny model in another format."""
        if name not in self._forms:
            folder = self.folder / f"form-{name}"
            folder.mkdir()
            self._forms[name] = write_tiny_model_as(folder, name)
        return self._forms[name]

    def model_of(self, row: Row) -> Path:
        """The file that the row's first answer comes from."""
        return self.form(row.content)[0] if row.content in FORMS else self.tiny

    def in_folder(self, name: str, model: Path) -> Path:
        """A folder that QEMU shows as a bootable disk: no copy of a large sparse file is made."""
        root = self.folder / name
        if not root.is_dir():
            fill_boot_folder(root, self.efi, [model], {"repl.cfg": CONFIG.encode("ascii")})
        return root

    def attach(self, row: Row, options: MachineOptions):
        """Puts the disks of a row into the options of its machine."""
        if row.content == "too-large":
            options.folders = [self.in_folder("too-large", write_zero_model(self.folder, "large.gguf", 2048))]  # 268 MB
        elif row.content == "slow":
            options.folders = [self.in_folder("slow", write_zero_model(self.folder, "slow.gguf", 1024))]  # 67 MB
        elif row.content == "folder":
            options.folders = [self.in_folder("folder", self.tiny)]
        elif row.content == "cut-off":
            cut = self.folder / "cut.gguf"
            cut.write_bytes(self.tiny.read_bytes()[:-100_000])
            options.images = self.volume("cut-off", [cut]).images
        elif row.content in FORMS:
            options.images = self.volume(row.content, self.form(row.content)).images
        elif row.content in ("none", "second-only"):
            options.images = self.volume("none", []).images
        else:
            options.images = self.volume("tiny", [self.tiny]).images
        if row.content in ("two-volumes", "second-only"):
            options.folders = [self.other_volume(row.content, NAME if row.content == "second-only" else "other.gguf")]
        if row.fault:
            options.faults = self.fault_rules(options.images[0], row.fault)

    def other_volume(self, name: str, model_name: str) -> Path:
        """A volume that holds one model and boots nothing."""
        models = self.folder / name / "models"
        if not models.is_dir():
            models.mkdir(parents=True)
            write_tiny_model(models, model_name, 1 if model_name == NAME else 2)
        return models.parent

    def fault_rules(self, image: Path, kind: str) -> Path:
        """blkdebug rules by which reading one sector in the middle of the model's weights fails."""
        model = self.tiny.read_bytes()
        with open(image, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as disk:
            at = disk.find(model[len(model) // 2:][:64])
        if at < 0:
            raise PassFailed("the model was not found on the image")
        rules = self.folder / f"faults-{kind}.conf"
        rules.write_text(f'[inject-error]\nevent = "read_aio"\nerrno = "5"\nsector = "{at // 512}"\n'
                         + ('once = "on"\n' if kind == "once" else ""), encoding="ascii")
        return rules

    def remove(self):
        for volume in self._volumes.values():
            volume.remove()


# ---- one row -------------------------------------------------------------------------------------------------------------


def machine_options(row: Row, contents: Contents, accel: str) -> MachineOptions:
    options = MachineOptions(disk=row.disk, memory=row.memory, cpu=row.cpu, n_core=row.n_core, machine=row.machine, vga=row.vga,
                             serial_port=row.serial_port, drive_options=row.drive_options, extra=list(row.extra))
    if row.firmware:
        options.firmware = Path(FIRMWARE[row.firmware])
    contents.attach(row, options)
    # Found by trying, once: the machine that was tried has no SMM and no old firmware.
    options.accelerator = choose_accelerator(accel, MachineOptions())
    return options


KEY_NAMES = {"/": "slash", " ": "spc", "-": "minus"}


def unplug_usb_disk(machine: Machine):
    """Takes out the first USB disk. Its device has no name of ours, so it is looked for."""
    devices = machine.qmp("qom-list", path="/machine/peripheral-anon")
    disk = next(device["name"] for device in devices if device["type"] == "child<usb-storage>")
    machine.qmp("device_del", id=f"/machine/peripheral-anon/{disk}")


class Dialog:
    """The steps of a row on its machine; each looks at what came after the one before."""

    def __init__(self, machine: Machine, deadline: float):
        self.machine = machine
        self.deadline = deadline
        self.at = {"log": 0, "serial": 0}
        self.digests: List[str] = []

    def left_s(self) -> float:
        return max(0.0, self.deadline - time.monotonic())

    def wait(self, pattern: str, source: str):
        match = self.machine.wait_for(pattern, self.left_s(), self.at[source], source)
        self.at[source] = match.end()
        if pattern == DIGEST:
            self.digests.append(match.group("digest"))

    def step(self, kind: str, argument=None):
        if kind == "wait":
            self.wait(argument, "log")
        elif kind == "serial":
            self.wait(argument, "serial")
        elif kind == "type":
            self.machine.type_line(argument)
        elif kind == "keys":
            for character in argument:
                self.machine.press(KEY_NAMES.get(character, character))
            self.machine.press("ret")
        elif kind == "unplug":
            unplug_usb_disk(self.machine)
        elif kind == "sleep":
            time.sleep(argument)
        elif kind == "exit":
            code = self.machine.wait_exit(self.left_s())
            if code != argument:
                raise MachineError(f"the machine ended with {code}, not {argument}")
        else:
            raise ValueError(f"there is no step {kind}")


def keep_log(path: Path, machine: Machine):
    """What the program said, and below it everything of the serial port."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{machine.log}\n----- serial -----\n{machine.serial}\n----- QEMU -----\n{machine.qemu_errors()}", encoding="utf-8")


def run_row(row: Row, contents: Contents, accel: str, timeout_s: float, log_path: Path) -> Outcome:
    started = time.monotonic()

    def outcome(state, detail, digest=None):
        return Outcome(row.name, state, detail, round(time.monotonic() - started, 1), digest)

    if row.firmware and not Path(FIRMWARE[row.firmware]).is_file():
        return outcome(SKIPPED, f"there is no {FIRMWARE[row.firmware]}")
    try:
        machine = Machine(machine_options(row, contents, accel))
    except (MachineError, PassFailed) as error:
        return outcome(FAILED, str(error))
    step = ("start", "")
    try:
        with machine:
            dialog = Dialog(machine, started + timeout_s)
            for step in row.dialog:
                dialog.step(*step)
    except MachineError as error:
        return outcome(FAILED, f"at {' '.join(map(str, step))}: {error}")
    finally:
        keep_log(log_path, machine)
    complaint = re.search(r"^(?:ERROR|\[panic\]).*$", machine.log, re.MULTILINE) if row.is_sound else None
    if complaint:
        return outcome(FAILED, f"it complains of a machine that is sound: {complaint.group()}")
    if len(set(dialog.digests)) > 1:
        return outcome(FAILED, f"answers differ within the row: {' '.join(dialog.digests)}")
    digest = dialog.digests[0] if dialog.digests else None
    return outcome(PASSED, "chat" if digest else "refused as it should", digest)


# ---- all of them ---------------------------------------------------------------------------------------------------------


def reference_digest(lbm: Path, model: Path) -> Optional[str]:
    """The digest of the same answer by lbm on this machine; None where that is not built."""
    if not lbm.is_file():
        return None
    command = [str(lbm), "run", "-m", str(model), "-p", PROMPT, "--chat", "--json", "--temp", "0", "-n", str(N_TOKEN), "--seed", "1"]
    ran = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=60)
    try:
        return json.loads(ran.stdout.strip().splitlines()[-1])["digest"]
    except (ValueError, KeyError, IndexError):
        return None


def hold_against(outcome: Outcome, digest: Optional[str]):
    """An answer of other bits than the reference is a failure."""
    if outcome.state == PASSED and outcome.digest and digest and outcome.digest != digest:
        outcome.state, outcome.detail = FAILED, (f"the answer's digest is {outcome.digest}, that of lbm or of the first row {digest} "
                                                  "(of one build? make cli efi)")


def run_rows(rows: List[Row], options, voice: Voice) -> List[Outcome]:
    outcomes = []
    with tempfile.TemporaryDirectory(prefix="lbm-matrix-") as folder:
        contents = Contents(options.efi, Path(folder))
        try:
            # Of the same build as the application, if of any.
            lbm = options.efi.resolve().parent.parent / "lbm"
            digests: Dict[Path, Optional[str]] = {}
            for row in rows:
                model = contents.model_of(row)
                if model not in digests:
                    digests[model] = reference_digest(lbm, model)
                log_path = options.logs / f"{row.name}.log"
                timeout_s = max(options.timeout_sec, row.least_timeout_s)
                outcome = run_row(row, contents, options.accel, timeout_s, log_path)
                hold_against(outcome, digests[model])
                digests[model] = digests[model] or outcome.digest
                outcomes.append(outcome)
                mark = {PASSED: "OK", FAILED: "FAIL", SKIPPED: "SKIP"}[outcome.state]
                voice.line(f"[{mark}] {row.name}: {outcome.detail}, {outcome.seconds:.1f} s"
                           + (f"; log: {shown_path(log_path)}" if outcome.state == FAILED else ""))
        finally:
            contents.remove()
    return outcomes


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--short", action="store_true", help="the rows of the short form")
    which.add_argument("--row", action="append", choices=[row.name for row in ROWS], metavar="NAME", help="run this row; may be given again")
    which.add_argument("--list", action="store_true", help="list the rows and stop")
    parser.add_argument("--efi", type=Path, default=DEFAULT_EFI, help="the application (default: build/efi/BOOTX64.EFI)")
    parser.add_argument("--accel", default="auto", help="auto, kvm, tcg, or what QEMU's -accel takes (default: auto)")
    parser.add_argument("--timeout-sec", type=whole_number(15, 600), default=120, metavar="N", help="of a row, 15..600 (default: 120)")
    parser.add_argument("--logs", type=Path, default=LOGS, help="where the logs go (default: artifacts/boot-matrix)")
    parser.add_argument("--json", action="store_true", help="the result as one JSON object on stdout, all else on stderr")
    return parser


def list_rows(as_json: bool):
    if as_json:
        print(json.dumps([{"name": row.name, "what": row.what, "short": row.is_short} for row in ROWS]))
        return
    for row in ROWS:
        print(f"{row.name:<22} {'short' if row.is_short else '     '}  {row.what}")


def main(arguments) -> int:
    options = build_parser().parse_args(arguments)
    if options.list:
        list_rows(options.json)
        return EXIT_PASSED
    voice = Voice("matrix", options.json)
    if not options.efi.is_file():
        voice.fail(f"there is no {options.efi}; build it with: make efi")
        return EXIT_FAILED
    rows = [row for row in ROWS if (row.name in options.row if options.row else row.is_short or not options.short)]
    outcomes = run_rows(rows, options, voice)
    counts = {state: sum(outcome.state == state for outcome in outcomes) for state in (PASSED, FAILED, SKIPPED)}
    voice.line(f"{counts[PASSED]} passed, {counts[FAILED]} failed" + (f", {counts[SKIPPED]} skipped" if counts[SKIPPED] else ""))
    voice.result({"pass": counts[FAILED] == 0, **counts, "rows": [vars(outcome) for outcome in outcomes]})
    return EXIT_FAILED if counts[FAILED] else EXIT_PASSED


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that a machine that runs is ended, too
    sys.exit(main(sys.argv[1:]))
