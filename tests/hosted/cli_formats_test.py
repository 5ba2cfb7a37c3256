#!/usr/bin/env python3
"""Tests of the command line with one tiny model in every format: the same weights give the same digest, and the right logits.

    LBM=build/lbm python3 tests/hosted/cli_formats_test.py
"""

import os
import tempfile
import unittest

import tiny_llama
from lbm_process import floats, lbm, lbm_json, MODEL, OK

TOKENS = "1,259,17,299,4,4,42,260"
MERGES = [(97, 98)] + [(260 + i, 97 + i % 26) for i in range(39)]


class Formats(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def write(self, name, data):
        path = os.path.join(self.folder, name)
        with open(path, "wb") as file:
            file.write(data)
        return path

    def digest(self, path, *arguments):
        return lbm_json("digest", "-m", path, "--tokens", TOKENS, "--kv", "f32", "--json", *arguments)["digest"]

    def check_logits(self, model, path, tolerance):
        with tempfile.NamedTemporaryFile(suffix=".f32") as file:
            lbm("logits", "-m", path, "--tokens", TOKENS, "--kv", "f32", "-o", file.name)
            actual = floats(file.name)
        expected = tiny_llama.logits(model, [int(t) for t in TOKENS.split(",")])
        self.assertEqual(len(actual), len(expected))
        self.assertLess(max(abs(a - b) for a, b in zip(actual, expected)), tolerance)

    def slm(self, model, name="m.slm"):
        return self.write(name, tiny_llama.slm(model, tiny_llama.btok(model.shape.vocab, MERGES)))

    def test_f32_in_every_format(self):
        for tied in (False, True):
            model = tiny_llama.Model(tiny_llama.Shape(tied=tied))
            gguf = self.write("m.gguf", tiny_llama.gguf(model))
            self.write("tokenizer.bin", tiny_llama.tokenizer_bin(model.shape.vocab))
            wanted = self.digest(gguf)
            self.check_logits(model, gguf, 1e-4)
            self.assertEqual(self.digest(self.slm(model)), wanted)
            for version in (0, 1):
                path = self.write(f"v{version}.bin", tiny_llama.llama2c(model, version))
                self.assertEqual(self.digest(path), wanted, version)

    def test_content_decides_not_the_name(self):
        model = tiny_llama.Model(tiny_llama.Shape())
        self.write("tokenizer.bin", tiny_llama.tokenizer_bin(model.shape.vocab))
        wanted = self.digest(self.write("really-gguf.bin", tiny_llama.gguf(model)))
        self.assertEqual(self.digest(self.write("really-llama2c.gguf", tiny_llama.llama2c(model, 0))), wanted)
        self.assertEqual(self.digest(self.slm(model, "really-slm.txt")), wanted)

    def test_integers_with_half_scales_are_the_blocks_of_gguf(self):
        model = tiny_llama.Model(tiny_llama.Shape(), bits=8, group=32)
        self.write("tokenizer.bin", tiny_llama.tokenizer_bin(model.shape.vocab))
        wanted = self.digest(self.write("q8.gguf", tiny_llama.gguf(model, as_blocks=True)))
        self.assertEqual(self.digest(self.write("q8.bin", tiny_llama.llama2c(model, 2))), wanted)
        model = tiny_llama.Model(tiny_llama.Shape(), bits=8, group=0)
        wanted = self.digest(self.write("row.gguf", tiny_llama.gguf(model, as_blocks=True)))
        self.assertEqual(self.digest(self.slm(model)), wanted)
        model = tiny_llama.Model(tiny_llama.Shape(), bits=4)
        wanted = self.digest(self.write("q4.gguf", tiny_llama.gguf(model, as_blocks=True)))
        self.assertEqual(self.digest(self.slm(model)), wanted)

    def test_integers_with_other_scales_are_expanded_exactly(self):
        model = tiny_llama.Model(tiny_llama.Shape(), bits=8, group=16, exact_half=False)
        self.write("tokenizer.bin", tiny_llama.tokenizer_bin(model.shape.vocab))
        gguf = self.write("f32.gguf", tiny_llama.gguf(model))
        path = self.write("q8.bin", tiny_llama.llama2c(model, 2))
        self.assertEqual(self.digest(path), self.digest(gguf))
        self.check_logits(model, path, 1e-4)
        for bits, group in ((8, 0), (4, 32)):
            model = tiny_llama.Model(tiny_llama.Shape(), bits=bits, group=group, exact_half=False, quantized_norms=True)
            gguf = self.write("f32.gguf", tiny_llama.gguf(model))
            self.assertEqual(self.digest(self.slm(model)), self.digest(gguf), bits)

    def test_rows_that_are_no_whole_blocks(self):
        shape = tiny_llama.Shape(dim=40, hidden=56, heads=2, kv_heads=1)
        for bits, group in ((8, 0), (4, 32)):
            model = tiny_llama.Model(shape, bits=bits, group=group)
            gguf = self.write("f32.gguf", tiny_llama.gguf(model))
            self.assertEqual(self.digest(self.slm(model)), self.digest(gguf), bits)

    def test_published_sizes_of_slm(self):
        """The five fixtures that were published are of our layout, to the byte."""
        def size(vocab, tied=False, merges=(), **weights):
            shape = tiny_llama.Shape(dim=8, hidden=16, layers=1, heads=1, kv_heads=1, vocab=vocab, tied=tied)
            path = self.write("fixture.slm", tiny_llama.slm(tiny_llama.Model(shape, **weights), tiny_llama.btok(vocab, merges)))
            self.assertTrue(lbm_json("inspect", path, "--json")["runs"])
            return os.path.getsize(path)
        self.assertEqual(size(260), 20352)
        self.assertEqual(size(260, bits=8, group=0, quantized_norms=True), 8832)
        self.assertEqual(size(260, bits=4, quantized_norms=True), 6592)
        self.assertEqual(size(260, tied=True), 11968)
        self.assertEqual(size(262, merges=[(104, 105), (260, 33)]), 20544)

    def test_split_model_opens_by_any_part(self):
        model = tiny_llama.Model(tiny_llama.Shape())
        whole = self.write("m.gguf", tiny_llama.gguf(model))
        wanted = self.digest(whole)
        for n_part in (2, 3, 7):
            parts = tiny_llama.split_gguf(model, "tiny", n_part)
            for name, data in parts.items():
                self.write(name, data)
            hashes = set()
            for name in parts:
                for threads in ("1", "3"):
                    line = lbm_json("digest", "-m", os.path.join(self.folder, name), "--tokens", TOKENS, "--kv", "f32", "--json", "-t",
                                    threads)
                    self.assertEqual(line["digest"], wanted)
                    hashes.add(line["model_sha256"])
            self.assertEqual(len(hashes), 1)

    def test_what_is_wrong_with_parts(self):
        model = tiny_llama.Model(tiny_llama.Shape())
        parts = tiny_llama.split_gguf(model, "tiny", 3)
        names = list(parts)

        def refusal(files, first=0):
            with tempfile.TemporaryDirectory() as folder:
                for name, data in files.items():
                    with open(os.path.join(folder, name), "wb") as file:
                        file.write(data)
                return lbm("digest", "-m", os.path.join(folder, names[first]), "--tokens", "1", code=MODEL)[1]

        self.assertIn(names[1], refusal({names[0]: parts[names[0]], names[2]: parts[names[2]]}))
        self.assertIn("[missing]", refusal({names[0]: parts[names[0]], names[2]: parts[names[2]]}))
        swapped = {names[0]: parts[names[0]], names[1]: parts[names[2]], names[2]: parts[names[1]]}
        self.assertIn("[mismatch]", refusal(swapped))
        self.assertIn("renamed", refusal({names[1]: parts[names[0]]}, 1))
        other = tiny_llama.split_gguf(tiny_llama.Model(tiny_llama.Shape(layers=3)), "tiny", 3)
        self.assertIn("another model", refusal({**parts, names[1]: other[names[1]]}))
        self.assertIn("part 3", refusal({**parts, names[2]: parts[names[2]][:-40]}))

    def test_tokenizer_of_llama2c(self):
        model = tiny_llama.Model(tiny_llama.Shape())
        gguf = self.write("m.gguf", tiny_llama.gguf(model))
        path = self.write("m.bin", tiny_llama.llama2c(model, 0))
        error = lbm("tokenize", "-m", path, stdin="banana", code=MODEL)[1]
        self.assertIn("tokenizer.bin", error)
        self.assertIn("--tokenizer", error)
        own = self.write("elsewhere", tiny_llama.tokenizer_bin(model.shape.vocab))
        self.assertEqual(self.digest(path, "--tokenizer", own), self.digest(gguf))
        text = "banana to a\ncaf\u00e9  ban"
        wanted = lbm("tokenize", "-m", gguf, "--add-special", stdin=text)[0]
        self.assertGreater(len(wanted), 20)
        os.rename(own, os.path.join(self.folder, "tokenizer.bin"))
        self.assertEqual(lbm("tokenize", "-m", path, "--add-special", stdin=text)[0], wanted)
        self.assertEqual(lbm("detokenize", "-m", path, stdin=wanted)[0].decode().replace("<s>", "").strip(), text)
        # A tokenizer with the model's own name goes first.
        self.write("tokenizer.bin", b"x")
        self.write("m.tokenizer.bin", tiny_llama.tokenizer_bin(model.shape.vocab))
        self.assertEqual(lbm("tokenize", "-m", path, "--add-special", stdin=text)[0], wanted)

    def test_tokenizers_of_slm(self):
        model = tiny_llama.Model(tiny_llama.Shape())
        path = self.slm(model)  # ab is 260, aba 261, abab 262
        self.assertEqual(lbm_json("tokenize", "-m", path, "--add-special", stdin="ab aba\u00e9"), [256, 260, 32, 261, 0xC3, 0xA9])
        shape = tiny_llama.Shape(vocab=260)
        model = tiny_llama.Model(shape)
        path = self.write("bytes.slm", tiny_llama.slm(model, tiny_llama.btok(260)))
        text = "any text , as it is .\n\u00e9"
        ids = lbm_json("tokenize", "-m", path, stdin=text)
        self.assertEqual(ids, list(text.encode()))
        self.assertEqual(lbm("detokenize", "-m", path, stdin=str(ids))[0].decode(), text)

    def test_inspect_reads_every_format(self):
        model = tiny_llama.Model(tiny_llama.Shape(), bits=8)
        path = self.write("m.bin", tiny_llama.llama2c(model, 2))
        report = lbm_json("inspect", path, "--json")  # without its tokenizer
        self.assertEqual((report["format"], report["version"], report["runs"]), ("llama2.c", 2, False))
        self.write("tokenizer.bin", tiny_llama.tokenizer_bin(model.shape.vocab))
        report = lbm_json("inspect", path, "--json")
        self.assertTrue(report["runs"], report["problems"])
        self.assertEqual({t["type"] for t in report["types"]}, {"F32", "Q8_0"})
        model = tiny_llama.Model(tiny_llama.Shape())
        report = lbm_json("inspect", self.slm(model), "--json", "--tensors")
        self.assertEqual((report["format"], report["runs"], len(report["tensors"])), ("SLM1", True, 21))
        for name, data in tiny_llama.split_gguf(model, "tiny", 3).items():
            path = self.write(name, data)
        report = lbm_json("inspect", path, "--json")
        self.assertTrue(report["runs"], report["problems"])
        self.assertEqual([part["n_tensor"] for part in report["parts"]], [7, 7, 7])
        self.assertIn(b"tiny-00002-of-00003.gguf", lbm("inspect", path, "--metadata", "--tensors")[0])

    def test_a_broken_file_says_what_it_was(self):
        data = tiny_llama.gguf(tiny_llama.Model(tiny_llama.Shape()))
        path = self.write("cut.gguf", data[:3000])
        out, error = lbm("inspect", path, code=MODEL)
        self.assertEqual(out, b"")
        for words in ("[truncated]", "general.architecture: llama", "n_tensor: 21"):
            self.assertIn(words, error)
        report = lbm_json("inspect", path, "--json", code=MODEL)
        self.assertEqual(report["read"]["header"]["metadata"]["llama.block_count"], 2)
        for data, words in ((b"\x80\x02}q\x00.", "pickle"), (b"PK\x03\x04" + bytes(40), "lbm convert"),
                            (b"\x7fELF\x02\x01", "7f 45 4c 46"), (b"\x1f\x8b\x08\x00", "gzip")):
            self.assertIn(words, lbm("inspect", self.write("x", data), code=MODEL)[1])


if __name__ == "__main__":
    unittest.main()
