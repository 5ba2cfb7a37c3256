#include "tests/hosted/hostile_corpus.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <stdexcept>

#include "tests/hosted/memory_source.h"

namespace lbm::test {
namespace {

std::string folder() {
  const char* given = std::getenv("LBM_HOSTILE");
  return given != nullptr ? given : "build/hostile";
}

std::string read_text(const std::string& path) {
  const std::vector<u8> bytes = read_bytes(path);
  return {bytes.begin(), bytes.end()};
}

std::vector<HostileFile> read_rows(const std::string& index) {
  std::vector<HostileFile> rows;
  std::istringstream lines(index);
  for (std::string line; std::getline(lines, line);) {
    if (line.empty() || line[0] == '#') continue;
    std::istringstream fields(line);
    HostileFile row;
    std::string offset;
    for (std::string* field : {&row.id, &row.name, &row.error, &row.stage, &offset, &row.source}) {
      std::getline(fields, *field, '\t');
    }
    if (offset != "-") row.offset = std::stoull(offset);
    rows.push_back(row);
  }
  return rows;
}

// The index is written last: where it is the one that is kept with the sources, the files are
// complete and current.
std::vector<HostileFile> load_corpus() {
  const std::string kept = read_text("tests/hostile/INDEX.tsv");
  if (kept.empty()) return {};
  if (read_text(folder() + "/INDEX.tsv") != kept) {
    const std::string command = "python3 tests/hostile/generate.py '" + folder() + "'";
    if (std::system(command.c_str()) != 0) return {};
  }
  return read_rows(read_text(folder() + "/INDEX.tsv"));
}

}  // namespace

std::vector<u8> HostileFile::bytes() const { return read_bytes(folder() + "/" + name); }

const std::vector<HostileFile>& hostile_corpus() {
  static const std::vector<HostileFile> corpus = load_corpus();
  return corpus;
}

const HostileFile& hostile_file(const std::string& name) {
  for (const HostileFile& file : hostile_corpus()) {
    if (file.name == name) return file;
  }
  throw std::runtime_error("no hostile file is called " + name);
}

}  // namespace lbm::test
