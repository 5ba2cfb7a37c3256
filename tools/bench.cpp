// lbm bench: tokens per second of prefill (pp) and decode (tg), in the table that llama-bench
// prints.
//
// Every test starts from an empty context, after one untimed run that warms caches and threads. No
// digest is computed.
#include <cmath>

#include "tools/command.h"
#include "tools/interrupt.h"
#include "tools/loaded_model.h"

namespace lbm::cli {
namespace {

struct BenchFlags {
  ModelFlags model;
  u32 n_prompt = 512;
  u32 n_generate = 128;
  u32 n_repeat = 5;
  bool json = false;
};

struct Rate {
  f64 mean = 0;
  f64 deviation = 0;
};

Rate summarize(const std::vector<f64>& rates) {
  Rate out;
  for (const f64 rate : rates) out.mean += rate / static_cast<f64>(rates.size());
  if (rates.size() < 2) return out;
  f64 squares = 0;
  for (const f64 rate : rates) squares += (rate - out.mean) * (rate - out.mean);
  out.deviation = std::sqrt(squares / static_cast<f64>(rates.size() - 1));
  return out;
}

// Which tokens they are does not change the work; spread over the vocabulary, so that embedding
// rows are not all cached.
u32 token_at(u32 index, u32 n_vocab) { return static_cast<u32>((u64{index} * 7919 + 1) % n_vocab); }

class Bench {
 public:
  explicit Bench(LoadedModel& model) : model_(model) {}

  // Tokens per second of one run.
  f64 prefill(u32 n_token) {
    std::vector<u32> tokens(n_token);
    for (u32 i = 0; i < n_token; ++i) tokens[i] = token_at(i, model_.config().n_vocab);
    return timed(n_token, [&] { model_.evaluate({tokens.data(), tokens.size()}); });
  }

  f64 generate(u32 n_token) {
    return timed(n_token, [&] {
      for (u32 i = 0; i < n_token; ++i) {
        check(model_.session().decode(token_at(i, model_.config().n_vocab)));
        if (interrupt_pending()) throw CommandError(ExitCode::kInterrupted, "interrupted");
      }
    });
  }

 private:
  void check(const Status& status) { expect(status, model_.path(), Stage::kRun); }

  template <class Work>
  f64 timed(u32 n_token, const Work& work) {
    check(model_.session().rewind(0));
    const u64 start_us = model_.clock().now_us();
    work();
    const u64 elapsed_us = std::max<u64>(1, model_.clock().now_us() - start_us);
    return static_cast<f64>(n_token) * 1e6 / static_cast<f64>(elapsed_us);
  }

  LoadedModel& model_;
};

ExitCode run(BenchFlags flags) {
  flags.model.n_ctx = flags.model.n_ctx != 0
                          ? flags.model.n_ctx
                          : std::max({flags.n_prompt, flags.n_generate, u32{16}});
  LoadedModel model(flags.model, {.hash_file = false});
  Bench bench(model);
  const std::string size = format_bytes(model.engine().weight_bytes());
  Json results = Json::array();
  if (!flags.json) {
    write_stdout(
        "| model | size | isa | threads | batch | kv | test | t/s |\n"
        "| --- | ---: | --- | ---: | ---: | --- | ---: | ---: |\n");
  }
  const auto measure = [&](const char* kind, u32 n_token, f64 (Bench::*test)(u32)) {
    if (n_token == 0) return;
    (bench.*test)(std::min(n_token, u32{16}));
    std::vector<f64> rates;
    for (u32 i = 0; i < flags.n_repeat; ++i) {
      rates.push_back((bench.*test)(n_token));
      if (interrupt_pending()) throw CommandError(ExitCode::kInterrupted, "interrupted");
    }
    const Rate rate = summarize(rates);
    const std::string name = kind + std::to_string(n_token);
    if (!flags.json) {
      write_stdout(format("| %s | %s | %s | %u | %u | %s | %s | %.2f +- %.2f |\n",
                          printable(model.engine().name()).c_str(), size.c_str(),
                          model.kernels().name, model.n_thread(), model.session().n_batch(),
                          kv_name(model.session().kv_type()).c_str(), name.c_str(), rate.mean,
                          rate.deviation));
    }
    results.push_back({{"test", name},
                       {"tok_s", rate.mean},
                       {"tok_s_deviation", rate.deviation},
                       {"samples", rates}});
  };
  measure("pp", flags.n_prompt, &Bench::prefill);
  measure("tg", flags.n_generate, &Bench::generate);
  if (flags.json) {
    print_json({{"model", to_string(model.engine().name())},
                {"weight_bytes", model.engine().weight_bytes()},
                {"isa", model.kernels().name},
                {"threads", model.n_thread()},
                {"n_batch", model.session().n_batch()},
                {"kv", kv_name(model.session().kv_type())},
                {"results", results}});
  }
  return ExitCode::kOk;
}

Action declare(CLI::App& app) {
  auto flags = std::make_shared<BenchFlags>();
  flags->model.n_batch = 128;
  declare_model_flags(app, flags->model, "what the tests need");
  app.add_option("-p,--n-prompt", flags->n_prompt,
                 "tokens of the prefill test; 0: none (default: 512)")
      ->type_name("N");
  app.add_option("-n,--n-gen", flags->n_generate,
                 "tokens of the decode test; 0: none (default: 128)")
      ->type_name("N");
  app.add_option("-r,--repetitions", flags->n_repeat, "runs of each test (default: 5)")
      ->check(CLI::Range(1, 1000))
      ->type_name("N");
  app.add_flag("--json", flags->json, "one JSON object");
  return [flags] { return run(*flags); };
}

}  // namespace

const Command kBenchCommand = {"bench", "tokens per second of prefill and decode",
                               "  lbm bench -m model.gguf\n"
                               "  lbm bench -m model.gguf -p 128 -n 32 -r 3 -t 1 --isa avx2",
                               declare};

}  // namespace lbm::cli
