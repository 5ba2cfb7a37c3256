"""The runtime scenario of M8: boots our application in QEMU from a volume of its own and lets it run a script by itself.

The volume is a folder made for the run, with the application, repl.cfg, llmk-autorun.txt and the model: nothing of the user's is read
or changed. The script ends with `exit`; the line with which the application then waits for a key is the end of the run. QEMU is ended by
its own process group, so no other machine on this host is touched.
"""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import List, Optional

from passes.markers import SerialLog
from passes.voice import PassFailed
from qemu_accel import choose_accelerator
from qemu_chat import fill_boot_folder
from qemu_machine import Machine, MachineError, MachineOptions

ACCELERATORS = ("auto", "kvm", "tcg", "none", "whpx")

CONFIG = ("boot_verbose=1", "autorun_autostart=1", "autorun_shutdown_when_done=0", "autorun_file=llmk-autorun.txt")
POLICY_CONFIG = ("oo_enable=1", "oo_llm_consult=1", "oo_multi_actions=1", "oo_auto_apply=1", "oo_conf_gate=1", "oo_conf_threshold=0",
                 "oo_plan_enable=1", "oo_plan_max_actions=2")
SCRIPT = ("/models",)
POLICY_SCRIPT = ("/oo_consult_mock reduce ctx and reduce seq", "/oo_consult_mock increase context", "/oo_jour")
LAST_LINE = "exit"
END_OF_RUN = r"^Press a key to return to the firmware"


@dataclass
class Scenario:
    efi: Path
    model: Optional[Path]
    memory_mb: int
    accelerator: str
    timeout_s: float
    has_policy: bool
    log_path: Path


def qemu_accelerator(name: str) -> str:
    """One of ACCELERATORS as QEMU on this system has it. Errors: PassFailed."""
    if name == "whpx":
        raise PassFailed("--accel whpx is an accelerator of Windows; here there are auto, kvm, tcg and none")
    return "tcg" if name == "none" else name  # what QEMU takes when it is told nothing


def config_lines(scenario: Scenario) -> List[str]:
    model = [f"model={scenario.model.name}"] if scenario.model else []
    return [*CONFIG, *model, *(POLICY_CONFIG if scenario.has_policy else ())]


def script_lines(scenario: Scenario) -> List[str]:
    return [*SCRIPT, *(POLICY_SCRIPT if scenario.has_policy else ()), LAST_LINE]


def text_file(lines: List[str]) -> bytes:
    return "".join(line + "\r\n" for line in lines).encode("utf-8")


def fill_volume(root: Path, scenario: Scenario):
    """What the machine boots from. Errors: PassFailed."""
    files = {"repl.cfg": text_file(config_lines(scenario)), "llmk-autorun.txt": text_file(script_lines(scenario))}
    try:
        fill_boot_folder(root, scenario.efi, [scenario.model] if scenario.model else [], files)
    except MachineError as error:
        raise PassFailed(str(error)) from error


def run_scenario(scenario: Scenario) -> SerialLog:
    """Runs it to its end; the log is in its file whatever happened. Errors: PassFailed."""
    if not scenario.efi.is_file():
        raise PassFailed(f"there is no {scenario.efi}; build it with: make efi")
    with tempfile.TemporaryDirectory(prefix="lbm-m8-") as folder:
        fill_volume(Path(folder), scenario)
        options = MachineOptions(folders=[Path(folder)], memory=f"{scenario.memory_mb}M", n_core=2)
        options.accelerator = choose_accelerator(scenario.accelerator, options)
        machine = Machine(options)
        try:
            with machine:
                machine.wait_for(END_OF_RUN, scenario.timeout_s, source="serial")
        except MachineError as error:
            raise PassFailed(f"the run did not come to its end: {error}; its log is in {scenario.log_path}") from error
        finally:
            log = keep_log(machine, scenario.log_path)
    return log


def keep_log(machine: Machine, path: Path) -> SerialLog:
    """The serial port as lines, and in the file; what QEMU itself said follows there."""
    log = SerialLog(machine.serial_bytes.decode("utf-8", errors="replace"))
    errors = machine.qemu_errors().strip()
    path.parent.mkdir(parents=True, exist_ok=True)
    text = log.text() + ("----- STDERR -----\r\n" + errors + "\r\n" if errors else "")
    path.write_bytes(text.encode("utf-8"))
    return log
