"""Families of the llama kind: RMSNorm, rotary positions, a gated feed-forward layer."""
from dataclasses import replace

from model_parts import ARRAY, BOOL, F32, STRING, U32, Case, Family, Shape

LLAMA = Family("llama")
QWEN2 = Family("qwen2", qkv_bias=True, head_keys=False, freq_base=1e6)
QWEN3 = Family("qwen3", qk_norm="head", freq_base=1e6)
GEMMA = Family("gemma", tied=True)
GEMMA2 = replace(GEMMA, arch="gemma2", after_attention="post_attention_norm", after_ffn="post_ffw_norm")
GEMMA3 = replace(GEMMA2, arch="gemma3", qk_norm="head", freq_base=1e6)
PHI3 = Family("phi3", qkv="fused", ffn="fused", head_keys=False, n_rot=1.0)
SMOLLM3 = Family("smollm3", tied=True, freq_base=5e4)
GRANITE = Family("granite", tied=True, head_keys=False, keys=(("logit_scale", F32, 4.0), ("residual_scale", F32, 0.4),
                 ("embedding_scale", F32, 6.0), ("attention.scale", F32, 0.09)))
MINICPM = replace(GRANITE, arch="minicpm", keys=())
OLMO2 = Family("olmo2", before_attention=None, before_ffn=None, after_attention="post_attention_norm", after_ffn="post_ffw_norm",
               qk_norm="row", head_keys=False, freq_base=5e5)
EXAONE4 = replace(OLMO2, arch="exaone4", qk_norm="head", freq_base=1e6)
ERNIE = Family("ernie4_5", tied=True, freq_base=5e5)
HUNYUAN = Family("hunyuan-dense", qk_norm="head", tied=True, freq_base=1e4)
SEED = Family("seed_oss", before_ffn="post_attention_norm", qkv_bias=True, freq_base=1e6)
GLM4 = Family("glm4", ffn="fused", qkv_bias=True, n_rot=0.5, after_attention="post_attention_norm", after_ffn="post_ffw_norm")

WIDE = Shape(layers=5, width=80, heads=4, kv=2, head=40, ffn=72, vocab=287)     # heads wider than width / heads
TALL = Shape(layers=2, width=160, heads=2, kv=2, head=80, ffn=90, vocab=300)    # large heads, one KV head each
SQUARE = Shape(layers=3, width=96, heads=4, kv=2, head=24, ffn=68, vocab=331)   # heads * head = width
PLAIN = Shape(layers=5, width=64, heads=4, kv=4, head=16, ffn=100, vocab=320)
DEEP = Shape(layers=8, width=48, heads=3, kv=1, head=16, ffn=60, vocab=320)


def scaling(kind, factor, original=None, **more):
    """The keys of a rope scaling."""
    keys = [("rope.scaling.type", STRING, kind), ("rope.scaling.factor", F32, factor)]
    if original:
        keys.append(("rope.scaling.original_context_length", U32, original))
    return tuple(keys) + tuple(("rope.scaling." + name, F32, value) for name, value in more.items())


def ramp(count, first, last):
    return tuple(first + (last - first) * i / (count - 1) for i in range(count))


CASES = [
    Case("llama-odd", LLAMA),
    Case("llama-wide-bias", replace(LLAMA, qkv_bias=True, out_bias=True, ffn_bias=True, tied=True), WIDE),
    Case("llama-fused-qkv", replace(LLAMA, qkv="fused", qkv_bias=True), PLAIN),
    Case("llama-rope-freqs", replace(LLAMA, freq_base=5e5), TALL,
         tensors=(("rope_freqs.weight", (1.0,) * 12 + ramp(20, 1.0, 8.0) + (8.0,) * 8),)),
    Case("llama-linear", LLAMA, keys=scaling("linear", 4.0)),
    Case("llama-scale-linear", LLAMA, seed=2, keys=(("rope.scale_linear", F32, 2.5),)),
    Case("llama-no-scaling", LLAMA, seed=3, keys=scaling("none", 8.0)),
    Case("llama-yarn", LLAMA, WIDE, keys=scaling("yarn", 8.0, 32)),
    Case("llama-yarn-betas", LLAMA, TALL, seed=2, reference={"peer_differs": True},
         keys=scaling("yarn", 4.0, 64, yarn_beta_fast=16.0, yarn_beta_slow=2.0)),
    Case("llama-longrope", LLAMA, SQUARE, keys=scaling("longrope", 1.0, 64, attn_factor=1.19),
         tensors=(("rope_factors_long.weight", ramp(12, 1.5, 6.0)), ("rope_factors_short.weight", ramp(12, 1.0, 2.0)))),
    Case("qwen2-bias", QWEN2, SQUARE),
    Case("qwen2-tied", replace(QWEN2, tied=True), TALL),
    Case("qwen2-no-bias", replace(QWEN2, qkv_bias=False, output_bias=True), PLAIN),
    Case("qwen3-odd", QWEN3),
    Case("qwen3-wide-tied", replace(QWEN3, tied=True), WIDE),
    Case("qwen3-yarn", QWEN3, SQUARE, keys=scaling("yarn", 4.0, 64)),
    Case("gemma-wide", GEMMA, WIDE, seed=2, reference={"embedding": 0.2}),
    Case("gemma-odd", GEMMA, reference={"embedding": 0.2}),
    Case("gemma2-window", GEMMA2, replace(WIDE, layers=4), reference={"embedding": 0.2},
         keys=(("attention.sliding_window", U32, 9), ("attn_logit_softcapping", F32, 3.0), ("final_logit_softcapping", F32, 5.0))),
    Case("gemma2-odd", GEMMA2, seed=2, reference={"embedding": 0.2},
         keys=(("attention.sliding_window", U32, 20), ("attn_logit_softcapping", F32, 2.0), ("final_logit_softcapping", F32, 4.0))),
    Case("gemma3-window", GEMMA3, replace(DEEP, head=24), reference={"embedding": 0.2}, keys=(("attention.sliding_window", U32, 7),)),
    Case("gemma3-linear", GEMMA3, replace(DEEP, kv=3), seed=3, reference={"embedding": 0.2},
         keys=(("attention.sliding_window", U32, 12), *scaling("linear", 8.0))),
    Case("gemma3-full", GEMMA3, WIDE, reference={"embedding": 0.2}, keys=(("final_logit_softcapping", F32, 6.0),)),
    Case("phi3-fused", PHI3, SQUARE, keys=(("attention.sliding_window", U32, 8),)),
    Case("phi3-short", PHI3, SQUARE, seed=2,
         keys=(("rope.scaling.original_context_length", U32, 256), ("rope.scaling.attn_factor", F32, 1.3)),
         tensors=(("rope_factors_long.weight", ramp(12, 2.0, 8.0)), ("rope_factors_short.weight", ramp(12, 1.0, 1.8)))),
    Case("phi3-long-partial", replace(PHI3, n_rot=0.75, tied=True), replace(TALL, heads=4, head=40, kv=2),
         keys=(("rope.scaling.original_context_length", U32, 64), ("rope.scaling.attn_factor", F32, 1.2)),
         tensors=(("rope_factors_long.weight", ramp(15, 1.2, 5.0)), ("rope_factors_short.weight", ramp(15, 1.0, 1.8)))),
    Case("smollm3-tied", SMOLLM3, replace(DEEP, layers=9)),
    Case("smollm3-odd", replace(SMOLLM3, tied=False), Shape(layers=5)),
    Case("granite-scales", GRANITE, SQUARE, reference={"embedding": 0.3}),
    Case("granite-untied", replace(GRANITE, tied=False, keys=GRANITE.keys[:1]), PLAIN, seed=3),
    Case("granite-no-rope", GRANITE, replace(SQUARE, kv=1), seed=2, reference={"embedding": 0.3},
         keys=(("rope.scaling.finetuned", BOOL, 0),)),
    Case("minicpm-keys", MINICPM, SQUARE, reference={"embedding": 0.2},
         keys=(("embedding_scale", F32, 12.0), ("residual_scale", F32, 0.7), ("logit_scale", F32, 2.0))),
    Case("minicpm-old", MINICPM, PLAIN, reference={"embedding": 0.2, "peer_differs": True}),
    Case("olmo2-gqa", OLMO2, SQUARE),
    Case("olmo2-mha", OLMO2, PLAIN, seed=2),
    Case("olmo2-window", OLMO2, replace(SQUARE, layers=5), keys=(("attention.sliding_window", U32, 10),)),
    Case("olmo2-window-yarn", OLMO2, replace(SQUARE, layers=4), seed=2,
         keys=(("attention.sliding_window", U32, 10), ("attention.sliding_window_pattern", ARRAY, (BOOL, (1, 0, 1, 0))),
               *scaling("yarn", 8.0, 32))),
    Case("exaone4-full", EXAONE4, SQUARE),
    Case("exaone4-window", EXAONE4, Shape(layers=64, width=24, heads=2, kv=1, head=12, ffn=20, vocab=320),
         keys=(("attention.sliding_window", U32, 11),)),
    Case("exaone4-freqs", replace(EXAONE4, tied=True), PLAIN, keys=(("attention.sliding_window", U32, 8),),
         tensors=(("rope_freqs.weight", ramp(8, 1.0, 16.0)),)),
    Case("ernie4_5-odd", ERNIE),
    Case("ernie4_5-wide", replace(ERNIE, tied=False), WIDE),
    Case("hunyuan-dense-odd", HUNYUAN),
    Case("hunyuan-dense-alpha", replace(HUNYUAN, tied=False), WIDE, keys=(("rope.scaling.alpha", F32, 50.0),)),
    Case("seed_oss-wide", SEED, WIDE),
    Case("seed_oss-odd", replace(SEED, tied=True)),
    Case("glm4-half", GLM4),
    Case("glm4-no-bias", replace(GLM4, qkv_bias=False, tied=True), WIDE),
]
