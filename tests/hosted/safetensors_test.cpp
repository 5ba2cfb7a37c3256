// safetensors files as a converter reads them; what they are refused for is in
// tests/hostile/recipes_artifacts.py as well.
#include "tools/safetensors.h"

#include "tests/hosted/refusal.h"
#include "tests/hosted/temporary_folder.h"
#include "tests/test.h"

using namespace lbm;
using lbm::test::refusal_of;
using lbm::test::TemporaryFolder;

namespace {

std::string u64_text(u64 value) {
  std::string out;
  for (u32 i = 0; i < 8; ++i) out.push_back(static_cast<char>(value >> (8 * i)));
  return out;
}

std::string entry(const std::string& name, const std::string& dtype, const std::string& shape,
                  const std::string& offsets) {
  return "\"" + name + "\":{\"dtype\":\"" + dtype + "\",\"shape\":" + shape +
         ",\"data_offsets\":" + offsets + "}";
}

Error error_of(const std::string& json, u64 data_bytes = 16) {
  const Result<std::vector<cli::StoredTensor>> parsed =
      cli::parse_safetensors_header(cli::to_str(json), data_bytes);
  return parsed.ok() ? Error() : parsed.error();
}

}  // namespace

TEST_CASE("safetensors: every dtype has its size", "[tools]") {
  for (const char* one : {"BOOL", "U8", "I8", "F8_E5M2", "F8_E4M3", "F8_E8M0"})
    CHECK(cli::stored_dtype_bytes(one) == 1);
  for (const char* two : {"I16", "U16", "F16", "BF16"}) CHECK(cli::stored_dtype_bytes(two) == 2);
  for (const char* four : {"I32", "U32", "F32"}) CHECK(cli::stored_dtype_bytes(four) == 4);
  for (const char* eight : {"F64", "I64", "U64"}) CHECK(cli::stored_dtype_bytes(eight) == 8);
  for (const char* none : {"", "f32", "F33", "F4"}) CHECK(cli::stored_dtype_bytes(none) == 0);
}

TEST_CASE("safetensors: the table and the bytes of a file", "[tools]") {
  const TemporaryFolder folder;
  const std::string header =
      "{\"__metadata__\":{\"format\":\"pt\",\"format\":\"pt\"}," +
      entry("b", "U8", "[3]", "[4,7]") + "," + entry("a", "BF16", "[2,1]", "[0,4]") + "," +
      entry("none", "F32", "[0,7]", "[7,7]") + "," + entry("one", "I8", "[]", "[7,8]") + "}";
  const std::string path =
      folder.write("m.safetensors", u64_text(header.size()) + header + "wxyzabc!");
  const cli::SafetensorsFile file(path);
  CHECK(file.path() == path);
  REQUIRE(file.tensors().size() == 4);
  const cli::StoredTensor& b = file.tensors()[0];
  CHECK(b.name == "b");
  CHECK(b.dtype == "U8");
  CHECK(b.shape == std::vector<u64>{3});
  CHECK(b.begin == 4);
  CHECK(b.end == 7);
  CHECK(file.tensors()[1].shape == std::vector<u64>({2, 1}));
  CHECK(file.tensors()[3].shape.empty());
  u8 bytes[2] = {};
  file.read(b, 1, bytes);
  CHECK(bytes[0] == 'b');
  CHECK(bytes[1] == 'c');
  u8 beyond[9] = {};
  CHECK(refusal_of([&] { file.read(b, 0, beyond); }).code() == "truncated");
}

TEST_CASE("safetensors: a file that is not there", "[tools]") {
  const auto refusal = refusal_of([] { const cli::SafetensorsFile file("/no/such.safetensors"); });
  CHECK(refusal.exit == cli::ExitCode::kModel);
  CHECK(refusal.code() == "not_found");
  CHECK(refusal.says("/no/such.safetensors"));
}

TEST_CASE("safetensors: refusals name the tensor and the numbers", "[tools]") {
  const Error size = error_of("{" + entry("a", "F32", "[3]", "[0,16]") + "}");
  CHECK(size.code == ErrorCode::kMismatch);
  CHECK(size.subject_text() == "a");
  CHECK(size.value == 16);
  CHECK(size.limit == 12);
  const Error far = error_of("{" + entry("a", "F32", "[4]", "[4,20]") + "}");
  CHECK(far.code == ErrorCode::kTruncated);
  CHECK(far.value == 20);
  CHECK(far.limit == 16);
  const Error gap = error_of("{" + entry("a", "F32", "[3]", "[4,16]") + "}");
  CHECK(gap.code == ErrorCode::kBadOffset);
  CHECK(gap.value == 4);
  CHECK(gap.limit == 0);
  const Error shared = error_of("{" + entry("a", "F32", "[3]", "[0,12]") + "," +
                                entry("b", "F32", "[2]", "[8,16]") + "}");
  CHECK(shared.code == ErrorCode::kOverlap);
  CHECK(shared.subject_text() == "b");
  const Error rest = error_of("{" + entry("a", "F32", "[3]", "[0,12]") + "}");
  CHECK(rest.code == ErrorCode::kBadOffset);
  CHECK(rest.value == 12);
  CHECK(rest.limit == 16);
  // A byte of the file, in front of which stands the length of the header.
  CHECK(error_of("{]").offset == 9);
  CHECK(error_of(std::string("{}\0{", 4), 0).offset == 10);
  CHECK(error_of("{}  ", 0).code == ErrorCode::kOk);  // as writers fill it up
}

TEST_CASE("safetensors: what has no place in a header", "[tools]") {
  for (const char* json :
       {"{\"a\":1}", "{\"a\":-1}", "{\"a\":\"x\"}", "{\"a\":[]}", "{\"a\":{\"dtype\":{}}}",
        "{\"a\":{\"shape\":[1,{}]}}", "{\"a\":{\"data_offsets\":[true]}}", "\"text\"", "null",
        "{\"__metadata__\":{\"a\":1}}", "{\"__metadata__\":{\"a\":{}}}",
        "{\"__metadata__\":{\"a\":[]}}", "{\"a\":{\"shape\":\"x\"}}", "{\"a\":{\"dtype\":[]}}",
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[1]}}",
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[]}}"}) {
    INFO(json);
    CHECK(error_of(json).code == ErrorCode::kBadSyntax);
  }
  CHECK(error_of("{" + entry("a", "F32", "[1,1,1,1,1,1,1,4]", "[0,16]") + "}").code ==
        ErrorCode::kOk);
  CHECK(error_of("{" + entry("a", "F32", "[1,1,1,1,1,1,1,1,4]", "[0,16]") + "}").code ==
        ErrorCode::kBadShape);
  CHECK(error_of("{" + entry(std::string(1024, 'n'), "F32", "[4]", "[0,16]") + "}").code ==
        ErrorCode::kOk);
  CHECK(error_of("{" + entry(std::string(1025, 'n'), "F32", "[4]", "[0,16]") + "}").code ==
        ErrorCode::kBadName);
}

TEST_CASE("safetensors: as many tensors as a model may have", "[tools]") {
  std::string json = "{";
  for (u32 i = 0; i < 65536; ++i)
    json += (i == 0 ? "" : ",") + entry(std::to_string(i), "U8", "[0]", "[0,0]");
  CHECK(error_of(json + "}", 0).code == ErrorCode::kOk);
  CHECK(error_of(json + "," + entry("more", "U8", "[0]", "[0,0]") + "}", 0).code ==
        ErrorCode::kLimit);
}
