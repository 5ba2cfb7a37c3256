#!/usr/bin/env python3
"""Tests of `lbm convert` and `lbm quantize` on tiny generated models.

    LBM=build/lbm python3 tests/hosted/cli_convert_test.py
"""

import array
import json
import os
import struct
import tempfile
import unittest

import tiny_hugging_face as hf
import tiny_llama
from gguf_contents import Gguf
from lbm_process import lbm, lbm_json, MODEL, OK, USAGE

F32, F16, Q4_0, Q8_0 = 0, 1, 2, 8


def numbers(content):
    """Little-endian F32 as floats."""
    out = array.array("f")
    out.frombytes(content)
    return out


class Folder(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def path(self, name):
        return os.path.join(self.folder, name)

    def assert_nothing_written(self, name="out.gguf"):
        self.assertFalse(os.path.exists(self.path(name)))
        self.assertFalse(os.path.exists(self.path(name) + ".partial"))


class Convert(Folder):
    def convert(self, family, *arguments, n_shard=1):
        config, tensors = hf.write_model(self.path("model"), family, n_shard)
        lbm("convert", self.path("model"), self.path("out.gguf"), *arguments)
        return config, tensors, Gguf(self.path("out.gguf"))

    def test_every_family_runs(self):
        for family in hf.FAMILIES:
            with self.subTest(family):
                hf.write_model(self.path(family), family)
                lbm("convert", self.path(family), self.path("out.gguf"))
                report = lbm_json("inspect", self.path("out.gguf"), "--json")
                self.assertTrue(report["runs"], report["problems"])
                digest = lbm_json("digest", "-m", self.path("out.gguf"), "--tokens", "0,17,200,44", "--json")
                self.assertEqual(len(digest["digest"]), 64)

    def test_llama_names_numbers_and_order_of_rows(self):
        config, tensors, out = self.convert("llama")
        meta = out.metadata
        self.assertEqual(meta["general.architecture"], "llama")
        self.assertEqual(meta["general.type"], "model")
        self.assertEqual(meta["general.file_type"], 0)
        self.assertEqual(meta["general.quantization_version"], 2)
        self.assertEqual(meta["general.name"], "model")
        self.assertEqual(meta["llama.block_count"], 2)
        self.assertEqual(meta["llama.attention.head_count_kv"], 2)
        self.assertEqual(meta["llama.rope.dimension_count"], 16)
        self.assertEqual(meta["llama.vocab_size"], hf.N_VOCAB)
        self.assertEqual(meta["tokenizer.ggml.model"], "gpt2")
        self.assertEqual(meta["tokenizer.ggml.bos_token_id"], 0)
        self.assertEqual(len(meta["tokenizer.ggml.tokens"]), hf.N_VOCAB)
        self.assertIn("Ġ the", meta["tokenizer.ggml.merges"])
        self.assertIn("for m in messages", meta["tokenizer.chat_template"])
        self.assertEqual(out.tensors["blk.1.attn_v.weight"],
                         ((64, 32), F32, tensors["model.layers.1.self_attn.v_proj.weight"][1]))
        self.assertEqual(out.tensors["output.weight"][2], tensors["lm_head.weight"][1])
        # Row 2i of a head is its row i, row 2i + 1 its row i + half.
        stored = tensors["model.layers.0.self_attn.k_proj.weight"][1]
        rows = [stored[i * 256:(i + 1) * 256] for i in range(32)]
        order = [head * 16 + i + half for head in range(2) for i in range(8) for half in (0, 8)]
        self.assertEqual(out.tensors["blk.0.attn_k.weight"][2], b"".join(rows[i] for i in order))
        self.assertEqual(config["num_attention_heads"], 4)

    def test_shards_give_the_same_file(self):
        _, _, whole = self.convert("qwen3")
        _, _, parts = self.convert("qwen3", n_shard=3)  # the index decides, the single file is ignored
        self.assertEqual(whole.metadata, parts.metadata)
        self.assertEqual(whole.tensors, parts.tensors)

    def test_gemma_norms_get_one_added(self):
        _, tensors, out = self.convert("gemma2", "--type", "F16")
        stored = numbers(tensors["model.layers.0.post_attention_layernorm.weight"][1])
        dims, kind, content = out.tensors["blk.0.post_attention_norm.weight"]
        self.assertEqual((dims, kind), ((64,), F32))
        self.assertEqual(list(numbers(content)), list(array.array("f", [x + 1 for x in stored])))
        self.assertEqual(out.tensors["token_embd.weight"][1], F16)
        self.assertNotIn("output.weight", out.tensors)

    def test_llama3_factors(self):
        _, _, out = self.convert("llama3")
        factors = numbers(out.tensors["rope_freqs.weight"][2])
        self.assertEqual(factors[0], 1.0)
        self.assertEqual(factors[7], 8.0)
        self.assertEqual(sorted(factors), list(factors))

    def test_long_rope(self):
        _, _, out = self.convert("phi3")
        self.assertEqual(list(numbers(out.tensors["rope_factors_long.weight"][2])), [1 + i / 4 for i in range(8)])
        self.assertEqual(out.metadata["phi3.rope.scaling.original_context_length"], 128)
        self.assertAlmostEqual(out.metadata["phi3.rope.scaling.attn_factor"], (1 + 1 / 7) ** 0.5, places=6)

    def test_quantized_on_the_way_is_quantized_after(self):
        hf.write_model(self.path("model"), "llama")
        lbm("convert", self.path("model"), self.path("direct.gguf"), "--type", "Q4_0")
        lbm("convert", self.path("model"), self.path("f32.gguf"))
        lbm("quantize", self.path("f32.gguf"), self.path("after.gguf"), "Q4_0")
        direct, after = Gguf(self.path("direct.gguf")), Gguf(self.path("after.gguf"))
        self.assertEqual(direct.tensors, after.tensors)
        self.assertEqual(direct.metadata["general.file_type"], 2)

    def test_a_file_comes_back_as_it_was(self):
        model = tiny_llama.Model(tiny_llama.Shape())
        with open(self.path("m.gguf"), "wb") as file:
            file.write(tiny_llama.gguf(model))
        lbm("convert", self.path("m.gguf"), self.path("out.gguf"))
        self.assertEqual(Gguf(self.path("m.gguf")).tensors, Gguf(self.path("out.gguf")).tensors)
        lbm("convert", self.path("m.gguf"), self.path("out.slm"))
        lbm("convert", self.path("out.slm"), self.path("back.gguf"))
        digests = [lbm_json("digest", "-m", self.path(name), "--tokens", "1,5,9", "--json")["digest"]
                   for name in ("m.gguf", "out.slm", "back.gguf")]
        self.assertEqual(len(set(digests)), 1)


class SentencePiece(Folder):
    """tokenizer.model in the place of tokenizer.json."""

    def setUp(self):
        super().setUp()
        hf.write_model(self.path("model"), "llama")
        hf.use_sentencepiece(self.path("model"))

    def write_pieces(self, content):
        with open(self.path("model/tokenizer.model"), "wb") as file:
            file.write(content)

    def convert(self):
        lbm("convert", self.path("model"), self.path("out.gguf"))
        return Gguf(self.path("out.gguf")).metadata

    def test_vocabulary(self):
        meta = self.convert()
        pieces = hf.sentencepiece_pieces()
        self.assertEqual(meta["tokenizer.ggml.model"], "llama")
        self.assertEqual(len(meta["tokenizer.ggml.tokens"]), hf.N_VOCAB)
        self.assertEqual(meta["tokenizer.ggml.tokens"][:len(pieces)], [text for text, _, _ in pieces])
        # Those that tokenizer_config.json names, too, have no score of their own.
        self.assertEqual(meta["tokenizer.ggml.scores"][:len(pieces)], [-1000.0] * 3 + [score for _, score, _ in pieces[3:]])
        kinds = meta["tokenizer.ggml.token_type"]
        # As for llama.cpp, a token that tokenizer_config.json calls special is one, the unknown one as well.
        self.assertEqual(kinds[:4], [hf.CONTROL] * 3 + [hf.BYTE])
        # What a user defined is a piece like others; what tokenizer_config.json adds is found in all text.
        self.assertEqual(kinds[len(pieces) - 1], hf.NORMAL)
        self.assertEqual((meta["tokenizer.ggml.tokens"][280], kinds[280]), ("<|end|>", hf.CONTROL))
        self.assertEqual((meta["tokenizer.ggml.tokens"][281], kinds[281]), (" two words", hf.USER_DEFINED))
        self.assertEqual((meta["tokenizer.ggml.tokens"][287], kinds[287]), ("[PAD287]", 5))
        self.assertEqual([meta[f"tokenizer.ggml.{name}_token_id"] for name in ("unknown", "bos", "eos")], [0, 1, 2])
        self.assertEqual((meta["tokenizer.ggml.add_bos_token"], meta["tokenizer.ggml.add_eos_token"]), (True, False))
        self.assertEqual(meta["tokenizer.chat_template"], "{{ messages }}")

    def test_text_is_cut_by_the_ranks_of_merges(self):
        self.convert()
        names = {text: i for i, (text, _, _) in enumerate(hf.sentencepiece_pieces())}
        cases = {"the": ["\u2581the"], "then": ["\u2581the", "n"], "t": ["\u2581t"], "tin": ["\u2581t", "in"],
                 "the the": ["\u2581the", "\u2581the"], "thé": ["\u2581t", "h", "<0xC3>", "<0xA9>"]}
        for text, pieces in cases.items():
            with self.subTest(text):
                self.assertEqual(lbm_json("tokenize", "-m", self.path("out.gguf"), stdin=text), [names[piece] for piece in pieces])

    def test_a_template_of_its_own_goes_first(self):
        with open(self.path("model/chat_template.jinja"), "w", encoding="utf-8") as file:
            file.write("own")
        self.assertEqual(self.convert()["tokenizer.chat_template"], "own")

    def test_it_runs(self):
        self.convert()
        digest = lbm_json("digest", "-m", self.path("out.gguf"), "--tokens", "1,261,262", "--json")
        self.assertEqual(len(digest["digest"]), 64)

    def test_damage_is_named(self):
        good = hf.sentencepiece_model()
        cases = {"truncated": good[:-1], "bad_value": b"", "bad_type": hf.field(1, 5),
                 "numeric": hf.field(1, hf.field(1, "a") + hf.field(2, float("nan")))}
        for word, content in cases.items():
            with self.subTest(word):
                self.write_pieces(content)
                _, message = lbm("convert", self.path("model"), self.path("out.gguf"), code=MODEL)
                self.assertIn("tokenizer.model", message)
                self.assertIn(f"[{word}]", message)
                self.assert_nothing_written()

    def test_ids_that_are_none(self):
        path = self.path("model/tokenizer_config.json")
        with open(path, encoding="utf-8") as file:
            config = json.load(file)
        for key in ("", "-1", "1.5", "1e3", "12345678901234567890"):
            with self.subTest(key):
                with open(path, "w", encoding="utf-8") as file:
                    json.dump({**config, "added_tokens_decoder": {key: {"content": "x"}}}, file)
                _, message = lbm("convert", self.path("model"), self.path("out.gguf"), code=MODEL)
                self.assertIn("added_tokens_decoder: a key is no id [bad_value]", message)
        with open(path, "w", encoding="utf-8") as file:
            json.dump(config, file)
        with open(self.path("model/added_tokens.json"), "w", encoding="utf-8") as file:
            json.dump({"<x>": -1}, file)
        _, message = lbm("convert", self.path("model"), self.path("out.gguf"), code=MODEL)
        self.assertIn("added_tokens.json: an id is no number [bad_value]", message)


class ConvertRefuses(Folder):
    def refused(self, *words, code=MODEL):
        _, message = lbm("convert", self.path("model"), self.path("out.gguf"), code=code)
        for word in words:
            self.assertIn(word, message)
        self.assert_nothing_written()

    def write_header(self, header, data=b"\0" * 16):
        text = header if isinstance(header, bytes) else json.dumps(header).encode()
        with open(self.path("model/model.safetensors"), "wb") as file:
            file.write(struct.pack("<Q", len(text)) + text + data)

    def setUp(self):
        super().setUp()
        hf.write_model(self.path("model"), "llama")

    def test_headers(self):
        entry = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
        cases = [
            (b"{", "bad_syntax"),
            (b"[]", "bad_syntax"),
            (b'{"a": {"dtype": "F32", "shape": [NaN], "data_offsets": [0, 8]}}', "bad_syntax"),
            (b'{"a": ' * 2000, "bad_syntax"),
            (b'{"a": {"dtype": "F32", "dtype": "F32"}}', "duplicate"),
            ({"a": {**entry, "dtype": "F31"}}, "bad_type"),
            ({"a": {**entry, "shape": [3]}}, "mismatch"),
            ({"a": {**entry, "shape": [2**62, 2**62]}}, "overflow"),
            ({"a": {**entry, "data_offsets": [8, 0]}}, "mismatch"),
            ({"a": {**entry, "data_offsets": [16, 24]}, "b": {**entry, "data_offsets": [0, 8]}}, "truncated"),
            ({"a": entry, "b": {**entry, "data_offsets": [4, 12]}}, "overlap"),
            ({"a": entry}, "bad_offset"),
            ({"a": {**entry, "data_offsets": [8, 16]}}, "bad_offset"),
            ({"": entry}, "bad_name"),
            ({"a": {**entry, "shape": [1] * 9}}, "bad_shape"),
        ]
        for header, word in cases:
            with self.subTest(header[:60] if isinstance(header, bytes) else header):
                self.write_header(header)
                self.refused("model.safetensors", f"[{word}]")
        self.write_header(b'{"a": {"dtype":"F32","shape":[2],"data_offsets":[0,8]},'
                          b'"a": {"dtype":"F32","shape":[2],"data_offsets":[8,16]}}')
        self.refused("[duplicate]")

    def test_header_length(self):
        for length, word in ((2**63, "limit"), (10**6, "truncated")):
            with open(self.path("model/model.safetensors"), "wb") as file:
                file.write(struct.pack("<Q", length) + b"{}")
            self.refused(f"[{word}]")
        with open(self.path("model/model.safetensors"), "wb") as file:
            file.write(b"1234")
        self.refused("[truncated]")

    def test_index_that_leaves_the_folder(self):
        with open(self.path("model/model.safetensors.index.json"), "w", encoding="utf-8") as file:
            json.dump({"weight_map": {"lm_head.weight": "../model.safetensors"}}, file)
        self.refused("[bad_name]")

    def test_config(self):
        path = self.path("model/config.json")
        with open(path, encoding="utf-8") as file:
            config = json.load(file)
        for change, word in (({"architectures": ["NoSuchModel"]}, "NoSuchModel"),
                             ({"num_attention_heads": 0}, "num_attention_heads"),
                             ({"num_attention_heads": -4}, "num_attention_heads"),
                             ({"num_attention_heads": "4"}, "num_attention_heads"),
                             ({"rms_norm_eps": "small"}, "rms_norm_eps"),
                             ({"rope_scaling": {"rope_type": "spiral"}}, "spiral")):
            with self.subTest(change):
                with open(path, "w", encoding="utf-8") as file:
                    json.dump({**config, **change}, file)
                self.refused(word)
        os.remove(path)
        self.refused("config.json", "[missing]")

    def test_not_a_number_is_named(self):
        _, tensors = hf.write_model(self.path("model"), "llama")
        shape, content = tensors["lm_head.weight"]
        bad = content[:4 * 70] + struct.pack("<f", float("nan")) + content[4 * 71:]
        hf.write_safetensors(self.path("model/model.safetensors"),
                             [(name, s, bad if name == "lm_head.weight" else c) for name, (s, c) in tensors.items()])
        _, message = lbm("convert", self.path("model"), self.path("out.gguf"), "--type", "F16", code=MODEL)
        self.assertIn("output.weight: row 1, column 6", message)
        self.assertIn("[numeric]", message)
        self.assertEqual(shape, [hf.N_VOCAB, 64])
        self.assert_nothing_written()

    def test_usage(self):
        lbm("convert", self.path("model"), self.path("out.gguf"), "--type", "Q9", code=USAGE)
        self.assert_nothing_written()


class Quantize(Folder):
    def setUp(self):
        super().setUp()
        hf.write_model(self.path("model"), "llama")
        lbm("convert", self.path("model"), self.path("f32.gguf"))

    def quantize(self, kind, *arguments, code=OK, source="f32.gguf"):
        return lbm("quantize", self.path(source), self.path("out.gguf"), kind, *arguments, code=code)

    def test_types_of_a_mix(self):
        self.quantize("q4_0")
        out = Gguf(self.path("out.gguf"))
        self.assertEqual(out.metadata["general.file_type"], 2)
        kinds = {name: kind for name, (_, kind, _) in out.tensors.items()}
        self.assertEqual(kinds["blk.0.attn_q.weight"], Q4_0)
        self.assertEqual(kinds["blk.0.attn_norm.weight"], F32)
        self.assertEqual(kinds["output.weight"], Q8_0)  # Q6_K needs rows of 256

    def test_choices(self):
        self.quantize("Q4_0", "--tensor-type", "ffn_down=Q8_0", "--output-type", "F16", "--embedding-type", "Q4_0")
        kinds = {name: kind for name, (_, kind, _) in Gguf(self.path("out.gguf")).tensors.items()}
        self.assertEqual(kinds["blk.1.ffn_down.weight"], Q8_0)
        self.assertEqual(kinds["output.weight"], F16)
        self.assertEqual(kinds["token_embd.weight"], Q4_0)
        self.quantize("Q8_0", "--pure")
        self.assertEqual({kind for _, kind, _ in Gguf(self.path("out.gguf")).tensors.values()}, {F32, Q8_0})

    def test_threads_do_not_change_a_bit(self):
        contents = []
        for threads in (1, 2, 7):
            self.quantize("Q5_1", "-t", threads)
            with open(self.path("out.gguf"), "rb") as file:
                contents.append(file.read())
        self.assertEqual(len(set(contents)), 1)

    def test_dry_run(self):
        report = lbm_json("quantize", self.path("f32.gguf"), "Q8_0", "--dry-run", "--json")
        self.assert_nothing_written()
        self.quantize("Q8_0")
        written = sum(len(content) for _, _, content in Gguf(self.path("out.gguf")).tensors.values())
        self.assertEqual(report["bytes_after"], written)

    def test_twice_needs_a_word(self):
        self.quantize("Q8_0")
        os.rename(self.path("out.gguf"), self.path("q8.gguf"))
        _, message = self.quantize("Q4_0", source="q8.gguf", code=USAGE)
        self.assertIn("--allow-requantize", message)
        self.assert_nothing_written()
        _, message = self.quantize("Q4_0", "--allow-requantize", source="q8.gguf")
        self.assertIn("second time", message)

    def test_usage(self):
        self.quantize("Q9_9", code=USAGE)
        self.quantize("Q4_0", "--tensor-type", "ffn_down", code=USAGE)
        self.quantize("Q4_0", "--tensor-type", "(=Q8_0", code=USAGE)
        self.quantize("Q4_0", "--output-type", "IQ1_S", code=USAGE)
        self.assert_nothing_written()

    def imatrix(self, entries):
        """The legacy format."""
        out = struct.pack("<i", len(entries))
        for name, values in entries.items():
            out += struct.pack("<i", len(name)) + name.encode() + struct.pack("<ii", 2, len(values))
            out += struct.pack(f"<{len(values)}f", *values)
        with open(self.path("m.imatrix"), "wb") as file:
            file.write(out + struct.pack("<ii", 5, 4) + b"text")
        return self.path("m.imatrix")

    def test_importance(self):
        self.quantize("Q4_1")
        plain = Gguf(self.path("out.gguf"))
        path = self.imatrix({"blk.0.attn_q.weight": [1000.0 if i % 8 == 0 else 1.0 for i in range(64)]})
        self.quantize("Q4_1", "--imatrix", path)
        guided = Gguf(self.path("out.gguf"))
        changed = [name for name in plain.tensors if plain.tensors[name] != guided.tensors[name]]
        self.assertEqual(changed, ["blk.0.attn_q.weight"])
        self.assertEqual(guided.metadata["quantize.imatrix.file"], "m.imatrix")
        self.assertEqual(guided.metadata["quantize.imatrix.dataset"], "text")
        self.assertEqual(guided.metadata["quantize.imatrix.chunks_count"], 5)

    def test_bad_importance(self):
        for entries, word in (({"blk.0.attn_q.weight": [1.0] * 63}, "mismatch"),
                              ({"blk.0.attn_q.weight": [float("nan")] * 64}, "numeric"),
                              ({"blk.0.attn_q.weight": [-1.0] * 64}, "numeric")):
            _, message = self.quantize("Q4_1", "--imatrix", self.imatrix(entries), code=MODEL)
            self.assertIn(f"[{word}]", message)
        with open(self.path("m.imatrix"), "rb") as file:
            whole = file.read()
        for size in (0, 3, 9, 20, 60, len(whole) - 3):
            with open(self.path("cut.imatrix"), "wb") as file:
                file.write(whole[:size])
            self.quantize("Q4_1", "--imatrix", self.path("cut.imatrix"), code=MODEL)
        self.assert_nothing_written()


if __name__ == "__main__":
    unittest.main()
