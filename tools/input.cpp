#include "tools/input.h"

#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <iostream>
#include <memory>

#include "tools/platform_posix.h"

namespace lbm::cli {

std::string read_stdin() {
  std::string text;
  char buffer[65536];
  for (;;) {
    const ssize_t n = ::read(STDIN_FILENO, buffer, sizeof(buffer));
    if (n == 0) return text;
    if (n < 0 && errno == EINTR) continue;
    if (n < 0)
      throw CommandError(ExitCode::kRuntime,
                         std::string("standard input: ") + std::strerror(errno));
    text.append(buffer, static_cast<usize>(n));
  }
}

std::string read_file(const std::string& path) {
  if (path == "-") return read_stdin();
  const std::unique_ptr<FileSource> source = expect(FileSource::open(path), path, Stage::kRun);
  std::string text(source->size(), '\0');
  expect(source->read(0, {reinterpret_cast<u8*>(text.data()), text.size()}), path, Stage::kRun);
  return text;
}

bool next_line(std::string& line, u64& number) {
  while (std::getline(std::cin, line)) {
    ++number;
    if (!to_str(line).trimmed().empty()) return true;
  }
  if (std::cin.bad()) throw CommandError(ExitCode::kRuntime, "standard input: read error");
  return false;
}

}  // namespace lbm::cli
