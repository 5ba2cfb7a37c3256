// Limits that only large files meet, which are built here rather than kept.
#include <vector>

#include "core/model/config.h"
#include "tests/format/gguf_builder.h"
#include "tests/hosted/hostile_corpus.h"
#include "tests/hostile/replay.h"
#include "tests/test.h"

using namespace lbm;
using lbm::test::BufferSource;
using lbm::test::GgufBuilder;

namespace {

// What becomes of a model of `n` empty tokens.
Error error_of_vocabulary(u32 n, u64& tokens_at) {
  std::vector<u8> file(u64{n} * 8 + 4096);
  GgufBuilder out(Span<u8>(file.data(), file.size()));
  out.header(0, 8).text_key("general.architecture", "llama").u32_key("llama.block_count", 1);
  out.u32_key("llama.embedding_length", 8).u32_key("llama.context_length", 8);
  out.u32_key("llama.feed_forward_length", 8).u32_key("llama.attention.head_count", 1);
  out.key("llama.attention.layer_norm_rms_epsilon", MetaType::kF32).f32_value(1e-5f);
  out.key("tokenizer.ggml.tokens", MetaType::kArray);
  tokens_at = out.size();
  out.array(MetaType::kString, n).zeros(u64{n} * 8);
  std::vector<u8> memory(file.size() + 4096);
  Arena arena{Span<u8>(memory.data(), memory.size())};
  BufferSource source(out.bytes());
  const Result<ModelFile> opened = ModelFile::open(source, arena);
  REQUIRE(opened.ok());
  const Result<ModelConfig> config = read_config(opened.value());
  return config.ok() ? Error() : config.error();
}

// A tied llama2.c model of `n_vocab` tokens, and a tokenizer of as many pieces of 4096 spaces each,
// which are three times as long in a vocabulary of SentencePiece; opened with `n_memory` bytes.
Error error_of_spaces(u32 n_vocab, usize n_memory) {
  constexpr u32 kPiece = 4096;
  // Three norms, four matrices of attention, three of the feed-forward, a position of cos and sin.
  constexpr u64 kFloatsOfLayer = 3 * 2 + 4 * 4 + 3 * 2 + 2;
  std::vector<u8> model(28 + 4 * (u64{n_vocab} * 2 + kFloatsOfLayer));
  GgufBuilder head(Span<u8>(model.data(), model.size()));
  for (const u32 value : {2u, 1u, 1u, 1u, 1u, n_vocab, 1u}) head.u32_value(value);
  std::vector<u8> tokens(4 + u64{n_vocab} * (8 + kPiece), ' ');
  GgufBuilder longest(Span<u8>(tokens.data(), 4));
  longest.u32_value(kPiece);
  for (u64 id = 0; id < n_vocab; ++id) {
    GgufBuilder record(Span<u8>(tokens.data() + 4 + id * (8 + kPiece), 8));
    record.f32_value(0.0f).u32_value(kPiece);
  }
  std::vector<u8> memory(n_memory);
  Arena arena{Span<u8>(memory.data(), memory.size())};
  BufferSource source({model.data(), model.size()});
  BufferSource tokenizer({tokens.data(), tokens.size()});
  OpenOptions options;
  options.tokenizer = &tokenizer;
  const Result<ModelFile> opened = ModelFile::open(source, arena, options);
  if (opened.ok()) return {};
  CHECK(arena.bytes_used() == 0);
  return opened.error();
}

}  // namespace

TEST_CASE("a vocabulary has at most 2^20 tokens", "[hostile][model]") {
  u64 at = 0;
  CHECK(error_of_vocabulary(1 << 20, at).code == ErrorCode::kOk);
  const Error error = error_of_vocabulary((1 << 20) + 1, at);
  CHECK(error.code == ErrorCode::kLimit);
  CHECK(error.offset == at);
}

TEST_CASE("metadata that are made from another file are held to the limit of all", "[hostile]") {
  CHECK(error_of_spaces(100, 160 * kMiB).code == ErrorCode::kOk);
  const Error error = error_of_spaces(6000, 160 * kMiB);
  CHECK(error.code == ErrorCode::kLimit);
  CHECK(error.value == 64 * kMiB);
  CHECK(error_of_spaces(6000, 80 * kMiB).code == ErrorCode::kOutOfMemory);
}

TEST_CASE("parts that claim more than 64 bits can count are refused", "[hostile]") {
  if (!lbm::test::hostile_corpus_is_there()) return;
  std::vector<u8> memory(static_cast<usize>(1 * kMiB));
  Arena arena{Span<u8>(memory.data(), memory.size())};
  const char* const name = "split-00001-of-00003.gguf";
  std::vector<u8> bytes = lbm::test::hostile_file(name).bytes();
  bytes.resize(bytes.size() + 64 * kKiB);  // what is read ahead is there
  lbm::test::HostileSource source(name, bytes);
  source.claim(~u64{0});
  const lbm::test::ReplayOutcome outcome = lbm::test::replay(name, source, arena);
  CHECK(outcome.stage == "open");
  CHECK(outcome.error.code == ErrorCode::kOverflow);
}
