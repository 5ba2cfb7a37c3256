// What lbm says and how it ends: data on stdout, messages on stderr, one exit code for each way to
// fail.
#pragma once

#include <cstdio>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>

#include "core/base/error.h"
#include "core/base/result.h"

namespace lbm::cli {

// Keys stay in the order in which they were set or read: templates iterate over them, and people
// read them.
using Json = nlohmann::ordered_json;

enum class ExitCode : int {
  kOk = 0,
  kRuntime = 1,       // everything else that failed while running; `lbm diff` found a difference
  kUsage = 2,         // the command line or an input that a person wrote
  kModel = 3,         // the model file is unreadable, damaged or not supported
  kMemory = 4,        // not enough memory
  kContext = 5,       // more tokens than the context has room for
  kInterrupted = 130  // stopped by Ctrl-C
};

// Ends the command: main() shows the message on stderr and exits with the code.
class CommandError : public std::runtime_error {
 public:
  CommandError(ExitCode code, const std::string& message)
      : std::runtime_error(message), code_(code) {}
  [[nodiscard]] ExitCode code() const { return code_; }

 private:
  ExitCode code_;
};

// What was going on when the core reported an Error; decides the exit code where the error alone
// does not.
enum class Stage : u8 {
  kModel,  // a model file was being opened, checked or loaded
  kUsage,  // what a person gave was being checked
  kRun,    // anything else
};

// "file.gguf: tensor 'blk.3.ffn_up.weight': offset 912 (limit 900) [bad_offset]", without the
// prefix where `subject` is empty.
[[nodiscard]] std::string describe(const Error& error, const std::string& subject);
[[nodiscard]] ExitCode exit_code_for(const Error& error, Stage stage);
[[noreturn]] void throw_error(const Error& error, const std::string& subject, Stage stage);

inline void expect(const Status& status, const std::string& subject, Stage stage) {
  if (!status.ok()) throw_error(status.error(), subject, stage);
}
template <class T>
T expect(Result<T> result, const std::string& subject, Stage stage) {
  if (!result.ok()) throw_error(result.error(), subject, stage);
  return std::move(result.value());
}

// stdout, unbuffered as far as the caller can see: a failed write ends the command (ENOSPC must not
// pass as success).
void write_stdout(const void* data, usize size);
inline void write_stdout(const std::string& text) { write_stdout(text.data(), text.size()); }
// A file of results, "-" for stdout. Opening throws CommandError (kRuntime); a failed write is
// remembered and thrown by close(), because write() is called from inside the core, which no
// exception may cross.
class OutputFile {
 public:
  explicit OutputFile(const std::string& path);
  ~OutputFile();
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;

  void write(const void* data, usize size);
  // Flushes and checks; a file that was not closed because of an error stays incomplete.
  void close();

 private:
  std::string path_;
  std::FILE* file_;
  int error_ = 0;  // errno of the first failed write
};

// One JSON value and a line feed. Bytes that are not UTF-8 become U+FFFD.
void print_json(const Json& value);
[[nodiscard]] std::string json_line(const Json& value);

// A message for a person, one line on stderr, with "lbm: " in front. notice() is silent under -q
// (set_quiet).
void notice(const std::string& message);
void set_quiet(bool quiet);

// Text of foreign origin made safe for a terminal (core/chat/printable.h).
[[nodiscard]] std::string printable(Str text);
inline std::string to_string(Str text) { return {text.data(), text.size()}; }
inline Str to_str(const std::string& text) { return {text.data(), text.size()}; }

// "1.25 GiB", "93.8 MiB"
[[nodiscard]] std::string format_bytes(u64 bytes);
// printf into a string.
[[nodiscard]] [[gnu::format(printf, 1, 2)]] std::string format(const char* pattern, ...);

// A line on stderr that is rewritten in place; nothing at all where stderr is no terminal.
class ProgressLine {
 public:
  ProgressLine();
  ~ProgressLine();
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;

  void show(const std::string& text);
  void clear();

 private:
  bool enabled_;
  bool shown_ = false;
};

}  // namespace lbm::cli
