"""G20 to G32: the tensor table and where the data lies."""
import struct

from base_models import N_EMBD, N_VOCAB, base
from gguf_writer import T_F32, T_I64, T_I8, T_Q4_0, T_Q4_K, T_Q8_0, U32, Tensor, align, patched, u32, u64
from recipe import recipe


@recipe("G20", "CVE-2024-21802 llama.cpp#25401")
def dimension_counts():
    m = base()
    data = m.build()
    at = m.at["blk.0.attn_q.weight", "n_dim"]
    for value in (0, 5, 1_000_000, 2**32 - 1):
        yield f"n-dims-{value}", patched(data, at, u32(value)), "bad_shape", "open", at


@recipe("G21", "llama.cpp#18586 GHSA-3p75-pq92-q28f")
def dimensions():
    m = base()
    data = m.build()
    at = m.at["blk.0.attn_q.weight", "dims"]
    for name, value, error in [("0", 0, "bad_shape"), ("minus-1", -1, "overflow"), ("2-63", 2**63, "overflow"),
                               ("over-2-40", 2**40 + 1, "overflow")]:
        yield f"dim0-{name}", patched(data, at, u64(value)), error, "open", at
        yield f"dim1-{name}", patched(data, at + 8, u64(value)), error, "open", at


@recipe("G22", "CVE-2026-33298 GHSA-96jg-mvhq-q7q7 llama.cpp#25401")
def dimension_products():
    shapes = [("wraps-to-4", [4194305, 4194305, 211106198978564], T_F32), ("2-64", [2**32, 2**32], T_F32),
              ("i64-2-61", [2**61], T_I64), ("i64-2-61-in-two", [2**31, 2**30], T_I64), ("four", [2**16] * 4, T_F32)]
    for name, dims, kind in shapes:
        m = base()
        m.tensors.append(Tensor("x", dims, kind))
        data = m.build()
        yield f"product-{name}", data, "overflow", "open", m.at["x", "dims"]


@recipe("G23", "llama.cpp#24759 llama.cpp#26318")
def padding_wraps():
    m = base()
    m.tensors.append(Tensor("x", [(2**64 - 1) // 4]))
    data = m.build()
    yield "pad-wraps", data, "overflow", "open", m.at["x", "dims"]
    # 2^64 - 1 bytes from dimensions that are allowed: only its padding wraps.
    m = base()
    m.tensors = [Tensor("x", [2**32 - 1, 2**32 + 1], T_I8)]
    data = m.build()
    yield "pad-wraps-allowed-dims", data, "overflow", "open", m.at["x", "offset"]


@recipe("G24", "CVE-2026-27940 GHSA-3p4r-fq3f-q74v")
def memory_size_wraps():
    m = base()
    size = 0x7FFFFFFFFFFFFFC0
    m.tensors = [Tensor("x", [size], T_I8), Tensor("y", [size], T_I8)]
    data = m.build()
    yield "two-huge", data, "overflow", "open", m.at["x", "dims"]


@recipe("G25", "CVE-2025-53630 GHSA-vgg9-87g3-85w8")
def sum_wraps():
    m = base()
    m.tensors = [Tensor(f"x{i}", [2**40, 2**20], T_I8) for i in range(16)]
    data = m.build()
    yield "sum-2-64", data, "overflow", "open", m.at["x15", "offset"]
    # The sum fits; with the place where the data begins, it does not.
    m = base().set("general.alignment", U32, 1)
    m.alignment = 1
    m.tensors = [Tensor("x", [2**32 - 1, 2**32 + 1], T_I8)]
    yield "end-wraps", m.build(), "overflow", "open", None


@recipe("G26")
def ragged_blocks():
    for name, columns, kind in [("q4-0-33", 33, T_Q4_0), ("q4-k-255", 255, T_Q4_K), ("q8-0-1", 1, T_Q8_0)]:
        m = base()
        m.tensors.append(Tensor("x", [columns, 2], kind))
        data = m.build()
        yield f"ragged-{name}", data, "bad_shape", "open", m.at["x", "dims"]


@recipe("G27")
def tensor_types():
    m = base()
    data = m.build()
    at = m.at["blk.0.attn_q.weight", "type"]
    for value in (-1, 4, 5, 31, 36, 43, 139, 255, 256, 2**31):
        yield f"tensor-type-{value}", patched(data, at, u32(value)), "bad_type", "open", at


@recipe("G28")
def tensor_names():
    def renamed(name):
        m = base()
        m.tensors[1].name = name
        return m, m.build()
    for label, name in [("64", "n" * 64), ("empty", "")]:
        m, data = renamed(name)
        yield f"name-{label}", data, "bad_name", "open", m.at[name, "name"]
    m, data = renamed("x\0y")
    yield "name-nul", data, "bad_name", "open", m.at["x\0y", "name"] + 8
    m = base()
    data = m.build()
    at = m.at["blk.0.attn_q.weight", "name"]
    yield "name-2-32", patched(data, at, u64(2**32)), "bad_name", "open", at
    m, data = renamed("token_embd.weight")
    yield "name-twice", data, "duplicate", "open", m.at["token_embd.weight", "name"]
    m = base()
    m.tensors = [Tensor(f"x{i % 49999:05d}", [1]) for i in range(50000)]
    data = m.build()
    yield "name-twice-among-50000", data, "duplicate", "open", m.at["x00000", "name"]


@recipe("G29", "CVE-2026-7482 CVE-2024-12055")
def offsets():
    m = base()
    data = m.build()
    at = m.at["blk.0.attn_q.weight", "offset"]
    right = struct.unpack_from("<Q", data, at)[0]
    for name, value in [("plus-1", right + 1), ("plus-16", right + 16), ("plus-unit", right + 32), ("decreasing", 0),
                        ("2-64-less-32", 2**64 - 32), ("2-64-less-1", 2**64 - 1), ("file-size", align(len(data), 32))]:
        yield f"offset-{name}", patched(data, at, u64(value)), "bad_offset", "open", at
    first = m.at["token_embd.weight", "offset"]
    yield "offset-first-not-0", patched(data, first, u64(32)), "bad_offset", "open", first


@recipe("G30", "ik_llama.cpp#2437")
def overlaps():
    m = base()
    data = m.build()
    at = m.at["blk.0.attn_k.weight", "offset"]
    right = struct.unpack_from("<Q", data, at)[0]
    previous = struct.unpack_from("<Q", data, m.at["blk.0.attn_q.weight", "offset"])[0]
    yield "odd-and-inside", patched(data, at, u64(right - 31)), "bad_offset", "open", at
    yield "short-stride", patched(data, at, u64(right - 32)), "overlap", "open", at
    yield "same-place", patched(data, at, u64(previous)), "overlap", "open", at


@recipe("G31", "CVE-2026-7482")
def ends():
    m = base()
    data = m.build()
    yield "1-byte-short", data[:-1], "truncated", "open", len(data) - 1
    yield "last-tensor-1-byte", data[:-N_EMBD * N_VOCAB * 4 + 1], "truncated", "open", len(data) - N_EMBD * N_VOCAB * 4 + 1
    yield "junk-1-byte", data + b"\xff", "ok", "ok", None
    yield "junk-1-mib", data + b"\xff" * 2**20, "ok", "ok", None
    # A norm of 128 bytes as the last tensor, under an alignment of 256.
    m = base().set("general.alignment", U32, 256)
    m.alignment = 256
    m.tensors = [t for t in m.tensors if t.name != "output_norm.weight"] + [m.tensor("output_norm.weight")]
    yield "padding-missing", m.build(), "ok", "ok", None
    yield "padding-there", m.build(pad_last=True), "ok", "ok", None


@recipe("G32")
def gaps():
    m = base()
    data = m.build()
    at = m.at["output.weight", "offset"]
    right = struct.unpack_from("<Q", data, at)[0]
    yield "gap-1-gib", patched(data, at, u64(right + 2**30)), "bad_offset", "open", at
