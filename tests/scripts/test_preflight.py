"""Tests of scripts/preflight (M6) and scripts/verify (M6.1), with stand-ins for the programs they look for."""

import io
import json
import os
import subprocess
import sys
import tempfile
import unittest
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from unittest import mock

import scripts_path
from passes import preflight, verify
from passes.preflight import Finding
from passes.voice import PassFailed

PROGRAM = scripts_path.ROOT / "scripts" / "preflight"


class PreflightTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def program(self, name, says="version 1.2.3", where="bin"):
        """A stand-in in a folder of ours."""
        path = self.folder / where / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/sh\necho '{says}'\n")
        path.chmod(0o755)
        return path

    def with_path(self, *folders, system=()):
        paths = os.pathsep.join(str(self.folder / folder) for folder in folders)
        self.enter(mock.patch.dict(os.environ, {"PATH": paths}))
        self.enter(mock.patch.object(preflight, "SYSTEM_FOLDERS", [str(self.folder / folder) for folder in system]))

    def enter(self, patched):
        patched.start()
        self.addCleanup(patched.stop)

    def test_a_program_is_shown_with_its_version(self):
        path = self.program("make", "GNU Make 4.3")
        self.with_path("bin")
        finding = preflight.check_program("make", "make")
        self.assertEqual((finding.ok, finding.detail), (True, f"GNU Make 4.3 ({path})"))

    def test_a_missing_program_names_the_way_out(self):
        self.with_path("bin")
        finding = preflight.check_program("mtools", "mformat")
        self.assertFalse(finding.ok)
        self.assertIn("there is no mformat", finding.detail)
        self.assertIn("make deps", finding.detail)

    def test_programs_of_the_administrator_are_found_outside_the_path(self):
        path = self.program("sgdisk", where="sbin")
        self.with_path("bin", system=["sbin"])
        self.assertIn(str(path), preflight.check_program("sgdisk", "sgdisk").detail)

    def test_a_program_that_does_not_run_says_so(self):
        self.program("make").write_text("#!/nonexistent/interpreter\n")
        self.with_path("bin")
        self.assertIn("does not run", preflight.check_program("make", "make").detail)

    def test_compiler_and_linker_are_of_one_version(self):
        self.with_path("bin")
        self.assertFalse(preflight.check_llvm()[0].ok)
        for name in ("clang++-16", "clang++-18", "lld-link-16", "llvm-objcopy-16"):
            self.program(name)
        findings = {finding.name: finding.ok for finding in preflight.check_llvm()}
        self.assertEqual(findings, {"clang++": True, "lld-link": False, "llvm-objcopy": False})  # 18 is taken
        self.program("lld-link-18")
        self.program("llvm-objcopy-18")
        self.assertTrue(all(finding.ok for finding in preflight.check_llvm()))

    def test_disk_room(self):
        needed = preflight.DISK_ROOM_BYTES
        self.assertTrue(preflight.check_room(self.folder, lambda _: needed).ok)
        finding = preflight.check_room(self.folder, lambda _: needed - 1)
        self.assertFalse(finding.ok)
        self.assertIn("make clean", finding.detail)

    def test_no_accelerator_and_no_model_stop_nothing(self):
        with mock.patch.object(preflight, "default_model", lambda: (None, "fetch it with: make model")):
            finding = preflight.check_model()
        self.assertEqual((finding.ok, finding.detail), (True, "fetch it with: make model"))
        with mock.patch.object(os, "access", lambda *_: False):
            self.assertTrue(preflight.check_kvm().ok)

    def told(self, findings, *flags):
        out, err = io.StringIO(), io.StringIO()
        with mock.patch.object(preflight, "all_checks", lambda: findings), redirect_stdout(out), redirect_stderr(err):
            code = preflight.main(list(flags))
        return code, out.getvalue(), err.getvalue()

    def test_the_last_line_and_the_exit_code(self):
        good, bad = Finding("make", True, "4.3"), Finding("QEMU", False, "there is none; install it with: make deps")
        self.assertEqual(self.told([good])[:2], (0, "[OK] make: 4.3\nPreflight: READY\n"))
        code, out, _ = self.told([good, bad])
        self.assertEqual(code, 1)
        self.assertEqual(out.splitlines()[1:], ["[FAIL] QEMU: there is none; install it with: make deps", "Preflight: NOT READY"])

    def test_json_has_stdout_to_itself(self):
        code, out, err = self.told([Finding("QEMU", False, "none")], "--json")
        self.assertEqual((code, json.loads(out)), (1, {"ready": False, "checks": [{"name": "QEMU", "ok": False, "detail": "none"}]}))
        self.assertIn("NOT READY", err)

    def test_the_program_runs_where_next_to_nothing_is_installed(self):
        ran = subprocess.run([sys.executable, str(PROGRAM), "--json"], env={"PATH": str(self.folder)}, capture_output=True, text=True,
                             check=False)
        names = [check["name"] for check in json.loads(ran.stdout)["checks"]]
        for name in ("Python", "make", "clang++", "sgdisk", "mtools", "QEMU", "OVMF", "KVM", "Disk room", "Model"):
            self.assertIn(name, names)
        self.assertEqual(ran.returncode, 1)
        self.assertIn("[FAIL] QEMU: ", ran.stderr)


class VerifyTest(unittest.TestCase):
    """The order of the steps, their texts, and what is called."""

    def run_verify(self, *flags, ready=True, make_fails=False, qemu_code=0):
        self.made, self.started = [], []

        def make(voice, *targets):
            self.made.append(targets)
            if make_fails:
                raise PassFailed("make image failed with exit code 2")

        def start(command, **_):
            self.started.append(command)
            return subprocess.CompletedProcess(command, qemu_code)

        out = io.StringIO()
        findings = [Finding("make", ready, "4.3")]
        with mock.patch.object(verify, "preflight", lambda voice: findings), mock.patch.object(verify, "make", make), \
                mock.patch.object(verify.subprocess, "run", start), redirect_stdout(out), redirect_stderr(io.StringIO()):
            try:
                code = verify.main(list(flags))
            except SystemExit as end:
                code = end.code
        return code, out.getvalue().splitlines()

    def test_without_the_run(self):
        self.assertEqual(self.run_verify("--skip-run"), (0, [
            "[M6.1] Verify release flow", "  Step 1/3: preflight", "  Step 2/3: build image", "  Step 3/3: run skipped (-SkipRun)",
            "[M6.1] READY: preflight + build passed."]))
        self.assertEqual((self.made, self.started), ([("image",)], []))

    def test_with_the_run(self):
        code, lines = self.run_verify("--no-model", "--accel", "none", "--mem-mb", "512", "--gui")
        self.assertEqual((code, lines[-1]), (0, "  Step 3/3: launch QEMU"))
        self.assertEqual(self.made, [("image", "NO_MODEL=1")])
        command = self.started[0]
        self.assertTrue(command[command.index("--image") + 1].endswith("images/llm-baremetal-boot-nomodel.img"))
        self.assertEqual(command[command.index("--accel") + 1], "tcg")
        self.assertEqual(command[command.index("--memory") + 1], "512M")
        self.assertIn("--gui", command)

    def test_a_model_of_ones_own(self):
        self.run_verify("--model-bin", "my.gguf", "--skip-run")
        self.assertEqual(self.made, [("image", "MODEL=my.gguf")])

    def test_each_step_stops_at_its_failure(self):
        code, lines = self.run_verify(ready=False)
        self.assertEqual((code, self.made, self.started), (1, [], []))
        self.assertEqual(lines[-1].partition("]")[0], "[M6.1")
        code, _ = self.run_verify(make_fails=True)
        self.assertEqual((code, self.started), (1, []))
        self.assertEqual(self.run_verify(qemu_code=1)[0], 1)

    def test_usage(self):
        for flags in (("--mem-mb", "511"), ("--mem-mb", "8193"), ("--accel", "magic"), ("--no-model", "--model-bin", "x"), ("--nothing",)):
            self.assertEqual(self.run_verify(*flags)[0], 2, flags)
        self.assertEqual(self.run_verify("--accel", "whpx", "--skip-run")[0], 1)


if __name__ == "__main__":
    unittest.main()
