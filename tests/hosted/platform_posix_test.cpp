// The Linux host of the core: files, memory, threads and folders.
#include "tools/platform_posix.h"

#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <thread>
#include <vector>

#include "tests/test.h"
#include "tools/model_reader.h"
#include "tools/thread_pool.h"

using namespace lbm;
using namespace lbm::cli;
namespace fs = std::filesystem;

namespace {

// A folder that is gone with the object.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    char name[] = "/tmp/lbm-platform-XXXXXX";
    REQUIRE(mkdtemp(name) != nullptr);
    path_ = name;
  }
  ~TemporaryFolder() { fs::remove_all(path_); }
  std::string file(const std::string& name, const std::string& content = "") const {
    const fs::path path = path_ / name;
    fs::create_directories(path.parent_path());
    std::ofstream(path, std::ios::binary) << content;
    return path.string();
  }
  [[nodiscard]] std::string path() const { return path_.string(); }

 private:
  fs::path path_;
};

std::string read_text(ByteSource& source, u64 offset, usize n) {
  std::string text(n, '?');
  const Status status = source.read(offset, {reinterpret_cast<u8*>(text.data()), n});
  return status.ok() ? text : to_string(error_code_name(status.error().code));
}

struct CountJob {
  std::vector<std::atomic<u32>> n_run;
  explicit CountJob(u32 n_task) : n_run(n_task) {}
};

void count_task(void* job, u32 task) {
  static_cast<CountJob*>(job)->n_run[task].fetch_add(1, std::memory_order_relaxed);
}

}  // namespace

TEST_CASE("a file source reads what is there and says where it ends", "[platform_posix]") {
  const TemporaryFolder folder;
  const std::string path = folder.file("a.bin", "0123456789");
  Result<std::unique_ptr<FileSource>> opened = FileSource::open(path);
  REQUIRE(opened.ok());
  FileSource& source = *opened.value();
  CHECK(source.size() == 10);
  CHECK(read_text(source, 3, 4) == "3456");
  CHECK(read_text(source, 10, 0).empty());
  CHECK(read_text(source, 8, 3) == "truncated");
  CHECK(read_text(source, ~u64{0}, 1) == "truncated");
  // A file that shrinks while it is read is an error, not a crash.
  fs::resize_file(path, 5);
  CHECK(read_text(source, 3, 4) == "truncated");
}

TEST_CASE("a path that is no file is refused by its kind", "[platform_posix]") {
  const TemporaryFolder folder;
  CHECK(FileSource::open(folder.path() + "/nosuch").error().code == ErrorCode::kNotFound);
  CHECK(FileSource::open(folder.path()).error().code == ErrorCode::kIo);
}

TEST_CASE("a memory source ends where its bytes do", "[platform_posix]") {
  const u8 bytes[] = {'a', 'b', 'c'};
  MemorySource source(Span<const u8>(bytes, 3));
  CHECK(read_text(source, 1, 2) == "bc");
  CHECK(read_text(source, 3, 0).empty());
  CHECK(read_text(source, 1, 3) == "truncated");
  CHECK(read_text(source, ~u64{0}, 2) == "truncated");
}

TEST_CASE("pages are usable, aligned, and refused with both numbers", "[platform_posix]") {
  PosixPages pages;
  for (const u64 bytes : {u64{1}, 100 * kKiB, 9 * kMiB}) {
    Result<Span<u8>> range = pages.take(bytes, "test");
    REQUIRE(range.ok());
    CHECK(range.value().size() >= bytes);
    CHECK(reinterpret_cast<uintptr_t>(range.value().data()) % 4096 == 0);
    range.value()[0] = 1;
    range.value()[range.value().size() - 1] = 1;
    pages.give_back(range.value());
  }
  const u64 free_bytes = pages.bytes_free();
  CHECK(free_bytes > 0);
  const Result<Span<u8>> refused = pages.take(u64{1} << 60, "weights");
  REQUIRE(!refused.ok());
  CHECK(refused.error().code == ErrorCode::kOutOfMemory);
  CHECK(refused.error().value == u64{1} << 60);
  CHECK(refused.error().has_limit);
  CHECK(!pages.take(~u64{0}, "overflow").ok());
}

TEST_CASE("a thread pool runs every task once, whatever their number", "[platform_posix]") {
  for (const u32 n_thread : {1u, 2u, 3u, 8u}) {
    ThreadPool pool(n_thread);
    CHECK(pool.n_worker() == n_thread);
    for (const u32 n_task : {0u, 1u, 2u, 3u, 7u, 64u, 1000u}) {
      CountJob job(n_task);
      pool.run(count_task, &job, n_task);
      for (const std::atomic<u32>& n_run : job.n_run) CHECK(n_run.load() == 1);
    }
  }
}

TEST_CASE("jobs that follow each other at once never mix", "[platform_posix]") {
  ThreadPool pool(4);
  CountJob odd(13);
  CountJob even(29);
  constexpr u32 kRounds = 2000;
  for (u32 i = 0; i < kRounds; ++i) {
    pool.run(count_task, &odd, 13);
    pool.run(count_task, &even, 29);
    // Let the workers fall asleep now and then: waking up is the other half of the protocol.
    if (i % 500 == 0) usleep(1000);
  }
  for (const std::atomic<u32>& n_run : odd.n_run) CHECK(n_run.load() == kRounds);
  for (const std::atomic<u32>& n_run : even.n_run) CHECK(n_run.load() == kRounds);
}

TEST_CASE("a job's results are visible when run() returns", "[platform_posix]") {
  struct Job {
    u64 values[512] = {};
  };
  ThreadPool pool(3);
  for (u64 round = 1; round < 300; ++round) {
    Job job;
    job.values[0] = round;
    pool.run([](void* j, u32 task) { static_cast<Job*>(j)->values[task] += task * 3; }, &job, 512);
    u64 sum = 0;
    for (const u64 value : job.values) sum += value;
    REQUIRE(sum == round + 3 * 512 * 511 / 2);
  }
}

TEST_CASE("a slow core costs its share and no more", "[platform_posix]") {
  // One task sleeps; the others must not wait behind it in the same piece.
  struct Job {
    std::atomic<u32> n_done{0};
    std::atomic<u32> n_done_when_slow_ended{0};
  } job;
  ThreadPool pool(2);
  const auto task = [](void* j, u32 index) {
    Job& self = *static_cast<Job*>(j);
    if (index == 99) {
      usleep(200'000);
      self.n_done_when_slow_ended = self.n_done.load();
    }
    ++self.n_done;
  };
  pool.run(task, &job, 100);
  CHECK(job.n_done.load() == 100);
  CHECK(job.n_done_when_slow_ended.load() >= 98);
}

TEST_CASE("there is at least one core", "[platform_posix]") {
  CHECK(count_physical_cores() >= 1);
  CHECK(count_physical_cores() <= std::max(1u, std::thread::hardware_concurrency()));
}

TEST_CASE("a volume lists models of its root and of models/, and opens by name or path",
          "[platform_posix]") {
  const TemporaryFolder folder;
  folder.file("b.gguf", "bb");
  folder.file("a.GGUF", "a");
  folder.file("readme.txt", "no model");
  folder.file(".gguf", "only a suffix");
  folder.file("models/c.bin", "ccc");
  folder.file("models/deep/d.gguf", "too deep");
  fs::create_directories(folder.path() + "/e.gguf");
  DirectoryVolume volume(folder.path());
  FileEntry entries[8];
  REQUIRE(volume.list_models(entries) == 3);
  CHECK(entries[0].name() == "a.GGUF");
  CHECK(entries[1].name() == "b.gguf");
  CHECK(entries[2].name() == "models/c.bin");
  CHECK(entries[2].size_bytes == 3);
  CHECK(volume.list_models({entries, 2}) == 2);

  const std::string absolute = folder.path() + "/b.gguf";
  for (const std::string& name :
       {std::string("b.gguf"), std::string("models/c.bin"), std::string("c.bin"), absolute}) {
    Result<ByteSource*> opened = volume.open(0, to_str(name));
    REQUIRE(opened.ok());
    CHECK(opened.value()->size() >= 2);
    volume.close(opened.value());
  }
  const Result<ByteSource*> missing = volume.open(0, "x.gguf");
  CHECK(missing.error().code == ErrorCode::kNotFound);
  CHECK(missing.error().subject_text() == "x.gguf");
  CHECK(!volume.open(1, "b.gguf").ok());
}

TEST_CASE("errors have the exit codes of the manual", "[platform_posix]") {
  const auto code = [](ErrorCode error, Stage stage) {
    return static_cast<int>(exit_code_for(fail(error, ""), stage));
  };
  CHECK(code(ErrorCode::kTruncated, Stage::kModel) == 3);
  CHECK(code(ErrorCode::kNotFound, Stage::kModel) == 3);
  CHECK(code(ErrorCode::kNumeric, Stage::kRun) == 1);
  CHECK(code(ErrorCode::kOutOfMemory, Stage::kModel) == 4);
  CHECK(code(ErrorCode::kContextFull, Stage::kRun) == 5);
  CHECK(code(ErrorCode::kInvalidArgument, Stage::kModel) == 2);
  CHECK(code(ErrorCode::kBadValue, Stage::kUsage) == 2);
  CHECK(code(ErrorCode::kCancelled, Stage::kModel) == 130);
}
