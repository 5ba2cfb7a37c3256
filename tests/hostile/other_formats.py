"""Writes .slm files, llama2.c models and tokenizer.bin, valid or not: nothing is checked. docs/formats/ has the layouts."""
import functools
import struct

from base_models import base, vocabulary, weights
from gguf_writer import U32, align, u64

MASK64 = 2**64 - 1

# ---- llama2.c --------------------------------------------------------------------------------------------------------

DIM, HIDDEN, LAYERS, HEADS, KV_HEADS, VOCAB, CONTEXT = 32, 64, 2, 4, 2, 288, 16
FIELDS = ["dim", "hidden", "layers", "heads", "kv-heads", "vocab", "context"]
SHAPE = [DIM, HIDDEN, LAYERS, HEADS, KV_HEADS, VOCAB, CONTEXT]


def tokenizer_bin(pieces=None, scores=None, longest=None, lengths=None):
    """tokenizer.bin of the base vocabulary. `lengths`: {id: another length than the text has}."""
    standard, standard_scores, _ = vocabulary()
    texts = [p if isinstance(p, bytes) else p.replace("\u2581", " ").encode() for p in (standard if pieces is None else pieces)]
    scores = standard_scores if scores is None else scores
    out = [struct.pack("<i", max(map(len, texts), default=0) if longest is None else longest)]
    for i, text in enumerate(texts):
        out.append(struct.pack("<fi", scores[i] if i < len(scores) else 0.0, (lengths or {}).get(i, len(text))) + text)
    return b"".join(out)


def groups(tied):
    """(name, columns, rows or 0, of each layer) in the order of the legacy form."""
    kv_dim = DIM // HEADS * KV_HEADS
    return [("embedding", DIM, VOCAB, False), ("attn_norm", DIM, 0, True), ("q", DIM, DIM, True), ("k", DIM, kv_dim, True),
            ("v", DIM, kv_dim, True), ("o", DIM, DIM, True), ("ffn_norm", DIM, 0, True), ("w1", DIM, HIDDEN, True),
            ("w2", HIDDEN, DIM, True), ("w3", DIM, HIDDEN, True), ("norm", DIM, 0, False)] + \
           ([] if tied else [("output", DIM, VOCAB, False)])


def legacy_bin(shape=None, tied=False):
    """A legacy model; an untied one says so by a negative vocabulary."""
    values = list(SHAPE)
    values[5] = VOCAB if tied else -VOCAB
    out = [struct.pack("<7i", *(values if shape is None else shape))]
    for stream, (name, columns, rows, of_layer) in enumerate(groups(tied)):
        if name == "output":
            out.append(bytes(CONTEXT * (DIM // HEADS) * 4))  # cos and sin
        for layer in range(LAYERS if of_layer else 1):
            out.append(weights(100 + 2 * stream + layer, columns * max(rows, 1), 0.0 if rows else 1.0, 0.25))
    if tied:
        out.append(bytes(CONTEXT * (DIM // HEADS) * 4))
    return b"".join(out)


def current_bin(version, tied=0, group=32, shape=None):
    """A model of version 1 (f32) or 2 (int8)."""
    head = b"24ka" + struct.pack("<i7iB", version, *(SHAPE if shape is None else shape), tied)
    head += struct.pack("<i", group) if version == 2 else b""
    out = [head + bytes(256 - len(head))]
    order = ["attn_norm", "ffn_norm", "norm", "embedding", "q", "k", "v", "o", "w1", "w2", "w3"] + ([] if tied else ["output"])
    by_name = {name: (columns, rows, of_layer) for name, columns, rows, of_layer in groups(bool(tied))}
    for name in order:
        columns, rows, of_layer = by_name[name]
        for layer in range(LAYERS if of_layer else 1):
            count = columns * max(rows, 1)
            if version == 2 and rows:
                out.append(bytes((i * 37 + layer) & 0xFF for i in range(count)))
                out.append(struct.pack("<f", 2.0**-9) * (count // max(group, 1)))
            else:
                out.append(weights(300 + layer, count, 0.0 if rows else 1.0, 0.25))
    return b"".join(out)


# ---- .slm ------------------------------------------------------------------------------------------------------------

SLM_HEADER, SLM_ENTRY = 108, 64
S_VOCAB, S_LAYERS, S_HEADS, S_KV_HEADS, S_HEAD_DIM, S_FF, S_CONTEXT, S_EMBD = 288, 1, 4, 2, 8, 64, 128, 32
S_F32, S_Q8, S_Q4 = 1, 2, 3
SHAPE_AT = 20
NO_ID = 2**32 - 1


def fnv1a(data, value=0xCBF29CE484222325):
    for byte in data:
        value = (value ^ byte) * 0x100000001B3 & MASK64
    return value


@functools.cache
def hash_of(data):
    return fnv1a(data)


def sealed(data):
    """With the checksum that the bytes have now."""
    data = data[:100] + bytes(8) + data[108:]
    return data[:100] + u64(hash_of(data)) + data[108:]


def byte_tokenizer(n_vocab=S_VOCAB, bos=256, eos=257, flags=1, version=1, n_merge=0):
    return b"BTOK" + struct.pack("<9I", version, n_vocab, flags, bos, eos, NO_ID, NO_ID, n_merge, 0) + bytes(24)


def merge_tokenizer(merges, n_vocab=S_VOCAB, **more):
    return b"BPE1" + byte_tokenizer(n_vocab, n_merge=len(merges), **more)[4:] + b"".join(struct.pack("<4I", *m) for m in merges)


def slm_tensors():
    """(name, columns, rows or 0) in the order of the writer."""
    q_dim, kv_dim = S_HEADS * S_HEAD_DIM, S_KV_HEADS * S_HEAD_DIM
    out = [("token_embd.weight", S_EMBD, S_VOCAB)]
    for i in range(S_LAYERS):
        out += [(f"blk.{i}.{name}.weight", columns, rows) for name, columns, rows in [
            ("attn_norm", S_EMBD, 0), ("attn_q", S_EMBD, q_dim), ("attn_k", S_EMBD, kv_dim), ("attn_v", S_EMBD, kv_dim),
            ("attn_output", q_dim, S_EMBD), ("ffn_norm", S_EMBD, 0), ("ffn_gate", S_EMBD, S_FF), ("ffn_up", S_EMBD, S_FF),
            ("ffn_down", S_FF, S_EMBD)]]
    return out + [("output_norm.weight", S_EMBD, 0)]


class Slm:
    """An .slm file in parts. `at` has the offset of every section and entry of the last build()."""

    def __init__(self, kind=S_F32, tokenizer=None):
        self.kind = kind
        self.tokenizer = byte_tokenizer() if tokenizer is None else tokenizer
        self.shape = [S_VOCAB, S_LAYERS, S_HEADS, S_KV_HEADS, S_HEAD_DIM, S_FF, S_CONTEXT, S_EMBD]
        self.tensors = slm_tensors()
        self.scale = 2.0**-9
        self.at = {}

    def build(self, seal=True):
        tokenizer_at = SLM_HEADER
        directory_at = tokenizer_at + len(self.tokenizer)
        data_at = align(directory_at + len(self.tensors) * SLM_ENTRY, 64)
        entries, payload, place = [], [], data_at

        def put(data):
            nonlocal place
            at = place
            payload.append(data + bytes(align(len(data), 64) - len(data)))
            place += len(payload[-1])
            return at
        for i, (name, columns, rows) in enumerate(self.tensors):
            kind = self.kind if rows else S_F32
            count = columns * max(rows, 1)
            dims = [rows, columns, 1, 1] if rows else [columns, 1, 1, 1]
            scales_at, block = 0, 0
            if kind == S_F32:
                data = weights(i, count, 0.0 if rows else 1.0, 0.25)
            else:
                data = bytes((7 * k + i) & 0xFF for k in range(count if kind == S_Q8 else count // 2))
                block = columns if kind == S_Q8 else 32
            data_place = put(data)
            if block:
                scales_at = put(struct.pack("<f", self.scale) * (rows * -(-columns // block)))
            self.at[name] = directory_at + i * SLM_ENTRY
            self.at[name, "data"], self.at[name, "scales"] = data_place, scales_at
            entries.append(struct.pack("<Q6IQQQII", fnv1a(name.encode()), kind, 2 if rows else 1, *dims, data_place, len(data),
                                       scales_at, block, 0))
        self.at.update(tokenizer=tokenizer_at, directory=directory_at, data=data_at, end=place)
        header = struct.pack("<4s4I9I2fQQQIQQ", b"SLM1", 1, SLM_HEADER, 0, 1, *self.shape, 0, 10000.0, 1e-5, tokenizer_at,
                             len(self.tokenizer), directory_at, len(self.tensors), data_at, 0)
        out = header + self.tokenizer + b"".join(entries)
        out += bytes(data_at - len(out)) + b"".join(payload)
        return sealed(out) if seal else out


def gguf_section(shape=None):
    """A tokenizer section of the third kind: the metadata of a GGUF file without tensors."""
    m = base()
    m.tensors = []
    for key, value in {"block_count": S_LAYERS, "context_length": S_CONTEXT, **(shape or {})}.items():
        m.set("llama." + key, U32, value)
    return m
