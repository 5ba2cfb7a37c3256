// lbm bench: tokens per second of prefill (pp) and decode (tg), in the table that llama-bench
// prints, with the share of what the machine can do beside each.
//
// -p, -n, -d, -t, -b, --isa and --kv take lists; every combination is a row. A model is loaded anew
// for each (threads, batch, isa, kv), and all its tests run in one context. No digest is computed.
#include <algorithm>
#include <ctime>

#include "tools/bench_run.h"
#include "tools/command.h"
#include "tools/interrupt.h"

namespace lbm::cli {
namespace {

struct BenchFlags {
  std::string path;
  std::vector<u32> n_prompt = {512};
  std::vector<u32> n_generate = {128};
  std::vector<u32> depths = {0};
  std::vector<u32> n_threads = {0};  // 0: physical cores
  std::vector<u32> n_batches = {256};
  std::vector<std::string> isas = {"auto"};
  std::vector<std::string> kvs = {"f16"};
  u32 n_ctx = 0;  // 0: what the tests need
  BenchOptions options;
  std::string output = "md";
  bool json = false;
  bool no_limits = false;
};

constexpr const char* kPartNames[] = {"outside",   "embedding", "norm",       "matmul",  "rope",
                                      "attention", "quantize",  "activation", "residual"};
static_assert(std::size(kPartNames) == kForwardParts);

f64 percent(f64 part, f64 whole) { return whole > 0 ? 100 * part / whole : 0; }

// ---- the table ----------------------------------------------------------------------------------

constexpr const char* kTableHead =
    "| model | size | isa | threads | batch | kv | test | t/s | MB/token | rate | of the limit |\n"
    "| --- | ---: | --- | ---: | ---: | --- | --- | ---: | ---: | ---: | --- |\n";

// What limits a prefill: the widest multiplications for the model's kind of weights.
const Samples& multiply_limit(const BenchRow& row) {
  return row.cost.is_integer ? row.limits.int8 : row.limits.f32;
}

std::string share_text(const BenchRow& row, const MachineLimits* limits) {
  if (row.test.kind == BenchTest::Kind::kPrefill) {
    const Samples& limit = multiply_limit(row);
    if (limit.empty()) return "-";
    return format("%.1f %% of %s", percent(row.gops(), limit.largest()),
                  row.cost.is_integer ? "int8" : "f32");
  }
  if (limits == nullptr || row.limits.read_model.empty()) return "-";
  return format("%.1f %% of reads this size, %.1f %% of %s",
                percent(row.gb_s(), row.limits.read_model.median()),
                percent(row.gb_s(), row.limits.read_large.median()),
                format_bytes(limits->large().n_byte()).c_str());
}

void print_row(LoadedModel& model, const BenchRow& row, const MachineLimits* limits) {
  const bool is_decode = row.test.kind == BenchTest::Kind::kDecode;
  const std::string bytes =
      is_decode ? format("%.1f", static_cast<f64>(row.bytes_per_token()) / 1e6) : "-";
  const std::string rate =
      is_decode ? format("%.1f GB/s", row.gb_s()) : format("%.0f GOPS", row.gops());
  write_stdout(format(
      "| %s | %s | %s | %u | %u | %s | %s | %.2f +- %.2f | %s | %s | %s |\n",
      printable(model.engine().name()).c_str(), format_bytes(model.engine().weight_bytes()).c_str(),
      model.kernels().name, model.n_thread(), model.session().n_batch(),
      kv_name(model.session().kv_type()).c_str(), row.test.name().c_str(), row.rates.mean(),
      row.rates.deviation(), bytes.c_str(), rate.c_str(), share_text(row, limits).c_str()));
}

// ---- JSON ---------------------------------------------------------------------------------------

Json describe_samples(const Samples& samples) {
  if (samples.empty()) return nullptr;
  return {{"median", samples.median()},
          {"min", samples.smallest()},
          {"max", samples.largest()},
          {"samples", samples.values()}};
}

Json describe_reading(const ReadMeter& meter, const Samples& samples) {
  Json out = {{"bytes", meter.n_byte()}, {"pattern", meter.pattern()}};
  out.update(describe_samples(samples));
  return out;
}

Json describe_peak(const PeakLoop& loop, const Samples& samples) {
  if (loop.name == nullptr || samples.empty()) return nullptr;
  Json out = {{"instruction", loop.name}};
  out.update(describe_samples(samples));
  return out;
}

Json describe_limits(const MachineLimits& limits, const LimitSamples& samples) {
  return {{"read_gb_s", describe_reading(limits.large(), samples.read_large)},
          {"read_model_gb_s", describe_reading(limits.model(), samples.read_model)},
          {"int8_gops", describe_peak(limits.int8_loop(), samples.int8)},
          {"f32_gops", describe_peak(limits.f32_loop(), samples.f32)},
          {"int8_tiles_gops", describe_peak(limits.tile_loop(), samples.int8_tiles)}};
}

Json describe_shares(const BenchRow& row) {
  Json out;
  if (row.test.kind == BenchTest::Kind::kDecode) {
    out["bytes_per_token"] = row.bytes_per_token();
    out["weight_bytes_in_memory"] = row.cost.tile_bytes;
    out["gb_s"] = row.gb_s();
    if (row.limits.read_model.empty()) return out;
    out["percent_of_read"] = percent(row.gb_s(), row.limits.read_large.median());
    out["percent_of_read_model"] = percent(row.gb_s(), row.limits.read_model.median());
  } else {
    out["ops_per_token"] = row.cost.layer_ops;
    out["gops"] = row.gops();
    if (multiply_limit(row).empty()) return out;
    out["limit"] = row.cost.is_integer ? "int8" : "f32";
    out["percent_of_peak"] = percent(row.gops(), multiply_limit(row).largest());
  }
  return out;
}

Json describe_split(const BenchRow& row) {
  Json out;
  for (u32 i = 0; i < kForwardParts; ++i) out[kPartNames[i]] = row.split.us[i];
  return out;
}

// The names of llama-bench where it has them.
Json describe_row(LoadedModel& model, const BenchRow& row, const MachineLimits* limits) {
  const bool is_prefill = row.test.kind == BenchTest::Kind::kPrefill;
  Json out;
  out["test"] = row.test.name();
  out["n_prompt"] = is_prefill ? row.test.n_token : 0;
  out["n_gen"] = is_prefill ? 0 : row.test.n_token;
  out["n_depth"] = row.test.depth;
  out["n_threads"] = model.n_thread();
  out["n_batch"] = model.session().n_batch();
  out["n_ctx"] = model.session().n_ctx();
  out["type_kv"] = kv_name(model.session().kv_type());
  out["isa"] = model.kernels().name;
  out["avg_ts"] = row.rates.mean();
  out["stddev_ts"] = row.rates.deviation();
  out["median_ts"] = row.rates.median();
  out["min_ts"] = row.rates.smallest();
  out["max_ts"] = row.rates.largest();
  out["samples_ts"] = row.rates.values();
  out["samples_cpu_share"] = row.cpu_shares.values();
  out.update(describe_shares(row));
  if (limits != nullptr) out["limits"] = describe_limits(*limits, row.limits);
  if (row.has_split) out["split_us"] = describe_split(row);
  return out;
}

std::string utc_time() {
  const std::time_t now = std::time(nullptr);
  std::tm parts = {};
  gmtime_r(&now, &parts);
  char text[32] = {};
  return {text, std::strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &parts)};
}

// ---- below the table ----------------------------------------------------------------------------

std::string peak_text(const char* label, const PeakLoop& loop, const Samples& samples) {
  if (samples.empty()) return {};
  return format(", %s %.0f GOPS (%s)", label, samples.largest(), loop.name);
}

// "1 thread: reads 16.1 GB/s of 1.00 GiB (4 streams ...), 29.2 GB/s of 92.1 MiB (...), int8 ..."
std::string limits_text(u32 n_thread, const MachineLimits& limits,
                        const std::vector<BenchRow>& rows) {
  LimitSamples all;
  const auto pool = [](const Samples& from, Samples& to) {
    for (const f64 value : from.values()) to.add(value);
  };
  for (const BenchRow& row : rows) {
    pool(row.limits.read_large, all.read_large);
    pool(row.limits.read_model, all.read_model);
    pool(row.limits.int8, all.int8);
    pool(row.limits.f32, all.f32);
    pool(row.limits.int8_tiles, all.int8_tiles);
  }
  const auto reading = [](const ReadMeter& meter, const Samples& samples) {
    return format("%.1f GB/s of %s (%.1f to %.1f; %s)", samples.median(),
                  format_bytes(meter.n_byte()).c_str(), samples.smallest(), samples.largest(),
                  meter.pattern().c_str());
  };
  return thread_text(n_thread) + ": reads " + reading(limits.model(), all.read_model) + " and " +
         reading(limits.large(), all.read_large) + peak_text("int8", limits.int8_loop(), all.int8) +
         peak_text("f32", limits.f32_loop(), all.f32) +
         peak_text("int8 tiles", limits.tile_loop(), all.int8_tiles) + "\n";
}

// A word of warning where other processes slowed the test down; below this share they did.
constexpr f64 kDisturbedShare = 0.85;
std::string load_text(u32 n_thread, const BenchRow& row) {
  const f64 share = row.cpu_shares.median();
  if (share >= kDisturbedShare) return {};
  return row.test.name() + ", " + thread_text(n_thread) +
         format(": got %.0f %% of the processor time it could have used; others were running\n",
                100 * share);
}

std::string split_text(u32 n_thread, const BenchRow& row) {
  const f64 total = static_cast<f64>(row.split.total_us());
  std::string text =
      row.test.name() + ", " + thread_text(n_thread) + format(", %.1f ms:", total / 1e3);
  std::vector<u32> order(kForwardParts);
  for (u32 i = 0; i < kForwardParts; ++i) order[i] = i;
  std::sort(order.begin(), order.end(),
            [&](u32 a, u32 b) { return row.split.us[a] > row.split.us[b]; });
  for (const u32 part : order) {
    text += format(" %s %.1f %%", kPartNames[part],
                   percent(static_cast<f64>(row.split.us[part]), total));
  }
  return text + "\n";
}

// ---- the run ------------------------------------------------------------------------------------

std::vector<BenchTest> list_tests(const BenchFlags& flags) {
  std::vector<BenchTest> tests;
  for (const u32 depth : flags.depths) {
    for (const u32 n : flags.n_prompt) {
      if (n != 0) tests.push_back({BenchTest::Kind::kPrefill, n, depth});
    }
    for (const u32 n : flags.n_generate) {
      if (n != 0) tests.push_back({BenchTest::Kind::kDecode, n, depth});
    }
  }
  if (tests.empty()) throw CommandError(ExitCode::kUsage, "nothing to measure: -p 0 and -n 0");
  return tests;
}

// One ModelFlags for each way to load the model.
std::vector<ModelFlags> list_loads(const BenchFlags& flags, const std::vector<BenchTest>& tests) {
  ModelFlags load;
  load.path = flags.path;
  load.n_ctx = flags.n_ctx;
  for (const BenchTest& test : tests) {
    if (flags.n_ctx == 0) load.n_ctx = std::max({load.n_ctx, test.depth + test.n_token, u32{16}});
  }
  std::vector<ModelFlags> loads;
  for (const std::string& isa : flags.isas) {
    for (const std::string& kv : flags.kvs) {
      for (const u32 n_batch : flags.n_batches) {
        for (const u32 n_thread : flags.n_threads) {
          load.isa = isa;
          load.kv = kv;
          load.n_batch = n_batch;
          load.n_thread = n_thread;
          loads.push_back(load);
        }
      }
    }
  }
  return loads;
}

ExitCode run(const BenchFlags& flags) {
  const bool is_json = flags.json || flags.output == "json";
  const std::vector<BenchTest> tests = list_tests(flags);
  MachineLimits limits;
  BenchOptions options = flags.options;
  options.limits = flags.no_limits ? nullptr : &limits;
  Json report;
  std::string notes;
  bool is_first = true;
  for (const ModelFlags& load : list_loads(flags, tests)) {
    LoadedModel model(load, {.hash_file = false});
    if (is_first) {
      report = {{"model", to_string(model.engine().name())},
                {"path", flags.path},
                {"weight_bytes", model.engine().weight_bytes()},
                {"version", version_text()},
                {"cpu", usable_cpu_features().brand},
                {"last_level_cache_bytes", last_level_cache_bytes()},
                {"time", utc_time()},
                {"results", Json::array()}};
      if (!is_json) write_stdout(kTableHead);
      is_first = false;
    }
    ProgressLine progress;
    if (options.limits != nullptr) {
      progress.show("measuring the machine");
      limits.prepare(model.engine().workers(),
                     token_cost(model.engine().model(), kv_type_of(load.kv)).weight_bytes);
    }
    std::vector<BenchRow> rows;
    for (const BenchTest& test : tests) {
      rows.push_back(run_bench_test(model, test, options, progress));
      progress.clear();
      if (!is_json) print_row(model, rows.back(), options.limits);
      report["results"].push_back(describe_row(model, rows.back(), options.limits));
      notes += load_text(model.n_thread(), rows.back());
      if (options.split) notes += split_text(model.n_thread(), rows.back());
    }
    if (options.limits != nullptr) notes += limits_text(model.n_thread(), limits, rows);
  }
  if (is_json) {
    print_json(report);
  } else if (!notes.empty()) {
    write_stdout("\n" + notes);
  }
  return ExitCode::kOk;
}

// ---- options ------------------------------------------------------------------------------------

void declare_lists(CLI::App& app, BenchFlags& flags) {
  const auto list = [&](const std::string& name, auto& values, const std::string& help) {
    return app.add_option(name, values, help)->delimiter(',')->type_name("LIST");
  };
  list("-p,--n-prompt", flags.n_prompt, "tokens of the prefill test; 0: none (default: 512)");
  list("-n,--n-gen", flags.n_generate, "tokens of the decode test; 0: none (default: 128)");
  list("-d,--n-depth", flags.depths, "tokens in the context before the test (default: 0)");
  list("-t,--threads", flags.n_threads, "threads (default: physical cores)")
      ->check(CLI::Range(u32{1}, ThreadPool::kMaxThreads));
  list("-b,--batch,--batch-size", flags.n_batches, "tokens evaluated at once (default: 256)")
      ->check(CLI::Range(u32{1}, Session::kMaxBatch));
  list("--isa", flags.isas, "kernels: auto, or names of 'lbm version' (default: auto)");
  list("--kv", flags.kvs, "types of the KV cache: f16, f32, q8_0 (default: f16)")
      ->check(CLI::IsMember({"f16", "f32", "q8_0"}));
}

Action declare(CLI::App& app) {
  auto flags = std::make_shared<BenchFlags>();
  declare_model_path(app, flags->path);
  declare_lists(app, *flags);
  app.add_option("-c,--ctx-size", flags->n_ctx, "tokens of context (default: what the tests need)")
      ->type_name("N");
  app.add_option("-r,--repetitions", flags->options.n_repeat, "runs of each test (default: 5)")
      ->check(CLI::Range(1, 1000))
      ->type_name("N");
  app.add_option("-o,--output", flags->output, "md or json (default: md)")
      ->check(CLI::IsMember({"md", "json"}))
      ->type_name("FORMAT");
  app.add_flag("--json", flags->json, "the same as -o json");
  app.add_flag("--split", flags->options.split,
               "where the time goes, from one more run of each test");
  app.add_flag("--no-limits", flags->no_limits,
               "do not measure what the machine can do; takes a few seconds less");
  return [flags] { return run(*flags); };
}

}  // namespace

const Command kBenchCommand = {"bench",
                               "tokens per second, and their share of what the machine can do",
                               "  lbm bench -m model.gguf\n"
                               "  lbm bench -m model.gguf -p 512,128 -n 64 -d 0,2048 -t 1,2\n"
                               "  lbm bench -m model.gguf -p 128 -n 32 -r 3 --split -o json",
                               declare};

}  // namespace lbm::cli
