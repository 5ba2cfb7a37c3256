// Writes GGUF version 3: metadata in the order in which they were set, tensors in the order in
// which they were declared, their data streamed through. docs/formats/gguf.md has the layout.
//
//   GgufMetadata meta;
//   meta.copy_from(model);                        // or set_text("general.architecture", "llama")
//   ... meta.set_u32("general.file_type", 7);         // replaces in place, else appends
//   std::vector<GgufTensor> tensors = {{"token_embd.weight", DType::kQ8_0, {576, 49152}}, ...};
//   GgufWriter writer(path, meta, tensors);
//   for (each tensor) writer.write(its bytes);    // in any pieces, n_byte() of each, in order
//   writer.finish();                              // until then nothing stands under `path`
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/format/limits.h"
#include "core/format/model_file.h"
#include "tools/file_writer.h"

namespace lbm::cli {

// Keys and values in order. Setting a key that is there replaces its value where it stands.
class GgufMetadata {
 public:
  void set_u8(const std::string& key, u8 value);
  void set_u32(const std::string& key, u32 value);
  void set_i32(const std::string& key, i32 value);
  void set_u64(const std::string& key, u64 value);
  void set_f32(const std::string& key, f32 value);
  void set_bool(const std::string& key, bool value);
  void set_text(const std::string& key, const std::string& value);
  void set_u32_array(const std::string& key, const std::vector<u32>& values);
  void set_i32_array(const std::string& key, const std::vector<i32>& values);
  void set_f32_array(const std::string& key, const std::vector<f32>& values);
  void set_bool_array(const std::string& key, const std::vector<bool>& values);
  void set_text_array(const std::string& key, const std::vector<std::string>& values);
  // A value as another file has it, bit for bit.
  void set_value(const std::string& key, const MetaValue& value);
  // Every key of `file` in its order, except split.*, which tell of files, not of the model.
  void copy_from(const ModelFile& file);
  // False when there is no such key.
  bool erase(const std::string& key);
  [[nodiscard]] bool contains(const std::string& key) const;

  [[nodiscard]] usize size() const { return entries_.size(); }
  // The entries as the file has them: key, type, value, one after the other.
  [[nodiscard]] std::string encoded() const;

 private:
  struct Entry {
    std::string key;
    MetaType type;
    std::string bytes;  // the value, as the file has it
  };
  void set(const std::string& key, MetaType type, std::string bytes);

  std::vector<Entry> entries_;
};

struct GgufTensor {
  std::string name;
  DType dtype = DType::kF32;
  std::vector<u64> dims;  // dims[0] is contiguous; 1 to 4 of them

  // Bytes of its data. Throws CommandError (kUsage) for dimensions that its type can not have.
  [[nodiscard]] u64 n_byte() const;
};

struct GgufOptions {
  u64 alignment = kDefaultAlignment;  // another one must also stand in general.alignment
  // Above 0: files NAME-00001-of-0000N.gguf with at most so many bytes of tensors each (a tensor
  // that is larger has a file of its own). `path` then ends in .gguf.
  u64 max_split_bytes = 0;
};

class GgufWriter {
 public:
  // Writes header, metadata and table. Throws CommandError (kRuntime) where that fails, (kUsage)
  // for what no reader would take: a duplicate or overlong name, a shape of no whole blocks.
  GgufWriter(const std::string& path, const GgufMetadata& metadata, std::vector<GgufTensor> tensors,
             GgufOptions options = {});
  ~GgufWriter();
  GgufWriter(const GgufWriter&) = delete;
  GgufWriter& operator=(const GgufWriter&) = delete;

  // The next bytes of tensor data, in the order of the table: any pieces that do not pass the end
  // of a tensor. Padding is put in by itself. Throws CommandError.
  void write(Span<const u8> bytes);
  // Checks that every tensor is complete and gives the file its name.
  void finish();
  // The files, in order; one unless it was split.
  [[nodiscard]] const std::vector<std::string>& paths() const { return paths_; }

 private:
  void plan_files(const std::string& path);
  void start_file(usize index);

  GgufMetadata metadata_;
  std::vector<GgufTensor> tensors_;
  GgufOptions options_;
  std::vector<std::string> paths_;
  std::vector<usize> first_tensor_;  // of each file, and one past the last
  std::vector<std::unique_ptr<FileWriter>> files_;
  usize file_ = 0;
  usize tensor_ = 0;     // whose data come next
  u64 tensor_done_ = 0;  // bytes of it
};

}  // namespace lbm::cli
