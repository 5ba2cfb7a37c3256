#include "core/tokenizer/unigram.h"

#include "core/tokenizer/charsmap.h"
#include "core/tokenizer/tokenizer.h"
#include "tests/test.h"
#include "tests/tokenizer/tiny_vocab.h"

namespace lbm::test {
namespace {

#define SP "\xE2\x96\x81"
constexpr TinyToken kPieces[] = {
    {"<pad>", TokenType::kControl},    {"</s>", TokenType::kControl},
    {"<unk>", TokenType::kUnknown},    {SP, TokenType::kNormal, -2},
    {"a", TokenType::kNormal, -3},     {"b", TokenType::kNormal, -3},
    {"ab", TokenType::kNormal, -5},    {SP "a", TokenType::kNormal, -4},
    {"abab", TokenType::kNormal, -11}, {"x", TokenType::kUnused, -1},
    {"[t]", TokenType::kUserDefined}};
constexpr u32 kEos = 1, kUnknown = 2, kSp = 3, kA = 4, kB = 5, kAb = 6, kSpA = 7, kX = 9, kT = 10;

TinyVocab pieces() {
  TinyVocab vocab;
  vocab.model = "t5";
  vocab.pre = "default";
  vocab.tokens = kPieces;
  vocab.no_merges = true;
  return vocab;
}

// A character map of one sequence, "A" -> `text`: the root's children are at 256 ^ label, and the
// node of "A" ends a sequence whose replacement the unit at 512 names.
struct TinyMap {
  static constexpr u32 kUnits = 768;
  static constexpr u32 kNode = 256 ^ 'A';
  u8 bytes[4 + kUnits * 4 + 80] = {};
  usize n_byte = 0;

  explicit TinyMap(Str text) {
    set_size(kUnits * 4);
    set(0, 256u << 10);
    set(kNode, (kNode ^ 512u) << 10 | 0x100 | 'A');
    set(512, 1u << 31);
    __builtin_memcpy(bytes + 4 + kUnits * 4, text.data(), text.size());
    n_byte = 4 + kUnits * 4 + text.size() + 1;
  }
  void set_size(u32 value) { __builtin_memcpy(bytes, &value, 4); }
  void set(u32 unit, u32 value) { __builtin_memcpy(bytes + 4 + unit * 4, &value, 4); }
  [[nodiscard]] Span<const u8> view() const { return {bytes, n_byte}; }
  [[nodiscard]] ErrorCode error() const {
    TinyVocab vocab = pieces();
    vocab.charsmap = view();
    LoadedTiny tiny(vocab);
    return tiny.ok() ? ErrorCode::kOk : tiny.error().code;
  }
};

}  // namespace

TEST_CASE("unigram: the best sum of scores wins, the first of equals", "[tokenizer]") {
  LoadedTiny tiny(pieces());
  REQUIRE(tiny.ok());
  const u32 sum[] = {kAb};  // -5 beats -3 - 3
  CHECK(tiny.encodes("ab", sum));
  const u32 twice[] = {kAb, kAb};  // -10 beats -11
  CHECK(tiny.encodes("abab", twice));
  const u32 spaced[] = {kA, kSpA};  // -4 beats -2 - 3
  CHECK(tiny.encodes("a a", spaced));
  const u32 unused[] = {kX, kT, kB};
  CHECK(tiny.encodes("x[t]b", unused));
  CHECK(tiny.encodes("", {}));
}

TEST_CASE("unigram: unknown characters in a row are one token", "[tokenizer]") {
  LoadedTiny tiny(pieces());
  REQUIRE(tiny.ok());
  const u32 ids[] = {kA, kUnknown, kB, kUnknown};
  CHECK(tiny.encodes("a\xC3\xA9zb\xFF", ids));
  const u32 with_end[] = {kA, kEos};
  CHECK(tiny.encodes("a", with_end, {true, false}));
  const u32 control[] = {kEos, kUnknown};
  CHECK(tiny.encodes("</s>/", control, {false, true}));
}

TEST_CASE("unigram: spaces in front and between", "[tokenizer]") {
  TinyVocab vocab = pieces();
  vocab.add_space_prefix = 1;
  LoadedTiny prefixed(vocab);
  REQUIRE(prefixed.ok());
  const u32 two[] = {kSp, kSp, kSpA, kSp};  // the prefix, and all that the text has
  CHECK(prefixed.encodes("  a ", two));
  const u32 decoded[] = {kSpA, kSpA};
  CHECK(prefixed.decodes(decoded, "a a"));
  vocab.merge_spaces = 1;
  LoadedTiny merged(vocab);
  REQUIRE(merged.ok());
  const u32 one[] = {kSpA, kSp, kB};
  CHECK(merged.encodes("  a   b  ", one));
  CHECK(merged.encodes("   ", {}));
  vocab = pieces();
  vocab.space_prefix = "missing";
  LoadedTiny missing(vocab);
  REQUIRE(missing.ok());
  const u32 own[] = {kSpA};
  CHECK(missing.encodes("a", own));
  CHECK(missing.encodes(" a", own));
}

TEST_CASE("unigram: a file without an unknown token is refused", "[tokenizer]") {
  TinyVocab vocab = pieces();
  const TinyToken few[] = {{"a", TokenType::kNormal, -1}};
  vocab.tokens = few;
  const LoadedTiny tiny(vocab);
  CHECK(tiny.refused(ErrorCode::kMissing));
  vocab = pieces();
  vocab.space_prefix = "sometimes";
  const LoadedTiny prefix(vocab);
  CHECK(prefix.refused(ErrorCode::kBadValue));
  vocab = pieces();
  vocab.normalizer = "nfkc";
  const LoadedTiny normalizer(vocab);
  CHECK(normalizer.refused(ErrorCode::kUnsupported));
}

TEST_CASE("unigram: the character map replaces what it knows", "[tokenizer]") {
  TinyMap map("b a");
  TinyVocab vocab = pieces();
  vocab.charsmap = map.view();
  LoadedTiny tiny(vocab);
  REQUIRE(tiny.ok());
  const u32 ids[] = {kB, kSpA, kA};
  CHECK(tiny.encodes("Aa", ids));
  const TinyMap nothing("");
  vocab.charsmap = nothing.view();
  LoadedTiny dropped(vocab);
  REQUIRE(dropped.ok());
  const u32 rest[] = {kAb};
  CHECK(dropped.encodes("aAb", rest));
}

TEST_CASE("unigram: damaged character maps are refused", "[tokenizer]") {
  for (usize n = 1; n < 4; ++n) {
    TinyMap map("b");
    map.n_byte = n;
    CHECK(map.error() == ErrorCode::kTruncated);
  }
  TinyMap beyond("b");
  beyond.set_size(TinyMap::kUnits * 4 + 2);
  CHECK(beyond.error() == ErrorCode::kBadOffset);
  TinyMap odd("b");
  odd.set_size(TinyMap::kUnits * 4 - 2);
  CHECK(odd.error() == ErrorCode::kBadValue);
  TinyMap open("b");
  --open.n_byte;
  CHECK(open.error() == ErrorCode::kTruncated);
  TinyMap outside("b");
  outside.set(0, 768u << 10);
  CHECK(outside.error() == ErrorCode::kBadOffset);
  TinyMap far("b");
  far.set(512, 1u << 31 | 2);
  CHECK(far.error() == ErrorCode::kBadOffset);
  TinyMap loop("b");
  loop.set(TinyMap::kNode, (TinyMap::kNode ^ 256u) << 10 | 'A');
  CHECK(loop.error() == ErrorCode::kBadValue);
  const TinyMap last("bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb");
  CHECK(last.error() == ErrorCode::kOk);
}

TEST_CASE("unigram: character maps at their limits", "[tokenizer]") {
  char text[66];
  __builtin_memset(text, 'b', sizeof(text));
  CHECK(TinyMap(Str(text, 64)).error() == ErrorCode::kOk);  // 64 bytes for one
  CHECK(TinyMap(Str(text, 65)).error() == ErrorCode::kLimit);
  __builtin_memset(text, ' ', sizeof(text));
  text[21] = 'b';
  CHECK(TinyMap(Str(text, 22)).error() == ErrorCode::kOk);  // spaces count as three
  text[21] = ' ';
  CHECK(TinyMap(Str(text, 22)).error() == ErrorCode::kLimit);

  constexpr u8 kNothing[8] = {};
  TinyVocab vocab = pieces();
  vocab.charsmap = Span<const u8>(kNothing).first(4);  // room for its size, and no more
  CHECK(LoadedTiny(vocab).error().code == ErrorCode::kBadOffset);
  vocab.charsmap = kNothing;  // no unit
  CHECK(LoadedTiny(vocab).error().code == ErrorCode::kBadValue);
  // The last children that there can be, and units that end right before.
  TinyMap far("b");
  far.set(0, 512u << 10);
  CHECK(far.error() == ErrorCode::kOk);
  far.set_size((TinyMap::kUnits - 1) * 4);
  CHECK(far.error() == ErrorCode::kBadOffset);
}

TEST_CASE("unigram: character maps of long and of shared sequences", "[tokenizer]") {
  // n times "A" is "b": node k + 1 is the child of node k, and unit 200 names the string.
  const auto chain = [](TinyMap& map, u32 n) {
    for (u32 k = 0; k <= n; ++k) {
      const u32 children = k == n ? 200 : (k + 1) ^ 'A';
      map.set(k, (k ^ children) << 10 | (k == n ? 0x100u : 0u) | (k == 0 ? 0u : u32{'A'}));
    }
    map.set(200, 1u << 31);
  };
  char text[80];
  __builtin_memset(text, 'A', sizeof(text));
  TinyMap longest("b");
  longest.set(TinyMap::kNode, 0);
  longest.set(512, 0);
  TinyMap longer = longest;
  chain(longest, Charsmap::kMaxKeyBytes);
  TinyVocab vocab = pieces();
  vocab.charsmap = longest.view();
  LoadedTiny tiny(vocab);
  REQUIRE(tiny.ok());
  const u32 one[] = {kB};
  const u32 more[] = {kB, kUnknown};
  const u32 fewer[] = {kUnknown};
  CHECK(tiny.encodes(Str(text, 64), one));
  CHECK(tiny.encodes(Str(text, 65), more));
  CHECK(tiny.encodes(Str(text, 63), fewer));
  text[40] = '\0';
  CHECK(tiny.encodes(Str(text, 64), fewer));
  chain(longer, Charsmap::kMaxKeyBytes + 1);
  CHECK(longer.error() == ErrorCode::kLimit);

  // "AC" and "BC" end at one node, and "A" alone is replaced, too.
  TinyMap shared("b");
  constexpr u32 kOther = 256 ^ 'B';
  constexpr u32 kEnd = 600 ^ 'C';
  shared.set(TinyMap::kNode, (TinyMap::kNode ^ 600) << 10 | 0x100 | 'A');
  shared.set(kOther, (kOther ^ 600) << 10 | 'B');
  shared.set(600, 1u << 31);
  shared.set(kEnd, (kEnd ^ 300) << 10 | 0x100 | 'C');
  shared.set(300, 1u << 31 | 1);
  vocab.charsmap = shared.view();
  LoadedTiny both(vocab);
  REQUIRE(both.ok());
  const u32 ids[] = {kAb, kA};  // "AC" and "BC" are nothing, "A" is "b"
  CHECK(both.encodes("aACABCa", ids));
}

TEST_CASE("unigram: a user-defined piece wins over better scores", "[tokenizer]") {
  TinyVocab vocab = pieces();
  const TinyToken tokens[] = {{"<unk>", TokenType::kUnknown},
                              {"ab", TokenType::kUserDefined, -50},
                              {"a", TokenType::kNormal, -0.5f},
                              {"b", TokenType::kNormal, -0.5f}};
  vocab.tokens = tokens;
  static u8 file[4096];
  static u8 memory[8192];
  BufferSource source(TinyVocabWriter(vocab, file).write());
  Arena arena(memory);
  const Result<ModelFile> opened = ModelFile::open(source, arena);
  REQUIRE(opened.ok());
  Vocab loaded;
  REQUIRE(loaded.load(arena, opened.value(), true).ok());
  PieceIndex index;
  REQUIRE(index.load(arena, loaded, [](u32 id) { return id > 0; }).ok());
  UnigramCut cuts[3];
  static_cast<void>(cut_unigram({&loaded, &index, 0, -20}, "ab", cuts));
  CHECK((cuts[0].id == 1 && cuts[0].link == 2));
}

TEST_CASE("unigram: steps grow with the text, not with its square", "[tokenizer]") {
  TinyVocab vocab = pieces();
  static u8 file[16384];
  static u8 memory[65536];
  BufferSource source(TinyVocabWriter(vocab, file).write());
  Arena arena(memory);
  Result<ModelFile> opened = ModelFile::open(source, arena);
  REQUIRE(opened.ok());
  Vocab pieces_of_file;
  REQUIRE(pieces_of_file.load(arena, opened.value(), true).ok());
  PieceIndex index;
  REQUIRE(index.load(arena, pieces_of_file, [](u32 id) { return id > 2; }).ok());
  constexpr usize kLength = 1 << 14;
  static char text[kLength];
  static UnigramCut cuts[kLength + 1];
  constexpr char kBytes[] = {'a', ' ', '\n', '\xFF', 'b'};
  for (const char byte : kBytes) {
    for (char& c : text) c = byte;
    const u64 n_step =
        cut_unigram({&pieces_of_file, &index, 2, -20}, Str(text, kLength), {cuts, kLength + 1});
    CHECK(n_step <= kLength * 5);  // the longest piece that begins so has four bytes
  }
}

}  // namespace lbm::test
