// A subcommand of lbm: its name, its help, the options it declares and what it does.
#pragma once

#include <CLI/App.hpp>
#include <functional>

#include "tools/output.h"

namespace lbm::cli {

using Action = std::function<ExitCode()>;

struct Command {
  const char* name;
  const char* summary;   // one line, for `lbm --help`
  const char* examples;  // shown first by `lbm NAME --help`; one a line
  // Adds the options to `app` and returns what runs once they were parsed.
  Action (*declare)(CLI::App& app);
};

// One file each.
extern const Command kBenchCommand;
extern const Command kChatCommand;
extern const Command kConvertCommand;
extern const Command kDequantizeCommand;
extern const Command kDetokenizeCommand;
extern const Command kDiffCommand;
extern const Command kDigestCommand;
extern const Command kGrammarCommand;
extern const Command kInspectCommand;
extern const Command kLogitsCommand;
extern const Command kManifestCommand;
extern const Command kPerplexityCommand;
extern const Command kQuantizeCommand;
extern const Command kRunCommand;
extern const Command kServeCommand;
extern const Command kShardsCommand;
extern const Command kTemplateCommand;
extern const Command kTokenizeCommand;
extern const Command kVersionCommand;

// "0.1.0 (abc1234)"
[[nodiscard]] const char* version_text();

}  // namespace lbm::cli
