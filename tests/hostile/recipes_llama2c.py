"""B00 to B11 and T01 to T04: llama2.c. A model (.bin) has its tokenizer beside it: NAME.tokenizer.bin, else tokenizer.bin."""
import struct

from base_models import base, vocabulary
from gguf_writer import patched, u32
from other_formats import FIELDS, HEADS, SHAPE, VOCAB, current_bin, legacy_bin, tokenizer_bin
from recipe import BESIDE, recipe

INT_MIN, INT_MAX = -2**31, 2**31 - 1


@recipe("B00", suffix="bin")
def good_files():
    yield "=tokenizer.bin", tokenizer_bin(), *BESIDE
    yield "legacy", legacy_bin(), "ok", "ok", None
    yield "legacy-tied", legacy_bin(tied=True), "ok", "ok", None
    yield "v1", current_bin(1), "ok", "ok", None
    yield "v1-tied", current_bin(1, tied=1), "ok", "ok", None
    yield "v2", current_bin(2), "ok", "ok", None
    yield "v2-groups-of-1", current_bin(2, group=1), "ok", "ok", None


@recipe("B01", suffix="bin")
def stubs():
    data = legacy_bin()
    yield "0-bytes", b"", "truncated", "open", 0
    yield "1-byte", data[:1], "truncated", "open", 0
    yield "27-bytes", data[:27], "truncated", "open", 27
    yield "28-bytes", data[:28], "truncated", "open", 28
    yield "v1-8-bytes", current_bin(1)[:8], "truncated", "open", 8
    yield "v1-255-bytes", current_bin(1)[:255], "truncated", "open", 255
    yield "v1-256-bytes", current_bin(1)[:256], "truncated", "open", 256
    # A header and nothing else: it is read, and what is wrong in it is told.
    yield "v3-256-bytes", patched(current_bin(1)[:256], 4, u32(3)), "bad_version", "open", 4
    yield "layers-0-28-bytes", patched(data[:28], 8, u32(0)), "bad_shape", "open", 8


def with_field(field, value):
    shape = list(SHAPE)
    shape[5] = -VOCAB
    shape[field] = value
    return legacy_bin(shape)


@recipe("B02", suffix="bin")
def fields():
    for field, name in enumerate(FIELDS):
        for label, value in [("0", 0), ("minus-1", -1), ("int-min", INT_MIN), ("int-max", INT_MAX)]:
            error = "bad_shape"
            if name == "vocab" and value == -1:
                error = "mismatch"  # a vocabulary of 1: the file is far too long then
            elif name == "context" and value == INT_MAX:
                error = "limit"
            elif name == "layers" and value == INT_MAX:
                error = "overflow"
            yield f"{name}-{label}", with_field(field, value), error, "open", None if error == "mismatch" else 4 * field


@recipe("B03", suffix="bin")
def heads():
    for name, field, value in [("heads-3", 3, 3), ("heads-64", 3, 64), ("kv-heads-3", 4, 3), ("kv-heads-8", 4, 8),
                               ("heads-odd-size", 3, 32)]:
        yield name, with_field(field, value), "bad_shape", "open", 4 * field


@recipe("B04", suffix="bin")
def products():
    shape = [65536, 65536, 65536, HEADS, 2, -VOCAB, 16]
    yield "product-2-64", current_bin(1, shape=[2**20, 2**20, 2**24, HEADS, 2, VOCAB, 16]), "overflow", "open", 8 + 8
    yield "product-2-48", current_bin(1, shape=[65536, 65536, 65536, HEADS, 2, VOCAB, 16]), "overflow", "open", 8 + 8
    shape[2] = 1024
    yield "product-2-42", legacy_bin(shape), "overflow", "open", 8
    data = legacy_bin([2**20, 2**20, 1, 1024, 2, -VOCAB, 16])
    yield "product-2-40", data, "truncated", "open", len(data)
    yield "layers-1025", with_field(2, 1025), "bad_shape", "open", 8


@recipe("B05", suffix="bin")
def lengths():
    data = legacy_bin()
    yield "float-short", data[:-4], "truncated", "open", len(data) - 4
    yield "byte-short", data[:-1], "truncated", "open", len(data) - 1
    yield "float-long", data + bytes(4), "mismatch", "open", len(data)
    yield "byte-long", data + b"\0", "mismatch", "open", len(data)
    data = current_bin(2)
    yield "v2-byte-short", data[:-1], "truncated", "open", len(data) - 1
    yield "v2-byte-long", data + b"\0", "mismatch", "open", len(data)


@recipe("B06", suffix="bin")
def classifiers():
    tied = legacy_bin(tied=True)
    yield "tied-says-untied", patched(tied, 20, struct.pack("<i", -VOCAB)), "truncated", "open", len(tied)
    untied = legacy_bin()
    yield "untied-says-tied", patched(untied, 20, struct.pack("<i", VOCAB)), "mismatch", "open", len(tied)


@recipe("B07", suffix="bin")
def contexts():
    yield "context-2-30", with_field(6, 2**30), "limit", "open", 24
    yield "context-2-20-and-1", with_field(6, 2**20 + 1), "limit", "open", 24
    yield "context-2-20", with_field(6, 2**20), "truncated", "open", None


@recipe("B08", suffix="bin")
def tables():
    data = legacy_bin()
    n = 16 * 8 * 4
    start = len(data) - VOCAB * 32 * 4 - n
    yield "without-cos-and-sin", data[:start] + data[start + n:], "truncated", "open", len(data) - n


@recipe("B09", suffix="bin")
def versions():
    for version in (0, 3, INT_MAX):
        yield f"version-{version}", patched(current_bin(1), 4, struct.pack("<i", version)), "bad_version", "open", 4
    for tied in (2, 255):
        yield f"tied-{tied}", patched(current_bin(2), 36, bytes([tied])), "bad_value", "open", 36
    for group in (0, -1, 7, 64, INT_MIN):
        yield f"group-{group}", patched(current_bin(2), 37, struct.pack("<i", group)), "bad_shape", "open", 37
    data = current_bin(2)
    yield "header-not-padded", data[:41] + data[256:], "truncated", "open", len(data) - 215
    yield "v1-negative-vocab", patched(current_bin(1), 28, struct.pack("<i", -VOCAB)), "bad_shape", "open", 28


@recipe("B10", suffix="bin")
def disguises():
    yield "gguf-inside", base().build(), "ok", "ok", None
    yield "pickle", b"\x80\x02}q\0." + bytes(100), "bad_magic", "open", 0
    yield "zip", b"PK\x03\x04" + bytes(100), "bad_magic", "open", 0
    yield "gzip", b"\x1f\x8b\x08" + bytes(100), "bad_magic", "open", 0
    yield "json", b'{"weight_map": {}}' + bytes(20), "bad_magic", "open", 0
    yield "tokenizer-as-model", tokenizer_bin(), "bad_magic", "open", 0
    yield "text", b"Once upon a time there was a file of text.\n" * 4, "bad_magic", "open", 0
    yield "zeros", bytes(4096), "bad_magic", "open", 0
    yield "ones", b"\xff" * 4096, "bad_magic", "open", 0


@recipe("B11", suffix="bin")
def odd_weights():
    data = current_bin(2)
    scale = len(data) - 4
    for name, bits in [("nan", 0x7FC00000), ("inf", 0x7F800000)]:
        yield f"scale-{name}", patched(data, scale, u32(bits)), "numeric", "open", scale
    yield "zeros-for-weights", legacy_bin()[:28] + bytes(len(legacy_bin()) - 28), "ok", "ok", None


def pair(name, tokenizer, error, stage, offset):
    """A good model, and a tokenizer of its own."""
    yield name, legacy_bin(), error, stage, offset
    yield f"={name}.tokenizer.bin", tokenizer, *BESIDE


@recipe("T01", "CVE-2025-49847", suffix="bin")
def token_lengths():
    at = 4 + sum(8 + len(p.replace("\u2581", " ").encode()) for p in vocabulary()[0][:5]) + 4
    for label, length, error in [("minus-1", -1, "bad_value"), ("int-max", INT_MAX, "bad_value"), ("over-longest", 7, "bad_value")]:
        yield from pair(f"length-{label}", tokenizer_bin(lengths={5: length}), error, "open", at)
    data = tokenizer_bin()
    last = len(data) - len(b"ou")
    yield from pair("length-beyond-file", patched(data, last - 4, u32(6)), "truncated", "open", last - 4)


@recipe("T02", suffix="bin")
def longest_lengths():
    for value in (0, -1, INT_MIN, INT_MAX, 4097):
        yield from pair(f"longest-{value}", tokenizer_bin(longest=value), "bad_value", "open", 0)
    yield from pair("longest-4096", tokenizer_bin(longest=4096), "ok", "ok", None)


@recipe("T03", suffix="bin")
def record_counts():
    pieces = vocabulary()[0]
    data = tokenizer_bin(pieces[:-1])
    yield from pair("records-fewer", data, "truncated", "open", len(data))
    yield from pair("records-none", b"\x06\0\0\0", "truncated", "open", 4)
    yield from pair("records-empty", b"", "truncated", "open", 0)
    yield from pair("records-more", tokenizer_bin(pieces + ["zz"]), "mismatch", "open", len(tokenizer_bin()))
    yield from pair("records-junk", tokenizer_bin() + b"\0", "mismatch", "open", len(tokenizer_bin()))


@recipe("T04", suffix="bin")
def scores():
    for name, value in [("nan", float("nan")), ("inf", float("inf")), ("minus-inf", float("-inf"))]:
        changed = list(vocabulary()[1])
        changed[0] = value
        yield from pair(f"bin-score-{name}", tokenizer_bin(scores=changed), "numeric", "open", 4)
