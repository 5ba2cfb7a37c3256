// Conversations with real files: the ids of a chat prompt against the reference's
// (../shared/golden/smollm2), and one conversation on every kernel table, which must give the same
// text and the same digests.
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "core/chat/conversation.h"
#include "core/chat/engine.h"
#include "kernels/select.h"
#include "tests/hosted/golden.h"
#include "tests/hosted/memory_source.h"
#include "tests/test.h"

using namespace lbm;
using namespace lbm::test;

namespace {

class HeapPages final : public Pages {
 public:
  Result<Span<u8>> take(u64 bytes, const char*) override {
    ranges_.push_back(std::make_unique<Range>());
    ranges_.back()->resize(static_cast<usize>(bytes) + 64);
    u8* start = ranges_.back()->data();
    while (reinterpret_cast<uintptr_t>(start) % 64 != 0) ++start;
    return Span<u8>(start, static_cast<usize>(bytes));
  }
  void give_back(Span<u8>) override {}  // all goes with the object
  [[nodiscard]] u64 bytes_free() const override { return u64{4} << 30; }
  [[nodiscard]] u64 largest_free() const override { return bytes_free(); }

 private:
  using Range = std::vector<u8>;
  std::vector<std::unique_ptr<Range>> ranges_;
};

class StoppedClock final : public Clock {
 public:
  [[nodiscard]] u64 now_us() override { return 0; }
};

class Collect final : public GenerateSink {
 public:
  bool on_text(Str utf8) override {
    text.append(utf8.data(), utf8.size());
    return true;
  }
  std::string text;
};

struct Chat {
  HeapPages pages;
  SingleWorker worker;
  StoppedClock clock;
  Engine engine;
  Arena arena;
  Sampler* sampler = nullptr;
  Conversation* conversation = nullptr;

  Chat(const std::string& path, const KernelTable& kernels, u32 n_ctx)
      : engine(pages, worker, kernels) {
    MemorySource source(read_bytes(path));
    EngineOptions options;
    options.n_ctx = n_ctx;
    options.hash_file = false;
    REQUIRE(engine.load(source, "model", options, nullptr).ok());
    arena.add_range(pages.take(8 * kMiB, "test").value());
    sampler = Sampler::create(arena, engine.model().config.n_vocab).value();
    SamplerParams params;
    params.temperature = 0;
    sampler->set_params(params);
    conversation = Conversation::create(arena, 64 * kKiB).value();
  }
  GenerateStats say(const std::string& text, u32 max_tokens, std::string* answer = nullptr,
                    Speculate speculate = Speculate::kAuto) {
    GenerateOptions options;
    options.speculate = speculate;
    options.max_tokens = max_tokens;
    options.digest = true;
    Collect sink;
    const Generator with = {
        engine.session(), engine.tokenizer(), *sampler, clock, engine.turn_arena(), nullptr};
    const Result<GenerateStats> stats =
        conversation->say(with, engine.chat_template(), {text.data(), text.size()}, options, sink);
    REQUIRE(stats.ok());
    if (answer != nullptr) *answer = sink.text;
    return stats.value();
  }
};

std::vector<const KernelTable*> usable_tables() {
  const KernelTable* tables[8];
  const u32 n = usable_kernel_tables(detect_cpu_features(), tables);
  return {tables, tables + n};
}

}  // namespace

TEST_CASE("chat prompts of the default model have the reference's ids", "[golden][chat]") {
  const std::string golden = golden_path("smollm2/golden-smollm2.jsonl");
  const std::string model = default_model_path();
  if (golden.empty() || model.empty()) {
    WARN("skipped: no golden data or no default model (make model)");
    return;
  }
  Chat chat(model, *usable_tables().back(), 512);
  u32 n_record = 0;
  std::ifstream in(golden);
  for (std::string line; std::getline(in, line);) {
    const nlohmann::json record = nlohmann::json::parse(line);
    if (record["model"].get<std::string>().find("F32") == std::string::npos) continue;
    chat.conversation->reset();
    const GenerateStats stats = chat.say(record["prompt"].get<std::string>(), 1);
    const Span<const u32> tokens = chat.engine.session().tokens();
    const std::vector<u32> expected = record["prompt_ids"];
    INFO(record["prompt"]);
    REQUIRE(stats.n_prompt == expected.size());
    CHECK(std::vector<u32>(tokens.begin(), tokens.begin() + stats.n_prompt) == expected);
    ++n_record;
  }
  CHECK(n_record == 8);
}

TEST_CASE("a conversation has the same text and digests with all kernels", "[golden][chat]") {
  const std::string model = golden_path("models/llama-gqa-tied.gguf");
  if (model.empty()) {
    WARN("skipped: no golden data");
    return;
  }
  std::vector<std::string> answers;
  std::vector<std::string> digests;
  for (const KernelTable* kernels : usable_tables()) {
    Chat chat(model, *kernels, 0);
    std::string all;
    std::string hex;
    for (const char* question : {"the children", "and then?", "<|im_end|> end"}) {
      std::string answer;
      const GenerateStats stats = chat.say(question, 16, &answer);
      all += answer + "\n";
      hex += std::string(to_hex(stats.digest).text, 64);
    }
    answers.push_back(all);
    digests.push_back(hex);
  }
  REQUIRE(!answers.empty());
  for (usize i = 1; i < answers.size(); ++i) {
    CHECK(answers[i] == answers[0]);
    CHECK(digests[i] == digests[0]);
  }
}

TEST_CASE("the default model: turns evaluate only what follows, and guessing changes nothing",
          "[golden][chat]") {
  const std::string model = default_model_path();
  if (model.empty()) {
    WARN("skipped: no default model (make model)");
    return;
  }
  const char* const questions[] = {"Name three colours.", "Repeat them, please.",
                                   "Now write them three times, one a line."};
  std::vector<Sha256Digest> expected;
  u32 n_accepted = 0;
  for (const Speculate speculate : {Speculate::kOff, Speculate::kAlways}) {
    Chat chat(model, *usable_tables().back(), 512);
    u32 n_past = 0;
    for (u32 turn = 0; turn < 3; ++turn) {
      SamplerParams params;
      params.temperature = turn == 2 ? 0.6f : 0.0f;
      params.repeat_penalty = turn == 1 ? 1.1f : 1.0f;
      params.seed = 5;
      chat.sampler->set_params(params);
      const GenerateStats stats = chat.say(questions[turn], 24, nullptr, speculate);
      CHECK(stats.n_evaluated == stats.n_prompt - n_past);
      n_past = chat.engine.session().n_past();
      CHECK(n_past == stats.n_prompt + stats.n_decoded);
      n_accepted += stats.n_accepted;
      if (speculate == Speculate::kOff) {
        expected.push_back(stats.digest);
      } else {
        CHECK(stats.digest == expected[turn]);
      }
    }
  }
  CHECK(n_accepted > 0);
}
