"""G00 to G19 and G43: header, keys and values."""
import struct

from base_models import base, byte_level, smallest
from gguf_writer import ARRAY, BOOL, F64, I32, STRING, U32, U8, Model, Tensor, patched, text, u32, u64
from recipe import recipe


@recipe("G00")
def good_files():
    yield "base", base().build(), "ok", "ok", None
    yield "byte-level", byte_level().build(), "ok", "ok", None
    yield "smallest", smallest().build(), "missing", "config", None


@recipe("G01")
def empty():
    yield "empty", b"", "truncated", "open", 0


@recipe("G02")
def stubs():
    for n in (1, 2, 3):
        yield f"{n}-bytes", b"GGUF"[:n], "truncated", "open", 0


@recipe("G03", "CVE-2024-39720 CVE-2024-41130")
def magic_only():
    yield "magic-only", b"GGUF", "truncated", "open", 0
    yield "magic-and-version", b"GGUF" + u32(3), "truncated", "open", 0


@recipe("G04", "CVE-2024-32878")
def prefixes():
    """Every prefix is tried in memory by the harness; these stand for them on disk."""
    m = base()
    data = m.build()
    cuts = {"in-header": 20, "in-key": m.at["llama.block_count", "key"] + 12, "after-type": m.at["llama.block_count", "value"],
            "in-tokens": m.at["tokenizer.ggml.tokens", "value"] + 1000, "in-template": m.at["tokenizer.chat_template", "value"] + 30,
            "in-tensor-name": m.at["blk.0.attn_q.weight", "name"] + 10, "in-tensor-dims": m.at["blk.0.attn_q.weight", "dims"] + 3,
            "before-data": m.at["data"], "in-data": m.at["data"] + 5000}
    for name, cut in cuts.items():
        yield name, data[:cut], "truncated", "open", None


@recipe("G05")
def magics():
    data = base().build()
    yield "fugg", b"FUGG" + data[4:], "bad_magic", "open", 0
    yield "lower-case-f", b"GGUf" + data[4:], "bad_magic", "open", 0
    yield "swapped", b"FUGG" + struct.pack(">I", 3) + data[8:], "bad_endian", "open", 4
    yield "swapped-version", patched(data, 4, struct.pack(">I", 3)), "bad_endian", "open", 4
    yield "web-page", b"<!DOCTYPE html><html><head><title>404 Not Found</title></head></html>\n", "bad_magic", "open", 0
    yield "lfs-pointer", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", "bad_magic", "open", 0


@recipe("G06")
def versions():
    data = base().build()
    for version in (0, 1, 4, 2**32 - 1):
        yield f"version-{version}", patched(data, 4, u32(version)), "bad_version", "open", 4


COUNTS = [("2-64-less-1", 2**64 - 1), ("2-63", 2**63), ("2-32", 2**32), ("65537", 65537), ("wraps", 0x0CCCCCCCCCCCCCCD)]


@recipe("G07", "CVE-2024-23605 CVE-2024-25664")
def key_counts():
    data = base().build()
    for name, count in COUNTS:
        yield f"n-kv-{name}", patched(data, 16, u64(count)), "limit", "open", 16
    small = smallest().build()
    yield "n-kv-beyond-file", patched(small, 16, u64((len(small) - 24) // 13 + 1)), "truncated", "open", 16


@recipe("G08", "CVE-2024-21836 CVE-2024-25666 llama.cpp#15711")
def tensor_counts():
    data = base().build()
    for name, count in COUNTS:
        yield f"n-tensor-{name}", patched(data, 8, u64(count)), "limit", "open", 8
    small = smallest().build()
    yield "n-tensor-beyond-file", patched(small, 8, u64((len(small) - 24) // 24 + 1)), "truncated", "open", 8


@recipe("G09", "CVE-2024-23496 CVE-2024-25668")
def key_lengths():
    m = base()
    data = m.build()
    at = m.at["llama.block_count", "key"]
    for name, length, error in [("2-64-less-1", 2**64 - 1, "limit"), ("65536", 65536, "limit"), ("0", 0, "bad_name")]:
        yield f"key-length-{name}", patched(data, at, u64(length)), error, "open", at
    m = smallest()
    data = m.build()
    at = m.at["llama.block_count", "key"]
    yield "key-length-beyond-file", patched(data, at, u64(len(data) - at - 8 + 1)), "truncated", "open", at + 8


@recipe("G10")
def key_bytes():
    bad = [("nul", b"general\0name"), ("invalid", b"general.\xffname"), ("overlong", b"general\xc0\xaename"),
           ("surrogate", b"general.\xed\xa0\x80"), ("cut", b"general.\xe2\x96")]
    for name, key in bad:
        m = base()
        m.keys.insert(1, [key, U32, u32(1)])
        data = m.build()
        yield f"key-{name}", data, "bad_name", "open", m.at[key, "key"] + 8


@recipe("G11")
def duplicate_keys():
    m = base()
    m.keys.insert(2, ["general.name", STRING, text("again")])
    data = m.build()
    yield "adjacent", data, "duplicate", "open", m.at["general.name", "key"]
    m = base()
    m.keys.append(["general.architecture", STRING, text("llama")])
    data = m.build()
    yield "first-and-last", data, "duplicate", "open", m.at["general.architecture", "key"]
    m = base()
    m.keys += [[f"x.{i:05d}", U8, b"\0"] for i in range(50000)] + [["x.00000", U8, b"\0"]]
    data = m.build()
    yield "among-50000", data, "duplicate", "open", m.at["x.00000", "key"]


@recipe("G12")
def value_types():
    m = base()
    data = m.build()
    at = m.at["llama.block_count", "type"]
    for value in (13, 255, -1, 0x104):
        yield f"type-{value}", patched(data, at, u32(value)), "bad_type", "open", at
    at = m.at["tokenizer.ggml.scores", "value"]
    for value in (13, 255, -1):
        yield f"element-type-{value}", patched(data, at, u32(value)), "bad_type", "open", at


@recipe("G13", "CVE-2024-23496 CVE-2024-25665 llama.cpp#19003 CVE-2025-0315 ollama#17042")
def string_lengths():
    m = base()
    data = m.build()
    at = m.at["general.name", "value"]
    lengths = [("2-64-less-1", 2**64 - 1), ("2-63", 2**63), ("2-31", 2**31), ("over-1-mib", 2**20 + 1)]
    for name, length in lengths:
        yield f"string-{name}", patched(data, at, u64(length)), "limit", "open", at
    yield "string-beyond-file", patched(data, at, u64(len(data) - at - 8 + 1)), "truncated", "open", at + 8
    at = m.at["tokenizer.ggml.tokens", "value"] + 12
    for name, length in lengths:
        yield f"token-{name}", patched(data, at, u64(length)), "limit", "open", at
    m = base().set("tokenizer.chat_template", STRING, "x" * (256 * 1024 + 1))
    data = m.build()
    yield "template-over-256-kib", data, "limit", "open", m.at["tokenizer.chat_template", "value"]
    m = base().set("general.description", STRING, "x" * (2**20 + 1))
    data = m.build()
    yield "string-1-mib-and-1", data, "limit", "open", m.at["general.description", "value"]


@recipe("G14", "CVE-2024-21825 CVE-2024-25667 llama.cpp#27188 llama.cpp#28131 ollama#17042")
def array_counts():
    m = base()
    data = m.build()
    at = m.at["tokenizer.ggml.scores", "value"] + 4
    for name, count in [("2-64-less-1", 2**64 - 1), ("2-63", 2**63), ("2-62", 2**62), ("2-61", 2**61)]:
        yield f"array-{name}", patched(data, at, u64(count)), "limit", "open", at
    m = base().set("x.bytes", ARRAY, (U8, [0]))
    data = m.build()
    at = m.at["x.bytes", "value"] + 4
    yield "array-64-mib-and-1", patched(data, at, u64(2**26 + 1)), "limit", "open", at
    yield "array-64-mib", patched(data, at, u64(2**26)), "limit", "open", at + 8  # with what stands before it
    m = base()
    data = m.build()
    at = m.at["tokenizer.ggml.scores", "value"] + 4
    yield "array-beyond-file", patched(data, at, u64((len(data) - at - 8) // 4 + 1)), "truncated", "open", at + 8
    tiny = b"GGUF" + u32(3) + u64(0) + u64(1) + text("a") + u32(ARRAY) + u32(U8)
    yield "43-bytes", tiny + b"\xff\xff", "truncated", "open", None
    yield "49-bytes", tiny + u64(2**63), "limit", "open", len(tiny)
    big = b"GGUF" + u32(3) + u64(0) + u64(1) + text("a") + u32(ARRAY) + u32(F64) + u64(5_000_000)
    yield "5000000-f64", big + bytes(5_200_000), "truncated", "open", len(big)


@recipe("G15", "gguf_py_f001")
def nested_arrays():
    for depth in (1, 2, 100_000):
        m = base()
        m.keys.append(["x.nested", ARRAY, (u32(ARRAY) + u64(1)) * depth + u32(U8) + u64(1) + b"\0"])
        data = m.build()
        yield f"depth-{depth}", data, "bad_type", "open", m.at["x.nested", "value"]


@recipe("G16", "CVE-2024-21825 CVE-2024-25668")
def string_array_counts():
    m = base()
    data = m.build()
    at = m.at["tokenizer.ggml.tokens", "value"] + 4
    for name, count in [("2-60", 2**60), ("2-61-and-1", 2**61 + 1)]:
        yield f"strings-{name}", patched(data, at, u64(count)), "limit", "open", at
    yield "strings-beyond-file", patched(data, at, u64(len(data) // 8)), "truncated", "open", at + 8


@recipe("G17")
def bools():
    m = base()
    data = m.build()
    at = m.at["tokenizer.ggml.add_bos_token", "value"]
    for value in (2, 255):
        yield f"bool-{value}", patched(data, at, bytes([value])), "bad_type", "open", at
    m = base().set("x.bools", ARRAY, (BOOL, [0, 1, 2]))
    data = m.build()
    yield "bool-in-array", data, "bad_type", "open", m.at["x.bools", "value"] + 14


@recipe("G18", "CVE-2025-0317 llama.cpp#24997 llama.cpp#26318")
def alignments():
    m = base()
    data = m.build()
    at = m.at["general.alignment", "value"]
    for value in (0, 3, 13, 2**31, 131072):
        yield f"alignment-{value}", patched(data, at, u32(value)), "bad_alignment", "open", at
    yield "alignment-i32", patched(data, at - 4, u32(I32)), "bad_alignment", "open", at - 4
    m = base().set("general.alignment", STRING, "32")
    data = m.build()
    yield "alignment-string", data, "bad_alignment", "open", m.at["general.alignment", "type"]
    m = base()
    m.keys.append(["general.alignment", U32, u32(64)])
    data = m.build()
    yield "alignment-twice", data, "bad_alignment", "open", m.at["general.alignment", "value"]


@recipe("G19")
def architectures():
    yield "arch-missing", base().drop("general.architecture").build(), "missing", "config", None
    m = base().set("general.architecture", U32, 7)
    data = m.build()
    yield "arch-number", data, "bad_type", "config", m.at["general.architecture", "value"]
    yield "arch-unknown", base().set("general.architecture", STRING, "llama9").build(), "unsupported", "config", None
    yield "arch-empty", base().set("general.architecture", STRING, "").build(), "unsupported", "config", None
    m = base().set("general.architecture", STRING, "l" * 2**21)
    data = m.build()
    yield "arch-2-mib", data, "limit", "open", m.at["general.architecture", "value"]


@recipe("G43")
def extremes():
    m = base()
    m.version = 2
    yield "version-2", m.build(), "ok", "ok", None
    for alignment in (1, 64, 65536):
        m = base().set("general.alignment", U32, alignment)
        m.alignment = alignment
        yield f"alignment-{alignment}", m.build(), "ok", "ok", None
    yield "alignment-absent", base().drop("general.alignment").build(), "ok", "ok", None
    yield "empty-string", base().set("general.name", STRING, "").build(), "ok", "ok", None
    yield "empty-array", base().set("x.none", ARRAY, (STRING, [])).set("x.zero", ARRAY, (F64, [])).build(), "ok", "ok", None
    yield "longest-key", base().set("k" * 65535, U8, 1).build(), "ok", "ok", None
    yield "longest-string", base().set("general.description", STRING, "x" * 2**20).build(), "ok", "ok", None
    m = base()
    m.tensors.append(Tensor("n" * 63, [2, 2, 2, 2]))
    yield "longest-name-4-dims", m.build(), "unsupported", "weights", None
    m = base()
    m.tensors = []
    yield "no-tensors", m.build(), "missing", "weights", None
    m = Model()
    yield "nothing", m.build(), "missing", "config", None
