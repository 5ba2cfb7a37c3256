// Bad files: each refusal has its code, its subject and its place. The recipe ids (G05 ...) are
// those of tests/hostile.
#include "core/format/gguf.h"
#include "tests/format/gguf_builder.h"
#include "tests/test.h"

using namespace lbm;
using lbm::test::BufferSource;
using lbm::test::GgufBuilder;

namespace {

u8 g_file[16384];
u8 g_arena[65536];

GgufBuilder builder() { return GgufBuilder(Span<u8>(g_file)); }

// Opens the file and returns how it was refused; kOk for an accepted one. The arena must be as
// before.
Error open_error(Span<const u8> bytes) {
  Arena arena{Span<u8>(g_arena)};
  BufferSource source(bytes);
  const Result<ModelFile> file = ModelFile::open(source, arena);
  if (file.ok()) return Error();
  if (arena.bytes_used() != 0)
    return fail(ErrorCode::kInvalidArgument, "the arena was not rewound");
  return file.error();
}

bool is(const Error& error, ErrorCode code, u64 offset) {
  return error.code == code && error.offset == offset;
}

// A file of one tensor, with its data.
Error tensor_error(u64 n_col, u64 n_row, u32 type, u64 offset = 0) {
  GgufBuilder b = builder();
  b.header(1, 0).tensor("w", n_col, n_row, static_cast<DType>(0), offset);
  b.pad(32).zeros(4096);
  g_file[24 + 8 + 1 + 4 + (n_row == 0 ? 8 : 16)] = static_cast<u8>(type);
  for (u32 i = 1; i < 4; ++i)
    g_file[24 + 8 + 1 + 4 + (n_row == 0 ? 8 : 16) + i] = static_cast<u8>(type >> (8 * i));
  return open_error(b.bytes());
}

// Two F32 tensors of 40 bytes, the second at `offset`.
Error second_offset_error(u64 offset) {
  GgufBuilder b = builder();
  b.header(2, 0).tensor("a", 10, 0, DType::kF32, 0).tensor("b", 10, 0, DType::kF32, offset);
  b.pad(32).zeros(1024);
  return open_error(b.bytes());
}

Error alignment_error(u32 alignment) {
  GgufBuilder b = builder();
  b.header(0, 1).u32_key("general.alignment", alignment);
  return open_error(b.bytes());
}

}  // namespace

TEST_CASE("gguf refuses what is no gguf file (G01-G06)", "[format]") {
  CHECK(is(open_error(builder().bytes()), ErrorCode::kTruncated, 0));
  for (usize n = 1; n < 4; ++n)
    CHECK(is(open_error(builder().raw("GGUF").bytes().first(n)), ErrorCode::kTruncated, 0));
  CHECK(is(open_error(builder().raw("GGUF").bytes()), ErrorCode::kTruncated, 0));
  CHECK(is(open_error(builder().raw("GGUf\x03").zeros(40).bytes()), ErrorCode::kBadMagic, 0));
  CHECK(is(open_error(builder().raw("GGU!").bytes()), ErrorCode::kBadMagic, 0));
  CHECK(is(open_error(builder().raw("FUGG\x03").zeros(40).bytes()), ErrorCode::kBadMagic, 0));
  CHECK(is(open_error(builder().raw("FUGG").zeros(3).raw("\x03").zeros(40).bytes()),
           ErrorCode::kBadEndian, 4));
  CHECK(is(open_error(builder().raw("GGUF").zeros(3).raw("\x02").zeros(40).bytes()),
           ErrorCode::kBadEndian, 4));
  const u32 versions[] = {0, 1, 4, 0x04000000, 0xFFFFFFFF};
  for (const u32 version : versions) {
    CHECK(is(open_error(builder().header(0, 0, version).bytes()), ErrorCode::kBadVersion, 4));
  }
  CHECK(open_error(builder().header(0, 0, 2).bytes()).code == ErrorCode::kOk);
  CHECK(open_error(builder().header(0, 0, 3).bytes()).code == ErrorCode::kOk);
}

TEST_CASE("gguf says what a file is that is none", "[format]") {
  const auto what = [](Str start) {
    return Str(open_error(builder().raw(start).zeros(64).bytes()).what);
  };
  CHECK(what("<!DOCTYPE html>").contains("web page"));
  CHECK(what("version https://git-lfs").contains("Git LFS"));
  CHECK(what("PK\x03\x04").contains("PyTorch"));
  CHECK(what("lmgg").contains("ggml"));
  CHECK(what("hello").contains("no model format"));
  // Bytes are shown of what is known for nothing, and only of that.
  const Error unknown = open_error(builder().raw("hello").zeros(64).bytes());
  CHECK(unknown.subject_text().starts_with("first bytes 68 65"));
  CHECK(open_error(builder().raw("lmgg").zeros(64).bytes()).subject_text().empty());
  const Error obsolete = open_error(builder().header(0, 0, 1).bytes());
  CHECK(Str(obsolete.what).contains("obsolete"));
}

TEST_CASE("gguf refuses counts beyond the limits and beyond the file (G07, G08)", "[format]") {
  const u64 beyond[] = {65537,        u64{1} << 31, u64{1} << 32, 0x0CCCCCCCCCCCCCCD,
                        u64{1} << 63, ~u64{0}};
  for (const u64 count : beyond) {
    CHECK(is(open_error(builder().header(0, count).zeros(64).bytes()), ErrorCode::kLimit, 16));
    CHECK(is(open_error(builder().header(count, 0).zeros(64).bytes()), ErrorCode::kLimit, 8));
  }
  CHECK(is(open_error(builder().header(0, 65536).zeros(64).bytes()), ErrorCode::kTruncated, 16));
  CHECK(is(open_error(builder().header(65536, 0).zeros(64).bytes()), ErrorCode::kTruncated, 8));
  // The smallest entries there are: one more than fit.
  GgufBuilder b = builder();
  b.header(0, 2).key("a", MetaType::kU8).u8_value(0).key("b", MetaType::kU8).u8_value(0);
  CHECK(open_error(b.bytes()).code == ErrorCode::kOk);
  CHECK(is(open_error(b.bytes().first(b.size() - 1)), ErrorCode::kTruncated, 16));
}

TEST_CASE("gguf refuses bad keys (G09, G10)", "[format]") {
  CHECK(is(open_error(builder().header(0, 1).u64_value(0).zeros(64).bytes()), ErrorCode::kBadName,
           24));
  const u64 beyond[] = {65536, u64{1} << 32, u64{1} << 63, ~u64{0}, ~u64{0} - 31};
  for (const u64 length : beyond) {
    CHECK(is(open_error(builder().header(0, 1).u64_value(length).zeros(64).bytes()),
             ErrorCode::kLimit, 24));
  }
  CHECK(is(open_error(builder().header(0, 1).u64_value(65).zeros(64).bytes()),
           ErrorCode::kTruncated, 32));
  const Str bad[] = {Str("a\0b", 3), Str("\0", 1),      "\xff", "\xc0\xaf", "\xed\xa0\x80",
                     "ab\xe2\x82",   "\xf4\x90\x80\x80"};
  for (const Str key : bad) {
    CHECK(is(open_error(builder().header(0, 1).u32_key(key, 1).bytes()), ErrorCode::kBadName, 32));
  }
  CHECK(open_error(builder().header(0, 1).u32_key("\xc3\xa9", 1).bytes()).code == ErrorCode::kOk);
}

TEST_CASE("gguf refuses duplicate keys and names (G11, G28)", "[format]") {
  GgufBuilder b = builder();
  b.header(0, 3).u32_key("a", 1).u32_key("b", 2);
  const u64 second = b.size();
  b.u32_key("a", 1);
  const Error key = open_error(b.bytes());
  CHECK(is(key, ErrorCode::kDuplicate, second));
  CHECK(key.subject_text() == Str("a"));
  GgufBuilder t = builder();
  t.header(2, 0).tensor("w", 8, 0, DType::kF32, 0);
  const u64 second_tensor = t.size();
  t.tensor("w", 8, 0, DType::kF32, 32).pad(32).zeros(64);
  CHECK(is(open_error(t.bytes()), ErrorCode::kDuplicate, second_tensor));
  // A key and a tensor may share a name.
  CHECK(open_error(builder()
                       .header(1, 1)
                       .u32_key("w", 1)
                       .tensor("w", 8, 0, DType::kF32, 0)
                       .pad(32)
                       .zeros(32)
                       .bytes())
            .code == ErrorCode::kOk);
}

TEST_CASE("gguf refuses unknown value types (G12, G15)", "[format]") {
  const u32 types[] = {13, 255, 0xFFFFFFFF, 0x108};
  for (const u32 type : types) {
    CHECK(is(open_error(builder().header(0, 1).text("k").u32_value(type).zeros(64).bytes()),
             ErrorCode::kBadType, 33));
    GgufBuilder b = builder();
    b.header(0, 1).key("k", MetaType::kArray).u32_value(type).u64_value(1).zeros(64);
    CHECK(is(open_error(b.bytes()), ErrorCode::kBadType, 37));
  }
  GgufBuilder nested = builder();
  nested.header(0, 1).key("k", MetaType::kArray);
  for (u32 i = 0; i < 500; ++i) nested.array(MetaType::kArray, 1);
  CHECK(is(open_error(nested.bytes()), ErrorCode::kBadType, 37));
}

TEST_CASE("gguf refuses long texts and arrays (G13, G14, G16)", "[format]") {
  const u64 long_texts[] = {kMaxStringBytes + 1, u64{1} << 31, u64{1} << 32,
                            u64{1} << 63,        ~u64{0},      ~u64{0} - 45};
  for (const u64 length : long_texts) {
    GgufBuilder b = builder();
    b.header(0, 1).key("k", MetaType::kString).u64_value(length).zeros(64);
    const Error error = open_error(b.bytes());
    CHECK(is(error, ErrorCode::kLimit, 37));
    CHECK(error.subject_text() == Str("k"));
    GgufBuilder a = builder();
    a.header(0, 1)
        .key("k", MetaType::kArray)
        .array(MetaType::kString, 2)
        .text("x")
        .u64_value(length)
        .zeros(64);
    CHECK(is(open_error(a.bytes()), ErrorCode::kLimit, 58));
  }
  CHECK(is(open_error(
               builder().header(0, 1).key("k", MetaType::kString).u64_value(65).zeros(64).bytes()),
           ErrorCode::kTruncated, 45));
  const u64 counts[] = {u64{1} << 60, u64{1} << 61, u64{1} << 63, ~u64{0}, (u64{1} << 61) + 1};
  const MetaType types[] = {MetaType::kString, MetaType::kF64, MetaType::kU8, MetaType::kBool,
                            MetaType::kU16};
  for (const u64 count : counts) {
    for (const MetaType type : types) {
      const Error error = open_error(
          builder().header(0, 1).key("k", MetaType::kArray).array(type, count).zeros(64).bytes());
      CHECK(is(error, ErrorCode::kLimit, 41));
    }
  }
  // Within the limits, but not there.
  CHECK(is(open_error(builder()
                          .header(0, 1)
                          .key("k", MetaType::kArray)
                          .array(MetaType::kU32, 17)
                          .zeros(64)
                          .bytes()),
           ErrorCode::kTruncated, 49));
  CHECK(is(open_error(builder()
                          .header(0, 1)
                          .key("k", MetaType::kArray)
                          .array(MetaType::kString, 9)
                          .zeros(64)
                          .bytes()),
           ErrorCode::kTruncated, 49));
  CHECK(open_error(builder()
                       .header(0, 1)
                       .key("k", MetaType::kArray)
                       .array(MetaType::kString, 8)
                       .zeros(64)
                       .bytes())
            .code == ErrorCode::kOk);
}

TEST_CASE("gguf refuses chat templates that are too long for one", "[format]") {
  GgufBuilder b = builder();
  b.header(0, 1)
      .key("tokenizer.chat_template", MetaType::kString)
      .u64_value(kMaxTemplateBytes + 1)
      .zeros(64);
  CHECK(open_error(b.bytes()).code == ErrorCode::kLimit);
  GgufBuilder named = builder();
  named.header(0, 1)
      .key("tokenizer.chat_template.tool_use", MetaType::kString)
      .u64_value(kMaxTemplateBytes + 1)
      .zeros(64);
  CHECK(open_error(named.bytes()).code == ErrorCode::kLimit);
  GgufBuilder other = builder();
  other.header(0, 1)
      .key("general.license", MetaType::kString)
      .u64_value(kMaxTemplateBytes + 1)
      .zeros(64);
  CHECK(open_error(other.bytes()).code == ErrorCode::kTruncated);
}

TEST_CASE("gguf refuses bools that are none (G17)", "[format]") {
  const u8 values[] = {2, 255};
  for (const u8 value : values) {
    CHECK(is(open_error(builder().header(0, 1).key("k", MetaType::kBool).u8_value(value).bytes()),
             ErrorCode::kBadType, 37));
    GgufBuilder b = builder();
    b.header(0, 1)
        .key("k", MetaType::kArray)
        .array(MetaType::kBool, 3)
        .u8_value(1)
        .u8_value(0)
        .u8_value(value);
    CHECK(is(open_error(b.bytes()), ErrorCode::kBadType, 51));
  }
}

TEST_CASE("gguf refuses bad alignments (G18)", "[format]") {
  const u32 bad[] = {0, 3, 13, 48, 65535, 131072, 0x80000000, 0xFFFFFFFF};
  for (const u32 alignment : bad)
    CHECK(is(alignment_error(alignment), ErrorCode::kBadAlignment, 53));
  for (u32 alignment = 1; alignment <= 65536; alignment *= 2)
    CHECK(alignment_error(alignment).code == ErrorCode::kOk);
  GgufBuilder as_i32 = builder();
  as_i32.header(0, 1).key("general.alignment", MetaType::kI32).u32_value(32);
  CHECK(is(open_error(as_i32.bytes()), ErrorCode::kBadAlignment, 49));
  GgufBuilder as_text = builder();
  as_text.header(0, 1).text_key("general.alignment", "32");
  CHECK(is(open_error(as_text.bytes()), ErrorCode::kBadAlignment, 49));
  GgufBuilder twice = builder();
  twice.header(0, 2).u32_key("general.alignment", 32).u32_key("general.alignment", 32);
  CHECK(is(open_error(twice.bytes()), ErrorCode::kBadAlignment, 86));
}

TEST_CASE("gguf places tensors by the alignment of the file (G43)", "[format]") {
  for (u32 alignment = 1; alignment <= 4096; alignment *= 8) {
    GgufBuilder b = builder();
    b.header(2, 1).u32_key("general.alignment", alignment);
    const u64 second = (12 + alignment - 1) / alignment * alignment;
    b.tensor("a", 3, 0, DType::kF32, 0)
        .tensor("b", 1, 0, DType::kF32, second)
        .pad(alignment)
        .zeros(second + 4);
    Arena arena{Span<u8>(g_arena)};
    BufferSource source(b.bytes());
    const Result<ModelFile> file = ModelFile::open(source, arena);
    REQUIRE(file.ok());
    CHECK(file.value().tensor(1).file_offset + 4 == b.size());
    CHECK(is(open_error(b.bytes().first(b.size() - 1)), ErrorCode::kTruncated, b.size() - 1));
  }
}

TEST_CASE("gguf refuses impossible shapes (G20-G26)", "[format]") {
  const u32 counts[] = {0, 5, 1000000, 0xFFFFFFFF};
  for (const u32 n_dim : counts) {
    const Error error =
        open_error(builder().header(1, 0).text("w").u32_value(n_dim).zeros(256).bytes());
    CHECK(is(error, ErrorCode::kBadShape, 33));
    CHECK(error.subject_text() == Str("w"));
  }
  CHECK(tensor_error(0, 0, 0).code == ErrorCode::kBadShape);
  CHECK(tensor_error(8, 2, 0).code == ErrorCode::kOk);
  CHECK(tensor_error(~u64{0}, 0, 0).code == ErrorCode::kOverflow);
  CHECK(tensor_error(u64{1} << 63, 0, 0).code == ErrorCode::kOverflow);
  CHECK(tensor_error((u64{1} << 40) + 1, 0, 0).code == ErrorCode::kOverflow);
  CHECK(tensor_error(u64{1} << 40, 0, 0).code == ErrorCode::kTruncated);
  CHECK(tensor_error(u64{1} << 32, u64{1} << 32, 0).code == ErrorCode::kOverflow);
  CHECK(tensor_error(u64{1} << 31, u64{1} << 31, 0).code ==
        ErrorCode::kOverflow);  // elements fit, bytes wrap to 0
  CHECK(tensor_error(u64{1} << 30, u64{1} << 31, 27).code ==
        ErrorCode::kOverflow);                                   // I64: 2^61 elements
  CHECK(tensor_error(33, 0, 2).code == ErrorCode::kBadShape);    // Q4_0
  CHECK(tensor_error(255, 0, 12).code == ErrorCode::kBadShape);  // Q4_K
  CHECK(tensor_error(256, 4, 12).code == ErrorCode::kOk);
}

TEST_CASE("gguf refuses sums that wrap (G22, G25)", "[format]") {
  // The product of these dimensions is 4 modulo 2^64.
  GgufBuilder wraps = builder();
  wraps.header(1, 0).text("w").u32_value(3).u64_value(4194305).u64_value(4194305).u64_value(
      211106198978564);
  wraps.u32_value(0).u64_value(0).pad(32).zeros(64);
  CHECK(open_error(wraps.bytes()).code == ErrorCode::kOverflow);
  // 2^64 - 1 bytes, in dimensions that are allowed: the padding wraps, or the end of the data.
  constexpr u64 kBelow = (u64{1} << 32) - 1;
  GgufBuilder pad = builder();
  pad.header(1, 0).tensor("w", kBelow, kBelow + 2, DType::kI8, 0).pad(32).zeros(64);
  CHECK(is(open_error(pad.bytes()), ErrorCode::kOverflow, 57));
  GgufBuilder end = builder();
  end.header(1, 1).u32_key("general.alignment", 1);
  end.tensor("w", kBelow, kBelow + 2, DType::kI8, 0).zeros(64);
  CHECK(open_error(end.bytes()).code == ErrorCode::kOverflow);
  // Sixteen tensors of 2^60 bytes: the sum is 2^64.
  GgufBuilder sum = builder();
  sum.header(16, 0);
  for (u64 i = 0; i < 16; ++i) {
    const char name[] = {'t', static_cast<char>('a' + i)};
    sum.tensor(Str(name, 2), u64{1} << 40, u64{1} << 20, DType::kI8, i << 60);
  }
  sum.pad(32).zeros(64);
  CHECK(open_error(sum.bytes()).code == ErrorCode::kOverflow);
}

TEST_CASE("gguf refuses unknown and removed tensor types (G27)", "[format]") {
  struct Refused {
    u32 type;
    const char* subject;
    const char* reason;
  };
  const Refused types[] = {
      {4, "w (Q4_2)", "removed"},
      {5, "w (Q4_3)", "removed"},
      {31, "w (Q4_0_4_4)", "removed"},
      {32, "w (Q4_0_4_8)", "removed"},
      {33, "w (Q4_0_8_8)", "removed"},
      {36, "w (IQ4_NL_4_4)", "removed"},
      {37, "w (IQ4_NL_4_8)", "removed"},
      {38, "w (IQ4_NL_8_8)", "removed"},
      {97, "w (Q8_0_X4)", "ik_llama"},
      {139, "w (IQ4_K)", "ik_llama"},
      {158, "w (IQ1_KT)", "ik_llama"},
      {399, "w (Q8_K_R8)", "ik_llama"},
      {kDTypeLimit, "w", "unknown"},
      {255, "w", "unknown"},
      {256, "w", "unknown"},
      {u32{1} << 31, "w", "unknown"},
      {0xFFFFFFFF, "w", "unknown"},
  };
  for (const Refused& refused : types) {
    const Error error = tensor_error(256, 0, refused.type);
    CHECK(is(error, ErrorCode::kBadType, 45));
    CHECK(error.subject_text() == Str(refused.subject));
    CHECK(Str(error.what).contains(refused.reason));
    CHECK(error.value == refused.type);
  }
  u32 n_known = 0;
  for (u32 type = 0; type < kDTypeLimit; ++type)
    n_known += tensor_error(256, 0, type).code == ErrorCode::kOk ? 1u : 0u;
  CHECK(n_known == 35);
}

TEST_CASE("gguf refuses bad tensor names (G28)", "[format]") {
  char name[64];
  __builtin_memset(name, 'n', sizeof(name));
  const auto error_of = [](Str text) {
    return open_error(
        builder().header(1, 0).tensor(text, 8, 0, DType::kF32, 0).pad(32).zeros(32).bytes());
  };
  CHECK(error_of(Str(name, 63)).code == ErrorCode::kOk);
  CHECK(is(error_of(Str(name, 64)), ErrorCode::kBadName, 24));
  CHECK(is(error_of(""), ErrorCode::kBadName, 24));
  CHECK(is(error_of(Str("a\0", 2)), ErrorCode::kBadName, 32));
  CHECK(is(error_of("\xc3"), ErrorCode::kBadName, 32));
  CHECK(is(open_error(builder().header(1, 0).u64_value(u64{1} << 32).zeros(64).bytes()),
           ErrorCode::kBadName, 24));
}

TEST_CASE("gguf refuses tensors that lie anywhere but one after the other (G29, G30, G32)",
          "[format]") {
  CHECK(second_offset_error(64).code == ErrorCode::kOk);
  CHECK(second_offset_error(32).code == ErrorCode::kOverlap);
  CHECK(second_offset_error(0).code == ErrorCode::kOverlap);
  const u64 bad[] = {1, 40, 63, 96, u64{1} << 30, 1024, ~u64{0} - 31, ~u64{0}};
  for (const u64 offset : bad) CHECK(second_offset_error(offset).code == ErrorCode::kBadOffset);
  CHECK(tensor_error(8, 0, 0, 32).code == ErrorCode::kBadOffset);
  // Swapped: the second lies before the first.
  GgufBuilder b = builder();
  b.header(2, 0)
      .tensor("a", 8, 0, DType::kF32, 32)
      .tensor("b", 8, 0, DType::kF32, 0)
      .pad(32)
      .zeros(64);
  CHECK(open_error(b.bytes()).code == ErrorCode::kBadOffset);
}

TEST_CASE("gguf needs the last tensor whole, not its padding, and ignores what follows (G31)",
          "[format]") {
  GgufBuilder b = builder();
  b.header(1, 0).tensor("w", 9, 0, DType::kF32, 0).pad(32).zeros(36 + 100);
  const usize end = b.size() - 100;
  CHECK(open_error(b.bytes()).code == ErrorCode::kOk);
  CHECK(open_error(b.bytes().first(end)).code == ErrorCode::kOk);
  const Error error = open_error(b.bytes().first(end - 1));
  CHECK(is(error, ErrorCode::kTruncated, end - 1));
  CHECK(error.subject_text() == Str("w"));
  CHECK(error.value == end);
  CHECK(error.limit == end - 1);
}

TEST_CASE("gguf without tensors or keys is accepted; what it lacks is for others to say (G43)",
          "[format]") {
  CHECK(open_error(builder().header(0, 0).bytes()).code == ErrorCode::kOk);
  CHECK(open_error(builder().header(0, 1).text_key("general.architecture", "llama").bytes()).code ==
        ErrorCode::kOk);
}

TEST_CASE("G-1: every prefix of a GGUF file is truncated (G04)", "[format]") {
  GgufBuilder b = builder();
  b.header(2, 4).text_key("general.architecture", "llama").u32_key("general.alignment", 32);
  b.key("tokens", MetaType::kArray).array(MetaType::kString, 3).text("a").text("bc").text("");
  b.key("scores", MetaType::kArray).array(MetaType::kF32, 3).f32_value(0).f32_value(1).f32_value(2);
  b.tensor("token_embd.weight", 8, 3, DType::kF32, 0)
      .tensor("output_norm.weight", 8, 0, DType::kF32, 96);
  b.pad(32).zeros(96 + 32);
  REQUIRE(open_error(b.bytes()).code == ErrorCode::kOk);
  for (usize n = 0; n < b.size(); ++n)
    REQUIRE(open_error(b.bytes().first(n)).code == ErrorCode::kTruncated);
}
