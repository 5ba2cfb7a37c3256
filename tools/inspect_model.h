// What `lbm inspect` says of a model file, as JSON: of GGUF (also in parts, also a vocabulary
// alone), .slm and llama2.c.
#pragma once

#include <string>

#include "core/format/model_file.h"
#include "tools/output.h"

namespace lbm::cli {

struct InspectFlags {
  std::string path;
  std::string tokenizer;
  std::string kv = "f16";
  u32 n_ctx = 0;
  bool json = false;
  bool metadata = false;
  bool tensors = false;
};

// A file whose container is sound is always reported, also when this build can not run it. Throws
// CommandError (kModel) for one that is not.
[[nodiscard]] Json inspect_model(const InspectFlags& flags);

// A value of the metadata: scalars as they are; of arrays type and length only, since vocabularies
// have a hundred thousand entries.
[[nodiscard]] Json describe_value(const MetaValue& value);

// What could be read of a GGUF file before its damage: version, counts, and the keys up to there.
// Null where that is nothing.
[[nodiscard]] Json inspect_broken_gguf(const std::string& path);

// The report as a person reads it.
[[nodiscard]] std::string inspection_text(const Json& report, const InspectFlags& flags);

}  // namespace lbm::cli
