// The read-eval-print loop: the same on bare metal, in a terminal and in a browser worker.
//
// A host implements ReplHost and calls run_repl(); the value that comes back says what the user
// asked for last. What the REPL prints for machines (markers) starts at column 0: docs/chat.md
// lists them.
#pragma once

#include "core/base/result.h"
#include "core/base/sha256.h"
#include "core/base/span.h"
#include "core/chat/console_printer.h"
#include "core/platform.h"
#include "kernels/kernel_table.h"

namespace lbm {

// A text with the name of where it came from, for messages. Both views outlive run_repl().
struct NamedText {
  Str name;
  Str text;
  Span<const u8> bytes = {};  // of the file, before any decoding; empty: those of `text`
};

// A setting given by the host (a command-line flag, an environment variable): wins over repl.cfg.
struct SettingOverride {
  Str key;
  Str value;
};

class Settings;
class TokenFilter;
class Tokenizer;

class ReplHost {
 public:
  [[nodiscard]] virtual Console& console() = 0;
  [[nodiscard]] virtual Clock& clock() = 0;
  [[nodiscard]] virtual Pages& pages() = 0;
  [[nodiscard]] virtual Volume& volume() = 0;

  // The two below are asked once, after the settings are read.
  // Cores for `n_thread` (0: as many as pay); it may be fewer.
  [[nodiscard]] virtual Workers& workers(u32 n_thread) = 0;
  // The kernels for setting `isa`: "auto" is the fastest by trial, else the table of that name.
  // Errors: kNotFound, kUnsupported by name; the REPL then says so and asks for "auto", which never
  // fails.
  [[nodiscard]] virtual Result<const KernelTable*> kernels(Str isa) = 0;

  // repl.cfg; an empty name where there is none.
  [[nodiscard]] virtual NamedText config() = 0;
  [[nodiscard]] virtual Span<const SettingOverride> overrides() { return {}; }
  // The settings as they are now: after they were read, and after each change (a host has screens
  // and keyboards to set).
  virtual void on_settings(const Settings& settings) { static_cast<void>(settings); }
  // What answers must obey (a GrammarFilter), for a model that was just loaded; null: nothing. It
  // stays until it is asked for the next one.
  // Errors: kOutOfMemory; then the model is not used.
  [[nodiscard]] virtual Result<TokenFilter*> answer_filter(const Tokenizer& tokenizer) {
    static_cast<void>(tokenizer);
    return static_cast<TokenFilter*>(nullptr);
  }
  // Lines to run before the first prompt (an autorun script, a test). Empty: none.
  [[nodiscard]] virtual NamedText script() { return {}; }

  [[nodiscard]] virtual Str version() = 0;    // "0.1.0 (abc1234)"
  [[nodiscard]] virtual Str host_name() = 0;  // "uefi", "linux", "web"
  // Where models are looked for, in words, for the user who has none: "/ and /models of every
  // volume".
  [[nodiscard]] virtual Str model_places() = 0;
  // Local time, "2025-06-15T12:34:56", for templates that ask; empty: not known. Valid until the
  // next call.
  [[nodiscard]] virtual Str now() { return {}; }
  // Where sessions, settings, history and journal are kept; null: nowhere, and the REPL says so
  // once.
  [[nodiscard]] virtual SlotFiles* state() { return nullptr; }
  // Makes a place for them, where state() is read-only for want of one and the user asks for it.
  // Errors: kReadOnly, kLimit, kIo.
  [[nodiscard]] virtual Status make_state() {
    return fail(ErrorCode::kReadOnly, "nothing can be kept here");
  }
  // Writes a file for the user to take away (a log, a report, a transcript, a picture); it replaces
  // one of the same name. `name` has no folders. Says where it is, for the message.
  // Errors: kReadOnly, kLimit (no room), kIo.
  [[nodiscard]] virtual Result<Str> export_file(Str name, Span<const u8> bytes) {
    static_cast<void>(bytes);
    return fail(ErrorCode::kReadOnly, "this host keeps no files").about(name);
  }
  // Facts about the machine for /diag and /report: calls out.line("key: value") for each.
  virtual void describe_machine(ConsolePrinter& out) { static_cast<void>(out); }
  // True where a log of the machine is read by programs: lines that only those need are printed.
  [[nodiscard]] virtual bool logs_for_programs() const { return false; }
  // True where measure() records something, so that a model is worth hashing for it.
  [[nodiscard]] virtual bool measures() const { return false; }
  // Told of what was loaded before it is used (measured boot): `what` is "model" or "config".
  virtual void measure(Str what, const Sha256Digest& digest) {
    static_cast<void>(what);
    static_cast<void>(digest);
  }

  // Called over and over while a menu counts down; a host may sleep a millisecond here.
  virtual void idle() {}

 protected:
  ~ReplHost() = default;
};

enum class ReplExit : u8 {
  kQuit,      // /exit, or Ctrl-C twice at an empty prompt
  kReboot,    // /reboot
  kShutdown,  // /shutdown, or the end of an autorun script with autorun_shutdown_when_done=1
  kInputEnd,  // the console has no more input
};

// Runs until the user leaves. All memory is taken from host.pages() and given back.
// Errors: kOutOfMemory  not even the loop itself fits (2 MiB).
[[nodiscard]] Result<ReplExit> run_repl(ReplHost& host);

}  // namespace lbm
