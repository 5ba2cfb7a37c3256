// The REPL: start, input, and the turn of a conversation. See repl.h; commands are in
// repl_commands.cpp, models in repl_model.cpp.
#include "core/chat/repl.h"

#include "core/chat/repl_state.h"
#include "core/chat/text_file.h"

namespace lbm {
namespace {

constexpr Str kLogo[] = {
    R"( _ _             _                             _        _)",
    R"(| | |_ __ ___   | |__   __ _ _ __ ___ _ __ ___| |_ __ _| |)",
    R"(| | | '_ ` _ \  | '_ \ / _` | '__/ _ \ '_ ` _ \ __/ _` | |)",
    R"(| | | | | | | | | |_) | (_| | | |  __/ | | | | | || (_| | |)",
    R"(|_|_|_| |_| |_| |_.__/ \__,_|_|  \___|_| |_| |_|\__\__,_|_|)",
};
constexpr u32 kLogoColumns = 62;
constexpr u32 kLogoRows = 20;  // of a screen on which it is not in the way

}  // namespace

Result<ReplExit> run_repl(ReplHost& host) {
  const u64 kept_bytes = host.state() != nullptr ? Repl::kKeptBytes : 0;
  Result<Span<u8>> range = host.pages().take(Repl::kArenaBytes + kept_bytes, "the prompt");
  if (!range.ok()) return range.error();
  Arena arena(range.value());
  Result<Repl*> repl = Repl::create(arena, host);
  Result<ReplExit> exit = repl.ok() ? repl.value()->run() : Result<ReplExit>(repl.error());
  host.pages().give_back(range.value());
  return exit;
}

Result<Repl*> Repl::create(Arena& arena, ReplHost& host) {
  const Result<Span<char>> text = arena.take<char>(kInputBytes, "input line");
  if (!text.ok()) return text.error();
  const Result<Span<char>> draft = arena.take<char>(kInputBytes, "draft of the input line");
  if (!draft.ok()) return draft.error();
  const Result<Span<char>> history = arena.take<char>(kHistoryBytes, "history of input");
  if (!history.ok()) return history.error();
  const Result<Span<FileEntry>> files =
      arena.take<FileEntry>(ModelCatalog::kMaxModels, "list of models");
  if (!files.ok()) return files.error();
  const Result<Span<u8>> format = arena.take_raw(kFormatBytes, "template of chat_format");
  if (!format.ok()) return format.error();
  const Result<Conversation*> conversation = Conversation::create(arena, kConversationBytes);
  if (!conversation.ok()) return conversation.error();
  const Buffers buffers = {text.value(),  draft.value(),  history.value(),
                           files.value(), format.value(), conversation.value()};
  return arena.make<Repl>("the prompt", arena, host, buffers);
}

Repl::Repl(Arena& arena, ReplHost& host, const Buffers& buffers)
    : arena_(arena),
      host_(host),
      console_(host.console()),
      out_(console_),
      catalog_(buffers.files),
      history_(buffers.history),
      editor_(buffers.text, buffers.draft, history_),
      painter_(console_),
      conversation_(*buffers.conversation),
      format_memory_(buffers.format) {}

Result<ReplExit> Repl::run() {
  read_settings();
  const Status started = start_engine();
  if (!started.ok()) return started.error();
  open_state();
  note_event("start");
  if (settings_.flag(Setting::kBootDiag)) diagnose(out_);
  choose_first_model();
  if (engine_->loaded() && settings_.flag(Setting::kSnapAutoload)) snap_load({});
  out_.line("OK: Version: {}", host_.version());
  if (engine_->loaded()) {
    out_.line("OK: REPL ready (/help)");
  } else {
    print_no_model_help();
  }
  show_status({});
  if (run_start_script()) loop();
  keep_history();
  note_event("end");
  engine_->~Engine();
  if (!sampler_range_.empty()) host_.pages().give_back(sampler_range_);
  return exit_;
}

// --- Start -----------------------------------------------------------------------------------

void Repl::read_settings() {
  const NamedText config = host_.config();
  if (!config.name.empty()) {
    const u32 n_bad = settings_.read_config(config.text, this);
    out_.line("[cfg] {} loaded{}", config.name, n_bad == 0 ? "" : ", bad lines were ignored");
  }
  for (const SettingOverride& override : host_.overrides()) {
    const Status set = settings_.set(override.key, override.value, Settings::Origin::kHost);
    if (!set.ok()) out_.error(set.error());
  }
  for (u32 i = 0; i < kSettingCount; ++i) apply(static_cast<Setting>(i));
  host_.on_settings(settings_);
  if (!config.name.empty()) {
    Sha256 hash;
    hash.update(config.bytes.empty() ? config.text.bytes() : config.bytes);
    host_.measure("config", hash.finish());
  }
}

void Repl::on_bad_line(u32 line, const Error& error) {
  char text[256];
  out_.print("[cfg] {}:{}: {}", host_.config().name, line, format_error(error, text));
  const Str nearest =
      error.code == ErrorCode::kNotFound ? nearest_setting(error.subject_text()) : Str();
  if (nearest.empty()) {
    out_.line("; ignored");
  } else {
    out_.line("; ignored. Did you mean {}?", nearest);
  }
}

void Repl::print_logo() {
  const bool has_room = console_.n_column() >= kLogoColumns && console_.n_row() >= kLogoRows;
  if (!has_room || !settings_.flag(Setting::kBootLogo)) return;
  for (const Str line : kLogo) out_.line("{}", line);
  out_.line("");
}

Status Repl::start_engine() {
  const Str isa = settings_.text(Setting::kIsa);
  const KernelTable* table = nullptr;
  {
    const Result<const KernelTable*> asked = host_.kernels(isa);
    if (asked.ok()) {
      table = asked.value();
    } else {
      out_.error(asked.error());
      out_.line("[cfg] isa={} is not usable here; the fastest is taken", isa);
    }
  }
  if (table == nullptr) {
    const Result<const KernelTable*> fastest = host_.kernels("auto");
    if (!fastest.ok()) return fastest.error();
    table = fastest.value();
  }
  Workers& workers = host_.workers(static_cast<u32>(settings_.integer(Setting::kThreads)));
  const Result<Engine*> engine = arena_.make<Engine>("engine", host_.pages(), workers, *table);
  if (!engine.ok()) return engine.error();
  engine_ = engine.value();
  if (settings_.flag(Setting::kBootQuiet)) return {};
  print_logo();
  out_.line("llm-baremetal {} on {}: {} kernels, {} core{}, {:.0} MiB free", host_.version(),
            host_.host_name(), table->name, workers.n_worker(), workers.n_worker() == 1 ? "" : "s",
            mib(host_.pages().bytes_free()));
  return {};
}

// What the host gives, or the file that repl.cfg names. Returns as handle().
bool Repl::run_start_script() {
  NamedText script = host_.script();
  TextFile file(host_.pages());
  if (script.text.empty()) {
    if (!settings_.flag(Setting::kAutorun)) return true;
    const Str path = settings_.text(Setting::kAutorunFile);
    if (const Status read = file.read(host_.volume(), path); !read.ok()) {
      out_.error(read.error());
      return true;
    }
    script = {path, file.text()};
  }
  out_.line("[autorun] loaded {} ({} bytes)", script.name, script.text.size());
  if (!run_script(script.text)) return false;
  out_.line("[autorun] done");
  if (!settings_.flag(Setting::kAutorunShutdown)) return true;
  out_.line("[autorun] shutting down");
  exit_ = ReplExit::kShutdown;
  return false;
}

// --- Input -----------------------------------------------------------------------------------

void Repl::loop() {
  bool asked_to_leave = false;
  for (;;) {
    switch (read_line(engine_->loaded() ? "You: " : "llmk> ")) {
      case Input::kLine:
        asked_to_leave = false;
        if (!handle(strip_input_marks(editor_.mutable_text()))) return;
        show_status({});
        break;
      case Input::kInterrupt:
        exit_ = ReplExit::kQuit;
        if (asked_to_leave) return;
        asked_to_leave = true;
        out_.line("(Ctrl-C again, or /exit, leaves)");
        break;
      case Input::kEnd: exit_ = ReplExit::kInputEnd; return;
    }
  }
}

// A script types its lines; what was said of unfinished lines holds for it too.
bool Repl::run_script(Str script) {
  if (!has_draft_) editor_.start();
  while (!script.empty()) {
    usize end = 0;
    while (end < script.size() && script[end] != '\n') ++end;
    Str line = script.first(end);
    script = end < script.size() ? script.from(end + 1) : Str();
    if (line.ends_with("\r")) line = line.first(line.size() - 1);
    editor_.insert(line);
    if (editor_.on_key({Key::kEnter, 0}) != LineEditor::Action::kSubmit && !script.empty())
      continue;
    const Str text = strip_input_marks(editor_.mutable_text());
    if (!text.trimmed().empty()) {
      out_.print("You (autorun): ");
      out_.text(text);
      out_.line("");
      has_draft_ = false;
      if (!handle(text)) return false;
      show_status({});
    }
    if (!has_draft_) editor_.start();
  }
  return true;
}

Repl::Input Repl::read_line(Str prompt) {
  if (!has_draft_) editor_.start();
  painter_.start(prompt);
  if (has_draft_) painter_.update(editor_);
  has_draft_ = false;
  for (;;) {
    const KeyEvent key = console_.wait_key();
    if (key.key >= Key::kF1) {
      on_function_key(key.key);
      if (editor_.text().empty()) {
        painter_.start(prompt);
      } else {
        painter_.redraw(editor_);
      }
      continue;
    }
    if (key.key == Key::kNone) {
      // The input has ended. What was typed without a last Enter still counts.
      painter_.finish(editor_);
      return editor_.text().empty() ? Input::kEnd : Input::kLine;
    }
    switch (editor_.on_key(key)) {
      case LineEditor::Action::kNone: painter_.update(editor_); break;
      case LineEditor::Action::kComplete: complete(); break;
      case LineEditor::Action::kRedraw: painter_.redraw(editor_); break;
      case LineEditor::Action::kEndOfInput: console_.write("\n"); return Input::kEnd;
      case LineEditor::Action::kInterrupt:
        console_.write("^C\n");
        if (editor_.text().empty()) return Input::kInterrupt;
        editor_.start();
        painter_.start(prompt);
        break;
      case LineEditor::Action::kSubmit:
        painter_.finish(editor_);
        history_.add(editor_.text());
        if (!editor_.was_cut()) return Input::kLine;
        // Half a text is worse than none: the answer would be to something that nobody asked.
        out_.line("(longer than {} bytes: not sent; Up brings back what was kept)",
                  editor_.capacity());
        editor_.start();
        painter_.start(prompt);
        break;
    }
  }
}

// The keys of the key bar, but those that are the console's own (letters, pictures).
void Repl::on_function_key(Key key) {
  console_.write("\n");
  switch (key) {
    case Key::kF1: help({}); break;
    case Key::kF2: pick_model(); break;
    case Key::kF3: show("system"); break;
    case Key::kF5: show_context(); break;
    case Key::kF9: save({}); break;
    default: break;
  }
  show_status({});
}

bool Repl::handle(Str line) {
  InputLine input = parse_input(line);
  if (input.kind == InputLine::Kind::kText && !engine_->loaded()) {
    // Without a model there is nobody to talk to, so a command needs no slash.
    usize n = 0;
    while (n < input.text.size() && !Str::is_space(input.text[n])) ++n;
    if (find_command(input.text.first(n)) == nullptr) {
      out_.line(
          "No model is loaded, so nobody can answer. /models lists the models, /model NUMBER loads "
          "one.");
      return true;
    }
    input = {InputLine::Kind::kCommand, input.text.first(n), input.text.from(n).trimmed()};
  }
  switch (input.kind) {
    case InputLine::Kind::kEmpty: return true;
    case InputLine::Kind::kText: answer(input.text); return true;
    case InputLine::Kind::kCommand: break;
  }
  if (const CommandInfo* command = find_command(input.name))
    return run_command(*command, input.text);
  unknown_command(input.name, input.text);
  return true;
}

}  // namespace lbm
