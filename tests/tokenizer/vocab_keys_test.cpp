// The keys of a tokenizer, one by one: absent, of another type, at their limits.
#include "core/tokenizer/special_tokens.h"
#include "tests/test.h"
#include "tests/tokenizer/tiny_vocab.h"

namespace lbm::test {
namespace {

constexpr u32 kNone = Tokenizer::kNoToken;

TinyVocab byte_level(Span<const TinyToken> tokens = {}) {
  TinyVocab vocab;
  vocab.tokens = tokens;
  return vocab;
}

TinyVocab of_kind(Str model, Span<const TinyToken> tokens) {
  TinyVocab vocab;
  vocab.model = model;
  vocab.pre = "default";
  vocab.tokens = tokens;
  vocab.no_merges = true;
  return vocab;
}

// Three tokens are all that t5 and bert need.
constexpr TinyToken kThree[] = {{"[U]", TokenType::kUnknown},
                                {"[C]", TokenType::kControl},
                                {"[S]", TokenType::kControl},
                                {"a", TokenType::kNormal, -1}};

TinyVocab unigram() {
  TinyVocab vocab = of_kind("t5", kThree);
  vocab.unknown = 0;
  return vocab;
}

TinyVocab word_piece() {
  TinyVocab vocab = of_kind("bert", kThree);
  vocab.unknown = 0;
  vocab.bos = 1;
  vocab.separator = 2;
  return vocab;
}

// The vocabulary with `key` as a number instead of what it was.
TinyVocab with_number(TinyVocab vocab, Str key, bool was_there) {
  if (was_there) vocab.absent_key = key;
  vocab.number_key = key;
  return vocab;
}

}  // namespace

TEST_CASE("vocab keys: of another type", "[tokenizer]") {
  constexpr Str kWritten[] = {"tokenizer.ggml.model",  "tokenizer.ggml.pre",
                              "tokenizer.ggml.tokens", "tokenizer.ggml.token_type",
                              "tokenizer.ggml.merges", "general.name",
                              "general.architecture"};
  for (const Str key : kWritten) {
    const LoadedTiny tiny(with_number(byte_level(), key, true));
    CHECK(tiny.refused_at(key, ErrorCode::kBadType));
  }
  constexpr Str kMore[] = {"tokenizer.ggml.add_bos_token",
                           "tokenizer.ggml.add_eos_token",
                           "tokenizer.ggml.add_space_prefix",
                           "tokenizer.ggml.remove_extra_whitespaces",
                           "tokenizer.ggml.normalizer.lowercase",
                           "tokenizer.ggml.normalizer.strip_accents",
                           "tokenizer.lbm.byte_fallback",
                           "tokenizer.lbm.split_words",
                           "tokenizer.lbm.split_white_space",
                           "tokenizer.lbm.ignore_merges",
                           "tokenizer.lbm.clean_spaces",
                           "tokenizer.lbm.space_prefix",
                           "tokenizer.lbm.normalizer",
                           "tokenizer.lbm.lstrip_tokens",
                           "tokenizer.lbm.rstrip_tokens"};
  for (const Str key : kMore) {
    const LoadedTiny tiny(with_number(byte_level(), key, false));
    CHECK(tiny.refused_at(key, ErrorCode::kBadType));
  }
  const LoadedTiny scores(with_number(of_kind("llama", {}), "tokenizer.ggml.scores", true));
  CHECK(scores.refused_at("tokenizer.ggml.scores", ErrorCode::kBadType));
  const LoadedTiny map(with_number(unigram(), "tokenizer.ggml.precompiled_charsmap", false));
  CHECK(map.refused_at("tokenizer.ggml.precompiled_charsmap", ErrorCode::kBadType));
}

TEST_CASE("vocab keys: arrays of another type", "[tokenizer]") {
  constexpr u32 kList[] = {0, 1};
  const auto with_list = [&](TinyVocab vocab, Str key, MetaType type, bool was_there) {
    if (was_there) vocab.absent_key = key;
    vocab.list_key = key;
    vocab.list_type = type;
    vocab.list = kList;
    return vocab;
  };
  for (const Str key : {Str("tokenizer.ggml.tokens"), Str("tokenizer.ggml.merges")}) {
    const LoadedTiny tiny(with_list(byte_level(), key, MetaType::kU32, true));
    CHECK(tiny.refused_at(key, ErrorCode::kBadType));
  }
  for (const Str key : {Str("tokenizer.lbm.lstrip_tokens"), Str("tokenizer.lbm.rstrip_tokens")}) {
    const LoadedTiny tiny(with_list(byte_level(), key, MetaType::kU8, false));
    CHECK(tiny.refused_at(key, ErrorCode::kBadType));
  }
  constexpr Str kMap = "tokenizer.ggml.precompiled_charsmap";
  CHECK(LoadedTiny(with_list(unigram(), kMap, MetaType::kU32, false))
            .refused_at(kMap, ErrorCode::kBadType));
  constexpr Str kChars = "tokenizer.lbm.max_word_chars";
  CHECK(LoadedTiny(with_list(word_piece(), kChars, MetaType::kU32, false))
            .refused_at(kChars, ErrorCode::kBadType));
  // Too short to be a map, but of a type that one can have.
  CHECK(LoadedTiny(with_list(unigram(), kMap, MetaType::kU8, false)).error().code ==
        ErrorCode::kTruncated);
  CHECK(LoadedTiny(with_list(unigram(), kMap, MetaType::kI8, false)).error().code ==
        ErrorCode::kTruncated);
  TinyVocab empty = with_list(unigram(), kMap, MetaType::kU8, false);
  empty.list = {};
  CHECK(LoadedTiny(empty).ok());
  // Types may be signed or not.
  TinyVocab types = byte_level();
  types.type_of_types = MetaType::kU32;
  CHECK(LoadedTiny(types).ok());
}

TEST_CASE("vocab keys: those that a tokenizer can not be without", "[tokenizer]") {
  const auto refused = [](TinyVocab vocab, Str key, ErrorCode code) {
    vocab.absent_key = key;
    const LoadedTiny tiny(vocab);
    return tiny.refused(code) && tiny.error().subject_text() == key;
  };
  CHECK(refused(byte_level(), "tokenizer.ggml.model", ErrorCode::kMissing));
  CHECK(refused(byte_level(), "tokenizer.ggml.tokens", ErrorCode::kMissing));
  CHECK(refused(byte_level(), "tokenizer.ggml.merges", ErrorCode::kMissing));
  CHECK(refused(of_kind("llama", {}), "tokenizer.ggml.scores", ErrorCode::kMissing));
  // 1, 100, 101 and 102 are what is meant where nothing is said; this vocabulary ends before.
  CHECK(refused(word_piece(), "tokenizer.ggml.bos_token_id", ErrorCode::kMismatch));
  CHECK(refused(word_piece(), "tokenizer.ggml.seperator_token_id", ErrorCode::kMismatch));
  CHECK(refused(word_piece(), "tokenizer.ggml.unknown_token_id", ErrorCode::kMissing));
  TinyVocab two = unigram();
  two.tokens = Span<const TinyToken>(kThree).first(2);
  CHECK(refused(two, "tokenizer.ggml.unknown_token_id", ErrorCode::kMissing));
  TinyVocab ends = byte_level();
  ends.add_eos = 1;
  const LoadedTiny no_eos(ends);
  CHECK(no_eos.refused(ErrorCode::kMismatch));
  CHECK(no_eos.error().subject_text() == "tokenizer.ggml.eos_token_id");
  // A unigram file without an end marks no end.
  two.tokens = Span<const TinyToken>(kThree).first(1);
  const LoadedTiny one(two);
  REQUIRE(one.ok());
  CHECK(one->eos() == kNone);
  CHECK(!one->add_eos());
}

TEST_CASE("vocab keys: numbers at their limits", "[tokenizer]") {
  TinyVocab vocab = word_piece();
  vocab.number_key = "tokenizer.lbm.max_word_chars";
  vocab.number_type = MetaType::kU64;
  vocab.number = ~u32{0};
  CHECK(LoadedTiny(vocab).ok());
  vocab.number = u64{1} << 32;
  CHECK(LoadedTiny(vocab).refused_at(vocab.number_key, ErrorCode::kBadValue));
  vocab.number = 0;  // none
  LoadedTiny any(vocab);
  REQUIRE(any.ok());
  const TinyToken tokens[] = {{"xy", static_cast<TokenType>(kTokenTypeCount)}};
  const LoadedTiny type(byte_level(tokens));
  CHECK(type.refused(ErrorCode::kBadValue));
  CHECK(type.error().value == kTokenTypeCount);
  CHECK(type.error().limit == kTokenTypeCount - 1);
  // 4 merges for each token.
  const TinyToken doubles[] = {{"aa"}, {"aaaa"}};
  TinyVocab few = byte_level(doubles);
  few.n_byte_token = 0;
  Str merges[9];
  for (Str& merge : merges) merge = "aa aa";
  few.merges = Span<const Str>(merges).first(8);
  CHECK(LoadedTiny(few).error().code == ErrorCode::kDuplicate);
  few.merges = merges;
  const LoadedTiny many(few);
  CHECK(many.refused_at("tokenizer.ggml.merges", ErrorCode::kLimit));
  CHECK(many.error().value == 9);
  CHECK(many.error().limit == 8);
}

TEST_CASE("vocab keys: ids of tokens with white space beside them", "[tokenizer]") {
  const TinyToken tokens[] = {{"<a>", TokenType::kControl}, {"<b>", TokenType::kControl}};
  constexpr u32 kFirst[] = {256};
  constexpr u32 kBoth[] = {256, 257};
  constexpr u32 kBeyond[] = {256, 258};
  const u32 before[] = {'x', 256, ' ', 'y'};
  const u32 after[] = {'x', ' ', 256, 'y', 257, 'z'};
  TinyVocab vocab = byte_level(tokens);
  vocab.list_key = "tokenizer.lbm.lstrip_tokens";
  vocab.list = kFirst;
  LoadedTiny left(vocab);
  REQUIRE(left.ok());
  CHECK(left.encodes("x <a> y", before, {false, true}));
  vocab.list_key = "tokenizer.lbm.rstrip_tokens";
  vocab.list = kBoth;
  LoadedTiny right(vocab);
  REQUIRE(right.ok());
  CHECK(right.encodes("x <a> y<b>\xC2\xA0z", after, {false, true}));
  vocab.list = kBeyond;
  const LoadedTiny beyond(vocab);
  CHECK(beyond.refused_at("tokenizer.lbm.rstrip_tokens", ErrorCode::kBadValue));
  CHECK(beyond.error().value == 258);
  CHECK(beyond.error().limit == 257);
  constexpr u32 kHuge[] = {0xFFFFFFFF};
  vocab.list = kHuge;
  CHECK(LoadedTiny(vocab).refused_at("tokenizer.lbm.rstrip_tokens", ErrorCode::kBadValue));
}

TEST_CASE("vocab keys: white space that goes by the name of a model", "[tokenizer]") {
  struct Case {
    Str pre;
    Str architecture;
    Str name;
    bool trims_mask;    // before <mask>
    bool trims_square;  // before [MASK]
    bool trims_after;
  };
  constexpr Case kCases[] = {
      {"gpt-2", "llama", "tiny", false, false, false},
      {"jina-v2-de", "llama", "tiny", true, false, false},
      {"jina-v2-es", "llama", "tiny", true, false, false},
      {"jina-v2-code", "llama", "tiny", true, false, false},
      {"gpt-2", "nomic-bert-moe", "tiny", true, false, false},
      {"gpt-2", "jina-bert-v3", "phi-3", true, false, false},
      {"gpt-2", "llama", "My Phi-3 mini", false, false, true},
      {"gpt-2", "llama", "PHI3", false, false, true},
      {"gpt-2", "llama", "Modern-BERT", false, true, false},
  };
  const TinyToken tokens[] = {{"<mask>", TokenType::kControl},
                              {"[MASK]", TokenType::kControl},
                              {"<s>", TokenType::kControl},
                              {"<u>", TokenType::kUserDefined}};
  for (const Case& c : kCases) {
    TinyVocab vocab = byte_level(tokens);
    vocab.pre = c.pre;
    vocab.architecture = c.architecture;
    vocab.name = c.name;
    LoadedTiny tiny(vocab);
    REQUIRE(tiny.ok());
    const u32 mask[] = {' ', 256};
    CHECK(tiny.encodes(" <mask>", Span<const u32>(mask).from(c.trims_mask ? 1 : 0), {false, true}));
    const u32 square[] = {' ', 257};
    CHECK(tiny.encodes(" [MASK]", Span<const u32>(square).from(c.trims_square ? 1 : 0),
                       {false, true}));
    const u32 after[] = {259, ' '};
    CHECK(tiny.encodes("<u> ", Span<const u32>(after).first(c.trims_after ? 1 : 2)));
    const u32 start[] = {258, ' '};  // <s> never does
    CHECK(tiny.encodes("<s> ", start, {false, true}));
  }
  // A file of that kind without the token.
  TinyVocab none = byte_level();
  none.pre = "jina-v2-de";
  CHECK(LoadedTiny(none).ok());
}

TEST_CASE("vocab keys: pre-tokenizers that change more than the cuts", "[tokenizer]") {
  const TinyToken tokens[] = {{"a", TokenType::kNormal}, {"<s>", TokenType::kControl}};
  TinyVocab gemma = byte_level(tokens);
  gemma.n_byte_token = 0;
  gemma.model = "gemma4";
  gemma.pre = "whatever";
  gemma.bos = 1;
  gemma.add_bos = 0;  // early files are wrong
  const LoadedTiny four(gemma);
  REQUIRE(four.ok());
  CHECK(four->pretokenizer_name() == "gemma4");
  CHECK(four->add_bos());
  gemma.bos = kNone;
  const LoadedTiny bare(gemma);
  REQUIRE(bare.ok());
  CHECK(!bare->add_bos());
  // Byte tokens count where no byte-level alphabet is, and only there.
  const TinyToken bytes[] = {{"a"}, {"<0x41>", TokenType::kByte}};
  TinyVocab fallback = byte_level(bytes);
  fallback.n_byte_token = 0;
  fallback.pre = "characters";
  LoadedTiny characters(fallback);
  REQUIRE(characters.ok());
  const u32 ids[] = {0, 1};
  CHECK(characters.encodes("aA", ids));
  CHECK(characters.decodes(ids, "aA"));
  fallback.pre = "gpt-2";
  LoadedTiny level(fallback);
  REQUIRE(level.ok());
  const u32 only[] = {0};
  CHECK(level.encodes("aA", only));
  // Files of these may leave the merges out.
  TinyVocab kimi = byte_level();
  kimi.pre = "kimi-k2";
  CHECK(LoadedTiny(kimi).ok());
  kimi.no_merges = true;
  CHECK(LoadedTiny(kimi).ok());
}

TEST_CASE("vocab keys: the space in front, in words", "[tokenizer]") {
  const TinyToken tokens[] = {{"\xE2\x96\x81", TokenType::kNormal, -1},
                              {"a", TokenType::kNormal, -1},
                              {"<c>", TokenType::kControl}};
  struct Case {
    Str mode;
    i32 flag;
    bool start;    // whether "a" gets a space
    bool behind;   // whether " a" gets a second one
    bool special;  // whether "a" behind a special token gets one
  };
  constexpr Case kCases[] = {{"always", 0, true, true, true},
                             {"missing", 0, true, false, true},
                             {"first", 0, true, false, false},
                             {"", 0, false, false, false},
                             {"", 1, true, true, true}};
  for (const Case& c : kCases) {
    TinyVocab vocab = of_kind("llama", tokens);
    vocab.n_byte_token = 0;
    vocab.space_prefix = c.mode;
    vocab.add_space_prefix = c.flag;
    LoadedTiny tiny(vocab);
    REQUIRE(tiny.ok());
    const u32 two[] = {3, 3, 4};
    const Span<const u32> all(two);
    CHECK(tiny.encodes("a", all.from(c.start ? 1 : 2)));
    CHECK(tiny.encodes(" a", all.from(c.behind ? 0 : 1)));
    const u32 special[] = {5, 3, 4};
    const u32 bare[] = {5, 4};
    CHECK(tiny.encodes("<c>a", c.special ? Span<const u32>(special) : Span<const u32>(bare),
                       {false, true}));
  }
  // BPE keeps text as it is, whatever the flag says.
  TinyVocab bpe = byte_level();
  bpe.add_space_prefix = 1;
  LoadedTiny plain(bpe);
  REQUIRE(plain.ok());
  const u32 a[] = {'a'};
  CHECK(plain.encodes("a", a));
  CHECK(plain.decodes(a, "a"));
}

TEST_CASE("vocab keys: text is composed first where the file says nfc", "[tokenizer]") {
  TinyVocab vocab = byte_level();
  LoadedTiny plain(vocab);
  const u32 apart[] = {'e', 0xCC, 0x81};
  const u32 composed[] = {0xC3, 0xA9};
  CHECK(plain.encodes("e\xCC\x81", apart));
  vocab.normalizer = "nfc";
  LoadedTiny nfc(vocab);
  REQUIRE(nfc.ok());
  CHECK(nfc.encodes("e\xCC\x81", composed));
  vocab.normalizer = "bert";
  CHECK(LoadedTiny(vocab).ok());
  vocab.normalizer = "nfd";
  const LoadedTiny other(vocab);
  CHECK(other.refused(ErrorCode::kUnsupported));
  CHECK(other.error().subject_text() == "nfd");
}

TEST_CASE("vocab: which tokens stand for what a vocabulary can not spell", "[tokenizer]") {
  const TinyToken tokens[] = {{"<unk>", TokenType::kUnknown}, {"ab"}};
  const LoadedTiny bpe(byte_level(tokens));
  REQUIRE(bpe.ok());
  CHECK(!bpe->is_fallback('a'));
  CHECK(!bpe->is_fallback(0x7F));
  CHECK(bpe->is_fallback(0x80));
  CHECK(bpe->is_fallback(0xFF));
  CHECK(bpe->is_fallback(256));
  CHECK(!bpe->is_fallback(257));
  CHECK(!bpe->is_fallback(258));
  CHECK(!bpe->is_control(258));
  const LoadedTiny spm(of_kind("llama", {}));
  REQUIRE(spm.ok());
  CHECK(spm->is_fallback(0));
  CHECK(!spm->is_fallback(1));
  CHECK(spm->is_fallback(3));
  CHECK(spm->is_fallback(258));
  CHECK(spm->pretokenizer_name() == "default");
  CHECK(spm->notice().empty());
  const TinyToken pieces[] = {{"a"}};
  const LoadedTiny more(of_kind("llama", pieces));
  REQUIRE(more.ok());
  CHECK(!more->is_fallback(259));
  TinyVocab unnamed = byte_level();
  unnamed.pre = "";
  const LoadedTiny old(unnamed);
  REQUIRE(old.ok());
  CHECK(!old->notice().empty());
}

TEST_CASE("vocab: what ends a message where messages have channels", "[tokenizer]") {
  struct Case {
    Str first;
    Str second;
    bool end_ends;
  };
  constexpr Case kCases[] = {{"<|call|>", "<|return|>", false}, {"<|call|>", "<|flush|>", false},
                             {"<|calls|>", "<|flush|>", false}, {"<|calls|>", "<|return|>", false},
                             {"<|call|>", "xx", true},          {"<|return|>", "<|flush|>", true}};
  for (const Case& c : kCases) {
    const TinyToken tokens[] = {{"<|end|>"}, {c.first}, {c.second}};
    const LoadedTiny tiny(byte_level(tokens));
    REQUIRE(tiny.ok());
    CHECK(tiny->is_end_of_generation(256) == c.end_ends);
    CHECK(tiny->is_end_of_generation(257));
  }
  const TinyToken without[] = {{"<|call|>"}, {"<|return|>"}};
  CHECK(LoadedTiny(byte_level(without)).ok());
}

TEST_CASE("vocab: tokens without a spelling, and tokens that stand for nothing", "[tokenizer]") {
  const TinyToken tokens[] = {{"", TokenType::kControl},
                              {"u", TokenType::kUnused},
                              {"w", TokenType::kUndefined},
                              {"", TokenType::kUserDefined}};
  TinyVocab vocab = of_kind("llama", tokens);
  LoadedTiny tiny(vocab);
  REQUIRE(tiny.ok());
  const u32 ids[] = {259, 260, 261, 262};
  CHECK(tiny.decodes(ids, "", true));
  SpecialTokens specials;
  CHECK(specials.match("", 0).id == kNone);
}

}  // namespace lbm::test
