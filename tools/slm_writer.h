// Writes .slm version 1 (docs/formats/slm.md) from a llama-like model of any format.
#pragma once

#include <string>

#include "core/format/model_file.h"

namespace lbm::cli {

// What becomes of matrices. Norms are always f32.
enum class SlmWeights : u8 {
  kExact,  // the very numbers: Q4_0 as q4_0, Q8_0 as q8_0 where the blocks of each row share their
           // scale, everything else as f32
  kF32,
  kQ8_0,  // quantized: a scale for each row
  kQ4_0,  // quantized: a scale for each 32 columns
};
// False for a name that is none of exact, f32, q8_0, q4_0.
[[nodiscard]] bool parse_slm_weights(const std::string& name, SlmWeights& out);

// The metadata go into the tokenizer section as they are, so that nothing of the tokenizer and the
// template is lost. Nothing stands under `path` until the file is whole.
// Throws CommandError: kModel for what an .slm file can not hold (another architecture than llama,
// biases, experts, RoPE factors), naming it; kRuntime where writing fails.
void write_slm(const std::string& path, const ModelFile& model, SlmWeights weights);

}  // namespace lbm::cli
