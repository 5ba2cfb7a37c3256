#!/usr/bin/env python3
"""Writes the boot image: a GPT disk of three FAT32 partitions. Needs no root (sgdisk and mtools).

  make_image.py --efi build/efi/BOOTX64.EFI --out images/llm-baremetal-boot.img [--model FILE]... [--cfg FILE] [--size 2G]

  LBA 0..33        protective MBR, GPT
  1 MiB            BOOT     96 MiB    EFI system partition: EFI/BOOT/BOOTX64.EFI, repl.cfg, README.TXT, LICENCES/
                   STATE   256 MiB    the slots of what the program keeps (fat_volume.py); a partition type of its own
                   MODELS  the rest   the models, in the root; a plain partition, which every system shows
  last MiB         its last 33 sectors are the backup of the GPT

What is written often lies apart from what has to boot, and what the user copies lies apart from both. The same inputs give
the same bytes: all ids are fixed, every time stamp is SOURCE_DATE_EPOCH (or a fixed day), and files are copied in a fixed
order. The image is sparse and is renamed into place when it is whole.

Exit codes: 0 done, 1 it could not be made, 2 usage.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from fat_volume import FatError, SlotVolume

ROOT = Path(__file__).resolve().parent.parent
KIB = 1 << 10
MIB = 1 << 20
SECTOR = 512
START_GAP = MIB                    # aligned for every flash medium
END_GAP = MIB                      # holds the backup GPT (33 sectors) and keeps the end aligned
FAT32_FILE_LIMIT = (1 << 32) - 1
MIN_FAT32_CLUSTERS = 65525         # fewer, and firmware takes the file system for FAT16 (Microsoft, FAT specification, 3.5)
BOOT_BYTES = 96 * MIB
STATE_BYTES = 256 * MIB
MIN_MODELS_BYTES = 40 * MIB
NO_MODEL_BYTES = 4096 * MIB        # room for the user's models; sparse here, nothing once compressed

# Ids of ours, the same in every image: two sticks of one image are the same disk to a machine that holds both.
DISK_GUID = "6C6D6261-7265-4D65-8461-6C2D6469736B"
ESP_TYPE = "C12A7328-F81F-11D2-BA4B-00A0C93EC93B"         # UEFI specification, section 5.3.3
STATE_TYPE = "6C6D6261-7265-4D65-8461-6C2D73746174"       # our own: no system opens it unasked
BASIC_DATA_TYPE = "EBD0A0A2-B9E5-4433-87C0-68B6B72699C7"  # Microsoft's, which Windows shows as a drive
FIXED_EPOCH = 1767225600           # 2026-01-01T00:00:00Z

# What the program keeps (core/state/state_store.h): a record is a name and the bytes of one of its two slots, SLOT0/NAME.0 and SLOT1/NAME.1.
STATE_FILES = (
    ("SETTINGS", 64 * KIB),
    ("HISTORY", 128 * KIB),
    *((f"CHAT{i:02}", 512 * KIB) for i in range(16)),
    *((f"LOG{i:02}", 64 * KIB) for i in range(16)),  # segments of the journal
    ("SNAPSHOT", 64 * MIB),        # of a KV cache: about 23 KB a token
)

BOOT_README = """llm-baremetal: this disk boots a PC into a chat with a local language model.

  BOOT    this volume. EFI\\BOOT\\BOOTX64.EFI is the program (x86-64 PCs with UEFI).
          repl.cfg has the settings, one key=value a line; it may be missing.
  STATE   what the program keeps: conversations, settings, its journal. Leave it alone.
  MODELS  the models: copy .gguf files there. In the chat, /models lists them, /model NAME loads one.

Secure Boot has to be off, or the program signed with a key that the PC trusts.
LICENCES has the terms of the program and of what it is made with.
"""
MODELS_README = """llm-baremetal: copy model files (.gguf, .slm, llama2.c .bin) to this volume, in the root or in a folder "models".

A file here can not be larger than 4 GiB. A larger model goes here in parts: NAME-00001-of-00003.gguf and so on.
A llama2.c model (.bin) needs its tokenizer beside it: NAME.tokenizer.bin for NAME.bin, or tokenizer.bin for all.
In the chat, /models lists what is here, /model NAME loads one.
"""
ZIP_README = """llm-baremetal: unzipped to the root of a FAT32 stick, this boots a PC into a chat with a local language model.

  EFI\\BOOT\\BOOTX64.EFI   the program (x86-64 PCs with UEFI)
  models\\                 copy .gguf files here; in the chat, /models lists them, /model NAME loads one
  repl.cfg                settings, one key=value a line; it may be missing

Secure Boot has to be off, or the program signed with a key that the PC trusts.
LICENCES has the terms of the program and of what it is made with.
"""
STATE_README = """llm-baremetal keeps its conversations, settings and journal here, each in two slots of which one is always whole.
Their places on the disk matter: please do not change, copy or delete these files. To start afresh, flash the image again.
"""


class ImageError(Exception):
    """What went wrong, and the way out."""


@dataclass(frozen=True)
class Partition:
    name: str      # in the table of partitions
    label: str     # of the file system
    kind: str      # GUID
    guid: str
    volume_id: int
    start: int     # bytes
    n_byte: int


def plan_partitions(size):
    """BOOT, STATE and MODELS of a disk of `size` bytes."""
    models_start = START_GAP + BOOT_BYTES + STATE_BYTES
    return (Partition("BOOT", "LLMBOOT", ESP_TYPE, "6C6D6261-7265-4D65-8461-6C2D65737030", 0x4C424D31, START_GAP, BOOT_BYTES),
            Partition("STATE", "LBMSTATE", STATE_TYPE, "6C6D6261-7265-4D65-8461-6C2D73746130", 0x4C424D32,
                      START_GAP + BOOT_BYTES, STATE_BYTES),
            Partition("MODELS", "MODELS", BASIC_DATA_TYPE, "6C6D6261-7265-4D65-8461-6C2D6D6F6430", 0x4C424D33,
                      models_start, size - END_GAP - models_start))


SMALLEST_BYTES = START_GAP + BOOT_BYTES + STATE_BYTES + MIN_MODELS_BYTES + END_GAP


def run(*command, epoch):
    """Runs one of the tools; their output is shown only when they fail."""
    # mtools takes every time stamp from SOURCE_DATE_EPOCH, in the local time zone; a configuration of the user's would change more.
    environment = {**os.environ, "TZ": "UTC", "LC_ALL": "C", "SOURCE_DATE_EPOCH": str(epoch), "MTOOLS_SKIP_CHECK": "1",
                   "MTOOLSRC": os.devnull}
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


def fat32_bytes(content_bytes):
    """What a FAT32 partition needs for this content: tables, folders, slack."""
    return content_bytes + content_bytes // 64 + 4 * MIB


def standard_size(models_bytes):
    """Twice the models, so that another one fits beside the first; without any, room for a real one."""
    if models_bytes == 0:
        return SMALLEST_BYTES - MIN_MODELS_BYTES + NO_MODEL_BYTES
    room = max(256 * MIB, -(-(2 * models_bytes + 32 * MIB) // (64 * MIB)) * 64 * MIB)
    return SMALLEST_BYTES - MIN_MODELS_BYTES + room


def cluster_sectors(partition_bytes):
    """The largest cluster, up to 32 KiB, that leaves enough of them for FAT32: large clusters make firmware read faster."""
    # Each cluster costs its sectors and 4 bytes in each of two FATs; 64 sectors are reserved at most.
    for sectors in (64, 32, 16, 8, 4, 2):
        clusters = (partition_bytes - 64 * SECTOR) // (sectors * SECTOR + 8)
        if clusters >= MIN_FAT32_CLUSTERS + 16:
            return sectors
    return 1


# ---- what goes where -------------------------------------------------------------------------------------------------


def text_file(folder, name, text):
    """A text for people, with the line ends that every system shows."""
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text.replace("\n", "\r\n"), encoding="ascii", newline="")
    return path


def model_files(options):
    """The models and what belongs to them. EXTRA_MODELS is one text, 'a;b', as the specification's builder has it."""
    extra = [Path(name) for name in (options.extra_models or "").split(";") if name.strip()]
    return [*options.model, *extra, *([options.tokenizer] if options.tokenizer else [])]


def plan_files(options, staging):
    """The files of BOOT and of MODELS as (source, path on it), in the order they are written. Errors name the file."""
    boot = [(options.efi, "EFI/BOOT/BOOTX64.EFI"), (text_file(staging / "boot", "README.TXT", BOOT_README), "README.TXT")]
    if options.cfg:
        boot.append((options.cfg, "repl.cfg"))
    boot += [(licence, "LICENCES/" + licence.name) for licence in options.licence]
    for item in options.file:
        path, equals, source = item.partition("=")
        if not equals or not path or path.startswith("/") or ".." in path.split("/"):
            raise ImageError(f"--file {item}: give PATH=SOURCE, with the path on the BOOT volume")
        boot.append((Path(source), path))
    models = [(model, model.name) for model in model_files(options)]
    if options.tokenizer:
        models[-1] = (options.tokenizer, "tokenizer.bin")
    models.append((text_file(staging / "models", "README.TXT", MODELS_README), "README.TXT"))
    for files in (boot, models):
        check_files(files)
    return boot, models


def check_files(files):
    names = set()
    for source, path in files:
        if not source.is_file():
            raise ImageError(f"{source}: there is no such file")
        if source.stat().st_size > FAT32_FILE_LIMIT:
            raise ImageError(f"{source}: larger than 4 GiB, which FAT32 cannot hold. Use a smaller quantization of the model, or "
                             "its parts (NAME-00001-of-0000N.gguf).")
        if path.lower() in names:
            raise ImageError(f"{source}: there are two files called {path}")
        names.add(path.lower())


def bytes_of(files):
    return sum(source.stat().st_size for source, _ in files)


# ---- writing ---------------------------------------------------------------------------------------------------------


def write_table(image, partitions, epoch):
    command = ["sgdisk", "--clear", "--disk-guid", DISK_GUID]
    for number, part in enumerate(partitions, 1):
        first = part.start // SECTOR
        last = (part.start + part.n_byte) // SECTOR - 1
        command += ["--new", f"{number}:{first}:{last}", "--typecode", f"{number}:{part.kind}",
                    "--change-name", f"{number}:{part.name}", "--partition-guid", f"{number}:{part.guid}"]
    run(*command, str(image), epoch=epoch)


def write_volume(image, part, files, epoch):
    """A FAT32 file system with these files, by mtools."""
    drive = f"{image}@@{part.start}"
    run("mformat", "-i", drive, "-F", "-T", str(part.n_byte // SECTOR), "-h", "255", "-s", "63", "-H", str(part.start // SECTOR),
        "-c", str(cluster_sectors(part.n_byte)), "-N", f"{part.volume_id:08X}", "-v", part.label, "::", epoch=epoch)
    folders = sorted({str(parent) for _, path in files for parent in Path(path).parents if str(parent) != "."})
    for folder in folders:
        run("mmd", "-i", drive, "::/" + folder, epoch=epoch)
    for source, path in files:
        run("mcopy", "-i", drive, str(source), "::/" + path, epoch=epoch)


def make_image(options, staging):
    """Writes the image into `staging`; returns (its path, its size, the bytes of its content)."""
    epoch = int(os.environ.get("SOURCE_DATE_EPOCH", FIXED_EPOCH))
    boot_files, models_files = plan_files(options, staging)
    if fat32_bytes(bytes_of(boot_files)) > BOOT_BYTES:
        raise ImageError(f"the files of the BOOT volume need more than its {BOOT_BYTES // MIB} MiB; models belong to --model")
    models_bytes = bytes_of(models_files)
    size = parse_size(options.size) if options.size else standard_size(models_bytes if len(models_files) > 1 else 0)
    needed = max(SMALLEST_BYTES, SMALLEST_BYTES - MIN_MODELS_BYTES + fat32_bytes(models_bytes))
    if size < needed:
        raise ImageError(f"--size {size // MIB}M is too small: this content needs {-(-needed // MIB)}M "
                         f"(at least {SMALLEST_BYTES // MIB}M: {BOOT_BYTES // MIB}M of programs and {STATE_BYTES // MIB}M of state)")

    image = staging / "image"
    with open(image, "wb") as file:
        file.truncate(size)
    boot, state, models = plan_partitions(size)
    write_table(image, (boot, state, models), epoch)
    write_volume(image, boot, boot_files, epoch)
    with open(image, "r+b") as file:
        SlotVolume(state.n_byte, STATE_FILES, STATE_README.replace("\n", "\r\n")).write(file, state.start, state.volume_id, epoch)
    write_volume(image, models, models_files, epoch)
    run("sgdisk", "--verify", str(image), epoch=epoch)
    return image, size, bytes_of(boot_files) + models_bytes


def build_parser():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--efi", type=Path, required=True, help="the UEFI application")
    parser.add_argument("--out", type=Path, required=True, help="the image to write")
    parser.add_argument("--model", type=Path, action="append", default=[], help="a model file; may be given again")
    parser.add_argument("--extra-models", help="further model files, as one text: 'a.gguf;b.gguf'")
    parser.add_argument("--tokenizer", type=Path, help="becomes tokenizer.bin beside the models (for llama2.c models)")
    parser.add_argument("--cfg", type=Path, help="becomes repl.cfg")
    parser.add_argument("--licence", type=Path, action="append", default=[], help="goes to LICENCES; may be given again")
    parser.add_argument("--file", action="append", default=[], metavar="PATH=SOURCE", help="a further file of the BOOT volume")
    parser.add_argument("--size", help="size of the image, like 512M or 2G (default: twice its models)")
    return parser


def write_image(options):
    """Makes the image of `options.efi` at `options.out`; returns (its size, the bytes of its content)."""
    options.out.parent.mkdir(parents=True, exist_ok=True)
    # On the same file system as the result, so that the rename is one step.
    with tempfile.TemporaryDirectory(prefix=".image-", dir=options.out.parent) as staging:
        image, size, content_bytes = make_image(options, Path(staging))
        os.replace(image, options.out)
    return size, content_bytes


def main(arguments):
    options = build_parser().parse_args(arguments)
    try:
        size, content_bytes = write_image(options)
    except (ImageError, FatError, OSError) as error:
        print(f"make_image: {error}", file=sys.stderr)
        return 1
    print(f"{options.out}: {size // MIB} MiB, {content_bytes / 1e6:.0f} MB of it used"
          + "".join(f", {model.name}" for model in model_files(options)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
