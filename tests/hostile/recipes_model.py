"""G33 to G40: a sound container around a model that can not be."""
import struct

from base_models import N_EMBD, N_FF, N_LAYER, N_VOCAB, base
from gguf_writer import ARRAY, BOOL, F32, F64, I32, I64, STRING, T_BF16, T_F16, T_F32, T_I8, T_Q4_0, T_Q8_0, U32, U8, Tensor
from recipe import recipe


INTEGER_KEYS = ["block_count", "context_length", "embedding_length", "feed_forward_length", "attention.head_count",
                "attention.head_count_kv", "rope.dimension_count"]
FLOAT_KEYS = ["attention.layer_norm_rms_epsilon", "rope.freq_base"]


@recipe("G33", "CVE-2024-8063")
def hyper_parameter_types():
    for key in INTEGER_KEYS:
        full = "llama." + key
        value = struct.unpack("<I", next(e[2] for e in base().keys if e[0] == full))[0]
        for name, kind, data in [("f64", F64, float(value)), ("string", STRING, str(value)), ("bool", BOOL, 1),
                                 ("array", ARRAY, (U32, [value] * N_LAYER))]:
            m = base().set(full, kind, data)
            out = m.build()
            if key == "attention.head_count_kv" and name == "array":
                yield f"{key}-{name}", out, "ok", "ok", None  # a number for each layer
            else:
                yield f"{key}-{name}", out, "bad_type", "config", m.at[full, "value"]
        # Another width of integer says the same thing, so it is taken.
        yield f"{key}-u8", base().set(full, U8, value).build(), "ok", "ok", None
        yield f"{key}-i64", base().set(full, I64, value).build(), "ok", "ok", None
    for key in FLOAT_KEYS:
        full = "llama." + key
        for name, kind, data in [("u32", U32, 1), ("string", STRING, "1"), ("array", ARRAY, (F32, [1.0]))]:
            m = base().set(full, kind, data)
            out = m.build()
            yield f"{key}-{name}", out, "bad_type", "config", m.at[full, "value"]
        yield f"{key}-f64", base().set(full, F64, 2.0**-17 if "epsilon" in key else 1e4).build(), "ok", "ok", None


def with_number(key, kind, value):
    m = base().set("llama." + key, kind, value)
    return m.build(), m.at["llama." + key, "value"]


@recipe("G34", "ollama#7802 llama.cpp#25513 llama.cpp#25821 llama.cpp#26051")
def block_counts():
    for value in (0, 1025, 100_000, 2**32 - 1):
        data, at = with_number("block_count", U32, value)
        yield f"block-count-{value}", data, "bad_value", "config", at
    yield "block-count-3-of-2", with_number("block_count", U32, 3)[0], "missing", "weights", None
    yield "block-count-1-of-2", with_number("block_count", U32, 1)[0], "unsupported", "weights", None
    yield "block-count-missing", base().drop("llama.block_count").build(), "missing", "config", None


@recipe("G35")
def head_counts():
    for value, error in [(0, "bad_value"), (2**32 - 1, "bad_value"), (N_EMBD * 2, "mismatch"), (3, "mismatch")]:
        yield f"head-count-{value}", with_number("attention.head_count", U32, value)[0], error, "config", None
    for value, error in [(0, "bad_value"), (8, "mismatch"), (3, "mismatch")]:
        yield f"head-count-kv-{value}", with_number("attention.head_count_kv", U32, value)[0], error, "config", None
    data, at = with_number("attention.head_count_kv", ARRAY, (U32, [2]))
    yield "head-count-kv-array-1", data, "mismatch", "config", at
    yield "head-count-kv-array-3", with_number("attention.head_count_kv", ARRAY, (U32, [2] * 3))[0], "ok", "ok", None
    data, at = with_number("attention.head_count", I32, -4)
    yield "head-count-negative", data, "bad_value", "config", at
    yield "head-count-kv-1-shapes", with_number("attention.head_count_kv", U32, 1)[0], "bad_shape", "weights", None


@recipe("G36")
def widths():
    for key in ("embedding_length", "feed_forward_length", "context_length"):
        data, at = with_number(key, U32, 0)
        yield f"{key}-0", data, "bad_value", "config", at
        data, at = with_number(key, U32, 2**31)
        yield f"{key}-2-31", data, "bad_value", "config", at
        yield f"{key}-missing", base().drop("llama." + key).build(), "missing", "config", None
    yield "embedding-length-64", with_number("embedding_length", U32, 64)[0], "bad_shape", "weights", None
    yield "feed-forward-96", with_number("feed_forward_length", U32, 96)[0], "bad_shape", "weights", None
    for value, error in [(0, "bad_value"), (7, "mismatch"), (16, "mismatch")]:
        yield f"rope-dimension-{value}", with_number("rope.dimension_count", U32, value)[0], error, "config", None
    odd = [("0", 0.0), ("minus-1", -1.0), ("nan", float("nan")), ("inf", float("inf"))]
    for key in FLOAT_KEYS:
        for name, value in odd:
            data, at = with_number(key, F32, value)
            yield f"{key}-{name}", data, "bad_value", "config", at


@recipe("G37", "CVE-2025-0312")
def tensors():
    for name in ["token_embd.weight", "output_norm.weight"] + [t.name for t in base().tensors if t.name.startswith("blk.1.")]:
        m = base()
        m.tensors = [t for t in m.tensors if t.name != name]
        yield f"without-{name}", m.build(), "missing", "weights", None
    m = base()
    m.tensors = [t for t in m.tensors if t.name != "output.weight"]
    yield "without-output.weight", m.build(), "ok", "ok", None  # the embedding is the output matrix then
    m = base()
    m.tensors.append(Tensor("blk.0.extra.weight", [N_EMBD]))
    yield "extra-tensor", m.build(), "unsupported", "weights", None
    changes = [("transposed", "blk.0.ffn_gate.weight", [N_FF, N_EMBD], T_F32, "bad_shape"),
               ("wide", "blk.0.attn_q.weight", [N_EMBD, 2 * N_EMBD], T_F32, "bad_shape"),
               ("flat", "blk.0.attn_q.weight", [N_EMBD * N_EMBD], T_F32, "bad_shape"),
               ("three-dims", "blk.0.attn_q.weight", [N_EMBD, N_EMBD, 2], T_F32, "bad_shape"),
               ("short-norm", "blk.0.attn_norm.weight", [N_EMBD - 1], T_F32, "bad_shape"),
               ("embedding-wide", "token_embd.weight", [N_EMBD * 2, N_VOCAB - 1], T_F32, "bad_shape"),
               ("embedding-three-dims", "token_embd.weight", [N_EMBD, N_VOCAB - 1, 2], T_F32, "bad_shape"),
               ("norm-q4-0", "blk.0.attn_norm.weight", [N_EMBD], T_Q4_0, "bad_type"),
               ("matrix-i8", "blk.0.attn_q.weight", [N_EMBD, N_EMBD], T_I8, "unsupported")]
    for label, name, dims, kind, error in changes:
        m = base()
        t = m.tensor(name)
        t.dims, t.kind, t.data = dims, kind, None
        yield f"tensor-{label}", m.build(), error, "weights", None
    for label, kind in [("f16", T_F16), ("bf16", T_BF16)]:
        m = base()
        t = m.tensor("blk.0.attn_norm.weight")
        t.kind, t.data = kind, struct.pack("<H", 0x3C00 if kind == T_F16 else 0x3F80) * N_EMBD
        yield f"norm-{label}", m.build(), "ok", "ok", None
    m = base()
    for t in m.tensors:
        t.name = t.name.replace("blk.1.", "blk.2.")
    yield "layer-gap", m.build(), "missing", "weights", None


@recipe("G38")
def vocabulary_rows():
    for rows in (N_VOCAB - 1, N_VOCAB + 1):
        m = base()
        t = m.tensor("token_embd.weight")
        t.dims[1], t.data = rows, None
        yield f"embedding-rows-{rows}", m.build(), "mismatch", "weights", None


@recipe("G39")
def scales():
    def with_scale(bits):
        m = base()
        t = m.tensor("blk.0.attn_q.weight")
        t.kind = T_Q8_0
        t.data = b"".join((struct.pack("<H", bits) if i == 5 else b"\0\x30") + bytes(range(32)) for i in range(N_EMBD))
        return m.build()
    yield "scale-nan", with_scale(0x7E00), "numeric", "weights", None
    yield "scale-inf", with_scale(0x7C00), "numeric", "weights", None
    yield "scale-minus-inf", with_scale(0xFC00), "numeric", "weights", None
    yield "scale-denormal", with_scale(0x0001), "ok", "ok", None
    yield "scale-largest", with_scale(0x7BFF), "ok", "ok", None
    m = base()
    for t in m.tensors:
        t.data = None
    yield "all-zero", m.build(), "ok", "ok", None
