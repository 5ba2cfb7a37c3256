"""A tiny llama-like model in every format that lbm reads, and what it has to compute, in plain Python.

The writers follow docs/formats/ and share no code with the readers; logits() is the textbook transformer in double precision. Weights
are random with a fixed seed, rounded to f32.
"""

import array
import math
import random
import struct

F32, Q4_0, Q8_0 = 0, 2, 8          # GGUF
SLM_F32, SLM_Q8, SLM_Q4 = 1, 2, 3  # .slm
BLOCK = 32


def f32(values):
    """Rounded to f32."""
    return list(array.array("f", values))


def pack_f32(values):
    return array.array("f", values).tobytes()


def as_half(value):
    """Rounded to f16."""
    return struct.unpack("<e", struct.pack("<e", value))[0]


class Shape:
    def __init__(self, dim=64, hidden=96, layers=2, heads=4, kv_heads=2, vocab=300, context=64, tied=False):
        self.dim, self.hidden, self.layers, self.heads, self.kv_heads = dim, hidden, layers, heads, kv_heads
        self.vocab, self.context, self.tied = vocab, context, tied
        self.head = dim // heads
        self.kv_dim = kv_heads * self.head

    def tensors(self):
        """name -> (rows, columns), rows 0 for a vector, in the order of an .slm file."""
        out = {"token_embd.weight": (self.vocab, self.dim)}
        for i in range(self.layers):
            for name, rows, columns in (("attn_norm", 0, self.dim), ("attn_q", self.dim, self.dim), ("attn_k", self.kv_dim, self.dim),
                                        ("attn_v", self.kv_dim, self.dim), ("attn_output", self.dim, self.dim),
                                        ("ffn_norm", 0, self.dim), ("ffn_gate", self.hidden, self.dim),
                                        ("ffn_up", self.hidden, self.dim), ("ffn_down", self.dim, self.hidden)):
                out[f"blk.{i}.{name}.weight"] = (rows, columns)
        out["output_norm.weight"] = (0, self.dim)
        if not self.tied:
            out["output.weight"] = (self.vocab, self.dim)
        return out


class Scaled:
    """A tensor of integers with a scale for each `group` columns of a row."""

    def __init__(self, rows, columns, bits, group, exact_half, draw):
        self.rows, self.columns, self.bits, self.group = max(rows, 1), columns, bits, group
        low, high = (-8, 7) if bits == 4 else (-127, 127)
        self.quants = [draw.randint(low, high) for _ in range(self.rows * columns)]
        self.per_row = -(-columns // group)
        scales = [draw.uniform(0.5, 1.5) / high / math.sqrt(columns) * 2 for _ in range(self.rows * self.per_row)]
        self.scales = [as_half(s) for s in scales] if exact_half else f32(scales)

    def scale_of(self, i):
        row, column = divmod(i, self.columns)
        return self.scales[row * self.per_row + column // self.group]

    def values(self):
        return f32(q * self.scale_of(i) for i, q in enumerate(self.quants))

    def packed(self):
        """The integers as .slm and llama2.c have them."""
        if self.bits == 8:
            return struct.pack(f"<{len(self.quants)}b", *self.quants)
        out = bytearray()
        for row in range(self.rows):
            q = [v + 8 for v in self.quants[row * self.columns:(row + 1) * self.columns]]
            out += bytes(q[i] | q[i + 1] << 4 for i in range(0, self.columns, 2))
        return bytes(out)

    def blocks(self):
        """The same numbers in the blocks of GGUF."""
        out = bytearray()
        for at in range(0, len(self.quants), BLOCK):
            q = self.quants[at:at + BLOCK]
            out += struct.pack("<e", self.scale_of(at))
            if self.bits == 8:
                out += struct.pack("<32b", *q)
            else:
                out += bytes((q[i] + 8) | (q[i + 16] + 8) << 4 for i in range(16))
        return bytes(out)


class Model:
    def __init__(self, shape, seed=1, bits=None, group=BLOCK, exact_half=True, quantized_norms=False):
        """bits None: f32 weights, else integers; group 0: one scale a row."""
        draw = random.Random(seed)
        self.shape, self.scaled, self.weights = shape, {}, {}
        for name, (rows, columns) in shape.tensors().items():
            if bits and (rows or quantized_norms):
                self.scaled[name] = Scaled(rows, columns, bits, group or columns, exact_half, draw)
                self.weights[name] = self.scaled[name].values()
            elif rows:
                spread = 1.5 / math.sqrt(columns)
                self.weights[name] = f32(draw.uniform(-spread, spread) for _ in range(rows * columns))
            else:
                self.weights[name] = f32(draw.uniform(0.5, 1.5) for _ in range(columns))


# ---- what it computes

def matvec(weights, rows, columns, x):
    return [sum(a * b for a, b in zip(weights[r * columns:(r + 1) * columns], x)) for r in range(rows)]


def rms_norm(x, weights):
    scale = 1.0 / math.sqrt(sum(v * v for v in x) / len(x) + 1e-5)
    return [v * scale * w for v, w in zip(x, weights)]


def rotate(x, head, position):
    """RoPE over neighbours, base 10000."""
    for at in range(0, len(x), 2):
        angle = position / 10000.0 ** ((at % head) / head)
        c, s = math.cos(angle), math.sin(angle)
        x[at], x[at + 1] = x[at] * c - x[at + 1] * s, x[at] * s + x[at + 1] * c


def logits(model, tokens):
    """The logits of every token, one list."""
    s, w = model.shape, model.weights
    keys, values, out = [[] for _ in range(s.layers)], [[] for _ in range(s.layers)], []
    for position, token in enumerate(tokens):
        x = w["token_embd.weight"][token * s.dim:(token + 1) * s.dim]
        for i in range(s.layers):
            def weight(name, i=i):
                return w[f"blk.{i}.{name}.weight"]
            h = rms_norm(x, weight("attn_norm"))
            q = matvec(weight("attn_q"), s.dim, s.dim, h)
            k = matvec(weight("attn_k"), s.kv_dim, s.dim, h)
            rotate(q, s.head, position)
            rotate(k, s.head, position)
            keys[i].append(k)
            values[i].append(matvec(weight("attn_v"), s.kv_dim, s.dim, h))
            mixed = []
            for head in range(s.heads):
                at = head // (s.heads // s.kv_heads) * s.head
                mine = q[head * s.head:(head + 1) * s.head]
                scores = [sum(a * b for a, b in zip(mine, past[at:at + s.head])) / math.sqrt(s.head) for past in keys[i]]
                top = max(scores)
                parts = [math.exp(v - top) for v in scores]
                total = sum(parts)
                mixed += [sum(p * past[at + d] for p, past in zip(parts, values[i])) / total for d in range(s.head)]
            x = [a + b for a, b in zip(x, matvec(weight("attn_output"), s.dim, s.dim, mixed))]
            h = rms_norm(x, weight("ffn_norm"))
            gate = matvec(weight("ffn_gate"), s.hidden, s.dim, h)
            up = matvec(weight("ffn_up"), s.hidden, s.dim, h)
            h = [g / (1.0 + math.exp(-g)) * u for g, u in zip(gate, up)]
            x = [a + b for a, b in zip(x, matvec(weight("ffn_down"), s.dim, s.hidden, h))]
        output = w["token_embd.weight" if s.tied else "output.weight"]
        out += matvec(output, s.vocab, s.dim, rms_norm(x, w["output_norm.weight"]))
    return out


# ---- vocabularies

PIECES = ["\u2581", "a", "b", "c", "d", "e", "n", "o", "t", "\u2581a", "an", "\u2581t", "to", "ba", "na", "\u2581ban", "ana", "banana"]


def pieces(vocab):
    """(text, score, type) of a SentencePiece vocabulary with byte tokens."""
    out = [("<unk>", 0.0, 2), ("<s>", 0.0, 3), ("</s>", 0.0, 3)] + [(f"<0x{b:02X}>", 0.0, 6) for b in range(256)]
    out += [(text, -float(i), 1) for i, text in enumerate(PIECES)]
    out += [(f"word{i}", -100.0 - i, 1) for i in range(vocab - len(out))]
    return out


def tokenizer_bin(vocab):
    records = b""
    longest = 0
    for i, (text, score, _) in enumerate(pieces(vocab)):
        raw = (f"\n{text}\n" if i in (1, 2) else text.replace("\u2581", " ")).encode()
        longest = max(longest, len(raw))
        records += struct.pack("<fi", score, len(raw)) + raw
    return struct.pack("<i", longest) + records


# ---- files

def gguf_text(value):
    raw = value.encode()
    return struct.pack("<Q", len(raw)) + raw


def gguf_key(name, value):
    if isinstance(value, bool):
        return gguf_text(name) + struct.pack("<IB", 7, value)
    if isinstance(value, int):
        return gguf_text(name) + struct.pack("<II", 4, value)
    if isinstance(value, float):
        return gguf_text(name) + struct.pack("<If", 6, value)
    if isinstance(value, str):
        return gguf_text(name) + struct.pack("<I", 8) + gguf_text(value)
    kind, items = value  # an array
    body = b"".join(gguf_text(v) for v in items) if kind == 8 else b"".join(struct.pack("<f" if kind == 6 else "<i", v) for v in items)
    return gguf_text(name) + struct.pack("<IIQ", 9, kind, len(items)) + body


def gguf_keys(shape):
    vocabulary = pieces(shape.vocab)
    return {"general.architecture": "llama", "llama.block_count": shape.layers, "llama.context_length": shape.context,
            "llama.embedding_length": shape.dim, "llama.feed_forward_length": shape.hidden, "llama.attention.head_count": shape.heads,
            "llama.attention.head_count_kv": shape.kv_heads, "llama.attention.layer_norm_rms_epsilon": 1e-5,
            "llama.rope.freq_base": 10000.0, "tokenizer.ggml.model": "llama",
            "tokenizer.ggml.tokens": (8, [p[0] for p in vocabulary]), "tokenizer.ggml.scores": (6, [p[1] for p in vocabulary]),
            "tokenizer.ggml.token_type": (5, [p[2] for p in vocabulary]), "tokenizer.ggml.bos_token_id": 1,
            "tokenizer.ggml.eos_token_id": 2, "tokenizer.ggml.unknown_token_id": 0, "tokenizer.ggml.add_bos_token": True}


def gguf_file(keys, tensors):
    """`tensors`: (name, dims with the contiguous one first, type, bytes)."""
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(keys)) + b"".join(gguf_key(k, v) for k, v in keys.items())
    data = b""
    for name, dims, kind, raw in tensors:
        head += gguf_text(name) + struct.pack(f"<I{len(dims)}QIQ", len(dims), *dims, kind, len(data))
        data += raw + bytes(-len(raw) % 32)
    return head + bytes(-len(head) % 32) + data


def gguf_tensors(model, as_blocks=False):
    out = []
    for name, (rows, columns) in model.shape.tensors().items():
        dims = (columns, rows) if rows else (columns,)
        scaled = model.scaled.get(name)
        if as_blocks and rows and scaled:
            out.append((name, dims, Q8_0 if scaled.bits == 8 else Q4_0, scaled.blocks()))
        else:
            out.append((name, dims, F32, pack_f32(model.weights[name])))
    return out


def gguf(model, as_blocks=False):
    return gguf_file(gguf_keys(model.shape), gguf_tensors(model, as_blocks))


def split_gguf(model, stem, n_part):
    """name -> bytes of the parts."""
    tensors = gguf_tensors(model)
    step = -(-len(tensors) // n_part)
    out = {}
    for i in range(n_part):
        keys = gguf_keys(model.shape) if i == 0 else {}
        split = b"".join((gguf_text("split.no") + struct.pack("<IH", 2, i), gguf_text("split.count") + struct.pack("<IH", 2, n_part),
                          gguf_text("split.tensors.count") + struct.pack("<Ii", 5, len(tensors))))
        part = tensors[i * step:(i + 1) * step]
        whole = gguf_file(keys, part)
        # The three keys go after the others: counts and padding change.
        head = b"GGUF" + struct.pack("<IQQ", 3, len(part), len(keys) + 3) + b"".join(gguf_key(k, v) for k, v in keys.items()) + split
        table, data = b"", b""
        for name, dims, kind, raw in part:
            table += gguf_text(name) + struct.pack(f"<I{len(dims)}QIQ", len(dims), *dims, kind, len(data))
            data += raw + bytes(-len(raw) % 32)
        head += table
        assert len(whole) < len(head) + 64 + len(data)
        out[f"{stem}-{i + 1:05}-of-{n_part:05}.gguf"] = head + bytes(-len(head) % 32) + data
    return out


# llama2.c groups tensors of a kind over all layers.
KINDS = ("attn_norm", "attn_q", "attn_k", "attn_v", "attn_output", "ffn_norm", "ffn_gate", "ffn_down", "ffn_up")


def of_layers(model, kind):
    return [f"blk.{i}.{kind}.weight" for i in range(model.shape.layers)]


def llama2c_numbers(shape, legacy):
    return struct.pack("<7i", shape.dim, shape.hidden, shape.layers, shape.heads, shape.kv_heads,
                       -shape.vocab if legacy and not shape.tied else shape.vocab, shape.context)


def llama2c(model, version):
    """version 0 is the legacy form."""
    s = model.shape
    plain = lambda names: b"".join(pack_f32(model.weights[n]) for n in names)  # noqa: E731
    if version == 0:
        out = llama2c_numbers(s, True) + plain(["token_embd.weight"])
        for kind in KINDS:
            out += plain(of_layers(model, kind))
        out += plain(["output_norm.weight"]) + bytes(4 * s.context * s.head)
        return out + (b"" if s.tied else plain(["output.weight"]))
    head = b"24ka" + struct.pack("<i", version) + llama2c_numbers(s, False) + bytes([s.tied])
    if version == 2:
        head += struct.pack("<i", model.scaled["token_embd.weight"].group)
    out = head + bytes(256 - len(head))
    out += plain(of_layers(model, "attn_norm")) + plain(of_layers(model, "ffn_norm")) + plain(["output_norm.weight"])
    names = ["token_embd.weight"]
    for kind in KINDS:
        if not kind.endswith("norm"):
            names += of_layers(model, kind)
    names += [] if s.tied else ["output.weight"]
    if version == 1:
        return out + plain(names)
    return out + b"".join(model.scaled[n].packed() + pack_f32(model.scaled[n].scales) for n in names)


def fnv1a(raw):
    value = 0xCBF29CE484222325
    for byte in raw:
        value = (value ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return value


def btok(vocab, merges=()):
    magic = b"BPE1" if merges else b"BTOK"
    head = magic + struct.pack("<3I4II", 1, vocab, 1, 256, 257, 258, 259, len(merges))
    body = b"".join(struct.pack("<4I", left, right, vocab - len(merges) + i, 0) for i, (left, right) in enumerate(merges))
    return head + bytes(64 - len(head)) + body


def slm(model, tokenizer):
    """`tokenizer` is the bytes of its section."""
    s = model.shape
    tensors = list(s.tensors().items())
    directory_at = 108 + len(tokenizer)
    data_at = -(-(directory_at + 64 * len(tensors)) // 64) * 64
    directory, data = b"", b""

    def place(raw):
        nonlocal data
        at = data_at + len(data)
        data += raw + bytes(-len(raw) % 64)
        return at

    for name, (rows, columns) in tensors:
        scaled = model.scaled.get(name)
        raw = scaled.packed() if scaled else pack_f32(model.weights[name])
        at = place(raw)
        scales_at = place(pack_f32(scaled.scales)) if scaled else 0
        kind = SLM_F32 if not scaled else SLM_Q8 if scaled.bits == 8 else SLM_Q4
        block = {SLM_F32: 0, SLM_Q8: columns, SLM_Q4: 32}[kind]
        dims = (rows, columns, 1, 1) if rows else (columns, 1, 1, 1)
        directory += struct.pack("<QII4IQQQII", fnv1a(name.encode()), kind, 2 if rows else 1, *dims, at, len(raw), scales_at, block, 0)
    head = b"SLM1" + struct.pack("<4I", 1, 108, 0, 1 if s.tied else 0)
    head += struct.pack("<9I", s.vocab, s.layers, s.heads, s.kv_heads, s.head, s.hidden, s.context, s.dim, 0)
    head += struct.pack("<ffQQQIQQ", 10000.0, 1e-5, 108, len(tokenizer), directory_at, len(tensors), data_at, 0)
    whole = head + tokenizer + directory
    whole += bytes(data_at - len(whole)) + data
    return whole[:100] + struct.pack("<Q", fnv1a(whole)) + whole[108:]
