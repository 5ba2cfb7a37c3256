// SCXM files: read, described, and converted to their very values. What they are refused for as
// they are read is in tests/hostile/recipes_artifacts.py as well.
#include "tools/scxm.h"

#include "core/base/sha256.h"
#include "core/tensor/dequantize.h"
#include "tests/hosted/failing_source.h"
#include "tests/hosted/refusal.h"
#include "tests/hosted/temporary_folder.h"
#include "tests/test.h"
#include "tools/model_reader.h"

using namespace lbm;
using lbm::test::FailingSource;
using lbm::test::MemorySource;
using lbm::test::Refusal;
using lbm::test::refusal_of;
using lbm::test::TemporaryFolder;

namespace {

struct Content {
  std::string name;
  std::vector<u8> packed;
  std::vector<u16> scales;
};

void put_u32(std::vector<u8>& out, u32 value) {
  for (u32 i = 0; i < 4; ++i) out.push_back(static_cast<u8>(value >> (8 * i)));
}

void seal(std::vector<u8>& bytes) {
  Sha256 hash;
  hash.update({bytes.data(), bytes.size()});
  const Sha256Digest digest = hash.finish();
  bytes.insert(bytes.end(), digest.bytes, digest.bytes + 32);
}

std::vector<u8> scxm_bytes(const std::vector<Content>& contents) {
  std::vector<u8> out = {'S', 'C', 'X', 'M'};
  put_u32(out, 1);
  put_u32(out, static_cast<u32>(contents.size()));
  for (const Content& content : contents) {
    put_u32(out, static_cast<u32>(content.name.size()));
    out.insert(out.end(), content.name.begin(), content.name.end());
    put_u32(out, static_cast<u32>(content.packed.size()));
    out.insert(out.end(), content.packed.begin(), content.packed.end());
    put_u32(out, static_cast<u32>(content.scales.size()));
    for (const u16 scale : content.scales) {
      out.push_back(static_cast<u8>(scale));
      out.push_back(static_cast<u8>(scale >> 8));
    }
  }
  seal(out);
  return out;
}

Error error_of(const std::vector<u8>& bytes) {
  MemorySource source(bytes);
  const Result<cli::ScxmFile> file = cli::read_scxm(source);
  return file.ok() ? Error() : file.error();
}

// Every byte value once: all pairs of values.
std::vector<u8> all_pairs() {
  std::vector<u8> out;
  for (u32 i = 0; i < 256; ++i) out.push_back(static_cast<u8>(i));
  return out;
}

constexpr u16 kHalf = 0x3800;  // 0.5 as f16

// The signed value of element `i` of all_pairs().
f32 value_of(u64 i) {
  const u32 byte = static_cast<u32>(i / 2) & 0xFF;
  const i32 half = static_cast<i32>(i % 2 == 0 ? byte & 15 : byte >> 4);
  return static_cast<f32>(half >= 8 ? half - 16 : half);
}

// `shapes` is JSON; empty for none.
Refusal import(const std::vector<u8>& bytes, const std::string& shapes, const std::string& path) {
  return refusal_of([&] {
    MemorySource source(bytes);
    const cli::ScxmFile file = cli::expect(cli::read_scxm(source), "m.scxm", cli::Stage::kModel);
    cli::import_scxm(source, file, shapes.empty() ? cli::Json() : cli::Json::parse(shapes), path);
  });
}

std::vector<f32> values_in(const std::string& path, const char* name, TensorInfo& info) {
  const cli::ModelReader reader(path);
  REQUIRE(reader.file().find_tensor(name, info));
  std::vector<u8> bytes(info.n_byte);
  REQUIRE(reader.file().data().read(info.file_offset, {bytes.data(), bytes.size()}).ok());
  std::vector<f32> out(info.n_element());
  REQUIRE(dequantize(info.dtype, {bytes.data(), bytes.size()}, {out.data(), out.size()}).ok());
  return out;
}

}  // namespace

TEST_CASE("scxm: sniffed by its first bytes", "[tools]") {
  MemorySource good({'S', 'C', 'X', 'M'});
  CHECK(cli::is_scxm(good));
  MemorySource other({'S', 'C', 'X', 'N', 0});
  CHECK(!cli::is_scxm(other));
  MemorySource brief({'S', 'C', 'X'});
  CHECK(!cli::is_scxm(brief));
  FailingSource broken({'S', 'C', 'X', 'M'}, 0);
  CHECK(!cli::is_scxm(broken));
}

TEST_CASE("scxm: the table of a file", "[tools]") {
  const std::vector<u8> bytes =
      scxm_bytes({{"a", all_pairs(), {kHalf}}, {"b\xC3\xA9", {0x21}, {1, 2}}, {"c", {}, {}}});
  MemorySource source(bytes);
  const Result<cli::ScxmFile> file = cli::read_scxm(source);
  REQUIRE(file.ok());
  CHECK(file.value().footer_at == bytes.size() - 32);
  REQUIRE(file.value().tensors.size() == 3);
  const cli::ScxmTensor& a = file.value().tensors[0];
  CHECK(a.name == "a");
  CHECK(a.packed_at == 21);
  CHECK(a.n_packed == 256);
  CHECK(a.scales_at == 281);
  CHECK(a.n_scale == 1);
  const cli::Json report = cli::describe_scxm(source, file.value());
  CHECK(report["n_tensor"] == 3);
  CHECK(report["n_value"] == 514);
  CHECK(report["size_bytes"] == bytes.size());
  CHECK(report["tensors"][1]["scales"] == 2);
  REQUIRE(report["problems"].size() == 2);
  const std::string problem = report["problems"][1];
  CHECK(problem.rfind("2 tensors do not have exactly one scale", 0) == 0);
}

TEST_CASE("scxm: nothing to complain about but what the format lacks", "[tools]") {
  MemorySource source(scxm_bytes({{"a", {1}, {kHalf}}}));
  const Result<cli::ScxmFile> file = cli::read_scxm(source);
  REQUIRE(file.ok());
  CHECK(cli::describe_scxm(source, file.value())["problems"].size() == 1);
  CHECK(error_of(scxm_bytes({})).code == ErrorCode::kOk);
}

TEST_CASE("scxm: every place at which a file may be cut off", "[tools]") {
  const std::vector<u8> first = scxm_bytes({{"a", {}, {}}});
  const std::vector<u8> both =
      scxm_bytes({{"a", {}, {}}, {"bcdefghijklmnop", {1, 2, 3, 4}, {kHalf}}});
  const usize start = first.size() - 32;  // of the second record
  struct Cut {
    usize size;  // of what is left of the record
    u64 at;      // in it
    const char* what;
  };
  for (const Cut& cut : {Cut{14, 4, "a name is cut off"},
                         {21, 19, "the number of values is cut off"},
                         {26, 23, "values are cut off"},
                         {30, 27, "the number of scales is cut off"},
                         {32, 31, "scales are cut off"}}) {
    INFO(cut.what);
    std::vector<u8> bytes(both.begin(),
                          both.begin() + static_cast<std::ptrdiff_t>(start + cut.size));
    seal(bytes);
    const Error error = error_of(bytes);
    CHECK(error.code == ErrorCode::kTruncated);
    CHECK(error.offset == start + cut.at);
    CHECK(Str(error.what) == cut.what);
  }
  // With room for a second record that is behind the first one's scales.
  std::vector<u8> long_first = scxm_bytes({{"abcdefghijklmnopq", {}, {}}});
  long_first.resize(long_first.size() - 32 + 3);
  long_first[8] = 2;
  std::fill(long_first.end() - 3, long_first.end(), u8{0});
  seal(long_first);
  const Error length = error_of(long_first);
  CHECK(Str(length.what) == "the length of a name is cut off");
  CHECK(length.offset == long_first.size() - 35);
}

TEST_CASE("scxm: names", "[tools]") {
  CHECK(error_of(scxm_bytes({{std::string(255, 'n'), {1}, {1}}})).code == ErrorCode::kOk);
  const Error longer = error_of(scxm_bytes({{std::string(256, 'n'), {1}, {1}}}));
  CHECK(longer.code == ErrorCode::kLimit);
  CHECK(longer.offset == 12);
  CHECK(longer.value == 256);
  // U+FFFD itself is a character; a byte that is none reads as it.
  CHECK(error_of(scxm_bytes({{"\xEF\xBF\xBD", {1}, {1}}})).code == ErrorCode::kOk);
  const Error bad = error_of(scxm_bytes({{"a\xFF", {1}, {1}}}));
  CHECK(bad.code == ErrorCode::kBadName);
  CHECK(bad.offset == 16);
  const Error twice = error_of(scxm_bytes({{"a", {1}, {1}}, {"a", {1}, {1}}}));
  CHECK(twice.code == ErrorCode::kDuplicate);
  CHECK(twice.offset == 28);
  const Error turned = error_of(scxm_bytes({{"b", {1}, {1}}, {"a", {1}, {1}}}));
  CHECK(turned.code == ErrorCode::kMismatch);
  CHECK(turned.subject_text() == "a");
}

TEST_CASE("scxm: the smallest record and one more than there is room for", "[tools]") {
  CHECK(error_of(scxm_bytes({{"a", {}, {}}})).code == ErrorCode::kOk);
  std::vector<u8> bytes = scxm_bytes({{"a", {}, {}}});
  bytes.resize(bytes.size() - 32);
  bytes[8] = 2;
  seal(bytes);
  const Error error = error_of(bytes);
  CHECK(error.code == ErrorCode::kLimit);
  CHECK(error.offset == 8);
  CHECK(error.limit == 1);
}

TEST_CASE("scxm: a source that breaks", "[tools]") {
  const std::vector<u8> bytes = scxm_bytes({{"a", {1}, {1}}});
  // The magic, the version, the count, the lengths, the name, the last scale, the footer.
  for (const u64 at :
       {u64{0}, u64{4}, u64{8}, u64{12}, u64{16}, u64{17}, u64{22}, u64{27}, u64{28}}) {
    INFO(at);
    FailingSource source(bytes, at, at + 1);
    const Result<cli::ScxmFile> file = cli::read_scxm(source);
    REQUIRE(!file.ok());
    CHECK(file.error().code == (at == 0 ? ErrorCode::kBadMagic : ErrorCode::kIo));
  }
}

TEST_CASE("scxm: matrices of whole blocks become Q4_0, of the same values", "[tools]") {
  const TemporaryFolder folder;
  const std::vector<u8> bytes =
      scxm_bytes({{"a", all_pairs(), {kHalf}}, {"b", all_pairs(), {kHalf}}});
  const std::string shapes = R"({"a": [8, 64], "b": [512]})";
  REQUIRE(!import(bytes, shapes, folder / "m.gguf").refused);
  for (const char* name : {"a", "b"}) {
    TensorInfo info;
    const std::vector<f32> values = values_in(folder / "m.gguf", name, info);
    const bool is_matrix = name[0] == 'a';
    CHECK(info.dtype == (is_matrix ? DType::kQ4_0 : DType::kF32));
    CHECK(info.n_dim == (is_matrix ? 2 : 1));
    CHECK(info.dims[0] == (is_matrix ? 64 : 512));
    REQUIRE(values.size() == 512);
    u32 n_wrong = 0;
    for (u64 i = 0; i < 512; ++i) n_wrong += values[static_cast<usize>(i)] != value_of(i) * 0.5f;
    CHECK(n_wrong == 0);
  }
}

TEST_CASE("scxm: rows of no whole blocks, odd numbers, and no shapes at all are F32", "[tools]") {
  const TemporaryFolder folder;
  const std::vector<u8> bytes = scxm_bytes({{"a", all_pairs(), {kHalf}}});
  TensorInfo info;
  REQUIRE(!import(bytes, "", folder / "row.gguf").refused);
  CHECK(values_in(folder / "row.gguf", "a", info).size() == 512);
  CHECK(info.dtype == DType::kF32);
  REQUIRE(!import(bytes, R"({"a": [32, 16]})", folder / "narrow.gguf").refused);
  CHECK(values_in(folder / "narrow.gguf", "a", info)[511] == value_of(511) * 0.5f);
  CHECK(info.dtype == DType::kF32);
  REQUIRE(!import(bytes, R"({"a": [7, 73]})", folder / "odd.gguf").refused);
  CHECK(values_in(folder / "odd.gguf", "a", info).size() == 511);
  REQUIRE(!import(bytes, R"({"a": [2, 2, 2, 64]})", folder / "deep.gguf").refused);
  CHECK(values_in(folder / "deep.gguf", "a", info).size() == 512);
  CHECK(info.n_dim == 4);
}

TEST_CASE("scxm: values come in pieces", "[tools]") {
  const TemporaryFolder folder;
  std::vector<u8> packed;
  for (u32 i = 0; i < 40000; ++i) packed.push_back(static_cast<u8>(i));
  REQUIRE(!import(scxm_bytes({{"a", packed, {kHalf}}}), R"({"a": [2500, 32]})", folder / "m.gguf")
               .refused);
  TensorInfo info;
  const std::vector<f32> values = values_in(folder / "m.gguf", "a", info);
  u32 n_wrong = 0;
  for (u64 i = 0; i < values.size(); ++i)
    n_wrong += values[static_cast<usize>(i)] != value_of(i) * 0.5f;
  CHECK(n_wrong == 0);
}

TEST_CASE("scxm: what can not be converted", "[tools]") {
  const TemporaryFolder folder;
  const std::string path = folder / "m.gguf";
  const std::vector<u8> good = scxm_bytes({{"a", all_pairs(), {kHalf}}});
  const auto code = [&](const std::vector<Content>& contents) {
    return import(scxm_bytes(contents), "", path).code();
  };
  CHECK(code({{"a", {}, {kHalf}}}) == "bad_shape");
  CHECK(code({{"a", {1}, {}}}) == "unsupported");
  CHECK(code({{"a", {1}, {kHalf, kHalf}}}) == "unsupported");
  CHECK(code({{"a", {1}, {0x7C00}}}) == "numeric");
  CHECK(code({{"a", {1}, {0xFE01}}}) == "numeric");
  CHECK(code({{"a", {1}, {0x7BFF}}}).empty());
  CHECK(import(good, "[]", path).code() == "bad_type");
  CHECK(import(good, R"({"b": [512]})", path).code() == "missing");
  for (const char* shape :
       {"[]", "512", "\"512\"", "[511, 1, 1, 1, 1]", "[0]", "[-512]", "[512.0]", "[513]", "[510]",
        "[\"512\"]", "[256, 3]", "[2, 0]", "[4294967296, 4294967296]", "[512, 1, 1, 1, 1]"}) {
    INFO(shape);
    const Refusal refusal = import(good, "{\"a\": " + std::string(shape) + "}", path);
    CHECK(refusal.code() == "bad_shape");
    CHECK(refusal.says("tensor 'a'"));
    CHECK(refusal.exit == cli::ExitCode::kModel);
  }
}

TEST_CASE("scxm: a source that breaks while it is converted", "[tools]") {
  const TemporaryFolder folder;
  const std::vector<u8> bytes = scxm_bytes({{"a", {1, 2}, {kHalf}}});
  MemorySource good(bytes);
  const Result<cli::ScxmFile> file = cli::read_scxm(good);
  REQUIRE(file.ok());
  for (const u64 at : {file.value().tensors[0].packed_at, file.value().tensors[0].scales_at}) {
    FailingSource source(bytes, at, at + 1);
    const Refusal refusal =
        refusal_of([&] { cli::import_scxm(source, file.value(), nullptr, folder / "m.gguf"); });
    CHECK(refusal.code() == "io");
    CHECK(!folder.has("m.gguf"));
  }
}
