"""M6.2: is a folder of release files whole, and is every byte what its checksums promise? The program is scripts/package-check.

The rules are those of the specified system (M6.2), with the names of ours beside them. A package is
  - SHA256SUMS.txt with at least two entries, `hash  name` or `hash *name`, the hash in any case; and
  - a pair: an image and its .xz, of which the entries hold the hashes. The first of these bases that has one is taken:
    llm-baremetal-boot-nomodel, llm-baremetal-boot; each also as BASE-x86_64, which is what `make release` calls them.
An image is large and mostly zeros, so a release publishes only its .xz, and says in a line `# unpacked: hash  name` what that
unpacks to. Such a line stands for the image: the .xz is unpacked, and what comes out has to have that hash.
Beyond the specified rules, every other published file that is listed is verified, too.
"""

import lzma

from checksums import SUMS_NAME, read_sums, sha256_of, sha256_unpacked

BASES = ("llm-baremetal-boot-nomodel", "llm-baremetal-boot")
MIN_ENTRIES = 2


class PackageError(Exception):
    """The text that a failed check prints."""


def image_names(no_model):
    """The images of which one has to be there, in their order. `no_model`: None for either kind."""
    bases = BASES if no_model is None else (BASES[0],) if no_model else (BASES[1],)
    return [base + suffix + ".img" for base in bases for suffix in ("", "-x86_64")]


def find_pair(folder, sums, no_model):
    """The image of the first pair that is there and listed. Raises PackageError where there is none."""
    names = image_names(no_model)
    for image in names:
        packed = image + ".xz"
        has_image = image in sums.files and (folder / image).is_file()
        if packed in sums.files and (folder / packed).is_file() and (has_image or image in sums.unpacked):
            return image
    if no_model is not None and not any((folder / (image + ".xz")).is_file() for image in names):
        raise PackageError(f"Missing required artifact: {folder / (names[-1] + '.xz')}")
    raise PackageError("No valid artifact pair found (.img + .img.xz with matching SHA256SUMS entries).")


def check_hash(path, expected, actual):
    if actual != expected:
        raise PackageError(f"Checksum mismatch for {path}")


def check(folder, no_model=None):
    """Verifies the package; returns (its image, its sums). PackageError says what is wrong with it."""
    if not folder.is_dir():
        raise PackageError(f"Artifacts directory not found: {folder}")
    sums_path = folder / SUMS_NAME
    if not sums_path.is_file():
        raise PackageError(f"Missing required artifact: {sums_path}")
    sums = read_sums(sums_path)
    if len(sums.files) < MIN_ENTRIES:
        raise PackageError(f"Invalid checksum file (expected at least {MIN_ENTRIES} entries): {sums_path}")
    image = find_pair(folder, sums, no_model)
    for name, digest in sums.files.items():
        path = folder / name
        if name in (image, image + ".xz") or path.is_file():
            check_hash(path, digest, sha256_of(path))
    if image not in sums.files:
        packed = folder / (image + ".xz")
        try:
            check_hash(packed, sums.unpacked[image], sha256_unpacked(packed))
        except (lzma.LZMAError, EOFError) as error:
            raise PackageError(f"Checksum mismatch for {packed}") from error
    return image, sums
