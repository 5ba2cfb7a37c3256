// The tensors of a Hugging Face model under their GGUF names, in GGUF's order of elements.
#pragma once

#include <string>
#include <vector>

#include "tools/hf_directory.h"
#include "tools/hf_families.h"
#include "tools/tensor_source.h"

namespace lbm::cli {

class HfTensors final : public TensorSource {
 public:
  // `n_vocab_limit`: rows of the embedding beyond the vocabulary are left out (gemma3); 0: none.
  // Throws CommandError (kModel) for experts that are missing, a dtype that is no weight, or a
  // shape that does not fit the numbers of config.json.
  HfTensors(const HfDirectory& directory, const HfFamily& family, u64 n_vocab_limit = 0);

  [[nodiscard]] const std::vector<GgufTensor>& tensors() const override { return tensors_; }
  void read(usize tensor, u64 offset, Span<u8> out) override;

  // Names that GGUF does not keep, for a message.
  [[nodiscard]] const std::vector<std::string>& left_out() const { return left_out_; }
  // The dtype of the first matrix: what the model was stored as.
  [[nodiscard]] DType stored_as() const;

 private:
  enum class Change { kNone, kPermuteHeads, kAddOne };
  struct Origin {
    std::vector<StoredPlace> parts;  // one; of stacked experts one each
    Change change = Change::kNone;
    u64 n_head = 0;              // kPermuteHeads
    std::vector<f32> constants;  // instead of parts
  };

  void add_stored(const std::string& name, const StoredPlace& place);
  void add_expert(const std::string& name, const StoredPlace& place);
  void complete_experts();
  void add_constants(const std::string& name, std::vector<f32> values);
  void add_rope_factors();
  void add_llama3_factors(const Json& rope);
  [[nodiscard]] GgufTensor describe(const std::string& name, const StoredTensor& stored) const;
  [[nodiscard]] u64 heads_of(const std::string& name) const;
  [[nodiscard]] u64 n_expert() const;
  [[noreturn]] void refuse(const std::string& name, const std::string& what) const;
  void read_stored(const Origin& origin, u64 offset, Span<u8> out) const;
  void load_changed(usize tensor);

  const HfDirectory& directory_;
  const HfFamily& family_;
  const std::string config_path_;
  u64 n_vocab_limit_;
  std::vector<GgufTensor> tensors_;
  std::vector<Origin> origins_;
  std::vector<std::string> left_out_;
  std::vector<u8> changed_;  // the tensor that was changed last, whole
  usize changed_index_ = ~usize{0};
};

}  // namespace lbm::cli
