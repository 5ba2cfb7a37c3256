// Which tensor of a model gets which type.
//
// A "mix" is what people call a quantization: Q4_K_M is mostly Q4_K, with more bits for the tensors
// whose errors cost most. Names, ids and choices are those of llama.cpp, so that a file of ours has
// the size and the types that its name promises.
#pragma once

#include <optional>
#include <regex>
#include <string>
#include <utility>
#include <vector>

#include "tools/gguf_writer.h"
#include "tools/output.h"

namespace lbm::cli {

struct Mix {
  const char* name;
  u32 file_type;  // general.file_type
  DType base;     // of most matrices
};

// The mix called `name`, any case; Q3_K, Q4_K and Q5_K stand for their _M. nullptr: none.
[[nodiscard]] const Mix* find_mix(const std::string& name);
// "F32, F16, ...", for messages.
[[nodiscard]] std::string mix_names();

// What the choice depends on besides the tensor itself.
struct ModelShape {
  std::string architecture;
  u64 n_layer = 0;
  u64 n_expert = 0;
  u64 n_query_per_key = 1;  // heads that share a key head
};
[[nodiscard]] ModelShape model_shape(const ModelFile& file);

struct MixOptions {
  const Mix* mix = nullptr;
  bool pure = false;             // the base type for every matrix
  bool has_importance = false;   // an importance matrix will be used
  std::optional<DType> output;   // of output.weight, or of a tied token_embd.weight
  std::optional<DType> embedding;
  std::vector<std::pair<std::regex, DType>> overrides;  // by name; the first that matches
};

struct TensorType {
  DType type = DType::kF32;
  bool fallback = false;  // its rows are no whole number of blocks of the type it should have had
};

// The type of every tensor, in the same order. Tensors that are not matrices of weights (norms,
// biases, routers, convolutions) keep theirs.
[[nodiscard]] std::vector<TensorType> choose_types(const std::vector<GgufTensor>& tensors,
                                                   const ModelShape& shape,
                                                   const MixOptions& options);

// False for tensors that lose more than they save: vectors, norms, routers, convolutions.
[[nodiscard]] bool is_quantizable(const GgufTensor& tensor);

}  // namespace lbm::cli
