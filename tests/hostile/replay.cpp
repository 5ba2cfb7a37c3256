#include "tests/hostile/replay.h"

#include "core/chat/settings.h"
#include "core/chat/template.h"
#include "core/model/config.h"
#include "core/model/weights.h"
#include "core/tokenizer/tokenizer.h"
#include "tests/chat/template_probe.h"

namespace lbm::test {
namespace {

ReplayOutcome refused(Str stage, const Error& error) { return {stage, error}; }

ReplayOutcome replay_model(ByteSource& source, Arena& arena) {
  Result<ModelFile> file = ModelFile::open(source, arena);
  if (!file.ok()) return refused("open", file.error());
  Result<ModelConfig> config = read_config(file.value());
  if (!config.ok()) return refused("config", config.error());
  Result<Tokenizer*> tokenizer = Tokenizer::create(arena, file.value());
  if (!tokenizer.ok()) return refused("tokenizer", tokenizer.error());
  Result<WeightPlan> plan = plan_weights(file.value(), config.value(), arena);
  if (!plan.ok()) return refused("weights", plan.error());
  if (Status s = place_weights(plan.value(), arena); !s.ok()) return refused("weights", s.error());
  Result<Span<u8>> chunk = arena.take_raw(plan.value().chunk_bytes, "chunk");
  if (!chunk.ok()) return refused("weights", chunk.error());
  SingleWorker worker;
  const Status read =
      read_weights(plan.value(), file.value(), {file.value().data(), worker, chunk.value()});
  return read.ok() ? ReplayOutcome() : refused("weights", read.error());
}

// The whole of a text file, for the parsers that take one.
Result<Str> read_text(ByteSource& source, Arena& arena) {
  Result<Span<u8>> bytes = arena.take_raw(max_u64(source.size(), 1), "text");
  if (!bytes.ok()) return bytes.error();
  const Span<u8> text = bytes.value().first(static_cast<usize>(source.size()));
  if (Status s = source.read(0, text); !s.ok()) return s.error();
  return Str(text);
}

class FirstBadLine final : public ConfigObserver {
 public:
  void on_bad_line(u32 line, const Error& error) override {
    if (!first.ok()) return;
    first = Error(error).at(line);
  }
  Status first;
};

ReplayOutcome replay_settings(Str text) {
  static Settings settings;
  settings.reset();
  FirstBadLine observer;
  const u32 n_bad = settings.read_config(text, &observer);
  // The lines around a bad one count.
  if (text.starts_with("temp=0.25\n")) {
    LBM_CHECK(settings.real(Setting::kTemperature) == 0.25);
    LBM_CHECK(!text.ends_with("\ntop_k=7\n") || settings.integer(Setting::kTopK) == 7);
  }
  LBM_CHECK((n_bad == 0) == observer.first.ok());
  return n_bad == 0 ? ReplayOutcome() : refused("settings", observer.first.error());
}

ReplayOutcome replay_template(Str text, Arena& arena) {
  const u64 n_used = arena.bytes_used();
  const Result<ChatTemplate*> parsed = ChatTemplate::parse(arena, text);
  if (!parsed.ok()) {
    LBM_CHECK(arena.bytes_used() == n_used);
    return refused("parse", parsed.error());
  }
  const Error error = probe().error(text);
  return error.code == ErrorCode::kOk ? ReplayOutcome() : refused("render", error);
}

ReplayOutcome replay_text(Str name, ByteSource& source, Arena& arena) {
  const Result<Str> text = read_text(source, arena);
  if (!text.ok()) return refused("read", text.error());
  return name.ends_with(".cfg") ? replay_settings(text.value())
                                : replay_template(text.value(), arena);
}

}  // namespace

bool is_model(Str name) {
  return name.ends_with(".gguf") || name.ends_with(".slm") || name.ends_with(".bin");
}

bool can_replay(Str name) {
  return is_model(name) || name.ends_with(".cfg") || name.ends_with(".jinja");
}

ReplayOutcome replay(Str name, ByteSource& source, Arena& arena) {
  LBM_CHECK(can_replay(name));
  const Arena::Mark mark = arena.mark();
  const ReplayOutcome outcome =
      is_model(name) ? replay_model(source, arena) : replay_text(name, source, arena);
  arena.rewind(mark);
  return outcome;
}

}  // namespace lbm::test
