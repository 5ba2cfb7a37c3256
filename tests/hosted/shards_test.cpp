// Files in pieces: where the pieces come from, how they are put together, and the command. What an
// index or a shard is refused for is in tests/hostile/recipes_json.py.
#include <fcntl.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <unistd.h>

#include <csignal>
#include <map>

#include "tests/hosted/canned_server.h"
#include "tests/hosted/refusal.h"
#include "tests/hosted/run_command.h"
#include "tests/hosted/temporary_folder.h"
#include "tests/test.h"
#include "tools/interrupt.h"
#include "tools/shard_assemble.h"

using namespace lbm;
using lbm::test::CannedServer;
using lbm::test::CommandRun;
using lbm::test::Refusal;
using lbm::test::refusal_of;
using lbm::test::run_command;
using lbm::test::TemporaryFolder;

namespace {

constexpr usize kChunk = 4096;

// Three chunks, the last one short.
std::string some_bytes() {
  std::string out;
  for (u32 i = 0; i < 2 * kChunk + 100; ++i) out.push_back(static_cast<char>(i * i / 7));
  return out;
}

// A folder with "m" and its chunks in "up".
class Packed {
 public:
  explicit Packed(bool ranges = false) {
    folder_.write("m", some_bytes());
    std::vector<std::string> arguments = {"pack", folder_ / "m", "--chunk-size", "4096"};
    if (ranges) {
      arguments.push_back("--ranges");
    } else {
      arguments.insert(arguments.end(), {"-o", folder_ / "up"});
    }
    REQUIRE(run_command(cli::kShardsCommand, arguments).exit == cli::ExitCode::kOk);
    index_name_ = ranges ? "m.shards.json" : "up/m.shards.json";
  }
  [[nodiscard]] const TemporaryFolder& folder() const { return folder_; }
  [[nodiscard]] std::string index_path() const { return folder_ / index_name_; }
  [[nodiscard]] cli::ShardIndex index() const {
    return cli::parse_shard_index(folder_.read(index_name_), "m.shards.json");
  }

 private:
  TemporaryFolder folder_;
  std::string index_name_;
};

// Chunks from memory, of which some fail so many times.
class ScriptedSource final : public cli::ShardSource {
 public:
  std::map<std::string, std::string> files;
  u32 n_failure = 0;
  bool may_retry = true;
  u32 n_read = 0;

  explicit ScriptedSource(const Packed& packed) {
    for (const cli::Chunk& chunk : packed.index().chunks)
      files[chunk.path] = packed.folder().read("up/" + chunk.path);
  }
  std::string read_all(const std::string& name, u64 limit) override {
    ++n_read;
    if (files[name].size() > limit) throw cli::FetchError(name, ErrorCode::kLimit, false);
    return files[name];
  }
  std::string read_part(const std::string& name, u64 offset, u64 size, u64) override {
    ++n_read;
    if (n_failure != 0) {
      --n_failure;
      throw cli::FetchError(name + ": busy", ErrorCode::kIo, may_retry);
    }
    return files[name].substr(static_cast<usize>(offset), static_cast<usize>(size));
  }
};

}  // namespace

TEST_CASE("shards: places and addresses", "[tools]") {
  std::string folder;
  std::string name;
  cli::split_place("index.json", folder, name);
  CHECK(folder == ".");
  CHECK(name == "index.json");
  cli::split_place("/index.json", folder, name);
  CHECK(folder == "/");
  cli::split_place("http://h/a/b.json", folder, name);
  CHECK(folder == "http://h/a");
  CHECK(name == "b.json");
  CHECK(cli::is_web_address("http://h"));
  CHECK(cli::is_web_address("https://h"));
  CHECK(!cli::is_web_address("httpx://h"));
  CHECK(!cli::is_web_address("/http://h"));
}

TEST_CASE("shards: pieces of a folder", "[tools]") {
  const TemporaryFolder folder;
  folder.write("m", "0123456789");
  const std::unique_ptr<cli::ShardSource> source = cli::open_shard_source(folder.path(), {});
  CHECK(source->read_all("m", 10) == "0123456789");
  CHECK(source->read_part("m", 2, 4, 10) == "2345");
  CHECK(source->read_part("m", 2, 4, 0) == "2345");
  const auto code = [&](auto work) { return refusal_of(work).code(); };
  CHECK(code([&] { (void)source->read_all("m", 9); }) == "limit");
  CHECK(code([&] { (void)source->read_part("m", 2, 4, 11); }) == "mismatch");
  CHECK(code([&] { (void)source->read_part("m", 8, 4, 10); }) == "truncated");
  const Refusal none = refusal_of([&] { (void)source->read_all("other", 9); });
  CHECK(none.code() == "not_found");
  CHECK(none.exit == cli::ExitCode::kRuntime);
}

TEST_CASE("shards: an index comes back as it was written", "[tools]") {
  const Packed packed;
  const std::string text = packed.folder().read("up/m.shards.json");
  CHECK(cli::to_json(packed.index()).dump(1) + "\n" == text);
  const cli::ShardIndex index = packed.index();
  CHECK(index.size == 2 * kChunk + 100);
  REQUIRE(index.chunks.size() == 3);
  CHECK(index.chunks[2].path == "m.00002");
  CHECK(index.chunks[2].offset == 2 * kChunk);
  CHECK(index.chunks[2].size == 100);
  CHECK(!index.has_manifest);
  const Packed ranges(true);
  CHECK(ranges.index().chunks[1].path == "m");
  CHECK(ranges.index().chunks[1].path_at == kChunk);
  CHECK(cli::to_json(ranges.index()).dump(1) + "\n" == ranges.folder().read("m.shards.json"));
}

TEST_CASE("shards: numbers of an index at their limits", "[tools]") {
  const Packed packed;
  const auto code = [&](const char* key, u64 value, u64 chunk_size) {
    cli::Json index = cli::Json::parse(packed.folder().read("up/m.shards.json"));
    index["chunk_size"] = chunk_size;
    index["size"] = chunk_size;
    index["chunks"] = cli::Json::array({index["chunks"][0]});
    index["chunks"][0]["size"] = chunk_size;
    index["chunks"][0][key] = value;
    return refusal_of([&] { (void)cli::parse_shard_index(index.dump(), "m"); }).code();
  };
  constexpr u64 kMost = u64{1} << 46;
  CHECK(code("at", 0, kChunk).empty());
  CHECK(code("at", 0, kChunk - 1) == "bad_value");
  CHECK(code("at", 0, 256 * kMiB).empty());
  CHECK(code("at", 0, 256 * kMiB + 1) == "bad_value");
  CHECK(code("at", kMost, kChunk).empty());
  CHECK(code("at", kMost + 1, kChunk) == "bad_value");
  CHECK(code("offset", kMost, kChunk) == "bad_offset");
  CHECK(code("offset", kMost + 1, kChunk) == "bad_value");
}

TEST_CASE("shards: put together from chunks, or from parts of one file", "[tools]") {
  for (const bool ranges : {false, true}) {
    const Packed packed(ranges);
    const std::string out = packed.folder() / "out";
    const CommandRun run =
        run_command(cli::kShardsCommand, {"assemble", packed.index_path(), "-o", out, "--json"});
    CHECK(run.exit == cli::ExitCode::kOk);
    const cli::Json report = cli::Json::parse(run.output);
    CHECK(report["read"] == 3);
    CHECK(report["kept"] == 0);
    CHECK(report["size"] == 2 * kChunk + 100);
    CHECK(packed.folder().read("out") == some_bytes());
    CHECK(!packed.folder().has("out.part"));
  }
}

TEST_CASE("shards: what is there and right is kept", "[tools]") {
  const Packed packed;
  std::string part = some_bytes();
  part[kChunk + 7] = static_cast<char>(part[kChunk + 7] ^ 1);
  packed.folder().write("out.part", part + "more");
  const std::string out = packed.folder() / "out";
  const CommandRun run = run_command(
      cli::kShardsCommand, {"fetch", packed.index_path(), "-o", out, "--retries", "0", "--json"});
  const cli::Json report = cli::Json::parse(run.output);
  CHECK(report["kept"] == 2);
  CHECK(report["read"] == 1);
  CHECK(report["retried"] == 0);
  CHECK(packed.folder().read("out") == some_bytes());
}

TEST_CASE("shards: a part file that ends within a chunk", "[tools]") {
  const Packed packed;
  packed.folder().write("out.part", some_bytes().substr(0, 2 * kChunk - 1));
  ScriptedSource source(packed);
  const cli::AssembleReport report =
      cli::assemble(packed.index(), source, packed.folder() / "out", {});
  CHECK(report.n_kept == 1);
  CHECK(report.n_read == 2);
  CHECK(report.sha256 == packed.index().sha256);
}

TEST_CASE("shards: a part file that shrinks while it is read", "[tools]") {
  const Packed packed;
  const std::string part = packed.folder().write("out.part", some_bytes());
  ScriptedSource source(packed);
  cli::AssembleOptions options;
  options.on_progress = [&](u64 n_done, u64) {
    if (n_done == kChunk) std::filesystem::resize_file(part, kChunk + 5);
  };
  const cli::AssembleReport report =
      cli::assemble(packed.index(), source, packed.folder() / "out", options);
  CHECK(report.n_kept == 1);
  CHECK(report.n_read == 2);
  CHECK(packed.folder().read("out") == some_bytes());
}

TEST_CASE("shards: what fails is asked for again, so many times", "[tools]") {
  const Packed packed;
  ScriptedSource source(packed);
  cli::AssembleOptions options;
  options.n_retry = 1;
  source.n_failure = 1;
  u64 n_told = 0;
  options.on_progress = [&](u64 n_done, u64 n_all) {
    ++n_told;
    CHECK(n_done <= n_all);
  };
  CHECK(cli::assemble(packed.index(), source, packed.folder() / "out", options).n_retried == 1);
  CHECK(n_told == 3);
  const auto again = [&](u32 n_failure, bool may_retry) {
    source.n_read = 0;
    source.n_failure = n_failure;
    source.may_retry = may_retry;
    return refusal_of(
        [&] { (void)cli::assemble(packed.index(), source, packed.folder() / "two", options); });
  };
  CHECK(again(2, true).code() == "io");
  CHECK(source.n_read == 2);
  CHECK(again(1, false).code() == "io");
  CHECK(source.n_read == 1);
  CHECK(!packed.folder().has("two"));
}

TEST_CASE("shards: a chunk that is another one", "[tools]") {
  const Packed packed;
  ScriptedSource source(packed);
  source.files["m.00001"][5] ^= 1;
  cli::AssembleOptions options;
  options.n_retry = 0;
  const Refusal refusal = refusal_of(
      [&] { (void)cli::assemble(packed.index(), source, packed.folder() / "out", options); });
  CHECK(refusal.says("chunk 1, bytes 4096 to 8192, is not the one of the index [bad_hash]"));
  CHECK(packed.folder().has("out.part"));
}

TEST_CASE("shards: a whole that is not the one of the index", "[tools]") {
  const Packed packed;
  ScriptedSource source(packed);
  cli::ShardIndex index = packed.index();
  index.sha256.bytes[0] ^= 1;
  const Refusal refusal =
      refusal_of([&] { (void)cli::assemble(index, source, packed.folder() / "out", {}); });
  CHECK(refusal.exit == cli::ExitCode::kModel);
  CHECK(refusal.code() == "bad_hash");
  CHECK(!packed.folder().has("out"));
  cli::AssembleOptions options;
  options.expects_whole = false;
  CHECK(cli::assemble(index, source, packed.folder() / "out", options).n_kept == 3);
}

TEST_CASE("shards: places that can not be written", "[tools]") {
  const Packed packed;
  ScriptedSource source(packed);
  const auto assemble_at = [&](const std::string& path) {
    return refusal_of([&] { (void)cli::assemble(packed.index(), source, path, {}); });
  };
  CHECK(assemble_at("/no/such/folder/out").says("can not be opened"));
  CHECK(assemble_at(packed.folder() / "up").says("can not be given its name"));
  // A link in the place of the part file is not followed.
  std::filesystem::create_symlink(packed.folder() / "m", packed.folder() / "linked.part");
  CHECK(assemble_at(packed.folder() / "linked").says("can not be opened"));
  CHECK(packed.folder().read("m") == some_bytes());
}

TEST_CASE("shards: one process at a time", "[tools]") {
  const Packed packed;
  const std::string part = packed.folder().write("out.part", "");
  const int descriptor = open(part.c_str(), O_RDWR);
  REQUIRE(flock(descriptor, LOCK_EX) == 0);
  ScriptedSource source(packed);
  const Refusal refusal =
      refusal_of([&] { (void)cli::assemble(packed.index(), source, packed.folder() / "out", {}); });
  CHECK(refusal.says("another lbm is at work on it"));
  close(descriptor);
  CHECK(source.n_read == 0);
}

TEST_CASE("shards: a full disk", "[tools]") {
  const Packed packed;
  ScriptedSource source(packed);
  // As full as for files of 5,000 bytes.
  rlimit kept = {};
  REQUIRE(getrlimit(RLIMIT_FSIZE, &kept) == 0);
  const rlimit small = {5000, kept.rlim_max};
  signal(SIGXFSZ, SIG_IGN);
  REQUIRE(setrlimit(RLIMIT_FSIZE, &small) == 0);
  const Refusal refusal =
      refusal_of([&] { (void)cli::assemble(packed.index(), source, packed.folder() / "out", {}); });
  REQUIRE(setrlimit(RLIMIT_FSIZE, &kept) == 0);
  signal(SIGXFSZ, SIG_DFL);
  CHECK(refusal.says("out.part: can not be written"));
}

TEST_CASE("shards: Ctrl-C keeps what is there", "[tools]") {
  const Packed packed;
  ScriptedSource source(packed);
  cli::install_interrupt_handler();
  cli::AssembleOptions options;
  options.on_progress = [](u64, u64) { raise(SIGINT); };
  const Refusal refusal = refusal_of(
      [&] { (void)cli::assemble(packed.index(), source, packed.folder() / "out", options); });
  CHECK(refusal.exit == cli::ExitCode::kInterrupted);
  CHECK(packed.folder().read("out.part").size() == kChunk);
  // Nothing is asked for again once it came.
  raise(SIGINT);
  source.n_failure = 9;
  source.n_read = 0;
  CHECK(refusal_of([&] {
          (void)cli::assemble(packed.index(), source, packed.folder() / "other", {});
        }).code() == "io");
  CHECK(source.n_read == 1);
  CHECK(run_command(cli::kShardsCommand, {"verify", packed.index_path()}).exit ==
        cli::ExitCode::kInterrupted);
  CHECK(!cli::take_interrupt());
  signal(SIGINT, SIG_DFL);
}

TEST_CASE("shards: base64, as CSS-LLM cuts files", "[tools]") {
  const TemporaryFolder folder;
  folder.write("m.json", R"({"format": "CLIF-1-base64-sharded", "baseName": "m", "shardCount": 3,
      "totalBytes": 4, "shards": ["a", "b", "c"]})");
  const auto shard = [&](const char* name, int number, int offset, int size, const char* data) {
    folder.write(name, cli::Json({{"format", "CLIF-1-base64-shard"},
                                  {"shardIndex", number},
                                  {"shardNumber", number + 1},
                                  {"shardCount", 3},
                                  {"byteOffset", offset},
                                  {"byteLength", size},
                                  {"dataBase64", data}})
                           .dump());
  };
  // Of four bytes in three shards each but the last has two; nothing is left for the third.
  shard("a", 0, 0, 2, "+/8=");
  shard("b", 1, 2, 2, "AZ8=");
  shard("c", 2, 4, 0, "");
  const std::string out = folder / "out";
  CHECK(run_command(cli::kShardsCommand, {"assemble", folder / "m.json", "-o", out}).exit ==
        cli::ExitCode::kOk);
  CHECK(folder.read("out") == "\xFB\xFF\x01\x9F");
  const std::string hash = cli::hex_of(cli::hash_file(out, "out", kChunk).sha256);
  CHECK(
      run_command(cli::kShardsCommand, {"assemble", folder / "m.json", "-o", out, "--sha256", hash})
          .exit == cli::ExitCode::kOk);
  const CommandRun verified = run_command(cli::kShardsCommand, {"verify", folder / "m.json"});
  CHECK(verified.output.rfind("m.bin: 3 of 3 chunks readable\nsha256 ", 0) == 0);
  // A file of much more than the shard could hold is not read.
  folder.write("b", std::string(5000, ' '));
  CHECK(run_command(cli::kShardsCommand, {"assemble", folder / "m.json", "-o", out})
            .message.find("[limit]") != std::string::npos);
}

TEST_CASE("lbm shards pack: what it prints, and names that no chunk may have", "[tools]") {
  const TemporaryFolder folder;
  folder.write("m", some_bytes());
  const CommandRun text =
      run_command(cli::kShardsCommand, {"pack", folder / "m", "-o", folder / "x"});
  CHECK(text.output.find("m.shards.json: 1 chunks, 8.1 KiB\nsha256 ") != std::string::npos);
  const CommandRun json =
      run_command(cli::kShardsCommand, {"pack", folder / "m", "-o", folder / "y", "--json"});
  CHECK(cli::Json::parse(json.output)["chunks"] == 1);
  const CommandRun beside = run_command(cli::kShardsCommand, {"pack", folder / "m"});
  CHECK(beside.exit == cli::ExitCode::kOk);
  CHECK(folder.has("m.00000"));
  const std::string longest(114, 'n');
  folder.write(longest, "x");
  CHECK(run_command(cli::kShardsCommand, {"pack", folder / longest}).exit == cli::ExitCode::kOk);
  folder.write(longest + "n", "x");
  CHECK(run_command(cli::kShardsCommand, {"pack", folder / (longest + "n")}).exit ==
        cli::ExitCode::kUsage);
  folder.write("a b", "x");
  CHECK(run_command(cli::kShardsCommand, {"pack", folder / "a b"}).exit == cli::ExitCode::kUsage);
}

TEST_CASE("lbm shards pack: with a manifest that must be right", "[tools]") {
  const TemporaryFolder folder;
  folder.write("m", some_bytes());
  folder.write("other", "x");
  const std::string manifest = folder / "manifest.json";
  const auto make = [&](const std::string& file) {
    return run_command(cli::kManifestCommand, {"make", folder / file, "--licence", "MIT",
                                               "--source", "a test", "-o", manifest})
        .exit;
  };
  const auto pack = [&] {
    return run_command(cli::kShardsCommand,
                       {"pack", folder / "m", "-o", folder / "up", "--manifest", manifest});
  };
  REQUIRE(make("other") == cli::ExitCode::kOk);
  CHECK(pack().message.find("does not list 'm': not packed [missing]") != std::string::npos);
  CHECK(!folder.has("up"));
  REQUIRE(make("m") == cli::ExitCode::kOk);
  CHECK(pack().exit == cli::ExitCode::kOk);
  const cli::ShardIndex index =
      cli::parse_shard_index(folder.read("up/m.shards.json"), "m.shards.json");
  CHECK(index.has_manifest);
  Sha256 hash;
  hash.update(cli::to_str(folder.read("up/m.manifest.json")).bytes());
  CHECK(index.manifest_sha256 == hash.finish());
  folder.write("m", some_bytes() + "x");
  CHECK(pack().message.find("[mismatch]") != std::string::npos);
}

TEST_CASE("lbm shards verify: says which chunks are wrong", "[tools]") {
  const Packed packed;
  const CommandRun good = run_command(cli::kShardsCommand, {"verify", packed.index_path()});
  CHECK(good.exit == cli::ExitCode::kOk);
  CHECK(good.output.rfind("m: 3 of 3 chunks right\nsha256 ", 0) == 0);
  packed.folder().write("up/m.00001", std::string(kChunk, 'x'));
  const CommandRun bad = run_command(cli::kShardsCommand, {"verify", packed.index_path()});
  CHECK(bad.exit == cli::ExitCode::kModel);
  CHECK(bad.output.find("chunk 1, bytes 4096 to 8192") != std::string::npos);
  CHECK(bad.output.find("m: 2 of 3 chunks right\n") != std::string::npos);
  CHECK(bad.message.empty());
  const CommandRun json =
      run_command(cli::kShardsCommand, {"verify", packed.index_path(), "--json"});
  const cli::Json report = cli::Json::parse(json.output);
  CHECK(report["ok"] == false);
  CHECK(report["bad"][0]["chunk"] == 1);
  CHECK(report["sha256"].is_null());
}

TEST_CASE("lbm shards verify: chunks that are right of a whole that is not", "[tools]") {
  const Packed packed;
  cli::Json index = cli::Json::parse(packed.folder().read("up/m.shards.json"));
  index["sha256"] = std::string(64, '0');
  packed.folder().write("up/m.shards.json", index.dump());
  const CommandRun run = run_command(cli::kShardsCommand, {"verify", packed.index_path()});
  CHECK(run.exit == cli::ExitCode::kModel);
  CHECK(run.message.find("the whole is not that of the index [bad_hash]") != std::string::npos);
}

TEST_CASE("lbm shards: a hash that is asked for", "[tools]") {
  const Packed packed;
  const std::string out = packed.folder() / "out";
  const auto with = [&](const std::string& hash) {
    return run_command(cli::kShardsCommand,
                       {"assemble", packed.index_path(), "-o", out, "--sha256", hash});
  };
  CHECK(with("00").exit == cli::ExitCode::kUsage);
  CHECK(with(std::string(64, '0')).message.find("of another file") != std::string::npos);
  const CommandRun run = with(cli::hex_of(packed.index().sha256));
  CHECK(run.exit == cli::ExitCode::kOk);
  CHECK(run.output.find("3 chunks read, 0 were there\nsha256 ") != std::string::npos);
}

TEST_CASE("lbm shards: from a web server", "[tools]") {
  const Packed packed;
  const CannedServer server([&](const test::WebRequest& request) {
    return test::web_answer("200 OK", packed.folder().read("up" + request.path));
  });
  const std::string address = server.origin() + "/m.shards.json";
  const std::string out = packed.folder() / "out";
  CHECK(run_command(cli::kShardsCommand, {"fetch", address, "-o", out}).exit == cli::ExitCode::kOk);
  CHECK(packed.folder().read("out") == some_bytes());
  const CommandRun wrong = run_command(cli::kShardsCommand, {"assemble", address, "-o", out});
  CHECK(wrong.exit == cli::ExitCode::kUsage);
  CHECK(wrong.message.find("lbm shards fetch") != std::string::npos);
}

TEST_CASE("lbm shards: a name is needed", "[tools]") {
  const TemporaryFolder folder;
  CHECK(run_command(cli::kShardsCommand, {"verify", folder.path() + "/"}).exit ==
        cli::ExitCode::kUsage);
  CHECK(run_command(cli::kShardsCommand, {"verify", folder / "none.json"}).exit ==
        cli::ExitCode::kRuntime);
  CHECK(run_command(cli::kShardsCommand, {}).exit == cli::ExitCode::kUsage);
}
