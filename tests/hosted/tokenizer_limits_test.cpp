// Tokenizers at the sizes that no test on bare metal can have: vocabularies and character maps at
// their limits, and texts of 2^20 equal characters.
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/format/limits.h"
#include "core/tokenizer/charsmap.h"
#include "core/tokenizer/tokenizer.h"
#include "core/tokenizer/unigram.h"
#include "core/tokenizer/word_piece.h"
#include "tests/hosted/memory_source.h"
#include "tests/test.h"
#include "tests/tokenizer/tiny_vocab.h"

namespace lbm::test {
namespace {

using Bytes = std::vector<u8>;

void put(Bytes& out, const void* bytes, usize n) {
  const u8* begin = static_cast<const u8*>(bytes);
  out.insert(out.end(), begin, begin + n);
}
void put_text(Bytes& out, const std::string& text) {
  const u64 n = text.size();
  put(out, &n, 8);
  put(out, text.data(), text.size());
}
void put_array(Bytes& out, const std::string& key, MetaType type, u64 n) {
  put_text(out, key);
  const u32 types[] = {static_cast<u32>(MetaType::kArray), static_cast<u32>(type)};
  put(out, types, 8);
  put(out, &n, 8);
}

// A GGUF of these arrays, whose elements are all zero bytes: empty strings, bytes 0.
Bytes gguf_of_zeros(const std::vector<std::pair<std::string, u64>>& strings, const std::string& key,
                    u64 n_byte) {
  Bytes out;
  const u64 counts[] = {0, strings.size() + (n_byte == 0 ? 0u : 1u)};
  const u32 version = 3;
  put(out, "GGUF", 4);
  put(out, &version, 4);
  put(out, counts, 16);
  for (const auto& [name, n] : strings) {
    put_array(out, name, MetaType::kString, n);
    out.resize(out.size() + 8 * n);
  }
  if (n_byte != 0) {
    put_array(out, key, MetaType::kU8, n_byte);
    out.resize(out.size() + n_byte);
  }
  out.resize((out.size() + 31) / 32 * 32);
  return out;
}

// Memory that is given back with the test; pages that are not used cost nothing.
class Memory {
 public:
  explicit Memory(usize n_byte) : bytes_(std::make_unique_for_overwrite<u8[]>(n_byte)) {
    arena_.add_range({bytes_.get(), n_byte});
  }
  Arena& operator*() { return arena_; }

 private:
  std::unique_ptr<u8[]> bytes_;
  Arena arena_;
};

constexpr usize kLength = usize{1} << 20;

#define SP "\xE2\x96\x81"
constexpr TinyToken kUnigramPieces[] = {
    {"<pad>", TokenType::kControl},  {"</s>", TokenType::kControl},
    {"<unk>", TokenType::kUnknown},  {SP, TokenType::kNormal, -2},
    {"a", TokenType::kNormal, -3},   {"aaaa", TokenType::kNormal, -4},
    {SP "a", TokenType::kNormal, -4}};
constexpr TinyToken kWordPieces[] = {{"[UNK]", TokenType::kUnknown},
                                     {"[CLS]", TokenType::kControl},
                                     {"[SEP]", TokenType::kControl},
                                     {SP "a"},
                                     {"a"},
                                     {"aaaa"},
                                     {SP "."}};

TinyVocab unigram() {
  TinyVocab vocab;
  vocab.model = "t5";
  vocab.pre = "default";
  vocab.tokens = kUnigramPieces;
  vocab.no_merges = true;
  return vocab;
}

TinyVocab word_piece() {
  TinyVocab vocab = unigram();
  vocab.model = "bert";
  vocab.tokens = kWordPieces;
  vocab.no_scores = true;
  vocab.unknown = 0;
  vocab.bos = 1;
  vocab.separator = 2;
  return vocab;
}

// A vocabulary with its pieces and its tokenizer.
class Loaded {
 public:
  explicit Loaded(const TinyVocab& vocab)
      : file_bytes_(8192), source_(write(vocab)), memory_(1 << 20) {
    Result<ModelFile> file = ModelFile::open(source_, *memory_);
    REQUIRE(file.ok());
    file_ = file.value();
    REQUIRE(pieces.load(*memory_, file_, !vocab.no_scores).ok());
    const auto all = [](u32 id) { return id > 2; };
    REQUIRE(index.load(*memory_, pieces, all).ok());
    Result<Tokenizer*> tokenizer = Tokenizer::create(*memory_, file_);
    REQUIRE(tokenizer.ok());
    tokenizer_ = tokenizer.value();
  }

  // The ids of `text`, made with no more scratch than the tokenizer says it takes.
  std::vector<u32> encode(const std::string& text) {
    const u64 needed = tokenizer_->scratch_bytes(text.size());
    CHECK(needed <= 64 * (text.size() + 1024));
    Memory scratch(static_cast<usize>(needed));
    std::vector<u32> ids(static_cast<usize>(tokenizer_->max_ids(text.size())));
    const Result<u32> n =
        tokenizer_->encode({text.data(), text.size()}, {}, {ids.data(), ids.size()}, *scratch);
    REQUIRE(n.ok());
    ids.resize(n.value());
    return ids;
  }

  Vocab pieces;
  PieceIndex index;

 private:
  Bytes write(const TinyVocab& vocab) {
    const Span<const u8> file =
        TinyVocabWriter(vocab, {file_bytes_.data(), file_bytes_.size()}).write();
    return {file.begin(), file.end()};
  }

  Bytes file_bytes_;
  MemorySource source_;
  Memory memory_;
  ModelFile file_;
  Tokenizer* tokenizer_ = nullptr;
};

}  // namespace

TEST_CASE("a vocabulary of 2^20 pieces is read, one more is refused", "[tokenizer]") {
  for (const u64 n : {kMaxVocabulary, kMaxVocabulary + 1}) {
    MemorySource source(gguf_of_zeros({{"tokenizer.ggml.tokens", n}}, "", 0));
    Memory memory(usize{128} << 20);
    const Result<ModelFile> file = ModelFile::open(source, *memory);
    REQUIRE(file.ok());
    Vocab vocab;
    const Status status = vocab.load(*memory, file.value(), false);
    CHECK(status.ok() == (n == kMaxVocabulary));
    if (status.ok()) {
      CHECK(vocab.size() == kMaxVocabulary);
    } else {
      CHECK(status.error().code == ErrorCode::kLimit);
      CHECK(Str(status.error().what) == "the vocabulary is too large");
      CHECK(status.error().value == kMaxVocabulary + 1);
      CHECK(status.error().limit == kMaxVocabulary);
    }
  }
}

TEST_CASE("a character map of 4 MiB is looked into, a longer one is refused", "[tokenizer]") {
  const std::string key = "tokenizer.ggml.precompiled_charsmap";
  for (const u64 n : {Charsmap::kMaxBytes, Charsmap::kMaxBytes + 1}) {
    MemorySource source(gguf_of_zeros({}, key, n));
    Memory memory(usize{16} << 20);
    const Result<ModelFile> file = ModelFile::open(source, *memory);
    REQUIRE(file.ok());
    Charsmap map;
    const Status status = map.load(*memory, file.value(), {key.data(), key.size()});
    REQUIRE(!status.ok());
    // Zeros are no map either way, but only one of them is too large to be looked into.
    CHECK(status.error().code ==
          (n == Charsmap::kMaxBytes ? ErrorCode::kBadValue : ErrorCode::kLimit));
    CHECK((status.error().value == n) == (n != Charsmap::kMaxBytes));
  }
}

// Steps, not time: where they grew with the square of the length, each text would take 2^40.
TEST_CASE("unigram: 2^20 equal characters take a few steps each", "[tokenizer]") {
  Loaded loaded(unigram());
  std::vector<UnigramCut> cuts(kLength + 5);
  for (const char* part : {"a", " ", "b", "\xE4\xB8\xAD"}) {
    std::string text;
    while (text.size() < kLength) text += part;
    const u64 n_step = cut_unigram({&loaded.pieces, &loaded.index, 2, -20},
                                   {text.data(), text.size()}, {cuts.data(), text.size() + 1});
    CHECK(n_step <= 5 * text.size());  // the longest piece that begins so has four bytes
    const std::vector<u32> ids = loaded.encode(text);
    CHECK(ids.size() <= kLength);
    if (text[0] == 'a') CHECK(ids == std::vector<u32>(kLength / 4, 5));
    if (text[0] == 'b') CHECK(ids == std::vector<u32>{2});
  }
}

TEST_CASE("WordPiece: 2^20 equal characters take a few steps each", "[tokenizer]") {
  Loaded loaded(word_piece());
  for (const char* part : {"a", " ", ".", "b"}) {
    std::string text;
    while (text.size() < kLength) text += part;
    std::vector<char> memory(WordReader::word_bytes(text.size()));
    WordReader words({}, {text.data(), text.size()}, {memory.data(), memory.size()});
    u64 n_step = 0;
    u64 n_piece = 0;
    for (Str word; words.next(word);) {
      static_cast<void>(cut_word(loaded.index, word, n_step, [&](u32) { ++n_piece; }));
    }
    CHECK(n_step <= 5 * (text.size() + 3));
    CHECK(n_piece <= text.size());
    const std::vector<u32> ids = loaded.encode(text);
    if (text[0] == 'a') {  // one of the word's begin, then fours, then what is left
      CHECK(ids.size() == 1 + (kLength - 1) / 4 + (kLength - 1) % 4);
      CHECK((ids[0] == 3 && ids[1] == 5 && ids.back() == 4));
    }
    if (text[0] == '.') CHECK(ids == std::vector<u32>(kLength, 6));
    if (text[0] == 'b') CHECK(ids == std::vector<u32>{0});
    if (text[0] == ' ') CHECK(ids.empty());
  }
}

}  // namespace lbm::test
