// Manifests: what is written is read again, files are compared with what it says of them, and the
// command. What a manifest is refused for is in tests/hostile/recipes_artifacts.py as well.
#include "tools/manifest.h"

#include <CLI/CLI.hpp>

#include "tests/hosted/refusal.h"
#include "tests/hosted/run_command.h"
#include "tests/hosted/temporary_folder.h"
#include "tests/test.h"
#include "tools/command.h"

using namespace lbm;
using lbm::test::Refusal;
using lbm::test::refusal_of;
using lbm::test::run_command;
using lbm::test::TemporaryFolder;

namespace {

const std::string kHash(64, '0');

cli::Json good_manifest() {
  return {{"schema", "lbm-manifest-1"},
          {"name", "a"},
          {"version", "1.0.0"},
          {"kind", "model"},
          {"licence", "MIT"},
          {"source_kind", "trained"},
          {"source", "here"},
          {"trained_quality_claim", false},
          {"tool", "lbm"},
          {"files", cli::Json::array({{{"path", "a.gguf"},
                                       {"size", 5000},
                                       {"sha256", kHash},
                                       {"chunk_size", 4096},
                                       {"chunks", {kHash, kHash}}}})}};
}

Refusal parse(const cli::Json& json) {
  return refusal_of([&] { (void)cli::parse_manifest(json.dump(), "m.json"); });
}

Refusal with(const char* key, const cli::Json& value) {
  cli::Json json = good_manifest();
  json[key] = value;
  return parse(json);
}

cli::Json evidence(const std::string& scope = "wikitext") {
  return cli::Json::array({{{"name", "perplexity"}, {"sha256", kHash}, {"scope", scope}}});
}

cli::Manifest manifest_of(const std::vector<cli::HashedFile>& files) {
  cli::Manifest manifest;
  manifest.files = files;
  return manifest;
}

}  // namespace

TEST_CASE("manifest: every field is read", "[tools]") {
  cli::Json json = good_manifest();
  json["base_sha256"] = std::string(64, 'a');
  json["tokenizer_sha256"] = kHash;
  json["quantization"] = "Q4_1";
  json["resources"] = {{"ram", 1}, {"kv_per_token", 2}, {"disk", 3}, {"x-more", "?"}};
  json["io"] = cli::Json::object();
  json["deps"] = cli::Json::array({1});
  json["signature"] = nullptr;
  const cli::Manifest manifest = cli::parse_manifest(json.dump(), "m.json");
  CHECK(manifest.name == "a");
  CHECK(manifest.version == "1.0.0");
  CHECK(manifest.kind == "model");
  CHECK(manifest.licence == "MIT");
  CHECK(manifest.source_kind == "trained");
  CHECK(manifest.source == "here");
  CHECK(!manifest.trained_quality_claim);
  CHECK(manifest.has_base);
  CHECK(manifest.base_sha256.bytes[31] == 0xAA);
  CHECK(manifest.quantization == "Q4_1");
  CHECK(manifest.tool == "lbm");
  REQUIRE(manifest.files.size() == 1);
  CHECK(manifest.files[0].name == "a.gguf");
  CHECK(manifest.files[0].size == 5000);
  CHECK(manifest.files[0].chunk_bytes == 4096);
  CHECK(manifest.files[0].chunks.size() == 2);
}

TEST_CASE("manifest: what is written is what is read", "[tools]") {
  cli::Json json = good_manifest();
  json["base_sha256"] = std::string(64, 'a');
  const cli::Manifest manifest = cli::parse_manifest(json.dump(), "m.json");
  const cli::Json written = cli::to_json(manifest);
  CHECK(written["base_sha256"] == std::string(64, 'a'));
  CHECK(cli::to_json(cli::parse_manifest(written.dump(), "again.json")) == written);
  const cli::Json plain = cli::to_json(cli::parse_manifest(good_manifest().dump(), "m.json"));
  CHECK(plain["base_sha256"].is_null());
}

TEST_CASE("manifest: versions and kinds", "[tools]") {
  for (const char* version : {"1.0.0", "0.0.1", "10.20.30", "1234567890.1234567890.1234567890"})
    CHECK(!with("version", version).refused);
  for (const char* version : {"", "1", "1.0", "1.0.", ".1.0", "1..0", "1.0.0.0", "1.0.x", "1.0.0-a",
                              "1.0.0/", "1.0.0:", "12345678901.1234567890.1234567890"}) {
    INFO(version);
    CHECK(with("version", version).code() == "bad_value");
  }
  for (const char* kind : {"model", "tokenizer", "adapter", "module", "kernels", "dataset"})
    CHECK(!with("kind", kind).refused);
  const Refusal refusal = with("kind", "models");
  CHECK(refusal.code() == "bad_value");
  CHECK(refusal.says("m.json.kind: 'models' is none of model, tokenizer"));
}

TEST_CASE("manifest: short texts", "[tools]") {
  for (const char* key : {"licence", "source", "tool", "quantization"}) {
    INFO(key);
    CHECK(!with(key, std::string(1024, 'x')).refused);
    CHECK(with(key, std::string(1025, 'x')).code() == "bad_value");
    CHECK(with(key, "a\x1b[2J").code() == "bad_value");
    CHECK(with(key, 1).code() == "bad_type");
  }
  CHECK(with("licence", "").code() == "missing");
  CHECK(!with("quantization", "").refused);
}

TEST_CASE("manifest: quality is claimed with evidence only", "[tools]") {
  cli::Json json = good_manifest();
  json["trained_quality_claim"] = true;
  json["source_kind"] = "evaluated";
  CHECK(parse(json).code() == "missing");
  json["evidence"] = evidence();
  CHECK(!parse(json).refused);
  json["evidence"] = evidence("");
  CHECK(parse(json).code() == "missing");
  json["evidence"] = evidence();
  json["evidence"][0].erase("sha256");
  CHECK(parse(json).code() == "missing");
  json["evidence"] = evidence();
  json["evidence"][0]["url"] = "x";
  CHECK(parse(json).code() == "unsupported");
  json["evidence"] = evidence();
  json["source_kind"] = "trained";
  CHECK(parse(json).code() == "mismatch");
  json["trained_quality_claim"] = false;
  CHECK(!parse(json).refused);
  json["source_kind"] = "evaluated";
  CHECK(!parse(json).refused);
  json["evidence"] = cli::Json::array();
  CHECK(parse(json).code() == "missing");
}

TEST_CASE("manifest: fields of rooms to come are of their kind", "[tools]") {
  CHECK(with("io", 1).code() == "bad_type");
  CHECK(with("deps", "a").code() == "bad_type");
  CHECK(with("authority", cli::Json::object()).code() == "bad_type");
  CHECK(with("resources", 1).code() == "bad_type");
  CHECK(with("resources", {{"ram", -1}}).code() == "bad_type");
  CHECK(with("resources", {{"ram", (u64{1} << 46) + 1}}).code() == "bad_value");
  CHECK(!with("resources", {{"ram", u64{1} << 46}}).refused);
  CHECK(with("resources", {{"cpu", 1}}).code() == "unsupported");
  CHECK(with("signature", "RW").code() == "unsupported");
  CHECK(!with("base_sha256", nullptr).refused);
  CHECK(with("base_sha256", "00").code() == "bad_value");
  CHECK(!with("tokenizer_sha256", nullptr).refused);
  CHECK(with("tokenizer_sha256", "00").code() == "bad_value");
}

TEST_CASE("manifest: its files", "[tools]") {
  cli::Json json = good_manifest();
  json["files"].push_back(json["files"][0]);
  const Refusal twice = parse(json);
  CHECK(twice.code() == "duplicate");
  CHECK(twice.says("files[1].path"));
  json["files"][1]["path"] = "b.gguf";
  CHECK(!parse(json).refused);
  json["files"][1]["chunks"][1] = 7;
  CHECK(parse(json).says("files[1].chunks[1]: a SHA-256 is 64 hexadecimal digits [bad_value]"));
  json["files"][1]["chunks"] = {kHash};
  CHECK(parse(json).says("1 chunks, where size and chunk_size make 2 [mismatch]"));
}

TEST_CASE("manifest: as many files as it may have", "[tools]") {
  cli::Json json = good_manifest();
  json["files"] = cli::Json::array();
  for (u32 i = 0; i < 4097; ++i) {
    json["files"].push_back({{"path", std::to_string(i)},
                             {"size", 0},
                             {"sha256", kHash},
                             {"chunk_size", 4096},
                             {"chunks", cli::Json::array()}});
  }
  CHECK(parse(json).code() == "limit");
  json["files"].erase(4096);
  CHECK(!parse(json).refused);
}

TEST_CASE("manifest: a file is hashed in chunks", "[tools]") {
  const TemporaryFolder folder;
  const std::string path = folder.write("a", std::string(8192, 'x') + "y");
  const cli::HashedFile file = cli::hash_file(path, "a", 4096);
  CHECK(file.size == 8193);
  REQUIRE(file.chunks.size() == 3);
  CHECK(file.chunks[0] == file.chunks[1]);
  CHECK(!(file.chunks[1] == file.chunks[2]));
  const cli::HashedFile whole = cli::hash_file(path, "a", 1 << 20);
  CHECK(whole.sha256 == file.sha256);
  REQUIRE(whole.chunks.size() == 1);
  CHECK(whole.chunks[0] == whole.sha256);
  const cli::HashedFile empty = cli::hash_file(folder.write("none", ""), "none", 4096);
  CHECK(empty.size == 0);
  CHECK(empty.chunks.empty());
  CHECK(cli::hex_of(empty.sha256) ==
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

TEST_CASE("manifest: a file that is larger than any artifact", "[tools]") {
  // In memory, for few file systems have files of such a size, even where nothing is in them.
  const TemporaryFolder folder("/dev/shm");
  const std::string path = folder.write("huge", "");
  std::error_code error;
  std::filesystem::resize_file(path, (u64{1} << 46) + 1, error);
  if (error) return;
  CHECK(refusal_of([&] { (void)cli::hash_file(path, "huge", 4096); }).code() == "limit");
}

TEST_CASE("manifest: files that are not what it says", "[tools]") {
  const TemporaryFolder folder;
  folder.write("a", std::string(5000, 'x'));
  cli::HashedFile file = cli::hash_file(folder / "a", "a", 4096);
  const auto check = [&] {
    return refusal_of([&] { cli::check_files(manifest_of({file}), folder.path()); });
  };
  CHECK(!check().refused);
  file.sha256.bytes[0] ^= 1;
  CHECK(check().says("is not the file of the manifest [bad_hash]"));
  file.chunks[1].bytes[0] ^= 1;
  CHECK(check().says("chunk 1, at byte 4096, is not the one of the manifest [bad_hash]"));
  file.size = 5001;
  CHECK(check().says("5000 bytes, where the manifest says 5001 [mismatch]"));
  file.name = "b";
  CHECK(check().exit == cli::ExitCode::kModel);
}

TEST_CASE("lbm manifest: make and check", "[tools]") {
  const TemporaryFolder folder;
  const std::string file = folder.write("a.gguf", std::string(5000, 'x'));
  const std::string base = folder.write("base.gguf", "base");
  const std::string out = folder / "manifest.json";
  const auto make = [&](std::vector<std::string> more) {
    std::vector<std::string> arguments = {"make",     file,     "--licence", "MIT",
                                          "--source", "a test", "-o",        out};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run_command(cli::kManifestCommand, arguments);
  };
  CHECK(make({"--base", base, "--chunk-size", "4096", "--quantization", "Q4_1"}).exit ==
        cli::ExitCode::kOk);
  const cli::Json made = cli::Json::parse(folder.read("manifest.json"));
  CHECK(made["name"] == "a");
  CHECK(made["files"][0]["chunks"].size() == 2);
  CHECK(made["base_sha256"] == cli::hex_of(cli::hash_file(base, "base", 4096).sha256));
  CHECK(make({"--base", kHash}).exit == cli::ExitCode::kOk);
  CHECK(cli::Json::parse(folder.read("manifest.json"))["base_sha256"] == kHash);
  CHECK(make({"--name", "../a"}).exit == cli::ExitCode::kUsage);

  const auto shown = run_command(cli::kManifestCommand, {"check", out});
  CHECK(shown.exit == cli::ExitCode::kOk);
  CHECK(shown.output.rfind("OK: a 1.0.0, model, MIT, trained\n", 0) == 0);
  CHECK(shown.output.find("  a.gguf\n") != std::string::npos);
  const auto json = run_command(cli::kManifestCommand, {"check", out, "--json"});
  CHECK(cli::Json::parse(json.output)["ok"] == true);
  const auto printed = run_command(cli::kManifestCommand,
                                   {"make", file, "--licence", "MIT", "--source", "x", "-o", "-"});
  CHECK(cli::Json::parse(printed.output)["licence"] == "MIT");

  folder.write("a.gguf", std::string(5000, 'y'));
  CHECK(run_command(cli::kManifestCommand, {"check", out}).exit == cli::ExitCode::kModel);
  std::filesystem::create_directory(folder / "elsewhere");
  folder.write("elsewhere/a.gguf", std::string(5000, 'x'));
  CHECK(run_command(cli::kManifestCommand, {"check", out, "--folder", folder / "elsewhere"}).exit ==
        cli::ExitCode::kOk);
}

TEST_CASE("lbm manifest: a name alone stands for one beside the command", "[tools]") {
  const auto there = run_command(cli::kManifestCommand, {"check", "no-such-manifest.json"});
  CHECK(there.exit != cli::ExitCode::kOk);
}
