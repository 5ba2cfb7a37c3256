// CLIF-1 headers and what lbm inspect says of them; what they are refused for is in
// tests/hostile/recipes_artifacts.py.
#include "tools/clif.h"

#include "tests/hosted/failing_source.h"
#include "tests/test.h"

using namespace lbm;
using lbm::test::FailingSource;
using lbm::test::MemorySource;

namespace {

void put_u32(std::vector<u8>& bytes, usize at, u32 value) {
  for (u32 i = 0; i < 4; ++i) bytes[at + i] = static_cast<u8>(value >> (8 * i));
}

// 2 layers of 64, 8 tokens, and a payload of `n_payload` bytes.
std::vector<u8> clif_bytes(usize n_payload) {
  std::vector<u8> bytes(64 + n_payload);
  put_u32(bytes, 0, 0x434C4946);
  put_u32(bytes, 4, 1);
  put_u32(bytes, 8, 64);
  put_u32(bytes, 12, 2);
  put_u32(bytes, 16, 8);
  put_u32(bytes, 20, 4);
  for (usize i = 0; i < n_payload; ++i) bytes[64 + i] = static_cast<u8>(i * 7);
  return bytes;
}

Sha256Digest hash_behind_header(const std::vector<u8>& bytes) {
  Sha256 hash;
  hash.update({bytes.data() + 64, bytes.size() - 64});
  return hash.finish();
}

cli::Json report_of(std::vector<u8> bytes) {
  MemorySource source(std::move(bytes));
  const Result<cli::ClifHeader> header = cli::read_clif(source);
  REQUIRE(header.ok());
  return cli::describe_clif(source, header.value());
}

}  // namespace

TEST_CASE("clif: sniffed by its first bytes", "[tools]") {
  MemorySource good(clif_bytes(0));
  CHECK(cli::is_clif(good));
  MemorySource spelled({'C', 'L', 'I', 'F'});
  CHECK(!cli::is_clif(spelled));
  MemorySource turned({'F', 'I', 'L', 'C'});
  CHECK(cli::is_clif(turned));
  MemorySource brief({'F', 'I', 'L'});
  CHECK(!cli::is_clif(brief));
  FailingSource broken(clif_bytes(0), 0);
  CHECK(!cli::is_clif(broken));
}

TEST_CASE("clif: the numbers of the header", "[tools]") {
  MemorySource source(clif_bytes(300));
  const Result<cli::ClifHeader> header = cli::read_clif(source);
  REQUIRE(header.ok());
  CHECK(header.value().n_embd == 64);
  CHECK(header.value().n_layer == 2);
  CHECK(header.value().n_vocab == 8);
  CHECK(header.value().quant_scheme == 4);
  CHECK(!header.value().has_checksum);
  CHECK(header.value().payload_bytes == 300);
  CHECK(header.value().min_payload_bytes() == 256);
}

TEST_CASE("clif: the largest numbers that are taken", "[tools]") {
  std::vector<u8> bytes = clif_bytes(0);
  put_u32(bytes, 8, 1u << 20);
  put_u32(bytes, 12, 1u << 16);
  put_u32(bytes, 16, 1u << 24);
  MemorySource source(bytes);
  const Result<cli::ClifHeader> header = cli::read_clif(source);
  REQUIRE(header.ok());
  CHECK(header.value().min_payload_bytes() == u64{1} << 43);
  put_u32(bytes, 16, (1u << 24) + 1);
  MemorySource more(bytes);
  const Result<cli::ClifHeader> refused = cli::read_clif(more);
  REQUIRE(!refused.ok());
  CHECK(refused.error().code == ErrorCode::kBadValue);
  CHECK(refused.error().offset == 16);
  CHECK(refused.error().subject_text() == "vocabSize");
}

TEST_CASE("clif: a header that is cut off", "[tools]") {
  std::vector<u8> bytes = clif_bytes(0);
  bytes.pop_back();
  MemorySource source(bytes);
  const Result<cli::ClifHeader> header = cli::read_clif(source);
  REQUIRE(!header.ok());
  CHECK(header.error().code == ErrorCode::kTruncated);
  CHECK(header.error().value == 63);
  CHECK(header.error().limit == 64);
}

TEST_CASE("clif: a source that can not be read", "[tools]") {
  FailingSource source(clif_bytes(0), 10);
  const Result<cli::ClifHeader> header = cli::read_clif(source);
  REQUIRE(!header.ok());
  CHECK(header.error().code == ErrorCode::kIo);
}

TEST_CASE("clif: a report with the checksum that it deserves", "[tools]") {
  std::vector<u8> bytes = clif_bytes(256);
  const cli::Json plain = report_of(bytes);
  CHECK(plain["format"] == "CLIF-1");
  CHECK(plain["size_bytes"] == 320);
  CHECK(plain["n_vocab"] == 8);
  CHECK(plain["checksum"] == "none");
  CHECK(plain["runs"] == false);
  CHECK(plain["problems"].size() == 1);
  const Sha256Digest digest = hash_behind_header(bytes);
  CHECK(plain["payload_sha256"] == cli::to_string(to_hex(digest).str()));
  std::copy_n(digest.bytes, 32, bytes.begin() + 24);
  CHECK(report_of(bytes)["checksum"] == "is the SHA-256 of the payload");
  bytes[24] ^= 1;
  const std::string unknown = report_of(bytes)["checksum"];
  CHECK(unknown.find("not checked") != std::string::npos);
}

TEST_CASE("clif: a payload that is too small is called one", "[tools]") {
  const cli::Json report = report_of(clif_bytes(255));
  REQUIRE(report["problems"].size() == 2);
  const std::string problem = report["problems"][0];
  CHECK(problem.find("255 bytes is smaller than its embedding alone (256)") != std::string::npos);
}

TEST_CASE("clif: a payload of more than one piece, and one that breaks off", "[tools]") {
  const std::vector<u8> bytes = clif_bytes((1u << 20) + 5);
  const std::string whole = cli::to_string(to_hex(hash_behind_header(bytes)).str());
  CHECK(report_of(bytes)["payload_sha256"] == whole);
  FailingSource source(bytes, 1u << 20);
  const Result<cli::ClifHeader> header = cli::read_clif(source);
  REQUIRE(header.ok());
  CHECK(cli::describe_clif(source, header.value())["payload_sha256"] != whole);
}

TEST_CASE("clif: there is no conversion", "[tools]") {
  const Error error = cli::clif_import_refusal();
  CHECK(error.code == ErrorCode::kUnsupported);
  CHECK(error.offset == 64);
}
