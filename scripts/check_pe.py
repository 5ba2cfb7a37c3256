#!/usr/bin/env python3
"""Checks that a UEFI application is a file that firmware likes: see docs/uefi.md.

  check_pe.py build/efi/BOOTX64.EFI...

Newer firmware and the shim of Secure Boot refuse what older firmware let pass: sections that are both writable and executable,
sections that are not on 4 KiB pages, files without NX_COMPAT, without relocations, without .sbat (which generation of the program a
file is, so that it can be revoked), a checksum that is given but wrong. A time stamp would make every build differ.

Exit codes: 0 nothing found, 1 findings (one a line), 2 usage or unreadable.
"""

import struct
import sys
from pathlib import Path

PAGE = 4096
X86_64 = 0x8664
PE32_PLUS = 0x20B
EFI_APPLICATION = 10
NX_COMPAT, DYNAMIC_BASE = 0x100, 0x40
EXECUTE, WRITE = 0x20000000, 0x80000000
IMPORTS, RELOCATIONS = 1, 5  # places in the data directory
RELOCATIONS_STRIPPED = 1
SBAT_BEGINNING = b"sbat,1,"  # SBAT.md of rhboot/shim: the first line is about the table itself


def checksum_of(data, field):
    """The checksum of a PE file: its 16-bit words with the carries added in, without the field itself, and its length."""
    words = data[:field] + bytes(4) + data[field + 4:] + bytes(len(data) % 2)
    total = sum(struct.unpack(f"<{len(words) // 2}H", words))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return total + len(data)


def sections_of(data, first, n_section):
    """(name, rights, address, bytes) of each section; the bytes as far as the file has them."""
    for header in range(first, first + 40 * n_section, 40):
        name = data[header:header + 8].rstrip(b"\0").decode("ascii", "replace")
        virtual_size, address, n_byte, offset = struct.unpack_from("<IIII", data, header + 8)
        (rights,) = struct.unpack_from("<I", data, header + 36)
        yield name, rights, address, data[offset:offset + min(n_byte, virtual_size)]


def check(data):
    """Findings about the PE file `data`, as texts. Microsoft PE and COFF specification, sections 3 and 4."""
    (pe,) = struct.unpack_from("<I", data, 0x3C)
    if data[:2] != b"MZ" or data[pe:pe + 4] != b"PE\0\0":
        return ["is no PE file"]
    machine, n_section, time_stamp, _, _, optional_size, traits = struct.unpack_from("<HHIIIHH", data, pe + 4)
    optional = pe + 24
    (magic,) = struct.unpack_from("<H", data, optional)
    if machine != X86_64 or magic != PE32_PLUS:
        return [f"is not for x86-64 (machine {machine:#x}, magic {magic:#x})"]
    findings = []
    section_alignment, file_alignment = struct.unpack_from("<II", data, optional + 32)
    subsystem, flags = struct.unpack_from("<HH", data, optional + 68)
    if subsystem != EFI_APPLICATION:
        findings.append(f"subsystem is {subsystem}, not {EFI_APPLICATION} (EFI application)")
    if section_alignment < PAGE or section_alignment % PAGE:
        findings.append(f"sections are aligned to {section_alignment} bytes, not to pages of {PAGE}")
    if file_alignment < 512:
        findings.append(f"file alignment is {file_alignment}, less than a sector")
    for flag, name in ((NX_COMPAT, "NX_COMPAT"), (DYNAMIC_BASE, "DYNAMIC_BASE")):
        if not flags & flag:
            findings.append(f"is not marked {name}")
    if time_stamp:
        findings.append(f"carries the time stamp {time_stamp}: two builds of the same sources differ")
    directory = [struct.unpack_from("<II", data, optional + 112 + 8 * i) for i in (IMPORTS, RELOCATIONS)]
    if directory[0][1]:
        findings.append("imports from a DLL, which firmware has not got")
    if not directory[1][1] or traits & RELOCATIONS_STRIPPED:
        findings.append("has no relocations: firmware loads it where it likes")
    (checksum,) = struct.unpack_from("<I", data, optional + 64)
    if checksum and checksum != checksum_of(data, optional + 64):
        findings.append(f"has the checksum {checksum:#x}, which is not that of its bytes (0 would do)")
    sections = list(sections_of(data, optional + optional_size, n_section))
    for name, rights, address, _ in sections:
        if rights & EXECUTE and rights & WRITE:
            findings.append(f"section {name} is both writable and executable")
        if address % PAGE:
            findings.append(f"section {name} does not begin on a page")
    sbat = [content for name, _, _, content in sections if name == ".sbat"]
    if not sbat or not sbat[0].startswith(SBAT_BEGINNING):
        findings.append("has no section .sbat: the shim of Secure Boot refuses it")
    return findings


def main(arguments):
    if not arguments or arguments[0].startswith("-"):
        print(__doc__, file=sys.stderr)
        return 2
    n_finding = 0
    for name in arguments:
        try:
            findings = check(Path(name).read_bytes())
        except (OSError, struct.error) as error:
            print(f"check_pe: {name}: {error}", file=sys.stderr)
            return 2
        for finding in findings:
            print(f"{name}: {finding}")
        n_finding += len(findings)
    print(f"pe: {len(arguments)} files, {n_finding} findings")
    return 1 if n_finding else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
