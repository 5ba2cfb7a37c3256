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
from pathlib import Path

import scripts_path  # noqa: F401
import make_image

SECTOR = 512
TOOLS = ("sgdisk", "mformat", "mcopy", "mdir", "fsck.fat")


@unittest.skipUnless(all(map(shutil.which, TOOLS)), "needs " + ", ".join(TOOLS))
class MakeImageTest(unittest.TestCase):
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

    def mtool(self, name, *arguments):
        result = subprocess.run([name, "-i", f"{self.out}@@1M", *arguments], capture_output=True, check=False,
                                env={**os.environ, "TZ": "UTC", "MTOOLS_SKIP_CHECK": "1"})
        self.assertEqual(result.returncode, 0, result.stderr)
        return result.stdout

    def test_holds_the_files(self):
        config = self.folder / "mine.cfg"
        config.write_text("temp=0.5\n")
        self.assertEqual(self.make("--model", self.model, "--cfg", config, "--size", "64M"), (0, ""))
        self.assertEqual(self.mtool("mcopy", "::/EFI/BOOT/BOOTX64.EFI", "-"), self.efi.read_bytes())
        self.assertEqual(self.mtool("mcopy", "::/models/Tiny-Model.Q8_0.gguf", "-"), self.model.read_bytes())
        self.assertEqual(self.mtool("mcopy", "::/repl.cfg", "-"), b"temp=0.5\n")
        self.assertIn(b"Secure Boot", self.mtool("mcopy", "::/README.TXT", "-"))

    def test_partition_table_is_sound_at_both_ends(self):
        self.assertEqual(self.make("--size", "64M"), (0, ""))
        verified = subprocess.run(["sgdisk", "--verify", self.out], capture_output=True, text=True, check=False)
        self.assertIn("No problems found", verified.stdout)
        data = self.out.read_bytes()
        self.assertEqual(len(data), 64 << 20)
        self.assertEqual(data[510:512], b"\x55\xaa")
        self.assertEqual(data[446 + 4], 0xEE)  # protective MBR
        self.assertEqual(data[SECTOR:SECTOR + 8], b"EFI PART")
        self.assertEqual(data[-SECTOR:-SECTOR + 8], b"EFI PART")
        first, last = struct.unpack_from("<QQ", data, 2 * SECTOR + 32)
        self.assertEqual(first * SECTOR, 1 << 20)
        # The file system ends inside of its partition, and that before the backup table.
        hidden, sectors = struct.unpack_from("<II", data, (1 << 20) + 28)
        self.assertEqual(hidden, first)
        self.assertLessEqual(first + sectors - 1, last)
        self.assertLess(last, len(data) // SECTOR - 33)

    def test_file_system_is_fat32_whatever_the_size(self):
        for size in ("64M", "127M", "257M", "513M", "3G"):
            with self.subTest(size):
                self.assertEqual(self.make("--model", self.model, "--size", size), (0, ""))
                partition = self.folder / "partition"
                with open(self.out, "rb") as disk, open(partition, "wb") as file:
                    disk.seek(1 << 20)
                    file.truncate(self.out.stat().st_size - (2 << 20))
                    file.write(disk.read(40 << 20))  # FATs, folders and files are at the front; the rest is zeros
                checked = subprocess.run(["fsck.fat", "-nv", partition], capture_output=True, text=True, check=False)
                self.assertEqual(checked.returncode, 0, checked.stdout + checked.stderr)
                clusters = int(checked.stdout.partition(" data clusters")[0].split()[-1])
                self.assertGreaterEqual(clusters, make_image.MIN_FAT32_CLUSTERS)
                self.assertIn("32 bit entries", checked.stdout)

    def test_is_reproducible(self):
        digests = set()
        for _ in range(2):
            self.assertEqual(self.make("--model", self.model, "--size", "64M"), (0, ""))
            digests.add(hashlib.sha256(self.out.read_bytes()).hexdigest())
            time.sleep(2.1)  # one step of FAT's clock
            os.utime(self.model)
        self.assertEqual(len(digests), 1)

    def test_names_what_is_in_the_way(self):
        missing = self.folder / "none.gguf"
        huge = self.folder / "huge.gguf"
        with open(huge, "wb") as file:
            file.truncate(1 << 32)
        for arguments, reason in ((["--model", missing], "no such file"), (["--model", huge], "4 GiB"),
                                  (["--size", "63M"], "at least 64M"), (["--size", "big"], "512M"),
                                  (["--model", self.model, "--model", self.model], "two files")):
            with self.subTest(reason):
                code, err = self.make(*arguments)
                self.assertEqual(code, 1)
                self.assertIn(reason, err)
                self.assertFalse(self.out.exists())
        self.assertEqual(sorted(path.name for path in self.folder.iterdir()),
                         ["Tiny-Model.Q8_0.gguf", "app.efi", "huge.gguf"])  # no leavings

    def test_standard_size_has_room_for_more(self):
        self.assertEqual(make_image.standard_size(98_362_432, True), 256 << 20)
        self.assertGreater(make_image.standard_size(1_000_000_000, True), 2_000_000_000)
        self.assertGreaterEqual(make_image.standard_size(100_000, False), 64 << 20)


if __name__ == "__main__":
    unittest.main()
