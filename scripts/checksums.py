"""SHA256SUMS.txt: what a release promises about its files.

A line is `HASH  NAME` or `HASH *NAME`, as sha256sum writes and checks it. Lines that begin with # are comments to sha256sum; one of
ours, `# unpacked: HASH  NAME.img`, says what NAME.img.xz unpacks to. So the sums check with the published files alone, and
whoever has unpacked an image can still compare it.
"""

import hashlib
import lzma
import re
from dataclasses import dataclass, field

SUMS_NAME = "SHA256SUMS.txt"
CHUNK = 1 << 22
LINE = re.compile(r"([0-9a-fA-F]{64})\s+\*?(\S.*?)\s*")
UNPACKED = re.compile(r"#\s*unpacked:\s*" + LINE.pattern)


def sha256_of(path):
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def sha256_unpacked(path):
    """Of what an .xz file holds. Errors: lzma.LZMAError, EOFError where it is damaged or cut."""
    digest = hashlib.sha256()
    with lzma.open(path, "rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


@dataclass
class Sums:
    files: dict = field(default_factory=dict)     # name -> hash, in the order of the lines
    unpacked: dict = field(default_factory=dict)  # name of an image -> hash

    def text(self):
        return "".join([*(f"{digest}  {name}\n" for name, digest in self.files.items()),
                        *(f"# unpacked: {digest}  {name}\n" for name, digest in self.unpacked.items())])


def parse_sums(text):
    """The lines that are none of ours are left out; of two lines for one name the first holds."""
    sums = Sums()
    for line in text.splitlines():
        if match := UNPACKED.fullmatch(line):
            sums.unpacked.setdefault(match[2], match[1].lower())
        elif match := LINE.fullmatch(line):
            sums.files.setdefault(match[2], match[1].lower())
    return sums


def read_sums(path):
    return parse_sums(path.read_text(encoding="utf-8", errors="replace"))
