"""Builds one tiny model out of a family's description: which keys and which tensors a GGUF file of that architecture has.

A family is data (Family), a case is a family with a shape, a seed and its own keys (Case). The description is written from the
format's side, from the names and shapes that converters write, and on purpose not from core/model/families.cpp, which it checks.
"""
import math
import sys
from dataclasses import dataclass, field
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parent.parent / "hostile"))

from base_models import MERGES, byte_characters  # noqa: E402
from gguf_writer import ARRAY, BOOL, F32, I32, STRING, U32, Model, Tensor  # noqa: E402
from weights import amplitude_of_matrix, draw, f32  # noqa: E402


@dataclass(frozen=True)
class Shape:
    layers: int = 3
    width: int = 72
    heads: int = 3
    kv: object = 1  # heads of keys and values; a tuple where layers differ
    head: int = 24
    ffn: int = 100
    vocab: int = 331
    context: int = 256
    experts: int = 0
    used: int = 0
    expert_ffn: int = 0
    shared_ffn: int = 0
    dense: int = 0  # leading layers without experts

    def kv_heads(self, layer):
        return self.kv[layer] if isinstance(self.kv, tuple) else self.kv


@dataclass(frozen=True)
class Family:
    arch: str
    norm: str = "rms"                # "rms"; "layer": LayerNorm without bias; "layer+bias"
    before_attention: str = "attn_norm"
    before_ffn: str = "ffn_norm"     # None: there is none
    after_attention: str = None
    after_ffn: str = None
    output_norm: str = "output_norm"
    qkv: str = "split"               # "split" or "fused"
    qkv_bias: bool = False
    out_bias: bool = False
    qk_norm: str = None              # "head": one row for all heads; "heads": a row per head; "row": over the whole projection
    ffn: str = "gated"               # "gated"; "fused": gate and up in one tensor; "plain"
    ffn_bias: bool = False
    tied: bool = False
    output_bias: bool = False
    positions: bool = False          # learned positions
    extra_norm: bool = False         # falcon 40B: attn_norm_2
    head_keys: bool = True           # key_length and value_length are in the file
    freq_base: float = None
    n_rot: object = None             # a fraction of the head; None: no key
    experts: str = None              # "separate", "fused", "biased"
    shared: str = None               # "plain", "gated"
    selection_bias: bool = False
    sinks: bool = False
    mixer: object = None             # (Builder, layer) -> True where it has added a layer without attention
    keys: tuple = ()                 # (suffix, kind, value)


@dataclass(frozen=True)
class Case:
    name: str
    family: Family
    shape: Shape = Shape()
    seed: int = 1
    keys: tuple = ()                 # (suffix, kind, value), after the family's
    tensors: tuple = ()              # (name, values) to add
    reference: dict = field(default_factory=dict)  # what make_expectations.py has to know besides

    def key(self, suffix, default=None):
        """The value of a key of this case, by its name after the architecture."""
        for name, _, value in (*self.keys, *self.family.keys):
            if name == suffix:
                return value
        return default


class Builder:
    def __init__(self, case):
        self.case, self.family, self.shape = case, case.family, case.shape
        self.model = Model()

    # ---- tensors -----------------------------------------------------------------------------------------------------

    def add(self, name, dims, centre, amplitude):
        count = math.prod(dims)
        self.model.tensors.append(Tensor(name, dims, data=draw(self.case.seed, name, count, centre, amplitude)))

    def matrix(self, name, n_in, n_out, gain=1.0, bias=False, experts=0):
        self.add(name + ".weight", [n_in, n_out] + ([experts] if experts else []), 0.0, amplitude_of_matrix(n_in, gain))
        if bias:
            self.add(name + ".bias", [n_out] + ([experts] if experts else []), 0.0, 0.3)

    def norm(self, name, dims, kind=None):
        dims = dims if isinstance(dims, list) else [dims]
        self.add(name + ".weight", dims, 1.0, 0.4)
        if (kind or self.family.norm) == "layer+bias":
            self.add(name + ".bias", dims, 0.0, 0.3)

    def attention(self, layer):
        f, s, at = self.family, self.shape, f"blk.{layer}."
        n_q, n_kv = s.heads * s.head, s.kv_heads(layer) * s.head
        if f.qkv == "fused":
            self.matrix(at + "attn_qkv", s.width, n_q + 2 * n_kv, 1.3, f.qkv_bias)
        else:
            self.matrix(at + "attn_q", s.width, n_q, 1.5, f.qkv_bias)
            self.matrix(at + "attn_k", s.width, n_kv, 1.5, f.qkv_bias)
            self.matrix(at + "attn_v", s.width, n_kv, 1.0, f.qkv_bias)
        self.matrix(at + "attn_output", n_q, s.width, 1.0, f.out_bias)
        if f.qk_norm:
            plain = "layer" if f.norm != "rms" else "rms"
            for name, heads in (("attn_q_norm", s.heads), ("attn_k_norm", s.kv_heads(layer))):
                dims = {"head": [s.head], "heads": [s.head, heads], "row": [s.head * heads]}[f.qk_norm]
                self.norm(at + name, dims, plain)
        if f.sinks:
            self.add(at + "attn_sinks.weight", [s.heads], 0.5, 1.0)

    def feed_forward(self, layer):
        f, s, at = self.family, self.shape, f"blk.{layer}."
        if f.experts and layer >= s.dense:
            self.expert_layer(layer)
            return
        if f.ffn == "gated":
            self.matrix(at + "ffn_gate", s.width, s.ffn, 1.5, f.ffn_bias)
        self.matrix(at + "ffn_up", s.width, s.ffn * (2 if f.ffn == "fused" else 1), 1.2, f.ffn_bias)
        self.matrix(at + "ffn_down", s.ffn, s.width, 1.5, f.ffn_bias)

    def expert_ffn(self):
        """Without a length of their own, experts have feed_forward_length, or (a qwen3moe) share it."""
        return self.shape.expert_ffn or self.case.reference.get("expert_ffn", self.shape.ffn)

    def expert_layer(self, layer):
        f, s, at = self.family, self.shape, f"blk.{layer}."
        n_ff, bias = self.expert_ffn(), f.experts == "biased"
        self.matrix(at + "ffn_gate_inp", s.width, s.experts, 1.5, bias)
        if f.experts == "fused":
            self.matrix(at + "ffn_gate_up_exps", s.width, 2 * n_ff, 1.4, False, s.experts)
        else:
            self.matrix(at + "ffn_gate_exps", s.width, n_ff, 1.5, bias, s.experts)
            self.matrix(at + "ffn_up_exps", s.width, n_ff, 1.2, bias, s.experts)
        self.matrix(at + "ffn_down_exps", n_ff, s.width, 1.5, bias, s.experts)
        if f.selection_bias:
            self.add(at + "exp_probs_b.bias", [s.experts], 0.0, 0.2)
        if f.shared == "gated":
            self.add(at + "ffn_gate_inp_shexp.weight", [s.width], 0.0, amplitude_of_matrix(s.width, 1.5))
        if f.shared:
            self.matrix(at + "ffn_gate_shexp", s.width, s.shared_ffn, 1.5)
            self.matrix(at + "ffn_up_shexp", s.width, s.shared_ffn, 1.2)
            self.matrix(at + "ffn_down_shexp", s.shared_ffn, s.width, 1.5)

    def layer(self, layer):
        f, width, at = self.family, self.shape.width, f"blk.{layer}."
        for name in (f.before_attention, f.after_attention, f.before_ffn, f.after_ffn):
            if name:
                self.norm(at + name, width)
        if f.extra_norm:
            self.norm(at + "attn_norm_2", width)
        if f.mixer is None or not f.mixer(self, layer):
            self.attention(layer)
        self.feed_forward(layer)

    # ---- keys --------------------------------------------------------------------------------------------------------

    def hyperparameters(self):
        f, s = self.family, self.shape
        yield from (("block_count", U32, s.layers), ("context_length", U32, s.context), ("embedding_length", U32, s.width),
                    ("feed_forward_length", U32, s.ffn), ("attention.head_count", U32, s.heads))
        if isinstance(s.kv, tuple):
            yield "attention.head_count_kv", ARRAY, (I32, s.kv)
        elif s.kv != s.heads:
            yield "attention.head_count_kv", U32, s.kv
        if f.head_keys:
            yield "attention.key_length", U32, s.head
            yield "attention.value_length", U32, s.head
        yield f"attention.layer_norm_{'rms_' if f.norm == 'rms' else ''}epsilon", F32, 1e-5
        if f.freq_base:
            yield "rope.freq_base", F32, f.freq_base
        if f.n_rot:
            yield "rope.dimension_count", U32, int(s.head * f.n_rot)
        if s.experts:
            yield "expert_count", U32, s.experts
            yield "expert_used_count", U32, s.used
        if s.expert_ffn:
            yield "expert_feed_forward_length", U32, s.expert_ffn
        if s.shared_ffn:
            yield "expert_shared_feed_forward_length", U32, s.shared_ffn
        if s.dense:
            yield "leading_dense_block_count", U32, s.dense
        yield from f.keys
        yield from self.case.keys

    def tokenizer(self):
        """256 bytes, a few merges, and fillers: nobody tokenizes with it, but loaders want one."""
        pieces = byte_characters() + [merge.replace(" ", "") for merge in MERGES] + ["<|endoftext|>"]
        special = len(pieces) - 1
        pieces += [f"<unused{i}>" for i in range(self.shape.vocab - len(pieces))]
        m = self.model
        m.set("tokenizer.ggml.model", STRING, "gpt2").set("tokenizer.ggml.pre", STRING, "gpt-2")
        m.set("tokenizer.ggml.tokens", ARRAY, (STRING, pieces)).set("tokenizer.ggml.merges", ARRAY, (STRING, MERGES))
        m.set("tokenizer.ggml.token_type", ARRAY, (I32, [1] * special + [3] * (len(pieces) - special)))
        m.set("tokenizer.ggml.bos_token_id", U32, special).set("tokenizer.ggml.eos_token_id", U32, special)
        m.set("tokenizer.ggml.add_bos_token", BOOL, 0)

    def build(self):
        f, s, m = self.family, self.shape, self.model
        m.set("general.architecture", STRING, f.arch).set("general.name", STRING, "tiny random model")
        for suffix, kind, value in self.hyperparameters():
            m.set(f"{f.arch}.{suffix}", kind, value)
        self.tokenizer()
        # Rows of the embedding have the size that the layers add to; where the input is scaled up, they are smaller.
        self.add("token_embd.weight", [s.width, s.vocab], 0.0, self.case.reference.get("embedding", 1.0))
        if f.positions:
            self.add("position_embd.weight", [s.width, s.context], 0.0, 0.5)
        for layer in range(s.layers):
            self.layer(layer)
        self.norm(f.output_norm, s.width)
        if not f.tied:
            self.matrix("output", s.width, s.vocab, 2.5, f.output_bias)
        elif f.output_bias:
            self.add("output.bias", [s.vocab], 0.0, 0.3)
        for name, values in self.case.tensors:
            m.tensors.append(Tensor(name, [len(values)], data=f32(values)))
        return m


def build(case):
    return Builder(case).build()
