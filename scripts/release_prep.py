"""M6.3: gathers the files that are to be published in one folder. The program is scripts/release-prep.

ARTIFACTS/upload-TAG/ holds every published file, SHA256SUMS.txt, its signature where there is one, and RELEASE_NOTES.md. The sums
of the bundle check with the bundle alone: a raw image that is listed but not published becomes a line `# unpacked:`. Sums that
change by that lose their signature, which would no longer hold; those of `make release` do not change.
"""

import datetime
import lzma
import re
import shutil
import subprocess

import release_notes
from checksums import CHUNK, SUMS_NAME, Sums, sha256_of
from package_check import PackageError, check_hash

SIGNATURE_NAME = SUMS_NAME + ".minisig"
PUBLIC_KEY_NAME = "minisign.pub"


def default_tag(now=None):
    return (now or datetime.datetime.now()).strftime("v%Y.%m.%d-%H%M")


def bundle_sums(artifacts, image, sums, include_raw_image):
    """What the bundle promises: what is published and there. The raw image counts only where it is asked for."""
    bundle = Sums({}, dict(sums.unpacked))
    for name, digest in sums.files.items():
        is_raw_image = name.endswith(".img")
        if is_raw_image and not (include_raw_image and name == image):
            bundle.unpacked.setdefault(name, digest)
        elif (artifacts / name).is_file():
            bundle.files[name] = digest
    return bundle


def put_raw_image(artifacts, image, sums, folder):
    """The image itself, copied or unpacked."""
    target = folder / image
    if (artifacts / image).is_file():
        shutil.copyfile(artifacts / image, target)
    else:
        with lzma.open(artifacts / (image + ".xz"), "rb") as packed, open(target, "wb") as file:
            shutil.copyfileobj(packed, file, CHUNK)
    check_hash(target, sums.files.get(image) or sums.unpacked[image], sha256_of(target))


def prepare(artifacts, image, sums, tag, include_raw_image):
    """Makes the bundle of a package that was checked; returns its folder."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._+-]*", tag):
        raise PackageError(f"Invalid tag (letters, digits and . _ + - only): {tag}")
    folder = artifacts / f"upload-{tag}"
    if folder.exists():
        raise PackageError(f"Upload folder exists already: {folder}")
    folder.mkdir(parents=True)
    bundle = bundle_sums(artifacts, image, sums, include_raw_image)
    for name in bundle.files:
        shutil.copyfile(artifacts / name, folder / name)
    if include_raw_image and image not in bundle.files:
        put_raw_image(artifacts, image, sums, folder)
    sums_text = (artifacts / SUMS_NAME).read_text(encoding="utf-8")
    same = (bundle.files, bundle.unpacked) == (sums.files, sums.unpacked)
    (folder / SUMS_NAME).write_text(sums_text if same else bundle.text(), encoding="utf-8", newline="\n")
    public_key = None
    if same and (artifacts / SIGNATURE_NAME).is_file():
        shutil.copyfile(artifacts / SIGNATURE_NAME, folder / SIGNATURE_NAME)
        if (artifacts / PUBLIC_KEY_NAME).is_file():
            shutil.copyfile(artifacts / PUBLIC_KEY_NAME, folder / PUBLIC_KEY_NAME)
            public_key = (folder / PUBLIC_KEY_NAME).read_text(encoding="ascii").splitlines()[1]
    write_notes(artifacts, folder, tag, public_key)
    return folder


def write_notes(artifacts, folder, tag, public_key):
    """Of the files that are in the bundle. The notes of `make release` know whether the program is signed."""
    no_assets = (SUMS_NAME, SIGNATURE_NAME, PUBLIC_KEY_NAME)
    order = [ending for ending, _ in release_notes.PURPOSES]
    assets = sorted((path.name for path in folder.iterdir() if path.name not in no_assets),
                    key=lambda name: next(i for i, ending in enumerate(order) if name.endswith(ending)))
    notes = artifacts / release_notes.NOTES_NAME
    is_signed_efi = notes.is_file() and release_notes.SIGNED_EFI in notes.read_text(encoding="utf-8")
    text = release_notes.text(tag, assets, {name: (folder / name).stat().st_size for name in assets}, public_key, is_signed_efi)
    (folder / release_notes.NOTES_NAME).write_text(text, encoding="ascii", newline="\n")


def open_folder(folder):
    if shutil.which("xdg-open"):
        subprocess.run(["xdg-open", str(folder)], check=False)
    else:
        print(f"There is no xdg-open to show {folder} with.")
