// A folder of its own for a test that reads and writes files, and what a command says on stdout.
#pragma once

#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "tests/hosted/memory_source.h"

namespace lbm::test {

class TemporaryFolder {
 public:
  // `parent` stands for the folder of temporary files where there is such a folder.
  explicit TemporaryFolder(const std::filesystem::path& parent = "") {
    const bool is_there = std::filesystem::is_directory(parent);
    const auto folder = is_there ? parent : std::filesystem::temp_directory_path();
    std::string name = (folder / "lbm-test-XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) std::abort();
    path_ = name;
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] std::string operator/(const std::string& name) const { return path_ + "/" + name; }
  // The path of the new file.
  std::string write(const std::string& name, const std::string& content) const {
    std::ofstream out(*this / name, std::ios::binary | std::ios::trunc);
    out.write(content.data(), static_cast<std::streamsize>(content.size()));
    return *this / name;
  }
  [[nodiscard]] std::string read(const std::string& name) const {
    const std::vector<u8> bytes = read_bytes(*this / name);
    return {bytes.begin(), bytes.end()};
  }
  [[nodiscard]] bool has(const std::string& name) const {
    return std::filesystem::exists(*this / name);
  }

 private:
  std::string path_;
};

// Takes stdout over while it lives.
class CapturedOutput {
 public:
  CapturedOutput() : kept_(dup(STDOUT_FILENO)), file_(std::tmpfile()) {
    std::fflush(stdout);
    if (kept_ < 0 || file_ == nullptr || dup2(fileno(file_), STDOUT_FILENO) < 0) std::abort();
  }
  ~CapturedOutput() { give_back(); }
  CapturedOutput(const CapturedOutput&) = delete;
  CapturedOutput& operator=(const CapturedOutput&) = delete;

  // What came, and the end of it.
  [[nodiscard]] std::string take() {
    std::fflush(stdout);
    std::string text;
    std::rewind(file_);
    for (int c = std::fgetc(file_); c != EOF; c = std::fgetc(file_))
      text.push_back(static_cast<char>(c));
    give_back();
    return text;
  }

 private:
  void give_back() {
    if (kept_ < 0) return;
    std::fflush(stdout);
    dup2(kept_, STDOUT_FILENO);
    close(kept_);
    std::fclose(file_);
    kept_ = -1;
  }

  int kept_;
  std::FILE* file_;
};

}  // namespace lbm::test
