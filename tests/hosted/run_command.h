// A command of lbm as main() runs it, inside of the tests: its arguments, its exit code, what it
// printed, and what it complained about.
#pragma once

#include <CLI/CLI.hpp>
#include <algorithm>
#include <string>
#include <vector>

#include "tests/hosted/temporary_folder.h"
#include "tools/command.h"

namespace lbm::test {

struct CommandRun {
  cli::ExitCode exit = cli::ExitCode::kOk;
  std::string output;
  std::string message;
};

inline CommandRun run_command(const cli::Command& command, std::vector<std::string> arguments) {
  CommandRun run;
  cli::set_quiet(true);
  CapturedOutput output;
  try {
    CLI::App app(command.summary, command.name);
    const cli::Action action = command.declare(app);
    std::reverse(arguments.begin(), arguments.end());  // as CLI11 takes them
    app.parse(arguments);
    run.exit = action();
  } catch (const cli::CommandError& error) {
    run.exit = error.code();
    run.message = error.what();
  } catch (const CLI::ParseError& error) {
    run.exit = cli::ExitCode::kUsage;
    run.message = error.what();
  }
  run.output = output.take();
  cli::set_quiet(false);
  return run;
}

}  // namespace lbm::test
