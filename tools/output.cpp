#include "tools/output.h"

#include <unistd.h>

#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <iterator>

#include "core/chat/printable.h"

namespace lbm::cli {
namespace {

bool quiet_messages = false;

}  // namespace

std::string describe(const Error& error, const std::string& subject) {
  char text[512];
  const Str line = format_error(error, text);
  return (subject.empty() ? std::string() : subject + ": ") + to_string(line);
}

ExitCode exit_code_for(const Error& error, Stage stage) {
  switch (error.code) {
    case ErrorCode::kOutOfMemory: return ExitCode::kMemory;
    case ErrorCode::kContextFull: return ExitCode::kContext;
    case ErrorCode::kCancelled: return ExitCode::kInterrupted;
    case ErrorCode::kInvalidArgument: return ExitCode::kUsage;
    default: break;
  }
  switch (stage) {
    case Stage::kModel: return ExitCode::kModel;
    case Stage::kUsage: return ExitCode::kUsage;
    case Stage::kRun: break;
  }
  return ExitCode::kRuntime;
}

void throw_error(const Error& error, const std::string& subject, Stage stage) {
  throw CommandError(exit_code_for(error, stage), describe(error, subject));
}

void write_stdout(const void* data, usize size) {
  const char* at = static_cast<const char*>(data);
  while (size != 0) {
    const ssize_t n = ::write(STDOUT_FILENO, at, size);
    if (n < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (n < 0)
      throw CommandError(ExitCode::kRuntime,
                         std::string("standard output: ") + std::strerror(errno));
    at += n;
    size -= static_cast<usize>(n);
  }
}

OutputFile::OutputFile(const std::string& path)
    : path_(path == "-" ? "standard output" : path),
      file_(path == "-" ? stdout : std::fopen(path.c_str(), "wb")) {
  if (file_ == nullptr) throw CommandError(ExitCode::kRuntime, path_ + ": " + std::strerror(errno));
}

OutputFile::~OutputFile() {
  if (file_ != nullptr && file_ != stdout) std::fclose(file_);
}

void OutputFile::write(const void* data, usize size) {
  if (error_ == 0 && std::fwrite(data, 1, size, file_) != size) error_ = errno;
}

void OutputFile::close() {
  std::FILE* file = file_;
  file_ = nullptr;
  const int failed = file == stdout ? std::fflush(file) : std::fclose(file);
  if (failed != 0 && error_ == 0) error_ = errno;
  if (error_ != 0) throw CommandError(ExitCode::kRuntime, path_ + ": " + std::strerror(error_));
}

std::string json_line(const Json& value) {
  return value.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

void print_json(const Json& value) { write_stdout(json_line(value)); }

void set_quiet(bool quiet) { quiet_messages = quiet; }

void notice(const std::string& message) {
  if (!quiet_messages) std::fprintf(stderr, "lbm: %s\n", message.c_str());
}

std::string printable(Str text) {
  std::string out(printable_capacity(text.size()), '\0');
  const Str shown = make_printable(text, Span<char>(out.data(), out.size()));
  out.resize(shown.size());
  return out;
}

std::string format_bytes(u64 bytes) {
  const f64 value = static_cast<f64>(bytes);
  if (bytes >= kGiB) return format("%.2f GiB", value / static_cast<f64>(kGiB));
  if (bytes >= kMiB) return format("%.1f MiB", value / static_cast<f64>(kMiB));
  if (bytes >= kKiB) return format("%.1f KiB", value / static_cast<f64>(kKiB));
  return format("%llu B", static_cast<unsigned long long>(bytes));
}

std::string format(const char* pattern, ...) {
  va_list arguments;
  va_start(arguments, pattern);
  va_list again;
  va_copy(again, arguments);
  const int n = std::vsnprintf(nullptr, 0, pattern, arguments);
  va_end(arguments);
  std::string text(static_cast<usize>(n < 0 ? 0 : n) + 1, '\0');
  std::vsnprintf(text.data(), text.size(), pattern, again);
  va_end(again);
  text.pop_back();
  return text;
}

ProgressLine::ProgressLine() : enabled_(!quiet_messages && isatty(STDERR_FILENO) == 1) {}

ProgressLine::~ProgressLine() { clear(); }

void ProgressLine::show(const std::string& text) {
  if (!enabled_) return;
  std::fprintf(stderr, "\r\x1b[K%s", text.c_str());
  std::fflush(stderr);
  shown_ = true;
}

void ProgressLine::clear() {
  if (!shown_) return;
  std::fputs("\r\x1b[K", stderr);
  std::fflush(stderr);
  shown_ = false;
}

}  // namespace lbm::cli
