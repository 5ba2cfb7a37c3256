// lbm chat: the REPL of the core (core/chat/repl.h) on a terminal. The same program as on bare
// metal; this file is its host.
#include <unistd.h>

#include <cstdlib>
#include <filesystem>

#include "core/chat/repl.h"
#include "core/chat/settings.h"
#include "tools/answer_grammar.h"
#include "tools/command.h"
#include "tools/input.h"
#include "tools/interrupt.h"
#include "tools/loaded_model.h"
#include "tools/machine_report.h"
#include "tools/model_reader.h"
#include "tools/state_folder.h"
#include "tools/terminal.h"

namespace lbm::cli {
namespace {

namespace fs = std::filesystem;

struct ChatFlags {
  std::string model;
  std::string models_folder;
  std::string config_path;
  std::string state_folder;
  // Settings given as flags: (key of the settings table, value as text).
  std::vector<std::pair<std::string, std::string>> settings;
  GrammarFlags grammar;
  bool digest = false;
  bool no_speculate = false;
};

// $XDG_CONFIG_HOME/lbm/repl.cfg, ~/.config/lbm/repl.cfg where that is not set.
std::string default_config_path() {
  const char* xdg = std::getenv("XDG_CONFIG_HOME");
  const char* home = std::getenv("HOME");
  if (xdg != nullptr && *xdg == '/') return std::string(xdg) + "/lbm/repl.cfg";
  return home != nullptr && *home != '\0' ? std::string(home) + "/.config/lbm/repl.cfg"
                                          : std::string();
}

class LinuxHost final : public ReplHost {
 public:
  explicit LinuxHost(const ChatFlags& flags)
      : folder_(models_folder(flags)),
        volume_(folder_),
        places_(folder_ + " and " + (fs::path(folder_) / "models").string()) {
    if (flags.grammar.is_set()) grammar_text_ = checked_grammar(flags.grammar);
    load_config(flags.config_path);
    open_state(flags.state_folder);
    override_setting("boot_logo", "0");  // a terminal has been on for a while
    if (!flags.model.empty()) override_setting("model", model_name(flags));
    if (flags.digest) override_setting("digest", "1");
    if (flags.no_speculate) override_setting("speculate", "off");
    for (const auto& [key, value] : flags.settings) override_setting(key, value);
    for (const auto& [key, value] : settings_) overrides_.push_back({to_str(key), to_str(value)});
  }

  // The input ended because of Ctrl-C while nobody was typing.
  [[nodiscard]] bool interrupted() const { return terminal_.ended_by_interrupt(); }

  Console& console() override { return terminal_; }
  Clock& clock() override { return clock_; }
  Pages& pages() override { return pages_; }
  Volume& volume() override { return volume_; }
  Workers& workers(u32 n_thread) override {
    if (!workers_)
      workers_ = std::make_unique<ThreadPool>(n_thread == 0 ? count_physical_cores() : n_thread);
    return *workers_;
  }
  Result<const KernelTable*> kernels(Str isa) override {
    const Status found = find_kernels(to_string(isa), clock_, kernels_);
    if (!found.ok()) return found.error();
    return &kernels_;
  }
  NamedText config() override { return {to_str(config_path_), to_str(config_)}; }
  Span<const SettingOverride> overrides() override {
    return {overrides_.data(), overrides_.size()};
  }
  Result<TokenFilter*> answer_filter(const Tokenizer& tokenizer) override {
    grammar_.reset();
    if (grammar_text_.empty()) return static_cast<TokenFilter*>(nullptr);
    // The core is below us on the stack and knows no exceptions.
    try {
      grammar_ = std::make_unique<AnswerGrammar>(grammar_text_, tokenizer);
    } catch (const CommandError&) {
      return fail(ErrorCode::kOutOfMemory, "no memory for the grammar of this model");
    }
    return &grammar_->filter();
  }
  void describe_machine(ConsolePrinter& out) override { describe_linux_machine(out); }
  SlotFiles* state() override { return state_.get(); }
  Result<Str> export_file(Str name, Span<const u8> bytes) override {
    if (state_) return state_->export_file(name, bytes);
    return ReplHost::export_file(name, bytes);
  }
  Str version() override { return version_text(); }
  Str host_name() override { return "linux"; }
  Str model_places() override { return to_str(places_); }
  Str now() override {
    now_ = local_time_text();
    return to_str(now_);
  }

 private:
  // With -m alone, the models beside it are what /models lists.
  static std::string models_folder(const ChatFlags& flags) {
    if (!flags.models_folder.empty()) return flags.models_folder;
    if (flags.model.empty()) return ".";
    const std::string parent = fs::path(flags.model).parent_path().string();
    return parent.empty() ? "." : parent;
  }
  static std::string model_name(const ChatFlags& flags) {
    return flags.models_folder.empty() ? fs::path(flags.model).filename().string()
                                       : fs::absolute(flags.model).string();
  }

  void load_config(const std::string& given) {
    const std::string path = given.empty() ? default_config_path() : given;
    if (given.empty() && !fs::exists(path)) return;
    config_ = read_file(path);
    config_path_ = path;
  }
  // What a program types is not kept, unless it says where.
  void open_state(const std::string& given) {
    if (given.empty() && ::isatty(STDIN_FILENO) == 0) return;
    const std::string path = given.empty() ? StateFolder::default_path() : given;
    if (!path.empty()) state_ = std::make_unique<StateFolder>(path);
  }
  void override_setting(std::string key, std::string value) {
    settings_.emplace_back(std::move(key), std::move(value));
  }

  std::string folder_;
  DirectoryVolume volume_;
  std::string places_;
  std::string config_path_;
  std::string config_;
  std::string now_;
  std::vector<std::pair<std::string, std::string>> settings_;
  std::vector<SettingOverride> overrides_;
  PosixPages pages_;
  PosixClock clock_;
  KernelTable kernels_ = {};
  std::unique_ptr<ThreadPool> workers_;
  std::unique_ptr<StateFolder> state_;
  std::string grammar_text_;
  std::unique_ptr<AnswerGrammar> grammar_;
  Terminal terminal_;
};

ExitCode run(const ChatFlags& flags) {
  // A model that was asked for by name and can not run is an error here, not a REPL without a
  // model.
  if (!flags.model.empty()) {
    ModelReader reader(flags.model);
    const ModelConfig config = expect(read_config(reader.file()), flags.model, Stage::kModel);
    static_cast<void>(
        expect(plan_weights(reader.file(), config, reader.arena()), flags.model, Stage::kModel));
    static_cast<void>(reader.tokenizer());
  }
  LinuxHost host(flags);
  const ReplExit exit = expect(run_repl(host), "chat", Stage::kRun);
  const bool interrupted = exit == ReplExit::kInputEnd && host.interrupted();
  return interrupted ? ExitCode::kInterrupted : ExitCode::kOk;
}

// Checked here by the table that repl.cfg is checked by, so that a mistyped flag is a usage error
// and not a remark.
void add_setting(ChatFlags& flags, const std::string& key, std::string value) {
  if (key == "max_tokens" && value == "-1") value = "0";
  Settings probe;
  expect(probe.set(to_str(key), to_str(value), Settings::Origin::kHost), "", Stage::kUsage);
  flags.settings.emplace_back(key, value);
}

Action declare(CLI::App& app) {
  auto flags = std::make_shared<ChatFlags>();
  app.add_option("-m,--model", flags->model, "model file (default: the first one of --models)")
      ->envname("LBM_MODEL")
      ->type_name("FILE");
  app.add_option("--models", flags->models_folder,
                 "folder of models (default: that of -m, or the working directory)")
      ->type_name("DIR");
  app.add_option("--config", flags->config_path,
                 "settings (default: $XDG_CONFIG_HOME/lbm/repl.cfg)")
      ->type_name("FILE");
  app.add_option("--state", flags->state_folder,
                 "folder of what is kept: conversations, history, journal (default, at a terminal: "
                 "$XDG_STATE_HOME/lbm)")
      ->type_name("DIR");
  static constexpr struct {
    const char* option;
    const char* key;
    const char* help;
  } kSettings[] = {
      {"--system,--system-prompt", "system", "system prompt"},
      {"--think", "think", "reasoning: dim, on, hide or off (default: dim)"},
      {"-c,--ctx-size", "ctx",
       "tokens of context (default: min(trained, 4096), less where memory is short)"},
      {"-b,--batch,--batch-size", "batch", "tokens evaluated at once"},
      {"-t,--threads", "threads", "threads (default: physical cores)"},
      {"--isa", "isa", "kernels (default: the fastest by trial)"},
      {"--kv", "kv", "type of the KV cache: f16, f32 or q8_0"},
      {"-n,--predict,--n-predict", "max_tokens", "most tokens of an answer"},
      {"--temp", "temp", "temperature; 0 takes the likeliest token"},
      {"--top-k", "top_k", "the K likeliest tokens only"},
      {"--top-p", "top_p", "the likeliest tokens that make up P"},
      {"--min-p", "min_p", "at least P of the likeliest one's probability"},
      {"--repeat-penalty", "repeat_penalty", "make recent tokens less likely"},
      {"-s,--seed", "seed", "seed of the sampler"},
  };
  for (const auto& setting : kSettings) {
    const std::string key = setting.key;
    app.add_option_function<std::string>(
           setting.option,
           [flags, key](const std::string& value) { add_setting(*flags, key, value); },
           setting.help)
        ->type_name("X");
  }
  declare_grammar_flags(app, flags->grammar);
  app.add_flag("--digest", flags->digest, "show the run digest of every answer");
  app.add_flag("--no-speculate", flags->no_speculate,
               "do not guess tokens ahead; the answers are the same");
  return [flags] { return run(*flags); };
}

}  // namespace

const Command kChatCommand = {
    "chat", "talk to a model",
    "  lbm chat -m model.gguf\n"
    "  lbm chat --models ~/models                 # choose with /models and /model NAME\n"
    "  lbm chat -m model.gguf --temp 0 --system \"Answer in one sentence.\"\n"
    "  printf 'Hello\\n/exit\\n' | lbm chat -m model.gguf",
    declare};

}  // namespace lbm::cli
