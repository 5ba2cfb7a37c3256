// libFuzzer: texts against good vocabularies of both kinds, and vocabularies made of the input.
//
// What must hold for any text: no control token from content, ids within the vocabulary, room of n
// + 3 ids is enough, scratch is given back, and byte-level pieces give the bytes of the text back.
// For any vocabulary: it is refused, with the arena as it was, or it encodes and decodes. The first
// three bytes choose the vocabulary and the segments.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "core/tokenizer/tokenizer.h"
#include "tests/tokenizer/tiny_vocab.h"

namespace lbm {
namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

constexpr test::TinyToken kTokens[] = {{"th"},
                                       {"the"},
                                       {"\xC4\xA0the"},
                                       {"12"},
                                       {"\xC4\xA0\xC4\xA0"},
                                       {"\xC3\xA2\xC4\xBC"},
                                       {"<|im_start|>", TokenType::kControl},
                                       {"<|im_end|>", TokenType::kControl},
                                       {"<t>", TokenType::kUserDefined},
                                       {"<unk>", TokenType::kUnknown},
                                       {"<|", TokenType::kUserDefined},
                                       {"", TokenType::kControl}};
constexpr Str kMerges[] = {
    "t h", "th e", "\xC4\xA0 the", "1 2", "\xC4\xA0 \xC4\xA0", "\xC3\xA2 \xC4\xBC"};
constexpr test::TinyToken kPieces[] = {{"\xE2\x96\x81", TokenType::kNormal, -1},
                                       {"t", TokenType::kNormal, -2},
                                       {"h", TokenType::kNormal, -2},
                                       {"th", TokenType::kNormal, -1.5f},
                                       {"\xE2\x96\x81th", TokenType::kNormal, -0.5f},
                                       {"\xC3\xA9", TokenType::kNormal, -3},
                                       {"\xE2\x96\x81\xE2\x96\x81", TokenType::kNormal, -0.25f},
                                       {"<|im_end|>", TokenType::kControl},
                                       {"<t>", TokenType::kUserDefined}};
constexpr Str kNames[] = {"gpt-2",        "smollm",      "llama-bpe",  "qwen2",   "qwen35",
                          "gpt-4o",       "tekken",      "falcon",     "default", "deepseek-coder",
                          "deepseek-llm", "deepseek-v3", "seed-coder", "minicpm5"};
constexpr usize kNameCount = sizeof(kNames) / sizeof(kNames[0]);

// One vocabulary that lives as long as the process.
struct Subject {
  explicit Subject(const test::TinyVocab& vocab)
      : file_bytes(32768),
        memory(1 << 20),
        source(test::TinyVocabWriter(vocab, {file_bytes.data(), file_bytes.size()}).write()) {
    arena.add_range({memory.data(), memory.size()});
    Result<ModelFile> opened = ModelFile::open(source, arena);
    require(opened.ok());
    file = opened.value();
    Result<Tokenizer*> created = Tokenizer::create(arena, file);
    require(created.ok());
    tokenizer = created.value();
  }

  std::vector<u8> file_bytes;
  std::vector<u8> memory;
  test::BufferSource source;
  Arena arena;
  ModelFile file;
  Tokenizer* tokenizer = nullptr;
};

const Tokenizer& subject(u32 index) {
  static Subject* subjects[kNameCount + 1];
  Subject*& chosen = subjects[index];
  if (chosen == nullptr) {
    test::TinyVocab vocab;
    if (index < kNameCount) {
      vocab.pre = kNames[index];
      vocab.tokens = kTokens;
      vocab.merges = kMerges;
    } else {
      vocab.model = "llama";
      vocab.tokens = kPieces;
      vocab.no_merges = true;
    }
    chosen = new Subject(vocab);
  }
  return *chosen->tokenizer;
}

// Splits `text` at each `separator`.
std::vector<Str> split(Str text, char separator) {
  std::vector<Str> parts;
  usize start = 0;
  for (usize i = 0; i <= text.size(); ++i) {
    if (i < text.size() && text[i] != separator) continue;
    parts.push_back(text.slice(start, i - start));
    start = i + 1;
  }
  return parts;
}

// tokens 00 merges 00 text; tokens and merges are lines, and a token starts with its type.
void fuzz_vocabulary(u8 choice, Str input) {
  const std::vector<Str> parts = split(input, '\0');
  std::vector<test::TinyToken> tokens;
  for (const Str line : split(parts[0], '\n')) {
    if (line.empty()) continue;
    const u8 type = static_cast<u8>(line[0]);
    tokens.push_back({line.from(1), static_cast<TokenType>(type % (kTokenTypeCount + 1)),
                      static_cast<f32>(type)});
  }
  const std::vector<Str> merges = parts.size() > 1 ? split(parts[1], '\n') : std::vector<Str>();
  test::TinyVocab vocab;
  if ((choice & 1) != 0) vocab.model = "llama";
  vocab.pre = kNames[choice / 4 % kNameCount];
  vocab.n_byte_token = (choice & 2) != 0 ? 256 : choice % 7;
  vocab.tokens = {tokens.data(), tokens.size()};
  vocab.merges = {merges.data(), merges.size()};

  static std::vector<u8> file_bytes(1 << 20);
  static std::vector<u8> memory(1 << 20);
  test::BufferSource source(
      test::TinyVocabWriter(vocab, {file_bytes.data(), file_bytes.size()}).write());
  Arena arena({memory.data(), memory.size()});
  const Result<ModelFile> file = ModelFile::open(source, arena);
  if (!file.ok()) return;
  const u64 used = arena.bytes_used();
  const Result<Tokenizer*> created = Tokenizer::create(arena, file.value());
  if (!created.ok()) return require(arena.bytes_used() == used);
  const Tokenizer& tokenizer = *created.value();
  const Str text = parts.back();
  std::vector<u32> ids(text.size() * 3 + 8);
  const Result<u32> n =
      tokenizer.encode(text, {true, (choice & 8) != 0}, {ids.data(), ids.size()}, arena);
  require(n.ok());
  ids.resize(n.value());
  for (const u32 id : ids) require(id < tokenizer.n_vocab());
  std::vector<char> decoded(ids.size() * tokenizer.max_piece_bytes() + 1);
  require(tokenizer.decode({ids.data(), ids.size()}, true, true, {decoded.data(), decoded.size()})
              .ok());
}

std::string join(const Tokenizer& tokenizer, const std::vector<u32>& ids) {
  std::string out;
  std::vector<char> buffer(tokenizer.max_piece_bytes());
  for (const u32 id : ids) {
    const Str piece = tokenizer.piece(id, true, {buffer.data(), buffer.size()});
    out.append(piece.data(), piece.size());
  }
  return out;
}

}  // namespace
}  // namespace lbm

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace lbm;
  if (size < 3 || size > 4096) return 0;
  const Str text(reinterpret_cast<const char*>(data) + 3, size - 3);
  if (data[0] >= 128) {
    fuzz_vocabulary(data[1], text);
    return 0;
  }
  const Tokenizer& tokenizer = subject(data[0] % (kNameCount + 1));
  const bool byte_level = tokenizer.model_name() == "gpt2";

  std::vector<TextSegment> segments;
  const usize cut = data[1] % (text.size() + 1);
  const bool any_markup = (data[2] & 3) != 0;
  segments.push_back({text.first(cut), (data[2] & 1) != 0});
  segments.push_back({text.from(cut), (data[2] & 2) != 0});

  static std::vector<u8> memory(1 << 20);
  const u64 needed = tokenizer.scratch_bytes(text.size());
  require(needed <= memory.size());
  Arena scratch({memory.data(), static_cast<usize>(needed)});
  std::vector<u32> ids(text.size() + 3);
  const Result<u32> n = tokenizer.encode_segments({segments.data(), segments.size()},
                                                  {ids.data(), ids.size()}, scratch);
  require(n.ok());
  require(scratch.bytes_used() == 0);
  ids.resize(n.value());
  for (const u32 id : ids) {
    require(id < tokenizer.n_vocab());
    require(any_markup || !tokenizer.is_control(id));
  }
  if (byte_level) require(join(tokenizer, ids) == std::string(text.data(), text.size()));
  std::vector<char> decoded(ids.size() * tokenizer.max_piece_bytes() + 1);
  require(tokenizer.decode({ids.data(), ids.size()}, true, true, {decoded.data(), decoded.size()})
              .ok());
  return 0;
}
