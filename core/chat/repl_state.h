// The REPL's insides, shared by its files. Hosts see repl.h only.
//
//   repl.cpp              start, scripts, input
//   repl_answer.cpp       a turn of the conversation
//   repl_model.cpp        finding and loading a model      repl_menu.cpp    choosing one by keys
//   repl_commands.cpp     what commands do; those about the conversation are in repl_turns.cpp,
//                         those that look inside in repl_diagnosis.cpp, what is kept in
//                         repl_state_files.cpp, /bench in repl_bench.cpp
//   repl_completion.cpp   Tab
#pragma once

#include "core/base/arena.h"
#include "core/chat/commands.h"
#include "core/chat/console_printer.h"
#include "core/chat/conversation.h"
#include "core/chat/engine.h"
#include "core/chat/input_history.h"
#include "core/chat/line_editor.h"
#include "core/chat/line_painter.h"
#include "core/chat/model_catalog.h"
#include "core/chat/repl.h"
#include "core/chat/settings.h"
#include "core/state/state_store.h"

namespace lbm {

class KeptState;

class Repl final : private ConfigObserver, private GenerateSink, private CommitObserver {
 public:
  static constexpr usize kInputBytes = 64 * kKiB;
  static constexpr usize kHistoryBytes = 64 * kKiB;
  static constexpr u64 kConversationBytes = kMiB;
  static constexpr u64 kFormatBytes = 64 * kKiB;
  static constexpr u32 kMaxScripts = 4;
  // All of it, with room for the engine and the script.
  static constexpr u64 kArenaBytes = 2 * kMiB;
  // And this where the host keeps records.
  static constexpr u64 kKeptBytes = 640 * kKiB;

  [[nodiscard]] static Result<Repl*> create(Arena& arena, ReplHost& host);
  // Runs; then everything that was taken from the host is given back.
  [[nodiscard]] Result<ReplExit> run();

 private:
  friend class Arena;
  struct Buffers {
    Span<char> text, draft, history;
    Span<FileEntry> files;
    Span<u8> format;
    Conversation* conversation = nullptr;
  };
  Repl(Arena& arena, ReplHost& host, const Buffers& buffers);

  // Start (repl.cpp)
  void read_settings();
  void on_bad_line(u32 line, const Error& error) override;
  [[nodiscard]] Status start_engine();
  void print_logo();
  // As handle().
  [[nodiscard]] bool run_start_script();
  [[nodiscard]] bool run_script(Str script);
  void loop();

  // Input (repl.cpp)
  enum class Input : u8 { kLine, kInterrupt, kEnd };
  [[nodiscard]] Input read_line(Str prompt);
  void on_function_key(Key key);
  void complete();  // repl_completion.cpp
  // Does what the line says. Returns false when the REPL should end with exit_.
  [[nodiscard]] bool handle(Str line);

  // The turn (repl_answer.cpp)
  void answer(Str text);
  void answer_again(u64 seed);
  [[nodiscard]] u64 next_seed();
  void prepare_answer(u64 seed);
  void end_answer(const Result<GenerateStats>& stats, bool again);
  [[nodiscard]] GenerateOptions generate_options() const;
  [[nodiscard]] Generator generator();
  [[nodiscard]] const ChatTemplate& chat_template();
  void on_token(u32 id) override;
  bool on_text(Str utf8) override;
  bool on_reasoning(Str utf8) override;
  void on_notice(Str line) override;
  void on_answer() override;
  void end_reasoning();
  void print_note();
  void report_answer(bool again);
  void report_failure(const Error& error, bool again);
  void print_stats_line();
  void print_end_lines();
  void show_status(Str activity);
  static bool asked_to_stop(void* self);

  // Models (repl_model.cpp)
  void choose_first_model();
  [[nodiscard]] bool load_first(const FileEntry& file);
  [[nodiscard]] u32 last_model() const;
  [[nodiscard]] bool choose_from_menu(u32& index);          // repl_menu.cpp
  [[nodiscard]] bool run_menu(u32& index, u64 timeout_us);  // repl_menu.cpp
  void list_models();
  [[nodiscard]] bool load_model(const FileEntry& file);
  [[nodiscard]] Status take_sampler();
  [[nodiscard]] Status take_filter();
  void print_model_line();
  void print_memory_line();
  void print_no_model_help();
  [[nodiscard]] Status find_file(Str name, FileEntry& out);
  [[nodiscard]] bool is_loaded(const FileEntry& file) const;

  // Commands (repl_commands.cpp)
  [[nodiscard]] bool run_command(const CommandInfo& command, Str args);
  void unknown_command(Str name, Str args);
  void help(Str args);
  void switch_model(Str args);
  void switch_to(const FileEntry& file);
  void pick_model();
  void model_info(Str args);
  void system_prompt(Str args);
  void think(Str args);
  void set(Str args);
  void set_value(Str key, Str value);
  void show_settings(Str key);
  void unknown_setting(Str key);
  void show_setting(Setting id);
  void show_stats(Str args);
  void show_version();
  void bench();  // repl_bench.cpp

  // The conversation (repl_turns.cpp)
  void undo(Str args);
  void regenerate(Str args);
  void edit();
  void read_text(Str args);
  void preset(Str args);
  void show(Str args);
  void show_context();
  void show_messages();
  void show_license();
  [[nodiscard]] bool autorun(Str args);  // as handle()

  // Looking inside (repl_diagnosis.cpp)
  void diagnose(ConsolePrinter& out);
  [[nodiscard]] Status hash_file(ByteSource& source, Str label, Span<u8> chunk, Sha256Digest& out);
  [[nodiscard]] Status hash_model_file(Span<u8> chunk);
  [[nodiscard]] Status hash_weights(Sha256Digest& out);
  void report();
  void verify();

  // What is kept (repl_state_files.cpp)
  void open_state();           // after the settings are read, before a model is chosen
  void keep_turn();            // after each answer, each /undo and each /reset: the autosave
  void keep_history();         // the lines that were entered: with each turn, and at the end
  void note_event(Str line);   // a line of the journal
  void keep_model(Str label);  // that was loaded, for the menu of the next start
  void save(Str args);
  void load(Str args);
  void list_sessions();
  void resume();
  void snap_save(Str args);
  void snap_load(Str args);
  void show_log(Str args);
  void save_log();
  void on_commit(Str name, u64 generation) override;
  void report_state(const Status& status);
  void tell_nothing_is_kept(Str why);
  [[nodiscard]] bool has_state();
  void take_up(u32 session);
  [[nodiscard]] bool keep_conversation(Str name);
  void take_system(Str system);

  void apply(Setting id);  // repl_commands.cpp

  Arena& arena_;
  ReplHost& host_;
  Console& console_;
  ConsolePrinter out_;
  Settings settings_;
  ModelCatalog catalog_;
  InputHistory history_;
  LineEditor editor_;
  LinePainter painter_;
  Conversation& conversation_;

  Engine* engine_ = nullptr;
  Span<u8> sampler_range_;
  Sampler* sampler_ = nullptr;
  TokenFilter* filter_ = nullptr;  // of the host, for the loaded model
  alignas(Arena) u8 sampler_arena_[sizeof(Arena)] = {};
  FileEntry loaded_file_;
  // Of setting chat_format; null: the model's own.
  Span<u8> format_memory_;
  ChatTemplate* format_template_ = nullptr;
  alignas(Arena) u8 format_arena_[sizeof(Arena)] = {};
  bool has_weights_hash_ = false;
  Sha256Digest weights_hash_;  // of the weights in memory, when they were hashed first
  u64 select_us_ = 0;          // of the last choice of a model
  u64 load_us_ = 0;

  bool has_stats_ = false;
  GenerateStats stats_;
  u64 seed_ = 0;            // of the last answer
  bool in_answer_ = false;  // "AI: " stands on the screen
  bool in_reasoning_ = false;
  u32 n_reasoning_ = 0;  // pieces of it so far
  u32 n_said_ = 0;       // tokens of the answer so far
  u64 said_from_us_ = 0;
  u64 next_status_us_ = 0;
  u64 bytes_free_ = 0;         // as the status shows it: asking costs time on some hosts
  bool has_draft_ = false;     // the editor holds a text for the next prompt
  u32 n_script_ = 0;           // scripts that run: one may call another
  KeptState* kept_ = nullptr;  // null: this host keeps nothing
  ReplExit exit_ = ReplExit::kQuit;
};

}  // namespace lbm
