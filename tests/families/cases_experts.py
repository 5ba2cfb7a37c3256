"""Families with experts."""
from dataclasses import replace

from cases_dense import GRANITE, LLAMA, QWEN2, QWEN3, SQUARE, WIDE, scaling
from model_parts import F32, U32, Case, Family, Shape

MIXTRAL = replace(LLAMA, experts="separate")
QWEN2MOE = replace(QWEN2, arch="qwen2moe", experts="separate", shared="gated")
QWEN3MOE = replace(QWEN3, arch="qwen3moe", experts="separate")
OLMOE = Family("olmoe", qk_norm="row", experts="separate", head_keys=False)
GRANITEMOE = replace(GRANITE, arch="granitemoe", experts="separate")
GPT_OSS = Family("gpt-oss", before_ffn="post_attention_norm", qkv_bias=True, out_bias=True, experts="biased", sinks=True, n_rot=1.0,
                 freq_base=1.5e5)

CASES = [
    Case("mixtral-odd", MIXTRAL, Shape(layers=2, ffn=44, experts=5, used=2)),
    Case("mixtral-many", MIXTRAL, replace(WIDE, layers=2, ffn=28, experts=12, used=3), seed=2),
    Case("qwen2moe-odd", QWEN2MOE, Shape(layers=2, experts=7, used=3, expert_ffn=36, shared_ffn=52), seed=3),
    Case("qwen2moe-all", QWEN2MOE, replace(SQUARE, layers=3, experts=4, used=4, expert_ffn=28, shared_ffn=44), seed=5),
    Case("qwen3moe-odd", QWEN3MOE, Shape(layers=2, experts=7, used=3, expert_ffn=36)),
    Case("qwen3moe-one", QWEN3MOE, replace(WIDE, layers=3, experts=6, used=1, expert_ffn=40), seed=2),
    Case("qwen3moe-no-length", QWEN3MOE, Shape(layers=2, ffn=80, experts=4, used=2, expert_ffn=0), seed=3,
         reference={"expert_ffn": 40}),
    Case("olmoe-mha", OLMOE, Shape(layers=2, width=80, heads=2, kv=2, head=40, ffn=36, experts=8, used=3)),
    Case("olmoe-odd", OLMOE, Shape(layers=3, width=72, heads=3, kv=3, ffn=30, experts=6, used=2, vocab=300), seed=2),
    Case("granitemoe-odd", GRANITEMOE, replace(SQUARE, layers=2, ffn=36, experts=6, used=2), reference={"embedding": 0.3}),
    Case("granitemoe-shared", replace(GRANITEMOE, shared="plain", tied=False),
         replace(SQUARE, layers=2, ffn=28, experts=5, used=2, shared_ffn=44), seed=4, reference={"embedding": 0.3}),
    Case("granitemoe-untied", replace(GRANITEMOE, tied=False, keys=(("logit_scale", F32, 3.0),)),
         replace(SQUARE, layers=3, kv=1, ffn=30, experts=4, used=4), seed=3),
    Case("gpt-oss-odd", GPT_OSS, Shape(layers=3, heads=3, kv=1, expert_ffn=40, experts=5, used=2),
         keys=(("attention.sliding_window", U32, 9), *scaling("yarn", 8.0, 32))),
    Case("gpt-oss-wide", GPT_OSS, replace(WIDE, layers=4, expert_ffn=24, experts=6, used=4), seed=2,
         keys=(("attention.sliding_window", U32, 16), *scaling("yarn", 4.0, 64))),
]
