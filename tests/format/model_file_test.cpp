// A good file: what is read, how it is looked up, and how lookups refuse.
#include "core/format/model_file.h"

#include "tests/format/gguf_builder.h"
#include "tests/test.h"

using namespace lbm;
using lbm::test::BufferSource;
using lbm::test::GgufBuilder;

namespace {

u8 g_file[8192];
u8 g_arena[32768];

// One key of every type, an array of every element type, three tensors of different types and
// shapes.
constexpr u32 kKeyCount = 27;

void write_scalars(GgufBuilder& b) {
  b.text_key("general.architecture", "llama");
  b.key("t.u8", MetaType::kU8).u8_value(200);
  b.key("t.i8", MetaType::kI8).u8_value(0x9C);
  b.key("t.u16", MetaType::kU16).u16_value(60000);
  b.key("t.i16", MetaType::kI16).u16_value(0x8000);
  b.u32_key("t.u32", 4000000000u);
  b.key("t.i32", MetaType::kI32).u32_value(0x80000000u);
  b.key("t.f32", MetaType::kF32).f32_value(0.5f);
  b.key("t.true", MetaType::kBool).u8_value(1);
  b.key("t.false", MetaType::kBool).u8_value(0);
  b.key("t.u64", MetaType::kU64).u64_value(~u64{0});
  b.key("t.i64", MetaType::kI64).u64_value(~u64{0} - 4);
  b.key("t.f64", MetaType::kF64).f64_value(-1e300);
  b.key("t.nan", MetaType::kF32).u32_value(0x7fc00000u);
  b.key("t.inf", MetaType::kF64).u64_value(0x7ff0000000000000u);
  b.text_key("t.empty", "");
}

void write_arrays(GgufBuilder& b) {
  b.key("a.strings", MetaType::kArray)
      .array(MetaType::kString, 3)
      .text("one")
      .text("")
      .text("\xe2\x96\x81three");
  b.key("a.none", MetaType::kArray).array(MetaType::kString, 0);
  b.key("a.u8", MetaType::kArray).array(MetaType::kU8, 2).u8_value(255).u8_value(1);
  b.key("a.i8", MetaType::kArray).array(MetaType::kI8, 1).u8_value(255);
  b.key("a.i16", MetaType::kArray).array(MetaType::kI16, 1).u16_value(0xFFFE);
  b.key("a.i32", MetaType::kArray).array(MetaType::kI32, 2).u32_value(7).u32_value(0xFFFFFFFFu);
  b.key("a.u64", MetaType::kArray).array(MetaType::kU64, 1).u64_value(~u64{0});
  b.key("a.f32", MetaType::kArray).array(MetaType::kF32, 2).f32_value(1.5f).f32_value(-2.0f);
  b.key("a.f64", MetaType::kArray).array(MetaType::kF64, 1).f64_value(0.1);
  b.key("a.bool", MetaType::kArray).array(MetaType::kBool, 3).u8_value(1).u8_value(0).u8_value(1);
  b.key("last", MetaType::kU8).u8_value(9);
}

Span<const u8> write_good_file(u32 version = 3) {
  GgufBuilder b{Span<u8>(g_file)};
  b.header(3, kKeyCount, version);
  write_scalars(b);
  write_arrays(b);
  b.tensor("token_embd.weight", 64, 3, DType::kQ4_0,
           0);  // 3 rows of 2 blocks: 108 bytes, padded to 128
  b.tensor("output_norm.weight", 5, 0, DType::kF32, 128);  // 20 bytes, padded to 32
  b.tensor("output.weight", 32, 2, DType::kQ8_0, 160);     // 68 bytes, not padded
  b.pad(32).zeros(160 + 68);
  return b.bytes();
}

struct Opened {
  explicit Opened(Span<const u8> bytes)
      : arena(Span<u8>(g_arena)), source(bytes), result(ModelFile::open(source, arena)) {}
  Arena arena;
  BufferSource source;
  Result<ModelFile> result;
};

template <class T>
bool fails_with(const Result<T>& result, ErrorCode code, Str subject) {
  return !result.ok() && result.error().code == code && result.error().subject_text() == subject;
}

}  // namespace

TEST_CASE("model file: formats and types have names and sizes", "[format]") {
  CHECK(file_format_name(FileFormat::kGguf) == "GGUF");
  CHECK(file_format_name(FileFormat::kSlm) == "SLM1");
  CHECK(file_format_name(FileFormat::kLlama2c) == "llama2.c");
  CHECK(file_format_name(FileFormat::kTokenizerJson) == "tokenizer.json");
  constexpr u32 kBytes[] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
  for (u32 id = 0; id < kMetaTypeCount; ++id)
    CHECK(meta_type_bytes(static_cast<MetaType>(id)) == kBytes[id]);
  CHECK(meta_type_name(MetaType::kF64) == "f64");
  CHECK(meta_type_name(static_cast<MetaType>(kMetaTypeCount)) == "unknown");
}

TEST_CASE("model file: header and counts", "[format]") {
  for (u32 version = 2; version <= 3; ++version) {
    Opened opened(write_good_file(version));
    REQUIRE(opened.result.ok());
    const ModelFile& file = opened.result.value();
    CHECK(file.version() == version);
    CHECK(file.alignment() == 32);
    CHECK(file.n_meta() == kKeyCount);
    CHECK(file.n_tensor() == 3);
    CHECK(file.data_offset() % 32 == 0);
    CHECK(file.file_size() == file.data_offset() + 228);
    CHECK(file.meta_key(0) == Str("general.architecture"));
    CHECK(file.meta_key(kKeyCount - 1) == Str("last"));
    CHECK(file.meta_value(kKeyCount - 1).integer == 9);
  }
}

TEST_CASE("model file: every key is found, and found where it stands", "[format]") {
  Opened opened(write_good_file());
  REQUIRE(opened.result.ok());
  const ModelFile& file = opened.result.value();
  for (u32 i = 0; i < file.n_meta(); ++i) {
    MetaValue value;
    REQUIRE(file.find(file.meta_key(i), value));
    CHECK(value.file_offset == file.meta_value(i).file_offset);
  }
  MetaValue value;
  CHECK(!file.find("t.u3", value));
  CHECK(!file.find("t.u322", value));
  CHECK(!file.find("", value));
}

TEST_CASE("model file: scalars of every type", "[format]") {
  Opened opened(write_good_file());
  REQUIRE(opened.result.ok());
  const ModelFile& file = opened.result.value();
  const auto integer = [&](Str key) {
    MetaValue value;
    return file.find(key, value) ? value.integer : -77;
  };
  CHECK(integer("t.u8") == 200);
  CHECK(integer("t.i8") == -100);
  CHECK(integer("t.u16") == 60000);
  CHECK(integer("t.i16") == -32768);
  CHECK(integer("t.u32") == 4000000000);
  CHECK(integer("t.i32") == -2147483648ll);
  CHECK(integer("t.i64") == -5);
  CHECK(integer("t.true") == 1);
  CHECK(integer("t.false") == 0);
  MetaValue value;
  REQUIRE(file.find("t.u64", value));
  CHECK(value.huge);
  CHECK(value.is_integer());
  REQUIRE(file.find("t.f32", value));
  CHECK(value.number == 0.5);
  CHECK(!value.is_integer());
  REQUIRE(file.find("t.f64", value));
  CHECK(value.number == -1e300);
  REQUIRE(file.find("t.empty", value));
  CHECK(value.text.empty());
  REQUIRE(file.find("t.true", value));
  CHECK(!value.is_integer());
}

TEST_CASE("model file: arrays of every element type", "[format]") {
  Opened opened(write_good_file());
  REQUIRE(opened.result.ok());
  const ModelFile& file = opened.result.value();
  const auto array = [&](Str key) {
    Result<MetaArray> found = file.get_array(key);
    return found.ok() ? found.value() : MetaArray();
  };
  CHECK(array("a.u8").integer(0) == 255);
  CHECK(array("a.u8").number(0) == 255.0);
  CHECK(array("a.i8").integer(0) == -1);
  CHECK(array("a.i16").integer(0) == -2);
  CHECK(array("a.i32").integer(1) == -1);
  CHECK(array("a.i32").number(0) == 7.0);
  CHECK(array("a.u64").number(0) == 18446744073709551616.0);
  CHECK(array("a.f32").number(1) == -2.0);
  CHECK(array("a.f64").number(0) == 0.1);
  CHECK(array("a.bool").integer(2) == 1);
  const MetaArray strings = array("a.strings");
  CHECK(strings.count == 3);
  StringCursor cursor(strings);
  CHECK(cursor.next() == Str("one"));
  CHECK(cursor.next().empty());
  CHECK(cursor.next() == Str("\xe2\x96\x81three"));
  CHECK(cursor.done());
  CHECK(StringCursor(array("a.none")).done());
}

TEST_CASE("model file: tensors", "[format]") {
  Opened opened(write_good_file());
  REQUIRE(opened.result.ok());
  const ModelFile& file = opened.result.value();
  TensorInfo tensor;
  REQUIRE(file.find_tensor("token_embd.weight", tensor));
  CHECK(tensor.dtype == DType::kQ4_0);
  CHECK(tensor.n_dim == 2);
  CHECK(tensor.dims[0] == 64);
  CHECK(tensor.dims[1] == 3);
  CHECK(tensor.dims[2] == 1);
  CHECK(tensor.n_element() == 192);
  CHECK(tensor.n_byte == 108);
  CHECK(tensor.file_offset == file.data_offset());
  REQUIRE(file.find_tensor("output_norm.weight", tensor));
  CHECK(tensor.n_dim == 1);
  CHECK(tensor.file_offset == file.data_offset() + 128);
  CHECK(file.tensor(2).name == Str("output.weight"));
  CHECK(file.tensor(2).n_byte == 68);
  CHECK(file.tensor(2).file_offset + file.tensor(2).n_byte == file.file_size());
  CHECK(!file.find_tensor("output", tensor));
}

TEST_CASE("model file: typed lookups give the value or say what is wrong and where", "[format]") {
  Opened opened(write_good_file());
  REQUIRE(opened.result.ok());
  const ModelFile& file = opened.result.value();
  Result<u64> number = file.get_u64("t.u8", 200, 200);
  REQUIRE(number.ok());
  CHECK(number.value() == 200);
  CHECK(file.get_u64("t.u64", 0, ~u64{0}).ok());
  CHECK(fails_with(file.get_u64("t.u64", 0, ~u64{0} >> 1), ErrorCode::kBadValue, "t.u64"));
  CHECK(fails_with(file.get_u64("t.u8", 201, 300), ErrorCode::kBadValue, "t.u8"));
  CHECK(fails_with(file.get_u64("t.u8", 0, 199), ErrorCode::kBadValue, "t.u8"));
  CHECK(fails_with(file.get_u64("t.i8", 0, 199), ErrorCode::kBadValue, "t.i8"));
  CHECK(fails_with(file.get_u64("absent", 0, 1), ErrorCode::kMissing, "absent"));
  CHECK(fails_with(file.get_u64("t.true", 0, 1), ErrorCode::kBadType, "t.true (bool)"));
  CHECK(fails_with(file.get_u64("t.f32", 0, 1), ErrorCode::kBadType, "t.f32 (f32)"));
  CHECK(fails_with(file.get_text("a.strings"), ErrorCode::kBadType, "a.strings (array)"));
  CHECK(fails_with(file.get_array("t.empty"), ErrorCode::kBadType, "t.empty (string)"));
  CHECK(fails_with(file.get_array("absent"), ErrorCode::kMissing, "absent"));
  CHECK(fails_with(file.get_bool("t.u8"), ErrorCode::kBadType, "t.u8 (u8)"));
  CHECK(fails_with(file.get_f64("t.u32", 0, 1e10), ErrorCode::kBadType, "t.u32 (u32)"));
  CHECK(fails_with(file.get_f64("t.nan", -1e308, 1e308), ErrorCode::kBadValue, "t.nan"));
  CHECK(fails_with(file.get_f64("t.inf", -1e308, 1e308), ErrorCode::kBadValue, "t.inf"));
  CHECK(fails_with(file.get_f64("t.f32", 0.6, 1), ErrorCode::kBadValue, "t.f32"));
  CHECK(fails_with(file.get_f64("t.f32", 0, 0.4), ErrorCode::kBadValue, "t.f32"));
  Result<f64> half = file.get_f64("t.f32", 0.5, 0.5);
  REQUIRE(half.ok());
  CHECK(half.value() == 0.5);
  Result<bool> yes = file.get_bool("t.true");
  REQUIRE(yes.ok());
  CHECK(yes.value());
  Result<Str> architecture = file.get_text("general.architecture");
  REQUIRE(architecture.ok());
  CHECK(architecture.value() == Str("llama"));
  MetaValue value;
  REQUIRE(file.find("t.f32", value));
  CHECK(file.get_bool("t.f32").error().offset == value.file_offset);
}

TEST_CASE("model file: a default stands in for an absent key, never for a wrong one", "[format]") {
  Opened opened(write_good_file());
  REQUIRE(opened.result.ok());
  const ModelFile& file = opened.result.value();
  Result<u64> number =
      file.get_u64_or("absent", 12345, 0, 10);  // the default is the caller's business
  REQUIRE(number.ok());
  CHECK(number.value() == 12345);
  CHECK(fails_with(file.get_u64_or("t.empty", 1, 0, 10), ErrorCode::kBadType, "t.empty (string)"));
  CHECK(fails_with(file.get_u64_or("t.u8", 1, 0, 10), ErrorCode::kBadValue, "t.u8"));
  CHECK(fails_with(file.get_f64_or("t.nan", 1, 0, 10), ErrorCode::kBadValue, "t.nan"));
  CHECK(fails_with(file.get_text_or("t.u8", "x"), ErrorCode::kBadType, "t.u8 (u8)"));
  CHECK(fails_with(file.get_bool_or("t.u8", true), ErrorCode::kBadType, "t.u8 (u8)"));
  Result<Str> text = file.get_text_or("absent", "x");
  REQUIRE(text.ok());
  CHECK(text.value() == Str("x"));
  Result<bool> flag = file.get_bool_or("absent", true);
  REQUIRE(flag.ok());
  CHECK(flag.value());
  Result<f64> half = file.get_f64_or("t.f32", 9, 0, 10);
  REQUIRE(half.ok());
  CHECK(half.value() == 0.5);
}

TEST_CASE("model file: a long key leaves room for the type in the message", "[format]") {
  char key[300];
  __builtin_memset(key, 'k', sizeof(key));
  GgufBuilder b{Span<u8>(g_file)};
  b.header(0, 1).text_key(Str(key, 300), "value");
  Opened opened(b.bytes());
  REQUIRE(opened.result.ok());
  const Result<u64> number = opened.result.value().get_u64(Str(key, 300), 0, 1);
  REQUIRE(!number.ok());
  CHECK(number.error().subject_text().ends_with("kkk (string)"));
}

TEST_CASE("model file: metadata takes no more memory than it has bytes, plus its tables",
          "[format]") {
  const Span<const u8> bytes = write_good_file();
  Opened opened(bytes);
  REQUIRE(opened.result.ok());
  const u64 tables = 12 * (kKeyCount + 3) + 4 * 2;
  CHECK(opened.arena.bytes_used() <=
        opened.result.value().data_offset() + tables + 4 * Arena::kDefaultAlignment);
}

TEST_CASE("model file: the metadata starts in a memory range that can hold it", "[format]") {
  static u8 small[2048];
  Arena arena{Span<u8>(small)};
  arena.add_range(g_arena);
  BufferSource source(write_good_file());
  // The tables fit the small range. The metadata would begin there too and then could not grow.
  GgufBuilder b{Span<u8>(g_file)};
  b.header(0, 1).key("long", MetaType::kArray).array(MetaType::kU8, 4000).zeros(4000);
  BufferSource long_source(b.bytes());
  Result<ModelFile> file = ModelFile::open(long_source, arena);
  REQUIRE(file.ok());
  CHECK(file.value().get_array("long").value().count == 4000);
}

TEST_CASE("model file: short memory is an error that takes nothing", "[format]") {
  const Span<const u8> bytes = write_good_file();
  u32 n_refused = 0;
  for (usize size = 0; size < 2600; size += 7) {
    Arena arena{Span<u8>(g_arena, size)};
    BufferSource source(bytes);
    const Result<ModelFile> file = ModelFile::open(source, arena);
    if (file.ok()) continue;
    ++n_refused;
    REQUIRE(file.error().code == ErrorCode::kOutOfMemory);
    REQUIRE(arena.bytes_used() == 0);
  }
  CHECK(n_refused > 100);
}

TEST_CASE("model file: a source that fails, at each read", "[format]") {
  const Span<const u8> bytes = write_good_file();
  for (u32 nth = 1; nth <= 2; ++nth) {
    Arena arena{Span<u8>(g_arena)};
    BufferSource source(bytes);
    source.fail_read(nth);
    const Result<ModelFile> file = ModelFile::open(source, arena);
    REQUIRE(!file.ok());
    CHECK(file.error().code == ErrorCode::kIo);
    CHECK(arena.bytes_used() == 0);
  }
}

TEST_CASE("model file: a file that claims more than it has (shrunk, or a length that lies)",
          "[format]") {
  const Span<const u8> bytes = write_good_file();
  const u64 claims[] = {bytes.size(), u64{8} << 40, ~u64{0}};
  for (const u64 claimed : claims) {
    for (usize present = 0; present < bytes.size(); present += 97) {
      Arena arena{Span<u8>(g_arena)};
      BufferSource source(bytes.first(present), claimed);
      const Result<ModelFile> file = ModelFile::open(source, arena);
      REQUIRE(!file.ok());
      REQUIRE((file.error().code == ErrorCode::kTruncated ||
               file.error().code == ErrorCode::kOutOfMemory));
      REQUIRE(arena.bytes_used() == 0);
    }
  }
}

TEST_CASE("model file: weights are not read", "[format]") {
  GgufBuilder b{Span<u8>(g_file)};
  b.header(1, 0).tensor("t", 1024, 0, DType::kF32, 0).pad(32).zeros(4096);
  // With a claim of much more than a chunk, only the first chunk is looked at.
  BufferSource source(b.bytes());
  Arena arena{Span<u8>(g_arena)};
  REQUIRE(ModelFile::open(source, arena).ok());
  CHECK(source.n_read() == 3);  // what it is, its header, the first chunk
}
