// What a Hugging Face architecture is called in GGUF, and what has to be done to its tensors and
// numbers on the way. All of it is data: a new family is a line in hf_families.cpp.
#pragma once

#include <string>

#include "tools/gguf_writer.h"
#include "tools/output.h"

namespace lbm::cli {

struct HfFamily {
  enum Flag : u32 {
    // Rows of query and key matrices rotate in pairs (2i, 2i + 1) in GGUF and (i, i + half) in HF.
    kPermuteHeads = 1u << 0,
    kNormPlusOne = 1u << 1,  // HF multiplies with 1 + weight
    // post_attention_layernorm stands behind attention, not before the feed-forward part.
    kSandwichNorms = 1u << 2,
    kLlamaKeys = 1u << 3,       // vocab_size and rope.dimension_count are written
    kGraniteScales = 1u << 4,   // attention_multiplier and its relatives; no head_dim of its own
    kWindow = 1u << 5,          // sliding_window
    kWindowPattern = 1u << 6,   // sliding_window with a list of the layers that have it
    kSoftcaps = 1u << 7,        // of attention and of the logits
    kDropHead = 1u << 8,        // the output matrix is always the embedding
    kLongRope = 1u << 9,        // phi3: factors for short and long contexts; window 0 for none
    kDefaultHeads = 1u << 10,   // numbers that gemma3 leaves out of config.json
    kNoSpacePrefix = 1u << 11,  // no space is put before a text
    kFixedEpsilon = 1u << 12,   // rms epsilon 1e-5, which config.json does not say
    kNoRopeKeys = 1u << 13,     // rope.freq_base is the default and not written
  };
  const char* hf_name;
  const char* architecture;
  u32 flags;

  [[nodiscard]] bool has(Flag flag) const { return (flags & flag) != 0; }
};

// The family of `architectures` in config.json. Throws CommandError (kModel) with the names that
// are known.
[[nodiscard]] const HfFamily& find_hf_family(const Json& config, const std::string& path);

// Sets the numbers of the model: ARCH.block_count and so on. `path` is that of config.json, for
// messages. Throws CommandError (kModel) for numbers that are no numbers.
void set_model_numbers(const HfFamily& family, const Json& config, const std::string& path,
                       GgufMetadata& meta);

// The name in GGUF of an HF tensor; empty for what GGUF does not keep (rotary tables, the vision
// part). Experts are stacked: those of expert 3 are called "blk.0.ffn_up_exps{3}.weight".
[[nodiscard]] std::string gguf_tensor_name(const HfFamily& family, const std::string& hf_name);

// Numbers of config.json. Throw CommandError (kModel) where they are missing or out of range.
[[nodiscard]] u64 config_u64(const Json& config, std::initializer_list<const char*> names,
                             const std::string& path);
[[nodiscard]] f64 config_f64(const Json& value, const char* name, const std::string& path);

// rope_parameters or rope_scaling, with what stands beside them at the root put in; where layers
// with and without a window differ, those without.
[[nodiscard]] Json rope_parameters(const Json& config);

}  // namespace lbm::cli
