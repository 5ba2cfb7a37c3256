// Every hostile file: refused by the right stage with the right code, whatever the size of the
// reads, memory within its bound, nothing left behind. hostile_resident_test.cpp has what a person
// sees of it.
#include <algorithm>
#include <chrono>
#include <cstring>

#include "core/model/config.h"
#include "core/model/weights.h"
#include "core/tokenizer/tokenizer.h"
#include "tests/hosted/hostile_corpus.h"
#include "tests/hosted/memory_source.h"
#include "tests/test.h"

using namespace lbm;
using lbm::test::hostile_corpus;
using lbm::test::hostile_file;
using lbm::test::HostileFile;

namespace {

std::string text_of(Str text) { return {text.data(), text.size()}; }

std::string describe(const Error& error) {
  char line[512];
  return text_of(format_error(error, line));
}

// Hands out its bytes in pieces of `piece` bytes inside each read, as a device does; the core sees
// only whole reads.
class PieceSource final : public ByteSource {
 public:
  PieceSource(const std::vector<u8>& bytes, usize piece) : bytes_(bytes), piece_(piece) {}
  [[nodiscard]] u64 size() const override { return bytes_.size(); }
  [[nodiscard]] Status read(u64 offset, Span<u8> out) override {
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

 private:
  const std::vector<u8>& bytes_;
  usize piece_;
};

// I2: what a load may take before the file is accepted.
usize memory_bound(usize n_byte) {
  return static_cast<usize>(64 * kKiB + 2 * std::min<u64>(n_byte, 64 * kMiB));
}

struct Outcome {
  std::string stage = "ok";
  Error error;
};

// The stages of a load, in their order, as far as the file comes.
Outcome load(ByteSource& source, Arena& arena) {
  Result<ModelFile> file = ModelFile::open(source, arena);
  if (!file.ok()) return {"open", file.error()};
  Result<ModelConfig> config = read_config(file.value());
  if (!config.ok()) return {"config", config.error()};
  Result<Tokenizer*> tokenizer = Tokenizer::create(arena, file.value());
  if (!tokenizer.ok()) return {"tokenizer", tokenizer.error()};
  Result<WeightPlan> plan = plan_weights(file.value(), config.value(), arena);
  if (!plan.ok()) return {"weights", plan.error()};
  if (Status s = place_weights(plan.value(), arena); !s.ok()) return {"weights", s.error()};
  std::vector<u8> chunk(static_cast<usize>(plan.value().chunk_bytes));
  SingleWorker worker;
  if (Status s =
          read_weights(plan.value(), file.value(), {source, worker, {chunk.data(), chunk.size()}});
      !s.ok()) {
    return {"weights", s.error()};
  }
  return {};
}

bool corpus_is_there() {
  if (!hostile_corpus().empty()) return true;
  WARN("skipped: the hostile files could not be generated (python3 tests/hostile/generate.py)");
  return false;
}

}  // namespace

TEST_CASE("hostile files are opened or refused as the index says, whatever the size of the reads",
          "[hostile]") {
  if (!corpus_is_there()) return;
  std::vector<u8> memory;
  f64 worst = 0;
  std::string slowest;
  for (const HostileFile& row : hostile_corpus()) {
    INFO(row.name);
    const std::vector<u8> bytes = row.bytes();
    const usize n_memory = memory_bound(bytes.size());
    memory.resize(std::max(memory.size(), n_memory));
    for (const usize piece : {bytes.size() + 1, usize{1}, usize{4096}}) {
      Arena arena{Span<u8>(memory.data(), n_memory)};
      PieceSource source(bytes, piece);
      const auto start = std::chrono::steady_clock::now();
      const Result<ModelFile> file = ModelFile::open(source, arena);
      const std::chrono::duration<f64> seconds = std::chrono::steady_clock::now() - start;
      // I3, as a part of what is allowed.
      const f64 part = seconds.count() / (0.020 + 50e-9 * static_cast<f64>(bytes.size()));
      if (piece > bytes.size() && part > worst) {
        worst = part;
        slowest = row.name;
      }
      REQUIRE(file.ok() == (row.stage != "open"));
      if (file.ok()) continue;
      INFO(describe(file.error()));
      CHECK(text_of(error_code_name(file.error().code)) == row.error);
      if (row.offset != Error::kNoOffset) CHECK(file.error().offset == row.offset);
      CHECK(arena.bytes_used() == 0);
    }
  }
  if (worst > 1.0)
    WARN("slower than 20 ms + 50 ns a byte: " << slowest << ", " << worst << " of it");
}

TEST_CASE("hostile files are refused by the stage that the index names", "[hostile]") {
  if (!corpus_is_there()) return;
  std::vector<u8> memory(static_cast<usize>(128 * kMiB));
  for (const HostileFile& row : hostile_corpus()) {
    if (row.stage == "open") continue;
    INFO(row.name);
    Arena arena{Span<u8>(memory.data(), memory.size())};
    lbm::test::MemorySource source(row.bytes());
    const Outcome outcome = load(source, arena);
    INFO(describe(outcome.error));
    CHECK(outcome.stage == row.stage);
    CHECK(text_of(error_code_name(outcome.error.code)) == row.error);
    if (row.offset != Error::kNoOffset) CHECK(outcome.error.offset == row.offset);
  }
}

TEST_CASE("a file that is cut or replaced between its table and its weights is an error (G41)",
          "[hostile]") {
  if (!corpus_is_there()) return;
  // Says it is whole; has only its first part.
  class Shrunk final : public ByteSource {
   public:
    Shrunk(std::vector<u8> bytes, usize present) : bytes_(std::move(bytes)), present_(present) {}
    [[nodiscard]] u64 size() const override { return bytes_.size(); }
    [[nodiscard]] Status read(u64 offset, Span<u8> out) override {
      if (offset + out.size() > present_)
        return fail(ErrorCode::kTruncated, "the file became shorter").at(present_);
      std::memcpy(out.data(), bytes_.data() + offset, out.size());
      return {};
    }

   private:
    std::vector<u8> bytes_;
    usize present_;
  };
  const std::vector<u8> bytes = hostile_file("G00-base.gguf").bytes();
  std::vector<u8> memory(static_cast<usize>(16 * kMiB));
  for (const usize present : {usize{70000}, bytes.size() - 1}) {
    Arena arena{Span<u8>(memory.data(), memory.size())};
    Shrunk source(bytes, present);
    const Outcome outcome = load(source, arena);
    CHECK(outcome.stage == "weights");
    CHECK(outcome.error.code == ErrorCode::kTruncated);
  }
}
