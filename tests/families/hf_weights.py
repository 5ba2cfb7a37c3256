"""The weights of a case under the names and in the layout of Hugging Face transformers: the converter's permutations undone.

  llama, smollm3, granite, minicpm   rows of q and k: neighbouring pairs here, halves of a head there
  gemma*, nemotron, qwen3*           norms are stored as 1 + w here, as w there (all but a delta net's own norm)
  gpt2                               matrices are transposed there
  gptneox, falcon                    q, k, v are in one tensor, here after each other, there head by head (or group by group)
  phi3, glm4                         gate and up are in one tensor on both sides
  gpt-oss                            gate and up of an expert: two tensors here, interleaved columns of one there
  qwen35, qwen3next                  ssm_a = -exp(A_log); heads of values in another order
"""
import numpy as np

HALVES = {"llama", "smollm3", "granite", "granitemoe", "minicpm"}
NORM_PLUS_ONE = {"gemma", "gemma2", "gemma3", "nemotron", "qwen35", "qwen3next"}

TOP = {"token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head"}
LAYER = {"attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm", "attn_q": "self_attn.q_proj",
         "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj", "attn_output": "self_attn.o_proj",
         "attn_q_norm": "self_attn.q_norm", "attn_k_norm": "self_attn.k_norm", "ffn_gate": "mlp.gate_proj",
         "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj", "ffn_gate_inp": "mlp.gate",
         "ffn_gate_shexp": "mlp.shared_expert.gate_proj", "ffn_up_shexp": "mlp.shared_expert.up_proj",
         "ffn_down_shexp": "mlp.shared_expert.down_proj", "ffn_gate_inp_shexp": "mlp.shared_expert_gate"}
POST_NORMS = {"post_attention_norm": "post_attention_layernorm", "post_ffw_norm": "post_feedforward_layernorm"}
GEMMA_NORMS = {**POST_NORMS, "ffn_norm": "pre_feedforward_layernorm"}
QK_LAYERNORM = {"attn_q_norm": "self_attn.q_layernorm", "attn_k_norm": "self_attn.k_layernorm"}
BLOCK_MOE = {"ffn_gate_inp": "block_sparse_moe.router", "experts": "block_sparse_moe.experts"}
LFM2 = {**QK_LAYERNORM, "attn_norm": "operator_norm", "ffn_norm": "ffn_norm", "attn_output": "self_attn.out_proj",
        "ffn_gate": "feed_forward.w1", "ffn_up": "feed_forward.w3", "ffn_down": "feed_forward.w2",
        "ffn_gate_inp": "feed_forward.gate", "experts": "feed_forward.experts", "shortconv.conv": "conv.conv",
        "shortconv.in_proj": "conv.in_proj", "shortconv.out_proj": "conv.out_proj"}
PREFIX = {"gpt2": "transformer.h", "gptneox": "gpt_neox.layers", "falcon": "transformer.h"}

# What differs from LAYER and TOP.
RENAMED = {
    "gemma2": GEMMA_NORMS, "gemma3": GEMMA_NORMS, "olmo2": POST_NORMS, "exaone4": POST_NORMS,
    "phi3": {"attn_qkv": "self_attn.qkv_proj", "ffn_up": "mlp.gate_up_proj"},
    "glm4": {"ffn_up": "mlp.gate_up_proj", "post_attention_norm": "post_self_attn_layernorm", "post_ffw_norm": "post_mlp_layernorm"},
    "hunyuan-dense": {"attn_q_norm": "self_attn.query_layernorm", "attn_k_norm": "self_attn.key_layernorm"},
    "seed_oss": {"post_attention_norm": "post_attention_layernorm"},
    "qwen35": {"post_attention_norm": "post_attention_layernorm"}, "qwen3next": {"post_attention_norm": "post_attention_layernorm"},
    "gpt-oss": {"post_attention_norm": "post_attention_layernorm", "ffn_gate_inp": "mlp.router"},
    "granitemoe": BLOCK_MOE,
    "stablelm": QK_LAYERNORM,
    "starcoder2": {"ffn_up": "mlp.c_fc", "ffn_down": "mlp.c_proj"},
    "phi2": {"output_norm": "model.final_layernorm", "attn_output": "self_attn.dense", "ffn_up": "mlp.fc1", "ffn_down": "mlp.fc2"},
    "gpt2": {"token_embd": "transformer.wte", "position_embd": "transformer.wpe", "output_norm": "transformer.ln_f", "attn_norm": "ln_1",
             "ffn_norm": "ln_2", "attn_qkv": "attn.c_attn", "attn_output": "attn.c_proj", "ffn_up": "mlp.c_fc", "ffn_down": "mlp.c_proj"},
    "gptneox": {"token_embd": "gpt_neox.embed_in", "output_norm": "gpt_neox.final_layer_norm", "output": "lm_head",
                "attn_qkv": "attention.query_key_value", "attn_output": "attention.dense", "ffn_up": "mlp.dense_h_to_4h",
                "ffn_down": "mlp.dense_4h_to_h"},
    "falcon": {"token_embd": "transformer.word_embeddings", "output_norm": "transformer.ln_f", "attn_qkv": "self_attention.query_key_value",
               "attn_output": "self_attention.dense", "ffn_up": "mlp.dense_h_to_4h", "ffn_down": "mlp.dense_4h_to_h"},
    "lfm2": {**LFM2, "token_embd_norm": "model.embedding_norm"}, "lfm2moe": {**LFM2, "token_embd_norm": "model.embedding_norm"},
}


def arrays(model):
    """name -> array, slowest dimension first."""
    return {t.name: np.frombuffer(t.data, "<f4").reshape(t.dims[::-1]) for t in model.tensors}


def to_halves(rows, n_head):
    """Rows whose neighbours are a pair of RoPE -> rows where a pair is half a head apart."""
    shape = (n_head, rows.shape[0] // n_head // 2, 2, *rows.shape[1:])
    return rows.reshape(shape).swapaxes(1, 2).reshape(rows.shape)


def by_group(rows, case, groups):
    """q|k|v after each other -> for each group of queries: its queries, its key, its value (a group may be one head)."""
    s = case.shape
    kv = s.kv_heads(0)
    q, k, v = np.split(rows, [s.heads * s.head, (s.heads + kv) * s.head])
    parts = [x.reshape(groups, -1, *rows.shape[1:]) for x in (q, k, v)]
    return np.concatenate(parts, axis=1).reshape(rows.shape)


def to_grouped_values(x, axis, n_k, n_v):
    """Heads of values in tiled order (head h belongs to key head h % n_k) -> grouped by key head."""
    size = x.shape[axis] // n_v
    shape = (*x.shape[:axis], n_v // n_k, n_k, size, *x.shape[axis + 1:])
    return x.reshape(shape).swapaxes(axis, axis + 1).reshape(x.shape)


def delta_net(case, at, t):
    """The tensors of one gated delta net; both families order heads of values by key head there."""
    size, n_k, n_v = (case.key("ssm." + name) for name in ("state_size", "group_count", "time_step_rank"))
    key, arch = size * n_k, case.family.arch

    def grouped(x, axis=0):
        return to_grouped_values(x, axis, n_k, n_v) if arch == "qwen35" else x

    def values_grouped(x):
        return np.concatenate([x[:2 * key], grouped(x[2 * key:])])

    out = {"conv1d.weight": values_grouped(t[at + "ssm_conv1d.weight"])[:, None, :], "dt_bias": grouped(t[at + "ssm_dt.bias"]),
           "A_log": grouped(np.log(-t[at + "ssm_a"].astype("f8"))), "norm.weight": t[at + "ssm_norm.weight"],
           "out_proj.weight": grouped(t[at + "ssm_out.weight"], 1)}
    if arch == "qwen35":
        out |= {"in_proj_qkv.weight": values_grouped(t[at + "attn_qkv.weight"]), "in_proj_z.weight": grouped(t[at + "attn_gate.weight"]),
                "in_proj_b.weight": grouped(t[at + "ssm_beta.weight"]), "in_proj_a.weight": grouped(t[at + "ssm_alpha.weight"])}
        return out
    out["in_proj_ba.weight"] = t[at + "ssm_ba.weight"]
    if at + "ssm_in.weight" in t:
        out["in_proj_qkvz.weight"] = t[at + "ssm_in.weight"]
    else:
        qkv, z = t[at + "attn_qkv.weight"], t[at + "attn_gate.weight"]
        parts = [x.reshape(n_k, -1, qkv.shape[1]) for x in (*np.split(qkv, [key, 2 * key]), z)]
        out["in_proj_qkvz.weight"] = np.concatenate(parts, axis=1).reshape(-1, qkv.shape[1])
    return out


def expert_tensors(case, at, t, prefix):
    if case.family.arch == "gpt-oss":
        gate, up = t[at + "ffn_gate_exps.weight"], t[at + "ffn_up_exps.weight"]
        yield prefix + ".gate_up_proj", np.stack([gate, up], axis=2).reshape(gate.shape[0], -1, gate.shape[2]).swapaxes(1, 2)
        gate, up = t[at + "ffn_gate_exps.bias"], t[at + "ffn_up_exps.bias"]
        yield prefix + ".gate_up_proj_bias", np.stack([gate, up], axis=2).reshape(gate.shape[0], -1)
        yield prefix + ".down_proj", t[at + "ffn_down_exps.weight"].swapaxes(1, 2)
        yield prefix + ".down_proj_bias", t[at + "ffn_down_exps.bias"]
        return
    fused = t.get(at + "ffn_gate_up_exps.weight")
    if fused is None:
        fused = np.concatenate([t[at + "ffn_gate_exps.weight"], t[at + "ffn_up_exps.weight"]], axis=1)
    yield prefix + ".gate_up_proj", fused
    yield prefix + ".down_proj", t[at + "ffn_down_exps.weight"]


def fused_qkv(case, kind, x, out, prefix):
    """attn_qkv of a family that has one tensor there as well, or of one that has three."""
    arch, s = case.family.arch, case.shape
    if arch in ("gptneox", "falcon"):
        groups = s.heads if arch == "gptneox" else s.kv_heads(0)
        out[prefix + RENAMED[arch]["attn_qkv"] + "." + kind] = by_group(x, case, groups)
        return
    q, k, v = np.split(x, [s.heads * s.head, (s.heads + s.kv_heads(0)) * s.head])
    if arch in HALVES:
        q, k = to_halves(q, s.heads), to_halves(k, s.kv_heads(0))
    for name, part in (("q", q), ("k", k), ("v", v)):
        out[f"{prefix}self_attn.{name}_proj.{kind}"] = part


def layer_tensors(case, layer, t):
    """name -> array of one layer."""
    arch, s, at = case.family.arch, case.shape, f"blk.{layer}."
    prefix = f"{PREFIX.get(arch, 'model.layers')}.{layer}."
    names = {**LAYER, **RENAMED.get(arch, {})}
    if case.family.extra_norm:
        names |= {"attn_norm": "ln_mlp", "attn_norm_2": "ln_attn"}
    elif arch == "falcon":
        names |= {"attn_norm": "input_layernorm"}
    if case.family.shared == "plain":
        yield prefix + "shared_mlp.input_linear.weight", np.concatenate([t[at + "ffn_gate_shexp.weight"], t[at + "ffn_up_shexp.weight"]])
        yield prefix + "shared_mlp.output_linear.weight", t[at + "ffn_down_shexp.weight"]
    if at + "ffn_down_exps.weight" in t:
        yield from expert_tensors(case, at, t, prefix + names.get("experts", "mlp.experts"))
    recurrent = at + "ssm_a" in t
    if recurrent:
        yield from ((prefix + "linear_attn." + name, x) for name, x in delta_net(case, at, t).items())
    for full, x in t.items():
        if not full.startswith(at) or "_exps." in full or ".ssm_" in full or (case.family.shared == "plain" and "_shexp" in full):
            continue
        name, kind = full[len(at):].rsplit(".", 1)
        if recurrent and name in ("attn_qkv", "attn_gate"):
            continue
        if name == "attn_sinks":
            yield prefix + "self_attn.sinks", x
        elif name == "exp_probs_b":
            yield prefix + "feed_forward.expert_bias", x
        elif name == "attn_qkv" and arch not in ("phi3", "gpt2"):
            out = {}
            fused_qkv(case, kind, x, out, prefix)
            yield from out.items()
        elif arch == "stablelm" and name in QK_LAYERNORM:
            yield from ((f"{prefix}{QK_LAYERNORM[name]}.norms.{head}.weight", row) for head, row in enumerate(x))
        else:
            yield prefix + names[name] + "." + kind, converted(case, layer, name, kind, x)


def converted(case, layer, name, kind, x):
    """One tensor that only changes its layout."""
    arch, s = case.family.arch, case.shape
    kv = s.kv_heads(layer)
    if arch in HALVES and name in ("attn_q", "attn_k"):
        return to_halves(x, s.heads if name == "attn_q" else kv)
    if arch == "gpt2" and kind == "weight" and x.ndim == 2:
        return x.T
    if arch in NORM_PLUS_ONE and name.endswith("norm") and kind == "weight":
        return x - np.float64(1)
    if name == "shortconv.conv":
        return x[:, None, :]
    if name == "ffn_gate_inp_shexp":
        return x[None]
    if isinstance(s.kv, tuple) and name in ("attn_k", "attn_v") and kv != max(s.kv):
        # There all layers have as many heads of keys: the same ones, repeated.
        heads = x.reshape(kv, s.head, -1)
        return np.repeat(heads, max(s.kv) // kv, axis=0).reshape(-1, x.shape[1])
    return x


def state_dict(case, model):
    """(name -> array) for load_state_dict, and the bias of the output matrix, which few classes have."""
    t = arrays(model)
    arch = case.family.arch
    names = {**TOP, **RENAMED.get(arch, {})}
    out = {}
    for full, x in t.items():
        name, kind = full.rsplit(".", 1)
        if not full.startswith("blk.") and name in names and full != "output.bias":
            plus_one = arch in NORM_PLUS_ONE and name == "output_norm" and kind == "weight"
            out[names[name] + "." + kind] = x - np.float64(1) if plus_one else x
    for layer in range(case.shape.layers):
        out.update(layer_tensors(case, layer, t))
    return out, t.get("output.bias")
