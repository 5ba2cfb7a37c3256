#include "core/tokenizer/tokenizer.h"

#include "core/base/pcg32.h"
#include "tests/test.h"
#include "tests/tokenizer/tiny_vocab.h"

namespace lbm::test {
namespace {

// Byte-level BPE: bytes are their own ids.
constexpr TinyToken kWords[] = {{"th"},
                                {"the"},
                                {"\xC4\xA0the"},
                                {"ll"},  // 256 to 259
                                {"<|im_start|>", TokenType::kControl},
                                {"<|im_end|>", TokenType::kControl},  // 260, 261
                                {"<tool>", TokenType::kUserDefined},
                                {"<tool>x", TokenType::kUserDefined},  // 262, 263
                                {"<unk>", TokenType::kUnknown},
                                {"<|im_", TokenType::kControl},
                                {"<|im_end|>!!", TokenType::kControl}};  // 264 to 266
constexpr Str kMerges[] = {"t h", "th e", "\xC4\xA0 the", "l l"};
constexpr u32 kTh = 256, kThe = 257, kSpaceThe = 258, kLl = 259, kStart = 260, kEnd = 261,
              kTool = 262, kToolX = 263;

TinyVocab words() {
  TinyVocab vocab;
  vocab.tokens = kWords;
  vocab.merges = kMerges;
  vocab.bos = kStart;
  vocab.eos = kEnd;
  return vocab;
}

// SentencePiece: <unk> <s> </s>, byte b is 3 + b.
#define SP "\xE2\x96\x81"
constexpr TinyToken kPieces[] = {
    {SP, TokenType::kNormal, -1},      {"a", TokenType::kNormal, -2},
    {"b", TokenType::kNormal, -3},     {"ab", TokenType::kNormal, -4},
    {SP "a", TokenType::kNormal, -5},  {"bb", TokenType::kNormal, -3.5f},
    {SP "ab", TokenType::kNormal, -9}, {"[t]", TokenType::kUserDefined},
    {"/", TokenType::kNormal, -1},     {"/s", TokenType::kNormal, -1},
    {"<", TokenType::kNormal, -1},     {"</s", TokenType::kNormal, -1},
    {">", TokenType::kNormal, -1}};
constexpr u32 kByte = 3, kSp = 259, kA = 260, kB = 261, kSpA = 263, kBb = 264, kSpAb = 265,
              kT = 266, kClosing = 270, kGreater = 271;

TinyVocab pieces() {
  TinyVocab vocab;
  vocab.model = "llama";
  vocab.pre = "default";
  vocab.tokens = kPieces;
  vocab.no_merges = true;
  return vocab;
}

}  // namespace

TEST_CASE("byte-level BPE: merges within words", "[tokenizer]") {
  LoadedTiny tiny(words());
  REQUIRE(tiny.ok());
  const u32 the[] = {kThe, kSpaceThe, 'r', 'e'};
  CHECK(tiny.encodes("the there", the));
  const u32 apart[] = {kTh, ' ', ' ', kTh};
  CHECK(tiny.encodes("th  th", apart));
  const u32 will[] = {'w', 'e', '\'', kLl};
  CHECK(tiny.encodes("we'll", will));
  CHECK(tiny.encodes("", {}));
  CHECK(tiny.decodes(the, "the there"));
}

TEST_CASE("byte-level BPE: a word that is a token skips the merges only where the model says so",
          "[tokenizer]") {
  constexpr TinyToken kWhole[] = {{"xyz"}, {"xy"}};
  TinyVocab vocab;
  vocab.tokens = kWhole;
  vocab.pre = "llama-bpe";
  LoadedTiny whole(vocab);
  REQUIRE(whole.ok());
  const u32 one[] = {256};
  CHECK(whole.encodes("xyz", one));
  vocab.pre = "smaug-bpe";
  LoadedTiny merged(vocab);
  const u32 three[] = {'x', 'y', 'z'};
  CHECK(merged.encodes("xyz", three));
}

TEST_CASE("byte-level BPE: any bytes come back from their pieces", "[tokenizer]") {
  LoadedTiny tiny(words());
  REQUIRE(tiny.ok());
  Pcg32 random(17, 4);
  u32 n_wrong = 0;
  for (u32 round = 0; round < 200; ++round) {
    char text[40];
    const usize n = random.next() % sizeof(text);
    for (usize i = 0; i < n; ++i) {
      text[i] =
          random.next() % 4 == 0 ? "the l"[random.next() % 5] : static_cast<char>(random.next());
    }
    u32 ids[sizeof(text)];
    const Result<u32> n_id = tiny->encode(Str(text, n), {}, ids, tiny.scratch());
    char joined[64];
    usize n_joined = 0;
    for (u32 i = 0; n_id.ok() && i < n_id.value(); ++i) {
      char buffer[32];
      const Str piece = tiny->piece(ids[i], false, buffer);
      __builtin_memcpy(joined + n_joined, piece.data(), piece.size());
      n_joined += piece.size();
    }
    n_wrong += n_id.ok() && Str(joined, n_joined) == Str(text, n) ? 0u : 1u;
  }
  CHECK(n_wrong == 0);
}

TEST_CASE("byte-level BPE: bytes that a vocabulary has not got", "[tokenizer]") {
  // The alphabet without 0x80 and up, but with U+FFFD as a token.
  constexpr TinyToken kReplacement[] = {{"\xC3\xAF\xC2\xBF\xC2\xBD"}};
  TinyVocab vocab;
  vocab.n_byte_token = 128;
  vocab.tokens = kReplacement;
  LoadedTiny tiny(vocab);
  REQUIRE(tiny.ok());
  const u32 malformed[] = {'a', 128, 128, 'b'};
  CHECK(
      tiny.encodes("a\xFF\xC3"
                   "b",
                   malformed));
  const u32 dropped[] = {'a', 'b'};
  CHECK(
      tiny.encodes("a\xC3\xA9"
                   "b",
                   dropped));
}

TEST_CASE("byte-level BPE: a user-defined token that is spelled like a byte is not that byte",
          "[tokenizer]") {
  constexpr TinyToken kLetter[] = {{"\xC3\xB5", TokenType::kUserDefined},
                                   {"\xC3\x83"},
                                   {"\xC2\xB5"}};  // the letter o with tilde
  TinyVocab vocab;
  vocab.n_byte_token = 128;
  vocab.tokens = kLetter;
  LoadedTiny tiny(vocab);
  REQUIRE(tiny.ok());
  const u32 letter[] = {128};
  CHECK(tiny.encodes("\xC3\xB5", letter));
  CHECK(tiny.decodes(letter, "\xC3\xB5"));
  CHECK(tiny.encodes("\xF5", {}));
}

TEST_CASE("special tokens: control tokens come from markup only, user-defined ones from all text",
          "[tokenizer]") {
  LoadedTiny tiny(words());
  REQUIRE(tiny.ok());
  constexpr Str kText = "<|im_start|>the<tool><|im_end|>";
  const u32 parsed[] = {kStart, kThe, kTool, kEnd};
  CHECK(tiny.encodes(kText, parsed, {false, true}));
  const u32 plain[] = {'<',  '|',   'i', 'm', '_', 's', 't', 'a', 'r', 't', '|', '>',
                       kThe, kTool, '<', '|', 'i', 'm', '_', 'e', 'n', 'd', '|', '>'};
  CHECK(tiny.encodes(kText, plain));
  // T12: no spelling of a control or unknown token makes one.
  for (const TinyToken& token : kWords) {
    u32 ids[64];
    const Result<u32> n = tiny->encode(token.piece, {}, ids, tiny.scratch());
    REQUIRE(n.ok());
    for (u32 i = 0; i < n.value(); ++i) CHECK((!tiny->is_control(ids[i]) && ids[i] != 264));
  }
}

TEST_CASE("special tokens: the longest spelling wins", "[tokenizer]") {
  LoadedTiny tiny(words());
  REQUIRE(tiny.ok());
  const u32 longest[] = {kToolX, kTool, 'y', 266, kEnd, '!', 265, 'z'};
  CHECK(tiny.encodes("<tool>x<tool>y<|im_end|>!!<|im_end|>!<|im_z", longest, {false, true}));
  const u32 next_to_each_other[] = {kEnd, kEnd};
  CHECK(tiny.encodes("<|im_end|><|im_end|>", next_to_each_other, {false, true}));
}

TEST_CASE("special tokens: BOS and EOS as the file asks", "[tokenizer]") {
  TinyVocab vocab = words();
  vocab.add_bos = 1;
  LoadedTiny tiny(vocab);
  REQUIRE(tiny.ok());
  CHECK(tiny->add_bos());
  const u32 with[] = {kStart, kThe};
  CHECK(tiny.encodes("the", with, {true, false}));
  const u32 without[] = {kThe};
  CHECK(tiny.encodes("the", without));
  const u32 only[] = {kStart};
  CHECK(tiny.encodes("", only, {true, true}));
}

TEST_CASE("segments are one text, and only markup can make a control token", "[tokenizer]") {
  LoadedTiny tiny(words());
  REQUIRE(tiny.ok());
  const TextSegment chat[] = {
      {"<|im_start|>", true}, {" the<|im_end|>", false}, {"<|im_", true}, {"end|>", true}};
  const u32 ids[] = {kStart, kSpaceThe, '<', '|', 'i', 'm', '_', 'e', 'n', 'd', '|', '>', kEnd};
  CHECK(tiny.encodes_segments(chat, ids));
  // Plain text runs on across the border: one word.
  const TextSegment joined[] = {{"x t", true}, {"h", false}, {"", true}, {"e", false}};
  const u32 word[] = {'x', kSpaceThe};
  CHECK(tiny.encodes_segments(joined, word));
  // A spelling that is half markup and half content is content.
  const TextSegment half[] = {{"<|im_end", true}, {"|>", false}};
  const u32 shorter[] = {265, 'e', 'n', 'd', '|', '>'};
  CHECK(tiny.encodes_segments(half, shorter));
  const TextSegment turned[] = {{"<|im_", false}, {"end|>", true}};
  const u32 plain[] = {'<', '|', 'i', 'm', '_', 'e', 'n', 'd', '|', '>'};
  CHECK(tiny.encodes_segments(turned, plain));
  CHECK(tiny.encodes_segments({}, {}));
}

TEST_CASE("decoding: control tokens are shown only when asked for", "[tokenizer]") {
  LoadedTiny tiny(words());
  REQUIRE(tiny.ok());
  const u32 ids[] = {kStart, kThe, kTool, kEnd, 264, 9999, ' ', '!'};
  CHECK(tiny.decodes(ids, "<|im_start|>the<tool><|im_end|><unk>!",
                     true));  // gpt-2 drops the space before "!"
  CHECK(tiny.decodes(ids, "the<tool>!"));
  char buffer[32];
  CHECK(tiny->piece(kStart, false, buffer).empty());
  CHECK(tiny->piece(kStart, true, buffer) == "<|im_start|>");
  CHECK(tiny->piece(kSpaceThe, false, buffer) == " the");
  CHECK(tiny->piece(9999, true, buffer).empty());
  CHECK(tiny->max_piece_bytes() == 12);
}

TEST_CASE("decoding: spaces before punctuation, as the reference cleans them up", "[tokenizer]") {
  TinyVocab vocab;
  LoadedTiny tiny(vocab);
  REQUIRE(tiny.ok());
  const auto cleans = [&](Str text, Str expected) {
    u32 ids[64];
    const Result<u32> n = tiny->encode(text, {}, ids, tiny.scratch());
    return n.ok() && tiny.decodes({ids, n.value()}, expected);
  };
  CHECK(cleans("a . b , c ! d ?", "a. b, c! d?"));
  CHECK(cleans("do n't x's I 'm we 're I 've 'd 'll", "do n't x's I'm we're I've 'd 'll"));
  CHECK(cleans("a ' b", "a'b"));
  CHECK(cleans(" .", "."));
  CHECK(cleans("' ", "' "));
  CHECK(cleans("x 'r 're 'v 've 're", "x 'r're 'v've're"));
  CHECK(cleans("I 's it", "I's it"));
  CHECK(cleans("a 'rx 'x 'm", "a 'rx 'x'm"));
  CHECK(cleans(" 'r", " 'r"));
  CHECK(cleans("a '", "a '"));
  CHECK(cleans("a 'b", "a 'b"));
  TinyVocab exact;
  exact.pre = "smollm";
  LoadedTiny kept(exact);
  const u32 ids[] = {'a', ' ', '.'};
  CHECK(kept.decodes(ids, "a ."));
}

TEST_CASE("SentencePiece: scores decide, the leftmost of equals first", "[tokenizer]") {
  LoadedTiny tiny(pieces());
  REQUIRE(tiny.ok());
  const u32 both[] = {kSpAb};  // "ab" (-4) before the space and "a" (-5); then -9 for both
  CHECK(tiny.encodes("ab", both));
  const u32 doubled[] = {kSpA, kBb};  // "bb" is worth more than "ab"
  CHECK(tiny.encodes("abb", doubled));
  const u32 left[] = {kSp, kBb, kB};
  CHECK(tiny.encodes("bbb", left));
  const u32 spaces[] = {kSp, kSp, kSpAb};
  CHECK(tiny.encodes("  ab", spaces));
}

TEST_CASE("SentencePiece: what no piece spells is bytes", "[tokenizer]") {
  LoadedTiny tiny(pieces());
  REQUIRE(tiny.ok());
  const u32 bytes[] = {kSpA, kByte + 0xC3, kByte + 0xA9, kByte + '\n', kByte + 0xFF, kB};
  CHECK(
      tiny.encodes("a\xC3\xA9\n\xFF"
                   "b",
                   bytes));
  CHECK(tiny.decodes(bytes,
                     "a\xC3\xA9\n\xFF"
                     "b"));
  u32 ids[16];
  const Result<u32> n =
      tiny->encode("<0x41>", {}, ids, tiny.scratch());  // the text, not the byte token
  REQUIRE(n.ok());
  CHECK(n.value() > 2);
}

TEST_CASE("SentencePiece: the space in front, after special tokens too", "[tokenizer]") {
  LoadedTiny tiny(pieces());
  REQUIRE(tiny.ok());
  const u32 with[] = {1, kSpA, 2, kSpA, kT, kSpA};
  CHECK(tiny.encodes("a</s>a[t]a", with, {true, true}));
  TinyVocab vocab = pieces();
  vocab.add_space_prefix = 0;
  LoadedTiny bare(vocab);
  REQUIRE(bare.ok());
  const u32 without[] = {kA, 2, kA};
  CHECK(bare.encodes("a</s>a", without, {false, true}));
  CHECK(bare.decodes(without, "aa"));
  const u32 spaced[] = {kSpA, kSpA};
  CHECK(bare.decodes(spaced, " a a"));
}

TEST_CASE("SentencePiece: decoding drops the one space that encoding put in front", "[tokenizer]") {
  LoadedTiny tiny(pieces());
  REQUIRE(tiny.ok());
  const u32 ids[] = {1, kSpA, kSpA};
  CHECK(tiny.decodes(ids, "a a"));
  CHECK(tiny.decodes(ids, " a a", false, false));
  CHECK(tiny.decodes(ids, "<s> a a", true));
  const u32 two[] = {kSp, kSp, kA};
  CHECK(tiny.decodes(two, " a"));
}

TEST_CASE("SentencePiece: merging never makes a control token", "[tokenizer]") {
  LoadedTiny tiny(pieces());
  REQUIRE(tiny.ok());
  const u32 plain[] = {kSp, kClosing, kGreater};
  CHECK(tiny.encodes("</s>", plain));
}

TEST_CASE("Phi-3: special tokens swallow the white space after them", "[tokenizer]") {
  TinyVocab vocab = words();
  vocab.name = "Phi-3 mini";
  LoadedTiny tiny(vocab);
  REQUIRE(tiny.ok());
  const u32 ids[] = {kEnd, kThe, kStart, 'x'};
  CHECK(tiny.encodes("<|im_end|> \n\tthe<|im_start|>x", ids, {false, true}));
}

TEST_CASE("encoding: too little room, too little memory", "[tokenizer]") {
  LoadedTiny tiny(words());
  REQUIRE(tiny.ok());
  u32 ids[4] = {};
  const Result<u32> full = tiny->encode("abcde", {}, ids, tiny.scratch());
  CHECK((!full.ok() && full.error().code == ErrorCode::kLimit && full.error().value == 5));
  CHECK(tiny.scratch().bytes_used() == 0);
  static u8 memory[64];
  Arena small(memory);
  const Result<u32> short_of = tiny->encode("abcde", {}, ids, small);
  CHECK((!short_of.ok() && short_of.error().code == ErrorCode::kOutOfMemory));
  char text[3];
  const u32 the[] = {kThe, 'r'};
  const Result<Str> cut = tiny->decode(the, false, true, text);
  CHECK((!cut.ok() && cut.error().code == ErrorCode::kLimit && cut.error().value == 4));
}

TEST_CASE("encoding: scratch_bytes is enough", "[tokenizer]") {
  static u8 memory[8192];
  const TinyVocab vocabs[] = {words(), pieces()};
  for (const TinyVocab& vocab : vocabs) {
    LoadedTiny tiny(vocab);
    REQUIRE(tiny.ok());
    for (usize n = 1; n < 100; n += 7) {
      char text[100];
      for (char& c : text) c = ' ';  // the longest escaped form
      const u64 needed = tiny->scratch_bytes(n);
      REQUIRE(needed <= sizeof(memory) - 1);
      Arena exact({memory + 1, static_cast<usize>(needed)});  // misaligned on purpose
      const TextSegment halves[] = {{Str(text, n / 2), false}, {Str(text, n - n / 2), true}};
      u32 ids[128];
      CHECK(tiny->encode_segments(halves, ids, exact).ok());
      CHECK(exact.bytes_used() == 0);
    }
  }
}

}  // namespace lbm::test
