"""S00 to S12: .slm. Where a field behind the checksum is changed, the checksum is made right again."""
import struct

from gguf_writer import I32, STRING, Tensor, patched, u32, u64
from other_formats import (NO_ID, S_F32, S_Q4, S_Q8, S_VOCAB, SHAPE_AT, SLM_ENTRY, SLM_HEADER, Slm, byte_tokenizer, fnv1a, gguf_section,
                           merge_tokenizer, sealed)
from recipe import recipe

THETA_AT, EPS_AT, TOKENIZER_AT, DIRECTORY_AT, COUNT_AT, DATA_AT, CHECKSUM_AT = 56, 60, 64, 80, 88, 92, 100
Q = "blk.0.attn_q.weight"


@recipe("S00", suffix="slm")
def good_files():
    for name, kind in [("f32", S_F32), ("q8", S_Q8), ("q4", S_Q4)]:
        yield name, Slm(kind).build(), "ok", "ok", None
    merges = [(ord("t"), ord("h"), S_VOCAB - 2, 0), (S_VOCAB - 2, ord("e"), S_VOCAB - 1, 0)]
    yield "merges", Slm(tokenizer=merge_tokenizer(merges)).build(), "ok", "ok", None
    yield "gguf-metadata", Slm(tokenizer=gguf_section().build()).build(), "ok", "ok", None
    m = Slm(S_Q8)
    m.scale = 0.1  # no f16: shown as F32
    yield "q8-odd-scale", m.build(), "ok", "ok", None


@recipe("S01", suffix="slm")
def starts():
    data = Slm().build()
    yield "swapped-magic", b"1MLS" + data[4:], "bad_endian", "open", 0
    yield "swapped-version", patched(data, 4, struct.pack(">I", 1)), "bad_endian", "open", 4
    for version in (0, 2, 2**32 - 1):
        yield f"version-{version}", patched(data, 4, u32(version)), "bad_version", "open", 4
    yield "flag-2", patched(data, 16, u32(3)), "bad_version", "open", 16
    yield "flag-2-31", patched(data, 16, u32(2**31)), "bad_version", "open", 16
    yield "reserved-12", patched(data, 12, u32(1)), "bad_version", "open", 12
    yield "reserved-52", patched(data, 52, u32(1)), "bad_version", "open", 52


@recipe("S02", suffix="slm")
def header_sizes():
    data = Slm().build()
    for value, error in [(0, "bad_value"), (SLM_HEADER - 1, "bad_value"), (len(data) + 1, "truncated"), (2**32 - 1, "truncated"),
                         (SLM_HEADER + 1, "overlap"), (len(data), "overlap")]:
        yield f"header-size-{value}", patched(data, 8, u32(value)), error, "open", TOKENIZER_AT if error == "overlap" else 8


@recipe("S03", suffix="slm")
def sections():
    m = Slm()
    data = m.build()
    size = len(data)
    # The directory as late as it may stand, then with nothing behind it.
    late = m.at["data"] - len(m.tensors) * SLM_ENTRY
    moved = data[:m.at["directory"]] + bytes(late - m.at["directory"]) + data[m.at["directory"]:][:len(m.tensors) * SLM_ENTRY]
    moved = patched(moved, DIRECTORY_AT, u64(late))
    yield "directory-up-to-data", sealed(moved + data[m.at["data"]:]), "ok", "ok", None
    yield "directory-and-no-data", sealed(moved), "truncated", "open", late + 32
    for name, offset, error, at in [
            ("tokenizer-wraps", 2**64 - 1, "overflow", TOKENIZER_AT), ("tokenizer-in-header", 0, "overlap", TOKENIZER_AT),
            ("tokenizer-in-header-by-1", SLM_HEADER - 1, "overlap", TOKENIZER_AT),
            ("tokenizer-beyond", size, "truncated", TOKENIZER_AT), ("tokenizer-in-data", m.at["data"], "overlap", TOKENIZER_AT),
            ("tokenizer-on-directory", m.at["directory"], "overlap", TOKENIZER_AT),
            ("tokenizer-by-1", m.at["tokenizer"] + 1, "overlap", DIRECTORY_AT)]:
        yield name, patched(data, TOKENIZER_AT, u64(offset)), error, "open", None if name.endswith("directory") else at
    for name, length, error, at in [("length-wraps", 2**64 - 1, "limit", TOKENIZER_AT + 8),
                                    ("length-64-mib", 2**26, "truncated", TOKENIZER_AT), ("length-64-mib-and-1", 2**26 + 1, "limit", TOKENIZER_AT + 8),
                                    ("length-beyond", size, "truncated", TOKENIZER_AT)]:
        yield f"tokenizer-{name}", patched(data, TOKENIZER_AT + 8, u64(length)), error, "open", at
    for name, offset, error in [("wraps", 2**64 - 1, "overflow"), ("in-header", 64, "overlap"), ("beyond", size, "truncated"),
                                ("in-data", m.at["data"], "overlap")]:
        yield f"directory-{name}", patched(data, DIRECTORY_AT, u64(offset)), error, "open", DIRECTORY_AT
    for count in (0, 1, len(m.tensors) - 1, len(m.tensors) + 2, 2**20, 2**32 - 1):
        yield f"count-{count}", patched(data, COUNT_AT, u32(count)), "mismatch", "open", COUNT_AT
    yield "tied-flag-off", patched(data, 16, u32(0)), "missing", "open", 16
    for name, offset, error in [("odd", m.at["data"] + 1, "bad_alignment"), ("beyond", (size // 64 + 1) * 64, "truncated"),
                                ("2-63", 2**63, "truncated")]:
        yield f"data-{name}", patched(data, DATA_AT, u64(offset)), error, "open", DATA_AT
    yield "data-later", sealed(patched(data, DATA_AT, u64(m.at["data"] + 64))), "overlap", "open", m.at["token_embd.weight"] + 32


@recipe("S04", suffix="slm")
def checksums():
    m = Slm()
    data = m.build()
    for name, at in [("checksum", CHECKSUM_AT), ("tokenizer", m.at["tokenizer"] + 12), ("directory", m.at[Q] + 60),
                     ("weights", m.at[Q, "data"]), ("last-byte", len(data) - 1)]:
        yield f"flipped-{name}", patched(data, at, bytes([data[at] ^ 1])), "bad_hash", "open", CHECKSUM_AT
    yield "checksum-0", patched(data, CHECKSUM_AT, u64(0)), "bad_hash", "open", CHECKSUM_AT


def with_entry(m, offset, value, name=Q):
    return sealed(patched(m.build(seal=False), m.at[name] + offset, value)), m.at[name] + offset


@recipe("S05", suffix="slm")
def groups():
    for label, kind, values in [("q8", S_Q8, (0, 1, 31, 33, 2**31)), ("q4", S_Q4, (0, 16, 33, 2**32 - 1)), ("f32", S_F32, (1, 32))]:
        for value in values:
            data, at = with_entry(Slm(kind), 56, u32(value))
            yield f"block-{label}-{value}", data, "bad_value", "open", at
    data, at = with_entry(Slm(), 60, u32(1))
    yield "entry-reserved", data, "bad_value", "open", at
    for name, bits in [("nan", 0x7FC00000), ("inf", 0x7F800000), ("minus-inf", 0xFF800000)]:
        for label, kind in [("q8", S_Q8), ("q4", S_Q4)]:
            m = Slm(kind)
            data = m.build()
            at = m.at[Q, "scales"] + 4
            yield f"scale-{label}-{name}", sealed(patched(data, at, u32(bits))), "numeric", "open", at


@recipe("S06", suffix="slm")
def types():
    for value in (0, 4, 255, 2**32 - 1):
        data, at = with_entry(Slm(), 8, u32(value))
        yield f"dtype-{value}", data, "bad_type", "open", at


@recipe("S07", suffix="slm")
def prefixes():
    m = Slm()
    data = m.build()
    for n in (4, 8, 12, 64, SLM_HEADER - 1):
        yield f"header-{n}", data[:n], "truncated", "open", n
    for name in ("tokenizer", "directory", "data", "end"):
        for more in (-1, 0, 1):
            if name == "end" and more >= 0:
                continue
            inside = name == "end" or (name == "data" and more >= 0)
            yield f"cut-{name}{more:+d}", data[:m.at[name] + more], "bad_hash" if inside else "truncated", "open", None
    yield "cut-and-sealed", sealed(data[:-64]), "truncated", "open", m.at["output_norm.weight"] + 32
    yield "junk-64", sealed(data + bytes(64)), "mismatch", "open", len(data)
    yield "junk-1", sealed(data + b"x"), "mismatch", "open", len(data)


@recipe("S08", suffix="slm")
def tokenizers():
    def of(section):
        return Slm(tokenizer=section).build()
    at = SLM_HEADER
    yield "magic", of(b"BTOX" + byte_tokenizer()[4:]), "bad_magic", "open", at
    yield "empty", sealed(patched(Slm().build(), TOKENIZER_AT + 8, u64(0))), "bad_magic", "open", at
    yield "short", of(byte_tokenizer()[:63]), "truncated", "open", at
    yield "version-2", of(byte_tokenizer(version=2)), "bad_version", "open", at + 4
    for n in (S_VOCAB - 1, S_VOCAB + 1):
        yield f"vocab-{n}", of(byte_tokenizer(n_vocab=n)), "mismatch", "open", at + 8
    yield "flag-4", of(byte_tokenizer(flags=4)), "bad_version", "open", at + 12
    for value in (0, 255, S_VOCAB, 2**31):
        yield f"bos-{value}", of(byte_tokenizer(bos=value)), "bad_value", "open", at + 16
        yield f"eos-{value}", of(byte_tokenizer(eos=value)), "bad_value", "open", at + 20
    yield "bos-added-not-named", of(byte_tokenizer(bos=NO_ID)), "mismatch", "open", at + 12
    yield "eos-added-not-named", of(byte_tokenizer(eos=NO_ID, flags=2)), "mismatch", "open", at + 12
    yield "reserved", of(byte_tokenizer()[:60] + u32(1)), "bad_value", "open", at + 60
    yield "bytes-with-merges", of(byte_tokenizer(n_merge=1) + bytes(16)), "bad_value", "open", at + 32
    yield "bytes-too-long", of(byte_tokenizer() + bytes(16)), "mismatch", "open", at + 32
    last = S_VOCAB - 1
    for name, merge, error, field in [("left-itself", (last, 1, last, 0), "bad_value", 0), ("right-itself", (1, last, last, 0), "bad_value", 0),
                                      ("left-far", (2**32 - 1, 1, last, 0), "bad_value", 0), ("special", (256, 1, last, 0), "bad_value", 0),
                                      ("special-right", (1, 256, last, 0), "bad_value", 0),
                                      ("result", (1, 1, last - 1, 0), "mismatch", 8), ("reserved", (1, 1, last, 1), "mismatch", 8)]:
        yield f"merge-{name}", of(merge_tokenizer([merge])), error, "open", at + 64 + field
    for n in (2**28, 2**32 - 1):
        section = merge_tokenizer([(1, 1, last, 0)])
        yield f"merges-{n}", of(patched(section, 32, u32(n))), "truncated", "open", at + 32
    yield "merges-fewer", of(patched(merge_tokenizer([(1, 1, last, 0)]), 32, u32(0))), "mismatch", "open", at + 32
    chain = [(S_VOCAB - 9 + i if i else 1, S_VOCAB - 9 + i if i else 1, S_VOCAB - 8 + i, 0) for i in range(8)]
    yield "merges-double", of(merge_tokenizer(chain)), "limit", "open", at + 64 + 7 * 16
    yield "merges-128-bytes", of(merge_tokenizer([(1, 1, S_VOCAB - 7, 0)] + [(S_VOCAB - 8 + i, S_VOCAB - 8 + i, S_VOCAB - 7 + i, 0)
                                                                            for i in range(1, 7)])), "ok", "ok", None
    m = Slm()
    m.shape[0] = 256 + 65
    m.tensors[0] = ("token_embd.weight", 32, m.shape[0])
    m.tokenizer = byte_tokenizer(n_vocab=m.shape[0])
    yield "specials-65", m.build(), "mismatch", "open", at + 8
    for n, first in ((256 + 64, 256), (256, NO_ID)):  # all the special tokens there may be, and none
        m.shape[0] = n
        m.tensors[0] = ("token_embd.weight", 32, n)
        m.tokenizer = byte_tokenizer(n_vocab=n, bos=first, eos=first, flags=0)
        yield f"vocab-{n}", m.build(), "ok", "ok", None
    m.shape[0] = 255
    m.tensors[0] = ("token_embd.weight", 32, 255)
    m.tokenizer = byte_tokenizer(n_vocab=255, bos=NO_ID, eos=NO_ID, flags=0)
    yield "vocab-255", m.build(), "mismatch", "open", at + 8


@recipe("S09", suffix="slm")
def shapes():
    data = Slm().build()
    names = ["n-vocab", "n-layer", "n-head", "n-head-kv", "head-dim", "n-ff", "n-ctx", "n-embd"]
    limits = [2**20, 1024, 1024, 1024, 1024, 2**20, 2**20, 2**20]
    for i, (name, limit) in enumerate(zip(names, limits)):
        for value in (0, limit + 1, 2**32 - 1):
            yield f"{name}-{value}", patched(data, SHAPE_AT + 4 * i, u32(value)), "bad_value", "open", SHAPE_AT + 4 * i
    yield "n-head-kv-3", patched(data, SHAPE_AT + 12, u32(3)), "mismatch", "open", SHAPE_AT + 12
    yield "head-dim-odd", patched(data, SHAPE_AT + 16, u32(7)), "bad_value", "open", SHAPE_AT + 16
    for name, at in [("theta", THETA_AT), ("eps", EPS_AT)]:
        for label, bits in [("0", 0), ("minus-1", 0xBF800000), ("nan", 0x7FC00000), ("inf", 0x7F800000)]:
            yield f"{name}-{label}", patched(data, at, u32(bits)), "numeric", "open", at
    for label, kind, rank, at in [("rank-0", S_F32, 0, 12), ("rank-3", S_F32, 3, 12)]:
        data, place = with_entry(Slm(kind), at, u32(rank))
        yield label, data, "bad_shape", "open", place
    for i in range(4):
        data, place = with_entry(Slm(), 16 + 4 * i, u32(5))
        yield f"dim-{i}", data, "mismatch", "open", place
    for label, kind, error in [("q4", S_Q4, "bad_shape"), ("q8", S_Q8, "ok")]:
        m = Slm(kind)
        m.shape[7] = 33
        m.tensors = [(name, *(33 if n == 32 and (name.split(".")[-2], i) not in [("attn_output", 0), ("attn_q", 1)] else n
                              for i, n in enumerate(dims))) for name, *dims in m.tensors]
        data = m.build()
        yield f"odd-columns-{label}", data, error, "ok" if error == "ok" else "open", None if error == "ok" else m.at["token_embd.weight"] + 16
    data, at = with_entry(Slm(), 0, u64(fnv1a(b"blk.0.attn_x.weight")))
    yield "name-unknown", data, "bad_name", "open", at
    data, at = with_entry(Slm(), 0, u64(fnv1a(b"token_embd.weight")))
    yield "name-twice", data, "duplicate", "open", at
    m = Slm()
    m.build()
    right = m.at[Q, "data"]
    for name, value, error in [("odd", right + 1, "bad_alignment"), ("overlap", right - 64, "overlap"), ("gap", right + 64, "bad_offset"),
                               ("far", 2**64 - 64, "bad_offset")]:
        data, at = with_entry(Slm(), 32, u64(value))
        yield f"data-offset-{name}", data, error, "open", at
    for value in (0, 1, 2**63):
        data, at = with_entry(Slm(), 40, u64(value))
        yield f"data-length-{value}", data, "mismatch", "open", at
    data, at = with_entry(Slm(), 48, u64(64))
    yield "scales-of-f32", data, "bad_offset", "open", at
    data, at = with_entry(Slm(S_Q8), 48, u64(0))
    yield "scales-of-q8-0", data, "overlap", "open", at


@recipe("S10", suffix="slm")
def metadata_sections():
    def of(m):
        return Slm(tokenizer=m.build()).build()
    yield "gguf-version", Slm(tokenizer=patched(gguf_section().build(), 4, u32(9))).build(), "bad_version", "open", SLM_HEADER + 4
    m = gguf_section()
    m.tensors = [Tensor("x", [4])]
    yield "gguf-with-tensors", of(m), "mismatch", "open", SLM_HEADER + 8
    yield "gguf-no-architecture", of(gguf_section().drop("general.architecture")), "missing", "open", None
    m = gguf_section().set("general.architecture", STRING, "qwen2")
    yield "gguf-other-architecture", of(m), "unsupported", "open", SLM_HEADER + m.at["general.architecture", "value"]
    for key, at in [("block_count", 4), ("attention.head_count", 8), ("attention.head_count_kv", 12), ("feed_forward_length", 20),
                    ("context_length", 24), ("embedding_length", 28)]:
        yield f"gguf-{key}", of(gguf_section({key: 1000})), "mismatch", "open", SHAPE_AT + at
    yield "gguf-key-length", of(gguf_section({"attention.key_length": 16})), "mismatch", "open", SHAPE_AT + 16
    m = gguf_section().set("llama.block_count", I32, -4)
    yield "gguf-key-negative", of(m), "bad_value", "open", SLM_HEADER + m.at["llama.block_count", "value"]
    m = gguf_section()
    yield "gguf-key-string", of(m.set("llama.block_count", STRING, "1")), "bad_type", "open", None
    yield "gguf-no-tokens", of(gguf_section().drop("tokenizer.ggml.tokens")), "missing", "open", None
    m = Slm(tokenizer=gguf_section().build())
    m.shape[0] = S_VOCAB - 1
    m.tensors[0] = ("token_embd.weight", 32, S_VOCAB - 1)
    yield "gguf-fewer-tokens", m.build(), "mismatch", "open", SHAPE_AT
