"""The valid models that the recipes start from."""
import copy
import functools
import struct

from gguf_writer import ARRAY, BOOL, F32, I32, MASK64, STRING, U32, Model, Tensor

class Random:
    """PCG32, so that the weights are the same under every version of Python."""

    def __init__(self, seed, stream):
        self.state, self.increment = 0, (stream << 1 | 1) & MASK64
        self.next()
        self.state = self.state + seed & MASK64
        self.next()

    def next(self):
        old = self.state
        self.state = old * 6364136223846793005 + self.increment & MASK64
        shifted = (old >> 18 ^ old) >> 27 & 0xFFFFFFFF
        rotation = old >> 59
        return (shifted >> rotation | shifted << (-rotation & 31)) & 0xFFFFFFFF

    def weight(self, scale):
        """Exact in f32: 16 random bits around 0."""
        return ((self.next() >> 16) - 32768) / 32768.0 * scale


N_VOCAB, N_EMBD, N_LAYER, N_FF, N_HEAD, N_HEAD_KV, N_CTX = 288, 32, 2, 64, 4, 2, 128
PIECES = ["\u2581", "e", "t", "a", "o", "n", "i", "s", "r", "h", "l", "d", "u", "\u2581t", "\u2581a", "th", "he", "in", "er",
          "an", "\u2581th", "\u2581the", "re", "on", "at", "en", "\u2581s", "\u2581o", "ou"]
TEMPLATE = ("{% for message in messages %}{{ '[' + message['role'] + '] ' + message['content'] + '\\n' }}{% endfor %}"
            "{% if add_generation_prompt %}{{ '[assistant] ' }}{% endif %}")


def vocabulary():
    """(pieces, scores, types) of a SentencePiece vocabulary: three special tokens, the 256 bytes, 29 pieces."""
    pieces = ["<unk>", "<s>", "</s>"] + ["<0x%02X>" % b for b in range(256)] + PIECES
    types = [2, 3, 3] + [6] * 256 + [1] * len(PIECES)
    scores = [0.0] * 259 + [-float(i) for i in range(len(PIECES))]
    assert len(pieces) == N_VOCAB
    return pieces, scores, types


@functools.cache
def weights(stream, count, centre, scale):
    """`count` pseudo-random numbers around `centre`, as F32."""
    random = Random(20, stream)
    return b"".join(struct.pack("<f", centre + random.weight(scale)) for _ in range(count))


def byte_characters():
    """The character that stands for each byte in the pieces of a byte-level vocabulary (GPT-2)."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [b for b in range(256) if b not in printable]
    return [chr(b) if b in printable else chr(256 + others.index(b)) for b in range(256)]


MERGES = ["t h", "th e", "i n", "e r", "a n", "o n", "r e", "a t", "e n", "o u", "i s", "o r", "i t", "in g", "a l", "e s",
          "s t", "e d", "l e", "a r", "an d", "h e", "o f", "t o", "n d", "c h", "u n", "s e", "m e"]


def base():
    """The model that every recipe starts from; its own, to be changed."""
    return copy.deepcopy(make_base())


@functools.cache
def make_base():
    pieces, scores, types = vocabulary()
    m = Model()
    m.set("general.architecture", STRING, "llama").set("general.name", STRING, "hostile base")
    m.set("general.alignment", U32, 32)
    m.set("llama.block_count", U32, N_LAYER).set("llama.context_length", U32, N_CTX)
    m.set("llama.embedding_length", U32, N_EMBD).set("llama.feed_forward_length", U32, N_FF)
    m.set("llama.attention.head_count", U32, N_HEAD).set("llama.attention.head_count_kv", U32, N_HEAD_KV)
    m.set("llama.attention.layer_norm_rms_epsilon", F32, 2.0**-17)
    m.set("llama.rope.dimension_count", U32, N_EMBD // N_HEAD).set("llama.rope.freq_base", F32, 10000.0)
    m.set("tokenizer.ggml.model", STRING, "llama")
    m.set("tokenizer.ggml.tokens", ARRAY, (STRING, pieces))
    m.set("tokenizer.ggml.scores", ARRAY, (F32, scores))
    m.set("tokenizer.ggml.token_type", ARRAY, (I32, types))
    m.set("tokenizer.ggml.bos_token_id", U32, 1).set("tokenizer.ggml.eos_token_id", U32, 2)
    m.set("tokenizer.ggml.unknown_token_id", U32, 0)
    m.set("tokenizer.ggml.add_bos_token", BOOL, 1).set("tokenizer.ggml.add_eos_token", BOOL, 0)
    m.set("tokenizer.chat_template", STRING, TEMPLATE)

    n_kv = N_EMBD // N_HEAD * N_HEAD_KV
    shapes = [("token_embd.weight", [N_EMBD, N_VOCAB])]
    for i in range(N_LAYER):
        shapes += [(f"blk.{i}.{name}.weight", dims) for name, dims in [
            ("attn_norm", [N_EMBD]), ("attn_q", [N_EMBD, N_EMBD]), ("attn_k", [N_EMBD, n_kv]), ("attn_v", [N_EMBD, n_kv]),
            ("attn_output", [N_EMBD, N_EMBD]), ("ffn_norm", [N_EMBD]), ("ffn_gate", [N_EMBD, N_FF]),
            ("ffn_up", [N_EMBD, N_FF]), ("ffn_down", [N_FF, N_EMBD])]]
    shapes += [("output_norm.weight", [N_EMBD]), ("output.weight", [N_EMBD, N_VOCAB])]
    for stream, (name, dims) in enumerate(shapes):
        t = Tensor(name, dims)
        t.data = weights(stream, dims[0], 1.0, 0.125) if len(dims) == 1 else weights(stream, dims[0] * dims[1], 0.0, 0.25)
        m.tensors.append(t)
    return m


def byte_level():
    """The same model with a byte-level (gpt2) vocabulary: 256 bytes, 29 merges, 3 control tokens."""
    return copy.deepcopy(make_byte_level())


@functools.cache
def make_byte_level():
    m = base()
    pieces = byte_characters() + [merge.replace(" ", "") for merge in MERGES] + ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    assert len(pieces) == N_VOCAB
    for key in ("scores", "unknown_token_id"):
        m.drop("tokenizer.ggml." + key)
    m.set("tokenizer.ggml.model", STRING, "gpt2").set("tokenizer.ggml.pre", STRING, "gpt-2")
    m.set("tokenizer.ggml.tokens", ARRAY, (STRING, pieces)).set("tokenizer.ggml.merges", ARRAY, (STRING, MERGES))
    m.set("tokenizer.ggml.token_type", ARRAY, (I32, [1] * (N_VOCAB - 3) + [3] * 3))
    m.set("tokenizer.ggml.bos_token_id", U32, N_VOCAB - 3).set("tokenizer.ggml.eos_token_id", U32, N_VOCAB - 1)
    m.set("tokenizer.ggml.add_bos_token", BOOL, 0)
    return m


def smallest():
    """The smallest file with everything a container has: six keys, two tensors."""
    m = Model()
    m.set("general.architecture", STRING, "llama").set("general.alignment", U32, 32)
    m.set("tokenizer.ggml.tokens", ARRAY, (STRING, ["a", "b", "c"]))
    m.set("tokenizer.ggml.scores", ARRAY, (F32, [0.0, -1.0, -2.0]))
    m.set("tokenizer.ggml.token_type", ARRAY, (I32, [1, 1, 1])).set("llama.block_count", U32, 1)
    for stream, (name, dims) in enumerate([("token_embd.weight", [8, 3]), ("output_norm.weight", [8])]):
        m.tensors.append(Tensor(name, dims, data=weights(stream, dims[0] * (dims[1] if len(dims) > 1 else 1), 0.0, 1.0)))
    return m
