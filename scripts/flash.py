#!/usr/bin/env python3
"""Writes an image to a USB stick, and reads it back. Linux; needs root for real disks.

  flash.py --image images/llm-baremetal-boot.img /dev/sdX

Refuses what is no stick: a disk that is built in, holds the running system, is mounted or otherwise in use, or is too small.
Shows what the stick is and what is on it, and asks before anything is written. Everything is read back from the medium
itself. What is zero in the image is written only where the stick has something else there, so an image that is mostly
empty takes as long as its content. The table of partitions comes last: a stick that was interrupted does not boot by half.

  --dry-run   checks and shows everything, writes nothing        --to-file   the target is a file, for tests and other tools
  --yes       does not ask

Exit codes: 0 done and verified, 1 refused or failed, 2 usage.
"""

import argparse
import contextlib
import fcntl
import mmap
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import flash_target
from flash_target import Refused, System, size_text

CHUNK = 4 << 20
SECTOR = 512
BLKRRPART, BLKFLSBUF = 0x125F, 0x1261  # linux/fs.h
ZEROS = bytes(CHUNK)


class Failed(Exception):
    """What went wrong while writing, and the way out."""


# ---- the image -------------------------------------------------------------------------------------------------------


def open_image(path):
    """The image as an open file, and its size. A file that is no disk image is refused."""
    if not path.is_file():
        raise Refused(f"there is no {path}. Make it with: make image")
    file = open(path, "rb")
    size = path.stat().st_size
    head = file.read(2 * SECTOR)
    if head[:6] == b"\xfd7zXZ\0":
        file.close()
        raise Refused(f"{path} is compressed. Unpack it first:  xz -dk '{path}'")
    if size % SECTOR or size < CHUNK or head[SECTOR:SECTOR + 8] != b"EFI PART":
        file.close()
        raise Refused(f"{path} is no disk image (it has no GPT partition table)")
    return file, size


# ---- writing and reading back ----------------------------------------------------------------------------------------


class Progress:
    """One line that is rewritten on a terminal; nothing elsewhere."""

    def __init__(self, label, n_total, out):
        self.label, self.n_total, self.out = label, n_total, out
        self.started = time.monotonic()
        self.shown_at = 0.0
        self.is_terminal = out.isatty()

    def show(self, n_done):
        now = time.monotonic()
        if not self.is_terminal or (now - self.shown_at < 0.2 and n_done < self.n_total):
            return
        self.shown_at = now
        rate = n_done / max(now - self.started, 0.001)
        left = (self.n_total - n_done) / max(rate, 1)
        self.out.write(f"\r{self.label}: {100 * n_done // self.n_total:3} % of {size_text(self.n_total)}, "
                       f"{rate / 1e6:.0f} MB/s, {left:.0f} s left   " + ("\n" if n_done >= self.n_total else ""))
        self.out.flush()


def write_all(target, data, offset):
    view = memoryview(data)
    while view:
        n = os.pwrite(target, view, offset)
        view, offset = view[n:], offset + n


def write_chunk(target, data, offset):
    """Zeros are written only where something else is."""
    if data == ZEROS[:len(data)] and os.pread(target, len(data), offset) == data:
        return
    write_all(target, data, offset)


def write_image(image, size, target, out):
    """The first chunk last; until then the stick has no table of partitions."""
    progress = Progress("writing", size, out)
    write_all(target, ZEROS, 0)
    for offset in range(CHUNK, size, CHUNK):
        image.seek(offset)
        write_chunk(target, image.read(CHUNK), offset)
        progress.show(offset)
    image.seek(0)
    write_all(target, image.read(CHUNK), 0)
    os.fsync(target)
    progress.show(size)


def forget_cached(target):
    """What is read next comes from the medium."""
    os.posix_fadvise(target, 0, 0, os.POSIX_FADV_DONTNEED)
    with contextlib.suppress(OSError):
        fcntl.ioctl(target, BLKFLSBUF)


def verify(image, size, path, out):
    """Reads the target back, past the caches where the system allows it. Failed names the first difference."""
    progress = Progress("verifying", size, out)
    flags = os.O_RDONLY | os.O_CLOEXEC
    try:
        target = os.open(path, flags | os.O_DIRECT)
    except OSError:  # a file system without it
        target = os.open(path, flags)
    try:
        forget_cached(target)
        with mmap.mmap(-1, CHUNK) as buffer:  # on page boundaries, as O_DIRECT wants it
            for offset in range(0, size, CHUNK):
                image.seek(offset)
                expected = image.read(CHUNK)
                n = os.preadv(target, [memoryview(buffer)[:len(expected)]], offset)
                if n != len(expected) or buffer[:n] != expected:
                    at = next((i for i in range(min(n, len(expected))) if buffer[i] != expected[i]), n)
                    raise Failed(f"byte {offset + at} of {path} is not what was written. The stick is worn out or counterfeit; "
                                 "try another one, or another port")
                progress.show(offset + len(expected))
    finally:
        os.close(target)


def move_backup_table(path, size):
    """The backup of the GPT belongs to the end of the disk; the image knew only its own end. Done where sgdisk is there."""
    with open(path, "rb") as disk:
        disk_size = disk.seek(0, os.SEEK_END)
    if disk_size == size or shutil.which("sgdisk") is None:
        return False
    done = subprocess.run(["sgdisk", "--move-second-header", str(path)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                          check=False)
    return done.returncode == 0


# ---- the conversation ------------------------------------------------------------------------------------------------


def describe(disk, out):
    print(f"{disk.path}: {disk.title}{', ' + disk.bus if disk.bus else ''}, {size_text(disk.size)}", file=out)
    if shutil.which("lsblk") and disk.path.exists():
        listing = subprocess.run(["lsblk", "-no", "NAME,SIZE,FSTYPE,LABEL", str(disk.path)], capture_output=True, text=True,
                                 check=False).stdout.splitlines()[1:]
    else:
        listing = [f"{name}  {size_text(n_byte)}" for name, n_byte in disk.parts]
    for line in listing:
        print("  " + line, file=out)
    if not disk.parts:
        print("  no partitions", file=out)


def confirmed(disk, read_line, out):
    print(f"Everything on it will be lost. Type {disk.name} to go on, anything else to stop: ", end="", file=out, flush=True)
    return read_line().strip() in (disk.name, str(disk.path))


def flash(options, system, read_line, out):
    """Returns the exit code. Refused and Failed say why not."""
    if not options.target:
        known = [f"  {disk.path}  {disk.title}, {size_text(disk.size)}" for disk in flash_target.candidates(system)]
        raise Refused("name the stick:  make flash DEV=/dev/sdX\n" + ("\n".join(["These could be meant:", *known]) if known else
                                                                      "There is no stick or card in this machine."))
    path = Path(options.target)
    image, size = open_image(options.image)
    with image:
        if options.to_file:
            if path.exists() and not path.is_file():
                raise Refused(f"{path} is no file; without --to-file, disks are written")
            print(f"{options.image} ({size_text(size)}) -> {path}", file=out)
        else:
            disk = flash_target.find_disk(system, path)
            flash_target.refuse_if_unsafe(disk, size)
            describe(disk, out)
            print(f"{options.image} ({size_text(size)}) would be written." if options.dry_run else
                  f"{options.image} ({size_text(size)}) will be written.", file=out)
        if options.dry_run:
            print("Nothing was written (--dry-run).", file=out)
            return 0
        if not options.to_file and not options.yes and not confirmed(disk, read_line, out):
            raise Refused("stopped; nothing was written")
        write_and_verify(image, size, path, options.to_file, out)
    print("Done, and read back without a difference. Boot it: an x86-64 PC with UEFI, the stick chosen in the firmware's boot menu\n"
          "(F12, F11, F8 or Esc at power-on), Secure Boot off unless the program is signed. Models: copy them to the volume MODELS.",
          file=out)
    return 0


def write_and_verify(image, size, path, is_file, out):
    # O_EXCL on a disk: the kernel refuses where something has it mounted, whatever we have seen before.
    flags = os.O_RDWR | os.O_CLOEXEC | (os.O_CREAT if is_file else os.O_EXCL)
    target = os.open(path, flags, 0o644)
    try:
        if is_file and os.fstat(target).st_size < size:
            os.ftruncate(target, size)
        write_image(image, size, target, out)
    finally:
        os.close(target)
    verify(image, size, path, out)
    if move_backup_table(path, size):
        print("The backup of the partition table was moved to the end of the disk.", file=out)
    if not is_file:
        with contextlib.suppress(OSError), open(path, "rb") as disk:
            fcntl.ioctl(disk, BLKRRPART)  # so that the new volumes appear


def main(arguments, system=None, read_line=sys.stdin.readline, out=sys.stdout):
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("target", nargs="?", help="the disk, like /dev/sdb; without it, the sticks of this machine are listed")
    parser.add_argument("--image", type=Path, default=Path("images/llm-baremetal-boot.img"), help="what to write")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    parser.add_argument("--dry-run", action="store_true", help="check and show everything, write nothing")
    parser.add_argument("--to-file", action="store_true", help="the target is a plain file")
    options = parser.parse_args(arguments)
    try:
        return flash(options, system or System(), read_line, out)
    except PermissionError as error:
        print(f"flash: {error.filename}: only root may write to disks. Run:  sudo make flash DEV={options.target}", file=sys.stderr)
    except (Refused, Failed) as error:
        print(f"flash: {error}", file=sys.stderr)
    except OSError as error:
        print(f"flash: {error.filename or options.target}: {error.strerror}", file=sys.stderr)
    except KeyboardInterrupt:
        print("\nflash: interrupted; the stick does not boot until it is written again", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
