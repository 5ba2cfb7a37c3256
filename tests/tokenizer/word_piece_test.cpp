#include "core/tokenizer/word_piece.h"

#include "core/tokenizer/tokenizer.h"
#include "tests/test.h"
#include "tests/tokenizer/tiny_vocab.h"

namespace lbm::test {
namespace {

#define SP "\xE2\x96\x81"
constexpr TinyToken kPieces[] = {{"[UNK]", TokenType::kUnknown},
                                 {"[CLS]", TokenType::kControl},
                                 {"[SEP]", TokenType::kControl},
                                 {SP "un"},
                                 {SP "unaff"},
                                 {"able"},
                                 {"a"},
                                 {SP "e"},
                                 {SP ","},
                                 {SP "\xE6\x9D\xB1"},
                                 {SP "E"},
                                 {SP "\xE1\x84\x80"}};
constexpr u32 kUnknown = 0, kCls = 1, kSep = 2, kUn = 3, kUnaff = 4, kAble = 5, kE = 7, kComma = 8,
              kEast = 9, kBigE = 10, kInitial = 11;

TinyVocab pieces() {
  TinyVocab vocab;
  vocab.model = "bert";
  vocab.pre = "default";
  vocab.tokens = kPieces;
  vocab.no_merges = true;
  vocab.no_scores = true;
  vocab.unknown = kUnknown;
  vocab.bos = kCls;
  vocab.separator = kSep;
  return vocab;
}

}  // namespace

TEST_CASE("WordPiece: the longest piece first, and a word that does not end well is unknown",
          "[tokenizer]") {
  LoadedTiny tiny(pieces());
  REQUIRE(tiny.ok());
  const u32 ids[] = {kUnaff, kAble, kComma, kUn, kUnknown};
  CHECK(tiny.encodes("Unaffable, un UNAB", ids));
  const u32 framed[] = {kCls, kUn, kSep};
  CHECK(tiny.encodes("un", framed, {true, false}));
  CHECK(tiny.encodes(" \t\n", {}));
  const u32 words[] = {kUnaff, kAble, kComma};
  CHECK(tiny.decodes(words, " unaffable,"));  // the space before the comma is cleaned up
}

TEST_CASE("WordPiece: accents, case, controls and Chinese characters", "[tokenizer]") {
  LoadedTiny tiny(pieces());
  REQUIRE(tiny.ok());
  const u32 accents[] = {kE, kE, kEast, kUn};
  CHECK(tiny.encodes("\xC3\x89 e\xCC\x81\xE6\x9D\xB1u\xC2\xADn\xEF\xBF\xBD", accents));
  // A Hangul syllable: its initial alone, or all of its letters.
  const u32 initial[] = {kInitial};
  CHECK(tiny.encodes("\xEA\xB0\x80", initial));
  TinyVocab cased = pieces();
  cased.lowercase = 0;
  LoadedTiny kept(cased);
  REQUIRE(kept.ok());
  const u32 big[] = {kBigE, kUnknown};
  CHECK(kept.encodes("E \xC3\x89", big));
  TinyVocab whole = pieces();
  whole.normalizer = "bert";
  LoadedTiny hugging_face(whole);
  REQUIRE(hugging_face.ok());
  const u32 unknown[] = {kUnknown};
  CHECK(hugging_face.encodes("\xEA\xB0\x80", unknown));
}

TEST_CASE("WordPiece: a file that does not name its frame is refused", "[tokenizer]") {
  TinyVocab vocab = pieces();
  vocab.separator = Tokenizer::kNoToken;  // 102 by default, which this vocabulary has not
  const LoadedTiny tiny(vocab);
  CHECK(tiny.refused(ErrorCode::kMismatch));
}

TEST_CASE("WordPiece: steps grow with the text, not with its square", "[tokenizer]") {
  static u8 file[16384];
  static u8 memory[65536];
  const TinyVocab vocab = pieces();
  BufferSource source(TinyVocabWriter(vocab, file).write());
  Arena arena(memory);
  Result<ModelFile> opened = ModelFile::open(source, arena);
  REQUIRE(opened.ok());
  Vocab pieces_of_file;
  REQUIRE(pieces_of_file.load(arena, opened.value(), false).ok());
  PieceIndex index;
  REQUIRE(index.load(arena, pieces_of_file, [](u32 id) { return id > 2; }).ok());
  constexpr usize kLength = 1 << 14;
  static char text[kLength];
  static char word_memory[WordReader::word_bytes(kLength)];
  constexpr char kBytes[] = {'a', ' ', '.', '\xFF'};
  for (const char byte : kBytes) {
    for (char& c : text) c = byte;
    WordReader words({}, Str(text, kLength), word_memory);
    u64 n_step = 0;
    u64 n_piece = 0;
    for (Str word; words.next(word);) {
      static_cast<void>(cut_word(index, word, n_step, [&](u32) { ++n_piece; }));
    }
    CHECK(n_step <= (kLength + 3) * 8);  // the longest piece has eight bytes
  }
}

}  // namespace lbm::test
