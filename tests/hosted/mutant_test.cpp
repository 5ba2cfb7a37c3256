// The runner behind scripts/check_mutation.py, which links it with parsers that have all of their
// mutants in them, each behind a number: LBM_MUTANT chooses one for a whole run of tests; this case
// tries those of LBM_MUTANTS against the hostile files, each in a process of its own.
//
// Prints "mutant N caught" or "mutant N survived". Hidden: it runs only where it is asked for.
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <sstream>

#include "tests/hosted/hostile_corpus.h"
#include "tests/hostile/replay.h"
#include "tests/test.h"

// Read by the mutated parsers; 0 is no mutant. The others never look.
extern "C" {
unsigned lbm_mutant = [] {
  const char* const chosen = std::getenv("LBM_MUTANT");
  return chosen == nullptr ? 0u : static_cast<unsigned>(std::strtoul(chosen, nullptr, 10));
}();
}

using namespace lbm;
using lbm::test::hostile_corpus;
using lbm::test::HostileFile;

namespace {

constexpr unsigned kSeconds = 60;  // a mutant that takes longer is caught

struct LoadedFile {
  const HostileFile* row;
  std::vector<u8> bytes;
};

// Small files first: they tell sooner.
std::vector<LoadedFile> load_files() {
  std::vector<LoadedFile> files;
  for (const HostileFile& row : hostile_corpus()) {
    if (row.is_replayed() && lbm::test::can_replay(Str(row.name.c_str())))
      files.push_back({&row, row.bytes()});
  }
  std::sort(files.begin(), files.end(), [](const LoadedFile& a, const LoadedFile& b) {
    return a.bytes.size() != b.bytes.size() ? a.bytes.size() < b.bytes.size()
                                            : a.row->name < b.row->name;
  });
  return files;
}

bool is_as_expected(const LoadedFile& file, Span<u8> memory) {
  Arena arena{memory};
  lbm::test::HostileSource source(file.row->name, file.bytes);
  const lbm::test::ReplayOutcome outcome =
      lbm::test::replay(Str(file.row->name.c_str()), source, arena);
  return outcome.stage == Str(file.row->stage.c_str()) &&
         error_code_name(outcome.error.code) == Str(file.row->error.c_str()) &&
         (file.row->offset == Error::kNoOffset || file.row->offset == outcome.error.offset);
}

// In a process of its own, for a mutant may crash or never end.
bool is_caught(unsigned mutant, const std::vector<LoadedFile>& files, Span<u8> memory) {
  const pid_t child = fork();
  if (child == 0) {
    lbm_mutant = mutant;
    alarm(kSeconds);
    for (const LoadedFile& file : files) {
      if (!is_as_expected(file, memory)) _exit(1);
    }
    _exit(0);
  }
  int status = 0;
  waitpid(child, &status, 0);
  return !WIFEXITED(status) || WEXITSTATUS(status) != 0;
}

}  // namespace

TEST_CASE("the mutants of LBM_MUTANTS against the hostile files", "[.mutants]") {
  const char* list = std::getenv("LBM_MUTANTS");
  if (list == nullptr || hostile_corpus().empty()) return;
  const std::vector<LoadedFile> files = load_files();
  std::vector<u8> memory(static_cast<usize>(64 * kMiB));
  const Span<u8> all(memory.data(), memory.size());
  REQUIRE(!is_caught(0, files, all));
  std::istringstream numbers(list);
  for (unsigned mutant = 0; numbers >> mutant;) {
    std::printf("mutant %u %s\n", mutant, is_caught(mutant, files, all) ? "caught" : "survived");
    std::fflush(stdout);
  }
}
