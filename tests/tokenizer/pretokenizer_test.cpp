#include "core/tokenizer/pretokenizer.h"

#include "core/base/pcg32.h"
#include "tests/test.h"
#include "tests/tokenizer/pretokenizer_cases.h"

namespace lbm {
namespace {

// Whether `name` cuts `text` into the words that `expected` has between '|'. The text itself has no
// '|'.
bool cuts(Str name, Str text, Str expected) {
  const Pretokenizer* pretokenizer = find_pretokenizer(name);
  if (pretokenizer == nullptr) return false;
  char joined[512];
  usize n = 0;
  WordSplitter words(*pretokenizer, text);
  for (Str word; words.next(word);) {
    if (n != 0) joined[n++] = '|';
    if (word.empty() || n + word.size() + 1 > sizeof(joined)) return false;
    __builtin_memcpy(joined + n, word.data(), word.size());
    n += word.size();
  }
  return Str(joined, n) == expected;
}

}  // namespace

TEST_CASE("pretokenizer gpt-2: words, numbers and symbols take one space", "[tokenizer]") {
  CHECK(cuts("gpt-2", "Hello world 123  foo", "Hello| world| 123| | foo"));
  CHECK(cuts("gpt-2", "I'll can't 'Tis we'VE", "I|'ll| can|'t| '|Tis| we|'|VE"));
  CHECK(cuts("gpt-2", "a\n\n b  ", "a|\n\n| b|  "));
  CHECK(cuts("gpt-2", "\t\tx \n", "\t|\t|x| \n"));
  CHECK(cuts("gpt-2", "x... $5,000", "x|...| $|5|,|000"));
  CHECK(cuts("gpt-2",
             "\xE6\x9D\xB1\xE4\xBA\xAC"
             "1\xC2\xB2",
             "\xE6\x9D\xB1\xE4\xBA\xAC|1\xC2\xB2"));
  CHECK(cuts("gpt-2",
             "e\xCC\x81"
             "a",
             "e|\xCC\x81|a"));  // a combining mark is no letter
  CHECK(cuts("gpt-2",
             "a\xC2\xA0\xC2\xA0"
             "b",
             "a|\xC2\xA0|\xC2\xA0|b"));
  CHECK(cuts("gpt-2", "", ""));
}

TEST_CASE("pretokenizer smollm: every digit is a word", "[tokenizer]") {
  CHECK(cuts("smollm", "in 2024!", "in| |2|0|2|4|!"));
  CHECK(cuts("smollm", "a  7", "a|  |7"));  // the digit ends the piece: both spaces stay together
  CHECK(cuts("gpt-2", "a  7", "a| | 7"));
}

TEST_CASE("pretokenizer llama-bpe", "[tokenizer]") {
  CHECK(cuts("llama-bpe", "I'LL go 12345 times", "I|'LL| go| |123|45| times"));
  CHECK(cuts("llama-bpe", "(word) \tword", "(word|)| |\tword"));
  CHECK(cuts("llama-bpe", "end.\n\nNext  \n  x", "end|.\n\n|Next|  \n| | x"));
  CHECK(cuts("llama-bpe", "a \n\n", "a| \n\n"));
  CHECK(cuts("qwen2", "v123", "v|1|2|3"));
  CHECK(cuts("minicpm5", "a  1234", "a|  |123|4"));
}

TEST_CASE("pretokenizer qwen35: marks belong to words", "[tokenizer]") {
  CHECK(cuts("qwen35",
             "e\xCC\x81"
             "a!",
             "e\xCC\x81"
             "a|!"));
  CHECK(cuts("qwen2",
             "e\xCC\x81"
             "a!",
             "e|\xCC\x81"
             "a|!"));
}

TEST_CASE("pretokenizer gpt-4o: capital letters start words, contractions belong to them",
          "[tokenizer]") {
  CHECK(cuts("gpt-4o", "camelCaseHTTPServer", "camel|Case|HTTPServer"));
  CHECK(cuts("gpt-4o", "I'll DON'T x's", "I'll| DON'T| x's"));
  CHECK(cuts("gpt-4o", "a/b //\n", "a|/b| //\n"));
  CHECK(cuts("gpt-4o",
             "\xE6\x9D\xB1"
             "AB",
             "\xE6\x9D\xB1|AB"));  // an uncased letter may end the lower+ of the first alternative
  CHECK(cuts("gpt-4o",
             "AB\xE6\x9D\xB1"
             "CD",
             "AB\xE6\x9D\xB1|CD"));
  CHECK(cuts("gpt-4o", "!\xCC\x81 \xCC\x81", "!\xCC\x81| \xCC\x81"));
  CHECK(cuts("gpt-4o", "12345", "123|45"));
  CHECK(cuts("tekken", "I'll 12", "I|'ll| |1|2"));
}

TEST_CASE("pretokenizers that cut more than once", "[tokenizer]") {
  CHECK(cuts("falcon", "a+b 12345 c", "a|+|b| |123|45| c"));
  CHECK(cuts("default", "a+b 1234567", "a|+|b| |123|456|7"));
  CHECK(cuts("deepseek-coder", "x = 10;\n y", "x| = |1|0|;|\n| y"));
  CHECK(cuts("deepseek-coder",
             "\xE6\x9D\xB1"
             "abc",
             "\xE6\x9D\xB1|abc"));
  CHECK(cuts("deepseek-llm", "Hi, you.  ", "Hi|,| you|.|  "));
  CHECK(cuts("deepseek-llm", "a 42 \xE3\x80\x80", "a| |42| |\xE3\x80\x80"));
  CHECK(cuts("deepseek-v3", "x.foo (12345) \xE3\x81\x82z\n",
             "x|.foo| (|123|45|)| |\xE3\x81\x82|z|\n"));
}

TEST_CASE("pretokenizers: every class cuts as its expressions do", "[tokenizer]") {
  for (const test::CutCase& c : test::kCutCases) {
    const Pretokenizer* pretokenizer = find_pretokenizer(c.name);
    REQUIRE(pretokenizer != nullptr);
    for (usize i = 0; i < test::kCutTextCount; ++i) {
      char lengths[256];
      usize n = 0;
      WordSplitter words(*pretokenizer, test::kCutTexts[i]);
      for (Str word; words.next(word) && n < sizeof(lengths) - 8;) {
        for (usize part = 0; part < word.size() / 64; ++part) lengths[n++] = 'p';
        lengths[n++] = static_cast<char>('0' + word.size() % 64);
      }
      CHECK(Str(lengths, n) == c.lengths[i]);
    }
  }
}

TEST_CASE("pretokenizers: every name of llama.cpp is known", "[tokenizer]") {
  constexpr Str kNames[] = {"a.x-4.0",
                            "afmoe",
                            "bailingmoe",
                            "bailingmoe2",
                            "bloom",
                            "chameleon",
                            "chatglm-bpe",
                            "codeshell",
                            "cohere2moe",
                            "command-r",
                            "dbrx",
                            "deepseek-coder",
                            "deepseek-llm",
                            "deepseek-r1-qwen",
                            "deepseek-v3",
                            "default",
                            "exaone",
                            "exaone-moe",
                            "exaone4",
                            "f2llmv2",
                            "falcon",
                            "falcon-h1",
                            "falcon3",
                            "gemma4",
                            "gigachat",
                            "glm4",
                            "glm5",
                            "gpt-2",
                            "gpt-4o",
                            "gpt3-finnish",
                            "granite-docling",
                            "granite-embed-multi-311m",
                            "granite-embed-multi-97m",
                            "grok-2",
                            "hunyuan",
                            "hunyuan-dense",
                            "hy_v4",
                            "jais",
                            "jais-2",
                            "jina-de",
                            "jina-es",
                            "jina-v1-en",
                            "jina-v2-code",
                            "jina-v2-de",
                            "jina-v2-es",
                            "jina-v5-nano",
                            "joyai-llm",
                            "kanana2",
                            "kimi-k2",
                            "kormo",
                            "laguna",
                            "lfm2",
                            "llada-moe",
                            "llama-bpe",
                            "llama-v3",
                            "llama3",
                            "llama4",
                            "megrez",
                            "mellum",
                            "mellum2",
                            "midm-2.0",
                            "minerva-7b",
                            "minicpm5",
                            "minimax-m2",
                            "modern-bert",
                            "mpt",
                            "olmo",
                            "phi-2",
                            "pixtral",
                            "poro-chat",
                            "qwen2",
                            "qwen35",
                            "refact",
                            "roberta-bpe",
                            "sarvam-moe",
                            "seed-coder",
                            "smaug-bpe",
                            "smollm",
                            "solar-open",
                            "spark2_5",
                            "stablelm2",
                            "starcoder",
                            "superbpe",
                            "talkie",
                            "tekken",
                            "tiny_aya",
                            "trillion",
                            "ufakzeka",
                            "viking",
                            "youtu"};
  for (const Str name : kNames) CHECK(find_pretokenizer(name) != nullptr);
}

// A matcher that looked on to the end of its run at every place would take many times as long.
TEST_CASE("pretokenizers: long runs are cut in linear time", "[tokenizer]") {
  static char text[1 << 14];
  constexpr char kBytes[] = {'1', ' ', '\n', 'a', '.', '\''};
  for (const char byte : kBytes) {
    for (char& c : text) c = byte;
    for (const test::CutCase& c : test::kCutCases) {
      usize n_byte = 0;
      WordSplitter words(*find_pretokenizer(c.name), Str(text, sizeof(text)));
      for (Str word; words.next(word);) n_byte += word.size();
      CHECK(n_byte == sizeof(text));
    }
  }
}

TEST_CASE("pretokenizers: a name this build does not know", "[tokenizer]") {
  CHECK(find_pretokenizer("no-such-name") == nullptr);
  CHECK(find_pretokenizer("") == nullptr);
  CHECK(find_pretokenizer("smollm") != nullptr);
}

TEST_CASE("pretokenizers: the words are the text, whatever the text is", "[tokenizer]") {
  constexpr Str kParts[] = {"a",
                            "Z",
                            "'s",
                            "'",
                            " ",
                            "  ",
                            "\n",
                            "\r\n",
                            "\t",
                            "7",
                            "42",
                            ".",
                            "$",
                            "\xC3\xA9",
                            "\xE6\x9D\xB1",
                            "\xCC\x81",
                            "\xF0\x9F\x99\x82",
                            "\xFF",
                            "\xE2\x82",
                            "\xC2\xA0",
                            "/",
                            "\xE3\x80\x80"};
  Pcg32 random(3, 5);
  u32 n_wrong = 0;
  for (u32 round = 0; round < 40; ++round) {
    char text[256];
    usize n = 0;
    while (n < sizeof(text) - 8) {
      const Str part = kParts[random.next() % (sizeof(kParts) / sizeof(kParts[0]))];
      __builtin_memcpy(text + n, part.data(), part.size());
      n += part.size();
    }
    for (const test::CutCase& c : test::kCutCases) {
      const char* expected = text;
      WordSplitter words(*find_pretokenizer(c.name), Str(text, n));
      for (Str word; words.next(word);) {
        n_wrong += word.data() == expected && !word.empty() ? 0u : 1u;
        expected = word.end();
      }
      n_wrong += expected == text + n ? 0u : 1u;
    }
  }
  CHECK(n_wrong == 0);
}

}  // namespace lbm
