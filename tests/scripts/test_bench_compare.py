"""bench_compare.py with two stand-ins: small programs that log how they were called and print results of a given speed."""

import contextlib
import io
import json
import sys
import tempfile
import textwrap
import unittest
from pathlib import Path

import scripts_path  # noqa: F401
import bench_compare

# What both stand-ins share: the options of a run, and a line of the log for it.
COMMON = """\
    #!{python}
    import json, sys
    arguments = sys.argv[1:]
    def option(name, default="0"):
        return arguments[arguments.index(name) + 1] if name in arguments else default
    def speed(prefill, decode):
        return prefill if option("-p") != "0" else decode
    open({log!r}, "a").write(json.dumps([{name!r}] + arguments) + "\\n")
"""

# Speaks as llama-bench does: a line before the list, and one row of an earlier test before the last.
PEER = COMMON + """\
    if "--help" in arguments:
        print("  -gp <pp,tg>" + ("\\n  -d, --n-depth <n>" if {knows_depth} else ""))
        sys.exit(0)
    rate = speed(100.0, 20.0)
    print("[some library] loading")
    print(json.dumps([dict(samples_ts=[1.0]), dict(build_commit="abc123", build_number=7, avg_ts=rate,
                                                  samples_ts=[rate * 0.9, rate, rate * 5])]))
"""

LBM = COMMON + """\
    rate = speed(150.0, 40.0)
    print(json.dumps(dict(version="0.1.0 (1234567)", results=[dict(isa="avx512", samples_ts=[rate, rate, rate / 7])])))
"""


class CompareTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.log = Path(self.folder.name) / "log"

    def program(self, name, text, **values):
        path = Path(self.folder.name) / name
        path.write_text(textwrap.dedent(text).format(python=sys.executable, log=str(self.log), name=name, **values))
        path.chmod(0o755)
        return str(path)

    def calls(self):
        return [call for call in map(json.loads, self.log.read_text().splitlines()) if "--help" not in call]

    def compare(self, *arguments, knows_depth=True, peer=PEER, lbm=LBM):
        """(exit code, stdout, stderr) of a comparison of the two stand-ins."""
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = bench_compare.main(["--peer", self.program("peer", peer, knows_depth=knows_depth), "--lbm",
                                       self.program("lbm", lbm), "-m", "some.gguf", *arguments])
        return code, out.getvalue(), err.getvalue()

    def test_ratios_of_medians_in_json(self):
        code, out, err = self.compare("-r", "2", "--json")
        self.assertEqual((code, err), (0, ""))
        result = json.loads(out)
        for key, expected in (("prefill_ratio", 1.5), ("decode_ratio", 2.0)):
            for which in ("min", "median", "max"):
                self.assertAlmostEqual(result[key][which], expected)
            self.assertEqual(len(result[key]["rounds"]), 2)
        self.assertAlmostEqual(result["lbm"]["prefill"]["median"], 150)
        self.assertAlmostEqual(result["peer"]["decode"]["median"], 20)
        self.assertEqual(result["peer"]["decode"]["test"], "tg128")
        self.assertEqual(result["lbm_version"], "0.1.0 (1234567)")
        self.assertEqual(result["peer_version"], "abc123 (7)")
        self.assertGreaterEqual(result["lbm"]["prefill"]["rounds"][0]["foreign"], 0)
        self.assertTrue(result["cpu"])

    def test_both_sides_alternate_and_see_the_same_test(self):
        self.compare("-r", "2", "-t", "3", "-p", "64", "-n", "16", "--peer-flags", "-rtr 1 -fa 1", "--lbm-flags", "--isa avx2")
        calls = self.calls()
        self.assertEqual([call[0] for call in calls], ["lbm", "peer", "lbm", "peer", "peer", "lbm", "peer", "lbm"])
        for call in calls:
            self.assertEqual(call[call.index("-t") + 1], "3")
            self.assertEqual(call[call.index("-m") + 1], "some.gguf")
        self.assertEqual([(c[c.index("-p") + 1], c[c.index("-n") + 1]) for c in calls],
                         [("64", "0")] * 2 + [("0", "16")] * 2 + [("64", "0")] * 2 + [("0", "16")] * 2)
        self.assertEqual(calls[1][-4:], ["-rtr", "1", "-fa", "1"])
        self.assertEqual(calls[0][-2:], ["--isa", "avx2"])

    def test_one_test_only(self):
        _, out, _ = self.compare("-r", "1", "-p", "0", "--json")
        result = json.loads(out)
        self.assertIsNone(result["prefill_ratio"])
        self.assertAlmostEqual(result["decode_ratio"]["median"], 2)

    def test_depth_is_passed_on(self):
        self.compare("-r", "1", "-d", "256", "-p", "0", "-n", "8")
        for call in self.calls():
            self.assertEqual(call[call.index("-d") + 1], "256")

    def test_a_peer_without_depth_is_asked_for_decode_after_a_prompt(self):
        code, out, _ = self.compare("-r", "1", "-d", "256", "-p", "64", "-n", "8", "--json", knows_depth=False)
        self.assertEqual(code, 0)
        self.assertIsNone(json.loads(out)["prefill_ratio"])
        peer = next(call for call in self.calls() if call[0] == "peer")
        self.assertEqual(peer[peer.index("-gp") + 1], "256,8")
        code, _, err = self.compare("-r", "1", "-d", "256", "-p", "64", "-n", "0", knows_depth=False)
        self.assertEqual(code, 1)
        self.assertIn("nothing is left", err)

    def test_table_has_every_round(self):
        code, out, _ = self.compare("-r", "3", "-n", "0")
        self.assertEqual(code, 0)
        self.assertEqual(len([line for line in out.splitlines() if " pp512 " in line and "1.50" in line]), 3)

    def test_a_run_that_fails_shows_its_last_words(self):
        for peer, words in ((COMMON + "    sys.stderr.write('noise\\n' * 100 + 'no such file\\n'); sys.exit(3)\n",
                             ("exit code 3", "no such file")),
                            (COMMON + "    import os; os.kill(os.getpid(), 4)\n", ("signal 4",)),
                            (COMMON + "    print('a table instead')\n", ("no results", "a table instead")),
                            (COMMON + "    print(json.dumps([dict(samples_ts=[0.0])]))\n", ("without samples",))):
            code, out, err = self.compare("-r", "1", "--json", peer=peer)
            self.assertEqual((code, out), (1, ""))
            self.assertLess(len(err.splitlines()), 40)
            for word in words:
                self.assertIn(word, err)

    def test_a_peer_that_is_not_there(self):
        err = io.StringIO()
        with contextlib.redirect_stderr(err), contextlib.redirect_stdout(io.StringIO()):
            code = bench_compare.main(["--peer", "/nonexistent/llama-bench", "--lbm", self.program("lbm", LBM), "-m", "x", "-r", "1"])
        self.assertEqual(code, 1)
        self.assertIn("/nonexistent/llama-bench", err.getvalue())

    def test_usage(self):
        for arguments in (["-p", "0", "-n", "0"], ["-t", "0"], ["-r", "0"], ["-d", "-1"]):
            with self.assertRaises(SystemExit) as raised, contextlib.redirect_stderr(io.StringIO()):
                self.compare(*arguments)
            self.assertEqual(raised.exception.code, 2)


class MachineTest(unittest.TestCase):
    def test_busy_time_leaves_out_idle_and_waiting(self):
        rate = bench_compare.os.sysconf("SC_CLK_TCK")
        busy, total = bench_compare.busy_seconds(f"cpu  {rate} {rate} 0 {7 * rate} {2 * rate} 0 0 {rate} 0 0\ncpu0 0 0 0 0\n")
        self.assertEqual((busy, total), (3.0, 12.0))


if __name__ == "__main__":
    unittest.main()
