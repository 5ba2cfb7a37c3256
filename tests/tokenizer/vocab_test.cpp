// What a vocabulary is refused for. The recipes are those of the corpus of hostile tokenizers (T04
// to T09).
#include "tests/test.h"
#include "tests/tokenizer/tiny_vocab.h"

namespace lbm::test {
namespace {

constexpr u32 kNan = 0x7FC00000;
constexpr u32 kInfinity = 0x7F800000;

TinyVocab byte_level(Span<const TinyToken> tokens, Span<const Str> merges = {}) {
  TinyVocab vocab;
  vocab.tokens = tokens;
  vocab.merges = merges;
  return vocab;
}

TinyVocab sentencepiece(Span<const TinyToken> tokens) {
  TinyVocab vocab;
  vocab.model = "llama";
  vocab.pre = "default";
  vocab.tokens = tokens;
  vocab.no_merges = true;
  return vocab;
}

}  // namespace

TEST_CASE("vocab: the least that is accepted", "[tokenizer]") {
  const LoadedTiny bpe(byte_level({}));
  REQUIRE(bpe.ok());
  CHECK(bpe->n_vocab() == 256);
  CHECK(bpe->bos() == Tokenizer::kNoToken);
  CHECK(bpe->eos() == Tokenizer::kNoToken);
  CHECK(!bpe->add_bos());
  CHECK(bpe->pretokenizer_name() == "gpt-2");
  CHECK(bpe->model_name() == "gpt2");
  const LoadedTiny spm(sentencepiece({}));
  REQUIRE(spm.ok());
  CHECK(spm->bos() == 1);
  CHECK(spm->eos() == 2);
  CHECK(spm->add_bos());
}

TEST_CASE("vocab: other kinds of tokenizer are refused by name", "[tokenizer]") {
  TinyVocab vocab = byte_level({});
  vocab.model = "rwkv";
  const LoadedTiny rwkv(vocab);
  CHECK(rwkv.refused(ErrorCode::kUnsupported));
  CHECK(rwkv.error().subject_text() == "rwkv");
  vocab.model = "gpt2";
  vocab.pre = "no-such-cut";
  const LoadedTiny cut(vocab);
  CHECK(cut.refused(ErrorCode::kUnsupported));
  CHECK(cut.error().subject_text() == "no-such-cut");
  vocab.pre = "";
  const LoadedTiny unnamed(vocab);
  REQUIRE(unnamed.ok());
  CHECK(unnamed->pretokenizer_name() == "default");
}

TEST_CASE("vocab T04: scores that are no numbers", "[tokenizer]") {
  constexpr u32 kBits[] = {kNan, kInfinity, kInfinity | 0x80000000u, kNan | 0x80000000u};
  for (const u32 bits : kBits) {
    const TinyToken tokens[] = {{"a", TokenType::kNormal, 1.0f},
                                {"b", TokenType::kNormal, __builtin_bit_cast(f32, bits)}};
    const LoadedTiny tiny(sentencepiece(tokens));
    CHECK(tiny.refused(ErrorCode::kNumeric));
    CHECK(tiny.points_at(Str(reinterpret_cast<const char*>(&bits), 4)));
  }
}

TEST_CASE("vocab T05: duplicate, empty and strange pieces", "[tokenizer]") {
  const TinyToken twice[] = {{"xy"}, {"xy"}};
  const LoadedTiny duplicate(byte_level(twice));
  CHECK(duplicate.refused(ErrorCode::kDuplicate));
  CHECK(duplicate.points_at("xy"));
  CHECK(duplicate.error().value == 257);

  const TinyToken strange[] = {
      {""},         {""},         {Str("a\0b", 3)},
      {"\xFF\xFE"}, {"\xE2\x82"}, {Str("a\0c", 3), TokenType::kUserDefined}};
  LoadedTiny tiny(byte_level(strange));
  REQUIRE(tiny.ok());
  const u32 empty[] = {256};
  CHECK(tiny.decodes(empty, ""));
  const u32 raw[] = {258, 259, 260};
  CHECK(tiny.decodes(raw, Str("a\0b\xFF\xFE\xE2\x82", 7)));
  CHECK(tiny->find("") == Tokenizer::kNoToken);
  const u32 user_defined[] = {'x', 261};
  CHECK(tiny.encodes(Str("xa\0c", 4), user_defined));
}

TEST_CASE("vocab T06: byte tokens", "[tokenizer]") {
  constexpr Str kSpellings[] = {"<0x-1>", "<0xZZ>", "<0x1>", "<0x0g>", "<0x000>", "0x00", ""};
  for (const Str spelling : kSpellings) {
    const TinyToken tokens[] = {{spelling, TokenType::kByte}};
    CHECK(LoadedTiny(sentencepiece(tokens)).refused(ErrorCode::kBadValue));
    CHECK(LoadedTiny(byte_level(tokens)).refused(ErrorCode::kBadValue));
  }
  TinyVocab some = sentencepiece({});
  some.n_byte_token = 255;
  const LoadedTiny missing(some);
  CHECK(missing.refused(ErrorCode::kMissing));
  CHECK(missing.error().value == 1);

  const TinyToken letters[] = {{"a"}, {"\xE2\x96\x81"}};
  TinyVocab none = sentencepiece(letters);
  none.n_byte_token = 0;
  LoadedTiny without(none);  // what can not be spelled is <unk>, once for each character
  REQUIRE(without.ok());
  const u32 expected[] = {4, 3, 0, 0, 3};
  CHECK(without.encodes("a\xE6\x9D\xB1?a", expected));
}

TEST_CASE("vocab T07: special ids", "[tokenizer]") {
  constexpr u32 kIds[] = {256u, 0x7FFFFFFFu, 0x80000000u, 0xFFFFFFFEu};
  for (const u32 id : kIds) {
    TinyVocab vocab = byte_level({});
    vocab.eos = id;
    CHECK(LoadedTiny(vocab).refused(ErrorCode::kBadValue));
    vocab.eos = Tokenizer::kNoToken;
    vocab.bos = id;
    CHECK(LoadedTiny(vocab).refused(ErrorCode::kBadValue));
  }
  TinyVocab last = byte_level({});
  last.eos = 255;
  const LoadedTiny tiny(last);
  REQUIRE(tiny.ok());
  CHECK(tiny->is_end_of_generation(255));
  CHECK(!tiny->is_end_of_generation(256));

  TinyVocab no_bos = byte_level({});
  no_bos.add_bos = 1;
  CHECK(LoadedTiny(no_bos).refused(ErrorCode::kMismatch));
  no_bos.add_bos = -1;
  no_bos.pre = "llama-bpe";  // asks for a BOS by its name only
  const LoadedTiny by_name(no_bos);
  REQUIRE(by_name.ok());
  CHECK(!by_name->add_bos());
}

TEST_CASE("vocab T07: vocabularies of no, one and two tokens without the keys of special ids",
          "[tokenizer]") {
  TinyVocab vocab = byte_level({});
  vocab.n_byte_token = 0;
  CHECK(LoadedTiny(vocab).refused(ErrorCode::kLimit));
  const TinyToken two[] = {{"a"}, {"b"}};
  for (usize n = 1; n <= 2; ++n) {
    TinyVocab bpe = byte_level(Span<const TinyToken>(two).first(n));
    bpe.n_byte_token = 0;
    LoadedTiny tiny(bpe);
    REQUIRE(tiny.ok());
    CHECK(tiny->eos() == Tokenizer::kNoToken);
    const u32 expected[] = {0};
    CHECK(tiny.encodes("?a?", expected));
  }
}

TEST_CASE("vocab T08: arrays that do not fit the tokens", "[tokenizer]") {
  constexpr i32 kCounts[] = {-1, 1, 200};
  for (const i32 n : kCounts) {
    TinyVocab vocab = sentencepiece({});
    vocab.n_extra_score = n;
    CHECK(LoadedTiny(vocab).refused(ErrorCode::kMismatch));
    vocab.n_extra_score = 0;
    vocab.n_extra_type = n;
    CHECK(LoadedTiny(vocab).refused(ErrorCode::kMismatch));
  }
  TinyVocab vocab = sentencepiece({});
  vocab.type_of_scores = MetaType::kU8;
  CHECK(LoadedTiny(vocab).refused(ErrorCode::kBadType));
  vocab.type_of_scores = MetaType::kF32;
  vocab.type_of_types = MetaType::kU8;
  CHECK(LoadedTiny(vocab).refused(ErrorCode::kBadType));
  vocab.type_of_types = MetaType::kI32;
  vocab.no_scores = true;
  CHECK(LoadedTiny(vocab).refused(ErrorCode::kMissing));
  const TinyToken tokens[] = {{"xy", static_cast<TokenType>(99)}};
  const LoadedTiny unknown_type(byte_level(tokens));
  CHECK(unknown_type.refused(ErrorCode::kBadValue));
  CHECK(unknown_type.error().value == 99);
  CHECK(unknown_type.points_at(Str("\x63\0\0\0", 4)));
}

TEST_CASE("vocab: without token types every token is normal", "[tokenizer]") {
  const TinyToken tokens[] = {{"<|x|>", TokenType::kControl}};
  TinyVocab vocab = byte_level(tokens);
  vocab.no_types = true;
  const LoadedTiny tiny(vocab);
  REQUIRE(tiny.ok());
  CHECK(!tiny->is_control(256));
}

TEST_CASE("vocab T09: merges", "[tokenizer]") {
  const TinyToken tokens[] = {{"aa"}, {"aaaa"}, {"<s>", TokenType::kControl}, {"s>"}};
  const auto refusal = [&](Str merge) {
    const Str merges[] = {"a a", merge};
    const LoadedTiny tiny(byte_level(tokens, merges));
    if (!tiny.ok()) CHECK((tiny.points_at(merge) && tiny.arena_is_as_before()));
    return tiny.ok() ? ErrorCode::kOk : tiny.error().code;
  };
  CHECK(refusal("aa aa") == ErrorCode::kOk);
  CHECK(refusal("") == ErrorCode::kBadValue);
  CHECK(refusal("aa") == ErrorCode::kBadValue);    // no space
  CHECK(refusal("aa ") == ErrorCode::kBadValue);   // no right piece
  CHECK(refusal(" aa") == ErrorCode::kBadValue);   // no left piece
  CHECK(refusal("a zz") == ErrorCode::kMismatch);  // a piece that is no token
  CHECK(refusal("zz a") == ErrorCode::kMismatch);
  CHECK(refusal("aa a") == ErrorCode::kMismatch);  // a result that is no token
  CHECK(refusal("aaaa aaaa") ==
        ErrorCode::kMismatch);  // so a chain of self-merges ends with the vocabulary
  CHECK(refusal("a a a") == ErrorCode::kMismatch);
  CHECK(refusal("a a") == ErrorCode::kDuplicate);

  TinyVocab none = byte_level(tokens);
  none.no_merges = true;
  CHECK(LoadedTiny(none).refused(ErrorCode::kMissing));

  TinyVocab few = byte_level({tokens, 2});
  few.n_byte_token = 0;
  Str many[9];
  for (Str& merge : many) merge = "aa aa";
  few.merges = many;
  CHECK(LoadedTiny(few).refused(ErrorCode::kLimit));  // 4 for each token
}

TEST_CASE("vocab T09: no merge makes a control token", "[tokenizer]") {
  const TinyToken tokens[] = {{"st"}, {"stop", TokenType::kControl}, {"op"}};
  const Str merges[] = {"s t", "o p", "st op"};
  constexpr Str kNames[] = {"gpt-2", "llama-bpe"};
  for (const Str pre : kNames) {  // the second one takes a word that is a token as a whole
    TinyVocab vocab = byte_level(tokens, merges);
    vocab.pre = pre;
    LoadedTiny tiny(vocab);
    REQUIRE(tiny.ok());
    const u32 plain[] = {256, 258};
    CHECK(tiny.encodes("stop", plain));
    const u32 control[] = {257};
    CHECK(tiny.encodes("stop", control, {false, true}));
  }
}

TEST_CASE("vocab: a special token that is too long to be looked for", "[tokenizer]") {
  char spelling[1025];
  for (char& c : spelling) c = 'x';
  const TinyToken fits[] = {{Str(spelling, 1024), TokenType::kControl}};
  CHECK(LoadedTiny(byte_level(fits)).ok());
  const TinyToken tokens[] = {{Str(spelling, 1025), TokenType::kControl}};
  CHECK(LoadedTiny(byte_level(tokens)).refused(ErrorCode::kLimit));
}

TEST_CASE("vocab: what ends an answer", "[tokenizer]") {
  const TinyToken tokens[] = {{"<|im_end|>"},
                              {"</s>", TokenType::kUserDefined},
                              {"<|eot_id|>", TokenType::kControl},
                              {"<reponame>", TokenType::kControl},
                              {"<|im_start|>", TokenType::kControl},
                              {"<|end|>"}};
  const LoadedTiny tiny(byte_level(tokens));
  REQUIRE(tiny.ok());
  for (u32 id = 256; id < 260; ++id) CHECK(tiny->is_end_of_generation(id));
  CHECK(!tiny->is_end_of_generation(260));
  CHECK(tiny->is_end_of_generation(261));
  CHECK(tiny->is_control(256));  // whatever type the file gives it
  CHECK(tiny->is_control(257));
  CHECK(!tiny->is_end_of_generation('a'));

  // With channels, <|end|> ends a message, not the answer.
  const TinyToken channels[] = {{"<|end|>", TokenType::kControl},
                                {"<|return|>", TokenType::kControl},
                                {"<|call|>", TokenType::kControl}};
  const LoadedTiny harmony(byte_level(channels));
  REQUIRE(harmony.ok());
  CHECK(!harmony->is_end_of_generation(256));
  CHECK(harmony->is_control(256));
  CHECK(harmony->is_end_of_generation(257));
  CHECK(harmony->is_end_of_generation(258));

  const TinyToken html[] = {{"</s>"}, {"<|tool_response>", TokenType::kControl}};
  const LoadedTiny strike(byte_level(html));
  REQUIRE(strike.ok());
  CHECK(!strike->is_end_of_generation(256));
  CHECK(!strike->is_control(256));
}

}  // namespace lbm::test
