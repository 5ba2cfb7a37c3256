// Every hostile file: refused by the right stage with the right code at the right place, whatever
// the size of the reads, memory within its bound, nothing left behind. hostile_resident_test.cpp
// has what a person sees of it.
#include "tests/hostile/replay.h"

#include <algorithm>
#include <chrono>
#include <iostream>

#include "core/format/model_file.h"
#include "tests/hosted/hostile_corpus.h"
#include "tests/test.h"

using namespace lbm;
using lbm::test::hostile_corpus;
using lbm::test::hostile_corpus_is_there;
using lbm::test::hostile_file;
using lbm::test::HostileFile;
using lbm::test::HostileSource;
using lbm::test::replay;
using lbm::test::ReplayOutcome;

namespace {

std::string text_of(Str text) { return {text.data(), text.size()}; }

std::string describe(const Error& error) {
  char line[512];
  return text_of(format_error(error, line));
}

// I2: what a load may take before the file is accepted.
usize memory_bound(usize n_byte) {
  return static_cast<usize>(64 * kKiB + 2 * std::min<u64>(n_byte, 64 * kMiB));
}

void check_outcome(const HostileFile& row, const ReplayOutcome& outcome) {
  INFO(describe(outcome.error));
  CHECK(text_of(outcome.stage) == row.stage);
  CHECK(text_of(error_code_name(outcome.error.code)) == row.error);
  if (row.is_recorded) CHECK(outcome.error.offset == row.offset);
  // I5: a code, a reason, and a place or a subject wherever there is one.
  if (row.stage != "ok") CHECK(outcome.error.what[0] != '\0');
}

}  // namespace

TEST_CASE("hostile files are refused as the index says, whatever the size of the reads",
          "[hostile]") {
  if (!hostile_corpus_is_there()) return;
  std::vector<u8> memory(static_cast<usize>(64 * kMiB));
  f64 worst = 0;
  std::string slowest;
  for (const HostileFile& row : hostile_corpus()) {
    if (!row.is_replayed() || !lbm::test::can_replay(Str(row.name.c_str()))) continue;
    INFO(row.name);
    const std::vector<u8> bytes = row.bytes();
    for (const usize piece : {HostileSource::kWhole, usize{1}, usize{4096}}) {
      INFO("in pieces of " << piece);
      Arena arena{Span<u8>(memory.data(), memory.size())};
      HostileSource source(row.name, bytes, piece);
      const auto start = std::chrono::steady_clock::now();
      const ReplayOutcome outcome = replay(Str(row.name.c_str()), source, arena);
      const std::chrono::duration<f64> seconds = std::chrono::steady_clock::now() - start;
      check_outcome(row, outcome);
      CHECK(arena.bytes_used() == 0);
      // I3, as a part of what is allowed.
      const f64 part = seconds.count() / (0.020 + 50e-9 * static_cast<f64>(bytes.size()));
      if (piece == HostileSource::kWhole && row.stage != "ok" && row.stage != "render" &&
          part > worst) {
        worst = part;
        slowest = row.name;
      }
    }
  }
  if (worst > 1.0)
    WARN("slower than 20 ms + 50 ns a byte: " << slowest << ", " << worst << " of it");
}

TEST_CASE("offsets that are not recorded yet, for generate.py --record", "[.offsets]") {
  std::vector<u8> memory(static_cast<usize>(64 * kMiB));
  for (const HostileFile& row : hostile_corpus()) {
    if (row.is_recorded || !lbm::test::can_replay(Str(row.name.c_str()))) continue;
    Arena arena{Span<u8>(memory.data(), memory.size())};
    HostileSource source(row);
    const Error error = replay(Str(row.name.c_str()), source, arena).error;
    const bool has_place = error.offset != Error::kNoOffset;
    std::cout << "offset of " << row.name << ": "
              << (has_place ? std::to_string(error.offset) : "none") << "\n# " << describe(error)
              << '\n';
  }
}

TEST_CASE("a file is refused within 64 KiB and twice its size, by whatever stage (I2)",
          "[hostile]") {
  if (!hostile_corpus_is_there()) return;
  std::vector<u8> memory(static_cast<usize>(256 * kMiB));
  for (const HostileFile& row : hostile_corpus()) {
    if (!row.is_model() || !row.is_replayed() || row.stage == "ok") continue;
    // Numbers are looked at in the weights, when all else was accepted and the model has its place.
    if (row.stage == "weights" && row.error == "numeric") continue;
    INFO(row.name);
    HostileSource source(row);
    {  // what lies beside it counts as a part of it
      Arena arena{Span<u8>(memory.data(), memory.size())};
      REQUIRE(replay(Str(row.name.c_str()), source, arena).error.code != ErrorCode::kOk);
    }
    const usize n_memory = memory_bound(static_cast<usize>(source.n_byte()));
    Arena arena{Span<u8>(memory.data(), n_memory)};
    check_outcome(row, replay(Str(row.name.c_str()), source, arena));
    CHECK(arena.bytes_used() == 0);
  }
}

TEST_CASE("a file that is cut between its table and its weights is an error (G41)", "[hostile]") {
  if (!hostile_corpus_is_there()) return;
  const std::vector<u8> bytes = hostile_file("G00-base.gguf").bytes();
  std::vector<u8> memory(static_cast<usize>(16 * kMiB));
  for (const usize present : {usize{70000}, bytes.size() - 1}) {
    Arena arena{Span<u8>(memory.data(), memory.size())};
    HostileSource source("G41.gguf", {bytes.data(), bytes.data() + present});
    source.claim(bytes.size());
    const ReplayOutcome outcome = replay("G41.gguf", source, arena);
    CHECK(text_of(outcome.stage) == "weights");
    CHECK(outcome.error.code == ErrorCode::kTruncated);
  }
}

TEST_CASE("a source that claims 8 TB costs no more than what is in it (G42)", "[hostile]") {
  if (!hostile_corpus_is_there()) return;
  const std::vector<u8> bytes = hostile_file("G00-base.gguf").bytes();
  std::vector<u8> memory(static_cast<usize>(16 * kMiB));
  // The whole file and a lie: the table is sound, so it opens, and what is behind it is not read.
  {
    Arena arena{Span<u8>(memory.data(), memory.size())};
    HostileSource source("G42.gguf", bytes);
    source.claim(u64{8} << 40);
    CHECK(text_of(replay("G42.gguf", source, arena).stage) == "ok");
  }
  // A header alone: the first read beyond it ends the load.
  Arena arena{Span<u8>(memory.data(), memory.size())};
  HostileSource source("G42.gguf", {bytes.data(), bytes.data() + 24});
  source.claim(u64{8} << 40);
  const ReplayOutcome outcome = replay("G42.gguf", source, arena);
  CHECK(text_of(outcome.stage) == "open");
  CHECK(outcome.error.code == ErrorCode::kTruncated);
  CHECK(arena.bytes_used() == 0);
}
