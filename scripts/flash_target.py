"""What Linux knows of a disk, and why it may not be overwritten. Used by flash.py.

Everything is read from sysfs and procfs, whose roots are arguments: tests have machines of their own.
"""

import os
import stat
from dataclasses import dataclass, field
from pathlib import Path

SECTOR = 512  # sysfs counts in these, whatever the disk has


class Refused(Exception):
    """Why the target is not written, and the way out."""


@dataclass
class System:
    """Where the kernel tells what it knows."""
    sys: Path = Path("/sys")
    proc: Path = Path("/proc")
    dev: Path = Path("/dev")

    def read(self, path, default=""):
        try:
            return path.read_text(encoding="utf-8", errors="replace").strip()
        except OSError:
            return default


@dataclass
class Disk:
    name: str                 # sdb
    path: Path                # /dev/sdb
    size: int                 # bytes
    title: str                # vendor and model
    bus: str                  # "USB", "SD card", or "" for what is built in
    removable: bool
    read_only: bool
    parts: list = field(default_factory=list)    # (name, bytes)
    mounts: list = field(default_factory=list)   # (name, where)
    users: list = field(default_factory=list)    # what else is made of it: dm-0, md0, swap


def device_number(system, folder):
    return system.read(folder / "dev")


def mounts_of(system, number):
    """Where the device MAJOR:MINOR is mounted. proc(5), mountinfo."""
    places = []
    for line in system.read(system.proc / "self" / "mountinfo").splitlines():
        fields = line.split()
        if len(fields) > 4 and fields[2] == number:
            places.append(fields[4].replace("\\040", " "))
    return places


def swap_devices(system):
    lines = system.read(system.proc / "swaps").splitlines()[1:]
    return {Path(line.split()[0]).name for line in lines if line.split()}


def read_disk(system, name):
    """The disk `name` of /sys/block."""
    folder = system.sys / "block" / name
    real = str(folder.resolve())
    kind = system.read(folder / "device" / "type")
    bus = "USB" if "/usb" in real else "SD card" if name.startswith("mmcblk") and kind == "SD" else ""
    title = " ".join(filter(None, (system.read(folder / "device" / "vendor"),
                                   system.read(folder / "device" / "model") or system.read(folder / "device" / "name"))))
    disk = Disk(name, system.dev / name, int(system.read(folder / "size", "0") or 0) * SECTOR, title or "unknown model", bus,
                system.read(folder / "removable") == "1" or bool(bus), system.read(folder / "ro") == "1")
    swaps = swap_devices(system)
    folders = [folder, *sorted(path.parent for path in folder.glob("*/partition"))]
    for part in folders:
        if part != folder:
            disk.parts.append((part.name, int(system.read(part / "size", "0") or 0) * SECTOR))
        disk.mounts += [(part.name, place) for place in mounts_of(system, device_number(system, part))]
        disk.users += sorted(path.name for path in (part / "holders").glob("*"))
        if part.name in swaps:
            disk.users.append(f"swap on {part.name}")
    return disk


def candidates(system):
    """The disks that may be written, for who has not named one."""
    names = sorted(path.name for path in (system.sys / "block").glob("*"))
    disks = [read_disk(system, name) for name in names if not name.startswith(("loop", "ram", "zram", "dm-", "md", "sr", "fd"))]
    return [disk for disk in disks if disk.removable and disk.size > 0]


def size_text(n_byte):
    return f"{n_byte / 1e9:.1f} GB" if n_byte >= 1e9 else f"{n_byte / 1e6:.1f} MB"


def find_disk(system, target):
    """The disk that `target`, like /dev/sdb, stands for. Refused: it is no whole disk."""
    try:
        status = target.stat()
    except OSError as error:
        raise Refused(f"{target}: {error.strerror.lower()}. lsblk lists the disks of this machine") from error
    if not stat.S_ISBLK(status.st_mode):
        raise Refused(f"{target} is no disk but a {'folder' if target.is_dir() else 'file'}")
    return disk_of_number(system, target, f"{os.major(status.st_rdev)}:{os.minor(status.st_rdev)}")


def disk_of_number(system, target, number):
    for folder in sorted((system.sys / "block").glob("*")):
        if device_number(system, folder) == number:
            return read_disk(system, folder.name)
        for part in folder.glob("*/partition"):
            if device_number(system, part.parent) == number:
                raise Refused(f"{target} is a partition; name its disk, {system.dev / folder.name}")
    raise Refused(f"{target}: the kernel does not list this disk")


def refuse_if_unsafe(disk, image_bytes):
    """Raises Refused where writing to `disk` would harm what is in use, or can not work."""
    for name, place in disk.mounts:
        if place == "/":
            raise Refused(f"{disk.path} holds the system that is running ({name} is mounted at /)")
    if not disk.removable:
        raise Refused(f"{disk.path} ({disk.title}) is built in, no stick or card: it is not overwritten")
    if disk.mounts:
        places = ", ".join(f"{name} at {place}" for name, place in disk.mounts)
        commands = "; ".join(f"umount '{place}'" for _, place in disk.mounts)
        raise Refused(f"{disk.path} is in use: {places}. Unmount it first:  {commands}")
    if disk.users:
        raise Refused(f"{disk.path} is in use by {', '.join(disk.users)}")
    if disk.read_only:
        raise Refused(f"{disk.path} can not be written; cards and some sticks have a switch for that")
    if disk.size < image_bytes:
        raise Refused(f"{disk.path} has {size_text(disk.size)}, the image needs {size_text(image_bytes)}")
