// lbm: the core of llm-baremetal as a Linux command. This file is the table of subcommands and the
// way in and out.
//
// Streams: data on stdout, messages on stderr. Exit codes: output.h. Every command is in the file
// of its name.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <iterator>
#include <new>

#include "tools/command.h"

namespace lbm::cli {
namespace {

constexpr const Command* kCommands[] = {
    &kChatCommand,       &kRunCommand,        &kInspectCommand,    &kTokenizeCommand,
    &kDetokenizeCommand, &kTemplateCommand,   &kLogitsCommand,     &kDigestCommand,
    &kDiffCommand,       &kPerplexityCommand, &kDequantizeCommand, &kQuantizeCommand,
    &kConvertCommand,    &kShardsCommand,     &kManifestCommand,   &kBenchCommand,
    &kServeCommand,      &kGrammarCommand,    &kVersionCommand,
};

constexpr const char* kMainExamples =
    "  lbm chat -m model.gguf                         talk to a model\n"
    "  lbm run -m model.gguf -p \"Why is it dark?\"     one answer\n"
    "  echo \"Why is it dark?\" | lbm run -m model.gguf\n"
    "  lbm inspect model.gguf                         what is in the file, and does it run here";

constexpr const char* kMainFooter =
    "Exit codes: 0 ok, 1 failed while running, 2 usage, 3 model unreadable or unsupported,\n"
    "            4 not enough memory, 5 context overflow, 130 interrupted.\n"
    "'lbm COMMAND --help' shows examples and options. LBM_MODEL in the environment stands for -m.";

// Examples come before the options: most readers want to copy a line, not to learn a grammar.
class ExampleFirst : public CLI::Formatter {
 public:
  std::string make_help(const CLI::App* app, std::string name,
                        CLI::AppFormatMode mode) const override {
    if (mode == CLI::AppFormatMode::Sub) return make_expanded(app);
    std::string out = app->get_description() + "\n\nExamples:\n" + examples_ + "\n\n";
    out += make_usage(app, name);
    out += make_positionals(app);
    out += make_groups(app, mode);
    out += make_subcommands(app, mode);
    out += make_footer(app);
    return out;
  }
  // Only the name of the value: ranges are in the messages of those who leave them, and in
  // docs/cli.md.
  std::string make_option_opts(const CLI::Option* option) const override {
    if (option->get_type_size() == 0) return {};
    const std::string type = option->get_type_name();
    return " " + type.substr(0, type.find(':'));
  }
  explicit ExampleFirst(std::string examples) : examples_(std::move(examples)) { column_width(34); }

 private:
  std::string examples_;
};

int report(const CommandError& error) {
  std::fprintf(stderr, "lbm: %s\n", error.what());
  return static_cast<int>(error.code());
}

// The name of the subcommand that a usage error belongs to, for the hint.
std::string help_hint(const CLI::App& app) {
  const std::vector<CLI::App*> used = app.get_subcommands();
  return used.empty() ? "lbm --help" : "lbm " + used.front()->get_name() + " --help";
}

int run(int argc, char** argv) {
  CLI::App app("lbm: run a language model, bit for bit the same on every machine", "lbm");
  app.formatter(std::make_shared<ExampleFirst>(kMainExamples));
  app.footer(std::string("\n") + kMainFooter);
  app.set_version_flag("-V,--version", std::string("lbm ") + version_text());
  app.require_subcommand(1);
  Action chosen;
  for (const Command* command : kCommands) {
    CLI::App* sub = app.add_subcommand(command->name, command->summary);
    sub->formatter(std::make_shared<ExampleFirst>(command->examples));
    sub->add_flag_callback(
        "-q,--quiet", [] { set_quiet(true); }, "no messages on stderr except errors");
    sub->footer("");
    Action action = command->declare(*sub);
    sub->final_callback([&chosen, action] { chosen = action; });
  }
  if (argc < 2) {
    std::fputs(app.help().c_str(), stderr);
    return static_cast<int>(ExitCode::kUsage);
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& request) {  // --help, --version
    return app.exit(request, std::cout, std::cerr);
  } catch (const CLI::ParseError& error) {
    std::fprintf(stderr, "lbm: %s\nTry '%s'.\n", error.what(), help_hint(app).c_str());
    return static_cast<int>(ExitCode::kUsage);
  }
  return static_cast<int>(chosen());
}

}  // namespace
}  // namespace lbm::cli

int main(int argc, char** argv) {
  using lbm::cli::CommandError;
  using lbm::cli::ExitCode;
  try {
    return lbm::cli::run(argc, argv);
  } catch (const CommandError& error) {
    return lbm::cli::report(error);
  } catch (const std::bad_alloc&) {
    return lbm::cli::report(CommandError(ExitCode::kMemory, "out of memory"));
  } catch (const std::exception& error) {
    return lbm::cli::report(CommandError(ExitCode::kRuntime, error.what()));
  }
}
