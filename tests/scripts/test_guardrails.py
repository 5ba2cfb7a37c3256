"""Tests of scripts/guardrails (M9): the golden log, limits, drift, and what a history may hold."""

import io
import json
import subprocess
import sys
import tempfile
import unittest
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import scripts_path
from golden_log import LINES, golden_log, without
from passes import guardrails, markers
from passes.history import append_row, read_rows
from passes.markers import SerialLog

PROGRAM = scripts_path.ROOT / "scripts" / "guardrails"
# The row's fields and their order are what later passes and their scripts read.
FIELDS = ["ts_utc", "log_path", "model_select_ms", "model_prepare_ms", "oo_confidence", "oo_feedback", "oo_plan",
          "max_model_select_ms", "max_model_prepare_ms", "require_oo_markers", "pass"]


class Guarded(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.log = self.folder / "serial.log"
        self.history = self.folder / "deep" / "history.jsonl"

    def guard(self, text, *flags):
        """Runs the pass over a log with this text; returns (exit code, its JSON)."""
        if text is not None:
            self.log.write_bytes(text.encode("utf-8"))
        result, told = io.StringIO(), io.StringIO()
        with redirect_stdout(result), redirect_stderr(told):
            try:
                code = guardrails.main(["--json", "--log-path", str(self.log), "--history-path", str(self.history), *flags])
            except SystemExit as end:
                code = end.code
        return code, json.loads(result.getvalue()) if result.getvalue() else None

    def put_history(self, *times):
        """Rows with these (select, prepare); a text is written as a line of its own."""
        self.history.parent.mkdir(parents=True, exist_ok=True)
        lines = [each if isinstance(each, str) else
                 json.dumps({"model_select_ms": each[0], "model_prepare_ms": each[1], "pass": True}) for each in times]
        self.history.write_text("\n".join(lines) + "\n", encoding="utf-8")

    def rows(self):
        return [json.loads(line) for line in self.history.read_text(encoding="utf-8").splitlines()]


class ProgramTest(Guarded):
    def test_the_program_says_what_it_found(self):
        self.log.write_bytes(golden_log().encode())
        command = [sys.executable, str(PROGRAM), "--log-path", str(self.log), "--history-path", str(self.history)]
        ran = subprocess.run(command, capture_output=True, text=True, check=False)
        self.assertEqual(ran.returncode, 0, ran.stderr)
        self.assertIn("[M9] model_select_ms=12 (limit 2000)", ran.stdout)
        self.assertIn("[M9][OK] ", ran.stdout)
        ran = subprocess.run([*command, "--max-model-select-ms", "1"], capture_output=True, text=True, check=False)
        self.assertEqual(ran.returncode, 1)
        self.assertIn("[M9][FAIL] model_select_ms=12 is over its limit 1", ran.stdout)


class MarkersTest(Guarded):
    def test_the_golden_log_passes_with_every_marker(self):
        code, verdict = self.guard(golden_log(), "--require-oo-markers")
        self.assertEqual((code, verdict["failures"]), (0, []))
        self.assertEqual(list(verdict["row"]), FIELDS)
        row = verdict["row"]
        self.assertEqual((row["model_select_ms"], row["model_prepare_ms"]), (12, 180))
        self.assertEqual((row["oo_confidence"], row["oo_feedback"], row["oo_plan"]), (True, True, True))
        self.assertEqual((row["max_model_select_ms"], row["max_model_prepare_ms"]), (2000, 12000))
        self.assertIs(row["pass"], True)
        self.assertRegex(row["ts_utc"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{7}Z$")

    def test_every_line_of_the_golden_log_has_a_known_shape(self):
        known = [value for value in vars(markers).values() if isinstance(value, markers.Marker)] + list(markers.POLICY)
        for line in LINES:
            self.assertTrue(any(SerialLog(line).has(marker) for marker in known), line)

    def test_policy_markers_are_asked_for_by_the_flag(self):
        for name in ("confidence", "feedback", "plan"):
            text = without(f"OO {name}:")
            self.assertEqual(self.guard(text)[0], 0, name)
            code, verdict = self.guard(text, "--require-oo-markers")
            self.assertEqual(code, 1, name)
            self.assertIn(name, verdict["failures"][0])
            self.assertIs(verdict["row"]["oo_" + name], False)

    def test_the_row_has_no_policy_markers_when_they_were_not_asked_for(self):
        row = self.guard(golden_log())[1]["row"]
        self.assertEqual((row["oo_confidence"], row["oo_feedback"], row["oo_plan"]), (False, False, False))

    def test_mandatory_markers(self):
        code, verdict = self.guard(without("[obs][startup]"))
        self.assertEqual(code, 1)
        self.assertIsNone(verdict["row"]["model_select_ms"])
        code, verdict = self.guard(without("summary:"))
        self.assertEqual(code, 1)
        self.assertIn("summary", verdict["failures"][0])

    def test_both_numbers_are_needed(self):
        self.assertEqual(self.guard(golden_log().replace(" model_prepare_ms=180", ""))[0], 1)
        self.assertEqual(self.guard(golden_log().replace("model_select_ms=12", "model_select_ms=?"))[0], 1)
        self.assertEqual(self.guard(golden_log().replace("=12 ", f"={'9' * 5000} "))[0], 1)

    def test_markers_begin_at_column_0(self):
        self.assertEqual(self.guard(golden_log().replace("[obs][startup]", "> [obs][startup]"))[0], 1)
        self.assertEqual(self.guard(golden_log().replace("OK: OO plan", "AI: OK: OO plan"), "--require-oo-markers")[0], 1)
        # A line separator inside an answer begins no line.
        forged = without("[obs][startup]") + "AI: \u2028[obs][startup] model_select_ms=1 model_prepare_ms=1 format=gguf\r\n"
        self.assertEqual(self.guard(forged)[0], 1)

    def test_lines_match_in_any_case_and_numbers_only_in_theirs(self):
        self.assertEqual(self.guard(golden_log().replace("  summary: total", "  SUMMARY: Total"))[0], 0)
        self.assertEqual(self.guard(golden_log().replace("OK: OO plan", "ok: oo PLAN"), "--require-oo-markers")[0], 0)
        self.assertEqual(self.guard(golden_log().replace("model_select_ms=", "MODEL_SELECT_MS="))[0], 1)

    def test_the_first_startup_line_counts(self):
        second = "[obs][startup] model_select_ms=9000 model_prepare_ms=1 format=gguf\r\n"
        self.assertEqual(self.guard(golden_log() + second)[0], 0)
        self.assertEqual(self.guard(second + golden_log())[0], 1)

    def test_escape_sequences_and_redrawn_lines_do_not_hide_a_marker(self):
        text = golden_log().replace("[obs][startup]", "\x1b[2J\x1b[1;1H[obs][startup]")
        text = text.replace("  summary", "Loading  3 %\rLoading 99 %\r  summary")
        self.assertEqual(self.guard(text)[0], 0)
        self.assertEqual(self.guard(golden_log().replace("\r\n", "\n"))[0], 0)

    def test_a_missing_log_says_how_to_make_one(self):
        code, verdict = self.guard(None)
        self.assertEqual(code, 1)
        self.assertIn("scripts/reliability --run-qemu", verdict["failures"][0])
        self.assertFalse(self.history.exists())


class LimitsTest(Guarded):
    def test_a_value_at_its_limit_passes_and_one_more_fails(self):
        flags = ("--no-drift-check", "--max-model-select-ms", "12", "--max-model-prepare-ms", "180")
        self.assertEqual(self.guard(golden_log(), *flags)[0], 0)
        for select, prepare, name in ((13, 180, "model_select_ms=13"), (12, 181, "model_prepare_ms=181")):
            code, verdict = self.guard(golden_log(select, prepare), *flags)
            self.assertEqual(code, 1)
            self.assertEqual(len(verdict["failures"]), 1)
            self.assertIn(name, verdict["failures"][0])

    def test_a_limit_of_zero_is_a_limit(self):
        self.assertEqual(self.guard(golden_log(0, 0), "--max-model-select-ms", "0", "--max-model-prepare-ms", "0")[0], 0)
        self.assertEqual(self.guard(golden_log(1, 0), "--max-model-select-ms", "0")[0], 1)

    def test_defaults_are_2000_and_12000(self):
        self.assertEqual(self.guard(golden_log(2000, 12000), "--no-drift-check")[0], 0)
        self.assertEqual(self.guard(golden_log(2001, 12000), "--no-drift-check")[0], 1)
        self.assertEqual(self.guard(golden_log(2000, 12001), "--no-drift-check")[0], 1)

    def test_ranges_of_the_flags(self):
        for flag, low, high in (("--max-model-select-ms", 0, 120000), ("--max-model-prepare-ms", 0, 120000),
                                ("--drift-window", 2, 50), ("--max-select-drift-pct", 1, 1000),
                                ("--max-prepare-drift-pct", 1, 1000)):
            for value in (low - 1, high + 1, "x", "1.5", "1_0", ""):
                self.assertEqual(self.guard(golden_log(), f"{flag}={value}")[0], 2, (flag, value))
            self.assertIn(self.guard(golden_log(), "--no-history-write", f"{flag}={high}")[0], (0, 1))
        self.assertEqual(self.guard(golden_log(), "--unknown")[0], 2)


class DriftTest(Guarded):
    def test_the_first_run_has_no_drift(self):
        code, verdict = self.guard(golden_log())
        self.assertEqual(code, 0)
        self.assertEqual([drift["pct"] for drift in verdict["drift"]], [None, None])

    def test_a_drift_at_its_limit_passes_and_one_more_fails(self):
        self.put_history((10, 100))
        self.assertEqual(self.guard(golden_log(35, 350), "--no-history-write")[0], 0)  # + 250 %
        code, verdict = self.guard(golden_log(36, 350), "--no-history-write")
        self.assertEqual(code, 1)
        self.assertIn("model_select_ms=36", verdict["failures"][0])
        self.assertEqual(self.guard(golden_log(35, 351), "--no-history-write")[0], 1)
        # The same with a mean that no binary fraction is: 3 rows, mean 100/3; 100 is 200 % more, exactly.
        self.put_history((33, 1), (33, 1), (34, 1))
        flags = ("--no-history-write", "--max-select-drift-pct", "200")
        self.assertEqual(self.guard(golden_log(100, 1), *flags)[0], 0)
        self.assertEqual(self.guard(golden_log(101, 1), *flags)[0], 1)

    def test_failing_runs_are_part_of_the_mean(self):
        self.put_history((10, 100))
        self.assertEqual(self.guard(golden_log(100, 100))[0], 1)   # drifts, and is appended all the same
        self.assertEqual([row.get("pass") for row in self.rows()], [True, False])
        self.assertEqual(self.guard(golden_log(100, 100))[0], 0)   # mean 55 now

    def test_the_window_takes_the_newest_rows(self):
        self.put_history((1000, 1), (1000, 1), (10, 1), (10, 1))
        code, verdict = self.guard(golden_log(36, 1), "--drift-window", "2", "--no-history-write")
        self.assertEqual((code, verdict["drift"][0]["mean"]), (1, 10))
        code, verdict = self.guard(golden_log(36, 1), "--drift-window", "4", "--no-history-write")
        self.assertEqual((code, verdict["drift"][0]["rows"]), (0, 4))

    def test_fewer_rows_than_the_window_are_enough(self):
        self.put_history((10, 100))
        code, verdict = self.guard(golden_log(36, 100), "--drift-window", "50")
        self.assertEqual((code, verdict["drift"][0]["rows"]), (1, 1))

    def test_a_mean_of_zero_is_no_baseline(self):
        self.put_history((0, 0), (0, 0))
        self.assertEqual(self.guard(golden_log(2000, 12000))[0], 0)

    def test_faster_is_no_drift(self):
        self.put_history((2000, 12000))
        self.assertEqual(self.guard(golden_log(0, 0), "--max-select-drift-pct", "1")[0], 0)

    def test_drift_alone_can_be_left_out(self):
        self.put_history((1, 1))
        self.assertEqual(self.guard(golden_log(1000, 1000), "--no-drift-check", "--no-history-write")[0], 0)


class HistoryTest(Guarded):
    def test_the_row_is_there_before_the_failure(self):
        self.assertEqual(self.guard(golden_log(), "--max-model-select-ms", "1")[0], 1)
        rows = self.rows()
        self.assertEqual(list(rows[0]), FIELDS)
        self.assertEqual((rows[0]["pass"], rows[0]["model_select_ms"], rows[0]["max_model_select_ms"]), (False, 12, 1))

    def test_one_compact_object_a_line(self):
        self.guard(golden_log())
        self.guard(golden_log())
        text = self.history.read_text(encoding="utf-8")
        self.assertEqual(text.count("\n"), 2)
        self.assertNotIn(": ", text)

    def test_nothing_is_written_when_asked(self):
        self.assertEqual(self.guard(golden_log(), "--no-history-write")[0], 0)
        self.assertFalse(self.history.exists())

    def test_junk_lines_are_ignored(self):
        deep = "[" * 100_000
        self.put_history("", "not json", "[1, 2]", "null", '{"model_select_ms": "12"}', '{"model_select_ms": true}', "{\"a\":", deep,
                         (10, 100), '{"model_select_ms": NaN, "model_prepare_ms": 100}')
        code, verdict = self.guard(golden_log(36, 100), "--no-history-write")
        self.assertEqual(code, 1)
        self.assertEqual((verdict["drift"][0]["rows"], verdict["drift"][0]["mean"]), (1, 10))

    def test_rows_without_times_are_no_baseline(self):
        self.guard(without("[obs][startup]"))
        code, verdict = self.guard(golden_log(2000, 12000))
        self.assertEqual((code, verdict["drift"][0]["rows"]), (0, 0))

    def test_a_line_that_was_cut_off_spoils_no_other(self):
        self.history.parent.mkdir()
        self.history.write_bytes(b'{"model_select_ms":10,"model_prep')
        append_row(self.history, {"a": 1})
        append_row(self.history, {"b": 2})
        self.assertEqual(read_rows(self.history), [{"a": 1}, {"b": 2}])

    def test_a_history_that_can_not_be_written_fails(self):
        self.history.parent.write_text("a file where a folder is needed")
        code, verdict = self.guard(golden_log())
        self.assertEqual(code, 1)
        self.assertIn("--history-path", " ".join(verdict["failures"]))


if __name__ == "__main__":
    unittest.main()
