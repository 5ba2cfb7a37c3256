// Where the golden data is: answers of the reference implementations that are too large to live in
// this repository.
#pragma once

#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

namespace lbm::test {

// The path of a file below the golden folder: $LBM_GOLDEN, else ../shared/golden beside the
// checkout. Empty where that file is absent; a test then says WARN("skipped: ...") and returns.
[[nodiscard]] std::string golden_path(const std::string& name);

// The default model in models/cache (`make model`), or $LBM_MODEL. Empty where it was not fetched.
[[nodiscard]] std::string default_model_path();

// The models in a folder of the golden data, as "folder/name" in order; none where it is absent.
[[nodiscard]] inline std::vector<std::string> golden_models(const std::string& folder) {
  std::vector<std::string> names;
  const std::string path = golden_path(folder);
  if (path.empty()) return names;
  for (const auto& entry : std::filesystem::directory_iterator(path)) {
    if (entry.path().extension() == ".gguf")
      names.push_back(folder + "/" + entry.path().stem().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace lbm::test

// The tests name these two so often that they read best without the namespace.
using lbm::test::default_model_path;
using lbm::test::golden_path;
