"""fuzz.py: seeds of two files, what it reads from a fuzzer, and the table."""
import stat
import struct
import tempfile
import unittest
from pathlib import Path

import scripts_path  # noqa: F401
import fuzz

FUZZER = """#!/bin/sh
echo '#2 INITED cov: 10 ft: 12 corp: 1/1b exec/s: 0'
echo '#99 DONE cov: 120 ft: 345 corp: 67/8Kb exec/s: 9'
echo 'stat::number_of_executed_units: 4321'
exit {code}
"""


class Runs(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.root = Path(self.folder.name)
        self.corpus = self.root / "corpus-files"
        self.corpus.mkdir()

    def fuzzer(self, name, code=0):
        path = self.root / name
        path.write_text(FUZZER.format(code=code))
        path.chmod(path.stat().st_mode | stat.S_IEXEC)

    def run_all(self, *more):
        return fuzz.main(["--fuzzers", str(self.root), "--corpus", str(self.corpus), "--seconds", "1", *more])

    def test_numbers_are_those_of_the_end(self):
        self.fuzzer("x_fuzz")
        table = self.root / "table.md"
        table.write_text(f"before\n{fuzz.HEADER}\n{fuzz.RULE}\n| old_fuzz | 1 | 2 | 3 | 4 | 5 | 6 | 0 |\n")
        self.assertEqual(self.run_all("--table", str(table)), 0)
        text = table.read_text()
        self.assertTrue(text.startswith("before\n"))
        self.assertIn("| old_fuzz | 1 | 2 | 3 | 4 | 5 | 6 | 0 |", text)
        row = next(line for line in text.splitlines() if line.startswith("| x_fuzz"))
        self.assertEqual([field.strip() for field in row.split("|")][3], "4,321")
        self.assertEqual([field.strip() for field in row.split("|")][5:9], ["120", "345", "67", "0"])

    def test_a_fuzzer_that_fails_fails_the_run(self):
        self.fuzzer("good_fuzz")
        self.fuzzer("bad_fuzz", code=77)
        self.assertEqual(self.run_all(), 1)

    def test_no_fuzzers_is_a_mistake(self):
        self.assertEqual(self.run_all(), 2)

    def test_models_and_tokenizers_are_put_together(self):
        (self.corpus / "tokenizer.bin").write_bytes(b"common")
        (self.corpus / "B00-a.bin").write_bytes(b"model")
        (self.corpus / "T01-b.bin").write_bytes(b"other")
        (self.corpus / "T01-b.tokenizer.bin").write_bytes(b"own")
        seeds = fuzz.llama2c_seeds(self.corpus)
        self.assertEqual(seeds["B00-a.bin"], struct.pack("<I", 5) + b"modelcommon")
        self.assertEqual(seeds["T01-b.bin"], struct.pack("<I", 5) + b"otherown")
        self.assertEqual(len(seeds), 2)

    def test_parts_are_put_together(self):
        (self.corpus / "m-00001-of-00002.gguf").write_bytes(b"one")
        self.assertEqual(fuzz.split_seeds(self.corpus), {})
        (self.corpus / "m-00002-of-00002.gguf").write_bytes(b"two")
        self.assertEqual(list(fuzz.split_seeds(self.corpus).values()), [struct.pack("<I", 3) + b"onetwo"])


if __name__ == "__main__":
    unittest.main()
