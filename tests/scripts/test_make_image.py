"""make_image.py: a disk that firmware boots from, the same bytes every time, and errors that name the way out."""

import contextlib
import hashlib
import io
import os
import shutil
import struct
import subprocess
import tempfile
import time
import unittest
import uuid
from pathlib import Path

from scripts_path import ROOT
import fat_volume
import make_image

MIB = 1 << 20
SECTOR = 512
LINE = fat_volume.LINE
TOOLS = ("sgdisk", "mformat", "mcopy", "mdir", "fsck.fat")
SMALLEST = make_image.SMALLEST_BYTES
OFFSETS = {"BOOT": 1, "STATE": 97, "MODELS": 353}  # MiB


def copy_sparse(source, target, offset, n_byte):
    """A part of a disk as a file, without filling its holes."""
    with open(source, "rb") as disk, open(target, "wb") as file:
        at = offset
        while at < offset + n_byte:
            try:
                begin = os.lseek(disk.fileno(), at, os.SEEK_DATA)
                end = min(os.lseek(disk.fileno(), begin, os.SEEK_HOLE), offset + n_byte)
            except OSError:  # no data behind `at`
                break
            if begin >= offset + n_byte:
                break
            disk.seek(begin)
            file.seek(begin - offset)
            file.write(disk.read(end - begin))
            at = end
        file.truncate(n_byte)


def digest_sparse(path):
    """Of the data and where it lies: two disks of equal bytes have equal ones only if their zeros agree, too."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(1 << 22):
            digest.update(chunk)
    return digest.hexdigest()


class ImageTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.efi = self.folder / "app.efi"
        self.efi.write_bytes(b"MZ" + b"program" * 1000)
        self.model = self.folder / "Tiny-Model.Q8_0.gguf"
        self.model.write_bytes(b"GGUF" + bytes(range(256)) * 1000)
        self.out = self.folder / "disk.img"

    def make(self, *arguments):
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = make_image.main(["--efi", str(self.efi), "--out", str(self.out), *map(str, arguments)])
        return code, err.getvalue()

    def mtool(self, volume, name, *arguments):
        result = subprocess.run([name, "-i", f"{self.out}@@{OFFSETS[volume]}M", *arguments], capture_output=True, check=False,
                                env={**os.environ, "TZ": "UTC", "MTOOLS_SKIP_CHECK": "1"})
        self.assertEqual(result.returncode, 0, result.stderr)
        return result.stdout

    def read(self, volume, path):
        return self.mtool(volume, "mcopy", "::/" + path, "-")


@unittest.skipUnless(all(map(shutil.which, TOOLS)), "needs " + ", ".join(TOOLS))
class MakeImageTest(ImageTest):
    def test_holds_the_files(self):
        config = self.folder / "mine.cfg"
        config.write_text("temp=0.5\n")
        second = self.folder / "second.gguf"
        second.write_bytes(b"GGUF2")
        third = self.folder / "third.bin"
        third.write_bytes(b"llama2.c")
        tokenizer = self.folder / "tok512.bin"
        tokenizer.write_bytes(b"pieces")
        self.assertEqual(self.make("--model", self.model, "--extra-models", f"{second};{third}", "--tokenizer", tokenizer,
                                   "--cfg", config, "--licence", ROOT / "LICENSE", "--file", f"fonts/a.fnt={config}"), (0, ""))
        self.assertEqual(self.read("BOOT", "EFI/BOOT/BOOTX64.EFI"), self.efi.read_bytes())
        self.assertEqual(self.read("BOOT", "repl.cfg"), b"temp=0.5\n")
        self.assertEqual(self.read("BOOT", "fonts/a.fnt"), b"temp=0.5\n")
        self.assertEqual(self.read("BOOT", "LICENCES/LICENSE"), (ROOT / "LICENSE").read_bytes())
        self.assertIn(b"Secure Boot", self.read("BOOT", "README.TXT"))
        self.assertEqual(self.read("MODELS", "Tiny-Model.Q8_0.gguf"), self.model.read_bytes())
        self.assertEqual(self.read("MODELS", "second.gguf"), b"GGUF2")
        self.assertEqual(self.read("MODELS", "third.bin"), b"llama2.c")
        self.assertEqual(self.read("MODELS", "tokenizer.bin"), b"pieces")
        self.assertIn(b"\r\n", self.read("MODELS", "README.TXT"))
        self.assertNotIn(b"\r\r\n", self.read("MODELS", "README.TXT"))

    def test_partition_table_is_sound_at_both_ends(self):
        self.assertEqual(self.make(), (0, ""))
        verified = subprocess.run(["sgdisk", "--verify", self.out], capture_output=True, text=True, check=False)
        self.assertIn("No problems found", verified.stdout)
        size = self.out.stat().st_size
        with open(self.out, "rb") as disk:
            head = disk.read(34 * SECTOR)
            disk.seek(size - SECTOR)
            self.assertEqual(disk.read(8), b"EFI PART")
            self.assertEqual(head[510:512], b"\x55\xaa")
            self.assertEqual(head[446 + 4], 0xEE)  # protective MBR
            self.assertEqual(head[SECTOR:SECTOR + 8], b"EFI PART")
            behind = 0
            for number, part in enumerate(make_image.plan_partitions(size)):
                entry = head[2 * SECTOR + 128 * number:][:128]
                first, last = struct.unpack_from("<QQ", entry, 32)
                self.assertEqual(str(uuid.UUID(bytes_le=entry[:16])).upper(), part.kind)
                self.assertEqual(entry[56:].decode("utf-16-le").rstrip("\0"), part.name)
                self.assertEqual(first * SECTOR, OFFSETS[part.name] * MIB)
                self.assertGreater(first, behind)
                disk.seek(first * SECTOR)
                boot_sector = disk.read(SECTOR)
                # The file system knows where it lies, and ends inside of its partition.
                hidden, sectors = struct.unpack_from("<II", boot_sector, 28)
                self.assertEqual(hidden, first)
                self.assertLessEqual(first + sectors - 1, last)
                self.assertEqual(boot_sector[71:82].decode().rstrip(), part.label)
                behind = last
            self.assertLess(behind, size // SECTOR - 33)

    def test_file_systems_are_fat32_whatever_the_size(self):
        for size in (SMALLEST, 500 * MIB, 1 << 30, 4 << 30):
            self.assertEqual(self.make("--model", self.model, "--size", size), (0, ""))
            for part in make_image.plan_partitions(size):
                with self.subTest(size=size, part=part.name):
                    partition = self.folder / "partition"
                    copy_sparse(self.out, partition, part.start, part.n_byte)
                    checked = subprocess.run(["fsck.fat", "-nv", partition], capture_output=True, text=True, check=False)
                    self.assertEqual(checked.returncode, 0, checked.stdout + checked.stderr)
                    clusters = int(checked.stdout.partition(" data clusters")[0].split()[-1])
                    self.assertGreaterEqual(clusters, make_image.MIN_FAT32_CLUSTERS)
                    self.assertIn("32 bit entries", checked.stdout)
                    partition.unlink()

    def test_is_reproducible(self):
        """Another folder, user, time, time zone, language and mask: the same bytes. A new process each time, as make has it."""
        digests = set()
        surroundings = (("UTC", "C", 0o022), ("Pacific/Kiritimati", "tr_TR.UTF-8", 0o077))
        for number, (zone, language, mask) in enumerate(surroundings):
            folder = self.folder / f"build {number}"
            folder.mkdir()
            shutil.copy(self.efi, folder / "BOOTX64.EFI")
            shutil.copy(self.model, folder)
            command = ["python3", ROOT / "scripts" / "make_image.py", "--efi", folder / "BOOTX64.EFI", "--model",
                       folder / self.model.name, "--cfg", ROOT / "repl.cfg.example", "--licence", ROOT / "LICENSE", "--out",
                       folder / "disk.img"]
            old_mask = os.umask(mask)
            try:
                environment = {**os.environ, "TZ": zone, "LC_ALL": language, "LANG": language, "USER": f"user{number}",
                               "HOME": str(folder), "PYTHONHASHSEED": str(number)}
                subprocess.run(command, env=environment, cwd=folder, check=True, capture_output=True)
            finally:
                os.umask(old_mask)
            digests.add(digest_sparse(folder / "disk.img"))
            time.sleep(2.1)  # one step of FAT's clock
        self.assertEqual(len(digests), 1)

    def test_names_what_is_in_the_way(self):
        missing = self.folder / "none.gguf"
        huge = self.folder / "huge.gguf"
        with open(huge, "wb") as file:
            file.truncate(1 << 32)
        for arguments, reason in ((["--model", missing], "no such file"), (["--model", huge], "4 GiB"),
                                  (["--extra-models", f"{self.model};{missing}"], "none.gguf"),
                                  (["--size", f"{SMALLEST // MIB - 1}M"], f"at least {SMALLEST // MIB}M"), (["--size", "big"], "512M"),
                                  (["--model", self.model, "--extra-models", self.model], "two files"),
                                  (["--file", "no-source"], "PATH=SOURCE"), (["--file", f"../x={self.model}"], "PATH=SOURCE"),
                                  (["--file", f"x={missing}"], "no such file")):
            with self.subTest(reason):
                code, err = self.make(*arguments)
                self.assertEqual(code, 1)
                self.assertIn(reason, err)
                self.assertFalse(self.out.exists())
        self.assertEqual(sorted(path.name for path in self.folder.iterdir()),
                         ["Tiny-Model.Q8_0.gguf", "app.efi", "huge.gguf"])  # no leavings

    def test_a_program_too_large_for_its_volume(self):
        with open(self.efi, "ab") as file:
            file.truncate(make_image.BOOT_BYTES)
        code, err = self.make()
        self.assertEqual(code, 1)
        self.assertIn("BOOT volume", err)

    def test_standard_size_has_room_for_more(self):
        self.assertGreater(make_image.standard_size(1_000_000_000) - make_image.STATE_BYTES, 2_000_000_000)
        models = make_image.plan_partitions(make_image.standard_size(0))[2]
        self.assertEqual(models.n_byte, 4 << 30)


@unittest.skipUnless(all(map(shutil.which, TOOLS)), "needs " + ", ".join(TOOLS))
class StateVolumeTest(ImageTest):
    """The slots of a record share no line of 64 KiB: not of data, not of folders, not of the table."""

    def setUp(self):
        super().setUp()
        self.assertEqual(self.make(), (0, ""))
        self.start = OFFSETS["STATE"] * MIB
        self.disk = open(self.out, "rb")
        self.addCleanup(self.disk.close)

    def at(self, offset, n):
        self.disk.seek(self.start + offset)
        return self.disk.read(n)

    def folder_entries(self, cluster):
        entries = {}
        data = self.at(self.offset(cluster), self.cluster_bytes)
        for at in range(0, len(data), 32):
            entry = data[at:at + 32]
            if entry[0] == 0:
                break
            high, low, n_byte = struct.unpack("<H4xHI", entry[20:])
            name = entry[:8].decode().rstrip() + ("." + entry[8:11].decode().rstrip() if entry[8:11].strip() else "")
            entries[name] = (high << 16 | low, n_byte, self.offset(cluster) + at)
        return entries

    def offset(self, cluster):
        return self.data + (cluster - 2) * self.cluster_bytes

    def read_layout(self):
        boot = self.at(0, SECTOR)
        self.cluster_bytes = boot[13] * SECTOR
        (reserved,) = struct.unpack_from("<H", boot, 14)
        (table_sectors,) = struct.unpack_from("<I", boot, 36)
        self.table = reserved * SECTOR
        self.data = (reserved + boot[16] * table_sectors) * SECTOR

    def test_no_line_holds_parts_of_both_slots(self):
        self.read_layout()
        self.assertEqual(self.data % LINE, 0)
        self.assertEqual(self.table % LINE, 0)
        root = self.folder_entries(2)
        lines = {0: set(), 1: set()}
        for slot in (0, 1):
            folder = root[f"SLOT{slot}"][0]
            entries = self.folder_entries(folder)
            data_lines = []
            for name, n_byte in make_image.STATE_FILES:
                first, size, entry_at = entries[f"{name}.{slot}"]
                self.assertEqual(size, n_byte)
                begin = self.offset(first)
                self.assertEqual(begin % LINE, 0, name)
                n_cluster = size // self.cluster_bytes
                chain = struct.unpack(f"<{n_cluster}I", self.at(self.table + 4 * first, 4 * n_cluster))
                self.assertEqual(chain[:-1], tuple(range(first + 1, first + n_cluster)), name)  # contiguous
                self.assertEqual(chain[-1], 0x0FFFFFFF)
                data_lines += range(begin // LINE, (begin + size) // LINE)
                lines[slot] |= {entry_at // LINE, (self.table + 4 * first) // LINE,
                                (self.table + 4 * (first + n_cluster - 1)) // LINE}
            self.assertEqual(len(data_lines), len(set(data_lines)))
            lines[slot] |= set(data_lines)
            used = sorted(data_lines)
            # Between two files lies an empty line.
            gaps = [b - a for a, b in zip(used, used[1:]) if b != a + 1]
            self.assertEqual(len(gaps), len(make_image.STATE_FILES) - 1)
        self.assertEqual(lines[0] & lines[1], set())
        # Neither shares one with the root, the boot sector, or the beginning of the table with its dirty bits.
        self.assertEqual((lines[0] | lines[1]) & {0, self.table // LINE, self.offset(2) // LINE}, set())

    def test_files_are_empty_slots(self):
        for name, n_byte in make_image.STATE_FILES[:3]:
            for slot in (0, 1):
                self.assertEqual(self.read("STATE", fat_volume.slot_path(name, slot)), bytes(n_byte))

    def test_what_can_not_be_laid_out_is_named(self):
        for n_byte, records, words in ((64 * MIB, [("A", LINE - 1)], "multiple"), (65 * MIB, [], "64, 128"),
                                       (64 * MIB, [("A", 25 * MIB)], "need"), (64 * MIB, [("A", LINE), ("A", LINE)], "two records"),
                                       (64 * MIB, [("lower", LINE)], "capital"), (64 * MIB, [("NINELETTR", LINE)], "capital")):
            with self.subTest(words), self.assertRaisesRegex(fat_volume.FatError, words):
                fat_volume.SlotVolume(n_byte, records, "text")

    def test_every_size_is_a_sound_file_system(self):
        for n_mib in (64, 128, 256, 512):
            with self.subTest(n_mib):
                path = self.folder / "volume"
                with open(path, "wb") as file:
                    file.truncate(n_mib * MIB)
                with open(path, "r+b") as file:
                    fat_volume.SlotVolume(n_mib * MIB, [("A", LINE), ("B", 3 * LINE)], "text").write(file, 0, 1, 0)
                checked = subprocess.run(["fsck.fat", "-nv", path], capture_output=True, text=True, check=False)
                self.assertEqual(checked.returncode, 0, checked.stdout)
                self.assertIn("32 bit entries", checked.stdout)


if __name__ == "__main__":
    unittest.main()
