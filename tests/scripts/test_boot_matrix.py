"""Tests of scripts/boot_matrix.py: the rows as data, and how a row passes or fails, with a stand-in for the machine."""

import io
import json
import re
import shutil
import tempfile
import unittest
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from unittest import mock

import scripts_path
import boot_matrix
import qemu_chat
import qemu_machine
from boot_matrix import FAILED, PASSED, SKIPPED, Contents, Outcome
from passes import matrix_rows
from passes.matrix_rows import CHAT, DIGEST, ROWS, Row
from passes.tiny_model import write_tiny_model, write_zero_model
from qemu_machine import MachineError, MachineOptions

DIGEST_A, DIGEST_B = "a" * 64, "b" * 64
TOOLS = ("sgdisk", "mformat", "mcopy")


class RowsTest(unittest.TestCase):
    def test_names_are_unique_and_steps_are_known(self):
        self.assertEqual(len({row.name for row in ROWS}), len(ROWS))
        for row in ROWS:
            for step in row.dialog:
                self.assertIn(step[0], ("wait", "serial", "type", "keys", "unplug", "sleep", "exit"), row.name)

    def test_every_row_ends_in_a_chat_or_in_a_refusal_by_name(self):
        for row in ROWS:
            patterns = [step[1] for step in row.dialog if step[0] in ("wait", "serial")]
            chats = DIGEST in patterns
            refused = any("[" in pattern or "No model" in pattern or "Denied" in pattern for pattern in patterns)
            self.assertTrue(chats or refused, row.name)

    def test_what_the_matrix_promises_is_in_it(self):
        def some(what):
            self.assertTrue(any(what(row) for row in ROWS))
        for disk in ("virtio", "ahci", "nvme", "usb"):
            some(lambda row, disk=disk: row.disk == disk and row.dialog == CHAT)
        for memory in ("256M", "8G"):
            some(lambda row, memory=memory: row.memory == memory and row.dialog == CHAT)
        for n_core in (1, 2, 4):
            some(lambda row, n_core=n_core: row.n_core == n_core)
        for cpu in ("qemu64", "max"):
            some(lambda row, cpu=cpu: row.cpu == cpu)
        some(lambda row: "i8042=off" in row.machine)
        some(lambda row: row.vga == "none")
        some(lambda row: "readonly=on" in row.drive_options)
        some(lambda row: row.content == "two-volumes")
        for form in boot_matrix.FORMS:
            some(lambda row, form=form: row.content == form and row.dialog == CHAT)
        some(lambda row: row.content == "too-large")
        for fault in ("once", "always"):
            some(lambda row, fault=fault: row.fault == fault)
        some(lambda row: ("unplug",) in row.dialog)
        some(lambda row: row.firmware == "secboot")

    def test_every_form_of_the_model_is_held_against_lbm_for_its_own_file(self):
        asked = []

        def reference(_, model):
            asked.append(model.name)
            return None
        rows = [Row("a", "", content="split"), Row("b", ""), Row("c", "", content="llama2c"), Row("d", "", content="slm"), Row("e", "")]
        outcomes = iter([DIGEST_A, DIGEST_B, DIGEST_A, DIGEST_A, DIGEST_A])
        with tempfile.TemporaryDirectory() as folder, mock.patch.object(boot_matrix, "reference_digest", reference), \
                mock.patch.object(boot_matrix, "run_row", lambda row, *_: Outcome(row.name, PASSED, "chat", 0.0, next(outcomes))):
            options = mock.Mock(efi=Path(folder) / "efi" / "a.efi", logs=Path(folder), timeout_sec=15, accel="tcg")
            states = [outcome.state for outcome in boot_matrix.run_rows(rows, options, mock.Mock())]
        self.assertEqual(asked, ["tiny-00001-of-00003.gguf", "tiny.gguf", "tiny.bin", "tiny.slm"])
        self.assertEqual(states, [PASSED, PASSED, PASSED, PASSED, FAILED])

    def test_the_document_has_every_row(self):
        text = (scripts_path.ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
        self.assertEqual([row.name for row in ROWS if f"`{row.name}`" not in text], [])

    def test_the_short_form_is_short(self):
        self.assertLessEqual(sum(row.is_short for row in ROWS), 9)  # of about 10 s each
        self.assertGreaterEqual(sum(row.is_short for row in ROWS), 5)

    def test_every_row_becomes_a_command_of_qemu(self):
        for row in ROWS:
            options = MachineOptions(images=[Path("a.img")], disk=row.disk, memory=row.memory, cpu=row.cpu, machine=row.machine, vga=row.vga,
                                     serial_port=row.serial_port, drive_options=row.drive_options, extra=list(row.extra),
                                     faults=Path("f.conf") if row.fault else None)
            command = qemu_machine.command_line(options, Path("/p"), Path("/f"))
            drive = next(argument for argument in command if "id=d0" in argument)
            self.assertIn(row.drive_options, drive)
            self.assertEqual("blkdebug:f.conf:a.img" in drive, bool(row.fault))
            self.assertTrue("snapshot=on" in drive or "readonly=on" in drive, row.name)
            self.assertEqual("none" in command[command.index("-serial") + 1], not row.serial_port)


class ModelsTest(unittest.TestCase):
    def test_models_are_what_they_say(self):
        with tempfile.TemporaryDirectory() as folder:
            tiny = write_tiny_model(Path(folder)).read_bytes()
            self.assertEqual(tiny[:4], b"GGUF")
            self.assertEqual(write_tiny_model(Path(folder), "b.gguf").read_bytes(), tiny)
            self.assertNotEqual(write_tiny_model(Path(folder), "c.gguf", seed=2).read_bytes(), tiny)
            large = write_zero_model(Path(folder), "large.gguf", 2048)
            self.assertGreater(large.stat().st_size, 256 << 20)
            self.assertLess(large.stat().st_size, qemu_chat.VVFAT_LIMIT)
            self.assertLess(large.stat().st_blocks * 512, 1 << 20, "it is sparse")


class StandInMachine:
    """Plays a machine: what it says comes from `says`; a pattern that is not there is a timeout."""

    says = ""
    exit_code = 0

    def __init__(self, options):
        self.options = options
        self.log = self.serial = self.says
        self.typed = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def wait_for(self, pattern, timeout_s, start=0, source="log"):
        match = re.compile(pattern, re.MULTILINE).search(self.says, start)
        if match is None:
            raise MachineError(f"/{pattern}/ did not come within {timeout_s:g} s")
        return match

    def type_line(self, text):
        self.typed.append(text)

    def wait_exit(self, _):
        return self.exit_code

    def qemu_errors(self):
        return ""


class RowTest(unittest.TestCase):
    """One row with a machine that says what the test wants."""

    def setUp(self):
        self.folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)
        self.log = self.folder / "logs" / "row.log"

    def run_row(self, says, row=Row("row", "a row"), exit_code=0):
        machine = type("Playing", (StandInMachine,), {"says": says, "exit_code": exit_code})
        with mock.patch.object(boot_matrix, "Machine", machine), \
                mock.patch.object(boot_matrix, "machine_options", lambda *_: MachineOptions()):
            return boot_matrix.run_row(row, None, "tcg", 5, self.log)

    @staticmethod
    def chat(digest=DIGEST_A):
        return f"OK: REPL ready (/help)\n[stats] tokens=8 time_ms=1\n[digest] {digest}\n"

    def test_an_answer_passes_with_its_digest(self):
        outcome = self.run_row(self.chat())
        self.assertEqual((outcome.state, outcome.detail, outcome.digest), (PASSED, "chat", DIGEST_A))
        self.assertIn("REPL ready", self.log.read_text())

    def test_no_answer_fails_and_names_the_step(self):
        outcome = self.run_row("OK: REPL ready (/help)\n")
        self.assertEqual(outcome.state, FAILED)
        self.assertIn("stats", outcome.detail)
        outcome = self.run_row(self.chat().replace("tokens=8", "tokens=0"))
        self.assertEqual(outcome.state, FAILED)
        self.assertTrue(self.log.is_file())

    def test_a_sound_machine_gets_no_complaint(self):
        outcome = self.run_row("ERROR: LOG01: no place for it [limit]\n" + self.chat())
        self.assertEqual(outcome.state, FAILED)
        self.assertIn("LOG01", outcome.detail)
        read_only = Row("row", "write-protected", drive_options="readonly=on")
        self.assertEqual(self.run_row("ERROR: LOG01: no place for it [limit]\n" + self.chat(), read_only).state, PASSED)

    def test_steps_look_only_at_what_came_later(self):
        self.assertEqual(self.run_row(f"[stats] tokens=8 x\n[digest] {DIGEST_A}\nOK: REPL ready (/help)\n").state, FAILED)

    def test_a_wrong_exit_code_fails(self):
        outcome = self.run_row(self.chat(), exit_code=5)
        self.assertEqual(outcome.state, FAILED)
        self.assertIn("ended with 5", outcome.detail)

    def test_a_refusal_passes_by_its_name_alone(self):
        row = Row("row", "refused", dialog=matrix_rows.refused(r"\[io\]$"))
        says = "ERROR: x\n  reason  y [io]\nOK: REPL ready (no model). Type /help\n  summary: total=1 bin=0\n"
        outcome = self.run_row(says, row)
        self.assertEqual((outcome.state, outcome.digest), (PASSED, None))
        self.assertEqual(self.run_row(says.replace("[io]", "[truncated]"), row).state, FAILED)
        self.assertEqual(self.run_row(says.replace("  summary", "summary"), row).state, FAILED)

    def test_answers_that_differ_within_a_row_fail(self):
        row = Row("row", "twice", dialog=(("wait", DIGEST), ("wait", DIGEST)))
        self.assertEqual(self.run_row(f"[digest] {DIGEST_A}\n[digest] {DIGEST_A}\n", row).state, PASSED)
        self.assertEqual(self.run_row(f"[digest] {DIGEST_A}\n[digest] {DIGEST_B}\n", row).state, FAILED)

    def test_answers_that_differ_between_machines_fail(self):
        outcome = Outcome("row", PASSED, "chat", 1.0, DIGEST_A)
        boot_matrix.hold_against(outcome, DIGEST_A)
        self.assertEqual(outcome.state, PASSED)
        boot_matrix.hold_against(outcome, DIGEST_B)
        self.assertEqual(outcome.state, FAILED)
        refusal = Outcome("row", PASSED, "refused", 1.0)
        boot_matrix.hold_against(refusal, DIGEST_B)
        self.assertEqual(refusal.state, PASSED)

    def test_firmware_that_is_not_installed_skips_its_row(self):
        with mock.patch.dict(boot_matrix.FIRMWARE, {"2M": str(self.folder / "none.fd")}):
            outcome = self.run_row(self.chat(), Row("row", "old", firmware="2M"))
        self.assertEqual(outcome.state, SKIPPED)
        self.assertIn("none.fd", outcome.detail)

    @unittest.skipUnless(all(map(shutil.which, TOOLS)), "needs " + ", ".join(TOOLS))
    def test_a_fault_is_put_on_the_model_and_on_nothing_else(self):
        efi = self.folder / "app.efi"
        efi.write_bytes(b"MZ" + bytes(1000))
        contents = Contents(efi, self.folder)
        self.addCleanup(contents.remove)
        options = MachineOptions()
        contents.attach(Row("row", "bad sector", fault="once"), options)
        rules = options.faults.read_text()
        self.assertIn('once = "on"', rules)
        sector = int(rules.partition('sector = "')[2].partition('"')[0])
        image = options.images[0].read_bytes()
        model = contents.tiny.read_bytes()
        self.assertIn(image[sector * 512 + 512:sector * 512 + 1024], model)
        contents.attach(Row("row", "bad sector", fault="always"), options)
        self.assertNotIn("once", options.faults.read_text())


class ProgramTest(unittest.TestCase):
    def run_program(self, *arguments, outcomes=()):
        out, err = io.StringIO(), io.StringIO()
        self.asked = None

        def rows(asked, *_):
            self.asked = [row.name for row in asked]
            return list(outcomes)

        with mock.patch.object(boot_matrix, "run_rows", rows), redirect_stdout(out), redirect_stderr(err):
            try:
                code = boot_matrix.main(list(arguments))
            except SystemExit as end:
                code = end.code
        return code, out.getvalue(), err.getvalue()

    EFI = ("--efi", __file__)  # any file that is there

    def test_which_rows_run(self):
        self.run_program(*self.EFI)
        self.assertEqual(self.asked, [row.name for row in ROWS])
        self.run_program(*self.EFI, "--short")
        self.assertEqual(self.asked, [row.name for row in ROWS if row.is_short])
        self.run_program(*self.EFI, "--row", "no-gop", "--row", "disk-usb")
        self.assertEqual(sorted(self.asked), ["disk-usb", "no-gop"])
        self.assertEqual(self.run_program("--row", "nothing")[0], 2)

    def test_the_list(self):
        code, out, _ = self.run_program("--list")
        self.assertEqual((code, len(out.splitlines())), (0, len(ROWS)))
        self.assertEqual(len(json.loads(self.run_program("--list", "--json")[1])), len(ROWS))

    def test_the_result(self):
        good, bad = Outcome("a", PASSED, "chat", 1.0, DIGEST_A), Outcome("b", FAILED, "why", 2.0)
        self.assertEqual(self.run_program(*self.EFI, outcomes=[good])[0], 0)
        code, out, err = self.run_program(*self.EFI, "--json", outcomes=[good, bad, Outcome("c", SKIPPED, "no", 0.0)])
        result = json.loads(out)
        self.assertEqual((code, result["pass"], result["passed"], result["failed"], result["skipped"]), (1, False, 1, 1, 1))
        self.assertEqual(result["rows"][1]["detail"], "why")
        self.assertIn("1 passed, 1 failed, 1 skipped", err)

    def test_a_missing_application_says_how_to_build_it(self):
        code, out, _ = self.run_program("--efi", "/nonexistent.efi")
        self.assertEqual(code, 1)
        self.assertIn("make efi", out)


if __name__ == "__main__":
    unittest.main()
