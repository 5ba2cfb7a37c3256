#!/usr/bin/env python3
"""Tests of the command line without evaluating a model: its shapes, streams and exit codes, and the chat on a terminal.

    LBM=build/lbm python3 tests/hosted/cli_test.py
"""

import json
import os
import pty
import select
import subprocess
import tempfile
import time
import unittest

from lbm_process import (default_model, ENVIRONMENT, gguf, golden, LBM, lbm, lbm_json, MODEL, OK, RUNTIME, USAGE)


class Usage(unittest.TestCase):
    """Help, usage errors, and what goes to which stream."""

    def test_help_starts_with_examples(self):
        out, err = lbm("--help")
        self.assertEqual(err, "")
        self.assertLess(out.index(b"Examples:"), out.index(b"Usage:"))
        for command in ("chat run inspect tokenize detokenize template logits digest diff perplexity dequantize shards manifest bench "
                        "version").split():
            self.assertIn(("\n  " + command + " ").encode(), out)
            text, _ = lbm(command, "--help")
            self.assertLess(text.index(b"Examples:"), text.index(b"Usage:"), command)
            self.assertIn(b"lbm " + command.encode(), text)

    def test_usage_errors_are_2_and_leave_stdout_empty(self):
        for arguments in ([], ["nosuch"], ["run"], ["run", "-m", "x", "--nosuch"], ["run", "-m", "x", "--temp", "warm"],
                          ["logits", "-m", "x", "--tokens", "1,x", "-o", "-"], ["logits", "-m", "x", "-o", "-"],
                          ["digest", "-m", "x", "--tokens", ""], ["run", "-m", "x", "-p", "a", "--chat", "--raw"],
                          ["run", "-m", "x", "-p", "a", "-b", "0"], ["run", "-m", "x", "-p", "a", "-n", "0"], ["run", "-m", "x", "-p", "a", "--kv", "q9"],
                          ["dequantize", "--type", "Q9_9", "-i", "x", "-o", "y"], ["template", "--jsonl"],
                          ["chat", "-m", "x", "--temp", "warm"]):
            out, err = lbm(*arguments, code=USAGE)
            self.assertEqual(out, b"", arguments)
            self.assertNotEqual(err, "", arguments)

    def test_unknown_isa_names_the_known_ones(self):
        _, err = lbm("digest", "-m", "x", "--tokens", "1", "--isa", "z80", code=USAGE)
        self.assertIn("scalar", err)

    def test_version(self):
        out, _ = lbm("--version")
        self.assertRegex(out, rb"^lbm \d+\.\d+\.\d+")
        build = lbm_json("version", "--json")
        self.assertIn("scalar", build["isa"])
        self.assertIn("Q4_1", build["weight_types"])


class BadFiles(unittest.TestCase):
    """Files that are no models: exit code 3, the file and the reason named, nothing on stdout."""

    def check(self, content, *words, command=("inspect",)):
        with tempfile.NamedTemporaryFile(suffix=".gguf") as file:
            file.write(content)
            file.flush()
            arguments = [*command, file.name] if command == ("inspect",) else [*command, "-m", file.name]
            out, err = lbm(*arguments, code=MODEL)
            self.assertEqual(out, b"")
            self.assertIn(file.name, err)
            self.assertNotIn("\x1b", err)
            for word in words:
                self.assertIn(word, err)

    def test_broken_containers(self):
        whole = gguf([("general.architecture", "llama"), ("llama.block_count", 2)])
        self.check(b"", "[")
        self.check(b"GGUF", "[truncated]")
        self.check(b"\x7fELF" + b"\0" * 100, "[bad_magic]")
        self.check(gguf(version=99), "[bad_version]")
        self.check(whole[:40], "[truncated]")
        for command in (("tokenize",), ("digest", "--tokens", "1"), ("run", "-p", "hi"), ("perplexity", "-f", __file__)):
            self.check(whole[:40], "[truncated]", command=command)

    def test_hostile_names_do_not_reach_the_terminal(self):
        self.check(gguf([("general.\x1b[31marchitecture\x07", "llama")] * 2), "[")

    def test_missing_file(self):
        for arguments in (["inspect", "/nosuch/a.gguf"], ["run", "-m", "/nosuch/a.gguf", "-p", "x"],
                          ["chat", "-m", "/nosuch/a.gguf"], ["tokenize", "-m", "/nosuch/a.gguf"]):
            _, err = lbm(*arguments, code=MODEL)
            self.assertIn("/nosuch/a.gguf", err)

    def test_sound_but_unsupported_is_reported_not_refused(self):
        with tempfile.NamedTemporaryFile(suffix=".gguf") as file:
            file.write(gguf([("general.architecture", "mamba9"), ("general.name", "Odd \x1b[2J")]))
            file.flush()
            report = lbm_json("inspect", file.name, "--json")
            self.assertEqual(report["architecture"], "mamba9")
            self.assertFalse(report["runs"])
            self.assertTrue(any("mamba9" in problem for problem in report["problems"]), report["problems"])
            text, _ = lbm("inspect", file.name)
            self.assertNotIn(b"\x1b", text)
            lbm("run", "-m", file.name, "-p", "x", code=MODEL)


class Tokenizers(unittest.TestCase):
    """tokenize and detokenize against the reference ids."""

    def check(self, vocabulary, rows_file):
        with open(golden("tokenizers", rows_file), encoding="utf-8") as file:
            rows = [json.loads(line) for line in file]
        rows = [row for row in rows if row["text"] is not None]
        stdin = "".join(json.dumps(row["text"], ensure_ascii=False) + "\n" for row in rows)
        for key, flags in (("ids", []), ("ids_parse_special", ["--parse-special"]),
                           ("ids_add_special_parse_special", ["--add-special", "--parse-special"])):
            out, _ = lbm("tokenize", "-m", vocabulary, "--jsonl", *flags, stdin=stdin)
            answers = [json.loads(line) for line in out.splitlines()]
            self.assertEqual(len(answers), len(rows))
            for row, ids in zip(rows, answers):
                self.assertEqual(ids, row[key], (rows_file, row["n"], key, row["text"]))
        out, _ = lbm("detokenize", "-m", vocabulary, "--jsonl",
                     stdin="".join(json.dumps(row["ids"]) + "\n" for row in rows))
        for row, line in zip(rows, out.splitlines()):
            expected = row.get("detok", row["text"])
            self.assertEqual(json.loads(line), expected, (rows_file, row["n"]))

    def test_smollm2(self):
        self.check(default_model(), "smollm2.jsonl")

    def test_gpt2(self):
        self.check(golden("tokenizers", "ggml-vocab-gpt-2.gguf"), "gpt-2.jsonl")

    def test_llama_spm(self):
        self.check(golden("tokenizers", "ggml-vocab-llama-spm.gguf"), "llama-spm.jsonl")

    def test_whole_stdin_is_one_text(self):
        vocabulary = golden("tokenizers", "ggml-vocab-gpt-2.gguf")
        text = "Hello world\nagain\n"
        out, err = lbm("tokenize", "-m", vocabulary, stdin=text)
        self.assertEqual(out.count(b"\n"), 1)
        self.assertEqual(err, "")
        ids = json.loads(out)
        self.assertEqual(ids[:2], [15496, 995])
        self.assertEqual(lbm("detokenize", "-m", vocabulary, stdin=json.dumps(ids))[0], text.encode())

    def test_lines_are_answered_as_they_come(self):
        process = subprocess.Popen([LBM, "tokenize", "-m", golden("tokenizers", "ggml-vocab-gpt-2.gguf"), "--jsonl"],
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=ENVIRONMENT)
        try:
            for _ in range(3):
                process.stdin.write(b'"Hello world"\n')
                process.stdin.flush()
                self.assertTrue(select.select([process.stdout], [], [], 60)[0], "no answer to a line")
                self.assertEqual(json.loads(process.stdout.readline()), [15496, 995])
            process.stdin.close()
            self.assertEqual(process.wait(timeout=60), OK)
        finally:
            process.kill()
            process.stdout.close()
            process.wait()

    def test_bad_input_is_named_by_its_line(self):
        vocabulary = golden("tokenizers", "ggml-vocab-gpt-2.gguf")
        _, err = lbm("tokenize", "-m", vocabulary, "--jsonl", stdin='"a"\n[1]\n', code=USAGE)
        self.assertIn("line 2", err)
        _, err = lbm("detokenize", "-m", vocabulary, stdin="[50257999]", code=USAGE)
        self.assertIn("50257999", err)

    def test_vocabulary_without_weights(self):
        vocabulary = golden("tokenizers", "ggml-vocab-gpt-2.gguf")
        report = lbm_json("inspect", vocabulary, "--json")
        self.assertEqual(report["n_tensor"], 0)
        self.assertFalse(report["runs"])
        self.assertEqual(report["tokenizer"]["n_vocab"], 50257)
        for command in (["run", "-p", "x"], ["chat"], ["digest", "--tokens", "1"]):
            _, err = lbm(*command, "-m", vocabulary, code=MODEL)
            self.assertIn(vocabulary, err)


class Templates(unittest.TestCase):
    def test_golden_cases(self):
        with open(golden("templates", "cases.jsonl"), encoding="utf-8") as file:
            cases = [json.loads(line) for line in file]
        keys = ("messages", "add_generation_prompt", "bos_token", "eos_token", "extra_context")
        for name in sorted({case["template_file"] for case in cases}):
            group = [case for case in cases if case["template_file"] == name]
            stdin = "".join(json.dumps({**{k: case[k] for k in keys}, "now": "2025-06-15T12:34:56"}) + "\n"
                            for case in group)
            out, _ = lbm("template", "--template", golden("templates", name), "--jsonl", stdin=stdin)
            answers = [json.loads(line) for line in out.splitlines()]
            self.assertEqual(len(answers), len(group))
            for case, answer in zip(group, answers):
                if case["expected"] is None:
                    self.assertIn("error", answer, (name, case["conversation"]))
                    if case.get("error_class") == "TemplateError":
                        self.assertEqual(answer["error"], case["expected_error"])
                else:
                    self.assertEqual(answer, case["expected"], (name, case["conversation"], case["extra_context"]))

    def test_bad_lines_are_answered_in_place(self):
        with tempfile.NamedTemporaryFile(suffix=".jinja") as file:
            file.write(b"{{ messages[0].content }}{{ bos_token is defined }}")
            file.flush()
            deep = "[" * 500 + "]" * 500
            stdin = ('nonsense\n{"messages":[{"content":"a"}],"bos_token":null}\n{}\n'
                     '{"messages":[{"content":"b"}],"bos_token":""}\n{"messages":' + deep + "}\n")
            out, _ = lbm("template", "--template", file.name, "--jsonl", stdin=stdin)
            answers = [json.loads(line) for line in out.splitlines()]
            self.assertEqual([answers[1], answers[3]], ["aFalse", "bTrue"])
            for index in (0, 2, 4):
                self.assertIn("error", answers[index])

    def test_template_that_does_not_parse(self):
        with tempfile.NamedTemporaryFile(suffix=".jinja") as file:
            file.write(b"{% if %}")
            file.flush()
            _, err = lbm("template", "--template", file.name, "--jsonl", code=MODEL)
            self.assertIn(file.name, err)


class Dequantize(unittest.TestCase):
    def test_golden_blocks(self):
        with open(golden("quants", "index.json"), encoding="utf-8") as file:
            types = json.load(file)["types"]
        known = lbm_json("version", "--json")["weight_types"]
        checked = 0
        with tempfile.TemporaryDirectory() as folder:
            for entry in types:
                if entry["type"] not in known:
                    continue
                output = os.path.join(folder, "out.f32")
                lbm("dequantize", "--type", entry["type"].lower(), "-i", golden("quants", entry["bin"]), "-o", output)
                with open(output, "rb") as ours, open(golden("quants", entry["f32"]), "rb") as theirs:
                    self.assertEqual(ours.read(), theirs.read(), entry["type"])
                checked += 1
        self.assertGreaterEqual(checked, 7)

    def test_partial_block_is_refused(self):
        _, err = lbm("dequantize", "--type", "Q4_1", "-i", "-", "-o", "-", stdin=b"x" * 21, code=USAGE)
        self.assertIn("20 bytes", err)

    def test_unwritable_output(self):
        lbm("dequantize", "--type", "F32", "-i", "-", "-o", "/nosuch/x", stdin=b"abcd", code=RUNTIME)


class Chat(unittest.TestCase):
    """The REPL behind a pipe and on a terminal."""

    @staticmethod
    def any_model():
        try:
            return default_model()
        except unittest.SkipTest:
            return golden("models", "llama-mha.gguf")

    def test_piped_conversation(self):
        out, _ = lbm("chat", "-m", self.any_model(), "--temp", 0, "-n", 8, "-c", 256, stdin="hello\n/stats\n/exit\n")
        self.assertNotIn(b"\x1b", out)
        self.assertNotIn(b"\r", out)
        self.assertEqual(out.count(b"Loading "), 1)
        self.assertIn(b"\nYou: hello\n", out)
        self.assertIn(b"\nAI: ", out)
        self.assertIn(b"\n[stats] ", out)

    def test_digest_of_chat_is_that_of_run(self):
        model = self.any_model()
        out, _ = lbm("chat", "-m", model, "--temp", 0, "-n", 8, "-c", 256, "--digest", stdin="hello\n")
        report = lbm_json("run", "-m", model, "--chat", "--temp", 0, "-n", 8, "-c", 256, "--json", "-p", "hello")
        self.assertIn(b"\n[digest] " + report["digest"].encode() + b"\n", out)

    def test_end_of_input_ends_the_chat(self):
        lbm("chat", "-m", self.any_model(), stdin="")

    def test_terminal_is_given_back(self):
        """Ctrl-C stops an answer and keeps the session; /exit leaves the terminal as it was."""
        import termios
        model = self.any_model()
        pid, terminal = pty.fork()
        if pid == 0:
            os.execve(LBM, [LBM, "chat", "-m", model, "--temp", "0"], {**ENVIRONMENT, "TERM": "xterm"})
        before = termios.tcgetattr(terminal)
        seen = b""

        def read_until(done, timeout_s):
            nonlocal seen
            end = time.monotonic() + timeout_s
            while time.monotonic() < end and not done():
                if not select.select([terminal], [], [], 0.2)[0]:
                    continue
                try:
                    chunk = os.read(terminal, 65536)
                except OSError:
                    return True
                if not chunk:
                    return True
                seen += chunk
            return done()

        def idle():
            return not select.select([terminal], [], [], 1.5)[0]

        read_until(lambda: seen and idle(), 60)
        os.write(terminal, b"Count from one to one thousand in words.\r")
        start = len(seen)
        read_until(lambda: len(seen) > start + 120, 60)
        os.write(terminal, b"\x03")
        read_until(idle, 30)
        os.write(terminal, b"/exit\r")
        read_until(lambda: False, 20)
        _, status = os.waitpid(pid, 0)
        self.assertEqual(os.waitstatus_to_exitcode(status), OK, seen[-500:])
        self.assertEqual(termios.tcgetattr(terminal)[3], before[3])
        os.close(terminal)

    def test_esc_keeps_the_answer_so_far_and_what_was_typed_meanwhile(self):
        model = self.any_model()
        pid, terminal = pty.fork()
        if pid == 0:
            os.execve(LBM, [LBM, "chat", "-m", model, "--temp", "0", "-n", "0"], {**ENVIRONMENT, "TERM": "xterm"})
        seen = b""

        def read_until(text, start=0, timeout_s=60):
            nonlocal seen
            end = time.monotonic() + timeout_s
            while text not in seen[start:] and time.monotonic() < end:
                if select.select([terminal], [], [], 0.2)[0]:
                    seen += os.read(terminal, 65536)
            self.assertIn(text, seen[start:])
            return len(seen)

        read_until(b"You: ")
        os.write(terminal, b"Tell me a long story about a king.\r")
        answered = read_until(b"AI: ")
        while len(seen) < answered + 40 and select.select([terminal], [], [], 10)[0]:  # some of the answer
            seen += os.read(terminal, 65536)
        os.write(terminal, b"/show mess")
        time.sleep(0.1)
        os.write(terminal, b"\x1b")
        while b"(stopped)" not in seen and b"[stats]" not in seen and select.select([terminal], [], [], 10)[0]:
            seen += os.read(terminal, 65536)
        if b"(stopped)" not in seen:
            os.write(terminal, b"\x15/exit\r")
            os.waitpid(pid, 0)
            os.close(terminal)
            self.skipTest("the model's answer was too short to be stopped")
        stopped = len(seen)
        os.write(terminal, b"ages\r")
        read_until(b"1. You: Tell me a long", stopped - 200)
        read_until(b" (stopped)\r\n", stopped)
        os.write(terminal, b"/exit\r")
        _, status = os.waitpid(pid, 0)
        self.assertEqual(os.waitstatus_to_exitcode(status), OK, seen[-500:])
        os.close(terminal)


if __name__ == "__main__":
    unittest.main(verbosity=2)
