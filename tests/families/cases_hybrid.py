"""Families whose layers are partly recurrent: short convolutions, gated delta nets."""
from dataclasses import replace

from model_parts import ARRAY, BOOL, I32, U32, Case, Family, Shape
from weights import amplitude_of_matrix

CONV = 3  # taps of lfm2's convolution


def short_convolution(b, layer):
    """lfm2: a layer without heads of keys is a convolution."""
    if b.shape.kv_heads(layer):
        return False
    width, at = b.shape.width, f"blk.{layer}.shortconv."
    b.matrix(at + "in_proj", width, 3 * width, 1.5)
    b.add(at + "conv.weight", [b.case.key("shortconv.l_cache"), width], 0.0, 1.0)
    b.matrix(at + "out_proj", width, width, 1.5)
    return True


def is_recurrent(case, layer):
    """Whether a layer is a delta net: the list of layers where the file has one, else all but every n-th."""
    listed = case.key("attention.recurrent_layers")
    if listed:
        return bool(listed[1][layer])
    return (layer + 1) % case.key("full_attention_interval", 4) != 0


def delta_net(b, layer):
    """qwen35, qwen3next: three of four layers are gated delta nets, the others have gated attention."""
    case, s, f, at = b.case, b.shape, b.family, f"blk.{layer}."
    if not is_recurrent(case, layer):
        n_q = s.heads * s.head
        b.matrix(at + "attn_q", s.width, 2 * n_q, 1.5)  # per head: the query, then the gate
        b.matrix(at + "attn_k", s.width, s.kv * s.head, 1.5)
        b.matrix(at + "attn_v", s.width, s.kv * s.head)
        b.matrix(at + "attn_output", n_q, s.width, 1.5)
        b.norm(at + "attn_q_norm", s.head)
        b.norm(at + "attn_k_norm", s.head)
        return True
    size, n_k, n_v = (case.key("ssm." + name) for name in ("state_size", "group_count", "time_step_rank"))
    n_key, n_value = size * n_k, size * n_v
    if case.reference.get("legacy"):
        b.matrix(at + "ssm_in", s.width, 2 * n_key + 2 * n_value, 1.5)
    else:
        b.matrix(at + "attn_qkv", s.width, 2 * n_key + n_value, 1.5)
        b.matrix(at + "attn_gate", s.width, n_value, 1.5)
    if f.arch == "qwen3next":
        b.matrix(at + "ssm_ba", s.width, 2 * n_v)
    else:
        b.matrix(at + "ssm_beta", s.width, n_v)
        b.matrix(at + "ssm_alpha", s.width, n_v)
    b.add(at + "ssm_conv1d.weight", [case.key("ssm.conv_kernel"), 2 * n_key + n_value], 0.0, amplitude_of_matrix(4, 1.5))
    b.add(at + "ssm_dt.bias", [n_v], 0.0, 0.5)
    b.add(at + "ssm_a", [n_v], -0.4, 0.35)  # -exp(A_log): how fast a head forgets
    b.norm(at + "ssm_norm", size)
    b.matrix(at + "ssm_out", n_value, s.width, 1.5)
    return True


def delta_keys(size, n_k, n_v, kernel=4, interval=4):
    return (("ssm.conv_kernel", U32, kernel), ("ssm.state_size", U32, size), ("ssm.group_count", U32, n_k),
            ("ssm.time_step_rank", U32, n_v), ("ssm.inner_size", U32, size * n_v), ("full_attention_interval", U32, interval))


LFM2 = Family("lfm2", output_norm="token_embd_norm", qk_norm="head", tied=True, head_keys=False, freq_base=1e6,
              mixer=short_convolution)
LFM2MOE = replace(LFM2, arch="lfm2moe", experts="separate", selection_bias=True,
                  keys=(("shortconv.l_cache", U32, CONV), ("expert_gating_func", U32, 2)))
QWEN35 = Family("qwen35", before_ffn="post_attention_norm", mixer=delta_net, freq_base=1e7)
QWEN3NEXT = replace(QWEN35, arch="qwen3next", experts="separate", shared="gated", n_rot=0.25)


def sections(*numbers):
    return ("rope.dimension_sections", ARRAY, (I32, numbers))


CASES = [
    Case("lfm2-odd", LFM2, Shape(layers=5, kv=(0, 1, 0, 0, 3)), keys=(("shortconv.l_cache", U32, CONV),)),
    Case("lfm2-long-taps", replace(LFM2, tied=False), Shape(layers=3, width=80, heads=2, head=40, kv=(0, 2, 0), ffn=72), seed=2,
         keys=(("shortconv.l_cache", U32, 5),)),
    Case("lfm2moe-odd", LFM2MOE, Shape(layers=4, kv=(0, 1, 0, 3), dense=2, experts=6, used=2, expert_ffn=36)),
    Case("lfm2moe-all", LFM2MOE, Shape(layers=3, width=80, heads=2, head=40, kv=(0, 0, 1), experts=8, used=3, expert_ffn=28), seed=2),
    Case("qwen35-odd", replace(QWEN35, n_rot=1 / 3), Shape(layers=4, heads=3, kv=1, head=24, ffn=60),
         keys=(*delta_keys(20, 2, 4), sections(2, 1, 1, 0))),
    Case("qwen35-listed", replace(QWEN35, n_rot=0.25, tied=True), Shape(layers=5, width=80, heads=2, kv=2, head=40, ffn=52), seed=9,
         keys=(*delta_keys(24, 3, 3, kernel=3), sections(2, 2, 1, 0), ("attention.recurrent_layers", ARRAY, (BOOL, (1, 0, 1, 1, 0))))),
    Case("qwen35-many-values", replace(QWEN35, n_rot=0.5), Shape(layers=3, width=64, heads=4, kv=2, head=16, ffn=60), seed=4,
         keys=(*delta_keys(16, 2, 6, interval=3), sections(2, 1, 1, 0))),
    Case("qwen3next-odd", QWEN3NEXT, Shape(layers=4, heads=3, kv=1, head=24, experts=5, used=2, expert_ffn=28, shared_ffn=36, vocab=300),
         keys=delta_keys(20, 2, 4)),
    Case("qwen3next-legacy", QWEN3NEXT, Shape(layers=3, width=64, heads=4, kv=2, head=16, experts=6, used=3, expert_ffn=24, shared_ffn=20),
         seed=3, keys=delta_keys(16, 2, 6, interval=3), reference={"legacy": True}),
    Case("qwen3next-fused-experts", replace(QWEN3NEXT, experts="fused", tied=True, n_rot=0.5),
         Shape(layers=2, width=80, heads=2, kv=2, head=40, experts=4, used=2, expert_ffn=20, shared_ffn=24), seed=3,
         keys=delta_keys(24, 3, 3, interval=2)),
]
