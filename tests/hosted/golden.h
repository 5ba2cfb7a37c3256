// Where the golden data is: answers of the reference implementations that are too large to live in
// this repository.
#pragma once

#include <string>

namespace lbm::test {

// The path of a file below the golden folder: $LBM_GOLDEN, else ../shared/golden beside the
// checkout. Empty where that file is absent; a test then says WARN("skipped: ...") and returns.
[[nodiscard]] std::string golden_path(const std::string& name);

// The default model in models/cache (`make model`), or $LBM_MODEL. Empty where it was not fetched.
[[nodiscard]] std::string default_model_path();

}  // namespace lbm::test

// The tests name these two so often that they read best without the namespace.
using lbm::test::default_model_path;
using lbm::test::golden_path;
