// Every error code is there because something produces it: a file of the corpus, or one of the
// cases recorded here (what no file can do: devices that fail, memory that is short, users who
// stop).
#include <algorithm>
#include <cerrno>
#include <cstring>
#include <set>

#include "core/chat/engine.h"
#include "core/chat/settings.h"
#include "core/model/weights.h"
#include "kernels/select.h"
#include "tests/hosted/hostile_corpus.h"
#include "tests/hosted/memory_source.h"
#include "tests/hostile/replay.h"
#include "tests/test.h"
#include "tools/file_writer.h"
#include "tools/platform_posix.h"

using namespace lbm;
using lbm::test::hostile_corpus;
using lbm::test::hostile_corpus_is_there;
using lbm::test::hostile_file;
using lbm::test::HostileFile;
using lbm::test::MemorySource;

namespace {

// A device that fails at its n-th read.
class FailingSource final : public ByteSource {
 public:
  FailingSource(std::vector<u8> bytes, u32 n_good) : bytes_(std::move(bytes)), n_good_(n_good) {}
  [[nodiscard]] u64 size() const override { return bytes_.size(); }
  [[nodiscard]] Status read(u64 offset, Span<u8> out) override {
    if (n_good_ == 0) return fail(ErrorCode::kIo, "the device does not read").at(offset);
    --n_good_;
    std::memcpy(out.data(), bytes_.data() + offset, out.size());
    return {};
  }

 private:
  std::vector<u8> bytes_;
  u32 n_good_;
};

std::vector<u8> base() { return hostile_file("G00-base.gguf").bytes(); }

class StopAtOnce final : public LoadObserver {
 public:
  bool on_progress(u64, u64) override { return false; }
};

// The base model, loaded.
struct Loaded {
  Loaded() : source(base()) {
    options.n_ctx = 8;
    REQUIRE(engine.load(source, "base", options, nullptr).ok());
  }
  cli::PosixPages pages;
  SingleWorker worker;
  EngineOptions options;
  MemorySource source;
  Engine engine{pages, worker, *find_kernel_table(detect_cpu_features(), "scalar")};
};

Error error_of(const Status& status) { return status.ok() ? Error() : status.error(); }

Error load_from_dead_device() {
  FailingSource source(base(), 1);
  std::vector<u8> memory(static_cast<usize>(16 * kMiB));
  Arena arena{Span<u8>(memory.data(), memory.size())};
  return lbm::test::replay("E.gguf", source, arena).error;
}

Error load_without_memory() {
  MemorySource source(base());
  u8 memory[1024];
  Arena arena{Span<u8>(memory)};
  return lbm::test::replay("E.gguf", source, arena).error;
}

Error load_that_is_stopped() {
  Loaded loaded;
  MemorySource source(base());
  StopAtOnce observer;
  return error_of(loaded.engine.load(source, "again", loaded.options, &observer));
}

Error more_tokens_than_context() {
  Loaded loaded;
  const u32 tokens[9] = {1, 1, 1, 1, 1, 1, 1, 1, 1};
  return error_of(loaded.engine.session().evaluate(tokens));
}

Error token_beyond_vocabulary() {
  Loaded loaded;
  const u32 tokens[1] = {288};
  return error_of(loaded.engine.session().evaluate(tokens));
}

Error rewind_forward() {
  Loaded loaded;
  return error_of(loaded.engine.session().rewind(5));
}

Error file_that_is_not_there() {
  const auto file = cli::FileSource::open("tests/hostile/absent.gguf");
  return file.ok() ? Error() : file.error();
}

Error volume_that_can_not_be_written() {
  return fail(cli::write_error_code(EROFS), "a read-only file system");
}

// What no file can produce.
struct RecordedCase {
  const char* name;
  ErrorCode code;
  Error (*run)();
};
constexpr RecordedCase kCases[] = {
    {"a device that fails while a model is read", ErrorCode::kIo, load_from_dead_device},
    {"memory that is too short for a model", ErrorCode::kOutOfMemory, load_without_memory},
    {"a load that the user stops", ErrorCode::kCancelled, load_that_is_stopped},
    {"more tokens than the context has", ErrorCode::kContextFull, more_tokens_than_context},
    {"a token that the model has not got", ErrorCode::kInvalidArgument, token_beyond_vocabulary},
    {"going back to a position ahead", ErrorCode::kNotRewindable, rewind_forward},
    {"a volume that can not be written", ErrorCode::kReadOnly, volume_that_can_not_be_written},
    {"a file that is not there", ErrorCode::kNotFound, file_that_is_not_there},
};

std::string name_of(ErrorCode code) {
  const Str name = error_code_name(code);
  return {name.data(), name.size()};
}

}  // namespace

TEST_CASE("every error code is produced by a hostile file or a recorded case", "[hostile]") {
  if (!hostile_corpus_is_there()) return;
  std::set<std::string> produced = {"ok"};
  for (const HostileFile& row : hostile_corpus()) {
    if (row.is_replayed()) produced.insert(row.error);
  }
  for (const RecordedCase& recorded : kCases) {
    INFO(recorded.name);
    const Error error = recorded.run();
    CHECK(error.code == recorded.code);
    CHECK(error.what[0] != '\0');
    produced.insert(name_of(error.code));
  }
  for (u32 i = 0; i < kErrorCodeCount; ++i) {
    const std::string name = name_of(static_cast<ErrorCode>(i));
    INFO("nothing produces [" << name << "]");
    CHECK(produced.count(name) == 1);
    produced.erase(name);
  }
  for (const std::string& name : produced)
    FAIL("the index has a code that does not exist: " << name);
}

TEST_CASE("the corpus covers what was promised of it", "[hostile]") {
  if (!hostile_corpus_is_there()) return;
  std::set<std::string> families;
  u32 n_bad = 0;
  for (const HostileFile& row : hostile_corpus()) {
    families.insert(row.id);
    if (row.is_replayed() && row.stage != "ok") ++n_bad;
  }
  CHECK(n_bad >= 150);
  for (const char* first : {"G", "B", "T", "S", "K", "J"}) {
    CHECK(std::any_of(families.begin(), families.end(),
                      [&](const std::string& id) { return id.substr(0, 1) == first; }));
  }
}
