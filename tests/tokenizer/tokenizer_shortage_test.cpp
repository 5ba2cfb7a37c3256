// Tokenizers that run out of memory or of room, and vocabularies that were made to collide.
#include "core/base/fmt.h"
#include "core/tokenizer/byte_pairs.h"
#include "tests/test.h"
#include "tests/tokenizer/tiny_vocab.h"

namespace lbm::test {
namespace {

u8 g_vocab_file[40960];
u8 g_file_memory[8192];
alignas(Arena::kDefaultAlignment) u8 g_tokenizer_memory[98304];

// Creates the tokenizer with every amount of memory from none to enough. Returns how often the
// answer was something else than kOutOfMemory with an arena as it was.
u32 count_wrong_creations(const TinyVocab& vocab) {
  BufferSource source(TinyVocabWriter(vocab, g_vocab_file).write());
  Arena file_arena(g_file_memory);
  const Result<ModelFile> file = ModelFile::open(source, file_arena);
  LBM_CHECK(file.ok());
  u32 n_wrong = 0;
  for (usize n = 0; n <= sizeof(g_tokenizer_memory); n += 64) {
    Arena arena(Span<u8>(g_tokenizer_memory).first(n));
    const Result<Tokenizer*> tokenizer = Tokenizer::create(arena, file.value());
    if (tokenizer.ok()) return n_wrong;
    const bool refused = tokenizer.error().code == ErrorCode::kOutOfMemory;
    n_wrong += refused && arena.bytes_used() == 0 ? 0u : 1u;
  }
  return ~0u;  // never enough
}

// Spellings of five letters whose hash is below `below`, one after the other.
class LowHashes {
 public:
  explicit LowHashes(u32 below) : below_(below) {}
  Str next() {
    for (;; ++number_) {
      u32 rest = number_;
      for (char& c : spelling_) {
        c = static_cast<char>('a' + rest % 26);
        rest /= 26;
      }
      if (PieceHash().add(Str(spelling_, sizeof(spelling_))).finish() < below_) break;
    }
    ++number_;
    return {spelling_, sizeof(spelling_)};
  }

 private:
  u32 below_;
  u32 number_ = 0;
  char spelling_[5];
};

// Merges of two bytes whose places in the table are next to each other.
struct CollidingPairs {
  // The place of a pair among n, as byte_pairs.cpp has it; where that changes, so does this.
  static u32 place_of(u32 left, u32 right, u64 n) {
    u64 hash = (u64{left} << 32 | right) * 0x9E3779B97F4A7C15u;
    hash = (hash ^ (hash >> 32)) * 0xD6E8FEB86659FD93u;
    return static_cast<u32>(((hash >> 32) * n) >> 32);
  }

  // Finds n of them with one of the first n_place places. False where there are fewer.
  bool collect(u32 n, u32 n_place) {
    u32 n_found = 0;
    for (u32 pair = 0; pair < 256 * 256 && n_found < n; ++pair) {
      if (place_of(pair / 256, pair % 256, 2 * n) < n_place) add(n_found++, pair / 256, pair % 256);
    }
    return n_found == n;
  }

  void add(u32 i, u32 left, u32 right) {
    char first[4];
    char second[4];
    const Str left_text(first, encode_utf8(kByteLevel.codepoint_of[left], first));
    const Str right_text(second, encode_utf8(kByteLevel.codepoint_of[right], second));
    TextWriter result(results[i]);
    TextWriter merge(spellings[i]);
    tokens[i].piece = result.append(left_text).append(right_text).text();
    merges[i] = merge.append(left_text).append(" ").append(right_text).text();
    lefts[i] = left;
    rights[i] = right;
  }

  char results[600][8];
  char spellings[600][9];
  TinyToken tokens[600];
  Str merges[600];
  u32 lefts[600];
  u32 rights[600];
};

}  // namespace

TEST_CASE("tokenizer: too little memory for its tables, wherever it ends", "[tokenizer]") {
  const TinyToken tokens[] = {{"a", TokenType::kNormal, -1}, {"[u]", TokenType::kUnknown},
                              {"[s]", TokenType::kControl},  {"[e]", TokenType::kControl},
                              {"b", TokenType::kNormal, -1}, {"ab", TokenType::kNormal, -1}};
  const Str merges[] = {"a b"};
  TinyVocab vocab;
  vocab.tokens = tokens;
  vocab.n_byte_token = 0;
  vocab.merges = merges;
  vocab.unknown = 1;
  vocab.bos = 2;
  vocab.separator = 3;
  // The map "A" -> "b" (charsmap.h): the root, the node of "A", the place of "b".
  u32 units[257] = {256 * 4};
  units[1 + 0] = (1u ^ 'A') << 10;
  units[1 + 1] = (1u ^ 200u) << 10 | 0x100 | 'A';
  units[1 + 200] = 1u << 31;
  u8 blob[sizeof(units) + 2] = {};
  __builtin_memcpy(blob, units, sizeof(units));
  blob[sizeof(units)] = 'b';
  vocab.charsmap = blob;
  for (const Str model : {Str("gpt2"), Str("llama"), Str("t5"), Str("bert")}) {
    vocab.model = model;
    CHECK(count_wrong_creations(vocab) == 0);
  }
}

TEST_CASE("tokenizer: too little memory or room for one text", "[tokenizer]") {
  const TinyToken tokens[] = {{"ab"}, {"<s>", TokenType::kControl}};
  const Str merges[] = {"a b"};
  TinyVocab vocab;
  vocab.tokens = tokens;
  vocab.merges = merges;
  LoadedTiny tiny(vocab);
  REQUIRE(tiny.ok());
  constexpr TextSegment kSegments[] = {{"<s>", true}, {"abc ab", false}};
  static u8 memory[2048];
  u32 ids[8];
  u32 n_wrong = 0;
  bool was_enough = false;
  for (usize n = 0; n <= sizeof(memory) && !was_enough; n += 8) {
    Arena scratch(Span<u8>(memory).first(n));
    const Result<u32> got = tiny->encode_segments(kSegments, ids, scratch);
    was_enough = got.ok();
    const bool as_it_should =
        got.ok() ? got.value() == 5 : got.error().code == ErrorCode::kOutOfMemory;
    n_wrong += as_it_should ? 0u : 1u;
    n_wrong += scratch.bytes_used() == 0 ? 0u : 1u;
  }
  CHECK(was_enough);
  CHECK(n_wrong == 0);
  CHECK(tiny->max_ids(5) >= 5);
  const u32 expected[] = {257, 256, 'c', ' ', 256};
  CHECK(tiny.encodes_segments(kSegments, expected));
  for (usize room = 0; room <= 5; ++room) {
    const Result<u32> got =
        tiny->encode_segments(kSegments, Span<u32>(ids).first(room), tiny.scratch());
    CHECK(got.ok() == (room == 5));
    CHECK((got.ok() || (got.error().code == ErrorCode::kLimit && got.error().value == 5)));
  }
  char text[8];
  for (usize room = 0; room <= 6; ++room) {
    const Result<Str> got =
        tiny->decode(Span<const u32>(expected).from(1), false, true, Span<char>(text).first(room));
    CHECK(got.ok() == (room == 6));
    CHECK((got.ok() || (got.error().code == ErrorCode::kLimit && got.error().value == 6)));
  }
}

// The hash table takes a piece at the first free place behind the one that its hash names, 512
// places on at most.
TEST_CASE("vocab: pieces with one place in the table", "[tokenizer]") {
  constexpr u32 kMost = Vocab::kMaxProbes;
  static char spellings[kMost + 2][5];
  static TinyToken tokens[kMost + 1];
  LowHashes low((u64{1} << 32) / (2 * (kMost + 1)) - 1);  // the first of its places, in either size
  for (u32 i = 0; i < kMost + 2; ++i) __builtin_memcpy(spellings[i], low.next().data(), 5);
  for (u32 i = 0; i <= kMost; ++i) tokens[i].piece = Str(spellings[i], 5);
  TinyVocab vocab;
  vocab.n_byte_token = 0;
  vocab.no_scores = true;
  vocab.tokens = Span<const TinyToken>(tokens).first(kMost);
  LoadedTiny full(vocab);
  REQUIRE(full.ok());
  CHECK(full->find(tokens[kMost - 1].piece) == kMost - 1);
  CHECK(full->find(Str(spellings[kMost + 1], 5)) == Tokenizer::kNoToken);
  vocab.tokens = tokens;
  const LoadedTiny more(vocab);
  CHECK(more.refused(ErrorCode::kLimit));
  CHECK(more.error().subject_text() == "tokenizer.ggml.tokens");
  CHECK(more.error().value == kMost);
  CHECK(more.error().limit == kMost);
  CHECK(more.points_at(tokens[kMost].piece));
}

TEST_CASE("vocab: the table goes on at its begin", "[tokenizer]") {
  // Hashes beyond 3/4 name the last of four places, those below 1/4 the first.
  char spelling[2][1] = {};
  u32 n_found = 0;
  for (u32 c = '!'; c < 0x7F && n_found < 2; ++c) {
    const char letter = static_cast<char>(c);
    if (PieceHash().add(letter).finish() >= 0xC0000000u) spelling[n_found++][0] = letter;
  }
  REQUIRE(n_found == 2);
  const TinyToken tokens[] = {{Str(spelling[0], 1)}, {Str(spelling[1], 1)}};
  TinyVocab vocab;
  vocab.n_byte_token = 0;
  vocab.tokens = tokens;
  const LoadedTiny tiny(vocab);
  REQUIRE(tiny.ok());
  CHECK(tiny->find(tokens[0].piece) == 0);
  CHECK(tiny->find(tokens[1].piece) == 1);
}

TEST_CASE("vocab: pieces of equal hash are told apart", "[tokenizer]") {
  constexpr Str kTwins[] = {"fzjk", "grgm"};
  REQUIRE(PieceHash().add(kTwins[0]).finish() == PieceHash().add(kTwins[1]).finish());
  const TinyToken tokens[] = {{kTwins[0]}, {kTwins[1]}};
  TinyVocab vocab;
  vocab.tokens = tokens;
  BufferSource source(TinyVocabWriter(vocab, g_vocab_file).write());
  Arena arena(g_tokenizer_memory);
  const Result<ModelFile> file = ModelFile::open(source, arena);
  REQUIRE(file.ok());
  Vocab pieces;
  REQUIRE(pieces.load(arena, file.value(), false).ok());
  CHECK(pieces.find(kTwins[0]) == 256);
  CHECK(pieces.find(kTwins[1]) == 257);
  const u32 hash = PieceHash().add(kTwins[0]).finish();
  CHECK(pieces.find_joined("gr", "gm", hash) == 257);
  CHECK(pieces.find_joined("fz", "gm", hash) == Vocab::kNoToken);
  CHECK(pieces.find_joined("gr", "jk", hash) == Vocab::kNoToken);
  CHECK(pieces.find_joined("gr", "g", hash) == Vocab::kNoToken);
  CHECK(pieces.find_joined("", "", hash) == Vocab::kNoToken);
  CHECK(pieces.score(256) == 0.0f);
  // No token at all has nothing to mark.
  pieces.mark_trimming(Vocab::kNoToken, true, true);
  pieces.mark_trimming(256, true, false);
  pieces.mark_trimming(257, false, true);
  CHECK((pieces.trims_before(256) && !pieces.trims_after(256)));
  CHECK((!pieces.trims_before(257) && pieces.trims_after(257)));
}

TEST_CASE("merges: equal halves do not make equal merges", "[tokenizer]") {
  static char results[2][26][2];
  static char spellings[2][26][3];
  static TinyToken tokens[52];
  static Str merges[52];
  for (u32 i = 0; i < 52; ++i) {
    const char letter = static_cast<char>('a' + i % 26);
    const char left = i < 26 ? letter : 'X';
    const char right = i < 26 ? 'Y' : letter;
    char* result = results[i / 26][i % 26];
    result[0] = left;
    result[1] = right;
    tokens[i].piece = Str(result, 2);
    char* merge = spellings[i / 26][i % 26];
    merge[0] = left;
    merge[1] = ' ';
    merge[2] = right;
    merges[i] = Str(merge, 3);
  }
  TinyVocab vocab;
  vocab.tokens = tokens;
  vocab.merges = merges;
  LoadedTiny tiny(vocab);
  REQUIRE(tiny.ok());
  for (u32 i = 0; i < 52; ++i) {
    const u32 id[] = {256 + i};
    CHECK(tiny.encodes(tokens[i].piece, id));
  }
  // A merge whose result is a token, but not its parts.
  const TinyToken whole[] = {{"abc"}};
  vocab.tokens = whole;
  for (const Str merge : {Str("ab c"), Str("a bc")}) {
    vocab.merges = Span<const Str>(&merge, 1);
    const LoadedTiny parts(vocab);
    CHECK(parts.refused(ErrorCode::kMismatch));
    CHECK(Str(parts.error().what) == "this merge has a piece that is not in the vocabulary");
    CHECK(parts.error().subject_text() == merge);
  }
}

// As above: a merge is looked for at 512 places at most.
TEST_CASE("merges: pairs with one place in the table", "[tokenizer]") {
  static CollidingPairs pairs;
  TinyVocab vocab;
  vocab.no_scores = true;
  vocab.no_types = true;
  REQUIRE(pairs.collect(600, 11));
  vocab.tokens = Span<const TinyToken>(pairs.tokens).first(600);
  vocab.merges = Span<const Str>(pairs.merges).first(600);
  const LoadedTiny refused(vocab);
  CHECK(refused.refused(ErrorCode::kLimit));
  CHECK(refused.error().subject_text() == "tokenizer.ggml.merges");
  CHECK(refused.error().limit == Vocab::kMaxProbes);
  CHECK(refused.error().value >= Vocab::kMaxProbes);
  CHECK(refused.error().value < Vocab::kMaxProbes + 16);

  constexpr u32 kMost = Vocab::kMaxProbes;
  REQUIRE(pairs.collect(kMost, 9));
  vocab.tokens = Span<const TinyToken>(pairs.tokens).first(kMost);
  vocab.merges = Span<const Str>(pairs.merges).first(kMost);
  BufferSource source(TinyVocabWriter(vocab, g_vocab_file).write());
  Arena arena(g_tokenizer_memory);
  const Result<ModelFile> file = ModelFile::open(source, arena);
  REQUIRE(file.ok());
  Vocab pieces;
  REQUIRE(pieces.load(arena, file.value(), false).ok());
  BytePairs table;
  CHECK(table.find(0, 0).rank == PairRank().rank);  // nothing in it
  REQUIRE(table.load(arena, file.value(), pieces).ok());
  for (u32 i = 0; i < kMost; ++i) {
    const PairRank found = table.find(pairs.lefts[i], pairs.rights[i]);
    CHECK((found.rank == i && found.merged == 256 + i));
  }
  // All 512 places behind the one that its hash names are taken.
  u32 pair = 0;
  while (CollidingPairs::place_of(pair / 256, 1000 + pair % 256, 2 * kMost) != 0) ++pair;
  CHECK(table.find(pair / 256, 1000 + pair % 256).rank == PairRank().rank);
}

}  // namespace lbm::test
