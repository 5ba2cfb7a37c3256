"""X01 to X04: safetensors, CLIF-1, SCXM and manifests, which only the tools read (tests/hosted/hostile_tools_test.cpp)."""
import copy
import hashlib
import json
import struct

from gguf_writer import patched, u32, u64
from recipe import recipe

# ---- safetensors -----------------------------------------------------------------------------------------------------

TENSOR = {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]}


def safetensors(header, data=bytes(16)):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return u64(len(text)) + text + data


@recipe("X01", suffix="safetensors")
def safetensors_files():
    good = safetensors({"__metadata__": {"format": "pt"}, "a": TENSOR})
    yield "good", good, "ok", "ok", None
    yield "no-tensors", safetensors({}, b""), "ok", "ok", None
    yield "empty", b"", "truncated", "parse", None
    yield "7-bytes", good[:7], "truncated", "parse", None
    yield "length-2-64", patched(good, 0, u64(2**64 - 1)), "limit", "parse", 0
    yield "length-over-100-mb", patched(good, 0, u64(100_000_001)), "limit", "parse", 0
    yield "length-100-mb", patched(good, 0, u64(100_000_000)), "truncated", "parse", 0
    yield "length-beyond", patched(good, 0, u64(len(good) - 7)), "truncated", "parse", 0
    yield "data-short", good[:-1], "truncated", "parse", None
    yield "data-long", good + b"x", "bad_offset", "parse", None
    for name, text in [("not-json", b"{x}"), ("empty-header", b""), ("array", b"[]"), ("number", b"1"), ("open", b'{"a":'),
                       ("trailing", b'{}x'), ("null", b'{"a":null}'), ("bool", b'{"a":true}'), ("deep", b'{"a":' * 100_000),
                       ("deep-array", b'[' * 100_000), ("surrogate", b'{"\\ud800":1}'), ("nul", b'{"a\0":1}'), ("utf-8", b'{"\xff":1}')]:
        yield f"header-{name}", safetensors(text), "bad_syntax", "parse", None
    for name, change, error in [
            ("dtype-unknown", {"dtype": "F33"}, "bad_type"), ("dtype-number", {"dtype": 1}, "bad_syntax"),
            ("dtype-list", {"dtype": ["F32"]}, "bad_syntax"), ("shape-9", {"shape": [1] * 9}, "bad_shape"),
            ("shape-negative", {"shape": [-1]}, "bad_syntax"), ("shape-real", {"shape": [4.0]}, "bad_syntax"),
            ("shape-text", {"shape": ["4"]}, "bad_syntax"), ("shape-wraps", {"shape": [2**32, 2**32]}, "overflow"),
            ("shape-2-62", {"shape": [2**62]}, "overflow"), ("shape-2-64", {"shape": [2**64]}, "bad_syntax"),
            ("shape-other", {"shape": [2, 3]}, "mismatch"), ("offsets-one", {"data_offsets": [0]}, "bad_syntax"),
            ("offsets-three", {"data_offsets": [0, 16, 32]}, "bad_syntax"), ("offsets-backwards", {"data_offsets": [16, 0]}, "mismatch"),
            ("offsets-far", {"data_offsets": [2**63, 2**63 + 16]}, "truncated"), ("offsets-gap", {"data_offsets": [8, 24]}, "truncated"),
            ("key-unknown", {"stride": [1]}, "bad_syntax"), ("nested", {"shape": [[2, 2]]}, "bad_syntax")]:
        yield name, safetensors({"a": {**TENSOR, **change}}), error, "parse", None
    for key in TENSOR:
        yield f"without-{key}", safetensors({"a": {k: v for k, v in TENSOR.items() if k != key}}), "bad_syntax", "parse", None
    yield "overlap", safetensors({"a": TENSOR, "b": TENSOR}), "overlap", "parse", None
    yield "gap", safetensors({"a": TENSOR, "b": {**TENSOR, "data_offsets": [20, 36]}}, bytes(36)), "bad_offset", "parse", None
    yield "name-empty", safetensors({"": TENSOR}), "bad_name", "parse", None
    yield "name-1025", safetensors({"a" * 1025: TENSOR}), "bad_name", "parse", None
    one = json.dumps(TENSOR)
    yield "name-twice", safetensors(f'{{"a": {one}, "a": {one}}}'.encode()), "duplicate", "parse", None
    yield "key-twice", safetensors(b'{"a": {"dtype": "F32", "dtype": "F32"}}'), "duplicate", "parse", None
    for name, text in [("text-behind-dtype", b'{"a":{"shape":[4],"data_offsets":[0,16],"dtype":"F32"},"b":"F32"}'),
                       ("text-as-shape", b'{"a":{"dtype":"F64","data_offsets":[0,16],"shape":"F32"}}'),
                       ("offsets-as-dtype", b'{"a":{"dtype":[0,16],"shape":[],"data_offsets":[]}}'),
                       ("key-in-the-place-of-dtype", b'{"a":{"shape":[],"data_offsets":[0,16],"x":[]}}')]:
        yield name, safetensors(text), "bad_syntax", "parse", None
    yield "header-zeros-behind", safetensors(b"{}\0\0", b""), "bad_syntax", "parse", 10
    yield "offsets-wrap", safetensors({"a": {"dtype": "U8", "shape": [2**64 - 8], "data_offsets": [8, 0]}}), "mismatch", "parse", None


# ---- CLIF-1 and SCXM -------------------------------------------------------------------------------------------------


@recipe("X02", suffix="clif")
def clif_files():
    good = b"FILC" + struct.pack("<5I", 1, 32, 2, 288, 4) + bytes(40) + bytes(64)
    yield "good", good, "ok", "ok", None
    yield "empty", b"", "truncated", "parse", 0
    yield "63-bytes", good[:63], "truncated", "parse", 63
    yield "64-bytes", good[:64], "ok", "ok", None
    yield "magic", b"CLIF" + good[4:], "bad_magic", "parse", 0
    yield "version-2", patched(good, 4, u32(2)), "bad_version", "parse", 4
    for name, at, limit in [("width", 8, 2**20), ("layers", 12, 2**16), ("vocab", 16, 2**24)]:
        for value in (0, limit + 1, 2**32 - 1):
            yield f"{name}-{value}", patched(good, at, u32(value)), "bad_value", "parse", at
    yield "scheme-8", patched(good, 20, u32(8)), "unsupported", "parse", 20
    yield "reserved", patched(good, 63, b"\1"), "bad_value", "parse", 56


def scxm(tensors, version=1, count=None, footer=None, more=b""):
    out = b"SCXM" + struct.pack("<2I", version, len(tensors) if count is None else count)
    for name, packed, scales in tensors:
        for part in (name, packed):
            out += u32(len(part)) + part
        out += u32(len(scales) // 2) + scales
    out += more
    return out + (hashlib.sha256(out).digest() if footer is None else footer)


def resealed(data):
    return data[:-32] + hashlib.sha256(data[:-32]).digest()


@recipe("X03", suffix="scxm")
def scxm_files():
    one = (b"a", bytes(16), struct.pack("<H", 0x3C00))
    two = (b"b", bytes(16), struct.pack("<H", 0x3C00))
    good = scxm([one, two])
    yield "good", good, "ok", "ok", None
    yield "empty", b"", "truncated", "parse", None
    yield "43-bytes", good[:43], "truncated", "parse", None
    yield "magic", resealed(b"SCXN" + good[4:]), "bad_magic", "parse", 0
    yield "version-2", scxm([one], version=2), "bad_version", "parse", 4
    yield "count-2-32", scxm([one], count=2**32 - 1), "limit", "parse", 8
    yield "count-3-of-2", scxm([one, two], count=3), "truncated", "parse", None
    yield "footer", good[:-1] + bytes([good[-1] ^ 1]), "bad_hash", "parse", None
    yield "payload-bit", patched(good, 24, bytes([good[24] ^ 16])), "bad_hash", "parse", None
    yield "name-empty", scxm([(b"", *one[1:])]), "bad_name", "parse", None
    yield "name-256", scxm([(b"a" * 256, *one[1:])]), "limit", "parse", None
    yield "name-no-utf-8", scxm([(b"\xff", *one[1:])]), "bad_name", "parse", None
    yield "name-twice", scxm([one, one]), "duplicate", "parse", None
    yield "names-out-of-order", scxm([two, one]), "mismatch", "parse", None
    yield "bytes-left", scxm([one], more=b"x"), "mismatch", "parse", None
    for at in (12, 17, 37):
        yield f"length-at-{at}", resealed(patched(scxm([one]), at, u32(2**32 - 1))), "limit" if at == 12 else "truncated", "parse", None


# ---- manifests -------------------------------------------------------------------------------------------------------

HASH = "0" * 64
MANIFEST = {"schema": "lbm-manifest-1", "name": "a", "version": "1.0.0", "kind": "model", "licence": "MIT", "source_kind": "trained",
            "source": "here", "trained_quality_claim": False, "tool": "lbm", "evidence": [],
            "files": [{"path": "a.gguf", "size": 5000, "sha256": HASH, "chunk_size": 4096, "chunks": [HASH, HASH]}]}


def manifest(**change):
    return json.dumps({**MANIFEST, **change}).encode()


def with_file(**change):
    entry = {**copy.deepcopy(MANIFEST["files"][0]), **change}
    return manifest(files=[{k: v for k, v in entry.items() if v is not None}])


@recipe("X04", suffix="manifest")
def manifests():
    yield "good", manifest(), "ok", "ok", None
    yield "own-field", manifest(**{"x-note": {"a": [1]}}), "ok", "ok", None
    for name, text in [("empty", b""), ("text", b"hello"), ("open", b'{"a":'), ("trailing", manifest() + b"x"), ("nul", b'{"a\0": 1}'),
                       ("surrogate", b'{"a": "\\ud800"}'), ("utf-8", b'{"a": "\xff"}'), ("comma", b'{"a": 1,}')]:
        yield f"json-{name}", text, "bad_syntax", "parse", None
    yield "json-array", b"[]", "bad_type", "parse", None
    yield "json-zero-behind", manifest() + b'\0{"kind": "model"}', "bad_syntax", "parse", len(manifest())
    yield "json-deep", b'{"x-a":' * 60_000, "limit", "parse", None
    yield "json-deep-array", b'{"x-a":' + b"[" * 60_000, "limit", "parse", None
    yield "json-1e400", b'{"x-a": 1e400}', "overflow", "parse", None
    yield "key-twice", manifest()[:-1] + b', "name": "b"}', "duplicate", "parse", None
    yield "key-twice-inside", b'{"x-a": {"b": 1, "b": 2}}', "duplicate", "parse", None
    for key in ("schema", "name", "version", "kind", "licence", "source_kind", "source", "trained_quality_claim", "tool", "files"):
        yield f"without-{key}", json.dumps({k: v for k, v in MANIFEST.items() if k != key}).encode(), "missing", "parse", None
    for name, change, error in [
            ("schema-2", {"schema": "lbm-manifest-2"}, "bad_version"), ("schema-number", {"schema": 1}, "bad_type"),
            ("name-path", {"name": "../a"}, "bad_name"), ("name-empty", {"name": ""}, "bad_name"), ("name-dots", {"name": ".."}, "bad_name"),
            ("name-129", {"name": "a" * 129}, "bad_name"), ("name-nul", {"name": "a\0b"}, "bad_name"),
            ("version-1", {"version": "1"}, "bad_value"), ("version-words", {"version": "1.0.x"}, "bad_value"),
            ("version-4-parts", {"version": "1.0.0.0"}, "bad_value"), ("version-long", {"version": "1." * 2 + "1" * 40}, "bad_value"),
            ("kind-unknown", {"kind": "virus"}, "bad_value"), ("licence-escape", {"licence": "\x1b[2J"}, "bad_value"),
            ("licence-1025", {"licence": "a" * 1025}, "bad_value"), ("source-kind", {"source_kind": "good"}, "bad_value"),
            ("claim-text", {"trained_quality_claim": "yes"}, "bad_type"), ("claim-alone", {"trained_quality_claim": True}, "missing"),
            ("base-short", {"base_sha256": "0" * 63}, "bad_value"), ("base-letters", {"base_sha256": "g" * 64}, "bad_value"),
            ("field-unknown", {"extra": 1}, "unsupported"), ("signature", {"signature": {"key": "x"}}, "unsupported"),
            ("files-none", {"files": []}, None), ("files-object", {"files": {}}, "bad_type"), ("files-text", {"files": ["a"]}, "bad_type"),
            ("io-number", {"io": 1}, "bad_type"), ("deps-text", {"deps": "a"}, "bad_type")]:
        yield name, manifest(**change), error or "limit", "parse", None
    for name, change, error in [
            ("path-up", {"path": "../a"}, "bad_name"), ("path-root", {"path": "/a"}, "bad_name"), ("path-back", {"path": "a\\b"}, "bad_name"),
            ("path-missing", {"path": None}, "missing"), ("size-negative", {"size": -1}, "bad_type"), ("size-real", {"size": 1.5}, "bad_type"),
            ("size-text", {"size": "5000"}, "bad_type"), ("size-2-46-and-1", {"size": 2**46 + 1}, "bad_value"),
            ("size-2-64", {"size": 2**64}, "bad_type"), ("sha-upper-path", {"sha256": "../../../etc/passwd"}, "bad_value"),
            ("sha-65", {"sha256": "0" * 65}, "bad_value"), ("sha-63", {"sha256": "0" * 63}, "bad_value"),
            ("chunk-size-0", {"chunk_size": 0}, "bad_value"), ("chunk-size-4095", {"chunk_size": 4095}, "bad_value"),
            ("chunk-size-over", {"chunk_size": 2**28 + 1}, "bad_value"), ("chunks-fewer", {"chunks": [HASH]}, "mismatch"),
            ("chunks-more", {"chunks": [HASH] * 3}, "mismatch"), ("chunks-number", {"chunks": [HASH, 1]}, "bad_value"),
            ("chunks-short", {"chunks": [HASH, "00"]}, "bad_value"), ("chunks-missing", {"chunks": None}, "missing"),
            ("file-field-unknown", {"url": "http://x"}, "unsupported")]:
        yield name, with_file(**change), error, "parse", None
