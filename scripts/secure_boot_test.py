#!/usr/bin/env python3
"""Secure Boot and measured boot, tried on the firmware itself: QEMU, OVMF with its test keys, and an emulated TPM.

  secure_boot_test.py [--efi build/efi/BOOTX64.EFI] [--tests build/efi/tests.efi] [--model MODEL.gguf]

  unsigned    firmware that enforces Secure Boot does not start the program
  signed      ... starts it, signed by scripts/sign.py with the key that it trusts
  altered     ... does not start the signed program with one bit changed
  measured    a TPM's PCR 12 grows as scripts/predict_pcr.py says
  no TPM      the same tests run where there is none, and nothing is said about it
  program     the settings and the model that the program itself has loaded are in PCR 12, as predicted

What a machine has not got the tools for is skipped, with a word. Ends only what it started.
The last line is "N passed, N failed". Exit codes: 0 all passed, 1 something failed, 2 usage.
"""

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import predict_pcr
import sign
from qemu_machine import Machine, MachineError, MachineOptions

ROOT = Path(__file__).resolve().parent.parent
# Debian's package ovmf: firmware with SMM and Secure Boot, and variables that trust the key beside it (its passphrase is its name).
SECURE_FIRMWARE = Path("/usr/share/OVMF/OVMF_CODE_4M.snakeoil.fd")
KEY = Path("/usr/share/ovmf/PkKek-1-snakeoil.key")
CERTIFICATE = Path("/usr/share/ovmf/PkKek-1-snakeoil.pem")
SECURE_ARGUMENTS = ["-machine", "q35,smm=on", "-global", "driver=cfi.pflash01,property=secure,value=on",
                    "-global", "ICH9-LPC.disable_s3=1"]
STARTED = r"llm-baremetal|REPL ready"
REFUSED = r"failed to (?:load|start) Boot\w+ .*Access Denied"
BOOT_S = 120


class Skipped(Exception):
    """Why a part is not tried here."""


def need(*things):
    for thing in things:
        if not (thing.exists() if isinstance(thing, Path) else shutil.which(thing)):
            raise Skipped(f"there is no {thing} (make deps)")


# ---- Secure Boot -----------------------------------------------------------------------------------------------------


def boot_securely(efi):
    """Boots a volume with this program on firmware that trusts only its own key: True when it started, False when refused."""
    with tempfile.TemporaryDirectory(prefix="lbm-secure-") as folder:
        target = Path(folder) / "EFI" / "BOOT" / "BOOTX64.EFI"
        target.parent.mkdir(parents=True)
        shutil.copyfile(efi, target)
        options = MachineOptions(folders=[Path(folder)], firmware=SECURE_FIRMWARE, memory="512M", extra=SECURE_ARGUMENTS)
        with Machine(options) as machine:
            # The program keeps silent on QEMU's own devices under Secure Boot; the serial port has the firmware's words, too.
            match = machine.wait_for(f"(?P<started>{STARTED})|(?P<refused>{REFUSED})", BOOT_S, source="serial")
            return match["started"] is not None


def altered(data):
    """One bit of the code, in the middle of the file."""
    at = len(data) // 2
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1:]


def test_secure_boot(options):
    need("qemu-system-x86_64", "openssl", "sbsign", "sbverify", SECURE_FIRMWARE, KEY, CERTIFICATE)
    with tempfile.TemporaryDirectory(prefix="lbm-keys-") as folder:
        key, signed, changed = (Path(folder) / name for name in ("test.key", "signed.efi", "altered.efi"))
        subprocess.run(["openssl", "rsa", "-in", KEY, "-passin", "pass:snakeoil", "-out", key], check=True, capture_output=True)
        sign.sign(options.efi, signed, key, CERTIFICATE)
        changed.write_bytes(altered(signed.read_bytes()))
        for name, efi, expected in (("unsigned", options.efi, False), ("signed", signed, True), ("altered", changed, False)):
            yield (f"{name} program {'starts' if expected else 'is refused'} under Secure Boot",
                   lambda efi=efi, expected=expected: boot_securely(efi) == expected)


# ---- measured boot ---------------------------------------------------------------------------------------------------


class EmulatedTpm:
    """swtpm with a state of its own, for as long as the `with` block runs."""

    def __init__(self):
        self._folder = tempfile.TemporaryDirectory(prefix="lbm-tpm-")
        self._socket = Path(self._folder.name) / "control"
        self._process = None

    def __enter__(self):
        self._process = subprocess.Popen(["swtpm", "socket", "--tpm2", "--tpmstate", f"dir={self._folder.name}",
                                          "--ctrl", f"type=unixio,path={self._socket}", "--terminate"],
                                         stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 10
        while not self._socket.exists():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise MachineError("swtpm did not start")
            time.sleep(0.05)
        return self

    def __exit__(self, *_):
        self._process.terminate()
        self._process.wait()
        self._folder.cleanup()

    @property
    def arguments(self):
        return ["-chardev", f"socket,id=tpm,path={self._socket}", "-tpmdev", "emulator,id=tpm0,chardev=tpm",
                "-device", "tpm-tis,tpmdev=tpm0"]


def run_tpm_tests(application, extra):
    """The log of the tests of tests/bare/tpm_test.cpp on a machine with these arguments."""
    options = MachineOptions(kernel=application, files={"opt/lbm/tests": b"[tpm]"}, memory="512M", extra=extra)
    with Machine(options) as machine:
        machine.wait_exit(BOOT_S)
        log = machine.log
    if not re.search(r"^[1-9]\d* passed, 0 failed$", log, re.MULTILINE):
        raise MachineError("the tests on the bare machine failed", log)
    return log


def predicted():
    """What tests/bare/tpm_test.cpp measures."""
    model = bytes(i * 7 & 0xFF for i in range(4096))
    with tempfile.TemporaryDirectory(prefix="lbm-pcr-") as folder:
        files = [Path(folder) / "repl.cfg", Path(folder) / "tiny.gguf"]
        for path, content in zip(files, (b"temp=0\n", model)):
            path.write_bytes(content)
        return predict_pcr.predict(predict_pcr.START, files).hex()


def grows_as_predicted(application):
    with EmulatedTpm() as tpm:
        return f"[tpm] pcr12={predicted()}\n" in run_tpm_tests(application, tpm.arguments)


def program_measures(efi, model):
    """Boots the program with settings and a model, asks it for the value of PCR 12, and compares that with the prediction."""
    with tempfile.TemporaryDirectory(prefix="lbm-measured-") as folder, EmulatedTpm() as tpm:
        volume = Path(folder)
        (volume / "EFI" / "BOOT").mkdir(parents=True)
        shutil.copyfile(efi, volume / "EFI" / "BOOT" / "BOOTX64.EFI")
        files = [volume / "repl.cfg"]
        files[0].write_bytes(b"temp=0\nhash_model=1\n")
        if model:
            files.append(volume / "model.gguf")
            shutil.copyfile(model, files[1])
        with Machine(MachineOptions(folders=[volume], memory="1G", extra=tpm.arguments)) as machine:
            ready = machine.wait_for(r"^OK: REPL ready", BOOT_S)
            machine.type_line("/diag")
            found = machine.wait_for(r"^ *tpm +PCR 12 ([0-9a-f]{64})|^ *volume 0", BOOT_S, ready.end())
        return found[1] == predict_pcr.predict(predict_pcr.START, files).hex()


def test_measured_boot(options):
    need("qemu-system-x86_64", "swtpm")
    yield "the program's settings and model are in PCR 12, as predicted", lambda: program_measures(options.efi, options.model)
    yield "PCR 12 grows as predicted", lambda: grows_as_predicted(options.tests)
    yield "without a TPM nothing is measured and nothing is said", lambda: "pcr12" not in run_tpm_tests(options.tests, [])


# ---- the run ---------------------------------------------------------------------------------------------------------


def main(arguments):
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--efi", type=Path, default=ROOT / "build" / "efi" / "BOOTX64.EFI", help="the program, not signed")
    parser.add_argument("--tests", type=Path, default=ROOT / "build" / "efi" / "tests.efi", help="the test application")
    parser.add_argument("--model", type=Path, help="for the last part; without it, the program runs without one")
    options = parser.parse_args(arguments)
    n_passed = n_failed = 0
    for part in (test_secure_boot, test_measured_boot):
        try:
            for name, check in part(options):
                passed, reason = False, ""
                try:
                    passed = check()
                except MachineError as error:
                    reason = f": {error}\n{error.transcript}"
                n_passed, n_failed = n_passed + passed, n_failed + (not passed)
                print(f"{'ok    ' if passed else 'FAILED'} {name}{reason}", flush=True)
        except Skipped as error:
            print(f"skipped: {part.__name__.removeprefix('test_').replace('_', ' ')}: {error}", flush=True)
        except (sign.SignError, OSError, subprocess.CalledProcessError) as error:
            n_failed += 1
            print(f"FAILED {part.__name__}: {error}", flush=True)
    print(f"{n_passed} passed, {n_failed} failed")
    return 1 if n_failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
