"""power_cut.py: that the checker finds lost records, missing flushes and writes to other files, and finds nothing where nothing is."""

import argparse
import contextlib
import hashlib
import io
import random
import shutil
import struct
import tempfile
import unittest
import uuid
from pathlib import Path

from scripts_path import ROOT
import block_log
import fat_reader
import fat_volume
import power_cut

SECTOR = 512
MIB = 1 << 20
STATE_START = MIB
RECORDS = [("CHAT00", fat_volume.LINE), ("HISTORY", fat_volume.LINE)]


def make_disk(path):
    """A GPT with one STATE partition of 64 MiB; returns the volume."""
    volume = fat_volume.SlotVolume(64 * MIB, RECORDS, "text")
    entry = (uuid.UUID(power_cut.STATE_KIND).bytes_le + uuid.uuid4().bytes_le
             + struct.pack("<QQQ", STATE_START // SECTOR, STATE_START // SECTOR + 64 * MIB // SECTOR - 1, 0)
             + "STATE".encode("utf-16-le").ljust(72, b"\0"))
    with open(path, "wb") as file:
        file.truncate(STATE_START + 64 * MIB)
        file.seek(SECTOR)
        file.write(b"EFI PART".ljust(72, b"\0") + struct.pack("<QII", 2, 128, 128))
        file.seek(2 * SECTOR)
        file.write(entry)
    with open(path, "r+b") as file:
        volume.write(file, STATE_START, 1, 0)
    return volume


def sealed(name, generation, payload):
    """A record as core/state/record.h has it, filled up to whole sectors."""
    head = b"LBMREC1\0" + struct.pack("<QQQ", generation, len(payload), 0)
    record = head + hashlib.sha256(payload + name.encode() + head).digest() + payload
    return record + bytes(-len(record) % SECTOR)


class LogWriter:
    """A log as QEMU writes it."""

    def __init__(self):
        self.data = bytearray(struct.pack("<QQQI", block_log.MAGIC, 1, 0, SECTOR).ljust(SECTOR, b"\0"))
        self.marks = []
        self.said = {}

    def write(self, offset, data):
        self.data += struct.pack("<QQQQ", offset // SECTOR, len(data) // SECTOR, 0, 0).ljust(SECTOR, b"\0") + data

    def flush(self):
        self.data += struct.pack("<QQQQ", 0, 0, block_log.FLUSH, 0).ljust(SECTOR, b"\0")

    def says(self, name, generation):
        self.said = {**self.said, name: generation}
        self.marks.append((len(self.data), self.said))


class PowerCutTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = Path(tempfile.mkdtemp())
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        cls.base = cls.folder / "base.img"
        cls.volume = make_disk(cls.base)

    def slot(self, name, slot):
        return STATE_START + self.volume.offset_of(self.volume.places[fat_volume.slot_path(name, slot)][0])

    def check(self, log):
        checker = power_cut.Checker(power_cut.Session(self.base, Path("unused"), log.marks))
        self.addCleanup(checker.close)
        checker.run(block_log.read_log(bytes(log.data)), random.Random(1))
        return checker

    def save(self, log, name, generation, flush=True, slot=None, size=3000):
        payload = bytes(random.Random(generation).randrange(256) for _ in range(size))
        record = sealed(name, generation, payload)
        at = self.slot(name, (generation + 1) % 2 if slot is None else slot)
        log.write(at, record[:2 * SECTOR])
        log.write(at + 2 * SECTOR, record[2 * SECTOR:])
        if flush:
            log.flush()
        log.says(name, generation)

    def test_two_slots_lose_nothing(self):
        log = LogWriter()
        for generation in range(1, 6):
            self.save(log, "CHAT00", generation)
            self.save(log, "HISTORY", generation, size=1500 * generation)
        checker = self.check(log)
        self.assertEqual(checker.findings, [])
        self.assertEqual((checker.n_commit, checker.n_outside, checker.n_overlap), (10, 0, 0))
        # 10 saves of two writes: both prefixes; the second alone; torn and garbage for every sector.
        self.assertEqual(checker.counts["prefix"], 20)
        self.assertEqual(checker.counts["drop-one"], 10)
        n_sector = sum(len(write.data) // SECTOR for epoch in block_log.read_log(bytes(log.data)) for write in epoch.writes)
        self.assertEqual(checker.counts["garbage"], n_sector)
        self.assertEqual(checker.counts["torn"], n_sector - 20)

    def test_one_slot_overwritten_in_place_is_found(self):
        log = LogWriter()
        for generation in range(1, 4):
            self.save(log, "CHAT00", generation, slot=0)
        self.assertTrue(any("CHAT00 generation 1 is lost" in text for text in self.check(log).findings))

    def test_a_missing_flush_is_found(self):
        log = LogWriter()
        self.save(log, "CHAT00", 1)
        self.save(log, "CHAT00", 2, flush=False)
        self.save(log, "HISTORY", 1)
        findings = self.check(log).findings
        self.assertTrue(any("CHAT00 generation 2 is lost, 1 is left" in text for text in findings), findings)

    def test_a_word_without_a_write_is_found(self):
        log = LogWriter()
        self.save(log, "CHAT00", 1)
        log.says("CHAT00", 2)
        self.assertTrue(any("never reached the disk" in text for text in self.check(log).findings))

    def test_a_write_elsewhere_is_found(self):
        log = LogWriter()
        self.save(log, "CHAT00", 1)
        readme = next(iter(fat_reader.FatVolume(self.check(log).disk, STATE_START).files()["README.TXT"].sectors()))
        log.write(readme * SECTOR, b"x" * SECTOR)
        log.flush()
        checker = self.check(log)
        self.assertEqual((checker.n_outside, checker.n_overlap), (1, 1))
        self.assertTrue(any("README.TXT changed" in text for text in checker.findings))

    def test_generations_wrap(self):
        self.assertEqual(power_cut.newest([((1 << 64) - 1, "a"), (1, "b")]), (1, "b"))
        self.assertEqual(power_cut.newest([(1, "b"), ((1 << 64) - 1, "a")]), (1, "b"))
        self.assertEqual(power_cut.newest([(7, "a"), (7, "b")]), (7, "a"))
        self.assertIsNone(power_cut.newest([None, None]))

    def test_a_log_that_is_none_or_cut_is_refused(self):
        with self.assertRaises(block_log.BadLog):
            block_log.read_log(bytes(SECTOR))
        log = LogWriter()
        self.save(log, "CHAT00", 1)
        with self.assertRaises(block_log.BadLog):
            block_log.read_log(bytes(log.data[:3 * SECTOR]))

    def test_the_map_of_the_slots_is_the_file_system(self):
        """What the program goes by (efi/state_partition.h) and what everybody else sees are the same places."""
        files = power_cut.Checker(power_cut.Session(self.base, Path("unused")))
        self.addCleanup(files.close)
        with open(self.base, "rb") as disk:
            for offset in (32 * SECTOR, 19 * fat_volume.LINE):
                disk.seek(STATE_START + offset)
                magic, n, zero, digest = struct.unpack("<8sII32s", disk.read(48))
                entries = disk.read(32 * n)
                self.assertEqual((magic, n, zero, digest), (b"LBMSLOT1", len(RECORDS), 0, hashlib.sha256(entries).digest()))
                for at in range(n):
                    name, first, second, n_byte = struct.unpack_from("<8sQQQ", entries, 32 * at)
                    name = name.rstrip(b"\0").decode()
                    self.assertEqual(files.slots[(name, 0)], (STATE_START + first, n_byte))
                    self.assertEqual(files.slots[(name, 1)], (STATE_START + second, n_byte))

    def test_the_image_has_what_the_program_asks_for(self):
        """make_image.py and core/state/state_store.h name the same records and sizes."""
        import make_image
        header = (ROOT / "core" / "state" / "state_store.h").read_text(encoding="ascii")
        sizes = dict(make_image.STATE_FILES)
        for constant, record, n_kib in (("kSettingsBytes = 64 * kKiB", "SETTINGS", 64), ("kHistoryRecordBytes = 128 * kKiB", "HISTORY", 128),
                                        ("kChatBytes = 512 * kKiB", "CHAT15", 512), ("kLogBytes = 64 * kKiB", "LOG15", 64),
                                        ("kSnapshotBytes = 64 * kMiB", "SNAPSHOT", 64 << 10)):
            self.assertIn(constant, header)
            self.assertEqual(sizes[record], n_kib << 10)
        self.assertIn("kStateChats = 16", header)
        self.assertIn("kStateLogs = 16", header)

    def test_a_second_cut_is_checked_against_what_the_first_session_had(self):
        """Of a disk with records, what was committed before has to stay, and what was not written now is known."""
        first = LogWriter()
        self.save(first, "CHAT00", 1)
        self.save(first, "CHAT00", 2)
        left = self.folder / "left.img"
        shutil.copyfile(self.base, left)
        with open(left, "r+b") as disk:
            for epoch in block_log.read_log(bytes(first.data)):
                for write in epoch.writes:
                    disk.seek(write.sector * SECTOR)
                    disk.write(write.data)
        self.assertEqual(power_cut.lost_records(left, {"CHAT00": 2}), [])
        self.assertEqual(power_cut.lost_records(left, {"CHAT00": 3, "HISTORY": 1}),
                         ["CHAT00 generation 3 is lost, 2 is left", "HISTORY generation 1 is lost, nothing is left"])
        for slot, n_finding in ((0, 0), (1, 1)):  # the older slot may be written, the newer one may not
            second = LogWriter()
            self.save(second, "CHAT00", 3, slot=slot)
            checker = power_cut.Checker(power_cut.Session(left, Path("unused"), second.marks))
            self.addCleanup(checker.close)
            checker.run(block_log.read_log(bytes(second.data)), random.Random(1), stable={"CHAT00": 2})
            self.assertEqual(any("CHAT00 generation 2 is lost, 1 is left" in text for text in checker.findings), bool(n_finding))

    def test_what_is_typed_at_a_disk_with_records(self):
        steps = list(power_cut.steps_after({"CHAT00": 3}, 8))
        self.assertEqual(steps[0], ("/resume", None))
        self.assertFalse(any(text.startswith("/save trip") for text, _ in steps))
        self.assertEqual(list(power_cut.steps_after({}, 2)), list(power_cut.script(2)))

    def test_script_commits_what_it_waits_for(self):
        steps = list(power_cut.script(30))
        self.assertEqual(steps[0][1], "CHAT")
        self.assertIn(("/reset", None), steps)
        self.assertIn(("/save settings", "SETTINGS"), steps)
        self.assertIn(("/undo", "CHAT"), steps)

    def test_usage(self):
        options = power_cut.build_parser().parse_args(["--short"])
        self.assertIsInstance(options, argparse.Namespace)
        with contextlib.redirect_stderr(io.StringIO()) as said:
            self.assertEqual(power_cut.main(["--efi", str(self.folder / "none.efi")]), 2)
        self.assertIn("make efi", said.getvalue())


if __name__ == "__main__":
    unittest.main()
