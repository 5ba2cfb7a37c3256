"""Which accelerator runs the firmware here: KVM where it really does, found by trying, else emulation (TCG).

That /dev/kvm can be opened says little: inside some virtual machines KVM starts, and stops at an instruction of the
firmware ("KVM internal error"). So it is tried once: the firmware alone, without a disk, has to reach its console. The
answer is kept in build/qemu-accel.json, for this kernel, this QEMU and this firmware.
"""

import json
import os
import platform
import subprocess
import time
from pathlib import Path

from qemu_machine import TCG, Machine, MachineError, MachineOptions, find_firmware

TRY_S = 15.0
CACHE = Path(__file__).resolve().parent.parent / "build" / "qemu-accel.json"


def situation(options: MachineOptions) -> str:
    """What the answer depends on, as one line."""
    version = subprocess.run([options.qemu, "--version"], capture_output=True, text=True, check=False).stdout
    code, _ = find_firmware(options.firmware)
    return f"{platform.machine()} {platform.release()} | {version.partition(chr(10))[0]} | {code}"


def kvm_runs_firmware(options: MachineOptions, timeout_s: float = TRY_S) -> bool:
    """Starts the firmware under KVM and waits for its first words on the serial port."""
    trial = MachineOptions(accelerator="kvm", memory="256M", firmware=options.firmware, qemu=options.qemu)
    try:
        with Machine(trial) as machine:
            deadline = time.monotonic() + timeout_s
            while time.monotonic() < deadline and machine.running():
                if machine.serial_bytes:
                    return True
                if machine.qmp("query-status")["status"] == "internal-error":
                    return False
                time.sleep(0.1)
    except MachineError:
        pass
    return False


def choose_accelerator(wanted: str, options: MachineOptions, cache: Path = CACHE) -> str:
    """`wanted` is "auto", "kvm", "tcg", or anything QEMU's -accel takes."""
    if wanted == "tcg":
        return TCG
    if wanted != "auto":
        return wanted
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return TCG
    try:
        known = situation(options)
    except OSError:
        return TCG  # no QEMU: starting the machine will say so
    try:
        kept = json.loads(cache.read_text(encoding="utf-8"))
        if kept["situation"] == known:
            return kept["accelerator"]
    except (OSError, ValueError, KeyError, TypeError):
        pass
    answer = "kvm" if kvm_runs_firmware(options) else TCG
    try:
        cache.parent.mkdir(parents=True, exist_ok=True)
        cache.write_text(json.dumps({"situation": known, "accelerator": answer}) + "\n", encoding="utf-8")
    except OSError:
        pass  # asked again next time
    return answer
