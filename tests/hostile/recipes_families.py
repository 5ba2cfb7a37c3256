"""M01 to M07: families with experts, recurrent layers, windows, LayerNorm and fused tensors, each with one thing wrong.

The models are those of tests/families, smaller.
"""
import copy
import functools
import sys
from pathlib import Path

from gguf_writer import ARRAY, BOOL, F32, I32, STRING, T_F16, T_I8, T_Q8_0, U32, Tensor
from recipe import recipe

sys.path.append(str(Path(__file__).resolve().parent.parent / "families"))
from dataclasses import replace  # noqa: E402

from cases_dense import GEMMA2, GEMMA3, OLMO2, PHI3, SMOLLM3, scaling  # noqa: E402
from cases_experts import GPT_OSS, MIXTRAL, QWEN3MOE  # noqa: E402
from cases_hybrid import LFM2, QWEN35, QWEN3NEXT  # noqa: E402
from cases_layer_norm import FALCON, GPT2, PHI2, STABLELM  # noqa: E402
from model_parts import Case, Shape, build  # noqa: E402

VOCAB = 300
SMALL = dict(layers=2, width=32, heads=2, kv=1, head=16, ffn=20, vocab=VOCAB, context=64)
EXPERTS = dict(experts=4, used=2, expert_ffn=16)
SSM = (("ssm.conv_kernel", U32, 4), ("ssm.state_size", U32, 8), ("ssm.group_count", U32, 1), ("ssm.time_step_rank", U32, 2),
       ("ssm.inner_size", U32, 16))

CASES = {
    "mixtral": Case("mixtral", MIXTRAL, Shape(**SMALL, **EXPERTS)),
    "qwen3moe": Case("qwen3moe", QWEN3MOE, Shape(**SMALL, **EXPERTS)),
    "gpt-oss": Case("gpt-oss", GPT_OSS, Shape(**SMALL, **EXPERTS),
                    keys=(("attention.sliding_window", U32, 9), *scaling("yarn", 8.0, 32))),
    "lfm2": Case("lfm2", LFM2, Shape(**{**SMALL, "layers": 3, "kv": (0, 1, 0)}), keys=(("shortconv.l_cache", U32, 3),)),
    "qwen35": Case("qwen35", QWEN35, Shape(**{**SMALL, "layers": 4}), keys=SSM),
    "qwen3next": Case("qwen3next", QWEN3NEXT, Shape(**{**SMALL, "layers": 4}, **EXPERTS, shared_ffn=16), keys=SSM),
    "gemma2": Case("gemma2", GEMMA2, Shape(**SMALL), keys=(("attention.sliding_window", U32, 9),)),
    "gemma3": Case("gemma3", GEMMA3, Shape(**SMALL), keys=(("attention.sliding_window", U32, 9),)),
    "phi2": Case("phi2", PHI2, Shape(**{**SMALL, "kv": 2})),
    "phi3": Case("phi3", PHI3, Shape(**SMALL)),
    "smollm3": Case("smollm3", SMOLLM3, Shape(**SMALL)),
    "gpt2": Case("gpt2", GPT2, Shape(**{**SMALL, "kv": 2})),
    "falcon": Case("falcon", FALCON, Shape(**SMALL)),
    "olmo2": Case("olmo2", OLMO2, Shape(**SMALL)),
    "mixtral-fused": Case("mixtral-fused", replace(MIXTRAL, experts="fused"), Shape(**SMALL, **EXPERTS)),
    "qwen3next-legacy": Case("qwen3next-legacy", QWEN3NEXT, Shape(**{**SMALL, "layers": 4}, **EXPERTS, shared_ffn=16), keys=SSM,
                             reference={"legacy": True}),
    "falcon-two-norms": Case("falcon-two-norms", replace(FALCON, extra_norm=True), Shape(**SMALL)),
    "stablelm-qk-norm": Case("stablelm-qk-norm", replace(STABLELM, qk_norm="heads"), Shape(**{**SMALL, "kv": 2})),
    "stablelm": Case("stablelm", STABLELM, Shape(**{**SMALL, "kv": 2})),
}


@functools.cache
def parts(case):
    return build(CASES[case])


def model(case):
    """A model of its own: keys and tensors may be changed."""
    return copy.deepcopy(parts(case))


def with_key(case, suffix, kind, value):
    m = model(case)
    key = f"{CASES[case].family.arch}.{suffix}"
    m.set(key, kind, value)
    data = m.build()
    return data, m.at[key, "value"]


def without_key(case, suffix):
    return model(case).drop(f"{CASES[case].family.arch}.{suffix}").build()


def named(case, name):
    m = model(case)
    return m, m.tensor(name)


@recipe("M00")
def good_families():
    for case in CASES:
        yield case, model(case).build(), "ok", "ok", None
    # Early files have a tensor for each expert.
    m = model("mixtral")
    tensors = []
    for t in m.tensors:
        if "_exps.weight" not in t.name:
            tensors.append(t)
            continue
        for i in range(t.dims[2]):
            size = len(t.data) // t.dims[2]
            tensors.append(Tensor(t.name.replace("_exps.weight", f".{i}.weight"), t.dims[:2], t.kind, t.data[i * size:][:size]))
    m.tensors = tensors
    yield "mixtral-apart", m.build(), "ok", "ok", None
    # Tensors that repeat what the metadata says may be there.
    m = model("smollm3")
    m.tensors += [Tensor("blk.0.attn_rot_embd", [8]), Tensor("blk.1.rotary_emb.inv_freq", [8])]
    yield "rope-tables", m.build(), "ok", "ok", None


@recipe("M01")
def expert_counts():
    for value, error in [(1025, "bad_value"), (2**32 - 1, "bad_value")]:
        data, at = with_key("mixtral", "expert_count", U32, value)
        yield f"experts-{value}", data, error, "config", at
    # More than the tensors hold, fewer, and none at all.
    for value in (3, 5, 1024):
        yield f"experts-{value}", with_key("mixtral", "expert_count", U32, value)[0], "bad_shape", "weights", None
    yield "experts-0", with_key("mixtral", "expert_count", U32, 0)[0], "missing", "weights", None
    yield "experts-absent", without_key("mixtral", "expert_count"), "missing", "weights", None
    for value in (0, 5, 2**31):
        data, at = with_key("mixtral", "expert_used_count", U32, value)
        yield f"used-{value}", data, "bad_value", "config", at
    yield "used-absent", without_key("mixtral", "expert_used_count"), "missing", "config", None
    for value, error, stage in [(0, "bad_shape", "weights"), (17, "bad_shape", "weights"), (2**20 + 1, "bad_value", "config")]:
        yield f"expert-width-{value}", with_key("qwen3moe", "expert_feed_forward_length", U32, value)[0], error, stage, None
    m = model("qwen3moe")
    for suffix in ("expert_feed_forward_length", "feed_forward_length"):
        m.drop("qwen3moe." + suffix)
    yield "no-width", m.build(), "missing", "config", None
    m = model("mixtral").set("llama.feed_forward_length", U32, 0).set("llama.leading_dense_block_count", U32, 1)
    yield "dense-layer-without-width", m.build(), "bad_value", "config", None
    yield "dense-layers-1025", with_key("mixtral", "leading_dense_block_count", U32, 1025)[0], "bad_value", "config", None
    yield "dense-layers-2", with_key("mixtral", "leading_dense_block_count", U32, 2)[0], "missing", "weights", None
    for value, error in [(4, "unsupported"), (255, "unsupported"), (256, "bad_value")]:
        yield f"gating-{value}", with_key("mixtral", "expert_gating_func", U32, value)[0], error, "config", None
    yield "weights-norm-number", with_key("mixtral", "expert_weights_norm", U32, 1)[0], "bad_type", "config", None
    for label, value in [("nan", float("nan")), ("minus-1", -1.0), ("inf", float("inf"))]:
        yield f"weights-scale-{label}", with_key("mixtral", "expert_weights_scale", F32, value)[0], "bad_value", "config", None
    yield "shared-width-only", with_key("qwen3moe", "expert_shared_feed_forward_length", U32, 16)[0], "missing", "weights", None


@recipe("M02")
def expert_tensors():
    for case, name in [("mixtral", "blk.1.ffn_gate_inp.weight"), ("mixtral", "blk.1.ffn_gate_exps.weight"),
                       ("mixtral", "blk.1.ffn_up_exps.weight"), ("mixtral", "blk.1.ffn_down_exps.weight"),
                       ("gpt-oss", "blk.0.attn_sinks.weight"), ("qwen3next", "blk.0.ffn_gate_shexp.weight"),
                       ("qwen3next", "blk.0.ffn_down_shexp.weight")]:
        m = model(case)
        m.tensors = [t for t in m.tensors if t.name != name]
        yield f"{case}-without-{name}", m.build(), "missing", "weights", None
    name = "blk.0.ffn_up_exps.weight"
    for label, dims in [("flat", [32, 16 * 4]), ("transposed", [16, 32, 4]), ("experts-first", [4, 32, 16]), ("one-more", [32, 16, 5]),
                        ("fourth", [32, 16, 4, 2]), ("two-dims", [32, 16])]:
        m, t = named("mixtral", name)
        t.dims, t.data = dims, None
        yield f"experts-{label}", m.build(), "bad_shape", "weights", None
    m, t = named("mixtral", name)
    t.kind, t.data = T_I8, None
    yield "experts-i8", m.build(), "unsupported", "weights", None
    m, t = named("mixtral", "blk.0.ffn_gate_inp.weight")
    t.dims, t.data = [32, 5], None
    yield "router-5-rows", m.build(), "bad_shape", "weights", None
    m, t = named("gpt-oss", "blk.0.attn_sinks.weight")
    t.dims, t.data = [3], None
    yield "sinks-3", m.build(), "bad_shape", "weights", None
    m, t = named("gpt-oss", "blk.0.ffn_up_exps.bias")
    t.dims, t.data = [16, 3], None
    yield "expert-bias-rows", m.build(), "bad_shape", "weights", None
    m = model("qwen3moe")
    m.tensors.append(Tensor("blk.0.ffn_gate.weight", [32, 20]))
    yield "dense-tensor-in-expert-layer", m.build(), "unsupported", "weights", None


@recipe("M03")
def layer_arrays():
    key = "attention.head_count_kv"
    for label, kind, values, error, stage in [
            ("all-zero", I32, [0, 0, 0], "bad_value", "config"), ("short", I32, [0, 1], "mismatch", "config"),
            ("empty", I32, [], "mismatch", "config"), ("longer", I32, [0, 1, 0, 1], "ok", "ok"),
            ("negative", I32, [0, -1, 0], "bad_value", "config"), ("over-heads", I32, [0, 3, 0], "mismatch", "config"),
            ("1025", I32, [0, 1025, 0], "bad_value", "config"), ("floats", F32, [0.0, 1.0, 0.0], "bad_type", "config"),
            ("strings", STRING, ["0", "1", "0"], "bad_type", "config"), ("none-recurrent", I32, [1, 1, 1], "missing", "weights")]:
        yield f"kv-{label}", with_key("lfm2", key, ARRAY, (kind, values))[0], error, stage, None
    yield "kv-zero-in-llama", with_key("mixtral", key, ARRAY, (I32, [0, 1]))[0], "bad_value", "config", None
    yield "kv-one-zero-number", with_key("lfm2", key, U32, 0)[0], "bad_value", "config", None
    for label, kind, values, error in [("short", BOOL, [1], "mismatch"), ("floats", F32, [1.0, 0.0], "bad_type"),
                                       ("2", I32, [2, 0], "bad_value")]:
        yield f"pattern-{label}", with_key("gemma3", "attention.sliding_window_pattern", ARRAY, (kind, values))[0], error, "config", None
    yield "pattern-1025", with_key("gemma3", "attention.sliding_window_pattern", U32, 1025)[0], "bad_value", "config", None


@recipe("M04")
def windows():
    yield "window-0", with_key("gemma2", "attention.sliding_window", U32, 0)[0], "ok", "ok", None
    yield "window-1", with_key("gemma2", "attention.sliding_window", U32, 1)[0], "ok", "ok", None
    yield "window-2-32", with_key("gemma2", "attention.sliding_window", U32, 2**32 - 1)[0], "ok", "ok", None
    yield "window-negative", with_key("gemma2", "attention.sliding_window", I32, -1)[0], "bad_value", "config", None
    yield "window-missing", without_key("gpt-oss", "attention.sliding_window"), "missing", "config", None
    for key in ("attn_logit_softcapping", "final_logit_softcapping"):
        for label, value in [("nan", float("nan")), ("minus-1", -1.0), ("inf", float("inf"))]:
            yield f"{key}-{label}", with_key("gemma2", key, F32, value)[0], "bad_value", "config", None
    for key, case in [("rope.freq_base_swa", "gemma3"), ("rope.scaling.factor", "gpt-oss"), ("rope.scaling.yarn_beta_fast", "gpt-oss"),
                      ("rope.scaling.yarn_beta_slow", "gpt-oss"), ("rope.scaling.attn_factor", "gpt-oss"),
                      ("rope.scaling.yarn_attn_factor", "gpt-oss"), ("rope.scaling.yarn_ext_factor", "gpt-oss"),
                      ("rope.scaling.alpha", "gpt-oss"), ("rope.scale_linear", "mixtral")]:
        for label, value in [("nan", float("nan")), ("minus-2", -2.0), ("inf", float("inf"))]:
            yield f"{key}-{label}", with_key(case, key, F32, value)[0], "bad_value", "config", None
    yield "rope-scaling-unknown", with_key("mixtral", "rope.scaling.type", STRING, "cubic")[0], "unsupported", "config", None
    yield "rope-scaling-number", with_key("mixtral", "rope.scaling.type", U32, 1)[0], "bad_type", "config", None
    yield "rope-original-0", with_key("gpt-oss", "rope.scaling.original_context_length", U32, 0)[0], "bad_value", "config", None
    yield "key-length-1", with_key("qwen3moe", "attention.key_length", U32, 1)[0], "bad_value", "config", None
    yield "key-length-1025", with_key("qwen3moe", "attention.key_length", U32, 1025)[0], "bad_value", "config", None
    yield "value-length-differs", with_key("qwen3moe", "attention.value_length", U32, 8)[0], "unsupported", "config", None
    yield "layers-ahead-all", with_key("qwen3moe", "nextn_predict_layers", U32, 2)[0], "mismatch", "config", None
    yield "layers-ahead-1025", with_key("qwen3moe", "nextn_predict_layers", U32, 1025)[0], "bad_value", "config", None
    # A layer that is not run may be there; something that only looks like one may not.
    m = model("qwen3moe").set("qwen3moe.nextn_predict_layers", U32, 1)
    m.tensors.append(Tensor("foo.1.weight", [32]))
    yield "layers-ahead-foreign", m.build(), "unsupported", "weights", None
    yield "layers-ahead-1", with_key("qwen3moe", "nextn_predict_layers", U32, 1)[0], "ok", "ok", None
    yield "scales-nan", with_key("smollm3", "logit_scale", F32, float("nan"))[0], "ok", "ok", None  # no key of this family


@recipe("M05")
def recurrent_keys():
    for value in (0, 1, 2**31):
        yield f"conv-taps-{value}", with_key("lfm2", "shortconv.l_cache", U32, value)[0], "bad_value", "config", None
    yield "conv-taps-absent", without_key("lfm2", "shortconv.l_cache"), "missing", "config", None
    yield "conv-taps-4", with_key("lfm2", "shortconv.l_cache", U32, 4)[0], "bad_shape", "weights", None
    for key, values in [("ssm.conv_kernel", (0, 1, 2**31)), ("ssm.group_count", (0, 1025)), ("ssm.time_step_rank", (0, 1025)),
                        ("ssm.state_size", (0, 1025)), ("ssm.inner_size", (0, 2**20 + 1))]:
        for value in values:
            yield f"{key}-{value}", with_key("qwen35", key, U32, value)[0], "bad_value", "config", None
        yield f"{key}-absent", without_key("qwen35", key), "missing", "config", None
    yield "inner-15", with_key("qwen35", "ssm.inner_size", U32, 15)[0], "mismatch", "config", None
    yield "inner-1", with_key("qwen35", "ssm.inner_size", U32, 1)[0], "mismatch", "config", None
    yield "inner-2-20", with_key("qwen35", "ssm.inner_size", U32, 2**20)[0], "bad_value", "config", None
    yield "groups-3-of-2", with_key("qwen35", "ssm.group_count", U32, 3)[0], "mismatch", "config", None
    m = model("qwen35")
    for key, value in [("group_count", 1024), ("time_step_rank", 1024), ("state_size", 1024), ("inner_size", 2**20)]:
        m.set("qwen35.ssm." + key, U32, value)
    yield "channels-3-2-20", m.build(), "limit", "config", None
    yield "interval-0", with_key("qwen35", "full_attention_interval", U32, 0)[0], "bad_value", "config", None
    yield "interval-1025", with_key("qwen35", "full_attention_interval", U32, 1025)[0], "bad_value", "config", None
    yield "interval-2", with_key("qwen35", "full_attention_interval", U32, 2)[0], "bad_shape", "weights", None
    for label, kind, values, error in [("short", I32, [1, 1], "mismatch"), ("2", I32, [1, 2, 1, 0], "bad_value"),
                                       ("floats", F32, [1.0] * 4, "bad_type")]:
        yield f"listed-{label}", with_key("qwen35", "attention.recurrent_layers", ARRAY, (kind, values))[0], error, "config", None


@recipe("M06")
def recurrent_tensors():
    for case in ("lfm2", "qwen35", "qwen3next"):
        names = [t.name for t in parts(case).tensors if t.name.startswith("blk.0.")
                 and any(word in t.name for word in ("shortconv", "ssm", "attn_qkv", "attn_gate"))]
        for name in names:
            m = model(case)
            m.tensors = [t for t in m.tensors if t.name != name]
            yield f"{case}-without-{name}", m.build(), "missing", "weights", None
            m, t = named(case, name)
            t.dims, t.data = [t.dims[0], *(d + 1 for d in t.dims[1:])] if len(t.dims) > 1 else [t.dims[0] + 1], None
            yield f"{case}-wide-{name}", m.build(), "bad_shape", "weights", None
    for case, name in [("lfm2", "blk.0.shortconv.conv.weight"), ("qwen35", "blk.0.ssm_conv1d.weight")]:
        m, t = named(case, name)
        t.kind, t.data = T_F16, None
        yield f"{case}-taps-f16", m.build(), "bad_type", "weights", None
    m, t = named("qwen35", "blk.0.ssm_a")
    t.dims, t.kind, t.data = [32], T_Q8_0, None
    yield "decay-q8-0", m.build(), "bad_shape", "weights", None


@recipe("M07")
def norms_and_fused():
    for case, name in [("phi2", "blk.0.attn_norm.bias"), ("phi2", "output.bias"), ("phi2", "output_norm.bias"), ("gpt2", "position_embd.weight"),
                       ("gpt2", "blk.0.ffn_norm.bias"), ("gemma2", "blk.0.post_attention_norm.weight"),
                       ("gemma2", "blk.1.post_ffw_norm.weight"), ("gemma3", "blk.0.attn_q_norm.weight"),
                       ("gemma3", "blk.0.attn_k_norm.weight"), ("phi3", "blk.0.attn_qkv.weight"), ("phi3", "blk.0.ffn_up.weight"),
                       ("falcon", "blk.0.attn_qkv.weight"), ("stablelm", "blk.0.attn_norm.bias"), ("lfm2", "token_embd_norm.weight")]:
        m = model(case)
        assert any(t.name == name for t in m.tensors), (case, name)
        m.tensors = [t for t in m.tensors if t.name != name]
        yield f"{case}-without-{name}", m.build(), "missing", "weights", None
    for case, name, dims in [("phi3", "blk.0.attn_qkv.weight", [32, 63]), ("phi3", "blk.0.attn_qkv.weight", [32, 96]),
                             ("phi3", "blk.0.ffn_up.weight", [32, 20]), ("phi3", "blk.0.ffn_up.weight", [32, 41]),
                             ("falcon", "blk.0.attn_qkv.weight", [32, 96]), ("gpt2", "position_embd.weight", [32, 63]),
                             ("gpt2", "blk.0.attn_qkv.bias", [95]), ("gemma3", "blk.0.attn_q_norm.weight", [32]),
                             ("phi2", "output.bias", [VOCAB + 1])]:
        m, t = named(case, name)
        t.dims, t.data = dims, None
        yield f"{case}-{name}-{'x'.join(map(str, dims))}", m.build(), "bad_shape", "weights", None
    m, t = named("gpt2", "blk.0.attn_qkv.bias")
    t.dims, t.kind, t.data = [96], T_I8, None
    yield "gpt2-qkv-bias-i8", m.build(), "unsupported", "weights", None
    for case, name, dims in [("mixtral", "blk.0.attn_sinks.weight", [2]), ("phi3", "blk.0.ssm_a", [2]), ("smollm3", "position_embd.weight", [32, 64]),
                             ("gpt2", "blk.0.ffn_gate.weight", [32, 20]), ("gemma2", "blk.0.attn_q_norm.weight", [16]),
                             ("lfm2", "blk.2.attn_q.weight", [32, 32])]:
        m = model(case)
        m.tensors.append(Tensor(name, dims))
        yield f"{case}-foreign-{name}", m.build(), "unsupported", "weights", None
    yield "gpt2-as-llama", model("gpt2").set("general.architecture", STRING, "llama").build(), "missing", "config", None
    yield "epsilon-of-the-other-norm", without_key("phi2", "attention.layer_norm_epsilon"), "missing", "config", None
    yield "parallel-number", with_key("phi2", "use_parallel_residual", U32, 1)[0], "bad_type", "config", None
