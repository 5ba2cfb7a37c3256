// A model as Hugging Face keeps it: a folder with config.json, weights in one or more .safetensors,
// and the files of its tokenizer.
#pragma once

#include <string>
#include <unordered_map>
#include <vector>

#include "tools/output.h"
#include "tools/safetensors.h"

namespace lbm::cli {

// Where a tensor is: which file, and what in it.
struct StoredPlace {
  const SafetensorsFile* file = nullptr;
  const StoredTensor* tensor = nullptr;
};

class HfDirectory {
 public:
  // Reads config.json and the tables of all weights. Throws CommandError (kModel) naming the file.
  explicit HfDirectory(const std::string& path);

  [[nodiscard]] const std::string& path() const { return path_; }
  // The folder's own name.
  [[nodiscard]] const std::string& name() const { return name_; }
  // config.json; the part about text, where the model also sees or hears, is moved up to the root.
  [[nodiscard]] const Json& config() const { return config_; }
  // Another file of JSON; null where there is none.
  [[nodiscard]] Json read_json(const std::string& file) const;
  [[nodiscard]] bool has(const std::string& file) const;
  // Contents of a file that is there.
  [[nodiscard]] std::string read(const std::string& file) const;
  [[nodiscard]] std::string path_of(const std::string& file) const { return path_ + "/" + file; }

  // All tensors, file by file, in the order of the files' headers.
  [[nodiscard]] const std::vector<StoredPlace>& tensors() const { return tensors_; }

 private:
  void open_weights();
  void add_file(const std::string& file);
  void check_index(const Json& map) const;

  std::string path_;
  std::string name_;
  Json config_;
  std::vector<std::unique_ptr<SafetensorsFile>> files_;
  std::vector<StoredPlace> tensors_;
  std::unordered_map<std::string, const SafetensorsFile*> file_of_;
};

// The first of `names` that `config` has and that is not null; null where it has none of them.
[[nodiscard]] Json first_of(const Json& config, std::initializer_list<const char*> names);

}  // namespace lbm::cli
