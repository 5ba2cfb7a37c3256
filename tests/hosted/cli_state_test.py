"""lbm chat --state: a conversation survives the end of the process, whatever ended it."""

import os
import re
import signal
import subprocess
import tempfile
import time
import unittest

from lbm_process import ENVIRONMENT, LBM, lbm
import tiny_llama

OPTIONS = ["--temp", "0", "-n", "4"]


class StateTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.state = os.path.join(folder.name, "state")
        self.model = os.path.join(folder.name, "tiny.gguf")
        with open(self.model, "wb") as file:
            file.write(tiny_llama.gguf(tiny_llama.Model(tiny_llama.Shape(context=512), 1)))

    def chat(self, typed):
        return lbm("chat", "-m", self.model, "--state", self.state, *OPTIONS, stdin=typed)[0].decode(errors="replace")

    def test_resumes(self):
        self.chat("Good morning\n/save trip\n/exit\n")
        text = self.chat("/resume\n/sessions\n/exit\n")
        self.assertIn("OK: 2 messages of trip", text)
        self.assertRegex(text, r"(?m)^You: Good morning$")
        self.assertRegex(text, r"(?m)^\*  1  trip: 2 messages")

    def test_context_is_taken_back(self):
        self.chat("A question of some length, so that there is something to keep\n/snap_save\n/exit\n")
        text = self.chat("/snap_load\nAnd on\n/exit\n")
        self.assertRegex(text, r"OK: llmk-snap: \d+ tokens of context, 2 messages")
        (prompt, evaluated) = map(int, re.search(r"prompt=(\d+) evaluated=(\d+)", text).groups())
        self.assertLess(evaluated, prompt / 2)

    def test_journal_as_a_file(self):
        text = self.chat("/log save\n/exit\n")
        path = re.search(r"(?m)^OK: (/.*lbm-journal\.jsonl)$", text)[1]
        with open(path, encoding="utf-8") as file:
            lines = file.read().splitlines()
        self.assertTrue(lines[0].startswith('{"journal":1,'))
        self.assertIn('"e":"start"', lines[1])

    def test_nothing_is_kept_unasked(self):
        home = os.path.dirname(self.state)
        before = set(os.listdir(home))
        subprocess.run([LBM, "chat", "-m", self.model, *OPTIONS], input=b"Hi\n/exit\n", capture_output=True, check=True, timeout=60,
                       env={**ENVIRONMENT, "HOME": home})
        self.assertEqual(set(os.listdir(home)), before)

    def test_killed_at_any_moment(self):
        """What was said to be committed is there after SIGKILL."""
        for attempt in range(6):
            process = subprocess.Popen([LBM, "chat", "-m", self.model, "--state", self.state, *OPTIONS, "--config", self.config()],
                                       stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=ENVIRONMENT)
            process.stdin.write(b"/resume\n" + b"".join(b"Question %d of run %d\n" % (i, attempt) for i in range(40)))
            process.stdin.flush()
            said = b""
            deadline = time.monotonic() + 60
            while said.count(b"[state] committed CHAT") < 2 + attempt and time.monotonic() < deadline:
                said += os.read(process.stdout.fileno(), 4096)
            process.send_signal(signal.SIGKILL)
            said += process.stdout.read()
            process.communicate()
            generation = max(map(int, re.findall(rb"committed CHAT00 generation=(\d+)", said)))
            text = self.chat("/resume\n/exit\n")
            n_message = int(re.search(r"OK: (\d+) messages", text)[1])
            self.assertGreaterEqual(n_message, 2 * generation)

    def config(self):
        path = os.path.join(os.path.dirname(self.state), "repl.cfg")
        with open(path, "w", encoding="ascii") as file:
            file.write("verbose=2\nhistory=0\nlog=0\noverflow=drop_oldest\n")
        return path


if __name__ == "__main__":
    unittest.main()
