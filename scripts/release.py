#!/usr/bin/env python3
"""Makes the files of a release. `make release` calls it; docs/release.md says what each is for.

  release.py --efi build/efi/BOOTX64.EFI --model models/cache/MODEL.gguf --out images/release [--key minisign.key]

  llm-baremetal-boot-nomodel-x86_64.img.xz   the image without a model, 4 GiB of room for yours
  llm-baremetal-boot-x86_64.img.xz           the image with the default model
  llm-baremetal-usb-x86_64.zip               the same files for any FAT32 stick
  llm-baremetal-x86_64.efi                   the program alone
  SHA256SUMS.txt                             of these; `sha256sum -c` checks it with nothing but them
  SHA256SUMS.txt.minisig                     its signature, where --key names a secret key of minisign
  RELEASE_NOTES.md

The same inputs give the same bytes, whatever the machine (the .xz and .zip: with the same versions of liblzma and zlib).
They appear in the folder all at once. Without a key it says so, and the release is unsigned.

Exit codes: 0 done, 1 it could not be made, 2 usage.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import make_image
import release_notes
import sign
import xz_file
from checksums import SUMS_NAME, Sums, sha256_of
from fat_volume import FatError

ROOT = Path(__file__).resolve().parent.parent
NO_MODEL_IMAGE = "llm-baremetal-boot-nomodel-x86_64.img"
MODEL_IMAGE = "llm-baremetal-boot-x86_64.img"
ZIP_NAME = "llm-baremetal-usb-x86_64.zip"
EFI_NAME = "llm-baremetal-x86_64.efi"
SIGNATURE_NAME = SUMS_NAME + ".minisig"
PUBLIC_KEY_NAME = "minisign.pub"
ZIP_DATE = (2026, 1, 1, 0, 0, 0)


class ReleaseError(Exception):
    """What went wrong, and the way out."""


def say(text):
    print("release: " + text, file=sys.stderr, flush=True)


def image_options(options, efi, models, out):
    """What make_image needs, for one of the images."""
    arguments = ["--efi", efi, "--out", out, "--cfg", options.cfg]
    for model in models:
        arguments += ["--model", model]
    for licence in options.licence:
        arguments += ["--licence", licence]
    for item in options.file:
        arguments += ["--file", item]
    if options.size:
        arguments += ["--size", options.size]
    return make_image.build_parser().parse_args(list(map(str, arguments)))


def make_packed_image(options, efi, models, folder, name):
    """Writes NAME.xz into `folder`; returns the SHA-256 of the image in it."""
    with tempfile.TemporaryDirectory(prefix=".raw-", dir=folder) as raw_folder:
        raw = Path(raw_folder) / name
        make_image.write_image(image_options(options, efi, models, raw))
        say(f"compressing {name}")
        return xz_file.compress_file(raw, folder / (name + ".xz"), options.xz_level)


def make_zip(options, efi, target):
    """The files of the BOOT volume and a folder for models: unzipped on a FAT32 stick, it boots."""
    with tempfile.TemporaryDirectory(prefix=".zip-", dir=target.parent) as staging:
        boot, models = make_image.plan_files(image_options(options, efi, [], target), Path(staging))
        boot = [(source, path) for source, path in boot if path != "README.TXT"]
        boot.append((make_image.text_file(Path(staging) / "zip", "README.TXT", make_image.ZIP_README), "README.TXT"))
        entries = sorted([(path, source) for source, path in boot] + [("models/" + path, source) for source, path in models])
        with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
            for path, source in entries:
                entry = zipfile.ZipInfo(path, ZIP_DATE)
                entry.compress_type = zipfile.ZIP_DEFLATED
                entry.create_system = 0  # FAT: no rights, which would be those of whoever made it
                archive.writestr(entry, source.read_bytes())


def run_minisign(*arguments):
    try:
        done = subprocess.run(["minisign", *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              check=False)
    except FileNotFoundError as error:
        raise ReleaseError("minisign is missing. Install it with:  scripts/deps.sh release") from error
    if done.returncode != 0:
        raise ReleaseError(f"minisign failed: {done.stdout.strip()}")


def sign_sums(folder, key, version):
    """Signs the checksums and verifies that; returns the public key as one line."""
    public_key = folder / PUBLIC_KEY_NAME
    run_minisign("-R", "-s", key, "-p", public_key)
    # Without -t the comment would hold the time, and two releases of one source would differ.
    run_minisign("-S", "-s", key, "-m", folder / SUMS_NAME, "-x", folder / SIGNATURE_NAME, "-t", f"llm-baremetal {version}")
    run_minisign("-V", "-q", "-p", public_key, "-m", folder / SUMS_NAME, "-x", folder / SIGNATURE_NAME)
    return public_key.read_text(encoding="ascii").splitlines()[1]


def make_release(options, folder):
    """Writes every file into `folder`."""
    if options.key and not options.key.is_file():
        raise ReleaseError(f"there is no key {options.key}. Make one with:  minisign -G -p minisign.pub -s {options.key}")
    efi = folder / EFI_NAME
    if options.sign_key or options.sign_cert:
        sign.sign(options.efi, efi, options.sign_key or Path(), options.sign_cert or Path())
    else:
        shutil.copyfile(options.efi, efi)
    sums = Sums()
    images = [(NO_MODEL_IMAGE, [])] + ([(MODEL_IMAGE, options.model)] if options.model else [])
    for name, models in images:
        sums.unpacked[name] = make_packed_image(options, efi, models, folder, name)
    make_zip(options, efi, folder / ZIP_NAME)
    assets = [name + ".xz" for name, _ in images] + [ZIP_NAME, EFI_NAME]
    sums.files = {name: sha256_of(folder / name) for name in assets}
    (folder / SUMS_NAME).write_text(sums.text(), encoding="ascii", newline="\n")
    public_key = None
    if options.key:
        public_key = sign_sums(folder, options.key, options.version)
    else:
        say("no KEY was given: the checksums are not signed. With a key of minisign:  make release KEY=minisign.key")
    notes = release_notes.text(options.version, assets, {name: (folder / name).stat().st_size for name in assets}, public_key,
                               bool(options.sign_key))
    (folder / release_notes.NOTES_NAME).write_text(notes, encoding="ascii", newline="\n")


def publish(folder, out):
    """Moves the files to where they belong. What an older release left there under our names goes away."""
    out.mkdir(parents=True, exist_ok=True)
    for name in (NO_MODEL_IMAGE + ".xz", MODEL_IMAGE + ".xz", ZIP_NAME, EFI_NAME, SUMS_NAME, SIGNATURE_NAME, PUBLIC_KEY_NAME,
                 release_notes.NOTES_NAME):
        (out / name).unlink(missing_ok=True)
    for path in sorted(folder.iterdir()):
        path.chmod(0o644)
        os.replace(path, out / path.name)


def main(arguments):
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--efi", type=Path, required=True, help="the UEFI application")
    parser.add_argument("--out", type=Path, default=ROOT / "images" / "release", help="the folder of the release")
    parser.add_argument("--model", type=Path, action="append", default=[], help="of the image that has one; may be given again")
    parser.add_argument("--version", default="development", help="of the program, for the notes")
    parser.add_argument("--cfg", type=Path, default=ROOT / "repl.cfg.example", help="becomes repl.cfg")
    parser.add_argument("--licence", type=Path, action="append", default=[], help="goes to LICENCES; may be given again")
    parser.add_argument("--file", action="append", default=[], metavar="PATH=SOURCE", help="a further file of the BOOT volume")
    parser.add_argument("--size", help="size of the images (default: as scripts/make_image.py has it)")
    parser.add_argument("--xz-level", type=int, default=9, choices=range(1, 10), metavar="1..9", help="of compression (default: 9)")
    parser.add_argument("--key", type=Path, help="secret key of minisign")
    parser.add_argument("--sign-key", type=Path, help="private key for Secure Boot")
    parser.add_argument("--sign-cert", type=Path, help="its certificate")
    options = parser.parse_args(arguments)
    try:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".release-", dir=options.out.parent) as folder:
            make_release(options, Path(folder))
            publish(Path(folder), options.out)
    except (ReleaseError, make_image.ImageError, FatError, sign.SignError, OSError) as error:
        print(f"release: {error}", file=sys.stderr)
        return 1
    for path in sorted(options.out.iterdir()):
        if path.is_file():
            print(f"{path}  {path.stat().st_size / 1e6:.1f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
