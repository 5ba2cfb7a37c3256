#!/usr/bin/env python3
"""Power cuts: a session in QEMU, its disk writes recorded, and every state checked in which a cut could have left the disk.

  power_cut.py                       200 turns, at least 10,000 states, 50 of them booted
  power_cut.py --short               a few turns, for CI
  power_cut.py --turns N --boot N    as many turns; boot so many of the states
  power_cut.py --double N            cut again: N of the states are resumed with their writes recorded, and checked the same way
  power_cut.py --kill N              kill QEMU N times at any moment of a session; what it said to be committed has to be there
  power_cut.py --keep DIR            leave image and log there;  --reuse DIR  check what an earlier run left

The application boots from an image as the release has it, with a tiny model; questions, /save, /undo, /snap_save, /reset and settings
are typed through the serial port. It says `[state] committed NAME generation=N` when a record is safe. From QEMU's write log follow
the states: every prefix, writes between two flushes left out or kept in any choice, every write torn behind each sector, every sector
of it turned to garbage (scripts/block_log.py). In each of them the newest valid slot of every record has to be at least as new as what was
committed, and what it was; boot file and models have to be the same bytes; no write may touch their clusters, or anything but slots.

A record counts as committed at the flush that follows its write, and, independently, wherever the log stood when the harness had read
the application's word for it.

Exit codes: 0 nothing was lost, 1 something was or the session failed, 2 usage.
"""

import argparse
import contextlib
import hashlib
import json
import mmap
import os
import random
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Dict, List, Optional, Tuple

from block_log import SECTOR, BadLog, CrashState, Epoch, crash_states, merged, read_log
from fat_reader import BadDisk, FatVolume, read_partitions
from passes.tiny_model import write_tiny_model
from passes.voice import ROOT
from qemu_accel import choose_accelerator
from qemu_machine import Machine, MachineError, MachineOptions

DEFAULT_EFI = ROOT / "build" / "efi" / "BOOTX64.EFI"
STATE_KIND = "6C6D6261-7265-4D65-8461-6C2D73746174"
IMAGE_SIZE = "400M"
TURNS, SHORT_TURNS = 200, 12
BOOTS, SHORT_BOOTS = 50, 1
WANTED_STATES = 10_000
MAGIC = b"LBMREC1\0"
HEADER = 64
HALF = 1 << 63
COMMITTED = re.compile(r"^\[state\] committed (\w+) generation=(\d+)$", re.MULTILINE)
SETTINGS = b"max_tokens=6\nverbose=2\ntemp=0\nstats=0\nboot_logo=0\n"
TIMEOUT_S = 60
KILL_WITHIN_S = 12.0
Record = Tuple[int, str]  # generation, digest of the payload


class PowerCutFailed(Exception):
    """The session did not come off, so nothing was checked."""


# ---- the session -----------------------------------------------------------------------------------------------------


@dataclass
class Session:
    """What was recorded."""
    base: Path
    log: Path
    # (bytes of the log, record -> generation): at this length of the log, these were committed.
    marks: List[Tuple[int, Dict[str, int]]] = field(default_factory=list)


def script(n_turn: int):
    """(what is typed, the record whose commit ends it)"""
    for turn in range(n_turn):
        if turn and turn % 3 == 0:  # the context of the tiny model holds three turns
            yield "/reset", None
        # Long enough for records of many sectors: what was typed is a record, too.
        yield f"Question {turn}: how far is it from here to the next town, and what is the weather like on the way there today?", "CHAT"
        if turn % 11 == 3 and turn < 100:  # a name holds its record for good
            yield f"/save trip {turn}", "CHAT"
        if turn % 12 == 7:  # not the only turn of a conversation
            yield "/undo", "CHAT"
        if turn % 45 == 10:
            yield "/snap_save", "SNAPSHOT"
        if turn % 17 == 2:
            yield f"/set top_k {20 + turn % 50}", None
            yield "/save settings", "SETTINGS"


def machine_with(arguments, drive_options) -> MachineOptions:
    return MachineOptions(accelerator=choose_accelerator(arguments.accel, MachineOptions()), memory="512M",
                          extra=drive_options, files={"opt/lbm/set": SETTINGS})


def logged_drive(image: Path, log: Path) -> List[str]:
    def escape(path):
        return str(path).replace(",", ",,")
    # no-flush: the log has the flushes; the host's disk need not see them.
    return ["-blockdev", f"driver=file,filename={escape(image)},node-name=file,cache.no-flush=on",
            "-blockdev", "driver=raw,file=file,node-name=image",
            "-blockdev", f"driver=file,filename={escape(log)},node-name=log,cache.no-flush=on",
            "-blockdev", "driver=blklogwrites,file=image,log=log,node-name=logged",
            "-device", "virtio-blk-pci,drive=logged,bootindex=0"]


def make_base(efi: Path, folder: Path) -> Path:
    base = folder / "base.img"
    model = write_tiny_model(folder)
    made = subprocess.run([sys.executable, ROOT / "scripts" / "make_image.py", "--efi", efi, "--out", base, "--model", model,
                           "--size", IMAGE_SIZE], capture_output=True, text=True, check=False)
    if made.returncode != 0:
        raise PowerCutFailed(made.stderr.strip())
    return base


def committed(log: str) -> Dict[str, int]:
    """What the application said to be safe."""
    return {name: int(generation) for name, generation in COMMITTED.findall(log)}


def copy_image(source: Path, target: Path):
    subprocess.run(["cp", "--sparse=always", source, target], check=True)


def type_step(machine: Machine, text: str, record_name: Optional[str], at: int, timeout_s: float = TIMEOUT_S) -> int:
    """Types a line and waits for what ends it; returns where in the log that was."""
    machine.type_line(text)
    ending = rf"^\[state\] committed {record_name}\w* generation=\d+$" if record_name else r"^OK: "
    return machine.wait_for(ending, timeout_s, at).end()


def record(arguments, base: Path, folder: Path, steps) -> Session:
    """Boots a copy of `base`, types the steps, and keeps the write log."""
    session = Session(base, folder / "writes.log")
    image = folder / "session.img"
    copy_image(base, image)
    session.log.write_bytes(b"")
    with Machine(machine_with(arguments, logged_drive(image, session.log))) as machine:
        at = machine.wait_for(r"^OK: REPL ready", TIMEOUT_S).end()
        for text, record_name in steps:
            at = type_step(machine, text, record_name, at)
            # First what was said, then how long the log is: a commit can not be newer than its place.
            said = committed(machine.log)
            session.marks.append((session.log.stat().st_size, said))
        machine.type_line("/shutdown")
        machine.wait_exit(TIMEOUT_S)
        (folder / "session.txt").write_text(machine.log, encoding="utf-8")
    image.unlink()
    (folder / "marks.json").write_text(json.dumps(session.marks))
    return session


def reuse(folder: Path) -> Session:
    return Session(folder / "base.img", folder / "writes.log", [tuple(mark) for mark in json.loads((folder / "marks.json").read_text())])


# ---- the check -------------------------------------------------------------------------------------------------------


class Disk:
    """The base image under the sectors that were written since, and those of one state above them."""

    def __init__(self, base: mmap.mmap):
        self._base = base
        self.stable: Dict[int, bytes] = {}
        self.delta: Dict[int, bytes] = {}

    def close(self):
        self._base.close()

    def base_sector(self, sector):
        return self._base[sector * SECTOR:(sector + 1) * SECTOR]

    def sector(self, sector):
        if sector in self.delta:
            return self.delta[sector]
        return self.stable[sector] if sector in self.stable else self.base_sector(sector)

    def read(self, offset, n_byte):
        first, last = offset // SECTOR, (offset + n_byte - 1) // SECTOR
        data = b"".join(self.sector(s) for s in range(first, last + 1))
        return data[offset - first * SECTOR:][:n_byte]


def read_slot(disk: Disk, name: str, offset: int, n_byte: int) -> Optional[Record]:
    """(generation, digest) of a valid slot; core/state/record.h has the format."""
    header = disk.read(offset, HEADER)
    generation, size = struct.unpack_from("<QQ", header, 8)
    if header[:8] != MAGIC or generation == 0 or size > n_byte - HEADER:
        return None
    payload = disk.read(offset + HEADER, size) if size else b""
    if hashlib.sha256(payload + name.encode() + header[:32]).digest() != header[32:]:
        return None
    return generation, header[32:].hex()


def newest(slots) -> Optional[Record]:
    found = [slot for slot in slots if slot is not None]
    if len(found) == 2 and 0 < (found[1][0] - found[0][0]) % (1 << 64) < HALF:
        return found[1]
    return found[0] if found else None


class Checker:
    def __init__(self, session: Session):
        self._file = open(session.base, "rb")
        self.disk = Disk(mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ))
        self.marks = session.marks
        self.slots: Dict[Tuple[str, int], Tuple[int, int]] = {}
        self.slot_of: Dict[int, Tuple[str, int]] = {}   # sector -> (record, slot)
        self.precious: Dict[int, str] = {}              # sector -> file that must not change
        self.contents: Dict[Tuple[str, int], str] = {}  # (record, generation) -> digest
        self.now: Dict[Tuple[str, int], Optional[Record]] = {}  # slots as they are stable
        self.counts: Dict[str, int] = {}
        self.findings: List[str] = []
        self.n_write = self.n_outside = self.n_overlap = self.n_commit = 0
        self._read_layout()

    def _read_layout(self):
        for partition in read_partitions(self.disk):
            files = FatVolume(self.disk, partition.start).files()
            for path, entry in files.items():
                match = re.fullmatch(r"SLOT([01])/(\w+)\.\1", path)
                if partition.kind != STATE_KIND or not match:
                    self.precious.update((sector, path) for sector in entry.sectors())
                    continue
                if len(entry.extents) != 1:
                    raise BadDisk(f"{path} is not contiguous")
                key = (match[2], int(match[1]))
                self.slots[key] = entry.extents[0][0], entry.n_byte
                self.slot_of.update((sector, key) for sector in entry.sectors())
        if not self.slots:
            raise BadDisk("there is no STATE partition with slots")
        # Of a fresh image all are empty; a state that a cut has left has records.
        self.now = self.check_slots(self.slots)
        self.contents = {(name, slot[0]): slot[1] for (name, _), slot in self.now.items() if slot}

    def close(self):
        self.disk.close()
        self._file.close()

    def check_slots(self, keys):
        return {key: read_slot(self.disk, key[0], *self.slots[key]) for key in keys}

    def floor(self, stable: Dict[str, int], issued: int) -> Dict[str, int]:
        """What must be there when the log had `issued` bytes."""
        required = dict(stable)
        for length, said in self.marks:
            if length > issued:
                break
            for name, generation in said.items():
                required[name] = max(required.get(name, 0), generation)
        return required

    def check(self, state: CrashState, stable: Dict[str, int], where: str):
        self.counts[state.kind] = self.counts.get(state.kind, 0) + 1
        self.disk.delta = state.delta
        touched = set()
        for sector, data in state.delta.items():
            if sector in self.slot_of:
                touched.add(self.slot_of[sector])
            elif data != self.disk.base_sector(sector):
                self.findings.append(f"{where} {state.kind}: sector {sector} of {self.precious.get(sector, 'the disk')} changed")
        slots = {**self.now, **self.check_slots(touched)}
        for name, generation in self.floor(stable, state.issued).items():
            best = newest([slots[(name, 0)], slots[(name, 1)]])
            if best is None or best[0] < generation:
                self.findings.append(f"{where} {state.kind}: {name} generation {generation} is lost, {best[0] if best else 'nothing'} is left")
        for name, _ in touched:
            best = newest([slots[(name, 0)], slots[(name, 1)]])
            if best and self.contents.get((name, best[0]), best[1]) != best[1]:
                self.findings.append(f"{where} {state.kind}: {name} generation {best[0]} has another content")
        self.disk.delta = {}

    def run(self, epochs: List[Epoch], draw: random.Random, keep=None, stable: Optional[Dict[str, int]] = None):
        """Checks every state of these writes; `stable` is what was committed before the first of them."""
        stable = dict(stable or {})
        for number, epoch in enumerate(epochs):
            for write in epoch.writes:
                self.n_write += 1
                sectors = range(write.sector, write.sector + len(write.data) // SECTOR)
                self.n_outside += any(sector not in self.slot_of for sector in sectors)
                self.n_overlap += any(sector in self.precious for sector in sectors)
            # What the whole epoch leaves, so that its contents are known to the states within it.
            whole = merged(epoch.writes)
            self.disk.delta = whole
            after = self.check_slots({self.slot_of[sector] for sector in whole if sector in self.slot_of})
            for (name, _), slot in after.items():
                if slot:
                    self.contents.setdefault((name, slot[0]), slot[1])
            self.disk.delta = {}
            for state in crash_states(epoch, draw):
                self.check(state, stable, f"epoch {number}")
                if keep:
                    keep(self, state, stable)
            self.disk.stable.update(whole)
            self.now.update(after)
            if not epoch.flushed:
                continue
            for (name, _), slot in after.items():
                if slot and slot[0] > stable.get(name, 0):
                    stable[name] = slot[0]
                    self.n_commit += 1
                elif slot and slot[0] < stable.get(name, 0) - 1:
                    self.findings.append(f"epoch {number}: {name} went back to generation {slot[0]}")
        for name, generation in self.floor({}, 1 << 62).items():
            if stable.get(name, 0) < generation:
                self.findings.append(f"{name}: generation {generation} was said to be committed and never reached the disk")
        return stable


# ---- booting states --------------------------------------------------------------------------------------------------


class Sampler:
    """Chooses n of all states with equal chances as they come (reservoir), and keeps them as the sectors they differ by."""

    def __init__(self, n: int, draw: random.Random):
        self.n, self._draw, self._seen = n, draw, 0
        self.kept: List[Tuple[Dict[int, bytes], Dict[str, int], str]] = []

    def __call__(self, checker: Checker, state: CrashState, stable: Dict[str, int]):
        self._seen += 1
        at = len(self.kept) if len(self.kept) < self.n else self._draw.randrange(self._seen)
        if at >= self.n:
            return
        sample = ({**checker.disk.stable, **state.delta}, checker.floor(stable, state.issued), state.kind)
        if at == len(self.kept):
            self.kept.append(sample)
        else:
            self.kept[at] = sample


@contextlib.contextmanager
def image_of(base: Path, folder: Path, sectors: Dict[int, bytes]):
    """The disk in a state, as a file for as long as it is needed."""
    image = folder / "state.img"
    copy_image(base, image)
    try:
        with open(image, "r+b") as file:
            for sector, data in sectors.items():
                file.seek(sector * SECTOR)
                file.write(data)
        yield image
    finally:
        image.unlink()


def plain_drive(image: Path, cache: str) -> List[str]:
    return ["-drive", f"if=none,id=d0,format=raw,cache={cache},file={str(image).replace(',', ',,')}",
            "-device", "virtio-blk-pci,drive=d0,bootindex=0"]


def has_chat(records) -> bool:
    return any(name.startswith("CHAT") for name in records)


def boot(arguments, base: Path, folder: Path, sample) -> Optional[str]:
    """Boots a state and resumes it. Returns what went wrong."""
    sectors, safe, kind = sample
    with image_of(base, folder, sectors) as image:
        return resume(arguments, image, has_chat(safe), kind)


def resume(arguments, image: Path, takes_up: bool, kind: str) -> Optional[str]:
    """Boots an image, takes the conversation up, and keeps another turn. Returns what went wrong."""
    try:
        with Machine(machine_with(arguments, plain_drive(image, "unsafe"))) as machine:
            at = machine.wait_for(r"^OK: REPL ready", TIMEOUT_S).end()
            if takes_up:
                machine.type_line("/resume")
                at = machine.wait_for(r"^OK: \d+ messages", TIMEOUT_S, at).end()
            machine.type_line("And back?")
            at = machine.wait_for(r"^\[state\] committed CHAT\w* generation=\d+$", TIMEOUT_S, at).end()
            if re.search(r"^ERROR|nothing is kept|can not be read any more", machine.log, re.MULTILINE):
                return f"{kind}: " + machine.transcript_tail(12)
            machine.type_line("/shutdown")
            machine.wait_exit(TIMEOUT_S)
            return None
    except MachineError as error:
        return f"{kind}: {error}\n{error.transcript}"


# ---- cutting again ---------------------------------------------------------------------------------------------------


AGAIN_TURNS = 3


def steps_after(safe: Dict[str, int], n_turn: int):
    """What is typed at a disk with these records. Names that may be taken are left out."""
    if has_chat(safe):
        yield "/resume", None
        yield "And back?", "CHAT"
        yield "/reset", None
    yield from (step for step in script(n_turn) if not step[0].startswith("/save trip"))


def cut_again(arguments, base: Path, folder: Path, sample, total: dict) -> Optional[str]:
    """Resumes a state with its writes recorded, and checks every state that follows from those. Returns what went wrong."""
    sectors, safe, kind = sample
    inner = folder / "again"
    inner.mkdir(exist_ok=True)
    with image_of(base, folder, sectors) as image:
        try:
            session = record(arguments, image, inner, steps_after(safe, AGAIN_TURNS))
        except MachineError as error:
            return f"{kind}, then a session: {error}\n{error.transcript}"
        checker = Checker(session)
        try:
            checker.run(read_log(session.log.read_bytes()), random.Random(arguments.seed), stable=safe)
        finally:
            checker.close()
    total["states"] += sum(checker.counts.values())
    total["commits"] += checker.n_commit
    total["booted"] += 1
    problems = checker.findings + [f"{checker.n_outside} writes outside of slots"] * bool(checker.n_outside)
    return f"{kind}, then a cut: {problems[0]}" if problems else None


def cache_for_kill(folder: Path) -> str:
    """cache=none where the folder's file system has O_DIRECT: what QEMU says to be written has left its process."""
    probe = folder / "direct"
    try:
        os.close(os.open(probe, os.O_CREAT | os.O_RDWR | getattr(os, "O_DIRECT", 0)))
        return "none"
    except OSError:
        return "writethrough"
    finally:
        probe.unlink(missing_ok=True)


def lost_records(image: Path, safe: Dict[str, int]) -> List[str]:
    """What was committed and is not in the image."""
    checker = Checker(Session(image, image))
    try:
        best = {name: newest([checker.now[(name, 0)], checker.now[(name, 1)]]) for name in safe}
    finally:
        checker.close()
    return [f"{name} generation {generation} is lost, {best[name][0] if best[name] else 'nothing'} is left"
            for name, generation in safe.items() if best[name] is None or best[name][0] < generation]


def kill_and_resume(arguments, base: Path, folder: Path) -> dict:
    """One image; session after session on it is killed (SIGKILL) at a random time, and the next one resumes."""
    draw = random.Random(arguments.seed + 2)
    image = folder / "kill.img"
    copy_image(base, image)
    cache = cache_for_kill(folder)
    total = {"kills": 0, "commits": 0, "cache": cache, "problems": []}
    safe: Dict[str, int] = {}
    for _ in range(arguments.kill):
        with Machine(machine_with(arguments, plain_drive(image, cache))) as machine:
            try:
                at = machine.wait_for(r"^OK: REPL ready", TIMEOUT_S).end()
                end = time.monotonic() + draw.uniform(0.2, KILL_WITHIN_S)
                for text, record_name in steps_after(safe, TURNS):
                    at = type_step(machine, text, record_name, at, max(0.01, end - time.monotonic()))
                    if time.monotonic() >= end:
                        break
            except MachineError as error:
                if not machine.running() or "did not come" not in str(error) or "REPL ready" in str(error):
                    total["problems"].append(f"{error}\n{error.transcript}")
                    break
        # Leaving the block killed it.
        said = committed(machine.log)
        total["kills"] += 1
        total["commits"] += len(COMMITTED.findall(machine.log))
        safe.update(said)
        total["problems"] += lost_records(image, safe)
    problem = resume(arguments, image, has_chat(safe), "killed")
    total["problems"] += [problem] if problem else []
    image.unlink()
    return total


# ---- the whole -------------------------------------------------------------------------------------------------------


def run(arguments, folder: Path) -> dict:
    started = time.monotonic()
    session = (reuse(arguments.reuse) if arguments.reuse
               else record(arguments, make_base(arguments.efi, folder), folder, script(arguments.turns)))
    recorded = time.monotonic()
    epochs = read_log(session.log.read_bytes())
    checker = Checker(session)
    n_sample = max(arguments.boot, arguments.double)
    sampler = Sampler(n_sample, random.Random(arguments.seed + 1))
    stable = checker.run(epochs, random.Random(arguments.seed), sampler if n_sample else None)
    checked = time.monotonic()
    booted, again = sampler.kept[:arguments.boot], sampler.kept[:arguments.double]
    failed_boots = [problem for problem in (boot(arguments, session.base, folder, sample) for sample in booted) if problem]
    double = {"booted": 0, "states": 0, "commits": 0}
    double["problems"] = [problem for problem in (cut_again(arguments, session.base, folder, sample, double) for sample in again) if problem]
    kill = kill_and_resume(arguments, session.base, folder) if arguments.kill else {"kills": 0, "problems": []}
    n_state = sum(checker.counts.values())
    result = {"states": n_state, "by_kind": checker.counts, "writes": checker.n_write, "commits": checker.n_commit,
              "records": len(stable), "findings": len(checker.findings), "first_findings": checker.findings[:10],
              "writes_outside_slots": checker.n_outside, "writes_on_boot_file_or_models": checker.n_overlap,
              "booted": len(booted), "failed_boots": failed_boots, "double": double, "kill": kill,
              "record_s": round(recorded - started, 1), "check_s": round(checked - recorded, 1),
              "boot_s": round(time.monotonic() - checked, 1)}
    result["enough"] = n_state >= arguments.states
    result["passed"] = (not checker.findings and not checker.n_outside and not checker.n_overlap and not failed_boots
                        and not double["problems"] and not kill["problems"] and result["enough"] and checker.n_commit > 0)
    return result


def report(result: dict):
    kinds = ", ".join(f"{kind} {n}" for kind, n in sorted(result["by_kind"].items()))
    print(f"{result['states']} states ({kinds}) of {result['writes']} writes, {result['commits']} commits of {result['records']} records")
    print(f"{result['findings']} findings; {result['writes_outside_slots']} writes outside of slots, "
          f"{result['writes_on_boot_file_or_models']} on boot file or models; {result['booted']} states booted, "
          f"{len(result['failed_boots'])} of them failed")
    double, kill = result["double"], result["kill"]
    if double["booted"] or double["problems"]:
        print(f"cut again: {double['booted']} states resumed, {double['states']} states of their {double['commits']} commits, "
              f"{len(double['problems'])} of them failed")
    if kill["kills"]:
        print(f"killed {kill['kills']} times (cache={kill['cache']}), {kill['commits']} commits, {len(kill['problems'])} problems")
    for text in result["first_findings"] + result["failed_boots"][:3] + double["problems"][:3] + kill["problems"][:3]:
        print("  " + text)
    print(f"recorded in {result['record_s']} s, checked in {result['check_s']} s, booted in {result['boot_s']} s: "
          + ("passed" if result["passed"] else "FAILED" if result["enough"] else "FAILED: too few states"))


def build_parser():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--efi", type=Path, default=DEFAULT_EFI, help="the UEFI application")
    parser.add_argument("--short", action="store_true", help="the form for CI")
    parser.add_argument("--turns", type=int, help=f"questions of the session (default: {TURNS})")
    parser.add_argument("--boot", type=int, help=f"states to boot (default: {BOOTS})")
    parser.add_argument("--double", type=int, default=0, help="states to resume and cut again (default: none)")
    parser.add_argument("--kill", type=int, default=0, help="times to kill QEMU at any moment (default: none)")
    parser.add_argument("--states", type=int, help=f"fewer than these are a failure (default: {WANTED_STATES})")
    parser.add_argument("--seed", type=int, default=1, help="of random choices and garbage")
    parser.add_argument("--accel", default="auto", help="as qemu.py")
    parser.add_argument("--keep", type=Path, help="folder for image, log and transcript")
    parser.add_argument("--reuse", type=Path, help="folder of an earlier --keep")
    parser.add_argument("--json", type=Path, help="write the figures there")
    return parser


def main(arguments) -> int:
    options = build_parser().parse_args(arguments)
    options.turns = options.turns or (SHORT_TURNS if options.short else TURNS)
    if options.boot is None:
        options.boot = SHORT_BOOTS if options.short else BOOTS
    if options.states is None:
        options.states = 1 if options.short else WANTED_STATES
    if not options.reuse and not options.efi.is_file():
        print(f"power_cut.py: there is no {options.efi}; build it with: make efi", file=sys.stderr)
        return 2
    folder = options.keep or Path(tempfile.mkdtemp(prefix="lbm-power-cut-"))
    folder.mkdir(parents=True, exist_ok=True)
    try:
        result = run(options, folder)
    except (PowerCutFailed, MachineError, BadLog, BadDisk, OSError) as error:
        print(f"power_cut.py: {error}\n{getattr(error, 'transcript', '')}".rstrip(), file=sys.stderr)
        return 1
    finally:
        if not options.keep:
            shutil.rmtree(folder, ignore_errors=True)
    report(result)
    if options.json:
        options.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return 0 if result["passed"] else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
