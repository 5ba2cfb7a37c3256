"""make_random_model.py: the file it writes is a GGUF with the shape that was asked for, and its weights are normal."""

import contextlib
import io
import statistics
import struct
import tempfile
import unittest
from pathlib import Path

import scripts_path  # noqa: F401
import make_random_model as script

SHAPE = ["--layers", "2", "--width", "64", "--ffn", "96", "--heads", "4", "--kv-heads", "2", "--vocab", "40", "--context", "128"]


def vocabulary_file(n_token=8):
    """A GGUF file that has nothing but a vocabulary."""
    keys = {"general.architecture": (script.STRING, script.text("other")),
            "tokenizer.ggml.model": (script.STRING, script.text("gpt2")),
            "tokenizer.ggml.tokens": (script.ARRAY, (script.STRING, [script.text(f"t{i}") for i in range(n_token)])),
            "tokenizer.ggml.token_type": (script.ARRAY, (5, [struct.pack("<i", 1)] * n_token))}
    return b"GGUF" + struct.pack("<IQQ", 3, 0, len(keys)) + b"".join(script.encode(k, *v) for k, v in keys.items())


class RandomModelTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.vocabulary = Path(self.folder.name) / "vocabulary.gguf"
        self.vocabulary.write_bytes(vocabulary_file())

    def make(self, *more, name="out.gguf"):
        path = Path(self.folder.name) / name
        code = script.main(["--vocabulary", str(self.vocabulary), "--out", str(path), *SHAPE, *more])
        return code, path.read_bytes() if path.exists() else b""

    def tensors(self, data):
        """name -> (dims, type, offset), and where the data begin."""
        reader = script.Reader(data)
        reader.metadata()
        out = {}
        for _ in range(struct.unpack_from("<Q", data, 8)[0]):
            name = reader.take(reader.number("<Q")).decode()
            dims = struct.unpack(f"<{(n := reader.number('<I'))}Q", reader.take(8 * n))
            out[name] = (dims, reader.number("<I"), reader.number("<Q"))
        return out, -(-reader.at // script.ALIGNMENT) * script.ALIGNMENT

    def test_shape_and_size(self):
        code, data = self.make()
        self.assertEqual(code, 0)
        metadata = script.Reader(data).metadata()
        self.assertEqual(metadata["llama.embedding_length"], (script.U32, struct.pack("<I", 64)))
        self.assertEqual(metadata["general.architecture"], (script.STRING, script.text("llama")))
        tokens, kinds = metadata["tokenizer.ggml.tokens"][1][1], metadata["tokenizer.ggml.token_type"][1][1]
        self.assertEqual((len(tokens), len(kinds)), (40, 40))
        self.assertEqual((tokens[7], tokens[8]), (script.text("t7"), script.text("<unused8>")))
        tensors, start = self.tensors(data)
        self.assertEqual(len(tensors), 1 + 2 * 9 + 1)
        self.assertEqual(tensors["blk.1.attn_k.weight"][0], (64, 32))
        self.assertEqual(tensors["blk.0.ffn_down.weight"][0], (96, 64))
        dims, kind, offset = tensors["output_norm.weight"]
        self.assertEqual((dims, kind), ((64,), script.T_F32))
        self.assertEqual(data[start + offset:], struct.pack("<f", 1.0) * 64)

    def test_weights_are_normal_and_finite(self):
        _, data = self.make()
        tensors, start = self.tensors(data)
        for name, sigma in (("token_embd.weight", 0.02), ("blk.0.ffn_down.weight", 0.01)):
            dims, _, offset = tensors[name]
            values = struct.unpack_from(f"<{script.count(dims)}e", data, start + offset)
            self.assertLess(abs(statistics.fmean(values)), sigma / 5)
            self.assertLess(abs(statistics.pstdev(values) / sigma - 1), 0.15)
            self.assertLess(max(map(abs, values)), 5 * sigma)

    def test_a_seed_gives_one_file(self):
        _, first = self.make()
        self.assertEqual(first, self.make(name="again.gguf")[1])
        self.assertNotEqual(first, self.make("--seed", "1", name="other.gguf")[1])

    def test_refusals(self):
        for content, word in ((b"no model", "not a GGUF"), (vocabulary_file()[:-3], "truncated"), (vocabulary_file(50), "--vocab 40")):
            self.vocabulary.write_bytes(content)
            err = io.StringIO()
            with contextlib.redirect_stderr(err):
                code, _ = self.make(name="refused.gguf")
            self.assertEqual(code, 1)
            self.assertFalse((Path(self.folder.name) / "refused.gguf").exists())
            self.assertIn(word, err.getvalue())


if __name__ == "__main__":
    unittest.main()
