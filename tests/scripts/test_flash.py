"""flash.py on machines of our own (a folder as sysfs) and on plain files: nothing that is in use is ever written."""

import contextlib
import io
import os
import shutil
import stat
import subprocess
import tempfile
import unittest
from pathlib import Path
from unittest import mock

import scripts_path  # noqa: F401
import flash
import flash_target
from flash_target import System

MIB = 1 << 20
GB = 10**9


class FakeMachine:
    """A sysfs with disks: sda is built in and holds /, sdb is a stick."""

    def __init__(self, root):
        self.system = System(root / "sys", root / "proc", root / "dev")
        (root / "proc" / "self").mkdir(parents=True)
        (root / "dev").mkdir()
        self.mounts = []
        self.swap([])
        self.add_disk("sda", "8:0", 512 * GB, "pci0000:00/ata1/host0", removable=False, model="Samsung SSD", parts=("sda1", "sda2"))
        self.add_disk("sdb", "8:16", 32 * GB, "pci0000:00/usb1/1-2/host6", model="Ultra Fit", vendor="SanDisk", parts=("sdb1",))
        self.mount("8:1", "/")

    def add_disk(self, name, number, size, bus, removable=True, model="", vendor="", parts=(), kind=None):
        folder = self.system.sys / "devices" / bus / "block" / name
        self.write(folder / "dev", number)
        self.write(folder / "size", size // 512)
        self.write(folder / "removable", int(removable))
        self.write(folder / "ro", 0)
        (folder / "holders").mkdir()
        for key, value in (("model", model), ("vendor", vendor), ("type", kind)):
            if value:
                self.write(folder / "device" / key, value)
        major, minor = map(int, number.split(":"))
        for i, part in enumerate(parts, 1):
            self.write(folder / part / "partition", i)
            self.write(folder / part / "dev", f"{major}:{minor + i}")
            self.write(folder / part / "size", size // 512 // len(parts))
        block = self.system.sys / "block"
        block.mkdir(parents=True, exist_ok=True)
        (block / name).symlink_to(folder)
        return folder

    @staticmethod
    def write(path, value):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{value}\n")

    def mount(self, number, place):
        self.mounts.append(f"36 35 {number} / {place} rw,noatime shared:1 - ext4 /dev/x rw")
        (self.system.proc / "self" / "mountinfo").write_text("\n".join(self.mounts) + "\n")

    def swap(self, names):
        (self.system.proc / "swaps").write_text("Filename Type Size\n" + "".join(f"/dev/{name} partition 1\n" for name in names))


class FlashTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.machine = FakeMachine(self.folder)
        self.image = self.folder / "disk.img"
        # A table of partitions, something at the end, and zeros between.
        self.data = bytearray(10 * MIB + 512)
        self.data[512:520] = b"EFI PART"
        self.data[5 * MIB:5 * MIB + 9] = b"something"
        self.data[-3:] = b"end"
        self.image.write_bytes(self.data)

    def run_flash(self, *arguments, answer=""):
        out = io.StringIO()
        with contextlib.redirect_stderr(out):
            code = flash.main(["--image", str(self.image), *map(str, arguments)], self.machine.system, lambda: answer, out)
        return code, out.getvalue()

    def refusal(self, name, size=8 * MIB):
        disk = flash_target.read_disk(self.machine.system, name)
        with self.assertRaises(flash_target.Refused) as caught:
            flash_target.refuse_if_unsafe(disk, size)
        return str(caught.exception)

    # ---- what is refused ----

    def test_a_stick_that_nobody_uses_is_accepted(self):
        disk = flash_target.read_disk(self.machine.system, "sdb")
        flash_target.refuse_if_unsafe(disk, 8 * GB)
        self.assertEqual((disk.title, disk.bus, disk.parts), ("SanDisk Ultra Fit", "USB", [("sdb1", 32 * GB // 512 * 512)]))

    def test_the_disk_of_the_system(self):
        self.assertIn("holds the system", self.refusal("sda"))

    def test_a_disk_that_is_built_in(self):
        self.machine.add_disk("sdc", "8:32", GB, "pci0000:00/ata2/host1", removable=False, model="Disk")
        self.assertIn("built in", self.refusal("sdc"))

    def test_a_usb_disk_that_does_not_call_itself_removable_is_a_stick(self):
        self.machine.add_disk("sdc", "8:32", GB, "pci0000:00/usb2/2-1/host1", removable=False)
        flash_target.refuse_if_unsafe(flash_target.read_disk(self.machine.system, "sdc"), MIB)

    def test_a_card_is_a_stick_and_soldered_memory_is_not(self):
        self.machine.add_disk("mmcblk0", "179:0", GB, "platform/mmc0", removable=False, kind="MMC")
        self.machine.add_disk("mmcblk1", "179:8", GB, "platform/mmc1", removable=False, kind="SD")
        self.assertIn("built in", self.refusal("mmcblk0"))
        flash_target.refuse_if_unsafe(flash_target.read_disk(self.machine.system, "mmcblk1"), MIB)

    def test_a_mounted_stick_says_how_to_unmount_it(self):
        self.machine.mount("8:17", "/media/me/My\\040Stick")
        self.assertIn("umount '/media/me/My Stick'", self.refusal("sdb"))

    def test_a_stick_mounted_without_partitions(self):
        self.machine.mount("8:16", "/mnt")
        self.assertIn("/mnt", self.refusal("sdb"))

    def test_a_stick_that_is_part_of_something(self):
        (self.machine.system.sys / "block" / "sdb" / "holders" / "dm-0").mkdir()
        self.assertIn("dm-0", self.refusal("sdb"))

    def test_a_stick_that_is_swapped_to(self):
        self.machine.swap(["sdb1"])
        self.assertIn("swap on sdb1", self.refusal("sdb"))

    def test_a_write_protected_card(self):
        FakeMachine.write(self.machine.system.sys / "block" / "sdb" / "ro", 1)
        self.assertIn("switch", self.refusal("sdb"))

    def test_a_stick_that_is_too_small_by_a_byte(self):
        flash_target.refuse_if_unsafe(flash_target.read_disk(self.machine.system, "sdb"), 32 * GB)
        self.assertIn("needs", self.refusal("sdb", 32 * GB + 1))

    def test_a_partition_names_its_disk(self):
        with self.assertRaisesRegex(flash_target.Refused, "partition; name its disk, .*sdb"):
            flash_target.disk_of_number(self.machine.system, Path("/dev/sdb1"), "8:17")

    def test_a_disk_that_the_kernel_does_not_know(self):
        with self.assertRaisesRegex(flash_target.Refused, "does not list"):
            flash_target.disk_of_number(self.machine.system, Path("/dev/sdq"), "65:0")

    def test_no_device_lists_the_sticks(self):
        code, output = self.run_flash()
        self.assertEqual(code, 1)
        self.assertIn("sdb  SanDisk Ultra Fit, 32.0 GB", output)
        self.assertNotIn("sda", output)

    def test_files_and_folders_are_no_disks(self):
        for target, words in ((self.image, "file"), (self.folder, "folder"), (self.folder / "none", "no such file")):
            with self.subTest(words):
                code, output = self.run_flash("--yes", target)
                self.assertEqual(code, 1)
                self.assertIn(words, output)
        self.assertEqual(self.image.read_bytes(), self.data)

    def test_what_is_no_image_is_refused(self):
        for content, words in ((b"\xfd7zXZ\0" + bytes(5 * MIB), "xz -dk"), (bytes(5 * MIB), "no disk image"), (b"", "no disk image")):
            with self.subTest(words):
                self.image.write_bytes(content)
                code, output = self.run_flash("--to-file", self.folder / "target")
                self.assertEqual(code, 1)
                self.assertIn(words, output)
                self.assertFalse((self.folder / "target").exists())
        self.image.unlink()
        self.assertIn("make image", self.run_flash("--to-file", self.folder / "target")[1])

    # ---- asking: a file of the fake /dev stands in for the disk ----

    def run_on_stick(self, *arguments, answer=""):
        """The stick is a file; the kernel's word for it is faked, the rest is as it is."""
        self.stick = self.machine.system.dev / "sdb"
        if not self.stick.exists():
            self.stick.write_bytes(b"old" * MIB * 4)
        status = os.stat(self.stick)
        fake = mock.Mock(wraps=status, st_mode=stat.S_IFBLK | 0o660, st_rdev=os.makedev(8, 16))
        real_stat = Path.stat

        def stat_of(path, **keywords):
            return fake if path == self.stick else real_stat(path, **keywords)
        with mock.patch.object(Path, "stat", stat_of), mock.patch.object(shutil, "which", return_value=None):
            return self.run_flash(*arguments, self.stick, answer=answer)

    def test_anything_but_the_name_writes_nothing(self):
        for answer in ("", "y\n", "yes\n", "sda\n", "sdb1\n"):
            code, output = self.run_on_stick(answer=answer)
            self.assertEqual(code, 1)
            self.assertIn("nothing was written", output)
        self.assertTrue(self.stick.read_bytes().startswith(b"oldold"))
        self.assertIn("SanDisk Ultra Fit, USB, 32.0 GB", output)
        self.assertIn("sdb1", output)

    def test_the_name_writes_and_verifies(self):
        code, output = self.run_on_stick(answer="sdb\n")
        self.assertEqual(code, 0, output)
        self.assertIn("read back without a difference", output)
        self.assertEqual(self.stick.read_bytes()[:len(self.data)], self.data)

    def test_dry_run_asks_nothing_and_writes_nothing(self):
        code, output = self.run_on_stick("--dry-run", answer="sdb\n")
        self.assertEqual(code, 0)
        self.assertIn("Nothing was written", output)
        self.assertTrue(self.stick.read_bytes().startswith(b"oldold"))

    def test_yes_does_not_ask_but_still_refuses(self):
        self.assertEqual(self.run_on_stick("--yes")[0], 0)
        self.machine.mount("8:17", "/mnt")
        self.stick.write_bytes(b"old")
        self.assertEqual(self.run_on_stick("--yes")[0], 1)
        self.assertEqual(self.stick.read_bytes(), b"old")

    # ---- writing ----

    def test_a_file_gets_the_image_over_what_it_had(self):
        target = self.folder / "target"
        target.write_bytes(b"\xff" * 12 * MIB)
        with mock.patch.object(shutil, "which", return_value=None):  # the table of this image is none that sgdisk knows
            self.assertEqual(self.run_flash("--to-file", target)[0], 0)
        self.assertEqual(target.read_bytes()[:len(self.data)], self.data)
        self.assertEqual(target.stat().st_size, 12 * MIB)

    def test_zeros_are_written_only_where_something_else_is(self):
        target = self.folder / "target"
        with open(target, "wb") as file:
            file.truncate(20 * MIB)
        self.image.write_bytes(b"\0" * 512 + b"EFI PART" + bytes(16 * MIB - 520))
        written = []
        real = flash.write_all
        with mock.patch.object(shutil, "which", return_value=None), \
                mock.patch.object(flash, "write_all", lambda fd, data, offset: (written.append(offset), real(fd, data, offset))):
            self.assertEqual(self.run_flash("--to-file", target)[0], 0)
        self.assertEqual(written, [0, 0])  # no table at first, the table at last

    def test_a_stick_that_loses_bytes_is_found_out(self):
        target = self.folder / "target"

        def worn(fd, data, offset):
            os.pwrite(fd, bytes(data[:7]) + b"?" + bytes(data[8:]) if offset == 4 * MIB else data, offset)
        with mock.patch.object(flash, "write_all", worn):
            code, output = self.run_flash("--to-file", target)
        self.assertEqual(code, 1)
        self.assertIn(f"byte {4 * MIB + 7} of", output)

    def test_a_stick_that_ends_early_is_found_out(self):
        target = self.folder / "target"
        with mock.patch.object(flash, "write_image", lambda image, size, fd, out: os.ftruncate(fd, 5 * MIB)):
            self.assertEqual(self.run_flash("--to-file", target)[0], 1)

    @unittest.skipUnless(shutil.which("sgdisk"), "needs sgdisk")
    def test_the_backup_table_moves_to_the_end_of_the_disk(self):
        with open(self.image, "wb") as file:
            file.truncate(16 * MIB)
        subprocess.run(["sgdisk", "--clear", "--new", "1:2048:4095", str(self.image)], check=True, capture_output=True)
        target = self.folder / "target"
        with open(target, "wb") as file:
            file.truncate(40 * MIB)
        code, output = self.run_flash("--to-file", target)
        self.assertEqual(code, 0, output)
        self.assertIn("backup", output)
        self.assertEqual(target.read_bytes()[-512:-504], b"EFI PART")
        verified = subprocess.run(["sgdisk", "--verify", str(target)], capture_output=True, text=True, check=False).stdout
        self.assertIn("No problems found", verified)


if __name__ == "__main__":
    unittest.main()
