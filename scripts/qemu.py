#!/usr/bin/env python3
"""Boots llm-baremetal in QEMU: to chat, to test, or by a script. Needs QEMU, OVMF and nothing of Python but itself.

  qemu.py run  [--image IMG] [--gui]                        chat in this terminal (or in a window); Ctrl-] leaves
  qemu.py chat --model FILE --prompt TEXT [--temp 0] [-n 32]  one answer, and one line of JSON about it
  qemu.py test [build/efi/tests.efi]                        the unit tests, on the bare machine
  qemu.py script --image IMG --wait RE --type LINE ...      drives a machine step by step

Images are never changed: a run works on a snapshot. Ends only what it started.

Exit codes: 0 done, 1 it failed or a test failed, 2 usage.
"""

import argparse
import json
import os
import re
import signal
import sys
import tempfile
import time
from pathlib import Path

from qemu_accel import choose_accelerator
from qemu_chat import BootVolume, chat_script, parse_answer
from qemu_machine import DISK_DEVICES, Machine, MachineError, MachineOptions
from qemu_terminal import EXIT_KEY_NAME, RawTerminal, pump, write_all

ROOT = Path(__file__).resolve().parent.parent
DEFAULT_IMAGE = ROOT / "images" / "llm-baremetal-boot.img"
DEFAULT_EFI = ROOT / "build" / "efi" / "BOOTX64.EFI"
DEFAULT_TESTS = ROOT / "build" / "efi" / "tests.efi"

# QEMU's exit code after isa-debug-exit is 2 * value + 1 (efi/debug_devices.h).
EXIT_POWER_OFF = 0
EXIT_PASSED = 1
EXIT_FAILED = 3
EXIT_PANIC = 5


class UsageError(Exception):
    pass


# ---- what is common ------------------------------------------------------------------------------


def machine_options(arguments, **more) -> MachineOptions:
    options = MachineOptions(disk=arguments.disk, memory=arguments.memory, cpu=arguments.cpu, n_core=arguments.smp,
                             firmware=arguments.firmware, extra=list(arguments.qemu_arg), **more)
    options.accelerator = choose_accelerator(arguments.accel, options)
    return options


def existing(path: Path, how_to_make: str) -> Path:
    if not path.is_file():
        raise UsageError(f"there is no {path}; {how_to_make}")
    return path


# ---- run -----------------------------------------------------------------------------------------


def command_run(arguments) -> int:
    image = existing(arguments.image, "make it with: make image")
    if arguments.gui and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        raise UsageError("there is no display for a window (DISPLAY is not set); without --gui, chat in this terminal")
    options = machine_options(arguments, images=[image], window=arguments.gui)
    accelerator = options.accelerator.partition(",")[0]
    print(f"Booting {image} in QEMU ({accelerator}). {EXIT_KEY_NAME} switches the machine off.", flush=True)
    output = sys.stdout.fileno()
    with Machine(options, on_serial=lambda data: write_all(output, data)) as machine, RawTerminal():
        pump(machine)
        if machine.running():
            machine.quit()
        machine.wait_exit(10)
    if machine.exit_code not in (EXIT_POWER_OFF, EXIT_PASSED):
        print(f"QEMU ended with exit code {machine.exit_code}: {machine.qemu_errors().strip()}", file=sys.stderr)
        return 1
    return 0


# ---- chat ----------------------------------------------------------------------------------------


def command_chat(arguments) -> int:
    files = {"opt/lbm/cmd": chat_script(arguments).encode("utf-8")}
    settings = list(arguments.set) + ([f"isa={arguments.isa}"] if arguments.isa else [])
    if settings:
        files["opt/lbm/set"] = "\n".join(settings).encode("utf-8")
    deadline = time.monotonic() + arguments.timeout
    if arguments.model is not None:
        efi = existing(arguments.efi, "build it with: make efi")
        volume = BootVolume(efi, [existing(arguments.model, "fetch the default one with: make model")])
        images = volume.images
    else:
        volume = None
        images = [existing(arguments.image, "make it with: make image, or name a model with --model")]
    try:
        options = machine_options(arguments, images=images, folders=volume.folders if volume else [], files=files)
        with Machine(options) as machine:
            machine.wait_for(r"\S", deadline - time.monotonic())
            boot_s = machine.boot_s
            machine.wait_for(r"^OK: REPL ready|\[panic\]", deadline - time.monotonic())
            code = machine.wait_exit(max(1.0, deadline - time.monotonic()))
            log = machine.log
    finally:
        if volume is not None:
            volume.remove()
    if arguments.log:
        arguments.log.write_text(log, encoding="utf-8")
    if code != EXIT_POWER_OFF:
        raise MachineError(f"the machine did not shut down but ended with {code}", "\n".join(log.splitlines()[-40:]))
    answer = parse_answer(log)
    prepared = re.search(r"model_prepare_ms=(\d+)", log)
    answer["boot_s"] = round(boot_s, 2)
    answer["load_s"] = int(prepared.group(1)) / 1000 if prepared else None
    kernels = re.search(r": (\S+) kernels,", log)
    answer["isa"] = kernels.group(1) if kernels else None
    answer["accelerator"] = options.accelerator
    if not arguments.json:
        print(answer["text"])
    print(json.dumps(answer, ensure_ascii=False))
    return 0


# ---- test ----------------------------------------------------------------------------------------


def pattern_bytes(n: int) -> bytes:
    """The contents of LbmTest.BIN; tests/bare/files_test.cpp computes the same."""
    return bytes((at * 7 + (at >> 8) * 13 + (at >> 16)) & 0xFF for at in range(n))


def make_test_volume(root: Path):
    """What tests/bare/files_test.cpp looks for, and what it must not find."""
    models = root / "models"
    models.mkdir()
    (root / "LbmTest.BIN").write_bytes(pattern_bytes(3_000_000))
    (models / "Tiny Model \u00e9t\u00e9.GGUF").write_bytes(b"not a model")
    (models / "plain.gguf").write_bytes(b"GGUF")
    (models / "._plain.gguf").write_bytes(b"left behind by another system")
    (models / "notes.txt").write_bytes(b"no model")
    (models / "folder.gguf").mkdir()


def command_test(arguments) -> int:
    application = existing(arguments.efi_option or arguments.efi, "build it with: make build-tests")
    files = {"opt/lbm/volume": b"1"}
    if arguments.only:
        files["opt/lbm/tests"] = arguments.only.encode("utf-8")
    with tempfile.TemporaryDirectory(prefix="lbm-tests-") as folder:
        make_test_volume(Path(folder))
        if arguments.hostile:
            (Path(folder) / "HOSTILE.PAK").symlink_to(existing(arguments.hostile, "make it with: make build-tests").resolve())
            files["opt/lbm/hostile"] = b"1"
        options = machine_options(arguments, kernel=application, folders=[Path(folder)], files=files)
        shown = 0
        with Machine(options) as machine:
            deadline = time.monotonic() + arguments.timeout
            while machine.running() and time.monotonic() < deadline:
                machine.check_fault()
                time.sleep(0.1)
                shown = show_failures(machine.log, shown, arguments.verbose)
            if machine.running():
                raise MachineError(f"the tests did not end within {arguments.timeout:g} s", machine.transcript_tail())
            code = machine.wait_exit(1)
            log = machine.log
        show_failures(log, shown, arguments.verbose, everything=True)
    closing = re.findall(r"^(\d+) passed, (\d+) failed$", log, re.MULTILINE)
    if not closing:
        raise MachineError(f"the tests ended with exit code {code} and no result; {machine.qemu_errors().strip()}",
                           "\n".join(log.splitlines()[-40:]))
    print(f"{closing[-1][0]} passed, {closing[-1][1]} failed")
    # Both have to say so: 1 is also what QEMU ends with when it fails itself.
    return 0 if code == EXIT_PASSED and closing[-1][1] == "0" else 1


def show_failures(log: str, shown: int, verbose: bool, everything: bool = False) -> int:
    """Prints the new whole lines of the log, all of them or only what is not a passed test. Returns how far it came."""
    end = len(log) if everything else log.rfind("\n") + 1
    for line in log[shown:end].splitlines():
        if verbose or not re.match(r"\[ok\] |\[console\] |\d+ passed, \d+ failed$", line):
            print(line, flush=True)
    return max(shown, end)


# ---- script --------------------------------------------------------------------------------------


class AddStep(argparse.Action):
    """--wait, --type, ... in the order in which they are written."""

    def __call__(self, parser, namespace, value, option_string=None):
        namespace.steps = getattr(namespace, "steps", None) or []
        namespace.steps.append((self.dest.replace("step_", ""), value))


def command_script(arguments) -> int:
    images = [existing(image, "make it with: make image") for image in arguments.image]
    kernel = existing(arguments.kernel, "build it with: make efi") if arguments.kernel else None
    files = {}
    for item in arguments.fw_cfg:
        name, equals, value = item.partition("=")
        if not equals:
            raise UsageError(f"--fw-cfg {item}: NAME=TEXT is needed")
        files[name] = value.encode("utf-8").decode("unicode_escape").encode("latin-1")
    options = machine_options(arguments, images=images, folders=arguments.folder, kernel=kernel, files=files)
    with Machine(options) as machine:
        try:
            run_steps(machine, getattr(arguments, "steps", None) or [], arguments.timeout)
        finally:
            if arguments.transcript:
                arguments.transcript.write_text(machine.log if arguments.source == "log" else machine.serial,
                                                encoding="utf-8")
            else:
                print(machine.log if arguments.source == "log" else machine.serial)
    return 0


def run_steps(machine: Machine, steps, timeout_s: float):
    """A --wait looks only at what came after the match of the one before."""
    at = {"log": 0, "serial": 0}
    for kind, value in steps:
        if kind in ("wait", "wait_serial"):
            source = "serial" if kind == "wait_serial" else "log"
            at[source] = machine.wait_for(value, timeout_s, at[source], source).end()
        elif kind == "type":
            machine.type_line(value)
        elif kind == "send":
            machine.send(value.encode("utf-8").decode("unicode_escape").encode("latin-1"))
        elif kind == "press":
            for keys in value.split():
                machine.press(keys)
        elif kind == "sleep":
            time.sleep(float(value))
        elif kind == "screenshot":
            machine.screenshot(Path(value))
        elif kind == "exit":
            code = machine.wait_exit(timeout_s)
            if code != int(value):
                raise MachineError(f"the machine ended with {code}, not {value}", machine.transcript_tail())


# ---- command line --------------------------------------------------------------------------------


def build_parser() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    machine = common.add_argument_group("the machine")
    machine.add_argument("-m", "--memory", default="2G", help="memory (default: 2G)")
    machine.add_argument("--cpu", default="max", help="processor model, like max, qemu64 or Haswell (default: max)")
    machine.add_argument("--smp", type=int, default=1, help="number of cores (default: 1)")
    machine.add_argument("--disk", default="virtio", choices=sorted(DISK_DEVICES), help="how the disk is attached")
    machine.add_argument("--accel", default="auto",
                         help="auto (KVM where it runs the firmware, else TCG), kvm, tcg, or what QEMU's -accel takes")
    machine.add_argument("--firmware", type=Path, help="OVMF code file; its variables have to lie beside it")
    machine.add_argument("--qemu-arg", action="append", default=[],
                         help="a further argument for QEMU; may be given again")
    machine.add_argument("--timeout", type=float, default=600,
                         help="seconds until the machine is ended (default: 600; a chat by hand has no end)")

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)

    run = commands.add_parser("run", parents=[common], help="chat in this terminal")
    run.add_argument("--image", type=Path, default=DEFAULT_IMAGE, help="the image to boot")
    run.add_argument("--gui", action="store_true", help="open a window with screen and keyboard, too")
    run.set_defaults(function=command_run)

    chat = commands.add_parser("chat", parents=[common], help="one answer, for scripts")
    chat.add_argument("--model", type=Path, help="model file to put on a boot volume of its own")
    chat.add_argument("--image", type=Path, default=DEFAULT_IMAGE, help="without --model: the image to boot")
    chat.add_argument("--efi", type=Path, default=DEFAULT_EFI, help="the UEFI application (with --model)")
    chat.add_argument("--prompt", action="append", required=True, help="what to ask; again for a further turn")
    chat.add_argument("--system", help="the system prompt")
    chat.add_argument("--temp", type=float, default=0.0, help="temperature (default: 0, greedy)")
    chat.add_argument("--seed", type=int, help="seed of the sampler")
    chat.add_argument("-n", type=int, default=32, help="most tokens of an answer (default: 32)")
    chat.add_argument("--isa", help="kernels to use, like scalar, swar or avx2 (default: the fastest)")
    chat.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a setting, as in repl.cfg")
    chat.add_argument("--json", action="store_true", help="print only the JSON line")
    chat.add_argument("--log", type=Path, help="write what the machine said to this file")
    chat.set_defaults(function=command_chat)

    test = commands.add_parser("test", parents=[common], help="the unit tests on the bare machine")
    test.add_argument("efi", type=Path, nargs="?", default=DEFAULT_TESTS, help="the test application")
    test.add_argument("--efi", type=Path, dest="efi_option", help=argparse.SUPPRESS)
    test.add_argument("--only", help="run test cases whose name or tag contains this")
    test.add_argument("--hostile", type=Path, help="HOSTILE.PAK, the corpus for tests/bare/hostile_test.cpp")
    test.add_argument("-v", "--verbose", action="store_true", help="show the passed ones, too")
    test.set_defaults(function=command_test)

    script = commands.add_parser("script", parents=[common], help="drive a machine step by step, in the order written")
    script.add_argument("--image", type=Path, action="append", default=[], help="disk image; may be given again")
    script.add_argument("--folder", type=Path, action="append", default=[], help="a folder as a FAT16 volume")
    script.add_argument("--kernel", type=Path, help="EFI application to start without a disk")
    script.add_argument("--fw-cfg", action="append", default=[], metavar="NAME=TEXT", help="a file for the program")
    script.add_argument("--transcript", type=Path, help="write what was said here instead of printing it")
    script.add_argument("--source", choices=("log", "serial"), default="log", help="what the transcript is")
    steps = script.add_argument_group("steps")
    for name, text in (("wait", "until this expression is in the log, after the last one"),
                       ("wait-serial", "the same in the text of the serial port"),
                       ("type", "a line on the serial port"),
                       ("send", "bytes on the serial port, with \\x1b and the like"),
                       ("press", "keys of the keyboard by QEMU's names, like 'h i ret' or ctrl-c"),
                       ("sleep", "seconds"),
                       ("screenshot", "write the screen to this PNG file"),
                       ("exit", "until the machine ends with this exit code (0: powered off)")):
        steps.add_argument(f"--{name}", action=AddStep, dest="step_" + name.replace("-", "_"), help=text)
    script.set_defaults(function=command_script)
    return parser


def main(arguments) -> int:
    # Ended from outside, the machine must go with us: SystemExit runs the `with` blocks.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(1))
    options = build_parser().parse_args(arguments)
    try:
        return options.function(options)
    except UsageError as error:
        print(f"qemu.py: {error}", file=sys.stderr)
        return 2
    except MachineError as error:
        if error.transcript:
            print(f"--- the end of what it said ---\n{error.transcript}\n---", file=sys.stderr)
        print(f"qemu.py: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
