// Files that are no models to this build and yet can be explained or imported: one place that
// inspect and convert ask.
#pragma once

#include <string>

#include "tools/output.h"

namespace lbm::cli {

// The report of `lbm inspect` on the file at `path`, or null where its content is none of these
// formats. Throws CommandError (kModel) where it is one and damaged.
[[nodiscard]] Json describe_foreign_artifact(const std::string& path);
// The same as rows for people.
[[nodiscard]] std::string foreign_artifact_text(const Json& report);

// False where the content of `in_path` is none of these formats. Otherwise writes the GGUF file
// `out_path`, or throws CommandError (kModel) with the reason why there is none. `shapes_path` is
// that of a JSON file with the shapes that SCXM lacks, or empty.
[[nodiscard]] bool import_foreign_artifact(const std::string& in_path, const std::string& out_path,
                                           const std::string& shapes_path);

}  // namespace lbm::cli
