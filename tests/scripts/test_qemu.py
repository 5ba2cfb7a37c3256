"""Tests of scripts/qemu*.py. Most drive a stand-in for QEMU, so that they take no time; the last few start the real one
where it is installed."""

import io
import os
import shutil
import signal
import stat
import struct
import subprocess
import sys
import tempfile
import textwrap
import time
import unittest
import zlib
from contextlib import redirect_stdout
from pathlib import Path
from unittest import mock

import scripts_path
import qemu
import qemu_accel
import qemu_chat
import qemu_machine
from qemu_machine import Machine, MachineError, MachineOptions
from qemu_png import ppm_to_png
from qemu_terminal import translate_keys

# Behaves as QEMU does towards Machine: connects to both sockets, speaks QMP, sends serial text, logs, and ends with a
# code. What it does is in fw_cfg file "behaviour", as Python.
STAND_IN = r'''
import json, os, re, socket, sys, threading, time
if "--version" in sys.argv:
    print("stand-in 1.0")
    sys.exit(0)
arguments = " ".join(sys.argv)
def connect(name):
    s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    s.connect(re.search(r"path=(\S+?%s)" % name, arguments).group(1))
    return s
folder = os.path.dirname(re.search(r"path=(\S+?serial.sock)", arguments).group(1))
def log(text):
    with open(os.path.join(folder, "debug.log"), "a", encoding="utf-8") as f:
        f.write(text)
behaviour = open(os.path.join(folder, "fw_cfg-behaviour")).read()
if behaviour.startswith("#refuse"):
    sys.stderr.write("stand-in: no such device\n")
    sys.exit(1)
serial = connect("serial.sock")
qmp = connect("qmp.sock")
def answer():
    qmp.sendall(b'{"QMP": {}}\n')
    for line in qmp.makefile("rb"):
        command = json.loads(line)
        if command["execute"] == "quit":
            os._exit(0)
        if command["execute"] == "screendump" and "format" in command["arguments"]:
            qmp.sendall(b'{"error": {"desc": "Parameter \'format\' is unexpected"}}\n')
            continue
        if command["execute"] == "screendump":
            open(command["arguments"]["filename"], "wb").write(b"P6\n2 1\n255\n" + bytes(range(6)))
        qmp.sendall(b'{"event": "SOMETHING"}\n' + json.dumps({"return": {"asked": command}}).encode() + b"\n")
        greeted.set()
greeted = threading.Event()
threading.Thread(target=answer, daemon=True).start()
greeted.wait()
exec(behaviour)
'''

FAULT_REPORT = """!!!! X64 Exception Type - 06(#UD - Invalid Opcode)  CPU Apic ID - 00000000 !!!!
RIP  - 000000007E4CC300, CS  - 0000000000000038, RFLAGS - 0000000000000246
!!!! Find image based on IP(0x7E4CC300) (No PDB)  (ImageBase=000000007E4BC000, EntryPoint=000000007E4C7DE0) !!!!
"""

CHAT_LOG = """llm-baremetal 0.1.0 on uefi: swar kernels, 1 core, 1976 MiB free
[obs][startup] model_select_ms=47 model_prepare_ms=2859 format=gguf
OK: REPL ready (/help)
You (autorun): What is the capital of France?
AI: The capital of France is Paris.

It lies on the Seine.
[stats] tokens=8 time_ms=10491 tok_s=0.667 prompt=37 evaluated=37 prefill_tok_s=1.276 context=44/4096 stop=eog
[digest] 486b861461e4eb0b546b097e3d19e3f0b852ccd49191e1bde18bbab8d40080b3
You (autorun): /shutdown
"""


class PureTest(unittest.TestCase):
    def test_escapes_are_stripped(self):
        self.assertEqual(qemu_machine.strip_escapes("\x1b[2J\x1b[01;01Ha\x1b[=3hb\r\n\0c\x1b[92m"), "ab\nc")

    def test_commas_are_doubled_in_options(self):
        options = MachineOptions(images=[Path("/a,b/c.img")], files={"opt/lbm/cmd": b"x"}, kernel=Path("/k,1.efi"))
        command = qemu_machine.command_line(options, Path("/tmp/p"), Path("/fw"))
        self.assertIn("if=none,id=d0,format=raw,snapshot=on,cache=unsafe,file=/a,,b/c.img", command)
        self.assertIn("name=opt/lbm/cmd,file=/tmp/p/fw_cfg-opt-lbm-cmd", command)
        self.assertIn("/k,1.efi", command)  # a plain argument, no option list

    def test_every_disk_kind_boots_first_and_leaves_the_image_alone(self):
        for kind in qemu_machine.DISK_DEVICES:
            options = MachineOptions(disk=kind, images=[Path("a"), Path("b")])
            command = qemu_machine.command_line(options, Path("/p"), Path("/f"))
            devices = [argument for argument in command if "drive=d" in argument]
            self.assertEqual(len(devices), 2, kind)
            self.assertIn("bootindex=0", devices[0])
            self.assertIn("bootindex=1", devices[1])
            self.assertEqual(sum("snapshot=on" in argument for argument in command), 2)
        with self.assertRaises(MachineError):
            qemu_machine.command_line(MachineOptions(disk="floppy"), Path("/p"), Path("/f"))

    def test_a_kernel_starts_before_any_disk(self):
        options = MachineOptions(kernel=Path("k"), folders=[Path("f")])
        command = qemu_machine.command_line(options, Path("/p"), Path("/f"))
        self.assertIn("virtio-blk-pci,drive=d0,bootindex=1", command)

    def test_keys_of_todays_terminals(self):
        self.assertEqual(translate_keys(b"ab\x7f"), b"ab\x08")
        self.assertEqual(translate_keys(b"\x1b[3~\x1b[1~\x1bOF\x1b[5~\x1b[6~"), b"\x1b[X\x1b[H\x1b[F\x1b[I\x1b[G")
        self.assertEqual(translate_keys("\u00e9\u20ac\x1b[A\x03".encode()), "\u00e9\u20ac\x1b[A\x03".encode())

    def test_prompts_as_the_repl_reads_them(self):
        self.assertEqual(qemu_chat.script_line("hello"), "hello")
        self.assertEqual(qemu_chat.script_line("/etc/passwd?"), "//etc/passwd?")
        self.assertEqual(qemu_chat.script_line("one\r\ntwo"), '"""one\ntwo"""')

    def test_an_answer_is_parsed(self):
        answer = qemu_chat.parse_answer(CHAT_LOG)
        self.assertEqual(answer["text"], "The capital of France is Paris.\n\nIt lies on the Seine.")
        self.assertEqual(answer["digest"], "486b861461e4eb0b546b097e3d19e3f0b852ccd49191e1bde18bbab8d40080b3")
        self.assertEqual(answer["prompt_tok_s"], 1.276)
        self.assertEqual(answer["decode_tok_s"], 0.667)
        self.assertEqual(answer["prompt_tokens"], 37)
        self.assertEqual(answer["output_tokens"], 8)
        self.assertEqual(answer["stop_reason"], "eog")

    def test_the_last_of_several_answers_counts(self):
        second = ("\nAI: Second.\n(stopped at max_tokens=2; /set max_tokens 0 lifts the limit)\n"
                  "[stats] tokens=2 tok_s=inf stop=length\n")
        answer = qemu_chat.parse_answer(CHAT_LOG + second)
        self.assertEqual(answer["text"], "Second.")
        self.assertIsNone(answer["digest"])
        self.assertIsNone(answer["decode_tok_s"])

    def test_no_answer_is_an_error_with_the_log(self):
        with self.assertRaises(MachineError) as caught:
            qemu_chat.parse_answer("OK: REPL ready (no model). Type /help\n")
        self.assertIn("no model", caught.exception.transcript)

    def test_a_fault_names_the_place_in_the_program(self):
        self.assertIn("#UD", qemu_machine.describe_fault(FAULT_REPORT))
        self.assertIn("0x20300", qemu_machine.describe_fault(FAULT_REPORT))
        self.assertIn("exception", qemu_machine.describe_fault("!!!! X64 Exception"))

    def test_screens_become_png(self):
        png = ppm_to_png(b"P6 # comment\n2 2\n255\n" + bytes(range(12)))
        self.assertEqual(png[:8], b"\x89PNG\r\n\x1a\n")
        self.assertEqual(struct.unpack(">II", png[16:24]), (2, 2))
        at = png.index(b"IDAT")
        size = struct.unpack(">I", png[at - 4:at])[0]
        rows = zlib.decompress(png[at + 4:at + 4 + size])
        self.assertEqual(rows, b"\0" + bytes(range(6)) + b"\0" + bytes(range(6, 12)))
        for bad in (b"", b"P5 1 1 255 x", b"P6 2 2 255\n123", b"P6 1 1 65535\n123456", b"P6 # no end"):
            with self.assertRaises(ValueError):
                ppm_to_png(bad)

    def test_the_test_pattern(self):
        data = qemu.pattern_bytes(70_000)
        self.assertEqual(data[:3], bytes((0, 7, 14)))
        self.assertEqual(data[65_536], (65_536 * 7 + 256 * 13 + 1) & 0xFF)

    def test_steps_keep_the_order_in_which_they_are_written(self):
        arguments = qemu.build_parser().parse_args(
            ["script", "--wait", "ready", "--type", "hi", "--wait-serial", "x", "--press", "ret", "--wait", "bye",
             "--exit", "0"])
        self.assertEqual(arguments.steps, [("wait", "ready"), ("type", "hi"), ("wait_serial", "x"), ("press", "ret"),
                                           ("wait", "bye"), ("exit", "0")])

    def test_both_ways_to_name_the_test_application(self):
        parser = qemu.build_parser()
        self.assertEqual(parser.parse_args(["test", "a.efi"]).efi, Path("a.efi"))
        self.assertEqual(parser.parse_args(["test", "--efi", "a.efi"]).efi_option, Path("a.efi"))


@unittest.skipUnless(any(Path(code).is_file() for code, _ in qemu_machine.FIRMWARE), "no OVMF here")
class StandInTest(unittest.TestCase):
    def setUp(self):
        self.folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)
        self.program = self.folder / "stand-in"
        self.program.write_text(f"#!{sys.executable}\n{STAND_IN}")
        self.program.chmod(self.program.stat().st_mode | stat.S_IXUSR)

    def options(self, behaviour, **more):
        return MachineOptions(qemu=str(self.program), files={"behaviour": textwrap.dedent(behaviour).encode()}, **more)

    def test_log_serial_and_exit_code(self):
        with Machine(self.options("""
                log("line one\\n")
                serial.sendall(b"\\x1b[2Jhello \\xc3\\xa9\\r\\n")
                log("[done]\\n")
                time.sleep(0.2)
                sys.exit(3)
                """)) as machine:
            machine.wait_for(r"^line", 10)
            machine.wait_for(r"hello \u00e9$", 10, source="serial")
            self.assertEqual(machine.wait_exit(10), 3)
            self.assertGreater(machine.boot_s, 0)
        self.assertIn("[done]", machine.log)  # still there when the machine is gone
        self.assertEqual(machine.serial, "hello \u00e9\n")

    def test_a_megabyte_of_serial_text_is_drained(self):
        with Machine(self.options("""
                for _ in range(1000):
                    serial.sendall(b"x" * 1023 + b"\\n")
                sys.exit(0)
                """)) as machine:
            self.assertEqual(machine.wait_exit(20), 0)
            self.assertEqual(len(machine.serial), 1024 * 1000)

    def test_typing_arrives(self):
        with Machine(self.options("""
                data = b""
                while not data.endswith(b"\\r"):
                    data += serial.recv(100)
                log("got " + data.decode("utf-8").rstrip() + "\\n")
                time.sleep(10)
                """)) as machine:
            machine.type_line("caf\u00e9")
            machine.wait_for("^got caf\u00e9$", 10)

    def test_an_end_before_the_marker_is_told(self):
        with Machine(self.options("log('so far\\n'); sys.exit(7)")) as machine:
            with self.assertRaises(MachineError) as caught:
                machine.wait_for("never", 10)
        self.assertIn("exit code 7", str(caught.exception))
        self.assertIn("so far", caught.exception.transcript)

    def test_the_marker_may_come_with_the_end(self):
        with Machine(self.options("log('marker\\n'); sys.exit(0)")) as machine:
            machine.wait_exit(10)
            machine.wait_for("^marker$", 0)

    def test_time_ends_a_wait_and_only_this_machine(self):
        other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
        self.addCleanup(other.wait)
        self.addCleanup(other.kill)
        with Machine(self.options("time.sleep(60)")) as machine:
            with self.assertRaises(MachineError):
                machine.wait_for("never", 0.3)
            with self.assertRaises(MachineError):
                machine.wait_exit(0.2)
            process = machine._process
            private = machine._private
            self.assertTrue(private.is_dir())
        self.assertIsNotNone(process.poll())
        self.assertFalse(private.exists())
        self.assertIsNone(other.poll())
        machine.close()  # again is harmless

    def test_a_refused_start_says_why_and_leaves_nothing(self):
        before = set(Path(tempfile.gettempdir()).glob("lbm-*"))
        with self.assertRaises(MachineError) as caught:
            with Machine(self.options("#refuse")):
                self.fail("it must not start")
        self.assertIn("no such device", str(caught.exception))
        self.assertEqual(set(Path(tempfile.gettempdir()).glob("lbm-*")) - before, set())

    def test_a_missing_qemu_is_named(self):
        with self.assertRaises(MachineError) as caught:
            Machine(MachineOptions(qemu="/nonexistent/qemu")).start()
        self.assertIn("/nonexistent/qemu", str(caught.exception))

    def test_a_fault_ends_the_wait_at_once(self):
        report = FAULT_REPORT.encode()
        started = time.monotonic()
        with Machine(self.options(f"serial.sendall({report!r}); time.sleep(60)")) as machine:
            with self.assertRaises(MachineError) as caught:
                machine.wait_for("never", 30)
        self.assertIn("0x20300", str(caught.exception))
        self.assertLess(time.monotonic() - started, 20)

    def test_monitor_answers_are_found_among_events(self):
        with Machine(self.options("time.sleep(60)")) as machine:
            self.assertEqual(machine.qmp("stop"), {"asked": {"execute": "stop"}})
            machine.press("ctrl-c")
            picture = self.folder / "screen.png"
            machine.screenshot(picture)  # this QEMU knows only PPM
            self.assertTrue(picture.read_bytes().startswith(b"\x89PNG"))
            machine.quit()
            self.assertEqual(machine.wait_exit(10), 0)

    def run_test_command(self, behaviour):
        """`qemu.py test` with a stand-in that behaves so; returns (exit code, output)."""
        application = self.folder / "tests.efi"
        application.write_bytes(b"")
        arguments = qemu.build_parser().parse_args(["test", str(application), "--accel", "tcg", "--timeout", "20"])
        made = qemu.machine_options

        def with_stand_in(arguments, **more):
            options = made(arguments, **more)
            options.qemu = str(self.program)
            options.files["behaviour"] = textwrap.dedent(behaviour).encode()
            return options

        output = io.StringIO()
        with mock.patch.object(qemu, "machine_options", with_stand_in), redirect_stdout(output):
            code = arguments.function(arguments)
        return code, output.getvalue()

    def test_the_result_of_the_tests(self):
        code, output = self.run_test_command("log('[ok] a\\n5 passed, 0 failed\\n'); sys.exit(1)")
        self.assertEqual(code, 0)
        self.assertEqual(output.splitlines()[-1], "5 passed, 0 failed")
        self.assertNotIn("[ok]", output)

        code, output = self.run_test_command("log('x.cpp:1: FAILED in t\\n4 passed, 1 failed\\n'); sys.exit(3)")
        self.assertEqual(code, 1)
        self.assertIn("x.cpp:1: FAILED", output)

    def test_qemus_own_failure_is_no_success(self):
        # 1 is the code of passed tests, and the one QEMU ends with when it fails itself.
        with self.assertRaises(MachineError):
            self.run_test_command("log('[ok] a\\n'); sys.exit(1)")
        code, _ = self.run_test_command("log('5 passed, 0 failed\\n'); sys.exit(0)")
        self.assertEqual(code, 1)

    def test_being_terminated_takes_the_machine_along(self):
        script = self.folder / "driver.py"
        script.write_text(textwrap.dedent(f"""
            import signal, sys, time
            sys.path.insert(0, {str(scripts_path.ROOT / 'scripts')!r})
            from qemu_machine import Machine, MachineOptions
            signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
            options = MachineOptions(qemu={str(self.program)!r}, files={{"behaviour": b"time.sleep(60)"}})
            with Machine(options) as machine:
                print(machine._process.pid, flush=True)
                time.sleep(60)
            """))
        driver = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True)
        pid = int(driver.stdout.readline())
        driver.send_signal(signal.SIGTERM)
        driver.wait(timeout=20)
        driver.stdout.close()
        with self.assertRaises(ProcessLookupError):
            os.kill(pid, 0)


class AcceleratorTest(unittest.TestCase):
    def setUp(self):
        self.folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)
        self.cache = self.folder / "build" / "accel.json"

    def choose(self, runs, situation="here", access=True):
        with mock.patch.object(qemu_accel, "kvm_runs_firmware", return_value=runs) as tried, \
                mock.patch.object(qemu_accel, "situation", return_value=situation), \
                mock.patch.object(os, "access", return_value=access):
            return qemu_accel.choose_accelerator("auto", MachineOptions(), self.cache), tried.call_count

    def test_kvm_is_tried_once_and_remembered(self):
        self.assertEqual(self.choose(True), ("kvm", 1))
        self.assertEqual(self.choose(False), ("kvm", 0))
        self.assertEqual(self.choose(False, situation="a new kernel"), (qemu_machine.TCG, 1))

    def test_without_the_device_nothing_is_tried(self):
        self.assertEqual(self.choose(True, access=False), (qemu_machine.TCG, 0))

    def test_a_damaged_cache_is_asked_again(self):
        self.cache.parent.mkdir()
        for damage in ("", "[]", '{"situation": "here"}', "{"):
            self.cache.write_text(damage)
            self.assertEqual(self.choose(True), ("kvm", 1))

    def test_the_user_decides(self):
        options = MachineOptions()
        self.assertEqual(qemu_accel.choose_accelerator("tcg", options, self.cache), qemu_machine.TCG)
        self.assertEqual(qemu_accel.choose_accelerator("kvm", options, self.cache), "kvm")
        self.assertEqual(qemu_accel.choose_accelerator("tcg,thread=multi", options, self.cache), "tcg,thread=multi")


@unittest.skipUnless(shutil.which("qemu-system-x86_64") and
                     any(Path(code).is_file() for code, _ in qemu_machine.FIRMWARE), "QEMU or OVMF is not installed")
class RealMachineTest(unittest.TestCase):
    def test_firmware_without_a_disk_reaches_its_console(self):
        with Machine(MachineOptions(memory="256M")) as machine:
            deadline = time.monotonic() + 120
            while not machine.serial_bytes and time.monotonic() < deadline:
                time.sleep(0.05)
            self.assertTrue(machine.serial_bytes, "the firmware says nothing")
            self.assertEqual(machine.qmp("query-status")["status"], "running")
            with tempfile.TemporaryDirectory() as folder:
                picture = Path(folder) / "screen.png"
                machine.screenshot(picture)
                self.assertTrue(picture.read_bytes().startswith(b"\x89PNG"))
            machine.quit()
            self.assertEqual(machine.wait_exit(20), 0)

    def test_every_disk_kind_is_one_that_qemu_has(self):
        with tempfile.TemporaryDirectory() as folder:
            image = Path(folder) / "with, comma.img"
            image.write_bytes(bytes(1 << 20))
            for kind in qemu_machine.DISK_DEVICES:
                with self.subTest(kind), Machine(MachineOptions(disk=kind, images=[image], memory="256M")) as machine:
                    self.assertEqual(machine.qmp("query-status")["status"], "running")


if __name__ == "__main__":
    unittest.main()
