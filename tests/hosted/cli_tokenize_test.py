#!/usr/bin/env python3
"""Tests of `lbm tokenize` and `lbm detokenize`: every way in, every form of the answer, every mistake.

    LBM=build/lbm python3 tests/hosted/cli_tokenize_test.py
"""

import json
import math
import os
import tempfile
import unittest

import tiny_hugging_face
import tiny_llama
from lbm_process import gguf, lbm, lbm_json, MODEL, RUNTIME, USAGE

TEXTS = ["", "the", " the the", "a b\tc", "caf\u00e9 \u6771\u4eac", "line\nline", "'s 12345", "</s>"]


class Tokenize(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.folder.cleanup)
        cls.json = cls.write("tokenizer.json", json.dumps(tiny_hugging_face.tokenizer_json()).encode())
        cls.shape = tiny_llama.Shape()
        model = tiny_llama.Model(cls.shape)
        cls.gguf = cls.write("m.gguf", tiny_llama.gguf(model))
        cls.bin = cls.write("any-name", tiny_llama.tokenizer_bin(cls.shape.vocab))

    @classmethod
    def write(cls, name, data):
        path = os.path.join(cls.folder.name, name)
        with open(path, "wb") as file:
            file.write(data)
        return path

    @staticmethod
    def read(path):
        with open(path, "rb") as file:
            return file.read()

    def tokenize(self, *arguments, path=None, **options):
        return lbm("tokenize", "--tokenizer", path or self.json, *arguments, **options)

    def ids(self, text, *arguments, path=None):
        return json.loads(self.tokenize(*arguments, path=path, stdin=text)[0])


class WaysIn(Tokenize):
    def test_every_kind_of_file_and_both_names_of_the_option(self):
        for path in (self.json, self.gguf, self.bin, self.folder.name):
            ids = self.ids("the cat", path=path)
            self.assertEqual(lbm_json("tokenize", "-m", path, stdin="the cat"), ids)
            back = lbm("detokenize", "--tokenizer", path, stdin=json.dumps(ids))[0]
            self.assertEqual(back.decode().strip(), "the cat")

    def test_tokenizer_bin_is_the_tokenizer_of_its_model(self):
        for text in TEXTS:
            self.assertEqual(self.ids(text, "--add-special", path=self.bin), self.ids(text, "--add-special", path=self.gguf), text)

    def test_tokenizer_goes_before_model(self):
        self.assertEqual(lbm_json("tokenize", "-m", self.gguf, "--tokenizer", self.json, stdin="the"), self.ids("the"))

    def test_none_is_a_usage_error_that_says_what_to_give(self):
        for command in ("tokenize", "detokenize"):
            error = lbm(command, stdin="1", code=USAGE)[1]
            self.assertIn("--tokenizer", error)
            self.assertIn("--model", error)

    def test_what_is_no_vocabulary_is_named(self):
        good = self.read(self.bin)
        cases = {"absent": None, "empty": b"", "text": b"not a tokenizer\n", "broken.json": b'{"model": ',
                 "other.json": b'{"a": 1}', "bare.gguf": gguf([("general.architecture", "llama")]),
                 # A tokenizer.bin that ends within a record, and one with a byte too many.
                 "short": good[:-1], "long": good + b"\0"}
        for name, data in cases.items():
            path = os.path.join(self.folder.name, name)
            if data is not None:
                self.write(name, data)
            with self.subTest(name):
                out, error = self.tokenize(path=path, stdin="a", code=MODEL)
                self.assertEqual(out, b"")
                self.assertIn(name, error)

    def test_records_of_tokenizer_bin_are_checked(self):
        good = self.read(self.bin)
        nan = good[:4] + b"\0\0\xc0\x7f" + good[8:]
        error = self.tokenize(path=self.write("nan", nan), stdin="a", code=MODEL)[1]
        self.assertIn("not a finite number", error)
        self.assertIn("[numeric]", error)


class Answers(Tokenize):
    def test_ids_come_back_as_the_same_bytes(self):
        for text in TEXTS:
            ids = self.ids(text)
            self.assertEqual(lbm("detokenize", "--tokenizer", self.json, stdin=json.dumps(ids))[0].decode(), text)
            self.assertEqual(self.tokenize("--decode", stdin=json.dumps(ids))[0].decode(), text)

    def test_bytes_that_are_not_utf_8(self):
        raw = b"a\xff\xc3(\x00b"
        self.assertEqual(self.tokenize("--decode", stdin=self.tokenize(stdin=raw)[0])[0], raw)

    def test_pieces(self):
        answer = json.loads(self.tokenize("--json", stdin=" the the")[0])
        self.assertEqual(answer["ids"], self.ids(" the the"))
        self.assertEqual("".join(answer["pieces"]), " the the")
        self.assertEqual(len(answer["pieces"]), len(answer["ids"]))
        self.assertEqual(list(answer), ["ids", "pieces"])

    def test_special_tokens_only_where_asked_for(self):
        special = json.loads(self.tokenize("--json", "--parse-special", stdin="</s>")[0])
        self.assertEqual(special["pieces"], ["</s>"])
        plain = self.ids("</s>")
        self.assertNotIn(special["ids"][0], plain)
        self.assertGreater(len(plain), 1)
        framed = self.ids("the", "--add-special", path=self.gguf)
        self.assertEqual(framed[1:], self.ids("the", path=self.gguf))

    def test_a_text_of_lines_is_one_text(self):
        self.assertEqual(len(self.tokenize(stdin="one\ntwo\n")[0].splitlines()), 1)


class Batches(Tokenize):
    def test_a_line_each_from_files_and_stdin(self):
        one = self.write("one.txt", b"the\n\n  \na b")
        two = self.write("two.txt", b"c\n")
        lines = [json.loads(line) for line in self.tokenize("--batch", one, "--batch", "-", "--batch", two, stdin="x\n")[0].splitlines()]
        self.assertEqual(lines, [self.ids(text) for text in ("the", "", "  ", "a b", "x", "c")])

    def test_jsonl_takes_any_string(self):
        texts = ["", "a\nb", "\u6771", "the"]
        given = "".join(json.dumps(text) + "\n" for text in texts)
        lines = [json.loads(line) for line in self.tokenize("--jsonl", stdin=given)[0].splitlines()]
        self.assertEqual(lines, [self.ids(text) for text in texts])
        pieces = [json.loads(line)["pieces"] for line in self.tokenize("--jsonl", "--json", stdin=given)[0].splitlines()]
        self.assertEqual(pieces[0], [])
        self.assertEqual("".join(pieces[1]), "a\nb")

    def test_decode_line_by_line(self):
        ids = [self.ids(text) for text in ("the", " a", "b\nc")]
        path = self.write("ids.jsonl", "".join(json.dumps(line) + "\n" for line in ids).encode())
        self.assertEqual(self.tokenize("--decode", "--batch", path)[0], b"the\n a\nb\nc\n")
        strings = self.tokenize("--decode", "--jsonl", "--batch", path)[0].splitlines()
        self.assertEqual([json.loads(line) for line in strings], ["the", " a", "b\nc"])
        given = "\n".join(" ".join(map(str, line)) for line in ids) + "\n" + ",".join(map(str, ids[0])) + "\n"
        self.assertEqual(lbm("detokenize", "--tokenizer", self.json, stdin=given)[0], b"the ab\ncthe")
        self.assertEqual([json.loads(line) for line in lbm("detokenize", "--tokenizer", self.json, "--jsonl", stdin=given)[0].splitlines()],
                         ["the", " a", "b\nc", "the"])

    def test_round_trip_of_a_batch(self):
        path = self.write("lines.txt", "\n".join(text.replace("\n", " ") for text in TEXTS if text.strip()).encode())
        encoded = self.write("encoded.jsonl", self.tokenize("--batch", path)[0])
        self.assertEqual(self.tokenize("--decode", "--batch", encoded)[0].rstrip(b"\n"), self.read(path))

    def test_mistakes_name_the_line(self):
        cases = [("--jsonl", '"a"\nnot json\n', USAGE, "standard input, line 2"), ("--jsonl", "[1]\n", USAGE, "line 1"),
                 ("--decode", "[1]\n[2, x]\n", USAGE, "line 2"), ("--decode", "1 2\n1 -2\n", USAGE, "line 2"),
                 ("--decode", '["1"]\n', USAGE, "line 1"), ("--decode", "1\n999999\n", USAGE, "line 2"),
                 ("--decode", "4294967295\n", USAGE, "line 1: token id 4294967295"),
                 ("--decode", "4294967296\n", USAGE, "line 1: not a token id: 4294967296"),
                 ("--decode", "[18446744073709551616]\n", USAGE, "line 1: not a token id"),
                 ("--decode", "[1, 1.5]\n", USAGE, "line 1: not a token id: 1.5"),
                 ("--decode", "[1, -1]\n", USAGE, "line 1: not a token id: -1"),
                 ("--decode", "[[1]]\n", USAGE, "line 1: not a token id: [1]")]
        for option, given, code, expected in cases:
            with self.subTest(given):
                self.assertIn(expected, self.tokenize(option, stdin=given, code=code)[1])
        beyond = self.tokenize("--decode", stdin="999999", code=USAGE)[1]
        self.assertIn("999999", beyond)
        n_vocab = 2 + 256 + 3  # special tokens, bytes, merges
        self.assertIn(str(n_vocab - 1), beyond)
        missing = os.path.join(self.folder.name, "no-such-file")
        error = self.tokenize("--batch", missing, code=RUNTIME)[1]
        self.assertIn("no-such-file", error)
        self.assertIn("can not be read", error)

    def test_options_that_exclude_each_other(self):
        self.tokenize("--metrics", "--decode", stdin="1", code=USAGE)
        self.tokenize("--no-such-option", stdin="1", code=USAGE)


class Metrics(Tokenize):
    def report(self, text, *arguments, path=None):
        return json.loads(self.tokenize("--metrics", "--json", *arguments, path=path, stdin=text)[0])

    def test_numbers_by_their_definitions(self):
        text = "the cat the\n\ncaf\u00e9  the"
        ids = self.ids(text)
        report = self.report(text)
        n = len(ids)
        self.assertEqual(report["texts"], 1)
        self.assertEqual(report["characters"], len(text))
        self.assertEqual(report["bytes"], len(text.encode()))
        self.assertEqual(report["words"], len(text.split()))
        self.assertEqual(report["tokens"], n)
        self.assertAlmostEqual(report["fertility"], n / len(text.split()))
        self.assertAlmostEqual(report["bytes_per_token"], len(text.encode()) / n)
        self.assertAlmostEqual(report["characters_per_token"], len(text) / n)
        self.assertEqual(report["distinct_tokens"], len(set(ids)))
        self.assertEqual(report["vocabulary_used"], len(set(ids)) / report["vocabulary"])
        shares = [ids.count(i) / n for i in set(ids)]
        self.assertAlmostEqual(report["entropy_bits"], -sum(p * math.log2(p) for p in shares))
        # Two tokens are single bytes of the letter with an accent.
        self.assertAlmostEqual(report["coverage"], (n - 2) / n)

    def test_entropy_of_equal_shares(self):
        self.assertEqual(self.report("aaaa")["entropy_bits"], 0)
        self.assertAlmostEqual(self.report("acgt")["entropy_bits"], 2)

    def test_coverage_ends(self):
        self.assertEqual(self.report("acgt")["coverage"], 1)
        self.assertEqual(self.report("\u6771")["coverage"], 0)
        # SentencePiece: bytes are the fallback, also of ASCII that no piece spells.
        self.assertLess(self.report("\u6771", path=self.bin)["coverage"], 1)

    def test_nothing_to_divide_by_is_null(self):
        report = self.report("")
        self.assertEqual((report["tokens"], report["words"]), (0, 0))
        for key in ("fertility", "bytes_per_token", "characters_per_token", "coverage", "entropy_bits"):
            self.assertIsNone(report[key], key)
        self.assertIn("fertility             -\n", self.tokenize("--metrics", stdin="")[0].decode())

    def test_a_batch_is_counted_as_a_whole(self):
        lines = ["the cat", "sat"]
        path = self.write("batch.txt", "\n".join(lines).encode())
        report = self.report("", "--batch", path)
        self.assertEqual((report["texts"], report["words"]), (2, 3))
        self.assertEqual(report["tokens"], sum(len(self.ids(line)) for line in lines))

    def test_for_people(self):
        shown = self.tokenize("--metrics", stdin="acgt")[0].decode()
        report = self.report("acgt")
        self.assertEqual([line.split()[0] for line in shown.splitlines()], list(report))
        self.assertIn("entropy_bits          2.0000\n", shown)
        self.assertIn("tokens                4\n", shown)


if __name__ == "__main__":
    unittest.main()
