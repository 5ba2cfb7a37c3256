#!/usr/bin/env python3
"""Writes the boot image: a GPT disk with one FAT32 EFI system partition. Needs no root (sgdisk and mtools).

  make_image.py --efi build/efi/BOOTX64.EFI --out images/llm-baremetal-boot.img [--model FILE]... [--cfg FILE] [--size 2G]

  LBA 0            protective MBR          1 MiB .. end - 1 MiB   the partition, FAT32:
  LBA 1..33        GPT                       EFI/BOOT/BOOTX64.EFI  what the firmware starts
  last 33 sectors  its backup                models/*.gguf         the models, found by name
                                             repl.cfg, README.TXT

The same inputs give the same bytes: disk, partition and volume ids are fixed, every time stamp is SOURCE_DATE_EPOCH (or a fixed
day), and files are copied in a fixed order. The image is sparse and is renamed into place when it is whole.

Exit codes: 0 done, 1 it could not be made, 2 usage.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

MIB = 1 << 20
SECTOR = 512
PARTITION_START = MIB              # aligned for every flash medium
PARTITION_END_GAP = MIB            # holds the backup GPT (33 sectors) and keeps the end aligned
FAT32_FILE_LIMIT = (1 << 32) - 1
MIN_FAT32_CLUSTERS = 65525         # fewer, and firmware takes the file system for FAT16 (Microsoft, FAT specification, 3.5)
SMALLEST_BYTES = 64 * MIB
NO_MODEL_BYTES = 512 * MIB         # room for a small model that the user copies; sparse here, nothing once compressed

# Ids of ours, the same in every image: two sticks of one image are the same disk to a machine that holds both.
DISK_GUID = "6C6D6261-7265-4D65-8461-6C2D6469736B"
PARTITION_GUID = "6C6D6261-7265-4D65-8461-6C2D65737030"
VOLUME_ID = "4C424D31"
VOLUME_LABEL = "LLMBOOT"
FIXED_EPOCH = 1767225600           # 2026-01-01T00:00:00Z

README_TXT = """llm-baremetal: this disk boots a PC into a chat with a local language model.

  EFI\\BOOT\\BOOTX64.EFI   the program; it needs an x86-64 PC with UEFI
  models\\                 copy further .gguf files here; /models lists them, /model NAME loads one
  repl.cfg                settings, one key=value a line; it may be missing

Secure Boot has to be off: the program is not signed.
A file can not be larger than 4 GiB on this file system.
"""


class ImageError(Exception):
    """What went wrong, and the way out."""


def run(*command, epoch):
    """Runs one of the tools; their output is shown only when they fail."""
    # mtools takes every time stamp from SOURCE_DATE_EPOCH, in the local time zone.
    environment = {**os.environ, "TZ": "UTC", "LC_ALL": "C", "SOURCE_DATE_EPOCH": str(epoch), "MTOOLS_SKIP_CHECK": "1"}
    try:
        result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise ImageError(f"{command[0]} is missing. Install it with:  scripts/deps.sh image") from error
    if result.returncode != 0:
        raise ImageError(f"{' '.join(map(str, command))} failed:\n{result.stdout}{result.stderr}".rstrip())


def parse_size(text):
    """'300M', '2G' or bytes -> bytes, whole MiB."""
    match = re.fullmatch(r"(\d+)([KMG]?)(?:i?B)?", text, re.IGNORECASE)
    if not match:
        raise ImageError(f"--size {text}: give a number with M or G, like 512M or 2G")
    n_bytes = int(match[1]) << {"": 0, "K": 10, "M": 20, "G": 30}[match[2].upper()]
    return n_bytes // MIB * MIB


def standard_size(content_bytes, has_model):
    """Twice the content, so that another model fits beside the first one; without a model, room for a small one."""
    if not has_model:
        return NO_MODEL_BYTES
    return max(256 * MIB, -(-(2 * content_bytes + 32 * MIB) // (64 * MIB)) * 64 * MIB)


def cluster_sectors(partition_bytes):
    """The largest cluster, up to 32 KiB, that leaves enough of them for FAT32: large clusters make firmware read faster."""
    # Each cluster costs its sectors and 4 bytes in each of two FATs; 64 sectors are reserved at most.
    for sectors in (64, 32, 16, 8, 4, 2):
        clusters = (partition_bytes - 64 * SECTOR) // (sectors * SECTOR + 8)
        if clusters >= MIN_FAT32_CLUSTERS + 16:
            return sectors
    return 1


def plan_files(options, staging):
    """The files of the partition as (source, path on it), in the order they are written. Errors name the file."""
    files = [(options.efi, "EFI/BOOT/BOOTX64.EFI")]
    readme = staging / "README.TXT"
    readme.write_text(README_TXT.replace("\n", "\r\n"), encoding="ascii")
    files.append((readme, "README.TXT"))
    if options.cfg:
        files.append((options.cfg, "repl.cfg"))
    for model in options.model:
        files.append((model, "models/" + model.name))
    names = set()
    for source, path in files:
        if not source.is_file():
            raise ImageError(f"{source}: there is no such file")
        if source.stat().st_size > FAT32_FILE_LIMIT:
            raise ImageError(f"{source}: larger than 4 GiB, which FAT32 cannot hold. Use a smaller quantization of the model.")
        if path.lower() in names:
            raise ImageError(f"{source}: there are two files called {path}")
        names.add(path.lower())
    return files


def make_image(options, staging):
    epoch = int(os.environ.get("SOURCE_DATE_EPOCH", FIXED_EPOCH))
    files = plan_files(options, staging)
    content_bytes = sum(source.stat().st_size for source, _ in files)
    size = parse_size(options.size) if options.size else standard_size(content_bytes, bool(options.model))
    needed = content_bytes + content_bytes // 64 + PARTITION_START + PARTITION_END_GAP + 4 * MIB  # FATs, folders, slack
    if size < max(SMALLEST_BYTES, needed):
        smallest = -(-max(SMALLEST_BYTES, needed) // MIB)
        raise ImageError(f"--size {size // MIB}M is too small: this content needs {smallest}M (FAT32 itself at least 64M)")

    image = staging / "image"
    with open(image, "wb") as file:
        file.truncate(size)
    first = PARTITION_START // SECTOR
    last = (size - PARTITION_END_GAP) // SECTOR - 1
    run("sgdisk", "--clear", "--disk-guid", DISK_GUID, "--new", f"1:{first}:{last}", "--typecode", "1:ef00",
        "--change-name", "1:llm-baremetal", "--partition-guid", f"1:{PARTITION_GUID}", str(image), epoch=epoch)

    partition_bytes = size - PARTITION_START - PARTITION_END_GAP
    drive = f"{image}@@{PARTITION_START}"
    run("mformat", "-i", drive, "-F", "-T", str(partition_bytes // SECTOR), "-h", "255", "-s", "63", "-H", str(first),
        "-c", str(cluster_sectors(partition_bytes)), "-N", VOLUME_ID, "-v", VOLUME_LABEL, "::", epoch=epoch)
    folders = sorted({str(parent) for _, path in files for parent in Path(path).parents if str(parent) != "."})
    if "models" not in folders:
        folders.append("models")  # an empty one says where to put them
    for folder in folders:
        run("mmd", "-i", drive, "::/" + folder, epoch=epoch)
    for source, path in files:
        run("mcopy", "-i", drive, str(source), "::/" + path, epoch=epoch)
    run("sgdisk", "--verify", str(image), epoch=epoch)
    return image, size, content_bytes


def main(arguments):
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--efi", type=Path, required=True, help="the UEFI application")
    parser.add_argument("--out", type=Path, required=True, help="the image to write")
    parser.add_argument("--model", type=Path, action="append", default=[], help="a model file; may be given again")
    parser.add_argument("--cfg", type=Path, help="becomes repl.cfg")
    parser.add_argument("--size", help="size of the image, like 512M or 2G (default: twice its content)")
    options = parser.parse_args(arguments)
    try:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        # On the same file system as the result, so that the rename is one step.
        with tempfile.TemporaryDirectory(prefix=".image-", dir=options.out.parent) as staging:
            image, size, content_bytes = make_image(options, Path(staging))
            os.replace(image, options.out)
    except (ImageError, OSError) as error:
        print(f"make_image: {error}", file=sys.stderr)
        return 1
    print(f"{options.out}: {size // MIB} MiB, {content_bytes / 1e6:.0f} MB of it used"
          + "".join(f", models/{model.name}" for model in options.model))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
