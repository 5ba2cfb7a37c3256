// The runner behind scripts/check_mutation.py, which links it with parsers that have all of their
// mutants in them, each behind a number; 0 is none.
//
// The mutated text notes, while it decides as the original does, which mutants would have decided
// otherwise. So one run without a mutant tells which hostile files and which test cases a mutant
// can show in at all; only those are run with it:
//   LBM_MUTANTS       the case below tries these mutants against their hostile files, each in a
//                     process of its own, for it may crash or never end
//   LBM_MUTANT_NOTES  a file: a line for each test case, "SECONDS<tab>NAME<tab>mutants"
//   LBM_MUTANT        this mutant, for a whole run of tests
// Prints "mutant N caught", "mutant N survived", or "mutant N unreached" where no file shows it.
#define CATCH_CONFIG_EXTERNAL_INTERFACES
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <sstream>

#include "tests/hosted/hostile_corpus.h"
#include "tests/hostile/replay.h"
#include "tests/test.h"

#if __has_include(<catch2/catch_all.hpp>)
using ListenerBase = Catch::EventListenerBase;
#else
using ListenerBase = Catch::TestEventListenerBase;
#endif

// Read and written by the mutated parsers. The others never look.
extern "C" {
unsigned lbm_mutant = [] {
  const char* const chosen = std::getenv("LBM_MUTANT");
  return chosen == nullptr ? 0u : static_cast<unsigned>(std::strtoul(chosen, nullptr, 10));
}();
unsigned lbm_clock = 0;          // counts decisions
unsigned lbm_noted[1u << 14]{};  // of each mutant: the last decision that it would have changed
}

using namespace lbm;
using lbm::test::hostile_corpus;
using lbm::test::HostileFile;

namespace {

constexpr long kSeconds =
    5;  // of the processor, for one file; a mutant that takes longer is caught

void forget_notes() {
  lbm_clock = 0;
  std::fill(std::begin(lbm_noted), std::end(lbm_noted), 0u);
}

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
         (!file.row->is_recorded || file.row->offset == outcome.error.offset);
}

// A file that a mutant shows in, and how many decisions before its end: a file that ends right
// there is refused by the check in question.
struct Meeting {
  unsigned n_later;
  usize file;
  bool operator<(const Meeting& other) const {
    return n_later != other.n_later ? n_later < other.n_later : file < other.file;
  }
};
using Meetings = std::vector<std::vector<Meeting>>;  // [mutant]

Meetings find_meetings(const std::vector<LoadedFile>& files, Span<u8> memory) {
  Meetings all(std::size(lbm_noted));
  for (usize i = 0; i < files.size(); ++i) {
    INFO(files[i].row->name);
    forget_notes();
    REQUIRE(is_as_expected(files[i], memory));
    for (usize mutant = 1; mutant < all.size(); ++mutant) {
      if (lbm_noted[mutant] != 0) all[mutant].push_back({lbm_clock - lbm_noted[mutant], i});
    }
  }
  for (std::vector<Meeting>& meetings : all) std::sort(meetings.begin(), meetings.end());
  return all;
}

bool is_caught(unsigned mutant, const std::vector<LoadedFile>& files,
               const std::vector<Meeting>& meetings, Span<u8> memory) {
  const pid_t child = fork();
  if (child == 0) {
    lbm_mutant = mutant;
    for (const Meeting& meeting : meetings) {
      const itimerval limit = {{0, 0}, {kSeconds, 0}};
      setitimer(ITIMER_PROF, &limit, nullptr);
      if (!is_as_expected(files[meeting.file], memory)) _exit(1);
    }
    _exit(0);
  }
  int status = 0;
  waitpid(child, &status, 0);
  return !WIFEXITED(status) || WEXITSTATUS(status) != 0;
}

// Writes LBM_MUTANT_NOTES.
class NoteTaker final : public ListenerBase {
 public:
  using ListenerBase::ListenerBase;

  void testCaseStarting(const Catch::TestCaseInfo& info) override {
    ListenerBase::testCaseStarting(info);
    name_ = info.name;
    forget_notes();
    started_ = std::chrono::steady_clock::now();
  }

  void testCaseEnded(const Catch::TestCaseStats& stats) override {
    ListenerBase::testCaseEnded(stats);
    const char* const path = std::getenv("LBM_MUTANT_NOTES");
    if (path == nullptr) return;
    const std::chrono::duration<f64> seconds = std::chrono::steady_clock::now() - started_;
    std::ofstream out(path, std::ios::app);
    out << seconds.count() << '\t' << name_ << '\t';
    for (usize mutant = 1; mutant < std::size(lbm_noted); ++mutant) {
      if (lbm_noted[mutant] != 0) out << mutant << ' ';
    }
    out << '\n';
  }

 private:
  std::string name_;
  std::chrono::steady_clock::time_point started_;
};
CATCH_REGISTER_LISTENER(NoteTaker)

}  // namespace

TEST_CASE("the mutants of LBM_MUTANTS against the hostile files", "[.mutants]") {
  const char* list = std::getenv("LBM_MUTANTS");
  if (list == nullptr || hostile_corpus().empty()) return;
  const std::vector<LoadedFile> files = load_files();
  std::vector<u8> memory(static_cast<usize>(64 * kMiB));
  const Span<u8> all(memory.data(), memory.size());
  const Meetings meetings = find_meetings(files, all);
  std::istringstream numbers(list);
  for (unsigned mutant = 0; numbers >> mutant;) {
    REQUIRE(mutant < meetings.size());
    const bool caught = is_caught(mutant, files, meetings[mutant], all);
    const char* const verdict =
        caught ? "caught" : (meetings[mutant].empty() ? "unreached" : "survived");
    std::printf("mutant %u %s\n", mutant, verdict);
    std::fflush(stdout);
  }
}
