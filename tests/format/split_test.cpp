// Split GGUF: the parts become one model, and what is wrong with them is said.
#include "core/format/split.h"

#include "tests/format/folder_source.h"
#include "tests/test.h"

using namespace lbm;
using lbm::test::GgufBuilder;
using lbm::test::MemoryFile;
using lbm::test::MemoryFolder;

namespace {

constexpr u32 kParts = 3;
constexpr Str kNames[kParts] = {"m-00001-of-00003.gguf", "m-00002-of-00003.gguf",
                                "m-00003-of-00003.gguf"};

u8 g_files[kParts][1024];
u8 g_arena[65536];

struct PartFacts {
  u16 number = 0;
  u16 count = kParts;
  u32 n_tensor = 3;
  Str tensor = "a";
  Str architecture = "";
};

// One tensor of eight floats, all of them `number`.
Span<const u8> build(Span<u8> out, const PartFacts& facts) {
  GgufBuilder b(out);
  const bool named = !facts.architecture.empty();
  b.header(1, named ? 4 : 3);
  if (named) b.text_key("general.architecture", facts.architecture);
  b.key("split.no", MetaType::kU16).u16_value(facts.number);
  b.key("split.count", MetaType::kU16).u16_value(facts.count);
  b.key("split.tensors.count", MetaType::kI32).u32_value(facts.n_tensor);
  b.tensor(facts.tensor, 8, 0, DType::kF32, 0).pad(32);
  for (u32 i = 0; i < 8; ++i) b.f32_value(static_cast<f32>(facts.number));
  return b.bytes();
}

struct Set {
  Set() {
    constexpr Str kTensors[kParts] = {"a", "b", "c"};
    for (u32 i = 0; i < kParts; ++i) {
      PartFacts facts;
      facts.number = static_cast<u16>(i);
      facts.tensor = kTensors[i];
      if (i == 0) facts.architecture = "llama";
      set(i, facts);
    }
  }
  void set(u32 i, const PartFacts& facts) {
    files[i] = {kNames[i], build(Span<u8>(g_files[i]), facts)};
  }
  // How opening the part `first` ends; kOk for success. The arena must be as before otherwise.
  Error open(u32 first) {
    MemoryFolder folder(Span<const MemoryFile>(files, kParts));
    Arena arena{Span<u8>(g_arena)};
    Result<ByteSource*> source = folder.open(files[first].name);
    if (!source.ok()) return source.error();
    const Result<ModelFile> file = ModelFile::open(*source.value(), arena);
    if (file.ok()) return Error();
    if (arena.bytes_used() != 0)
      return fail(ErrorCode::kInvalidArgument, "the arena was not rewound");
    return file.error();
  }
  MemoryFile files[kParts];
};

bool is(const Error& error, ErrorCode code, Str subject) {
  return error.code == code && error.subject_text() == subject;
}

}  // namespace

TEST_CASE("names of parts", "[format][split]") {
  PartName name;
  REQUIRE(parse_part_name("a-b-00002-of-00013.gguf", name));
  CHECK(name.stem == "a-b");
  CHECK(name.suffix == ".gguf");
  CHECK(name.number == 2);
  CHECK(name.count == 13);
  CHECK(parse_part_name("x-00001-of-00001.GGUF", name));
  constexpr Str kBad[] = {"",
                          "model.gguf",
                          "-00001-of-00002.gguf",
                          "m-00000-of-00002.gguf",
                          "m-00003-of-00002.gguf",
                          "m-0001-of-00002.gguf",
                          "m-00001-of-0000a.gguf",
                          "m-0000a-of-00002.gguf",
                          "m-00001-on-00002.gguf",
                          "m_00001-of-00002.gguf",
                          "m-00001-of-00002_gguf"};
  for (const Str bad : kBad) CHECK(!parse_part_name(bad, name));
}

TEST_CASE("any part opens the whole model", "[format][split]") {
  Set set;
  for (u32 first = 0; first < kParts; ++first) {
    MemoryFolder folder(Span<const MemoryFile>(set.files, kParts));
    Arena arena{Span<u8>(g_arena)};
    const Result<ModelFile> opened = ModelFile::open(*folder.open(kNames[first]).value(), arena);
    REQUIRE(opened.ok());
    const ModelFile& file = opened.value();
    CHECK(folder.n_open() == kParts);
    CHECK(file.n_tensor() == 3);
    CHECK(file.get_text("general.architecture").value() == "llama");
    REQUIRE(file.parts().size() == kParts);
    CHECK(file.parts()[1].name == kNames[1]);
    CHECK(file.parts()[1].offset == set.files[0].bytes.size());
    u64 size = 0;
    for (const MemoryFile& part : set.files) size += part.bytes.size();
    CHECK(file.file_size() == size);
    CHECK(file.data().size() == size);
    CHECK(file.header().size() < set.files[0].bytes.size());  // of the first part, read once
    CHECK(!file.is_translated());
    for (u32 i = 0; i < kParts; ++i) {
      TensorInfo tensor;
      const char name[1] = {static_cast<char>('a' + i)};
      REQUIRE(file.find_tensor({name, 1}, tensor));
      f32 values[8] = {};
      REQUIRE(file.data().read(tensor.file_offset, {reinterpret_cast<u8*>(values), 32}).ok());
      CHECK(values[7] == static_cast<f32>(i));
    }
    // A read over the border of two parts, and one beyond the last.
    u8 bytes[8] = {};
    REQUIRE(file.data().read(file.parts()[2].offset - 4, bytes).ok());
    CHECK(Str(reinterpret_cast<const char*>(bytes) + 4, 4) == "GGUF");
    CHECK(file.data().read(size - 7, bytes).error().code == ErrorCode::kTruncated);
  }
}

TEST_CASE("parts that are missing, renamed or of another model", "[format][split]") {
  {
    Set set;
    set.files[1].name = "elsewhere";
    CHECK(is(set.open(0), ErrorCode::kMissing, kNames[1]));
    CHECK(set.open(0).value == 2);
    CHECK(set.open(0).limit == 3);
    // The part itself, under a name that says nothing.
    CHECK(is(set.open(1), ErrorCode::kMissing, "elsewhere"));
  }
  {
    Set set;
    lbm::swap(set.files[1].bytes, set.files[2].bytes);
    CHECK(is(set.open(0), ErrorCode::kMismatch, "part 2, split.no"));
    CHECK(is(set.open(1), ErrorCode::kMismatch, kNames[1]));
  }
  PartFacts facts;
  facts.number = 1;
  facts.tensor = "b";
  {
    Set set;
    facts.count = 4;
    set.set(1, facts);
    CHECK(is(set.open(0), ErrorCode::kMismatch, "part 2, split.count"));
    CHECK(is(set.open(1), ErrorCode::kMismatch, kNames[1]));  // the name says 3
    facts.count = kParts;
  }
  {
    Set set;
    facts.n_tensor = 5;
    set.set(1, facts);
    CHECK(is(set.open(0), ErrorCode::kMismatch, "part 2, split.tensors.count"));
    facts.n_tensor = 3;
  }
  {
    Set set;
    facts.architecture = "qwen2";
    set.set(1, facts);
    CHECK(is(set.open(0), ErrorCode::kMismatch, "part 2, general.architecture"));
    facts.architecture = "";
  }
  {
    Set set;
    facts.tensor = "c";
    set.set(1, facts);
    CHECK(is(set.open(0), ErrorCode::kDuplicate, "c"));
  }
  {
    Set set;
    set.files[2].bytes = set.files[2].bytes.first(set.files[2].bytes.size() - 1);
    CHECK(is(set.open(0), ErrorCode::kTruncated, "part 3, c"));
  }
}

TEST_CASE("counts of parts and tensors", "[format][split]") {
  Set set;
  PartFacts facts;
  facts.architecture = "llama";
  facts.count = 65;
  set.set(0, facts);
  CHECK(is(set.open(0), ErrorCode::kLimit, "split.count"));
  facts.count = kParts;
  facts.number = 3;
  set.set(0, facts);
  CHECK(is(set.open(0), ErrorCode::kBadValue, "split.no"));
  // All parts agree on a number of tensors that they do not have.
  constexpr Str kTensors[kParts] = {"a", "b", "c"};
  for (u32 i = 0; i < kParts; ++i) {
    facts.number = static_cast<u16>(i);
    facts.n_tensor = 4;
    facts.tensor = kTensors[i];
    set.set(i, facts);
  }
  CHECK(is(set.open(0), ErrorCode::kMismatch, "split.tensors.count"));
}

TEST_CASE("memory that ends anywhere while parts are joined is an error that takes nothing",
          "[format][split]") {
  Set set;
  bool opened = false;
  for (usize n_byte = 64; !opened; n_byte += 64) {
    REQUIRE(n_byte <= sizeof(g_arena));
    MemoryFolder folder(Span<const MemoryFile>(set.files, kParts));
    Arena arena{Span<u8>(g_arena, n_byte)};
    const Result<ModelFile> file = ModelFile::open(*folder.open(kNames[0]).value(), arena);
    opened = file.ok();
    if (opened) continue;
    REQUIRE(file.error().code == ErrorCode::kOutOfMemory);
    REQUIRE(arena.bytes_used() == 0);
  }
}

TEST_CASE("joined bytes: the error of a part has its place in the whole", "[format][split]") {
  class Part final : public ByteSource {
   public:
    explicit Part(bool concurrent) : concurrent_(concurrent) {}
    [[nodiscard]] u64 size() const override { return 100; }
    [[nodiscard]] Status read(u64 offset, Span<u8> out) override {
      if (fails) return fail(ErrorCode::kIo, "the disk failed").at(offset);
      if (fails_nowhere) return fail(ErrorCode::kIo, "the disk failed");
      __builtin_memset(out.data(), 7, out.size());
      return {};
    }
    [[nodiscard]] bool concurrent() const override { return concurrent_; }
    bool fails = false;
    bool fails_nowhere = false;

   private:
    bool concurrent_;
  };
  Part first(true);
  Part second(false);
  Part third(true);
  const JoinedSource::Piece pieces[] = {{&first, 0}, {&second, 100}, {&third, 200}};
  JoinedSource joined(pieces, 300);
  u8 bytes[150] = {};
  second.fails = true;
  const Status status = joined.read(90, bytes);
  REQUIRE(!status.ok());
  CHECK(status.error().code == ErrorCode::kIo);
  CHECK(status.error().offset == 100);
  second.fails = false;
  second.fails_nowhere = true;
  CHECK(joined.read(90, bytes).error().offset == Error::kNoOffset);
  second.fails_nowhere = false;
  CHECK(joined.read(90, bytes).ok());
  CHECK(joined.read(301, {bytes, 0}).error().code == ErrorCode::kTruncated);
  CHECK(joined.read(301, {bytes, 1}).error().offset == 300);
  CHECK(joined.read(300, {bytes, 0}).ok());
  // Tasks may read at the same time only where every part allows it.
  CHECK(!joined.concurrent());
  const JoinedSource::Piece others[] = {{&first, 0}, {&third, 100}};
  CHECK(JoinedSource(others, 200).concurrent());
}
