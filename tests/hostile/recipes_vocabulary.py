"""T04 to T10: a sound container and model around a vocabulary that can not be. Those of tokenizer.bin are in recipes_llama2c.py."""
import struct

from base_models import MERGES, N_VOCAB, base, byte_characters, byte_level, vocabulary
from gguf_writer import ARRAY, F32, I32, STRING, U32, U8
from recipe import recipe

TOKENS, SCORES, TYPES = ("tokenizer.ggml." + key for key in ("tokens", "scores", "token_type"))


def with_pieces(change):
    """The base with `change` applied to its list of pieces."""
    m = base()
    pieces = vocabulary()[0]
    change(pieces)
    return m.set(TOKENS, ARRAY, (STRING, pieces)).build()


@recipe("T04")
def odd_scores():
    for name, value in [("nan", float("nan")), ("inf", float("inf")), ("minus-inf", float("-inf"))]:
        scores = vocabulary()[1]
        scores[270] = value
        m = base().set(SCORES, ARRAY, (F32, scores))
        data = m.build()
        yield f"score-{name}", data, "numeric", "tokenizer", m.at[SCORES, "value"] + 12 + 4 * 270


@recipe("T05")
def odd_pieces():
    def put(index, piece):
        return with_pieces(lambda pieces: pieces.__setitem__(index, piece))
    yield "piece-twice", put(270, "e"), "duplicate", "tokenizer", None


@recipe("T06", "llama.cpp#25969 llama.cpp#27226")
def byte_tokens():
    def put(piece):
        return with_pieces(lambda pieces: pieces.__setitem__(40, piece))
    for name, piece in [("minus-1", "<0x-1>"), ("zz", "<0xZZ>"), ("short", "<0x1>"), ("0g", "<0x0g>"), ("long", "<0x100>")]:
        yield f"byte-{name}", put(piece), "bad_value", "tokenizer", None
    types = vocabulary()[2]
    types[40] = 1
    yield "byte-missing", base().set(TYPES, ARRAY, (I32, types)).build(), "missing", "tokenizer", None


@recipe("T07", "llama.cpp#14145 llama.cpp#25475 llama.cpp#25508 GHSA-g4cc-763q-h9h6")
def special_ids():
    for key in ("bos", "eos", "unknown"):
        full = f"tokenizer.ggml.{key}_token_id"
        for value in (N_VOCAB, 2**31, 2**32 - 1):
            m = base().set(full, U32, value)
            data = m.build()
            yield f"{key}-{value}", data, "bad_value", "tokenizer", m.at[full, "value"]
        m = base().set(full, I32, -1)
        data = m.build()
        yield f"{key}-minus-1", data, "bad_value", "tokenizer", m.at[full, "value"]
    m = base().set(TOKENS, ARRAY, (STRING, []))
    yield "no-tokens", m.build(), "limit", "config", m.at[TOKENS, "value"]


@recipe("T08", "llama.cpp#20735 llama.cpp#26690")
def odd_lengths():
    pieces, scores, types = vocabulary()
    for key, kind, values in [(SCORES, F32, scores), (TYPES, I32, types)]:
        short = key.rsplit(".", 1)[1].replace("_", "-")
        for name, changed in [("shorter", values[:-1]), ("longer", values + values[-1:]), ("empty", [])]:
            m = base().set(key, ARRAY, (kind, changed))
            data = m.build()
            yield f"{short}-{name}", data, "mismatch", "tokenizer", m.at[key, "value"]
        m = base().set(key, ARRAY, (U8, [1] * N_VOCAB))
        data = m.build()
        yield f"{short}-u8", data, "bad_type", "tokenizer", m.at[key, "value"]
    yield "scores-missing", base().drop(SCORES).build(), "missing", "tokenizer", None
    for value in (99, -1):
        m = base().set(TYPES, ARRAY, (I32, types[:-1] + [value]))
        data = m.build()
        yield f"token-type-{value}", data, "bad_value", "tokenizer", m.at[TYPES, "value"] + 12 + 4 * (N_VOCAB - 1)
    m = base().set(TOKENS, ARRAY, (I32, list(range(N_VOCAB))))
    data = m.build()
    yield "tokens-i32", data, "bad_type", "config", m.at[TOKENS, "value"]


@recipe("T09")
def merges():
    key = "tokenizer.ggml.merges"

    def put(values):
        return byte_level().set(key, ARRAY, (STRING, values)).build()
    for name, merge, error in [("no-space", "th", "bad_value"), ("empty", "", "bad_value"), ("one-piece", "t ", "bad_value"),
                               ("unknown-piece", "t xyz", "mismatch"), ("unknown-result", "z q", "mismatch"),
                               ("self", "t t", "mismatch")]:
        yield f"merge-{name}", put([merge] + MERGES[1:]), error, "tokenizer", None
    yield "merge-twice", put(MERGES + ["t h"]), "duplicate", "tokenizer", None
    letters = byte_characters()
    yield "merge-2-20", put([f"{letters[i % 256]} q" for i in range(2**20)]), "limit", "tokenizer", None
    yield "merges-missing", byte_level().drop(key).build(), "missing", "tokenizer", None
    m = byte_level().set(key, ARRAY, (U32, [1, 2]))
    data = m.build()
    yield "merges-u32", data, "bad_type", "tokenizer", m.at[key, "value"]
    for label, m in [("pre", byte_level()), ("model", base())]:
        data = m.set("tokenizer.ggml." + label, STRING, "nonsense").build()
        yield f"{label}-unknown", data, "unsupported", "tokenizer", m.at["tokenizer.ggml." + label, "value"]


CHARSMAP = "tokenizer.ggml.precompiled_charsmap"
VALUE = 1 << 31


def charsmap(units, texts, n_byte=None):
    """The blob of SentencePiece: bytes of the array, the array, the strings."""
    body = b"".join(struct.pack("<I", unit) for unit in units)
    return struct.pack("<I", len(body) if n_byte is None else n_byte) + body + texts


def mapping(text=0, leaf=512, ends=True):
    """An array that maps 'a' to the string at `text`: the root's children start at 256, the value stands at `leaf`."""
    units = [0] * 768
    node = 256 ^ ord("a")
    units[0] = 256 << 10
    units[node] = (node ^ leaf) << 10 | (0x100 if ends else 0) | ord("a")
    if leaf < len(units):
        units[leaf] = VALUE | text
    return units


def unigram():
    """The base as a unigram vocabulary."""
    return base().set("tokenizer.ggml.model", STRING, "t5")


@recipe("T10", "llama.cpp#25258")
def character_maps():
    def put(blob, kind=U8):
        m = unigram().set(CHARSMAP, ARRAY, (kind, blob))
        return m.build(), m.at[CHARSMAP, "value"]
    yield "unigram", unigram().build(), "ok", "ok", None
    yield "map-empty", put(b"")[0], "ok", "ok", None
    yield "map-a-to-b", put(charsmap(mapping(), b"b\0"))[0], "ok", "ok", None
    for n in (1, 2, 3):
        data, at = put(b"\0" * n)
        yield f"map-{n}-bytes", data, "truncated", "tokenizer", at + 12
    good = charsmap(mapping(), b"b\0")
    for name, blob, error, more in [
            ("4-bytes", b"\0\0\0\0", "bad_offset", 12), ("size-0", charsmap([], b"\0"), "bad_value", 12),
            ("size-odd", charsmap(mapping(), b"b\0", 766), "bad_value", 12), ("size-2-32", charsmap(mapping(), b"b\0", 2**32 - 1), "bad_offset", 12),
            ("no-strings", charsmap(mapping(), b""), "bad_offset", 12), ("string-open", charsmap(mapping(), b"b"), "truncated", 12 + len(good) - 1),
            ("units-255", charsmap([0] * 255, b"\0"), "bad_offset", 16), ("leaf-far", charsmap(mapping(leaf=4096), b"b\0"), "bad_offset", None),
            ("text-far", charsmap(mapping(text=2), b"b\0"), "bad_offset", 16 + 4 * 512),
            ("text-2-31", charsmap(mapping(text=2**31 - 1), b"b\0"), "bad_offset", 16 + 4 * 512),
            ("text-long", charsmap(mapping(), b"b" * 100_000 + b"\0"), "limit", None),
            ("loop", charsmap(mapping(leaf=256, ends=False), b"b\0"), "bad_value", None)]:
        data, at = put(blob)
        yield f"map-{name}", data, error, "tokenizer", at + more if more else None
    data, at = put([1, 2, 3, 4], I32)
    yield "map-i32", data, "bad_type", "tokenizer", at
    m = unigram().set(CHARSMAP, STRING, "abc")
    data = m.build()
    yield "map-string", data, "bad_type", "tokenizer", m.at[CHARSMAP, "value"]
    for key in ("normalizer", "space_prefix"):
        full = f"tokenizer.lbm.{key}"
        m = unigram().set(full, STRING, "x")
        data = m.build()
        yield f"{key}-unknown", data, "unsupported" if key == "normalizer" else "bad_value", "tokenizer", m.at[full, "value"]
        m = unigram().set(full, U32, 1)
        data = m.build()
        yield f"{key}-number", data, "bad_type", "tokenizer", m.at[full, "value"]


@recipe("T07", "llama.cpp#14145 llama.cpp#25508")
def default_ids():
    """Vocabularies of one and two tokens, with the keys of their special ids absent."""
    for kind in ("llama", "t5", "bert", "gpt2"):
        for n in (1, 2):
            m = base().set("tokenizer.ggml.model", STRING, kind)
            for key in ("bos", "eos", "unknown"):
                m.drop(f"tokenizer.ggml.{key}_token_id")
            m.drop("tokenizer.ggml.add_bos_token").drop("tokenizer.ggml.add_eos_token")
            m.set(TOKENS, ARRAY, (STRING, ["a", "b"][:n])).set(SCORES, ARRAY, (F32, [0.0] * n)).set(TYPES, ARRAY, (I32, [1] * n))
            m.set("tokenizer.ggml.merges", ARRAY, (STRING, []))
            for t in m.tensors:
                if N_VOCAB in t.dims:
                    t.dims[1], t.data = n, None
            error = {"llama": "ok", "t5": "missing", "bert": "mismatch", "gpt2": "ok"}[kind]
            yield f"{kind}-{n}-tokens", m.build(), error, "ok" if error == "ok" else "tokenizer", None
