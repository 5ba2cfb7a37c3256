// The REPL: start, input, and the turn of a conversation. See repl.h; commands are in
// repl_commands.cpp, models in repl_model.cpp.
#include "core/chat/repl.h"

#include "core/base/arith.h"
#include "core/chat/model_report.h"
#include "core/chat/repl_state.h"

namespace lbm {
namespace {

constexpr Str kDim = "\x1b[2m";
constexpr Str kNotDim = "\x1b[22m";
// A sign of life while reasoning is hidden: one dot for about so many tokens.
constexpr u32 kReasoningPerDot = 32;

}  // namespace

Result<ReplExit> run_repl(ReplHost& host) {
  Result<Span<u8>> range = host.pages().take(Repl::kArenaBytes, "the prompt");
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
  const Result<Conversation*> conversation = Conversation::create(arena, kConversationBytes);
  if (!conversation.ok()) return conversation.error();
  const Buffers buffers = {text.value(), draft.value(), history.value(), files.value(),
                           conversation.value()};
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
      conversation_(*buffers.conversation) {}

Result<ReplExit> Repl::run() {
  read_settings();
  const Status started = start_engine();
  if (!started.ok()) return started.error();
  choose_first_model();
  out_.line("OK: Version: {}", host_.version());
  if (engine_->loaded()) {
    out_.line("OK: REPL ready (/help)");
  } else {
    print_no_model_help();
  }
  loop();
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
  apply(Setting::kSystem);
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
  out_.line("llm-baremetal {} on {}: {} kernels, {} core{}, {:.0} MiB free", host_.version(),
            host_.host_name(), table->name, workers.n_worker(), workers.n_worker() == 1 ? "" : "s",
            mib(host_.pages().bytes_free()));
  return {};
}

NamedText Repl::find_script() {
  const NamedText given = host_.script();
  if (!given.text.empty() || !settings_.flag(Setting::kAutorun)) return given;
  const Str path = settings_.text(Setting::kAutorunFile);
  const Result<ByteSource*> source = host_.volume().open(0, path);
  if (!source.ok()) {
    out_.error(source.error());
    return {};
  }
  NamedText script;
  Result<Span<u8>> bytes = arena_.take_raw(source.value()->size(), "autorun script");
  const Status read = bytes.ok() ? source.value()->read(0, bytes.value()) : Status(bytes.error());
  host_.volume().close(source.value());
  if (!read.ok()) {
    out_.error(read.error());
    return {};
  }
  script = {path, Str(bytes.value())};
  if (script.text.starts_with("\xEF\xBB\xBF")) script.text = script.text.from(3);
  return script;
}

// --- Input -----------------------------------------------------------------------------------

void Repl::loop() {
  const NamedText script = find_script();
  if (!script.text.empty()) {
    out_.line("[autorun] loaded {} ({} bytes)", script.name, script.text.size());
    if (!run_script(script.text)) return;
    out_.line("[autorun] done");
    if (settings_.flag(Setting::kAutorunShutdown)) {
      out_.line("[autorun] shutting down");
      exit_ = ReplExit::kShutdown;
      return;
    }
  }
  bool asked_to_leave = false;
  for (;;) {
    switch (read_line(engine_->loaded() ? "You: " : "llmk> ")) {
      case Input::kLine:
        asked_to_leave = false;
        if (!handle(strip_input_marks(editor_.mutable_text()))) return;
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
  editor_.start();
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
      if (!handle(text)) return false;
    }
    editor_.start();
  }
  return true;
}

Repl::Input Repl::read_line(Str prompt) {
  editor_.start();
  painter_.start(prompt);
  for (;;) {
    const KeyEvent key = console_.wait_key();
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

// --- The turn --------------------------------------------------------------------------------

bool Repl::asked_to_stop(void* self) { return static_cast<Repl*>(self)->console_.take_interrupt(); }

bool Repl::on_text(Str utf8) {
  end_reasoning();
  out_.text(utf8);
  return true;
}

bool Repl::on_reasoning(Str utf8) {
  const Str think = settings_.text(Setting::kThink);
  const bool is_shown = think == "dim" || think == "on";
  if (!in_reasoning_) {
    in_reasoning_ = true;
    n_reasoning_ = 0;
    console_.write(kDim);
    if (!is_shown) console_.write("(thinking ...");
  }
  if (is_shown) {
    out_.text(utf8);
  } else if (++n_reasoning_ % kReasoningPerDot == 0) {
    console_.write(".");
  }
  return true;
}

// Back to the looks of an answer, on a line of its own.
void Repl::end_reasoning() {
  if (!in_reasoning_) return;
  in_reasoning_ = false;
  const Str think = settings_.text(Setting::kThink);
  const bool is_shown = think == "dim" || think == "on";
  if (!is_shown) console_.write(")");
  console_.write(kNotDim);
  console_.write(is_shown ? "\n\n" : "\n");
}

void Repl::answer(Str text) {
  SamplerParams params = settings_.sampler_params();
  if (settings_.integer(Setting::kSeed) < 0) params.seed = Pcg32(host_.clock().now_us(), 0).next();
  seed_ = params.seed;
  sampler_->set_params(params);
  conversation_.set_now(host_.now());
  const Str think = settings_.text(Setting::kThink);
  conversation_.set_think(think == "on"    ? ThinkRequest::kAsk
                          : think == "off" ? ThinkRequest::kAvoid
                                           : ThinkRequest::kModel);

  GenerateOptions options;
  options.max_tokens = static_cast<u32>(settings_.integer(Setting::kMaxTokens));
  options.digest = settings_.flag(Setting::kDigest);
  options.speculate =
      settings_.text(Setting::kSpeculate) == "off" ? Speculate::kOff : Speculate::kAuto;
  const Generator with = {
      engine_->session(), engine_->tokenizer(),  *sampler_,
      host_.clock(),      engine_->turn_arena(), engine_->kernels().sha256_blocks};
  static_cast<void>(console_.take_interrupt());  // a key from before the question stops nothing
  console_.write("AI: ");
  const Result<GenerateStats> stats = conversation_.say(with, engine_->chat_template(), text,
                                                        options, *this, {asked_to_stop, this});
  end_reasoning();
  console_.write("\n");
  print_note();
  if (stats.ok()) {
    stats_ = stats.value();
    has_stats_ = true;
    report_answer();
  } else {
    report_failure(stats.error());
  }
}

void Repl::print_note() {
  const Str note = conversation_.take_note();
  if (!note.empty()) out_.line("[template] WARNING: {}", note);
}

void Repl::report_answer() {
  const u32 n_used = engine_->session().n_past();
  const u32 n_ctx = engine_->session().n_ctx();
  TextBuffer<256> words;
  switch (stats_.stop) {
    case StopReason::kEndOfGeneration: break;
    case StopReason::kInterrupted:
      out_.line(
          stats_.n_output == 0
              ? "(stopped before the answer began; the question was taken back, Up brings it here)"
              : "(stopped)");
      break;
    case StopReason::kLength:
      out_.line("(stopped at max_tokens={}; /set max_tokens 0 lifts the limit)", stats_.n_output);
      break;
    case StopReason::kContext:
      out_.line("(stopped: the context of {} tokens is full)", n_ctx);
      out_.line("{}", way_out(fail(ErrorCode::kContextFull, ""), words));
      break;
  }
  if (settings_.flag(Setting::kStats)) print_stats_line();
  if (stats_.has_digest) out_.line("[digest] {}", to_hex(stats_.digest).str());
  if (stats_.stop != StopReason::kContext && u64{n_used} * 5 >= u64{n_ctx} * 4) {
    out_.line("note: the context is {} % full ({}/{} tokens); /reset starts anew",
              u64{n_used} * 100 / n_ctx, n_used, n_ctx);
  }
}

void Repl::report_failure(const Error& error) {
  out_.error(error);
  if (error.code == ErrorCode::kTemplate && !conversation_.exception().empty()) {
    out_.line("  the model's template says: {}", conversation_.exception());
  }
  TextBuffer<256> words;
  const Str advice = way_out(error, words);
  if (error.code == ErrorCode::kContextFull && !advice.empty()) out_.line("  {}", advice);
  out_.line("  The conversation is as it was before the question, which Up brings back.");
}

// One line for people and for scripts; the shape of its first part is fixed (docs/chat.md).
void Repl::print_stats_line() {
  out_.print(
      "[stats] tokens={} time_ms={} tok_s={:.3} prompt={} evaluated={} prefill_tok_s={:.3} "
      "context={}/{} stop={}",
      stats_.n_output, stats_.decode_us / 1000, stats_.decode_rate(), stats_.n_prompt,
      stats_.n_evaluated, stats_.prefill_rate(), engine_->session().n_past(),
      engine_->session().n_ctx(), stop_reason_name(stats_.stop));
  if (settings_.integer(Setting::kSeed) < 0) out_.print(" seed={}", seed_);
  out_.line("");
}

}  // namespace lbm
