#include "tests/hosted/hostile_corpus.h"

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <stdexcept>

#include "tests/hosted/memory_source.h"
#include "tests/test.h"

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
    row.is_recorded = offset != "?";
    if (std::isdigit(static_cast<unsigned char>(offset[0])) != 0) row.offset = std::stoull(offset);
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

std::string HostileFile::path() const { return folder() + "/" + name; }

u64 HostileFile::n_byte() const { return std::filesystem::file_size(path()); }

std::vector<u8> HostileFile::bytes() const { return read_bytes(path()); }

const std::vector<HostileFile>& hostile_corpus() {
  static const std::vector<HostileFile> corpus = load_corpus();
  return corpus;
}

bool hostile_corpus_is_there() {
  if (!hostile_corpus().empty()) return true;
  WARN("skipped: the hostile files could not be generated (python3 tests/hostile/generate.py)");
  return false;
}

const HostileFile& hostile_file(const std::string& name) {
  for (const HostileFile& file : hostile_corpus()) {
    if (file.name == name) return file;
  }
  throw std::runtime_error("no hostile file is called " + name);
}

u64 HostileSource::n_byte() const {
  u64 n = bytes_.size();
  for (const auto& neighbour : neighbours_) n += neighbour->n_byte();
  return n;
}

Status HostileSource::read(u64 offset, Span<u8> out) {
  for (usize done = 0; done < out.size();) {
    if (offset + done >= bytes_.size())
      return fail(ErrorCode::kTruncated, "the source ends early").at(bytes_.size());
    const usize n =
        std::min({piece_, out.size() - done, static_cast<usize>(bytes_.size() - offset - done)});
    std::memcpy(out.data() + done, bytes_.data() + offset + done, n);
    done += n;
  }
  return {};
}

Result<ByteSource*> HostileSource::open_beside(Str neighbour) {
  for (const HostileFile& file : hostile_corpus()) {
    if (!(Str(file.name.c_str()) == neighbour)) continue;
    neighbours_.push_back(std::make_unique<HostileSource>(file, piece_));
    return static_cast<ByteSource*>(neighbours_.back().get());
  }
  return fail(ErrorCode::kNotFound, "no such file beside it").about(neighbour);
}

}  // namespace lbm::test
