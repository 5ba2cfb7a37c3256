"""run_tests.py: what runners print becomes counts, and no failure of any kind is lost."""

import contextlib
import io
import sys
import tempfile
import types
import unittest
from pathlib import Path
from unittest import mock

import scripts_path  # noqa: F401
import run_tests


def python(code):
    return [sys.executable, "-c", code]


class RunTestsTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.build = Path(folder.name)

    def run_main(self, **stages):
        """(exit code, output) of a run with these stages only."""
        out = io.StringIO()
        with mock.patch.dict(run_tests.STAGES, stages, clear=True), contextlib.redirect_stdout(out):
            code = run_tests.main(["--build", str(self.build)])
        return code, out.getvalue()

    @staticmethod
    def runner(code):
        return lambda options: run_tests.run_with_closing_line(python(code), 20)

    def test_adds_up(self):
        code, output = self.run_main(a=self.runner("print('3 passed, 0 failed')"), b=self.runner("print('4 passed, 0 failed')"))
        self.assertEqual(code, 0)
        self.assertEqual(output.splitlines()[-1], "7 passed, 0 failed")

    def test_a_failure_is_counted_and_shown(self):
        code, output = self.run_main(
            a=self.runner("import sys; print('CHECK( x == y )'); print('3 passed, 2 failed'); sys.exit(2)"),
            b=self.runner("print('4 passed, 0 failed')"))
        self.assertEqual(code, 1)
        self.assertIn("| CHECK( x == y )", output)
        self.assertEqual(output.splitlines()[-1], "7 passed, 2 failed")
        self.assertIn("CHECK( x == y )", (self.build / "test" / "a.log").read_text())

    def test_what_comes_to_no_result_is_one_failure(self):
        for name, code in (("crash", "import os; print('half'); os.abort()"), ("silence", "pass"),
                           ("crash after the line", "import sys; print('3 passed, 0 failed'); sys.exit(9)"),
                           ("nothing ran", "print('0 passed, 0 failed')")):
            with self.subTest(name):
                result, output = self.run_main(a=self.runner(code))
                self.assertEqual(result, 1)
                self.assertEqual(output.splitlines()[-1], "0 passed, 1 failed")

    def test_a_hang_ends_with_its_children(self):
        stage = lambda options: run_tests.run_with_closing_line(  # noqa: E731
            python("import subprocess, sys; print('begun', flush=True); subprocess.run([sys.executable, '-c', "
                   "'import time; time.sleep(60)'])"), 1)
        result, output = self.run_main(a=stage)
        self.assertEqual(result, 1)
        self.assertIn("did not end within 1 s", output)
        self.assertIn("| begun", output)

    def test_a_program_that_is_not_there(self):
        result, output = self.run_main(a=lambda options: run_tests.run_with_closing_line([self.build / "none"], 1))
        self.assertEqual(result, 1)
        self.assertIn("cannot run", output)

    def boot(self, host, metal):
        """The outcome of the boot stage when lbm prints `host` and QEMU prints `metal`."""
        model = self.build / "model.gguf"
        model.write_bytes(b"")
        options = types.SimpleNamespace(build=self.build, model=model)
        with mock.patch.object(run_tests, "run", lambda command, timeout: (0, metal if "chat" in command else host)):
            return run_tests.stage_boot(options)

    def test_boot_compares_the_digests(self):
        host = '{"text": "Paris.", "digest": "ab"}\n'
        self.assertEqual(self.boot(host, 'boot log\nParis.\n{"text": "Paris.", "digest": "ab", "boot_s": 4}\n').n_failed, 0)
        self.assertEqual(self.boot(host, '{"text": "Paris.", "digest": "cd"}').n_failed, 1)
        self.assertEqual(self.boot(host, '{"text": "London.", "digest": "ab"}').n_failed, 2)
        self.assertEqual(self.boot('{"text": "Paris.", "digest": ""}', '{"text": "Paris.", "digest": ""}').n_failed, 1)
        with self.assertRaises(run_tests.StageFailed):
            self.boot(host, "no answer\n")

    def wasm(self, accepting_flags, model=None):
        """The Outcome of the wasm stage, and its commands, where Node takes a relaxed module with these flags only."""
        commands = []

        def node(command, _timeout, **_):
            if run_tests.NODE_PROBE in command:
                return (0 if command[1:-3] == accepting_flags else 3), ""
            commands.append(" ".join(map(str, command)))
            return 0, "2 passed, 0 failed\n"

        with mock.patch.object(run_tests, "run", node), mock.patch.object(run_tests.shutil, "which", lambda name: "node"):
            return run_tests.stage_wasm(types.SimpleNamespace(build=self.build, model=model)), commands

    def test_wasm_takes_the_flags_that_this_node_needs(self):
        for flags, quick in (([], []), (["--experimental-wasm-relaxed-simd", "--no-liftoff"], ["--experimental-wasm-relaxed-simd"])):
            outcome, commands = self.wasm(flags)
            self.assertEqual((outcome.n_passed, len(commands)), (14, 7))
            self.assertEqual(sum("tests/node/api_test.mjs" in command for command in commands), 1)
            self.assertTrue(commands[2].startswith(" ".join(["node", *flags, "tests/node/unit_tests.mjs"])), commands)
            self.assertTrue(commands[4].startswith(" ".join(["node", *quick, "tests/node/unit_tests.mjs"])), commands)

    def test_wasm_says_what_it_leaves_out(self):
        outcome, commands = self.wasm(None, model=Path(__file__))
        self.assertEqual((outcome.n_passed, len(commands)), (8, 4))
        self.assertEqual(sum("tests/node/api_test.mjs" in command for command in commands), 1)
        self.assertIn("relaxed", outcome.note)
        self.assertIn("--model", commands[1])
        with mock.patch.object(run_tests.shutil, "which", lambda name: None):
            outcome = run_tests.stage_wasm(types.SimpleNamespace(build=self.build, model=None))
        self.assertEqual((outcome.n_passed, outcome.n_failed), (0, 0))
        self.assertIn("skipped", outcome.note)

    def web(self, outputs, **world):
        """The outcome of the stage web where these test scripts, by name, print this and exit so; and the commands."""
        root = self.build / "root"
        (root / "web" / "node_modules").mkdir(parents=True)
        for name in outputs:
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text("")
        commands = []

        def node(command, _timeout, **_):
            commands.append([str(word) for word in command])
            return outputs[str(command[1])]

        which = world.get("which", lambda name: name)
        with mock.patch.object(run_tests, "run", node), mock.patch.object(run_tests, "ROOT", root), \
             mock.patch.object(run_tests.shutil, "which", which), contextlib.redirect_stdout(io.StringIO()), \
             mock.patch.dict(run_tests.os.environ, clear=True):
            return run_tests.stage_web(types.SimpleNamespace(build=self.build, model=None)), commands

    def test_web_runs_every_script_and_adds_up(self):
        outcome, commands = self.web({"tests/node/lib_test.mjs": (0, "skipped: a\n3 passed, 0 failed\n"),
                                      "tests/web/page_test.mjs": (1, "4 passed, 1 failed\n"),
                                      "tests/web/z_test.mjs": (0, "no closing line"),
                                      "tests/web/static_server.mjs": (0, "is no test")})
        self.assertEqual((outcome.n_passed, outcome.n_failed), (7, 2))
        self.assertEqual(sorted(command[1] for command in commands),
                         ["tests/node/lib_test.mjs", "tests/web/page_test.mjs", "tests/web/z_test.mjs"])
        self.assertIn("--modules", commands[0])
        self.assertIn("1 skip", outcome.note)
        self.assertIn("no closing line", outcome.output)

    def test_web_without_its_tools_is_a_failure(self):
        for missing in ("node", "chromium"):
            names = {"node": ("node", "nodejs"), "chromium": run_tests.BROWSERS}[missing]
            with self.subTest(missing), self.assertRaisesRegex(run_tests.StageFailed, "make deps"):
                self.web({}, which=lambda name, names=names: None if name in names else name)
            (self.build / "root" / "web" / "node_modules").rmdir()
            (self.build / "root" / "web").rmdir()

    def test_unittest_output(self):
        for text, code, expected in (("Ran 5 tests in 1s\n\nOK\n", 0, (5, 0)),
                                     ("Ran 5 tests in 1s\n\nFAILED (failures=1, errors=2)\n", 1, (2, 3)),
                                     ("Ran 5 tests in 1s\n\nOK (skipped=2)\n", 0, (3, 0))):
            with mock.patch.object(run_tests, "run", lambda command, timeout, text=text, code=code, **_: (code, text)):
                outcome = run_tests.stage_scripts(None)
            self.assertEqual((outcome.n_passed, outcome.n_failed), expected)
        with mock.patch.object(run_tests, "run", lambda command, timeout, **_: (0, "Ran 0 tests in 0s\n")):
            with self.assertRaises(run_tests.StageFailed):
                run_tests.stage_scripts(None)


if __name__ == "__main__":
    unittest.main()
