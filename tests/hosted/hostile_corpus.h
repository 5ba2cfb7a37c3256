// The hostile files of tests/hostile, as rows with their bytes.
#pragma once

#include <string>
#include <vector>

#include "core/base/error.h"
#include "core/base/types.h"

namespace lbm::test {

struct HostileFile {
  std::string id;                 // "G13"
  std::string name;               // "G13-string-2-63.gguf"
  std::string error;              // "limit"; "ok" for an accepted one
  std::string stage;              // who refuses: "open", "config", "tokenizer", "weights"; "ok"
  std::string source;             // the public report of such a file, or "-"
  u64 offset = Error::kNoOffset;  // that the error must name, where it is fixed

  [[nodiscard]] std::vector<u8> bytes() const;
};

// All rows. The files are generated on first use (python3 tests/hostile/generate.py); empty where
// that is not possible.
[[nodiscard]] const std::vector<HostileFile>& hostile_corpus();

// The row called `name`.
[[nodiscard]] const HostileFile& hostile_file(const std::string& name);

}  // namespace lbm::test
