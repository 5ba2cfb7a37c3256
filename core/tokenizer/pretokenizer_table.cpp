// The regular expressions of the pre-tokenizers, by the models that introduced them, and the names
// that files call them by. Sources: the tokenizer.json of each model; the names are llama.cpp's.
#include "core/tokenizer/pretokenizer.h"
#include "core/tokenizer/split_step.h"

namespace lbm {
namespace {

using namespace char_set;

constexpr CodepointRange kNewlineChars[] = {{'\n', '\n'}, {'\r', '\r'}};
constexpr CodepointRange kAsciiDigits[] = {{'0', '9'}};
constexpr CodepointRange kFalconSymbols[] = {{'$', '$'}, {'+', '+'}, {'<', '>'}, {'^', '^'},
                                             {'`', '`'}, {'|', '|'}, {'~', '~'}};
constexpr CodepointRange kDefaultSymbols[] = {{'$', '$'}, {'+', '+'}, {'<', '>'},
                                              {'^', '^'}, {'|', '|'}, {'~', '~'}};
constexpr CodepointRange kDeepseekCjk[] = {{0x0800, 0x9FA5}, {0xAC00, 0xD7FF}};
constexpr CodepointRange kDeepseekV3Cjk[] = {{0x3040, 0x30FF}, {0x4E00, 0x9FA5}};
constexpr CodepointRange kDeepseekPunctuation[] = {
    {'!', '/'}, {':', '~'}, {0x2018, 0x201F}, {0x3000, 0x3002}, {0xFF01, 0xFF0F}, {0xFF1A, 0xFF5E}};
// The cased letters as DeepSeek LLM's tokenizer lists them; Unicode has more (Armenian and Georgian
// lowercase, for example).
constexpr CodepointRange kDeepseekLetters[] = {
    {0x41, 0x5A},       {0x61, 0x7A},       {0xB5, 0xB5},       {0xC0, 0xD6},
    {0xD8, 0xF6},       {0xF8, 0x1BA},      {0x1BC, 0x1BF},     {0x1C4, 0x293},
    {0x295, 0x2AF},     {0x370, 0x373},     {0x376, 0x377},     {0x37B, 0x37D},
    {0x37F, 0x37F},     {0x386, 0x386},     {0x388, 0x38A},     {0x38C, 0x38C},
    {0x38E, 0x3A1},     {0x3A3, 0x3F5},     {0x3F7, 0x481},     {0x48A, 0x52F},
    {0x531, 0x556},     {0x10A0, 0x10C5},   {0x13A0, 0x13F5},   {0x13F8, 0x13FD},
    {0x1C90, 0x1CBA},   {0x1CBD, 0x1CBF},   {0x1D00, 0x1D2B},   {0x1D6B, 0x1D77},
    {0x1D79, 0x1D9A},   {0x1E00, 0x1F15},   {0x1F18, 0x1F1D},   {0x1F20, 0x1F45},
    {0x1F48, 0x1F4D},   {0x1F50, 0x1F57},   {0x1F59, 0x1F59},   {0x1F5B, 0x1F5B},
    {0x1F5D, 0x1F5D},   {0x1F5F, 0x1F7D},   {0x1F80, 0x1FB4},   {0x1FB6, 0x1FBC},
    {0x1FBE, 0x1FBE},   {0x1FC2, 0x1FC4},   {0x1FC6, 0x1FCC},   {0x1FD0, 0x1FD3},
    {0x1FD6, 0x1FDB},   {0x1FE0, 0x1FEC},   {0x1FF2, 0x1FF4},   {0x1FF6, 0x1FFC},
    {0x2102, 0x2102},   {0x2107, 0x2107},   {0x210A, 0x2113},   {0x2115, 0x2115},
    {0x2119, 0x211D},   {0x2124, 0x2124},   {0x2126, 0x2126},   {0x2128, 0x2128},
    {0x212A, 0x212D},   {0x212F, 0x2134},   {0x2139, 0x2139},   {0x213C, 0x213F},
    {0x2145, 0x2149},   {0x214E, 0x214E},   {0x2183, 0x2184},   {0x2C00, 0x2C7B},
    {0x2C7E, 0x2CE4},   {0x2CEB, 0x2CEE},   {0x2CF2, 0x2CF3},   {0xA640, 0xA66D},
    {0xA680, 0xA69B},   {0xA722, 0xA76F},   {0xA771, 0xA787},   {0xA78B, 0xA78E},
    {0xAB70, 0xABBF},   {0xFB00, 0xFB06},   {0xFB13, 0xFB17},   {0xFF21, 0xFF3A},
    {0xFF41, 0xFF5A},   {0x10400, 0x1044F}, {0x104B0, 0x104D3}, {0x104D8, 0x104FB},
    {0x10C80, 0x10CB2}, {0x10CC0, 0x10CF2}, {0x118A0, 0x118DF}, {0x1E900, 0x1E943}};

constexpr auto kLowercase = WordRule::Contractions::kLowercase;
constexpr auto kAnyCase = WordRule::Contractions::kAnyCase;
constexpr auto kNewlines = WordRule::Tail::kNewlines;
constexpr auto kNewlinesAndSlash = WordRule::Tail::kNewlinesAndSlash;

constexpr WordRule kGpt2Words = {.contractions = kLowercase, .space_prefix = true};
constexpr WordRule llama3_words(u32 max_digits) {
  return {.contractions = kAnyCase, .max_digits = max_digits, .tail = kNewlines, .newlines = true};
}
constexpr SetRun kOneNumber = {.classes = kNumber, .max = 1};
constexpr SetRun kThreeNumbers = {.classes = kNumber, .max = 3};
constexpr SetRun kNumbers = {.classes = kNumber};
constexpr SetRun kThreeDigits = {.ranges = kAsciiDigits, .min = 3, .max = 3};
constexpr SetRun kOneNewline = {.ranges = kNewlineChars, .max = 1};

constexpr SplitStep kGpt2[] = {kGpt2Words};
constexpr SplitStep kStarcoder[] = {kOneNumber, kGpt2Words};
constexpr SplitStep kLlama3[] = {llama3_words(3)};
constexpr SplitStep kMinicpm5[] = {kThreeNumbers, llama3_words(~u32{0})};
constexpr SplitStep kQwen2[] = {llama3_words(1)};
constexpr SplitStep kQwen35[] = {WordRule{.contractions = kAnyCase,
                                          .word = kLetter | kMark,
                                          .max_digits = 1,
                                          .tail = kNewlines,
                                          .newlines = true}};
constexpr SplitStep kSeedCoder[] = {
    WordRule{.contractions = kAnyCase, .max_digits = 1, .newlines = true}};
constexpr SplitStep kGpt4o[] = {WordRule{.suffix = kAnyCase,
                                         .cased = true,
                                         .max_digits = 3,
                                         .tail = kNewlinesAndSlash,
                                         .newlines = true}};
constexpr SplitStep kTekken[] = {
    WordRule{.cased = true, .max_digits = 1, .tail = kNewlinesAndSlash, .newlines = true}};
constexpr SplitStep kFalcon[] = {SetRun{.classes = kPunctuation, .ranges = kFalconSymbols},
                                 kGpt2Words, kThreeDigits};
constexpr SplitStep kDefault[] = {SetRun{.classes = kPunctuation, .ranges = kDefaultSymbols},
                                  kGpt2Words, kNumbers, kThreeDigits};
constexpr SplitStep kDeepseekCoder[] = {kOneNewline,
                                        SetRun{.classes = kLetter, .leading_space = true},
                                        SetRun{.classes = kPunctuation, .leading_space = true},
                                        SetRun{.ranges = kDeepseekCjk}, kOneNumber};
constexpr SplitStep kDeepseekLlm[] = {kOneNewline,
                                      SetRun{.ranges = kDeepseekLetters, .leading_space = true},
                                      SetRun{.ranges = kDeepseekPunctuation, .leading_space = true},
                                      SplitStep::Kind::kTrailingSpace,
                                      SetRun{.ranges = kDeepseekCjk},
                                      kNumbers};
constexpr SplitStep kDeepseekV3[] = {kThreeNumbers, SetRun{.ranges = kDeepseekV3Cjk},
                                     SplitStep::Kind::kPunctuatedWords};

constexpr Pretokenizer kPretokenizers[] = {
    {.name = "default", .steps = kDefault, .clean_spaces = true},
    {.name = "gpt-2", .steps = kGpt2, .clean_spaces = true},
    {.name = "phi-2", .steps = kGpt2, .clean_spaces = true},
    {.name = "mpt", .steps = kGpt2, .clean_spaces = true},
    {.name = "olmo", .steps = kGpt2, .clean_spaces = true},
    {.name = "jais", .steps = kGpt2, .clean_spaces = true},
    {.name = "exaone4", .steps = kGpt2, .clean_spaces = true},
    {.name = "gigachat", .steps = kGpt2, .clean_spaces = true},
    {.name = "a.x-4.0", .steps = kGpt2, .clean_spaces = true},
    {.name = "mellum", .steps = kGpt2, .clean_spaces = true},
    {.name = "trillion", .steps = kGpt2},
    {.name = "granite-docling", .steps = kGpt2},
    {.name = "smollm", .steps = kStarcoder},
    {.name = "starcoder", .steps = kStarcoder, .clean_spaces = true},
    {.name = "refact", .steps = kStarcoder, .clean_spaces = true},
    {.name = "command-r", .steps = kStarcoder},
    {.name = "codeshell", .steps = kStarcoder, .clean_spaces = true},
    {.name = "exaone", .steps = kStarcoder, .clean_spaces = true},
    {.name = "minerva-7b", .steps = kStarcoder, .clean_spaces = true},
    {.name = "mellum2", .steps = kStarcoder, .clean_spaces = true},
    {.name = "llama3",
     .steps = kLlama3,
     .ignore_merges = true,
     .add_bos = true,
     .clean_spaces = true},
    {.name = "llama-v3",
     .steps = kLlama3,
     .ignore_merges = true,
     .add_bos = true,
     .clean_spaces = true},
    {.name = "llama-bpe",
     .steps = kLlama3,
     .ignore_merges = true,
     .add_bos = true,
     .clean_spaces = true},
    {.name = "falcon3",
     .steps = kLlama3,
     .ignore_merges = true,
     .add_bos = true,
     .clean_spaces = true},
    {.name = "falcon-h1",
     .steps = kLlama3,
     .ignore_merges = true,
     .add_bos = true,
     .clean_spaces = true},
    {.name = "pixtral",
     .steps = kLlama3,
     .ignore_merges = true,
     .add_bos = true,
     .clean_spaces = true},
    {.name = "midm-2.0",
     .steps = kLlama3,
     .ignore_merges = true,
     .add_bos = true,
     .clean_spaces = true},
    {.name = "lfm2",
     .steps = kLlama3,
     .ignore_merges = true,
     .add_bos = true,
     .clean_spaces = true},
    {.name = "dbrx", .steps = kLlama3, .clean_spaces = true},
    {.name = "smaug-bpe", .steps = kLlama3, .clean_spaces = true},
    {.name = "glm4", .steps = kLlama3, .clean_spaces = true},
    {.name = "chatglm-bpe", .steps = kLlama3, .clean_spaces = true},
    {.name = "minicpm5", .steps = kMinicpm5, .ignore_merges = true, .clean_spaces = true},
    {.name = "qwen2", .steps = kQwen2},
    {.name = "deepseek-r1-qwen", .steps = kQwen2},
    {.name = "kormo", .steps = kQwen2},
    {.name = "stablelm2", .steps = kQwen2, .clean_spaces = true},
    {.name = "megrez", .steps = kQwen2, .clean_spaces = true},
    {.name = "hunyuan", .steps = kQwen2},
    {.name = "grok-2", .steps = kQwen2},
    {.name = "solar-open", .steps = kQwen2},
    {.name = "bailingmoe", .steps = kQwen2},
    {.name = "bailingmoe2", .steps = kQwen2},
    {.name = "llada-moe", .steps = kQwen2},
    {.name = "qwen35", .steps = kQwen35},
    {.name = "seed-coder", .steps = kSeedCoder},
    {.name = "gpt-4o", .steps = kGpt4o},
    {.name = "llama4", .steps = kGpt4o},
    {.name = "kanana2", .steps = kGpt4o},
    {.name = "minimax-m2", .steps = kGpt4o},
    {.name = "tekken", .steps = kTekken, .ignore_merges = true, .add_bos = true},
    {.name = "falcon", .steps = kFalcon, .clean_spaces = true},
    {.name = "deepseek-coder", .steps = kDeepseekCoder},
    {.name = "deepseek-llm", .steps = kDeepseekLlm},
    {.name = "deepseek-v3", .steps = kDeepseekV3},
    {.name = "hunyuan-dense", .steps = kDeepseekV3},
};

}  // namespace

const Pretokenizer* find_pretokenizer(Str name) {
  for (const Pretokenizer& pretokenizer : kPretokenizers) {
    if (pretokenizer.name == name) return &pretokenizer;
  }
  return nullptr;
}

}  // namespace lbm
