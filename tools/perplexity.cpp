// lbm perplexity: how surprised a model is by a text; lower is better.
//
// The text is encoded once, without BOS and with special tokens as plain text. It is cut into
// windows of n_ctx tokens; each is evaluated from an empty context, and the second half of it is
// scored: the logits at positions n_ctx/2 .. n_ctx-2 predict the token that follows. This is what
// llama-perplexity computes, so its figures compare. The log-softmax is f64.
#include <cmath>

#include "core/base/sha256.h"
#include "tools/command.h"
#include "tools/input.h"
#include "tools/loaded_model.h"
#include "tools/model_reader.h"

namespace lbm::cli {
namespace {

struct PerplexityFlags {
  ModelFlags model;
  std::string text_path;
  u32 n_chunk = 0;  // 0: all
  bool json = false;
};

// -log p(token) of a softmax over logits.
f64 negative_log_likelihood(Span<const f32> logits, u32 token) {
  f64 largest = static_cast<f64>(logits[0]);
  for (const f32 logit : logits) largest = std::max(largest, static_cast<f64>(logit));
  f64 sum = 0;
  for (const f32 logit : logits) sum += std::exp(static_cast<f64>(logit) - largest);
  return largest + std::log(sum) - static_cast<f64>(logits[token]);
}

// Scores the second half of one window after the other.
class WindowScore final : public Session::LogitsSink {
 public:
  void start(Span<const u32> window) { window_ = window; }

  void on_logits(u32 pos, Span<const f32> logits) override {
    if (pos < window_.size() / 2 || pos + 1 >= window_.size()) return;
    const f64 nll = negative_log_likelihood(logits, window_[pos + 1]);
    sum_ += nll;
    sum_squares_ += nll * nll;
    ++n_scored_;
  }

  [[nodiscard]] u64 n_scored() const { return n_scored_; }
  [[nodiscard]] f64 mean() const { return sum_ / static_cast<f64>(n_scored_); }
  [[nodiscard]] f64 perplexity() const { return std::exp(mean()); }
  // Standard error of the perplexity: that of the mean, carried through exp().
  [[nodiscard]] f64 standard_error() const {
    if (n_scored_ < 2) return 0;
    const f64 n = static_cast<f64>(n_scored_);
    const f64 variance = std::max(0.0, sum_squares_ / n - mean() * mean());
    return std::sqrt(variance / (n - 1)) * perplexity();
  }

 private:
  Span<const u32> window_;
  f64 sum_ = 0;
  f64 sum_squares_ = 0;
  u64 n_scored_ = 0;
};

ExitCode run(const PerplexityFlags& flags) {
  const std::string text = read_file(flags.text_path);
  LoadedModel model(flags.model, {});
  const u32 n_ctx = model.session().n_ctx();
  const std::vector<u32> tokens = encode_text(model.tokenizer(), text, {});
  const usize n_window_all = tokens.size() / n_ctx;
  if (n_window_all == 0) {
    throw CommandError(ExitCode::kUsage,
                       flags.text_path + format(": %zu tokens are less than one window of %u (-c)",
                                                tokens.size(), n_ctx));
  }
  const usize n_window =
      flags.n_chunk == 0 ? n_window_all : std::min<usize>(flags.n_chunk, n_window_all);
  notice(
      format("%zu tokens, %zu of %zu windows of %u", tokens.size(), n_window, n_window_all, n_ctx));
  WindowScore score;
  const u64 start_us = model.clock().now_us();
  for (usize i = 0; i < n_window; ++i) {
    const Span<const u32> window(tokens.data() + i * n_ctx, n_ctx);
    expect(model.session().rewind(0), model.path(), Stage::kRun);
    score.start(window);
    // Logits cost as much as a few layers; the first half's are not needed.
    model.evaluate(window.first(n_ctx / 2));
    model.evaluate_all(window.from(n_ctx / 2), score);
    notice(format("[%zu/%zu] ppl %.4f +- %.4f", i + 1, n_window, score.perplexity(),
                  score.standard_error()));
  }
  const f64 seconds = static_cast<f64>(model.clock().now_us() - start_us) / 1e6;
  Json out;
  out["ppl"] = score.perplexity();
  out["ppl_error"] = score.standard_error();
  out["nll_mean"] = score.mean();
  out["n_chunk"] = n_window;
  out["n_scored"] = score.n_scored();
  out["n_token"] = tokens.size();
  out["seconds"] = seconds;
  out["tok_s"] = static_cast<f64>(n_window * n_ctx) / seconds;
  model.add_circumstances(out);
  if (flags.json) {
    print_json(out);
  } else {
    write_stdout(format("ppl %.4f +- %.4f  (%zu windows of %u tokens, kv %s)\n", score.perplexity(),
                        score.standard_error(), n_window, n_ctx,
                        kv_name(model.session().kv_type()).c_str()));
  }
  return ExitCode::kOk;
}

Action declare(CLI::App& app) {
  auto flags = std::make_shared<PerplexityFlags>();
  flags->model.n_ctx = 512;
  flags->model.n_batch = 128;
  declare_model_flags(app, flags->model, "512, as llama-perplexity has it");
  app.add_option("-f,--file", flags->text_path, "text to score, '-' for stdin")
      ->required()
      ->type_name("FILE");
  app.add_option("--chunks", flags->n_chunk, "score only the first N windows (default: all)")
      ->type_name("N");
  app.add_flag("--json", flags->json, "one JSON object");
  return [flags] { return run(*flags); };
}

}  // namespace

const Command kPerplexityCommand = {
    "perplexity", "perplexity of a text, as llama-perplexity computes it",
    "  lbm perplexity -m model.gguf -f text.txt -c 512\n"
    "  lbm perplexity -m model.gguf -f text.txt -c 512 --chunks 20 --json",
    declare};

}  // namespace lbm::cli
