"""Writes tiny Hugging Face model directories, with the standard library only.

The weights are a formula of the tensor's name and the element's place, so a test can say what any
element of the converted file has to be. F32 only: every conversion is then exact.
"""

import json
import pathlib
import struct
import zlib

N_VOCAB = 288  # the 256 bytes and room for merges and special tokens

# What every family has in config.json unless it says otherwise.
BASE = {"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2,
        "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 256,
        "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "vocab_size": N_VOCAB, "bos_token_id": 0,
        "eos_token_id": 1, "torch_dtype": "float32"}


def values(name, count):
    """`count` floats in [-1, 1) that belong to `name`."""
    state = zlib.crc32(name.encode())
    out = []
    for _ in range(count):
        state = (state * 1664525 + 1013904223) & 0xFFFFFFFF
        out.append((state >> 8) / 2**23 - 1.0)
    return out


def tensor(name, shape):
    """(name, shape, little-endian F32 bytes); norms lie near 1."""
    count = 1
    for size in shape:
        count *= size
    numbers = values(name, count)
    if "norm" in name:
        numbers = [1 + number / 8 for number in numbers]
    return name, shape, struct.pack(f"<{count}f", *numbers)


def write_safetensors(path, tensors):
    """Writes (name, shape, bytes) as .safetensors."""
    header, data = {}, b""
    for name, shape, content in tensors:
        header[name] = {"dtype": "F32", "shape": shape,
                        "data_offsets": [len(data), len(data) + len(content)]}
        data += content
    text = json.dumps(header).encode()
    pathlib.Path(path).write_bytes(struct.pack("<Q", len(text)) + text + data)


def byte_characters():
    """The character that byte-level BPE has for each byte."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    table, extra = {}, 0
    for byte in range(256):
        if byte in plain:
            table[byte] = chr(byte)
        else:
            table[byte] = chr(256 + extra)
            extra += 1
    return table


def tokenizer_json():
    """A byte-level BPE with two special tokens and three merges."""
    vocabulary = {"<s>": 0, "</s>": 1}
    for character in byte_characters().values():
        vocabulary[character] = len(vocabulary)
    merges = ["t h", "th e", "Ġ the"]
    for merge in merges:
        vocabulary[merge.replace(" ", "")] = len(vocabulary)
    special = [{"id": i, "content": text, "special": True, "single_word": False, "lstrip": False,
                "rstrip": False, "normalized": False} for i, text in enumerate(("<s>", "</s>"))]
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True,
                  "use_regex": True}
    return {"version": "1.0", "truncation": None, "padding": None, "added_tokens": special,
            "normalizer": None, "pre_tokenizer": byte_level, "post_processor": byte_level,
            "decoder": byte_level,
            "model": {"type": "BPE", "dropout": None, "unk_token": None,
                      "continuing_subword_prefix": None, "end_of_word_suffix": None,
                      "fuse_unk": False, "byte_fallback": False, "vocab": vocabulary,
                      "merges": merges}}


def varint(value):
    """A number as a protocol buffer has it."""
    out = b""
    while value > 127:
        out += bytes([value & 127 | 128])
        value >>= 7
    return out + bytes([value])


def field(number, value):
    """A field of a protocol buffer: an int, a float of 32 bits, text, or bytes."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    if isinstance(value, float):
        return varint(number << 3 | 5) + struct.pack("<f", value)
    content = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(content)) + content


NORMAL, UNKNOWN, CONTROL, USER_DEFINED, BYTE = 1, 2, 3, 4, 6


def sentencepiece_pieces():
    """(text, score, type) of a small vocabulary of SentencePiece's BPE: merges have scores by rank."""
    pieces = [("<unk>", 0.0, UNKNOWN), ("<s>", 0.0, CONTROL), ("</s>", 0.0, CONTROL)]
    pieces += [(f"<0x{byte:02X}>", 0.0, BYTE) for byte in range(256)]
    words = ["\u2581t", "he", "\u2581the", "in", "er"]
    pieces += [(word, -float(rank), NORMAL) for rank, word in enumerate(words)]
    characters = sorted(set("".join(words)))
    pieces += [(character, -float(len(words) + rank), NORMAL) for rank, character in enumerate(characters)]
    return pieces + [("<mask>", -50.0, USER_DEFINED)]


def sentencepiece_model(pieces=None, normalizer=None):
    """tokenizer.model: the pieces, and what SentencePiece itself needs to load it."""
    trainer = field(3, 2) + field(4, N_VOCAB) + field(35, 1)  # BPE, with bytes for the rest
    if normalizer is None:
        normalizer = field(1, "identity") + field(3, 1) + field(4, 0) + field(5, 1)
    out = b"".join(field(1, field(1, text) + field(2, score) + field(3, kind)) for text, score, kind in pieces or sentencepiece_pieces())
    return out + field(2, trainer) + field(3, normalizer)


def use_sentencepiece(folder):
    """Gives the model of write_model() a tokenizer.model in the place of its tokenizer.json."""
    folder = pathlib.Path(folder)
    (folder / "tokenizer.json").unlink()
    (folder / "tokenizer.model").write_bytes(sentencepiece_model())
    (folder / "tokenizer_config.json").write_text(json.dumps({
        "tokenizer_class": "LlamaTokenizer", "bos_token": "<s>", "eos_token": {"content": "</s>"}, "unk_token": "<unk>",
        "add_bos_token": True, "add_eos_token": False, "chat_template": "{{ messages }}",
        "added_tokens_decoder": {
            "0": {"content": "<unk>", "special": True}, "1": {"content": "<s>", "special": True},
            "2": {"content": "</s>", "special": True}, "280": {"content": "<|end|>", "special": False},
            "281": {"content": "\u2581two\u2581words", "special": False}}}))


def layer_tensors(layer, config, sandwich=False, qk_norm=0, bias=False, fused=False):
    """The tensors of one layer of a Llama-like model."""
    width, inner = config["hidden_size"], config["intermediate_size"]
    head = config.get("head_dim", width // config["num_attention_heads"])
    rows_q = head * config["num_attention_heads"]
    rows_kv = head * config["num_key_value_heads"]
    shapes = {"input_layernorm": [width], "post_attention_layernorm": [width],
              "self_attn.o_proj": [width, rows_q], "mlp.down_proj": [width, inner]}
    if fused:
        shapes["self_attn.qkv_proj"] = [rows_q + 2 * rows_kv, width]
        shapes["mlp.gate_up_proj"] = [2 * inner, width]
    else:
        shapes.update({"self_attn.q_proj": [rows_q, width], "self_attn.k_proj": [rows_kv, width],
                       "self_attn.v_proj": [rows_kv, width], "mlp.gate_proj": [inner, width],
                       "mlp.up_proj": [inner, width]})
    if sandwich:
        shapes["pre_feedforward_layernorm"] = [width]
        shapes["post_feedforward_layernorm"] = [width]
    if qk_norm:
        shapes["self_attn.q_norm"] = shapes["self_attn.k_norm"] = [qk_norm]
    out = [tensor(f"model.layers.{layer}.{name}.weight", shape) for name, shape in shapes.items()]
    if bias:
        out += [tensor(f"model.layers.{layer}.self_attn.{name}_proj.bias", [rows])
                for name, rows in (("q", rows_q), ("k", rows_kv), ("v", rows_kv))]
    return out


# Architecture: what config.json adds, what the layers have, whether the head is a matrix of its own.
FAMILIES = {
    "llama": ("LlamaForCausalLM", {}, {}, True),
    "llama3": ("LlamaForCausalLM", {"rope_scaling": {
        "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
        "original_max_position_embeddings": 64}}, {}, False),
    "mistral": ("MistralForCausalLM", {"head_dim": 32}, {}, True),
    "qwen2": ("Qwen2ForCausalLM", {}, {"bias": True}, False),
    "qwen3": ("Qwen3ForCausalLM", {"head_dim": 32}, {"qk_norm": 32}, False),
    "smollm3": ("SmolLM3ForCausalLM", {}, {}, False),
    "granite": ("GraniteForCausalLM", {"attention_multiplier": 0.0625, "embedding_multiplier": 12.0,
                                       "residual_multiplier": 0.22, "logits_scaling": 8.0}, {},
                False),
    "gemma2": ("Gemma2ForCausalLM", {"head_dim": 16, "attn_logit_softcapping": 50.0,
                                     "final_logit_softcapping": 30.0, "sliding_window": 32},
               {"sandwich": True}, False),
    "gemma3": ("Gemma3ForCausalLM", {"head_dim": 16, "sliding_window": 32,
                                     "rope_local_base_freq": 10000.0},
               {"sandwich": True, "qk_norm": 16}, False),
    "phi3": ("Phi3ForCausalLM", {"original_max_position_embeddings": 128, "rope_scaling": {
        "type": "longrope", "long_factor": [1.0 + i / 4 for i in range(8)],
        "short_factor": [1.0] * 8}}, {"fused": True}, True),
    "olmo2": ("Olmo2ForCausalLM", {"num_key_value_heads": 4}, {"sandwich": True, "qk_norm": 64},
              True),
}


def write_model(folder, family, n_shard=1):
    """Writes the directory; returns (config, {tensor name: (shape, bytes)})."""
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    architecture, extra, layer_options, has_head = FAMILIES[family]
    config = {"architectures": [architecture], **BASE, **extra}
    tensors = [tensor("model.embed_tokens.weight", [N_VOCAB, config["hidden_size"]]),
               tensor("model.norm.weight", [config["hidden_size"]])]
    if has_head:
        tensors.append(tensor("lm_head.weight", [N_VOCAB, config["hidden_size"]]))
    config["tie_word_embeddings"] = not has_head
    for layer in range(config["num_hidden_layers"]):
        tensors += layer_tensors(layer, config, **layer_options)
    if family == "olmo2":  # only behind the parts, not before them
        tensors = [t for t in tensors if not t[0].endswith(("input_layernorm.weight",
                                                            "pre_feedforward_layernorm.weight"))]
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer_json()))
    (folder / "tokenizer_config.json").write_text(json.dumps({
        "tokenizer_class": "GPT2Tokenizer", "bos_token": "<s>", "eos_token": "</s>",
        "chat_template": "{% for m in messages %}{{ m.content }}{% endfor %}"}))
    if n_shard == 1:
        write_safetensors(folder / "model.safetensors", tensors)
    else:
        names = [f"model-{i + 1:05}-of-{n_shard:05}.safetensors" for i in range(n_shard)]
        for i, name in enumerate(names):
            write_safetensors(folder / name, tensors[i::n_shard])
        index = {t[0]: names[i % n_shard] for i, t in enumerate(tensors)}
        (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": index}))
    return config, {name: (shape, content) for name, shape, content in tensors}
