// llama2.c models and their tokenizer: what they become, and how each bad number is refused. The
// recipe ids (B02 ...) are those of tests/hostile.
#include "core/format/llama2c.h"

#include "tests/format/folder_source.h"
#include "tests/test.h"

using namespace lbm;
using lbm::test::BufferSource;
using lbm::test::GgufBuilder;
using lbm::test::MemoryFile;
using lbm::test::MemoryFolder;

namespace {

u8 g_model[65536];
u8 g_tokenizer[1024];
u8 g_arena[65536];

// dim 32, two heads, one KV head, one layer, hidden 64, three tokens, two positions; untied.
constexpr i32 kShape[7] = {32, 64, 1, 2, 1, -3, 2};
constexpr u64 kLayerFloats = 32 * 32 * 2 + 16 * 32 * 2 + 3 * 32 * 64;
constexpr u64 kLegacyBytes = 28 + 4 * (96 + 32 + 32 + 32 + kLayerFloats + 2 * 16 + 96);

struct Files {
  Files() {
    header(kShape);
    model.zeros(kLegacyBytes - 28);
    tokenizer.u32_value(6);
    record("<unk>", 0.0f);
    record("\n<s>\n", 0.0f);
    record(" a b", -1.5f);
  }
  void header(const i32 (&shape)[7]) {
    for (const i32 value : shape) model.u32_value(static_cast<u32>(value));
  }
  void record(Str text, f32 score) {
    tokenizer.f32_value(score).u32_value(static_cast<u32>(text.size())).raw(text);
  }
  void patch(usize at, u32 value) {
    for (u32 i = 0; i < 4; ++i) g_model[at + i] = static_cast<u8>(value >> (8 * i));
  }
  Error open(Arena& arena, ModelFile* out = nullptr) {
    const MemoryFile files[] = {{"m.bin", model_bytes()}, {"tokenizer.bin", tokenizer.bytes()}};
    folder_files[0] = files[0];
    folder_files[1] = files[1];
    Result<ModelFile> file = ModelFile::open(*folder.open("m.bin").value(), arena);
    if (!file.ok()) return file.error();
    if (out != nullptr) *out = file.value();
    return Error();
  }
  Error error() {
    Arena arena{Span<u8>(g_arena)};
    folder = MemoryFolder(Span<const MemoryFile>(folder_files, 2));
    const Error found = open(arena);
    if (found.code != ErrorCode::kOk && arena.bytes_used() != 0)
      return fail(ErrorCode::kInvalidArgument, "the arena was not rewound");
    return found;
  }
  [[nodiscard]] Span<const u8> model_bytes() const {
    return Span<const u8>(g_model, model.size() - n_cut);
  }

  GgufBuilder model{Span<u8>(g_model)};
  GgufBuilder tokenizer{Span<u8>(g_tokenizer)};
  MemoryFile folder_files[2];
  MemoryFolder folder{Span<const MemoryFile>(folder_files, 2)};
  usize n_cut = 0;
};

bool is(const Error& error, ErrorCode code, u64 offset) {
  return error.code == code && error.offset == offset;
}

}  // namespace

TEST_CASE("a legacy file becomes a llama model", "[format][llama2c]") {
  Files files;
  CHECK(files.model.size() == kLegacyBytes);
  Arena arena{Span<u8>(g_arena)};
  ModelFile file;
  REQUIRE(files.open(arena, &file).code == ErrorCode::kOk);
  CHECK(file.format() == FileFormat::kLlama2c);
  CHECK(file.version() == 0);
  CHECK(!file.is_translated());
  CHECK(file.n_tensor() == 12);
  CHECK(file.get_text("general.name").value() == "m");
  CHECK(file.get_u64("llama.attention.head_count_kv", 0, 99).value() == 1);
  CHECK(file.get_u64("llama.rope.dimension_count", 0, 99).value() == 16);
  TensorInfo tensor;
  REQUIRE(file.find_tensor("blk.0.ffn_down.weight", tensor));
  CHECK(tensor.dims[0] == 64);
  CHECK(tensor.dims[1] == 32);
  REQUIRE(file.find_tensor("output.weight", tensor));
  CHECK(tensor.file_offset + tensor.n_byte == kLegacyBytes);
  StringCursor tokens(file.get_array("tokenizer.ggml.tokens").value());
  CHECK(tokens.next() == "<unk>");
  CHECK(tokens.next() == "<s>");
  CHECK(tokens.next() ==
        "\xE2\x96\x81"
        "a\xE2\x96\x81"
        "b");
  CHECK(file.get_array("tokenizer.ggml.scores").value().number(2) == -1.5);
}

TEST_CASE("a tied legacy file has no classifier", "[format][llama2c]") {
  Files files;
  files.patch(20, 3);
  CHECK(is(files.error(), ErrorCode::kMismatch, kLegacyBytes - 4 * 96));
  files.n_cut = 4 * 96;
  CHECK(files.error().code == ErrorCode::kOk);
  // B06: the sign says that there is one.
  files.patch(20, static_cast<u32>(-3));
  CHECK(is(files.error(), ErrorCode::kTruncated, kLegacyBytes - 4 * 96));
}

TEST_CASE("each number of the header has a range", "[format][llama2c]") {
  constexpr u32 kBad[] = {0, ~u32{0}, 0x80000000u, 0x7FFFFFFFu};
  for (u32 field = 0; field < 7; ++field) {
    for (const u32 value : kBad) {
      if (field == 5 && value == ~u32{0}) continue;  // one token, untied
      Files files;
      files.patch(4 * field, value);
      const Error error = files.error();
      ErrorCode code = ErrorCode::kBadShape;
      if (value == 0x7FFFFFFFu && field == 2) code = ErrorCode::kOverflow;
      if (value == 0x7FFFFFFFu && field == 6) code = ErrorCode::kLimit;
      CHECK(is(error, code, 4 * field));
    }
  }
  struct Case {
    u32 field;
    u32 value;
    ErrorCode code;
    u32 at;
  };
  constexpr Case kCases[] = {
      {3, 3, ErrorCode::kBadShape, 12},      // does not divide dim
      {3, 32, ErrorCode::kBadShape, 12},     // heads of one element
      {4, 4, ErrorCode::kBadShape, 16},      // more KV heads than heads
      {2, 65536, ErrorCode::kBadShape, 8},   // too many layers
      {6, 1u << 30, ErrorCode::kLimit, 24},  // B07
      {2, 1024, ErrorCode::kTruncated, 0},   // sound, but not in this file
  };
  for (const Case& c : kCases) {
    Files files;
    files.patch(4 * c.field, c.value);
    const Error error = files.error();
    const u64 at = c.code == ErrorCode::kTruncated ? kLegacyBytes : c.at;
    CHECK(is(error, c.code, at));
  }
  Files files;  // B04
  files.patch(0, 65536);
  files.patch(4, 65536);
  files.patch(8, 65536);
  CHECK(is(files.error(), ErrorCode::kOverflow, 8));
}

TEST_CASE("a file has exactly its size", "[format][llama2c]") {
  Files files;
  files.n_cut = 1;
  CHECK(is(files.error(), ErrorCode::kTruncated, kLegacyBytes - 1));
  files.n_cut = 0;
  files.model.u32_value(0);
  CHECK(is(files.error(), ErrorCode::kMismatch, kLegacyBytes));
  Files cut;
  constexpr usize kShort[] = {8, 27};
  for (const usize n : kShort) {
    cut.n_cut = kLegacyBytes - n;
    CHECK(is(cut.error(), ErrorCode::kTruncated, n));
  }
}

TEST_CASE("version 2: scales choose the type, and have to be numbers", "[format][llama2c]") {
  const i32 shape[7] = {32, 64, 1, 2, 1, 3, 2};
  constexpr u64 kWeights = 96 + kLayerFloats;
  const auto build = [&](Files& files, u32 group, u32 scale_bits) {
    files.model = GgufBuilder(Span<u8>(g_model));
    files.model.raw("24ka").u32_value(2);
    files.header(shape);
    files.model.u8_value(1).u32_value(group).zeros(256 - 41).zeros(4 * 3 * 32);
    constexpr u64 kTensors[] = {96, 32 * 32, 16 * 32, 16 * 32, 32 * 32, 32 * 64, 32 * 64, 32 * 64};
    u64 n_weight = 0;
    for (const u64 n : kTensors) {
      for (u64 i = 0; i < n; ++i) files.model.u8_value(static_cast<u8>(i));
      for (u64 i = 0; i < n / group; ++i) files.model.u32_value(scale_bits);
      n_weight += n;
    }
    CHECK(n_weight == kWeights);
  };
  constexpr u32 kHalf = 0x3F000000;   // 0.5
  constexpr u32 kThird = 0x3EAAAAAB;  // no f16
  struct Case {
    u32 group;
    u32 scale;
    DType dtype;
  };
  constexpr Case kCases[] = {
      {32, kHalf, DType::kQ8_0}, {32, kThird, DType::kF32}, {16, kHalf, DType::kF32}};
  for (const Case& c : kCases) {
    Files files;
    build(files, c.group, c.scale);
    Arena arena{Span<u8>(g_arena)};
    ModelFile file;
    REQUIRE(files.open(arena, &file).code == ErrorCode::kOk);
    CHECK(file.is_translated());
    TensorInfo tensor;
    REQUIRE(file.find_tensor("blk.0.attn_q.weight", tensor));
    CHECK(tensor.dtype == c.dtype);
    // From the middle of a block: bytes 33 to 36 of the tensor.
    u8 bytes[4] = {};
    REQUIRE(file.data().read(tensor.file_offset + 33, bytes).ok());
    if (c.dtype == DType::kQ8_0) {
      CHECK(bytes[0] == 31);    // the last of the first block
      CHECK(bytes[1] == 0x00);  // 0.5 as f16
      CHECK(bytes[2] == 0x38);
      CHECK(bytes[3] == 32);
    }
  }
  Files files;
  build(files, 32, 0x7F800000);
  const Error error = files.error();
  CHECK(is(error, ErrorCode::kNumeric, 256 + 4 * 96 + 96));
  CHECK(error.subject_text() == "token_embd.weight");
  build(files, 32, kHalf);
  g_model[36] = 2;
  CHECK(is(files.error(), ErrorCode::kBadValue, 36));
  g_model[36] = 1;
  files.patch(37, 0);
  CHECK(is(files.error(), ErrorCode::kBadShape, 37));
  files.patch(37, 24);
  CHECK(is(files.error(), ErrorCode::kBadShape, 37));
  files.patch(37, 32);
  files.patch(4, 3);
  CHECK(is(files.error(), ErrorCode::kBadVersion, 4));
}

TEST_CASE("tokenizer.bin is checked record by record", "[format][llama2c]") {
  const auto with = [](usize at, u32 value) {
    Files files;
    for (u32 i = 0; i < 4; ++i) g_tokenizer[at + i] = static_cast<u8>(value >> (8 * i));
    return files.error();
  };
  CHECK(is(with(0, 0), ErrorCode::kBadValue, 0));
  CHECK(is(with(0, ~u32{0}), ErrorCode::kBadValue, 0));
  CHECK(is(with(4, 0x7FC00000), ErrorCode::kNumeric, 4));
  CHECK(is(with(8, ~u32{0}), ErrorCode::kBadValue, 8));
  CHECK(is(with(8, 7), ErrorCode::kBadValue, 8));
  CHECK(with(8, 6).code != ErrorCode::kOk);  // the records after it are shifted
  {
    Files files;
    files.tokenizer.u8_value(0);
    CHECK(is(files.error(), ErrorCode::kMismatch, files.tokenizer.size() - 1));
  }
  {
    Files files;
    files.patch(20, static_cast<u32>(-4));  // the model has one more token than the file
    files.model.zeros(2 * 4 * 32);
    CHECK(files.error().code == ErrorCode::kTruncated);
    CHECK(files.error().subject_text() == "tokenizer.bin");
  }
}

TEST_CASE("a model without its tokenizer says where it belongs", "[format][llama2c]") {
  Files files;
  const MemoryFile alone[] = {{"m.bin", files.model_bytes()}};
  MemoryFolder folder{Span<const MemoryFile>(alone, 1)};
  Arena arena{Span<u8>(g_arena)};
  const Result<ModelFile> file = ModelFile::open(*folder.open("m.bin").value(), arena);
  REQUIRE(!file.ok());
  CHECK(file.error().code == ErrorCode::kMissing);
  OpenOptions options;
  options.without_tokenizer = true;
  CHECK(ModelFile::open(*folder.open("m.bin").value(), arena, options).ok());
}

TEST_CASE("tokenizer.bin: the smallest records are records", "[format][llama2c]") {
  for (const bool empty : {true, false}) {
    Files files;
    files.tokenizer = GgufBuilder(Span<u8>(g_tokenizer));
    files.tokenizer.u32_value(1);
    for (u32 id = 0; id < 3; ++id) files.record(empty ? "" : "a", 0.0f);
    CHECK(files.error().code == ErrorCode::kOk);
  }
}

TEST_CASE("tokenizer.bin: bytes are known by their spelling", "[format][llama2c]") {
  constexpr Str kPieces[] = {"<unk>",  "\n<s>\n", "\n</s>\n", "<0x41>", "<0xF0>",
                             "<0x4>",  "<1x41>",  "<0x41]",   "<0x4g>", "<0x/1>",
                             "<0x:1>", "<0xag>",  "<0x411>",  "<0xAF>"};
  constexpr u32 kTypes[] = {2, 3, 3, 6, 6, 1, 1, 1, 1, 1, 1, 1, 1, 6};
  constexpr u32 kPieceCount = sizeof(kPieces) / sizeof(kPieces[0]);
  Files files;
  files.patch(20, static_cast<u32>(-i32{kPieceCount}));
  files.model.zeros(2 * 4 * 32 * (kPieceCount - 3));
  files.tokenizer = GgufBuilder(Span<u8>(g_tokenizer));
  files.tokenizer.u32_value(7);
  for (const Str piece : kPieces) files.record(piece, 0.0f);
  Arena arena{Span<u8>(g_arena)};
  ModelFile file;
  REQUIRE(files.open(arena, &file).code == ErrorCode::kOk);
  const MetaArray types = file.get_array("tokenizer.ggml.token_type").value();
  for (u32 id = 0; id < kPieceCount; ++id) CHECK(types.integer(id) == i64{kTypes[id]});
}

TEST_CASE("tokenizer.bin: one too large for all metadata is not read", "[format][llama2c]") {
  const auto error_of = [](u64 claimed) {
    Files files;
    BufferSource model(files.model_bytes());
    BufferSource tokenizer(files.tokenizer.bytes(), claimed);
    Arena arena{Span<u8>(g_arena)};
    OpenOptions options;
    options.tokenizer = &tokenizer;
    const Result<ModelFile> file = ModelFile::open(model, arena, options);
    return file.ok() ? Error() : file.error();
  };
  CHECK(is(error_of(64 * kMiB + 1), ErrorCode::kLimit, 0));
  CHECK(error_of(64 * kMiB).code == ErrorCode::kOutOfMemory);  // allowed, and more than there is
}

TEST_CASE("llama2.c: memory that ends anywhere is an error that takes nothing",
          "[format][llama2c]") {
  Files files;
  bool opened = false;
  for (usize n_byte = 64; !opened; n_byte += 64) {
    REQUIRE(n_byte <= sizeof(g_arena));
    Arena arena{Span<u8>(g_arena, n_byte)};
    files.folder = MemoryFolder(Span<const MemoryFile>(files.folder_files, 2));
    const Error error = files.open(arena);
    opened = error.code == ErrorCode::kOk;
    if (opened) continue;
    REQUIRE(error.code == ErrorCode::kOutOfMemory);
    REQUIRE(arena.bytes_used() == 0);
  }
}
