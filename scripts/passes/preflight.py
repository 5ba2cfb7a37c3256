"""M6, preflight: is everything here that building, booting and checking need?

  preflight [--json]

Prints `[OK] Name: detail` or `[FAIL] Name: detail` for each, with the way out, and at last `Preflight: READY` or `NOT READY`. Whether KVM
can be used and whether the default model is here are told and stop nothing.

Exit codes: 0 ready, 1 not ready, 2 usage.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, List, Optional, Tuple

from passes.voice import EXIT_FAILED, EXIT_PASSED, ROOT, Voice
from qemu_machine import MachineError, find_firmware

LLVM_VERSIONS = (19, 18, 17, 16, 20, 21)  # in the order of mk/toolchain.mk
# What Debian keeps out of the path of a user who is not root; the scripts look there, too.
SYSTEM_FOLDERS = ("/usr/sbin", "/sbin", "/usr/local/sbin")
DISK_ROOM_BYTES = 3 << 30  # objects of all hosts, the tests, an image and the default model
INSTALL = "install it with: make deps"


@dataclass
class Finding:
    name: str
    ok: bool
    detail: str


def find_program(name: str) -> Optional[str]:
    return shutil.which(name) or shutil.which(name, path=os.pathsep.join(SYSTEM_FOLDERS))


def version_of(command: List[str]) -> str:
    """The first line of what a program says of itself that has a number in it."""
    try:
        ran = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                             errors="replace", timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"does not run ({error})"
    return next((line.strip() for line in ran.stdout.splitlines() if re.search(r"\d", line)), "version unknown")


def check_program(name: str, program: str, flag: str = "--version", use: str = "") -> Finding:
    path = find_program(program)
    if path is None:
        return Finding(name, False, f"there is no {program}{use}; {INSTALL}")
    return Finding(name, True, f"{version_of([path, flag])} ({path})")


def check_python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info < (3, 8):
        return Finding("Python", False, f"{version} is too old; 3.8 or newer is needed")
    return Finding("Python", True, f"{version} ({sys.executable})")


def check_llvm() -> List[Finding]:
    """Compiler, linker and object tool of one version, as the Makefile takes them."""
    version = next((version for version in LLVM_VERSIONS if find_program(f"clang++-{version}")), None)
    if version is None:
        return [Finding("clang++", False, f"none of {', '.join(f'clang++-{v}' for v in LLVM_VERSIONS)} is here; {INSTALL}")]
    return [check_program(name, f"{name}-{version}") for name in ("clang++", "lld-link", "llvm-objcopy")]


def check_efi_headers() -> Finding:
    path = Path("/usr/include/efi/efi.h")
    if not path.is_file():
        return Finding("UEFI headers", False, f"there is no {path} (package gnu-efi); {INSTALL}")
    return Finding("UEFI headers", True, str(path.parent))


def check_firmware() -> Finding:
    try:
        code, _ = find_firmware()
    except MachineError as error:
        return Finding("OVMF", False, str(error))
    return Finding("OVMF", True, str(code))


def check_kvm() -> Finding:
    try:
        flags = re.search(r"^flags\s*:(.*)$", Path("/proc/cpuinfo").read_text(encoding="utf-8"), re.MULTILINE)
    except OSError:
        flags = None
    has_support = flags is not None and re.search(r"\b(vmx|svm)\b", flags.group(1)) is not None
    if os.access("/dev/kvm", os.R_OK | os.W_OK):
        detail = "/dev/kvm can be opened; whether it runs the firmware is tried at the first run"
    elif Path("/dev/kvm").exists():
        detail = "/dev/kvm is not ours to open (join the group kvm); QEMU emulates the processor until then"
    elif has_support:
        detail = "the processor can, but there is no /dev/kvm; QEMU emulates the processor"
    else:
        detail = "not available; QEMU emulates the processor"
    return Finding("KVM", True, detail)


def check_room(folder: Path = ROOT, free_bytes: Callable[[Path], int] = lambda path: shutil.disk_usage(path).free) -> Finding:
    free = free_bytes(folder)
    detail = f"{free / 2**30:.1f} GiB free in {folder}"
    if free < DISK_ROOM_BYTES:
        return Finding("Disk room", False, f"{detail}, {DISK_ROOM_BYTES >> 30} GiB are needed; remove what is not (make clean), "
                                           "or build elsewhere (make BUILD=FOLDER)")
    return Finding("Disk room", True, detail)


def default_model() -> Tuple[Optional[Path], str]:
    """(its file, "") or (None, why not)."""
    ran = subprocess.run([sys.executable, str(ROOT / "scripts" / "fetch_model.py"), "path"], stdin=subprocess.DEVNULL,
                         capture_output=True, text=True, check=False)
    if ran.returncode != 0:
        return None, ran.stderr.strip() or "scripts/fetch_model.py names none"
    path = Path(ran.stdout.strip())
    return (path, "") if path.is_file() else (None, f"{path.name} is not here yet; fetch it with: make model")


def check_model() -> Finding:
    path, reason = default_model()
    return Finding("Model", True, f"{path.name}, {path.stat().st_size / 1e6:.0f} MB" if path else reason)


def all_checks() -> List[Finding]:
    return [
        check_python(),
        check_program("make", "make"),
        *check_llvm(),
        check_program("C++ library", "g++", use=" (its C++ library is what the hosted tools use)"),
        check_efi_headers(),
        check_program("sgdisk", "sgdisk", use=" (package gdisk)"),
        check_program("mtools", "mformat"),
        check_program("QEMU", "qemu-system-x86_64"),
        check_firmware(),
        check_kvm(),
        check_room(),
        check_model(),
    ]


def preflight(voice: Voice) -> List[Finding]:
    """All findings, told."""
    findings = all_checks()
    for finding in findings:
        voice.line(f"[{'OK' if finding.ok else 'FAIL'}] {finding.name}: {finding.detail}")
    voice.line("Preflight: " + ("READY" if is_ready(findings) else "NOT READY"))
    return findings


def is_ready(findings: List[Finding]) -> bool:
    return all(finding.ok for finding in findings)


def main(arguments) -> int:
    parser = argparse.ArgumentParser(prog="preflight", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout, all else on stderr")
    voice = Voice("M6", parser.parse_args(arguments).json)
    findings = preflight(voice)
    ready = is_ready(findings)
    voice.result({"ready": ready, "checks": [vars(finding) for finding in findings]})
    return EXIT_PASSED if ready else EXIT_FAILED
