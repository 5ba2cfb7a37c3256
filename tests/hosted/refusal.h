// What a command or a reader of the tools said when it refused something.
#pragma once

#include <string>

#include "tools/output.h"

namespace lbm::test {

struct Refusal {
  bool refused = false;
  cli::ExitCode exit = cli::ExitCode::kOk;
  std::string message;

  [[nodiscard]] bool says(const std::string& text) const {
    return message.find(text) != std::string::npos;
  }
  // "bad_hash": what stands in brackets at the end.
  [[nodiscard]] std::string code() const {
    const usize open = message.rfind('[');
    if (open == std::string::npos || message.back() != ']') return {};
    return message.substr(open + 1, message.size() - open - 2);
  }
};

template <class Work>
Refusal refusal_of(const Work& work) {
  try {
    work();
  } catch (const cli::CommandError& error) {
    return {true, error.code(), error.what()};
  }
  return {};
}

}  // namespace lbm::test
