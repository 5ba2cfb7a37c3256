// sniff: what a file is by its first bytes, whatever its name, and what a person is told.
#include "core/format/sniff.h"

#include "core/format/foreign_types.h"
#include "tests/format/gguf_builder.h"
#include "tests/test.h"

using namespace lbm;
using lbm::test::GgufBuilder;

namespace {

u8 g_head[kSniffBytes];

GgufBuilder head() { return GgufBuilder(Span<u8>(g_head)); }

FileKind kind_of(const GgufBuilder& start, u64 file_size = 1000) {
  return sniff(start.bytes(), file_size);
}

struct Case {
  Str start;
  FileKind kind;
  Str name;
};
constexpr Case kCases[] = {
    {"GGUF", FileKind::kGguf, "GGUF"},
    {"FUGG", FileKind::kGguf, "GGUF"},
    {"SLM1", FileKind::kSlm, "SLM1"},
    {"1MLS", FileKind::kSlm, "SLM1"},
    {"24ka", FileKind::kLlama2c, "llama2.c"},
    {"PK\x03\x04", FileKind::kZip, "zip archive"},
    {"PK\x05\x06", FileKind::kZip, "zip archive"},
    {"\x1f\x8b\x08\x08", FileKind::kGzip, "gzip archive"},
    {"lmgg", FileKind::kOldGgml, "old ggml"},
    {"fmgg", FileKind::kOldGgml, "old ggml"},
    {"tjgg", FileKind::kOldGgml, "old ggml"},
    {"algg", FileKind::kLoraAdapter, "old LoRA adapter"},
    {"FILC", FileKind::kClif, "CLIF-1"},
    {"SCXM", FileKind::kScxm, "SCXM"},
    {"<!DOCTYPE", FileKind::kWebPage, "web page"},
    {"<html>", FileKind::kWebPage, "web page"},
    {"version https://git-lfs", FileKind::kLfsPointer, "Git LFS pointer"},
    {"\x80\x02}q", FileKind::kPickle, "pickle"},
    {"\x80\x05}q", FileKind::kPickle, "pickle"},
    {"  {\"weight_map\"", FileKind::kJson, "JSON"},
    {"[1, 2]", FileKind::kJson, "JSON"},
    {"Once upon", FileKind::kUnknown, "unknown"},
    {"\x80\x01}q", FileKind::kUnknown, "unknown"},
    {"\x80\x06}q", FileKind::kUnknown, "unknown"},
    {"    ", FileKind::kUnknown, "unknown"},
    {"GGU", FileKind::kTooShort, "nothing"},
};

}  // namespace

TEST_CASE("sniff: a file is known by its first bytes", "[format]") {
  for (const Case& c : kCases) {
    const GgufBuilder start = head().raw(c.start);
    CHECK(kind_of(start) == c.kind);
    CHECK(file_kind_name(c.kind) == c.name);
    const Error error = refuse_kind(c.kind, start.bytes(), 1000);
    CHECK(error.offset == 0);
    CHECK(error.code ==
          (c.kind == FileKind::kTooShort ? ErrorCode::kTruncated : ErrorCode::kBadMagic));
    const bool is_model =
        c.kind == FileKind::kGguf || c.kind == FileKind::kSlm || c.kind == FileKind::kLlama2c;
    CHECK(Str(error.what).empty() == is_model);
  }
}

TEST_CASE("sniff: safetensors have a length and as much JSON", "[format]") {
  CHECK(kind_of(head().u64_value(992).raw("{}")) == FileKind::kSafetensors);
  CHECK(kind_of(head().u64_value(993).raw("{}")) == FileKind::kUnknown);
  CHECK(kind_of(head().u64_value(2).raw("{}")) == FileKind::kSafetensors);
  CHECK(kind_of(head().u64_value(1).raw("{}")) == FileKind::kUnknown);
  CHECK(kind_of(head().u64_value(992).raw("x")) == FileKind::kUnknown);
  CHECK(kind_of(head().u64_value(992)) == FileKind::kUnknown);
  CHECK(file_kind_name(FileKind::kSafetensors) == "safetensors");
  CHECK(Str(refuse_kind(FileKind::kSafetensors, {}, 1000).what).contains("lbm convert"));
}

TEST_CASE("sniff: the tokenizer of llama2.c is not taken for a model", "[format]") {
  const auto with = [](u32 longest, u32 n_byte, Str text) {
    return kind_of(head().u32_value(longest).f32_value(0.0f).u32_value(n_byte).raw(text));
  };
  CHECK(with(7, 5, "<unk>") == FileKind::kTokenizerBin);
  CHECK(with(5, 5, "<unk>") == FileKind::kTokenizerBin);
  CHECK(with(65535, 5, "<unk>") == FileKind::kTokenizerBin);
  CHECK(with(4, 5, "<unk>") != FileKind::kTokenizerBin);
  CHECK(with(65536, 5, "<unk>") != FileKind::kTokenizerBin);
  CHECK(with(7, 6, "<unk>") != FileKind::kTokenizerBin);
  CHECK(with(7, 5, "<unx>") != FileKind::kTokenizerBin);
  CHECK(Str(refuse_kind(FileKind::kTokenizerBin, {}, 1000).what).contains("beside"));
  CHECK(file_kind_name(FileKind::kTokenizerBin) == "llama2.c tokenizer");
  CHECK(file_kind_name(FileKind::kLlama2cLegacy) == "llama2.c");
}

TEST_CASE("sniff: a legacy llama2.c model has at least six possible numbers", "[format]") {
  constexpr u32 kGood[] = {288, 768, 6, 6, 6, 32000, 256};
  const auto with = [&](u32 n, u32 changed_a, u32 changed_b, u32 value) {
    GgufBuilder out = head();
    for (u32 i = 0; i < n; ++i) out.u32_value(i == changed_a || i == changed_b ? value : kGood[i]);
    return kind_of(out);
  };
  constexpr u32 kNone = 9;
  CHECK(with(7, kNone, kNone, 0) == FileKind::kLlama2cLegacy);
  CHECK(with(7, 5, kNone, static_cast<u32>(-32000)) == FileKind::kLlama2cLegacy);  // untied
  for (u32 i = 0; i < 7; ++i) {
    CHECK(with(7, i, kNone, 0) == FileKind::kLlama2cLegacy);
    CHECK(with(7, i, (i + 1) % 7, 0) == FileKind::kUnknown);
    CHECK(with(7, i, (i + 1) % 7, 1u << 21) == FileKind::kUnknown);
  }
  CHECK(with(7, 5, 6, static_cast<u32>(-(1 << 21))) == FileKind::kUnknown);
  // Of a file that ends inside them.
  CHECK(with(2, kNone, kNone, 0) == FileKind::kLlama2cLegacy);
  CHECK(with(2, 1, kNone, 0) == FileKind::kUnknown);
  CHECK(with(1, kNone, kNone, 0) == FileKind::kUnknown);
}

TEST_CASE("types of tensors that only others have are known by name", "[format]") {
  CHECK(Str(foreign_type(4).name) == "Q4_2");
  CHECK(Str(foreign_type(38).name) == "IQ4_NL_8_8");
  CHECK(Str(foreign_type(38).what).contains("removed"));
  CHECK(Str(foreign_type(97).name) == "Q8_0_X4");
  CHECK(Str(foreign_type(399).name) == "Q8_K_R8");
  CHECK(Str(foreign_type(399).what).contains("ik_llama.cpp"));
  CHECK(foreign_type(400).name == nullptr);
  CHECK(Str(foreign_type(400).what).contains("unknown tensor type"));
}
