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
constexpr CodepointRange kHan[] = {
    {0x2E80, 0x2E99},   {0x2E9B, 0x2EF3},   {0x2F00, 0x2FD5},   {0x3005, 0x3005},
    {0x3007, 0x3007},   {0x3021, 0x3029},   {0x3038, 0x303B},   {0x3400, 0x4DBF},
    {0x4E00, 0x9FFF},   {0xF900, 0xFA6D},   {0xFA70, 0xFAD9},   {0x16FE2, 0x16FE3},
    {0x16FF0, 0x16FF1}, {0x20000, 0x2A6DF}, {0x2A700, 0x2B739}, {0x2B740, 0x2B81D},
    {0x2B820, 0x2CEA1}, {0x2CEB0, 0x2EBE0}, {0x2F800, 0x2FA1D}, {0x30000, 0x3134A},
    {0x31350, 0x323AF}};  // \p{Han}
constexpr CodepointRange kHangul[] = {{0x3131, 0x318E}, {0xAC00, 0xD7A3}};
constexpr CodepointRange kYoutuPunctuation[] = {
    {0x2014, 0x2014}, {0x2018, 0x2019}, {0x201C, 0x201D}, {0x2026, 0x2026}, {0x3001, 0x303F},
    {0xFE30, 0xFE4F}, {0xFF01, 0xFF01}, {0xFF0C, 0xFF0C}, {0xFF1A, 0xFF1B}};
constexpr CodepointRange kBopomofo[] = {{0x3105, 0x312F}};
// What ends a word of BLOOM's expression ' '?[^(\s|.,!?...)]+, with the dashes and stops of
// Chinese, Hindi, Arabic and Urdu that it lists; the parentheses and the bar are part of the set by
// accident.
constexpr CodepointRange kBloomStops[] = {{'!', '!'},       {'(', ')'},       {',', ','},
                                          {'.', '.'},       {'?', '?'},       {'|', '|'},
                                          {0x060C, 0x060C}, {0x06D4, 0x06D4}, {0x0964, 0x0964},
                                          {0x2026, 0x2026}, {0x3001, 0x3002}, {0xFF0C, 0xFF0C}};
constexpr CodepointRange kAfmoeScripts[] = {
    {0x0E40, 0x0E7F}, {0x0E80, 0x0EFF}, {0x1000, 0x109F}, {0x1100, 0x11FF}, {0x1780, 0x17FF},
    {0x2F00, 0x2FDF}, {0x3040, 0x30FF}, {0x3400, 0x4DBF}, {0x4E00, 0x9FFF}, {0xA9E0, 0xA9FF},
    {0xAA60, 0xAA7F}, {0xAC00, 0xD7AF}, {0xF900, 0xFAFF}, {0xFF65, 0xFF9F}};
constexpr CodepointRange kAsciiSymbols[] = {{'!', '/'}, {':', '@'}, {'[', '`'}, {'{', '~'}};
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
constexpr WordRule gpt4o_words(u32 max_digits) {
  return {.suffix = kAnyCase,
          .cased = true,
          .max_digits = max_digits,
          .tail = kNewlinesAndSlash,
          .newlines = true};
}
constexpr u32 kAnyCount = ~u32{0};
constexpr auto kWhiteSpacePrefix = SetRun::Prefix::kWhiteSpace;
constexpr SetRun kOneNumber = {.classes = kNumber, .max = 1};
constexpr SetRun kThreeNumbers = {.classes = kNumber, .max = 3};
constexpr SetRun kNumbers = {.classes = kNumber};
constexpr SetRun kThreeDigits = {.ranges = kAsciiDigits, .min = 3, .max = 3};
constexpr SetRun kOneNewline = {.ranges = kNewlineChars, .max = 1};
constexpr SetRun kBloomWord = {
    .classes = kSpace, .ranges = kBloomStops, .prefix = SetRun::Prefix::kSpace, .negated = true};
constexpr auto kNewlineRuns = SplitStep::Kind::kNewlineRuns;

constexpr SplitStep kGpt2[] = {kGpt2Words};
constexpr SplitStep kStarcoder[] = {kOneNumber, kGpt2Words};
constexpr SplitStep kLlama3[] = {llama3_words(3)};
constexpr SplitStep kJais2[] = {WordRule{.contractions = kAnyCase,
                                         .halving = true,
                                         .max_digits = 3,
                                         .tail = kNewlines,
                                         .newlines = true}};
constexpr SplitStep kMinicpm5[] = {kThreeNumbers, llama3_words(kAnyCount)};
constexpr SplitStep kQwen2[] = {llama3_words(1)};
constexpr SplitStep kUfakzeka[] = {WordRule{.max_digits = 1, .tail = kNewlines, .newlines = true}};
constexpr SplitStep kLaguna[] = {kNewlineRuns, llama3_words(1)};
constexpr SplitStep kQwen35[] = {WordRule{.contractions = kAnyCase,
                                          .word = kLetter | kMark,
                                          .max_digits = 1,
                                          .tail = kNewlines,
                                          .newlines = true}};
constexpr SplitStep kExaoneMoe[] = {WordRule{.contractions = kAnyCase,
                                             .joined = true,
                                             .max_digits = 1,
                                             .tail = WordRule::Tail::kOneNewlineOrSlash,
                                             .newlines = true}};
constexpr SplitStep kSeedCoder[] = {
    WordRule{.contractions = kAnyCase, .max_digits = 1, .newlines = true}};
constexpr SplitStep kGpt4o[] = {gpt4o_words(3)};
constexpr SplitStep kTekken[] = {
    WordRule{.cased = true, .max_digits = 1, .tail = kNewlinesAndSlash, .newlines = true}};
constexpr SplitStep kTinyAya[] = {DigitGroups{.classes = kDecimal, .at_word_boundary = true},
                                  gpt4o_words(3)};
constexpr SplitStep kYoutu[] = {SetRun{.ranges = kHangul}, SetRun{.ranges = kYoutuPunctuation},
                                SetRun{.ranges = kBopomofo}, SetRun{.ranges = kDeepseekV3Cjk},
                                gpt4o_words(1)};
constexpr SplitStep kKimiK2[] = {WordRule{.suffix = kAnyCase,
                                          .cased = true,
                                          .foreign = kHan,
                                          .max_digits = 3,
                                          .tail = kNewlines,
                                          .newlines = true}};
constexpr SplitStep kFalcon[] = {SetRun{.classes = kPunctuation, .ranges = kFalconSymbols},
                                 kGpt2Words, kThreeDigits};
constexpr SplitStep kDefault[] = {SetRun{.classes = kPunctuation, .ranges = kDefaultSymbols},
                                  kGpt2Words, kNumbers, kThreeDigits};
constexpr SplitStep kDeepseekCoder[] = {
    kOneNewline, SetRun{.classes = kLetter, .prefix = kWhiteSpacePrefix},
    SetRun{.classes = kPunctuation, .prefix = kWhiteSpacePrefix}, SetRun{.ranges = kDeepseekCjk},
    kOneNumber};
constexpr SplitStep kDeepseekLlm[] = {
    kOneNewline,
    SetRun{.ranges = kDeepseekLetters, .prefix = kWhiteSpacePrefix},
    SetRun{.ranges = kDeepseekPunctuation, .prefix = kWhiteSpacePrefix},
    SplitStep::Kind::kTrailingSpace,
    SetRun{.ranges = kDeepseekCjk},
    kNumbers};
constexpr SplitStep kDeepseekV3[] = {kThreeNumbers, SetRun{.ranges = kDeepseekV3Cjk},
                                     PunctuatedWords{}};
constexpr SplitStep kSpark[] = {kThreeNumbers, SetRun{.ranges = kDeepseekV3Cjk},
                                PunctuatedWords{.single_newlines = true}, kOneNumber};
constexpr SplitStep kAfmoe[] = {DigitGroups{}, SetRun{.ranges = kAfmoeScripts}, PunctuatedWords{}};
constexpr SplitStep kBloom[] = {kBloomWord};
constexpr SplitStep kViking[] = {kBloomWord, kOneNumber};
constexpr SplitStep kSuperBpe[] = {kNumbers, DigitGroups{.classes = kDecimal}};
constexpr SplitStep kChameleon[] = {
    SplitStep::Kind::kIndents, kOneNumber,
    SetRun{.classes = kPunctuation, .ranges = kAsciiSymbols, .max = 1}, kGpt2Words};
constexpr SplitStep kSpacedWords[] = {SplitStep::Kind::kSpacedWords};
constexpr SplitStep kLines[] = {kNewlineRuns};

// Beside the expressions; pretokenizer.h says what each means.
constexpr u32 kClean = 1, kWhole = 2, kBos = 4, kAlwaysBos = 8, kCharacters = 16,
              kNewlineTokens = 32, kNoMerges = 64;

constexpr Pretokenizer row(Str name, Span<const SplitStep> steps, u32 traits) {
  return {.name = name,
          .steps = steps,
          .ignore_merges = (traits & kWhole) != 0,
          .add_bos = (traits & (kBos | kAlwaysBos)) != 0,
          .always_bos = (traits & kAlwaysBos) != 0,
          .clean_spaces = (traits & kClean) != 0,
          .byte_level = (traits & kCharacters) == 0,
          .newline_tokens = (traits & kNewlineTokens) != 0,
          .merges_optional = (traits & kNoMerges) != 0};
}

constexpr Pretokenizer kPretokenizers[] = {
    row("default", kDefault, kClean),
    row("gpt-2", kGpt2, kClean),
    row("phi-2", kGpt2, kClean),
    row("mpt", kGpt2, kClean),
    row("olmo", kGpt2, kClean),
    row("jais", kGpt2, kClean),
    row("exaone4", kGpt2, kClean),
    row("gigachat", kGpt2, kClean),
    row("a.x-4.0", kGpt2, kClean),
    row("mellum", kGpt2, kClean),
    row("modern-bert", kGpt2, kClean),
    row("jina-es", kGpt2, kClean),
    row("jina-de", kGpt2, kClean),
    row("jina-v2-es", kGpt2, kClean),
    row("jina-v2-de", kGpt2, kClean),
    row("jina-v1-en", kGpt2, kClean),
    row("jina-v2-code", kGpt2, kClean),
    row("roberta-bpe", kGpt2, kClean),
    row("trillion", kGpt2, 0),
    row("granite-docling", kGpt2, 0),
    row("starcoder", kStarcoder, kClean),
    row("refact", kStarcoder, kClean),
    row("codeshell", kStarcoder, kClean),
    row("exaone", kStarcoder, kClean),
    row("minerva-7b", kStarcoder, kClean),
    row("mellum2", kStarcoder, kClean),
    row("smollm", kStarcoder, 0),
    row("command-r", kStarcoder, 0),
    row("llama3", kLlama3, kClean | kWhole | kBos),
    row("llama-v3", kLlama3, kClean | kWhole | kBos),
    row("llama-bpe", kLlama3, kClean | kWhole | kBos),
    row("falcon3", kLlama3, kClean | kWhole | kBos),
    row("falcon-h1", kLlama3, kClean | kWhole | kBos),
    row("pixtral", kLlama3, kClean | kWhole | kBos),
    row("midm-2.0", kLlama3, kClean | kWhole | kBos),
    row("lfm2", kLlama3, kClean | kWhole | kBos),
    row("jina-v5-nano", kLlama3, kClean | kWhole | kBos),
    row("dbrx", kLlama3, kClean),
    row("smaug-bpe", kLlama3, kClean),
    row("chatglm-bpe", kLlama3, kClean),
    row("glm4", kLlama3, kClean | kWhole),
    row("glm5", kLlama3, kClean | kWhole),
    row("jais-2", kJais2, kClean),
    row("minicpm5", kMinicpm5, kClean | kWhole),
    row("stablelm2", kQwen2, kClean),
    row("megrez", kQwen2, kClean),
    row("qwen2", kQwen2, 0),
    row("deepseek-r1-qwen", kQwen2, 0),
    row("kormo", kQwen2, 0),
    row("f2llmv2", kQwen2, 0),
    row("hunyuan", kQwen2, 0),
    row("grok-2", kQwen2, 0),
    row("solar-open", kQwen2, 0),
    row("bailingmoe", kQwen2, 0),
    row("bailingmoe2", kQwen2, 0),
    row("llada-moe", kQwen2, 0),
    row("ufakzeka", kUfakzeka, 0),
    row("laguna", kLaguna, 0),
    row("qwen35", kQwen35, 0),
    row("exaone-moe", kExaoneMoe, kClean),
    row("seed-coder", kSeedCoder, 0),
    row("gpt-4o", kGpt4o, 0),
    row("llama4", kGpt4o, 0),
    row("kanana2", kGpt4o, 0),
    row("talkie", kGpt4o, 0),
    row("minimax-m2", kGpt4o, 0),
    row("granite-embed-multi-97m", kGpt4o, kWhole),
    row("youtu", kYoutu, kWhole),
    row("kimi-k2", kKimiK2, kNoMerges),
    row("tiny_aya", kTinyAya, 0),
    row("cohere2moe", kTinyAya, 0),
    row("tekken", kTekken, kWhole | kBos),
    row("falcon", kFalcon, kClean),
    row("deepseek-coder", kDeepseekCoder, 0),
    row("deepseek-llm", kDeepseekLlm, 0),
    row("deepseek-v3", kDeepseekV3, 0),
    row("hunyuan-dense", kDeepseekV3, 0),
    row("joyai-llm", kDeepseekV3, 0),
    row("hy_v4", kDeepseekV3, 0),
    row("spark2_5", kSpark, 0),
    row("afmoe", kAfmoe, 0),
    row("bloom", kBloom, kClean),
    row("gpt3-finnish", kBloom, kClean),
    row("poro-chat", kBloom, 0),
    row("viking", kViking, 0),
    row("superbpe", kSuperBpe, 0),
    row("chameleon", kChameleon, kBos),
    row("gemma4", kLines, kClean | kCharacters | kNewlineTokens | kAlwaysBos),
    row("granite-embed-multi-311m", kLines, kClean | kCharacters | kNewlineTokens | kAlwaysBos),
    row("sarvam-moe", kLines, kCharacters),
    // Not llama.cpp's names: tokenizer.json files whose text is not split, or at spaces only.
    row("characters", {}, kCharacters),
    row("words", kSpacedWords, kCharacters),
};

}  // namespace

const Pretokenizer* find_pretokenizer(Str name) {
  for (const Pretokenizer& pretokenizer : kPretokenizers) {
    if (pretokenizer.name == name) return &pretokenizer;
  }
  return nullptr;
}

}  // namespace lbm
