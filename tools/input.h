// Texts that a person or a script hands in: whole files, whole streams, and streams of JSON lines.
#pragma once

#include <string>

#include "tools/output.h"

namespace lbm::cli {

// All of stdin. Throws CommandError (kRuntime) on an I/O error.
[[nodiscard]] std::string read_stdin();
// A whole file; "-" is stdin. Throws CommandError.
[[nodiscard]] std::string read_file(const std::string& path);

// The next line of stdin that is not blank, without its line feed; false at the end. Lines are
// handed out as they arrive, so a script may write one, read the answer, and write the next.
// `number` counts all lines from 1.
[[nodiscard]] bool next_line(std::string& line, u64& number);

}  // namespace lbm::cli
