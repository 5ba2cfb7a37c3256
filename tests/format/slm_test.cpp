// .slm files: what they become, and how each broken field is refused. The recipe ids (S01 ...) are
// those of tests/hostile.
#include "core/format/slm.h"

#include "tests/format/gguf_builder.h"
#include "tests/test.h"

using namespace lbm;
using lbm::test::BufferSource;
using lbm::test::GgufBuilder;

namespace {

constexpr u32 kVocab = 262;
constexpr u32 kEmbd = 32;
constexpr u32 kFf = 64;
constexpr u32 kTensors = 12;
constexpr u64 kTokenizerAt = 108;
constexpr u32 kTokenizerBytes = 64 + 2 * 16;
constexpr u64 kDirectoryAt = kTokenizerAt + kTokenizerBytes;
constexpr u64 kDataAt = (kDirectoryAt + kTensors * 64 + 63) / 64 * 64;
constexpr u64 kTypeAt = 8;  // in an entry
constexpr u64 kDimsAt = 16;
constexpr u64 kOffsetAt = 32;
constexpr u64 kLengthAt = 40;
constexpr u64 kScalesAt = 48;
constexpr u64 kBlockAt = 56;

u8 g_file[131072];
u8 g_arena[262144];

// A model of one layer: the embedding is q8_0 with scales of 0.5, attn_q is q4_0 with scales of
// 0.25, the rest is f32.
struct File {
  File() {
    shape.n_vocab = kVocab;
    shape.n_layer = 1;
    shape.n_head = 2;
    shape.n_head_kv = 1;
    shape.head_dim = 16;
    shape.n_ff = kFf;
    shape.n_ctx = 8;
    shape.n_embd = kEmbd;
    out.raw("SLM1").u32_value(1).u32_value(108).u32_value(0).u32_value(0);
    for (const u32 n : {kVocab, 1u, 2u, 1u, 16u, kFf, 8u, kEmbd, 0u}) out.u32_value(n);
    out.f32_value(10000.0f).f32_value(1e-5f);
    out.u64_value(kTokenizerAt).u64_value(kTokenizerBytes).u64_value(kDirectoryAt);
    out.u32_value(kTensors).u64_value(kDataAt).u64_value(0);
    // 256 bytes, four specials, "ab" and "abb".
    out.raw("BPE1").u32_value(1).u32_value(kVocab).u32_value(slm::kAddBosFlag);
    out.u32_value(256).u32_value(257).u32_value(258).u32_value(259).u32_value(2).zeros(28);
    out.u32_value('a').u32_value('b').u32_value(260).u32_value(0);
    out.u32_value(260).u32_value('b').u32_value(261).u32_value(0);
    u64 at = kDataAt;
    for (u32 i = 0; i < kTensors; ++i) entry(i, at);
    out.pad(64);
    for (u32 i = 0; i < kTensors; ++i) data(i);
    seal();
  }
  static u32 type_of(u32 i) { return i == 0 ? slm::kQ8_0 : i == 2 ? slm::kQ4_0 : slm::kF32; }

  void entry(u32 i, u64& at) {
    TextBuffer<64> name;
    const slm::TensorShape dims = slm::tensor_shape(shape, i, name);
    const u32 n_row = dims.n_row == 0 ? 1 : dims.n_row;
    const u32 type = type_of(i);
    const u64 n_element = u64{n_row} * dims.n_col;
    const u64 n_byte = type == slm::kF32    ? 4 * n_element
                       : type == slm::kQ8_0 ? n_element
                                            : n_element / 2;
    const u64 n_scale = type == slm::kF32 ? 0 : n_row;  // rows of 32 columns: one for each
    out.u64_value(slm::hash_name(name.text())).u32_value(type);
    out.u32_value(dims.n_row == 0 ? 1 : 2).u32_value(dims.n_row == 0 ? dims.n_col : n_row);
    out.u32_value(dims.n_row == 0 ? 1 : dims.n_col).u32_value(1).u32_value(1);
    out.u64_value(at).u64_value(n_byte);
    at = align_up(at + n_byte, 64);
    out.u64_value(n_scale == 0 ? 0 : at);
    at = align_up(at + 4 * n_scale, 64);
    out.u32_value(type == slm::kF32 ? 0 : 32).u32_value(0);
  }
  void data(u32 i) {
    TextBuffer<64> name;
    const slm::TensorShape dims = slm::tensor_shape(shape, i, name);
    const u64 n_row = dims.n_row == 0 ? 1 : dims.n_row;
    switch (type_of(i)) {
      case slm::kQ8_0:
        for (u64 k = 0; k < n_row * dims.n_col; ++k) out.u8_value(static_cast<u8>(k));
        out.pad(64);
        for (u64 k = 0; k < n_row; ++k) out.f32_value(0.5f);
        break;
      case slm::kQ4_0:
        // Columns 0, 1, 2 ... of a row are 0, 1, ... 15, 0, 1, ... before the 8 is taken off.
        for (u64 k = 0; k < n_row * dims.n_col; k += 2)
          out.u8_value(static_cast<u8>((k % 16) | (k + 1) % 16 << 4));
        out.pad(64);
        for (u64 k = 0; k < n_row; ++k) out.f32_value(0.25f);
        break;
      default: out.zeros(n_row * dims.n_col * 4); break;
    }
    out.pad(64);
  }

  void put(u64 at, u64 value, u32 n_byte = 4) {
    for (u32 i = 0; i < n_byte; ++i) g_file[at + i] = static_cast<u8>(value >> (8 * i));
  }
  // Puts the checksum in.
  void seal() {
    put(100, 0, 8);
    slm::Fnv1a hash;
    hash.update(out.bytes());
    put(100, hash.value(), 8);
  }
  Error error(usize n_cut = 0) {
    Arena arena{Span<u8>(g_arena)};
    BufferSource source(out.bytes().first(out.size() - n_cut));
    const Result<ModelFile> file = ModelFile::open(source, arena);
    if (file.ok()) return Error();
    if (arena.bytes_used() != 0)
      return fail(ErrorCode::kInvalidArgument, "the arena was not rewound");
    return file.error();
  }

  LlamaShape shape;
  GgufBuilder out{Span<u8>(g_file)};
};

bool is(const Error& error, ErrorCode code, u64 offset) {
  return error.code == code && error.offset == offset;
}

// The error when the u32 at `at` is `value`, the checksum being right.
Error with(u64 at, u64 value, u32 n_byte = 4) {
  File file;
  file.put(at, value, n_byte);
  file.seal();
  return file.error();
}

constexpr u64 entry_at(u32 i) { return kDirectoryAt + 64 * u64{i}; }

}  // namespace

TEST_CASE("slm: the same metadata and tensors as a GGUF file", "[format][slm]") {
  File built;
  Arena arena{Span<u8>(g_arena)};
  BufferSource source(built.out.bytes());
  const Result<ModelFile> opened = ModelFile::open(source, arena);
  REQUIRE(opened.ok());
  const ModelFile& file = opened.value();
  CHECK(file.format() == FileFormat::kSlm);
  CHECK(file.is_translated());
  CHECK(file.file_size() == built.out.size());
  CHECK(file.n_tensor() == kTensors);
  CHECK(file.get_text("general.architecture").value() == "llama");
  CHECK(file.get_u64("llama.feed_forward_length", 0, 999).value() == kFf);
  CHECK(file.get_u64("tokenizer.ggml.bos_token_id", 0, 999).value() == 256);
  StringCursor merges(file.get_array("tokenizer.ggml.merges").value());
  CHECK(merges.next() == "a b");
  CHECK(merges.next() == "ab b");
  StringCursor tokens(file.get_array("tokenizer.ggml.tokens").value());
  for (u32 i = 0; i < 32; ++i) static_cast<void>(tokens.next());
  CHECK(tokens.next() == "\xC4\xA0");  // a space, as the byte-level alphabet spells it
  for (u32 i = 33; i < 261; ++i) static_cast<void>(tokens.next());
  CHECK(tokens.next() == "abb");

  TensorInfo tensor;
  REQUIRE(file.find_tensor("token_embd.weight", tensor));
  CHECK(tensor.dtype == DType::kQ8_0);
  u8 block[34] = {};
  REQUIRE(file.data().read(tensor.file_offset + 34, block).ok());
  CHECK(block[0] == 0x00);
  CHECK(block[1] == 0x38);
  CHECK(block[2] == 32);
  CHECK(block[33] == 63);
  REQUIRE(file.find_tensor("blk.0.attn_q.weight", tensor));
  CHECK(tensor.dtype == DType::kQ4_0);
  REQUIRE(file.data().read(tensor.file_offset, {block, 18}).ok());
  CHECK(block[1] == 0x34);
  CHECK(block[2] == 0x00);   // columns 0 and 16
  CHECK(block[17] == 0xFF);  // columns 15 and 31
  // Padding and the end of what is shown.
  CHECK(file.data().read(file.data().size() - 1, {block, 2}).error().code == ErrorCode::kTruncated);
}

TEST_CASE("slm: scales that no f16 holds make the tensor F32", "[format][slm]") {
  File built;
  u64 scales = 0;
  __builtin_memcpy(&scales, g_file + entry_at(0) + kScalesAt, 8);
  built.put(scales, 0x3EAAAAAB);
  built.seal();
  Arena arena{Span<u8>(g_arena)};
  BufferSource source(built.out.bytes());
  const Result<ModelFile> file = ModelFile::open(source, arena);
  REQUIRE(file.ok());
  TensorInfo tensor;
  REQUIRE(file.value().find_tensor("token_embd.weight", tensor));
  CHECK(tensor.dtype == DType::kF32);
  f32 row[32] = {};
  REQUIRE(file.value().data().read(tensor.file_offset, {reinterpret_cast<u8*>(row), 128}).ok());
  CHECK(row[3] == 3.0f * __builtin_bit_cast(f32, 0x3EAAAAAB));
  built.put(scales + 4, 0x7FC00000);
  built.seal();
  const Error error = built.error();
  CHECK(is(error, ErrorCode::kNumeric, scales + 4));
  CHECK(error.subject_text() == "token_embd.weight");
}

TEST_CASE("slm: header (S01, S02)", "[format][slm]") {
  CHECK(is(with(0, 0x534C4D31), ErrorCode::kBadEndian, 0));
  CHECK(is(with(4, 0x01000000), ErrorCode::kBadEndian, 4));
  CHECK(is(with(4, 2), ErrorCode::kBadVersion, 4));
  CHECK(is(with(8, 0), ErrorCode::kBadValue, 8));
  CHECK(is(with(8, 107), ErrorCode::kBadValue, 8));
  CHECK(is(with(8, ~u32{0}), ErrorCode::kTruncated, 8));
  CHECK(is(with(12, 1), ErrorCode::kBadVersion, 12));
  CHECK(is(with(16, 2), ErrorCode::kBadVersion, 16));
  for (u32 field = 0; field < 8; ++field) {
    CHECK(is(with(20 + 4 * field, 0), ErrorCode::kBadValue, 20 + 4 * field));
    CHECK(is(with(20 + 4 * field, ~u32{0}), ErrorCode::kBadValue, 20 + 4 * field));
  }
  CHECK(is(with(36, 15), ErrorCode::kBadValue, 36));
  CHECK(is(with(32, 3), ErrorCode::kMismatch, 32));
  CHECK(is(with(52, 1), ErrorCode::kBadVersion, 52));
  for (const u32 bits : {0u, 0x7FC00000u, 0x7F800000u, 0xBF800000u}) {
    CHECK(is(with(56, bits), ErrorCode::kNumeric, 56));
    CHECK(is(with(60, bits), ErrorCode::kNumeric, 60));
  }
  File file;
  for (usize n = 4; n < 108; ++n) {
    CHECK(is(file.error(file.out.size() - n), ErrorCode::kTruncated, n));
  }
}

TEST_CASE("slm: sections (S03, S07)", "[format][slm]") {
  CHECK(is(with(64, ~u64{0}, 8), ErrorCode::kOverflow, 64));
  CHECK(is(with(64, 100, 8), ErrorCode::kOverlap, 64));
  CHECK(is(with(64, sizeof(g_file), 8), ErrorCode::kTruncated, 64));
  CHECK(is(with(72, 65 * kMiB, 8), ErrorCode::kLimit, 72));
  CHECK(is(with(72, kDataAt, 8), ErrorCode::kOverlap, 64));
  CHECK(is(with(72, kTokenizerBytes + 1, 8), ErrorCode::kOverlap, 80));
  CHECK(is(with(80, kTokenizerAt, 8), ErrorCode::kOverlap, 64));
  CHECK(is(with(80, ~u64{0} - 8, 8), ErrorCode::kOverflow, 80));
  CHECK(is(with(88, 10), ErrorCode::kMismatch, 88));
  CHECK(is(with(88, 11), ErrorCode::kMissing, 16));
  CHECK(is(with(92, kDataAt + 1, 8), ErrorCode::kBadAlignment, 92));
  CHECK(is(with(92, u64{1} << 40, 8), ErrorCode::kTruncated, 92));
  File file;
  CHECK(file.error(1).code == ErrorCode::kBadHash);
  g_file[kDataAt + 5] ^= 1;
  CHECK(is(file.error(), ErrorCode::kBadHash, 100));
}

TEST_CASE("slm: directory (S05, S06, S09)", "[format][slm]") {
  const u64 q = entry_at(2);  // attn_q, q4_0
  CHECK(is(with(q, 1), ErrorCode::kBadName, q));
  File file;
  u64 first = 0;
  __builtin_memcpy(&first, g_file + entry_at(0), 8);
  CHECK(is(with(q, first, 8), ErrorCode::kDuplicate, q));
  CHECK(is(with(q + kTypeAt, 0), ErrorCode::kBadType, q + kTypeAt));
  CHECK(is(with(q + kTypeAt, 4), ErrorCode::kBadType, q + kTypeAt));
  CHECK(is(with(q + 12, 1), ErrorCode::kBadShape, q + 12));
  CHECK(is(with(q + kDimsAt, 31), ErrorCode::kMismatch, q + kDimsAt));
  CHECK(is(with(q + kDimsAt + 12, 2), ErrorCode::kMismatch, q + kDimsAt + 12));
  CHECK(is(with(q + kOffsetAt, kDataAt + 1, 8), ErrorCode::kBadAlignment, q + kOffsetAt));
  CHECK(is(with(q + kOffsetAt, kDataAt, 8), ErrorCode::kOverlap, q + kOffsetAt));
  CHECK(is(with(q + kOffsetAt, u64{1} << 50, 8), ErrorCode::kBadOffset, q + kOffsetAt));
  CHECK(is(with(q + kLengthAt, 511, 8), ErrorCode::kMismatch, q + kLengthAt));
  CHECK(is(with(q + kScalesAt, 0, 8), ErrorCode::kOverlap, q + kScalesAt));
  CHECK(is(with(entry_at(1) + kScalesAt, 64, 8), ErrorCode::kBadOffset, entry_at(1) + kScalesAt));
  for (const u32 block : {0u, 1u, 3u, 0x80000000u})
    CHECK(is(with(q + kBlockAt, block), ErrorCode::kBadValue, q + kBlockAt));
  CHECK(is(with(q + 60, 1), ErrorCode::kBadValue, q + 60));
  const Error error = with(q + kTypeAt, 9);
  CHECK(error.subject_text() == "blk.0.attn_q.weight");
  File longer;
  longer.out.zeros(64);
  longer.seal();
  CHECK(is(longer.error(), ErrorCode::kMismatch, longer.out.size() - 64));
}

TEST_CASE("slm: tokenizer (S08)", "[format][slm]") {
  const u64 t = kTokenizerAt;
  CHECK(is(with(t, 0), ErrorCode::kBadMagic, t));
  CHECK(is(with(t + 4, 2), ErrorCode::kBadVersion, t + 4));
  CHECK(is(with(t + 8, kVocab + 1), ErrorCode::kMismatch, t + 8));
  CHECK(is(with(t + 12, 4), ErrorCode::kBadVersion, t + 12));
  CHECK(is(with(t + 16, 255), ErrorCode::kBadValue, t + 16));
  CHECK(is(with(t + 20, 260), ErrorCode::kBadValue, t + 20));
  CHECK(is(with(t + 16, ~u32{0}), ErrorCode::kMismatch, t + 12));
  CHECK(is(with(t + 32, 3), ErrorCode::kTruncated, t + 32));
  CHECK(is(with(t + 32, 1), ErrorCode::kMismatch, t + 32));
  CHECK(is(with(t + 60, 1), ErrorCode::kBadValue, t + 60));
  CHECK(is(with(t + 64, 260), ErrorCode::kBadValue, t + 64));  // itself
  CHECK(is(with(t + 64, 256), ErrorCode::kBadValue, t + 64));  // a special token
  CHECK(is(with(t + 72, 261), ErrorCode::kMismatch, t + 72));
  CHECK(is(with(t + 76, 1), ErrorCode::kMismatch, t + 72));
  CHECK(is(with(72, 8, 8), ErrorCode::kTruncated, t));
}

TEST_CASE("slm: limits are part of what is allowed", "[format][slm]") {
  constexpr u32 kMost[] = {1 << 20, 1024, 1024, 1024, 1024, 1 << 20, 1 << 20, 1 << 20};
  for (u32 field = 0; field < 8; ++field) {
    const u64 at = 20 + 4 * u64{field};
    CHECK(!is(with(at, kMost[field]), ErrorCode::kBadValue, at));
    CHECK(is(with(at, kMost[field] + 1), ErrorCode::kBadValue, at));
  }
  // A tokenizer of 64 MiB is not in this file; one byte more is in none.
  CHECK(is(with(72, 64 * kMiB, 8), ErrorCode::kTruncated, 64));
  CHECK(is(with(72, 64 * kMiB + 1, 8), ErrorCode::kLimit, 72));
}

TEST_CASE("slm: a file that changes while it is read is refused", "[format][slm]") {
  // The first bytes, between the look at what the file is and the reading of it.
  class Changing final : public ByteSource {
   public:
    explicit Changing(Span<const u8> bytes) : file_(bytes) {}
    [[nodiscard]] u64 size() const override { return file_.size(); }
    [[nodiscard]] Status read(u64 offset, Span<u8> out) override {
      const Status status = file_.read(offset, out);
      if (file_.n_read() == 2) out[0] = 'X';
      return status;
    }

   private:
    BufferSource file_;
  };
  File built;
  Arena arena{Span<u8>(g_arena)};
  Changing changing(built.out.bytes());
  const Result<ModelFile> refused = ModelFile::open(changing, arena);
  REQUIRE(!refused.ok());
  CHECK(is(refused.error(), ErrorCode::kBadMagic, 0));

  // A scale, between the choice of a type that holds it and the reading of the weights.
  BufferSource source(built.out.bytes());
  const Result<ModelFile> file = ModelFile::open(source, arena);
  REQUIRE(file.ok());
  TensorInfo tensor;
  REQUIRE(file.value().find_tensor("token_embd.weight", tensor));
  u64 scales = 0;
  __builtin_memcpy(&scales, g_file + entry_at(0) + kScalesAt, 8);
  built.put(scales, 0x3EAAAAAB);
  u8 block[34] = {};
  const Status status = file.value().data().read(tensor.file_offset, block);
  REQUIRE(!status.ok());
  CHECK(is(status.error(), ErrorCode::kMismatch, scales));
}

TEST_CASE("slm: a read of the weights fails as the file does, wherever that is", "[format][slm]") {
  File built;
  for (const u32 tensor_index : {0u, 2u}) {  // q8_0, q4_0
    u32 n_failed = 0;
    for (u32 nth = 1;; ++nth) {
      Arena arena{Span<u8>(g_arena)};
      BufferSource source(built.out.bytes());
      const Result<ModelFile> file = ModelFile::open(source, arena);
      REQUIRE(file.ok());
      TensorInfo tensor;
      TextBuffer<64> name;
      static_cast<void>(slm::tensor_shape(built.shape, tensor_index, name));
      REQUIRE(file.value().find_tensor(name.text(), tensor));
      source.fail_read(source.n_read() + nth);
      static u8 bytes[16384];
      const Status status =
          file.value().data().read(tensor.file_offset, {bytes, static_cast<usize>(tensor.n_byte)});
      if (status.ok()) break;
      CHECK(status.error().code == ErrorCode::kIo);
      ++n_failed;
    }
    CHECK(n_failed >= 2);  // integers and scales
  }
  // What lies behind the end can not be read, not even nothing; at the end nothing can.
  Arena arena{Span<u8>(g_arena)};
  BufferSource source(built.out.bytes());
  const Result<ModelFile> file = ModelFile::open(source, arena);
  REQUIRE(file.ok());
  ByteSource& data = file.value().data();
  u8 byte[1] = {};
  CHECK(is(data.read(data.size() + 1, byte).error(), ErrorCode::kTruncated, data.size()));
  CHECK(data.read(data.size(), {byte, 0}).ok());
}

TEST_CASE("slm: memory that ends anywhere is an error that takes nothing", "[format][slm]") {
  File built;
  bool opened = false;
  for (usize n_byte = 64; !opened; n_byte += 64) {
    REQUIRE(n_byte <= sizeof(g_arena));
    Arena arena{Span<u8>(g_arena, n_byte)};
    BufferSource source(built.out.bytes());
    const Result<ModelFile> file = ModelFile::open(source, arena);
    opened = file.ok();
    if (opened) continue;
    REQUIRE(file.error().code == ErrorCode::kOutOfMemory);
    REQUIRE(arena.bytes_used() == 0);
  }
}
