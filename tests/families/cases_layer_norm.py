"""Families of the other kind: LayerNorm, often parallel attention and feed-forward, GELU or squared ReLU without a gate."""
from dataclasses import replace

from cases_dense import PLAIN, SQUARE, TALL
from model_parts import BOOL, F32, U32, Case, Family, Shape

PHI2 = Family("phi2", norm="layer+bias", before_ffn=None, qkv="fused", qkv_bias=True, out_bias=True, ffn="plain", ffn_bias=True,
              output_bias=True, head_keys=False, n_rot=0.5)
STABLELM = Family("stablelm", norm="layer+bias", head_keys=False, n_rot=0.25)
STARCODER2 = Family("starcoder2", norm="layer+bias", qkv_bias=True, out_bias=True, ffn="plain", ffn_bias=True, tied=True,
                    head_keys=False, freq_base=1e5)
GPT2 = Family("gpt2", norm="layer+bias", qkv="fused", qkv_bias=True, out_bias=True, ffn="plain", ffn_bias=True, tied=True,
              positions=True, head_keys=False)
GPTNEOX = replace(GPT2, arch="gptneox", tied=False, positions=False, n_rot=0.25)
FALCON = Family("falcon", norm="layer+bias", before_ffn=None, qkv="fused", ffn="plain", tied=True, head_keys=False)
COMMAND_R = Family("command-r", norm="layer", before_ffn=None, tied=True, head_keys=False, freq_base=8e6,
                   keys=(("logit_scale", F32, 0.35),))
COHERE2 = replace(COMMAND_R, arch="cohere2", freq_base=5e4, n_rot=1.0)
NEMOTRON = Family("nemotron", norm="layer+bias", ffn="plain", n_rot=0.5)

CASES = [
    Case("phi2-fused", PHI2, PLAIN),
    Case("phi2-split", replace(PHI2, qkv="split"), replace(TALL, kv=1), seed=3),
    Case("stablelm-no-bias", STABLELM, PLAIN),
    Case("stablelm-bias", replace(STABLELM, qkv_bias=True), replace(SQUARE, head=32, heads=3, kv=1)),
    Case("stablelm-parallel", replace(STABLELM, before_ffn=None), SQUARE, keys=(("use_parallel_residual", BOOL, 1),), seed=2),
    Case("stablelm-parallel-norms", replace(STABLELM, before_ffn=None, qk_norm="heads"), replace(PLAIN, kv=2),
         keys=(("use_parallel_residual", BOOL, 1),)),
    Case("starcoder2-tied", STARCODER2, SQUARE),
    Case("starcoder2-untied", replace(STARCODER2, tied=False), TALL),
    Case("gpt2-tied", GPT2, replace(PLAIN, width=72, heads=3, kv=3, head=24)),
    Case("gpt2-untied", replace(GPT2, tied=False), PLAIN, seed=2),
    Case("gptneox-parallel", GPTNEOX, replace(TALL, width=120, heads=3, kv=3, head=40), keys=(("use_parallel_residual", BOOL, 1),)),
    Case("gptneox-sequential", replace(GPTNEOX, n_rot=1.0), PLAIN, keys=(("use_parallel_residual", BOOL, 0),)),
    Case("falcon-one-norm", FALCON, Shape(width=72, heads=3, kv=1, head=24, ffn=288)),
    Case("falcon-two-norms", replace(FALCON, extra_norm=True, tied=False), replace(SQUARE, ffn=384, layers=2)),
    Case("command-r-odd", COMMAND_R),
    Case("command-r-norms", replace(COMMAND_R, qk_norm="heads"), seed=2,
         shape=Shape(layers=64, width=24, heads=2, kv=1, head=12, ffn=20, vocab=320)),
    Case("cohere2-window", COHERE2, replace(SQUARE, layers=5), keys=(("attention.sliding_window", U32, 9),)),
    Case("cohere2-all-kv", COHERE2, replace(PLAIN, layers=4), keys=(("attention.sliding_window", U32, 33),), seed=2),
    Case("nemotron-odd", NEMOTRON, seed=2),
    Case("nemotron-bias", replace(NEMOTRON, qkv_bias=True, out_bias=True, ffn_bias=True), replace(SQUARE, kv=4)),
]
