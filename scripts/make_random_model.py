#!/usr/bin/env python3
"""Writes a model of random F16 weights in a shape of your choice: for measuring speed, which does not depend on what weights say.

  make_random_model.py --vocabulary MODEL.gguf --out FILE [--layers 16] [--width 2048] [--ffn 8192] [--heads 32] [--kv-heads 8]
                       [--vocab 128256] [--context 8192] [--rope-base 500000] [--seed 0]

The defaults are the shape of Llama 3.2 1B. The tokenizer is that of MODEL.gguf (GGUF v2 or v3), filled up with unused tokens. The
output matrix is the embedding (tied). Weights are normal with sigma 0.02 (attn_output and ffn_down 0.01), norms are 1. Other types
come from a peer's llama-quantize.

Random bytes become F16 by a table: the high byte of each value (sign, exponent, two bits of mantissa) is the high byte of one of
256 quantiles of the normal distribution, the low byte is random. Nothing but Python is needed, and a seed gives one file.

Exit codes: 0 written, 1 failed, 2 usage.
"""

import argparse
import random
import statistics
import struct
import sys
from pathlib import Path

U32, F32, STRING, ARRAY = 4, 6, 8, 9
FIXED_BYTES = {0: 1, 1: 1, 2: 2, 3: 2, U32: 4, 5: 4, F32: 4, 7: 1, 10: 8, 11: 8, 12: 8}
T_F32, T_F16 = 0, 1
ALIGNMENT = 32
UNUSED_TOKEN = 5
CHUNK_VALUES = 4 << 20


class BadModel(Exception):
    pass


class Reader:
    """Reads the metadata of a GGUF file: key -> (type, value); an array is (element type, [bytes of each element])."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, n_byte):
        if self.at + n_byte > len(self.data):
            raise BadModel("the metadata is truncated")
        self.at += n_byte
        return self.data[self.at - n_byte:self.at]

    def number(self, pattern):
        return struct.unpack(pattern, self.take(struct.calcsize(pattern)))[0]

    def element(self, kind):
        """The bytes of one value as they are in the file."""
        if kind == STRING:
            size = self.number("<Q")
            return struct.pack("<Q", size) + self.take(size)
        if kind not in FIXED_BYTES:
            raise BadModel(f"unknown type {kind} in the metadata")
        return self.take(FIXED_BYTES[kind])

    def metadata(self):
        if self.take(4) != b"GGUF" or self.number("<I") not in (2, 3):
            raise BadModel("not a GGUF file of version 2 or 3")
        self.number("<Q")  # tensors
        out = {}
        for _ in range(self.number("<Q")):
            key = self.take(self.number("<Q")).decode()
            kind = self.number("<I")
            if kind == ARRAY:
                inner, count = self.number("<I"), self.number("<Q")
                out[key] = (ARRAY, (inner, [self.element(inner) for _ in range(count)]))
            else:
                out[key] = (kind, self.element(kind))
        return out


def text(value):
    return struct.pack("<Q", len(value.encode())) + value.encode()


def encode(key, kind, value):
    if kind == ARRAY:
        inner, elements = value
        value = struct.pack("<IQ", inner, len(elements)) + b"".join(elements)
    return text(key) + struct.pack("<I", kind) + value


def padded_tokenizer(metadata, n_vocab):
    """The tokenizer's keys, its tables filled up to n_vocab with unused tokens."""
    keys = {key: entry for key, entry in metadata.items() if key.startswith("tokenizer.")}
    try:
        n_old = len(keys["tokenizer.ggml.tokens"][1][1])
    except KeyError:
        raise BadModel("the file has no vocabulary") from None
    if n_old > n_vocab:
        raise BadModel(f"the vocabulary has {n_old} tokens, more than --vocab {n_vocab}")
    fill = {"tokenizer.ggml.tokens": [text(f"<unused{i}>") for i in range(n_old, n_vocab)],
            "tokenizer.ggml.token_type": [struct.pack("<I", UNUSED_TOKEN)] * (n_vocab - n_old),
            "tokenizer.ggml.scores": [struct.pack("<f", -1e9)] * (n_vocab - n_old)}
    for key, more in fill.items():
        if key in keys:
            inner, elements = keys[key][1]
            keys[key] = (ARRAY, (inner, elements + more))
    return keys


def describe(shape):
    """The keys of the architecture."""
    def number(value):
        return U32, struct.pack("<I", value)

    def real(value):
        return F32, struct.pack("<f", value)
    return {"general.architecture": (STRING, text("llama")),
            "general.name": (STRING, text(f"random {shape.layers}x{shape.width}")),
            "general.file_type": number(1),  # mostly F16
            "llama.block_count": number(shape.layers),
            "llama.context_length": number(shape.context),
            "llama.embedding_length": number(shape.width),
            "llama.feed_forward_length": number(shape.ffn),
            "llama.attention.head_count": number(shape.heads),
            "llama.attention.head_count_kv": number(shape.kv_heads),
            "llama.rope.dimension_count": number(shape.width // shape.heads),
            "llama.rope.freq_base": real(shape.rope_base),
            "llama.attention.layer_norm_rms_epsilon": real(1e-5),
            "llama.vocab_size": number(shape.vocab)}


def tensor_list(shape):
    """(name, dims, sigma) of every tensor, in the file's order; sigma None: a norm, all 1."""
    kv_width = shape.width // shape.heads * shape.kv_heads
    out = [("token_embd.weight", (shape.width, shape.vocab), 0.02)]
    for layer in range(shape.layers):
        def add(name, dims, sigma, layer=layer):
            out.append((f"blk.{layer}.{name}.weight", dims, sigma))
        add("attn_norm", (shape.width,), None)
        add("attn_q", (shape.width, shape.width), 0.02)
        add("attn_k", (shape.width, kv_width), 0.02)
        add("attn_v", (shape.width, kv_width), 0.02)
        add("attn_output", (shape.width, shape.width), 0.01)
        add("ffn_norm", (shape.width,), None)
        add("ffn_gate", (shape.width, shape.ffn), 0.02)
        add("ffn_up", (shape.width, shape.ffn), 0.02)
        add("ffn_down", (shape.ffn, shape.width), 0.01)
    out.append(("output_norm.weight", (shape.width,), None))
    return out


def count(dims):
    n = 1
    for dim in dims:
        n *= dim
    return n


def high_bytes(sigma):
    """For a random byte, the high byte of an F16 value; all 256 together are normal with this sigma."""
    normal = statistics.NormalDist(0.0, sigma)
    return bytes(struct.pack("<e", normal.inv_cdf((i + 0.5) / 256))[1] for i in range(256))


def write_tensor(out, rng, dims, sigma):
    if sigma is None:
        out.write(struct.pack("<f", 1.0) * count(dims))
    else:
        table = high_bytes(sigma)
        for at in range(0, count(dims), CHUNK_VALUES):
            values = bytearray(rng.randbytes(2 * min(CHUNK_VALUES, count(dims) - at)))
            values[1::2] = values[1::2].translate(table)
            out.write(values)
    out.write(bytes(-out.tell() % ALIGNMENT))


def write_model(out, keys, shape):
    tensors = tensor_list(shape)
    out.write(b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(keys)))
    for key, (kind, value) in keys.items():
        out.write(encode(key, kind, value))
    offset = 0
    for name, dims, sigma in tensors:
        kind, n_byte = (T_F32, 4 * count(dims)) if sigma is None else (T_F16, 2 * count(dims))
        out.write(text(name) + struct.pack(f"<I{len(dims)}QIQ", len(dims), *dims, kind, offset))
        offset += n_byte + -n_byte % ALIGNMENT
    out.write(bytes(-out.tell() % ALIGNMENT))
    rng = random.Random(shape.seed)
    for _, dims, sigma in tensors:
        write_tensor(out, rng, dims, sigma)


def read_metadata(path):
    with open(path, "rb") as file:
        return Reader(file.read(256 << 20)).metadata()


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vocabulary", required=True, type=Path, metavar="MODEL.gguf")
    parser.add_argument("--out", required=True, type=Path)
    for name, default in (("layers", 16), ("width", 2048), ("ffn", 8192), ("heads", 32), ("kv-heads", 8), ("vocab", 128256),
                          ("context", 8192), ("seed", 0)):
        parser.add_argument("--" + name, type=int, default=default, help=f"default {default}")
    parser.add_argument("--rope-base", type=float, default=500000.0, help="default 500000")
    shape = parser.parse_args(arguments)
    if shape.width % shape.heads or shape.heads % shape.kv_heads:
        parser.error("--width must be a multiple of --heads, and --heads of --kv-heads")
    try:
        keys = {**describe(shape), **padded_tokenizer(read_metadata(shape.vocabulary), shape.vocab)}
        with open(shape.out, "wb") as out:
            write_model(out, keys, shape)
    except (BadModel, OSError) as error:
        print(f"make_random_model: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
