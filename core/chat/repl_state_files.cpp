// What is kept on the stick: conversations, settings, history, the journal. See repl_state.h; the
// records are in core/state, their contents in kept_state.h.
#include "core/base/arith.h"
#include "core/chat/kept_context.h"
#include "core/chat/kept_state.h"
#include "core/chat/load_progress.h"
#include "core/chat/repl_state.h"

namespace lbm {
namespace {

constexpr u64 kStandardLogLines = 12;
constexpr u64 kMostLogLines = 1000;
constexpr Str kJournalFile = "lbm-journal.jsonl";

// "4 messages, 2026-01-31T12:34:56, tiny.gguf: How are you"
template <usize kCapacity>
Str describe(const SessionEntry& entry, TextBuffer<kCapacity>& out) {
  out.print("{} messages", entry.n_message);
  if (!entry.time.text().empty()) out.print(", {}", entry.time.text());
  if (!entry.model.text().empty()) out.print(", {}", entry.model.text());
  out.print(": {}", entry.title.text());
  return out.text();
}

bool is_session_name(Str name) {
  if (name.empty() || name.size() > SessionReader::kMaxNameBytes) return false;
  for (const char c : name) {
    if (static_cast<u8>(c) < 0x20 || c == 0x7F) return false;
  }
  return true;
}

}  // namespace

// --- Start -----------------------------------------------------------------------------------

void Repl::open_state() {
  SlotFiles* files = host_.state();
  if (files == nullptr) return;
  const Result<KeptState*> made = KeptState::create(arena_, *files, this);
  if (!made.ok()) {
    out_.error(made.error());
    return;
  }
  kept_ = made.value();
  // A quiet start tells only those who would miss something that nothing is kept.
  const bool is_quiet = settings_.flag(Setting::kBootQuiet);
  const Str why = is_quiet ? kept_->store().take_notice() : Str();
  const Result<u32> n_setting = kept_->load_settings(settings_);
  report_state(n_setting.ok() ? Status() : Status(n_setting.error()));
  if (n_setting.ok() && n_setting.value() > 0) {
    for (u32 i = 0; i < kSettingCount; ++i) apply(static_cast<Setting>(i));
    host_.on_settings(settings_);
    out_.line("[state] {} settings as /save settings kept them", n_setting.value());
  }
  if (settings_.flag(Setting::kHistory)) report_state(kept_->load_history(history_));
  if (settings_.flag(Setting::kLog) && !kept_->journal().open())
    out_.line("[state] a part of the journal is damaged; it goes on behind it");
  if (const u32 n_damaged = kept_->sessions().scan(); n_damaged > 0)
    out_.line("[state] {} of the conversations can not be read any more", n_damaged);
  if (kept_->sessions().size() > 0) {
    TextBuffer<320> words;
    out_.line("[state] the last conversation: {}", describe(kept_->sessions().entry(0), words));
    out_.line("[state] /resume goes on with it, /sessions lists {}", kept_->sessions().size());
  }
  report_state({});
  if (!why.empty() && kept_->sessions().size() > 0) tell_nothing_is_kept(why);
}

void Repl::tell_nothing_is_kept(Str why) {
  out_.line("[state] nothing is kept from here on: {}. The chat goes on.", why);
}

// False, and the user is told, where this host keeps nothing.
bool Repl::has_state() {
  if (kept_ == nullptr) out_.line("Nothing is kept here: this host has no place for it.");
  return kept_ != nullptr;
}

void Repl::on_commit(Str name, u64 generation) {
  if (settings_.integer(Setting::kVerbose) > 1)
    out_.line("[state] committed {} generation={}", name, generation);
}

// An error is told where it happens; that nothing more is written, once.
void Repl::report_state(const Status& status) {
  if (!status.ok() && status.error().code != ErrorCode::kReadOnly) out_.error(status.error());
  const Str notice = kept_->store().take_notice();
  if (!notice.empty()) tell_nothing_is_kept(notice);
}

void Repl::note_event(Str line) {
  if (kept_ == nullptr || !settings_.flag(Setting::kLog)) return;
  Status added = kept_->journal().add(host_.now(), line);
  if (added.ok()) added = kept_->journal().flush();
  report_state(added);
}

// Where there is no choice of models, and where nothing is kept without being asked for, there is
// nothing to remember.
void Repl::keep_model(Str label) {
  if (kept_ == nullptr || catalog_.size() < 2 || !settings_.flag(Setting::kAutosave)) return;
  report_state(kept_->save_last_model(label));
}

// --- Conversations ---------------------------------------------------------------------------

void Repl::keep_history() {
  if (kept_ != nullptr && settings_.flag(Setting::kHistory))
    report_state(kept_->save_history(history_));
}

void Repl::keep_turn() {
  if (kept_ == nullptr) return;
  keep_history();
  SessionStore& sessions = kept_->sessions();
  if (conversation_.n_message() == 0) {
    sessions.set_current(SessionStore::kNone);  // the next turn begins another one
    return;
  }
  if (settings_.flag(Setting::kAutosave)) static_cast<void>(keep_conversation({}));
}

// Saves the conversation, under `name` or the one that it has. False, and the user is told, where
// that failed.
bool Repl::keep_conversation(Str name) {
  SessionStore& sessions = kept_->sessions();
  const u32 current = sessions.current();
  if (name.empty() && current != SessionStore::kNone) name = sessions.entry(current).name.text();
  SessionHead head;
  head.name = name;
  if (engine_->loaded()) head.model = engine_->name();
  head.time = host_.now();
  head.system = conversation_.system();
  const Status saved = kept_->save(conversation_, head);
  report_state(saved);
  if (!saved.ok()) return false;
  if (sessions.n_left_out() > 0) {
    out_.line("[state] the conversation outgrew its record: its first {} messages are not kept",
              sessions.n_left_out());
  }
  if (!sessions.replaced().empty()) {
    out_.line("[state] the oldest conversation without a name made room: {}", sessions.replaced());
  }
  return true;
}

void Repl::save(Str args) {
  if (!has_state()) return;
  if (args == "here") {
    const Status made = host_.make_state();
    if (!made.ok()) {
      out_.error(made.error());
      return;
    }
    out_.line("OK: from here on conversations are kept");
    keep_turn();
    return;
  }
  const Str why = kept_->store().why_read_only();
  if (!why.empty()) {
    out_.line("Nothing is kept: {}", why);
    return;
  }
  if (args == "settings") {
    const Status saved = kept_->save_settings(settings_);
    report_state(saved);
    if (saved.ok()) out_.line("OK: the settings that were set by commands are kept");
    return;
  }
  if (conversation_.n_message() == 0) {
    out_.line("There is nothing to keep yet.");
    return;
  }
  SessionStore& sessions = kept_->sessions();
  if (!args.empty()) {
    if (!is_session_name(args)) {
      out_.line("A name has up to {} bytes", SessionReader::kMaxNameBytes);
      return;
    }
    const u32 same = sessions.find(args);
    const bool is_taken = same != SessionStore::kNone && same != sessions.current() &&
                          sessions.entry(same).name.text() == args;
    if (is_taken) {
      out_.line("There is a conversation of this name already; choose another one.");
      return;
    }
    u32 n_named = 0;
    for (u32 i = 0; i < sessions.size(); ++i) {
      if (i != sessions.current() && !sessions.entry(i).name.text().empty()) ++n_named;
    }
    if (n_named >= SessionStore::kMaxNamed) {
      out_.line("{} conversations have a name already, which is as many as there can be.", n_named);
      return;
    }
  }
  if (!keep_conversation(args)) return;
  const Str name = sessions.entry(sessions.current()).name.text();
  if (name.empty()) {
    out_.line("OK: the conversation is kept; /save NAME gives it a name");
  } else {
    out_.line("OK: the conversation is kept as {}", name);
  }
}

void Repl::list_sessions() {
  if (!has_state()) return;
  const SessionStore& sessions = kept_->sessions();
  if (sessions.size() == 0) out_.line("No conversation is kept yet.");
  for (u32 i = 0; i < sessions.size(); ++i) {
    const SessionEntry& entry = sessions.entry(i);
    TextBuffer<320> words;
    out_.line("{} {:2}  {}{}{}", i == sessions.current() ? "*" : " ", i + 1, entry.name.text(),
              entry.name.text().empty() ? "" : ": ", describe(entry, words));
  }
  const Str why = kept_->store().why_read_only();
  if (!why.empty()) out_.line("Nothing more is kept: {}", why);
}

void Repl::load(Str args) {
  if (!has_state()) return;
  const u32 found = kept_->sessions().find(args);
  if (found == SessionStore::kNone) {
    out_.line(args.empty()
                  ? "/load takes the number or the name of a conversation; /sessions lists "
                    "them"
                  : "There is no such conversation; /sessions lists them");
    return;
  }
  take_up(found);
}

void Repl::resume() {
  if (!has_state()) return;
  const SessionStore& sessions = kept_->sessions();
  const u32 last = sessions.current() == 0 ? 1 : 0;
  if (last >= sessions.size()) {
    out_.line("There is no other conversation to go on with.");
    return;
  }
  take_up(last);
}

// Goes on with a conversation that was kept.
void Repl::take_up(u32 session) {
  SessionStore& sessions = kept_->sessions();
  const Result<u32> n_lost = kept_->load(session, conversation_);
  if (!n_lost.ok()) {
    out_.error(n_lost.error());
    return;
  }
  const Result<SessionReader> reader = sessions.read(session);
  if (reader.ok()) take_system(reader.value().head().system);
  sessions.set_current(session);
  const u32 n_message = conversation_.n_message();
  out_.line("OK: {} messages{}{}", n_message,
            sessions.entry(session).name.text().empty() ? "" : " of ",
            sessions.entry(session).name.text());
  if (n_lost.value() > 0) out_.line("({} of its turns could not be taken)", n_lost.value());
  if (n_message < 2) return;
  out_.print("You: ");
  out_.text(conversation_.message(n_message - 2).text);
  out_.print("\nAI: ");
  out_.text(conversation_.message(n_message - 1).text);
  out_.line("");
  if (!conversation_.message(n_message - 1).complete) out_.line("(not finished)");
}

// The system prompt belongs to a conversation as much as its messages.
void Repl::take_system(Str system) {
  if (settings_.set("system", system).ok()) {
    apply(Setting::kSystem);
  } else {
    report_state(conversation_.set_system(system));
  }
}

// --- The journal -----------------------------------------------------------------------------

namespace {

// Shows the lines from number `first` on.
class ShownLines final : public Journal::Reader {
 public:
  ShownLines(ConsolePrinter& out, u64 n_skip) : out_(out), n_skip_(n_skip) {}
  void on_line(Str line) override {
    if (line.starts_with("{\"journal\"")) return;
    if (n_seen_++ < n_skip_) return;
    // The hash is for programs.
    const usize hash = line.find(",\"h\":\"");
    out_.text(hash == Str::kNone ? line : line.first(hash));
    out_.line(hash == Str::kNone ? "" : "}");
  }

 private:
  ConsolePrinter& out_;
  u64 n_skip_;
  u64 n_seen_ = 0;
};

class CollectedLines final : public Journal::Reader {
 public:
  explicit CollectedLines(Span<u8> room)
      : out_({reinterpret_cast<char*>(room.data()), room.size()}) {}
  void on_line(Str line) override { out_.append(line).append("\n"); }
  [[nodiscard]] Str text() const { return out_.text(); }

 private:
  TextWriter out_;
};

class NoLines final : public Journal::Reader {
 public:
  void on_line(Str) override {}
};

}  // namespace

void Repl::show_log(Str args) {
  if (!has_state()) return;
  if (args == "save") {
    save_log();
    return;
  }
  u64 n_wanted = kStandardLogLines;
  if (!args.empty() && !parse_u64(args, n_wanted)) {
    out_.line("/log takes how many lines to show, or save");
    return;
  }
  n_wanted = min_u64(n_wanted, kMostLogLines);
  NoLines none;
  const Journal::Chain chain = kept_->journal().read(kept_->buffer(), none);
  const u64 n_shown = min_u64(n_wanted, chain.n_line);
  ShownLines shown(out_, chain.n_line - n_shown);
  static_cast<void>(kept_->journal().read(kept_->buffer(), shown));
  out_.print("{} of {} lines; ", n_shown, chain.n_line);
  if (chain.broken_line != 0) {
    out_.line("line {} does not continue the one before: the journal was changed or is damaged",
              chain.broken_line);
  } else if (chain.n_unreadable != 0) {
    out_.line("{} segments can not be read", chain.n_unreadable);
  } else {
    out_.line("each is bound to the one before");
  }
}

void Repl::save_log() {
  Result<Span<u8>> room = host_.pages().take(kStateLogs * kLogBytes, "journal as a file");
  if (!room.ok()) {
    out_.error(room.error());
    return;
  }
  CollectedLines lines(room.value());
  static_cast<void>(kept_->journal().read(kept_->buffer(), lines));
  const Result<Str> place = host_.export_file(kJournalFile, lines.text().bytes());
  host_.pages().give_back(room.value());
  if (place.ok()) {
    out_.line("OK: {}", place.value());
  } else {
    out_.error(place.error());
  }
}

// --- Snapshots -------------------------------------------------------------------------------

// The evaluated context and, beside it, the conversation that it belongs to.
void Repl::snap_save(Str args) {
  if (!has_state()) return;
  if (!engine_->loaded()) {
    out_.line("No model is loaded, so there is no context.");
    return;
  }
  const Str name = args.empty() ? settings_.text(Setting::kSnapFile) : args;
  const Span<u8> buffer = kept_->buffer();
  const usize half = buffer.size() / 2 / sizeof(u64) * sizeof(u64);
  SessionHead head;
  head.system = conversation_.system();
  const Result<Str> text =
      KeptState::write_text(conversation_, head, {reinterpret_cast<char*>(buffer.data()), half});
  static_cast<void>(console_.take_interrupt());
  LoadProgress progress(console_, host_.clock(), "Making room", name);
  const Result<u64> kept =
      save_context(kept_->store(), {*engine_, loaded_file_.name(), loaded_file_.size_bytes}, name,
                   text.ok() ? text.value() : Str(), buffer.from(half), &progress);
  progress.end();
  if (!kept.ok() && kept.error().code == ErrorCode::kCancelled) {
    out_.line("(stopped: the context is not kept; the next /snap_save goes on making room)");
    return;
  }
  report_state(kept.ok() ? Status() : Status(kept.error()));
  if (!kept.ok()) {
    const Str why = kept_->store().why_read_only();
    if (!why.empty()) out_.line("Nothing is kept: {}", why);
    return;
  }
  out_.line("OK: the context of {} tokens is kept as {} ({:.1} MiB){}",
            engine_->session().n_state_token(), name, mib(kept.value()),
            text.ok() ? "" : ", without the conversation, which is too long");
}

void Repl::snap_load(Str args) {
  if (!has_state()) return;
  if (!engine_->loaded()) {
    out_.line("No model is loaded, so there is nothing that a context could belong to.");
    return;
  }
  const Str name = args.empty() ? settings_.text(Setting::kSnapFile) : args;
  const Result<Str> text =
      load_context(kept_->store(), {*engine_, loaded_file_.name(), loaded_file_.size_bytes}, name,
                   kept_->buffer());
  if (!text.ok()) {
    out_.error(text.error());
    return;
  }
  if (!text.value().empty()) {
    kept_->sessions().set_current(SessionStore::kNone);
    const Result<SessionReader> reader = SessionReader::open(text.value());
    if (reader.ok()) take_system(reader.value().head().system);
    const Result<u32> n_lost = KeptState::read_text(text.value(), conversation_);
    if (!n_lost.ok()) out_.error(n_lost.error());
  }
  out_.line("OK: {}: {} tokens of context, {} messages", name, engine_->session().n_past(),
            conversation_.n_message());
}

}  // namespace lbm
