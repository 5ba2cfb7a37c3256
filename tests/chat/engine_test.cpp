// Models that come by themselves, and models that are evaluated elsewhere: the same answers.
#include "core/chat/engine.h"

#include "core/chat/generation.h"
#include "tests/chat/tiny_chat.h"

using namespace lbm;
using namespace lbm::test;

namespace {

constexpr u32 kPrompt[] = {257, 'h', 'e', 'l', 'l', 'o', 258};

// The first bytes of a file.
class Head final : public ByteSource {
 public:
  Head(Span<const u8> file, usize n_present) : file_(file), n_present_(n_present) {}
  [[nodiscard]] u64 size() const override { return file_.size(); }
  [[nodiscard]] Status read(u64 offset, Span<u8> out) override {
    if (offset + out.size() > n_present_) return fail(ErrorCode::kTruncated, "not here yet");
    __builtin_memcpy(out.data(), file_.data() + offset, out.size());
    return {};
  }

 private:
  Span<const u8> file_;
  usize n_present_;
};

GenerateOptions with_digest() {
  GenerateOptions options;
  options.max_tokens = 6;
  options.digest = true;
  options.speculate = Speculate::kOff;
  return options;
}

Sha256Digest answer(Chat& chat) {
  Answer text;
  const Result<GenerateStats> stats = generate(chat.with(), kPrompt, with_digest(), text);
  REQUIRE(stats.ok());
  return stats.value().digest;
}

// Another model than that of Chat.
Span<const u8> other_model() {
  static u8 bytes[kTinyModelBytes];
  TinyModel model;
  model.seed = 7;
  return make_tiny_model(bytes, model);
}

}  // namespace

TEST_CASE("engine: a model that comes in pieces is the one that is read", "[chat]") {
  const Span<const u8> file = other_model();
  EngineOptions options;
  Sha256Digest expected;
  Sha256Digest hash;
  {
    Chat chat;  // one at a time: they share the memory of tests
    const Sha256Digest first = answer(chat);
    BufferSource source(file);
    REQUIRE(chat.engine.load(source, "other", options, nullptr).ok());
    expected = answer(chat);
    hash = chat.engine.file_hash();
    CHECK(!(first == expected));
  }
  const usize sizes[] = {1, 1000, kTinyModelBytes};
  for (const usize size : sizes) {
    Chat chat;
    Head head(file, file.size());
    REQUIRE(chat.engine.begin_load(head, "coming", options).ok());
    CHECK(chat.engine.is_loading());
    usize at = static_cast<usize>(chat.engine.load_header_bytes());
    CHECK(chat.engine.load_missing_bytes() == file.size() - at);
    CHECK(chat.engine.finish_load().error().code == ErrorCode::kTruncated);
    while (at < file.size()) {
      const usize n = size < file.size() - at ? size : file.size() - at;
      REQUIRE(chat.engine.feed_load(file.slice(at, n)).ok());
      at += n;
    }
    REQUIRE(chat.engine.finish_load().ok());
    CHECK(!chat.engine.is_loading());
    CHECK(chat.engine.name() == "coming");
    CHECK(answer(chat) == expected);
    CHECK(chat.engine.file_hash() == hash);
  }
}

TEST_CASE("engine: the loaded model stays while another one comes, and after its errors",
          "[chat]") {
  const Span<const u8> file = other_model();
  Chat chat;
  const Sha256Digest expected = answer(chat);
  const u64 n_free = chat.pages.bytes_free();
  EngineOptions options;
  Head nothing(file, 20);
  CHECK(chat.engine.begin_load(nothing, "coming", options).error().code == ErrorCode::kTruncated);
  CHECK(!chat.engine.is_loading());
  CHECK(chat.engine.feed_load(file).error().code == ErrorCode::kInvalidArgument);
  CHECK(chat.engine.finish_load().error().code == ErrorCode::kInvalidArgument);

  Head head(file, file.size());
  REQUIRE(chat.engine.begin_load(head, "coming", options).ok());
  const usize at = static_cast<usize>(chat.engine.load_header_bytes());
  REQUIRE(chat.engine.feed_load(file.slice(at, 1000)).ok());
  CHECK(answer(chat) == expected);
  // More than the file has ends the load.
  CHECK(chat.engine.feed_load(file).error().code == ErrorCode::kInvalidArgument);
  CHECK(!chat.engine.is_loading());
  REQUIRE(chat.engine.begin_load(head, "coming", options).ok());
  chat.engine.abort_load();
  CHECK(answer(chat) == expected);
  CHECK(chat.pages.bytes_free() == n_free);
}

TEST_CASE("engine: a model that is evaluated elsewhere gives the same answers", "[chat]") {
  static u8 bytes[kTinyModelBytes];
  const Span<const u8> file = make_tiny_model(bytes, TinyModel());
  // What stands elsewhere: the logits of the whole answer, token by token.
  static constexpr u32 kMost = 16;
  static f32 rows[kMost][kTinyVocab];
  u32 n_row = 0;
  Sha256Digest expected;
  {
    Chat chat;
    struct Keep final : GenerateSink {
      u32& n;
      explicit Keep(u32& n_row) : n(n_row) {}
      void on_logits(u32, Span<const f32> logits) override {
        REQUIRE(n < kMost);
        __builtin_memcpy(rows[n++], logits.data(), logits.size_bytes());
      }
      [[nodiscard]] bool on_text(Str) override { return true; }
    } keep(n_row);
    const Result<GenerateStats> stats = generate(chat.with(), kPrompt, with_digest(), keep);
    REQUIRE(stats.ok());
    expected = stats.value().digest;
  }
  Chat chat;
  EngineOptions options;
  options.external = true;
  Head head(file, file.size());
  REQUIRE(chat.engine.begin_load(head, "elsewhere", options).ok());
  REQUIRE(chat.engine.finish_load().ok());  // without a byte of its weights
  CHECK(chat.engine.session().is_external());
  CHECK(chat.engine.weight_bytes() == 0);
  Session& session = chat.engine.session();
  CHECK(session.evaluate(kPrompt).error().code == ErrorCode::kMissing);
  CHECK(session.n_past() == 0);
  Answer text;
  Generation generation(chat.with(), with_digest(), text);
  REQUIRE(generation.begin(kPrompt).ok());
  CHECK(generation.due(3).size() == 3);
  CHECK(!generation.needs_logits(3));
  CHECK(generation.needs_logits(7));
  for (u32 n = 0; !generation.done();) {
    const Span<const u32> due = generation.due(3);
    session.give(static_cast<u32>(due.size()));
    if (!due.empty() && generation.needs_logits(3)) {
      REQUIRE(n < n_row);
      __builtin_memcpy(session.given_logits().data(), rows[n++], sizeof(rows[0]));
    }
    REQUIRE(generation.step(3).ok());
  }
  const Result<GenerateStats> stats = generation.finish();
  REQUIRE(stats.ok());
  CHECK(stats.value().digest == expected);
}
