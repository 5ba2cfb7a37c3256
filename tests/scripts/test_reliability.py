"""Tests of scripts/reliability (M8): the static patterns, the run-time checks on the golden log, limits, and the scenario's volume."""

import io
import json
import os
import shutil
import stat
import subprocess
import sys
import tempfile
import unittest
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from unittest import mock

import scripts_path
import qemu_machine
from golden_log import golden_log, without
from passes import preflight, reliability, scenario, static_checks
from passes.markers import SerialLog
from passes.static_checks import FAILED, NOT_BUILT, PASSED

NO_MODEL_LOG = """OK: REPL ready (no model). Type /help\r
Tip: in no-model REPL use /models and /model_info <path>\r
You (autorun): /models\r
  summary: total=0 bin=0 gguf=0 bytes=0\r
"""
# A run of ours today: everything but the policy loop.
LIVE_LOG = without("OO ").replace("/models\\stories", "/models/stories")


class Folders(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.history = self.folder / "history.jsonl"

    def run_pass(self, *flags):
        """Returns (exit code, its JSON, what it told)."""
        result, told = io.StringIO(), io.StringIO()
        with redirect_stdout(result), redirect_stderr(told):
            try:
                code = reliability.main(["--json", "--history-path", str(self.history), *flags])
            except SystemExit as end:
                code = end.code
        return code, json.loads(result.getvalue()) if result.getvalue() else None, told.getvalue()

    def run_on(self, text, *flags):
        """The run-time checks over a log with this text."""
        log = self.folder / "serial.log"
        log.write_bytes(text.encode("utf-8"))
        return self.run_pass("--log", str(log), *flags)


class StaticTest(Folders):
    def tree(self, **sources):
        """A project with these sources; `chat__a` is core/chat/a.cpp."""
        for name, text in sources.items():
            path = self.folder / "core" / (name.replace("__", "/") + ".cpp")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return {check.label: check.state for check in static_checks.static_checks(self.folder)}

    CHAT = 'out_.line("[obs][startup] model_select_ms={}");\nout_.line("  summary: total={}");\n'
    POLICY = ('"OK: OO confidence: {}"\n"OK: OO feedback: {}"\n"OOOUTCOME.LOG"\n"OK: OO plan: {}"\n"plan_hard_stop reason=verify_failed"\n')

    def test_seven_checks_with_the_labels_of_the_specification(self):
        labels = ["A1 startup marker exists", "A3 models summary exists", "B1 confidence marker exists", "B2 feedback marker exists",
                  "B2 outcome log append exists", "B3 plan marker exists", "B3 hard-stop event exists"]
        self.assertEqual(list(self.tree(chat__repl=self.CHAT, govern__policy=self.POLICY)), labels)

    def test_a_policy_loop_without_sources_is_not_built(self):
        states = self.tree(chat__repl=self.CHAT)
        self.assertEqual([state for label, state in states.items() if label.startswith("A")], [PASSED] * 2)
        self.assertEqual([state for label, state in states.items() if label.startswith("B")], [NOT_BUILT] * 5)

    def test_once_it_has_sources_every_marker_has_to_be_there(self):
        self.assertEqual(set(self.tree(chat__repl=self.CHAT, govern__policy=self.POLICY).values()), {PASSED})
        for line in self.POLICY.splitlines():
            states = self.tree(govern__policy=self.POLICY.replace(line, ""))
            self.assertEqual(list(states.values()).count(FAILED), 1, line)

    def test_a_marker_in_a_comment_is_never_said(self):
        states = self.tree(chat__repl='// "[obs][startup] model_select_ms=" is printed by nobody\n"  summary: total={}"')
        self.assertEqual(states["A1 startup marker exists"], FAILED)

    def test_our_own_sources_pass(self):
        code, result, told = self.run_pass("--skip-preflight", "--skip-build")
        self.assertEqual(code, 0, told)
        self.assertIn("M8 static reliability pass complete", told)
        self.assertNotIn(FAILED, [check["state"] for check in result["static"]])
        self.assertEqual(len(result["static"]), 7)

    def test_a_missing_marker_fails(self):
        with mock.patch.object(reliability, "static_checks", lambda: static_checks.static_checks(self.folder)):
            code, result, told = self.run_pass("--skip-preflight", "--skip-build")
        self.assertEqual(code, 1)
        self.assertIn("A1 startup marker exists", result["failures"][0])


class LogTest(Folders):
    def test_the_golden_log_passes_m8_and_m9(self):
        code, result, told = self.run_on(golden_log())
        self.assertEqual(code, 0, told)
        self.assertEqual([check["state"] for check in result["runtime"]], [PASSED] * 5)
        self.assertTrue(result["guardrails"]["row"]["require_oo_markers"])
        self.assertTrue(result["guardrails"]["row"]["oo_plan"])
        self.assertIn("[M9][OK]", told)
        self.assertEqual(len(self.history.read_text().splitlines()), 1)

    def test_every_marker_is_required_of_a_given_log(self):
        for part, label in (("[obs][startup]", "A1"), ("summary:", "A3"), ("OO confidence:", "B1"), ("OO feedback:", "B2"), ("OO plan:", "B3")):
            code, result, _ = self.run_on(without(part))
            self.assertEqual(code, 1, part)
            self.assertIn(label, result["failures"][0])
            self.assertIsNone(result["guardrails"], "M9 comes after the markers")

    def test_a_log_without_a_model_needs_its_summary_and_its_tip(self):
        code, result, told = self.run_on(NO_MODEL_LOG)
        self.assertEqual(code, 0, told)
        self.assertIsNone(result["guardrails"])
        self.assertEqual(self.run_on(NO_MODEL_LOG.replace("Tip:", "tip of"))[0], 1)
        self.assertEqual(self.run_on(NO_MODEL_LOG.replace("summary", "sum"))[0], 1)

    def test_budgets_reach_m9(self):
        code, result, _ = self.run_on(golden_log(12, 180), "--max-model-prepare-ms", "179")
        self.assertEqual(code, 1)
        self.assertIn("M9 guardrails failed: model_prepare_ms=180", result["failures"][0])
        self.assertEqual(self.run_on(golden_log(12, 180), "--max-model-prepare-ms", "180", "--no-history-write", "--no-drift-check")[0], 0)
        self.assertEqual(len(self.history.read_text().splitlines()), 1)

    def test_our_own_run_has_policy_markers_once_they_are_built(self):
        log = SerialLog(LIVE_LOG)
        states = [check.state for check in reliability.runtime_checks(log, policy_required=False)]
        self.assertEqual(states, [PASSED, PASSED, NOT_BUILT, NOT_BUILT, NOT_BUILT])
        states = [check.state for check in reliability.runtime_checks(log, policy_required=True)]
        self.assertEqual(states, [PASSED, PASSED, FAILED, FAILED, FAILED])

    def test_a_missing_log_is_named(self):
        code, result, _ = self.run_pass("--log", str(self.folder / "none.log"))
        self.assertEqual(code, 1)
        self.assertIn("none.log", result["failures"][0])


class UsageTest(Folders):
    RANGES = (("--timeout-sec", 15, 600), ("--mem-mb", 1024, 8192), ("--max-model-select-ms", 0, 120000), ("--max-model-prepare-ms", 0, 120000),
              ("--max-harmful-ratio-pct", 0, 100), ("--max-consecutive-failures", 1, 100), ("--min-auto-apply-samples", 1, 1000),
              ("--m12-early-threshold", 0, 100), ("--m12-warm-threshold", 0, 100), ("--m12-steady-threshold", 0, 100),
              ("--m12-adj-latency-optimization", -100, 100), ("--m12-adj-context-expansion", -100, 100), ("--m12-adj-mixed", -100, 100),
              ("--m12-adj-unknown", -100, 100))

    def test_ranges_of_the_flags(self):
        static = ("--skip-preflight", "--skip-build")
        for flag, low, high in self.RANGES:
            for value in (low, high):
                options = reliability.build_parser().parse_args([*static, f"{flag}={value}"])
                self.assertEqual(getattr(options, flag[2:].replace("-", "_")), value)
            for value in (low - 1, high + 1, "", "x"):
                self.assertEqual(self.run_pass(*static, f"{flag}={value}")[0], 2, (flag, value))

    def test_defaults_are_those_of_the_specification(self):
        options = reliability.build_parser().parse_args([])
        wanted = {"timeout_sec": 90, "accel": "tcg", "mem_mb": 4096, "max_model_select_ms": 2000, "max_model_prepare_ms": 12000,
                  "max_harmful_ratio_pct": 40, "max_consecutive_failures": 2, "min_auto_apply_samples": 2, "m11_stable_streak_needed": 3,
                  "m11_canary_boots": 2, "m11_min_samples_for_release": 2, "m11_m9_stable_window": 3, "m11_m10_stable_window": 3,
                  "m11_canary_conf_threshold": 20, "m12_early_threshold": 35, "m12_warm_threshold": 25, "m12_steady_threshold": 15,
                  "m12_adj_latency_optimization": -5, "m12_adj_context_expansion": 10, "m12_adj_mixed": 3, "m12_adj_unknown": 0,
                  "skip_preflight": False, "skip_build": False, "run_qemu": False}
        self.assertEqual({key: getattr(options, key) for key in wanted}, wanted)

    def test_what_excludes_itself(self):
        self.assertEqual(self.run_pass("--run-qemu", "--log", "x")[0], 2)
        self.assertEqual(self.run_pass("--accel", "magic")[0], 2)
        code, result, _ = self.run_pass("--skip-preflight", "--skip-build", "--accel", "whpx")
        self.assertEqual(code, 1)
        self.assertIn("Windows", result["failures"][0])

    def test_a_preflight_that_is_not_ready_stops_the_pass(self):
        missing = [preflight.Finding("QEMU", False, "there is none; install it with: make deps")]
        with mock.patch.object(preflight, "all_checks", lambda: missing):
            code, result, told = self.run_pass("--skip-build")
        self.assertEqual(code, 1)
        self.assertIn("[FAIL] QEMU: there is none", told)
        self.assertEqual(result["static"], [])

    def test_a_missing_application_says_how_to_build_it(self):
        code, result, _ = self.run_pass("--skip-preflight", "--skip-build", "--run-qemu", "--tiny-model", "--efi", str(self.folder / "none.efi"))
        self.assertEqual(code, 1)
        self.assertIn("make efi", result["failures"][0])


# Speaks on the serial port as our application would, by what is in the file beside it, and then waits for ever.
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
serial, qmp = connect("serial.sock"), connect("qmp.sock")
def answer():
    qmp.sendall(b'{"QMP": {}}\n')
    for line in qmp.makefile("rb"):
        qmp.sendall(b'{"return": {}}\n')
        greeted.set()
greeted = threading.Event()
threading.Thread(target=answer, daemon=True).start()
greeted.wait()
here = os.path.dirname(sys.argv[0])
folder = re.search(r"file=fat:(\S+)", arguments).group(1)
import shutil
shutil.copytree(folder, os.path.join(here, "seen"), symlinks=True)
open(os.path.join(here, "arguments"), "w").write(arguments)
serial.sendall(open(os.path.join(here, "says"), "rb").read())
sys.stderr.write("a word of QEMU\n")
sys.stderr.flush()
time.sleep(60)
'''


@unittest.skipUnless(any(Path(code).is_file() for code, _ in qemu_machine.FIRMWARE), "no OVMF here")
class ScenarioTest(Folders):
    """The run-time part with a stand-in for QEMU, first in the PATH."""

    def setUp(self):
        super().setUp()
        program = self.folder / "qemu-system-x86_64"
        program.write_text(f"#!{sys.executable}\n{STAND_IN}")
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        self.efi = self.folder / "BOOTX64.EFI"
        self.efi.write_bytes(b"MZ")
        self.log = self.folder / "m8" / "serial.log"
        for patched in (mock.patch.dict(os.environ, {"PATH": f"{self.folder}{os.pathsep}{os.environ['PATH']}"}),
                        mock.patch.object(reliability, "DEFAULT_LOG", self.log)):
            patched.start()
            self.addCleanup(patched.stop)

    def boot(self, says, *flags):
        (self.folder / "says").write_bytes(says.encode("utf-8"))
        return self.run_pass("--skip-preflight", "--skip-build", "--run-qemu", "--efi", str(self.efi), *flags)

    END = "\x1b[2JPress a key to return to the firmware.\r\n"

    def test_a_run_passes_and_leaves_its_log(self):
        code, result, told = self.boot(LIVE_LOG + self.END, "--tiny-model")
        self.assertEqual(code, 0, told)
        self.assertIn("B1 confidence marker", result["not_built"])
        self.assertIn("M10 quality", result["not_built"])
        text = self.log.read_bytes().decode()
        self.assertIn("\r\nPress a key", text)
        self.assertNotIn("\x1b", text)
        self.assertTrue(text.endswith("----- STDERR -----\r\na word of QEMU\r\n"))
        self.assertIn("-m 4096M", (self.folder / "arguments").read_text())

    def test_the_volume_is_a_folder_of_its_own(self):
        self.boot(LIVE_LOG + self.END, "--tiny-model")
        seen = self.folder / "seen"
        config = (seen / "repl.cfg").read_text().splitlines()
        self.assertIn("autorun_autostart=1", config)
        self.assertIn("autorun_file=llmk-autorun.txt", config)
        self.assertIn("model=tiny.gguf", config)
        self.assertEqual((seen / "llmk-autorun.txt").read_text().splitlines(), ["/models", "exit"])
        self.assertTrue((seen / "EFI/BOOT/BOOTX64.EFI").is_symlink())
        self.assertEqual(list(Path(tempfile.gettempdir()).glob("lbm-m8-*")), [])

    def test_times_of_a_tiny_model_are_no_history(self):
        self.boot(LIVE_LOG + self.END, "--tiny-model")
        self.assertFalse(self.history.exists())
        model = self.folder / "mine.gguf"
        model.write_bytes(b"GGUF")
        shutil.rmtree(self.folder / "seen")
        self.assertEqual(self.boot(LIVE_LOG + self.END, "--model", str(model))[0], 0)
        self.assertEqual(len(self.history.read_text().splitlines()), 1)

    def test_with_a_policy_loop_the_scenario_is_the_whole_one(self):
        with mock.patch.object(reliability, "policy_is_built", lambda: True):
            code, result, _ = self.boot(golden_log() + self.END, "--no-model")
        self.assertEqual(code, 0)
        self.assertEqual((self.folder / "seen/llmk-autorun.txt").read_text().splitlines(),
                         ["/models", "/oo_consult_mock reduce ctx and reduce seq", "/oo_consult_mock increase context", "/oo_jour", "exit"])
        self.assertIn("oo_plan_max_actions=2", (self.folder / "seen/repl.cfg").read_text())

    def test_at_the_timeout_only_its_own_machine_is_ended(self):
        decoy = self.folder / "decoy" / "qemu-system-x86_64"
        decoy.parent.mkdir()
        decoy.symlink_to(shutil.which("sleep"))
        other = subprocess.Popen([str(decoy), "60"])
        self.addCleanup(other.wait)
        self.addCleanup(other.kill)
        scenarios = []

        def short(*arguments):
            scenarios.append(scenario.Scenario(*arguments))
            scenarios[0].timeout_s = 1.0
            return scenarios[0]

        with mock.patch.object(reliability, "Scenario", short):
            code, result, _ = self.boot("OK: REPL ready (/help)\r\n", "--tiny-model")
        self.assertEqual(code, 1)
        self.assertIn("did not come", result["failures"][0])
        self.assertIsNone(other.poll())
        self.assertIn("REPL ready", self.log.read_text(), "the log is kept")

    def test_a_model_that_the_volume_can_not_hold_is_refused(self):
        model = self.folder / "large.gguf"
        with open(model, "wb") as file:
            file.truncate(600_000_000)
        code, result, _ = self.boot("", "--model", str(model))
        self.assertEqual(code, 1)
        self.assertIn("large.gguf", result["failures"][0])


if __name__ == "__main__":
    unittest.main()
