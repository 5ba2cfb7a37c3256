// The REPL's insides, shared by its files: repl.cpp (start, input, turn), repl_commands.cpp (what
// commands do), repl_model.cpp (choosing and loading a model) and repl_completion.cpp (Tab). Hosts
// see repl.h only.
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

namespace lbm {

class Repl final : private ConfigObserver, private GenerateSink {
 public:
  static constexpr usize kInputBytes = 64 * kKiB;
  static constexpr usize kHistoryBytes = 64 * kKiB;
  static constexpr u64 kConversationBytes = kMiB;
  // All of it, with room for the engine and the script.
  static constexpr u64 kArenaBytes = 2 * kMiB;

  [[nodiscard]] static Result<Repl*> create(Arena& arena, ReplHost& host);
  // Runs; then everything that was taken from the host is given back.
  [[nodiscard]] Result<ReplExit> run();

 private:
  friend class Arena;
  struct Buffers {
    Span<char> text, draft, history;
    Span<FileEntry> files;
    Conversation* conversation = nullptr;
  };
  Repl(Arena& arena, ReplHost& host, const Buffers& buffers);

  // Start (repl.cpp)
  void read_settings();
  void on_bad_line(u32 line, const Error& error) override;
  [[nodiscard]] Status start_engine();
  [[nodiscard]] bool run_script(Str script);
  [[nodiscard]] NamedText find_script();
  void loop();

  // Input (repl.cpp)
  enum class Input : u8 { kLine, kInterrupt, kEnd };
  [[nodiscard]] Input read_line(Str prompt);
  void complete();  // repl_completion.cpp
  // Does what the line says. Returns false when the REPL should end with exit_.
  [[nodiscard]] bool handle(Str line);
  void answer(Str text);
  bool on_text(Str utf8) override;
  bool on_reasoning(Str utf8) override;
  void end_reasoning();
  void print_note();
  void report_answer();
  void report_failure(const Error& error);
  void print_stats_line();
  static bool asked_to_stop(void* self);

  // Models (repl_model.cpp)
  void choose_first_model();
  [[nodiscard]] bool load_first(const FileEntry& file);
  [[nodiscard]] bool choose_from_menu(u32& index);
  void list_models();
  [[nodiscard]] bool load_model(const FileEntry& file);
  [[nodiscard]] Status take_sampler();
  void print_model_line();
  void print_no_model_help();
  [[nodiscard]] Status find_file(Str name, FileEntry& out);

  // Commands (repl_commands.cpp)
  [[nodiscard]] bool run_command(const CommandInfo& command, Str args);
  void unknown_command(Str name, Str args);
  void help(Str args);
  void switch_model(Str args);
  void model_info(Str args);
  void system_prompt(Str args);
  void think(Str args);
  void set(Str args);
  void set_value(Str key, Str value);
  void show_settings(Str key);
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
  [[nodiscard]] bool autorun(Str args);  // as handle()

  // Looking inside (repl_diagnosis.cpp)
  void diagnose(ConsolePrinter& out);
  void report();
  void verify();

  // What is kept (repl_state_files.cpp)
  void open_state();          // after the settings are read, before a model is chosen
  void keep_turn();           // after each answer, each /undo and each /reset: the autosave
  void note_event(Str line);  // a line of the journal
  void save(Str args);
  void load(Str args);
  void list_sessions();
  void resume();
  void snap_save(Str args);
  void snap_load(Str args);
  void show_log(Str args);
  void apply(Setting id);

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
  alignas(Arena) u8 sampler_arena_[sizeof(Arena)] = {};
  FileEntry loaded_file_;
  u64 select_us_ = 0;  // of the last choice of a model
  u64 load_us_ = 0;

  bool has_stats_ = false;
  GenerateStats stats_;
  u64 seed_ = 0;  // of the last answer
  bool in_reasoning_ = false;
  u32 n_reasoning_ = 0;  // pieces of it so far
  ReplExit exit_ = ReplExit::kQuit;
};

}  // namespace lbm
