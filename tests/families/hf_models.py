"""Each case as a model of Hugging Face transformers.

Where transformers and the file format (as llama.cpp reads it) differ in meaning, the format wins, and it is here that it does:

  GELU            always in its tanh form, as in the format; gptneox and falcon default to the exact form there
  longrope        the long factors are taken when the context (256) is larger than the original one, whatever the prompt's length
  YaRN            bounds are rounded to whole dimensions, also for gpt-oss; the magnitude is 1 + 0.1 ln(factor)
  minicpm         is no class there: it is granite with attention scaled by 1 / sqrt(head); without keys, older files mean
                  embedding * 12, residual * 1.4 / sqrt(layers), logits / (width / 256)
  exaone4         a window is used when there are 64 layers, and ignored otherwise
  output.bias     is added to the logits afterwards (phi2 has it there as well)
  rope_freqs      divides the frequencies

In two places llama.cpp is not followed (docs/families.md says why): it reads no yarn_beta_fast and yarn_beta_slow for these families,
and takes the inverse of minicpm's default for the logits. Those cases are marked `peer_differs`.
"""
import math

import torch
import transformers
from cases_hybrid import is_recurrent

DEFAULT_BASE = 10000.0
GELU = "gelu_pytorch_tanh"


def rope(case, theta_default=DEFAULT_BASE):
    """rope_parameters of a case."""
    kind = case.key("rope.scaling.type")
    out = {"rope_type": "default", "rope_theta": case.family.freq_base or theta_default}
    if case.family.n_rot:
        out["partial_rotary_factor"] = case.family.n_rot
    factor = case.key("rope.scaling.factor") or case.key("rope.scale_linear")
    if kind == "yarn":
        out |= {"rope_type": "yarn", "factor": factor, "truncate": True,
                "original_max_position_embeddings": case.key("rope.scaling.original_context_length"),
                "beta_fast": case.key("rope.scaling.yarn_beta_fast", 32.0), "beta_slow": case.key("rope.scaling.yarn_beta_slow", 1.0)}
    elif factor and kind in (None, "linear"):
        out |= {"rope_type": "linear", "factor": factor}
    return out


def layer_types(case, period, window="sliding_attention"):
    """Every `period`-th layer sees everything, unless the file lists the layers."""
    listed = case.key("attention.sliding_window_pattern")
    flags = listed[1] if listed else [(i + 1) % period for i in range(case.shape.layers)]
    return [window if flag else "full_attention" for flag in flags]


def window_of(case):
    return case.key("attention.sliding_window")


def scales(case):
    return {"logits_scaling": case.key("logit_scale"), "residual_multiplier": case.key("residual_scale", 1.0),
            "embedding_multiplier": case.key("embedding_scale", 1.0),
            "attention_multiplier": case.key("attention.scale", 1 / math.sqrt(case.shape.head))}


def minicpm(case):
    s = case.shape
    out = scales(case)
    if case.key("logit_scale") is None:
        out |= {"logits_scaling": s.width / 256.0, "residual_multiplier": 1.4 / math.sqrt(s.layers), "embedding_multiplier": 12.0}
    return out


def gemma3(case):
    types = layer_types(case, 6) if window_of(case) else ["full_attention"] * case.shape.layers
    return {"rope_parameters": {"sliding_attention": {"rope_type": "default", "rope_theta": DEFAULT_BASE}, "full_attention": rope(case)},
            "sliding_window": window_of(case) or 4096, "layer_types": types, "query_pre_attn_scalar": case.shape.head,
            "hidden_activation": GELU, "final_logit_softcapping": case.key("final_logit_softcapping")}


def olmo2(case):
    if not window_of(case):
        return {}
    plain = {"rope_type": "default", "rope_theta": case.family.freq_base}
    return {"rope_parameters": {"sliding_attention": plain, "full_attention": rope(case)}, "sliding_window": window_of(case),
            "layer_types": layer_types(case, 4)}


def exaone4(case):
    if case.shape.layers != 64:
        return {"sliding_window": None, "layer_types": ["full_attention"] * case.shape.layers}
    return {"sliding_window": window_of(case), "sliding_window_pattern": 4, "layer_types": layer_types(case, 4)}


def hunyuan(case):
    alpha = case.key("rope.scaling.alpha")
    return {"rope_parameters": {**rope(case), "rope_type": "dynamic", "factor": 1.0, "alpha": alpha}} if alpha else {}


def delta_net(case):
    size, n_k, n_v = (case.key("ssm." + name) for name in ("state_size", "group_count", "time_step_rank"))
    types = ["linear_attention" if is_recurrent(case, layer) else "full_attention" for layer in range(case.shape.layers)]
    sections = case.key("rope.dimension_sections")
    more = {"rope_parameters": {**rope(case), "mrope_section": list(sections[1][:3]), "mrope_interleaved": True}} if sections else {}
    return {"layer_types": types, "linear_conv_kernel_dim": case.key("ssm.conv_kernel"), "linear_key_head_dim": size,
            "linear_value_head_dim": size, "linear_num_key_heads": n_k, "linear_num_value_heads": n_v, **more}


def short_convolution(case):
    kv = case.shape.kv
    return {"layer_types": ["full_attention" if n else "conv" for n in kv], "num_key_value_heads": max(kv), "norm_eps": 1e-5,
            "conv_L_cache": case.key("shortconv.l_cache"), "block_auto_adjust_ff_dim": False}


def experts(case, count="num_local_experts", ffn="intermediate_size"):
    s = case.shape
    length = s.expert_ffn or case.reference.get("expert_ffn", s.ffn)
    return {count: s.experts, "num_experts_per_tok": s.used, ffn: length, "norm_topk_prob": True}


def phi3(case):
    return {"sliding_window": None, "original_max_position_embeddings": case.shape.context}


def falcon(case):
    s = case.shape
    return {"num_kv_heads": s.kv, "multi_query": True, "new_decoder_architecture": case.family.extra_norm, "activation": GELU,
            "ffn_hidden_size": s.ffn, "alibi": False, "bias": False, "layer_norm_epsilon": 1e-5}


# architecture -> (class, configuration, what to tell it besides the common numbers)
BIAS = {"attention_bias": True}
REFERENCE = {
    "llama": ("LlamaForCausalLM", "LlamaConfig", lambda c: {**BIAS, "mlp_bias": True}),
    "qwen2": ("Qwen2ForCausalLM", "Qwen2Config", lambda c: {}),
    "qwen3": ("Qwen3ForCausalLM", "Qwen3Config", lambda c: {}),
    "gemma": ("GemmaForCausalLM", "GemmaConfig", lambda c: {"hidden_act": GELU}),
    "gemma2": ("Gemma2ForCausalLM", "Gemma2Config", lambda c: {
        "hidden_activation": GELU, "query_pre_attn_scalar": c.shape.head, "sliding_window": window_of(c), "layer_types": layer_types(c, 2),
        "attn_logit_softcapping": c.key("attn_logit_softcapping"), "final_logit_softcapping": c.key("final_logit_softcapping")}),
    "gemma3": ("Gemma3ForCausalLM", "Gemma3TextConfig", gemma3),
    "phi3": ("Phi3ForCausalLM", "Phi3Config", phi3),
    "smollm3": ("SmolLM3ForCausalLM", "SmolLM3Config", lambda c: {"no_rope_layer_interval": 4}),
    "granite": ("GraniteForCausalLM", "GraniteConfig", scales),
    "minicpm": ("GraniteForCausalLM", "GraniteConfig", minicpm),
    "olmo2": ("Olmo2ForCausalLM", "Olmo2Config", olmo2),
    "olmo3": ("Olmo3ForCausalLM", "Olmo3Config", olmo2),
    "exaone4": ("Exaone4ForCausalLM", "Exaone4Config", exaone4),
    "ernie4_5": ("Ernie4_5ForCausalLM", "Ernie4_5Config", lambda c: {}),
    "hunyuan-dense": ("HunYuanDenseV1ForCausalLM", "HunYuanDenseV1Config", hunyuan),
    "seed_oss": ("SeedOssForCausalLM", "SeedOssConfig", lambda c: {**BIAS, "attention_out_bias": False}),
    "glm4": ("Glm4ForCausalLM", "Glm4Config", lambda c: BIAS),
    "phi2": ("PhiForCausalLM", "PhiConfig", lambda c: {"hidden_act": "gelu_new"}),
    "stablelm": ("StableLmForCausalLM", "StableLmConfig", lambda c: {
        "use_qkv_bias": True, "use_parallel_residual": c.family.before_ffn is None, "qk_layernorm": bool(c.family.qk_norm)}),
    "starcoder2": ("Starcoder2ForCausalLM", "Starcoder2Config", lambda c: {"use_bias": True, "hidden_act": GELU, "norm_epsilon": 1e-5,
                                                                          "sliding_window": None}),
    "gpt2": ("GPT2LMHeadModel", "GPT2Config", lambda c: {
        "n_embd": c.shape.width, "n_layer": c.shape.layers, "n_head": c.shape.heads, "n_inner": c.shape.ffn,
        "n_positions": c.shape.context, "activation_function": "gelu_new", "layer_norm_epsilon": 1e-5}),
    "gptneox": ("GPTNeoXForCausalLM", "GPTNeoXConfig", lambda c: {
        **BIAS, "hidden_act": GELU, "use_parallel_residual": bool(c.key("use_parallel_residual"))}),
    "falcon": ("FalconForCausalLM", "FalconConfig", falcon),
    "command-r": ("CohereForCausalLM", "CohereConfig", lambda c: {
        "logit_scale": c.key("logit_scale"), "use_qk_norm": bool(c.family.qk_norm)}),
    "cohere2": ("Cohere2ForCausalLM", "Cohere2Config", lambda c: {
        "logit_scale": c.key("logit_scale"), "sliding_window": window_of(c), "layer_types": layer_types(c, 4)}),
    "nemotron": ("NemotronForCausalLM", "NemotronConfig", lambda c: {**BIAS, "mlp_bias": True, "norm_eps": 1e-5}),
    "mixtral": ("MixtralForCausalLM", "MixtralConfig", lambda c: {**experts(c), "sliding_window": None}),
    "qwen2moe": ("Qwen2MoeForCausalLM", "Qwen2MoeConfig", lambda c: {
        **experts(c, "num_experts", "moe_intermediate_size"), "norm_topk_prob": False, "decoder_sparse_step": 1,
        "shared_expert_intermediate_size": c.shape.shared_ffn}),
    "qwen3moe": ("Qwen3MoeForCausalLM", "Qwen3MoeConfig", lambda c: {
        **experts(c, "num_experts", "moe_intermediate_size"), "decoder_sparse_step": 1}),
    "olmoe": ("OlmoeForCausalLM", "OlmoeConfig", lambda c: {**experts(c, "num_experts"), "norm_topk_prob": False}),
    "granitemoe": ("GraniteMoeForCausalLM", "GraniteMoeConfig", lambda c: {**scales(c), **experts(c)}),
    "granitemoeshared": ("GraniteMoeSharedForCausalLM", "GraniteMoeSharedConfig", lambda c: {
        **scales(c), **experts(c), "shared_intermediate_size": c.shape.shared_ffn}),
    "gpt-oss": ("GptOssForCausalLM", "GptOssConfig", lambda c: {
        **experts(c), "sliding_window": window_of(c), "layer_types": layer_types(c, 2)}),
    "lfm2": ("Lfm2ForCausalLM", "Lfm2Config", short_convolution),
    "lfm2moe": ("Lfm2MoeForCausalLM", "Lfm2MoeConfig", lambda c: {
        **short_convolution(c), **experts(c, "num_experts", "moe_intermediate_size"), "num_dense_layers": c.shape.dense,
        "use_expert_bias": True}),
    "qwen35": ("Qwen3_5ForCausalLM", "Qwen3_5TextConfig", delta_net),
    "qwen3next": ("Qwen3NextForCausalLM", "Qwen3NextConfig", lambda c: {
        **delta_net(c), **experts(c, "num_experts", "moe_intermediate_size"), "shared_expert_intermediate_size": c.shape.shared_ffn}),
}


def reference_name(case):
    """The key of REFERENCE: an architecture may be several classes there."""
    arch = case.family.arch
    if arch == "llama" and case.shape.experts:
        return "mixtral"
    if arch == "granitemoe" and case.shape.shared_ffn:
        return "granitemoeshared"
    if arch == "olmo2" and window_of(case):
        return "olmo3"
    return arch


def configuration(case):
    s = case.shape
    name, config, more = REFERENCE[reference_name(case)]
    numbers = {"vocab_size": s.vocab, "hidden_size": s.width, "intermediate_size": s.ffn, "num_hidden_layers": s.layers,
               "num_attention_heads": s.heads, "num_key_value_heads": s.kv, "head_dim": s.head, "max_position_embeddings": s.context,
               "rms_norm_eps": 1e-5, "layer_norm_eps": 1e-5, "tie_word_embeddings": case.family.tied, "rope_parameters": rope(case),
               "bos_token_id": 0, "eos_token_id": 0, "pad_token_id": None,
               "attn_implementation": "eager", "experts_implementation": "eager"}
    numbers |= more(case)
    if name in ("FalconForCausalLM", "Cohere2ForCausalLM"):
        del numbers["head_dim"]  # computed there
    return getattr(transformers, config)(**numbers)


def adjust_rope(case, model):
    """Frequencies that only the file knows: factors, magnitudes, none at all."""
    tensors = dict(case.tensors)
    original = case.key("rope.scaling.original_context_length", case.shape.context)
    long_or_short = "rope_factors_long.weight" if case.shape.context > original else "rope_factors_short.weight"
    factors = tensors.get("rope_freqs.weight") or tensors.get(long_or_short)
    for module in model.modules():
        if not hasattr(module, "inv_freq"):
            continue
        if factors:
            module.inv_freq = module.inv_freq / torch.tensor(factors, dtype=torch.float64)
        if case.key("rope.scaling.finetuned") == 0:
            module.inv_freq = module.inv_freq * 0.0
        module.attention_scaling *= case.key("rope.scaling.attn_factor", 1.0)


def create(case, weights):
    """The model with its weights, in f64. Biases that the file has not got are zero; nothing else may be missing or left over."""
    config = configuration(case)
    model = getattr(transformers, REFERENCE[reference_name(case)][0])(config).double().eval()
    tensors = {name: torch.tensor(x.copy(), dtype=torch.float64) for name, x in weights.items()}
    missing, unexpected = model.load_state_dict(tensors, strict=False)
    tied = {"lm_head.weight"} if case.family.tied else set()
    left = [name for name in missing if name not in tied and not name.endswith(".bias")]
    assert not left and not unexpected, (case.name, left, unexpected)
    with torch.no_grad():
        for name in missing:
            if name.endswith(".bias"):
                model.get_parameter(name).zero_()
    model.tie_weights()
    adjust_rope(case, model)
    return model
