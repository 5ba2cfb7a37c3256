// The importance matrix ("imatrix"): for each matrix of a model, how strongly its columns are used
// by a calibration text, as mean squares of the activations. Made by llama-imatrix; both of its
// formats are read.
//
//   legacy: i32 n_entry; n_entry x { i32 size, name, i32 n_call, i32 n_value, f32 sums[n_value] };
//           then, where they are, i32 n_chunk, i32 size, name of the text
//   GGUF:   tensors NAME.in_sum2 [n_column][n_expert] and NAME.counts [1][n_expert], both F32
#pragma once

#include <string>
#include <unordered_map>
#include <vector>

#include "core/base/span.h"
#include "core/base/types.h"

namespace lbm::cli {

class ImportanceMatrix {
 public:
  ImportanceMatrix() = default;
  // Throws CommandError (kModel) naming the file, the entry and what is wrong with it.
  explicit ImportanceMatrix(const std::string& path);

  // n_column values for each expert, one after the other; nullptr where the matrix is not in it.
  [[nodiscard]] const std::vector<f32>* find(const std::string& tensor) const;

  [[nodiscard]] bool empty() const { return entries_.empty(); }
  [[nodiscard]] usize size() const { return entries_.size(); }
  [[nodiscard]] const std::string& file_name() const { return file_name_; }  // without folders
  [[nodiscard]] const std::string& text_name() const { return text_name_; }
  [[nodiscard]] u32 n_chunk() const { return n_chunk_; }

 private:
  void read_gguf(const std::string& path);
  void read_legacy(const std::string& path, Span<const u8> bytes);
  void add(const std::string& path, const std::string& name, std::vector<f32> values);

  std::unordered_map<std::string, std::vector<f32>> entries_;
  std::string file_name_;
  std::string text_name_;
  u32 n_chunk_ = 0;
};

}  // namespace lbm::cli
