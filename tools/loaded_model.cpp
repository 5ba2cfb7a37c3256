#include "tools/loaded_model.h"

#include <algorithm>

#include "core/base/fmt.h"
#include "kernels/select.h"
#include "tools/cpu.h"
#include "tools/input.h"
#include "tools/interrupt.h"
#include "tools/model_reader.h"

namespace lbm::cli {

// ---- flags --------------------------------------------------------------------------------------

void declare_model_path(CLI::App& app, std::string& path) {
  app.add_option("-m,--model", path, "model file (GGUF, .slm or llama2.c .bin)")
      ->required()
      ->envname("LBM_MODEL")
      ->type_name("FILE");
}

void declare_tokenizer_path(CLI::App& app, std::string& path) {
  app.add_option("--tokenizer", path,
                 "tokenizer of a llama2.c model (default: tokenizer.bin beside it)")
      ->type_name("FILE");
}

void declare_kv(CLI::App& app, std::string& kv) {
  app.add_option("--kv", kv, "type of the KV cache (default: f16)")
      ->check(CLI::IsMember({"f16", "f32", "q8_0"}))
      ->type_name("f16|f32|q8_0");
}

void declare_model_flags(CLI::App& app, ModelFlags& flags, const std::string& context_default) {
  declare_model_path(app, flags.path);
  declare_tokenizer_path(app, flags.tokenizer);
  app.add_option("-c,--ctx-size", flags.n_ctx,
                 "tokens of context (default: " + context_default + ")")
      ->type_name("N");
  app.add_option("-b,--batch,--batch-size", flags.n_batch,
                 format("tokens evaluated at once (default: %u)", flags.n_batch))
      ->check(CLI::Range(1, 512))
      ->type_name("N");
  app.add_option("-t,--threads", flags.n_thread, "threads (default: physical cores)")
      ->check(CLI::Range(u32{1}, ThreadPool::kMaxThreads))
      ->type_name("N");
  app.add_option("--isa", flags.isa,
                 "kernels: auto, or a name of 'lbm version' (default: auto, the fastest by trial)")
      ->type_name("NAME");
  declare_kv(app, flags.kv);
}

// ---- kernels ------------------------------------------------------------------------------------

Status find_kernels(const std::string& isa, Clock& clock, KernelTable& out) {
  const CpuFeatures features = usable_cpu_features();
  if (isa == "auto") {
    const auto now = [](void* context) { return static_cast<Clock*>(context)->now_us(); };
    compose_fastest(features, {now, &clock}, out);
    return {};
  }
  if (compose_named(features, isa.c_str(), out)) return {};
  return fail(ErrorCode::kUnsupported,
              "no such kernels in this build, or the processor can not run them")
      .about(to_str(isa));
}

KernelTable choose_kernels(const std::string& isa, Clock& clock) {
  KernelTable found = {};
  if (find_kernels(isa, clock, found).ok()) return found;
  const KernelTable* tables[8] = {};
  const u32 n_table = usable_kernel_tables(usable_cpu_features(), tables);
  std::string names = "auto";
  for (u32 i = 0; i < n_table; ++i) names += std::string(", ") + tables[i]->name;
  throw CommandError(ExitCode::kUsage, "--isa " + isa + ": not usable here; there are " + names);
}

// ---- loading ------------------------------------------------------------------------------------

namespace {

class LoadProgress final : public LoadObserver {
 public:
  explicit LoadProgress(Clock& clock) : clock_(clock), start_us_(clock.now_us()) {}

  bool on_progress(u64 n_done, u64 n_total) override {
    const u64 elapsed_us = clock_.now_us() - start_us_;
    const u64 percent = n_total == 0 ? 100 : n_done * 100 / n_total;
    const f64 rate = elapsed_us == 0 ? 0 : static_cast<f64>(n_done) / static_cast<f64>(elapsed_us);
    line_.show(
        format("loading %3llu %%  %.0f MB/s", static_cast<unsigned long long>(percent), rate));
    return !interrupt_pending();
  }

 private:
  Clock& clock_;
  u64 start_us_;
  ProgressLine line_;
};

std::string base_name(const std::string& path) { return path.substr(path.find_last_of('/') + 1); }

u32 trained_context(const ModelFlags& flags) {
  ModelReader reader(flags.path, {flags.tokenizer, false});
  return expect(read_config(reader.file()), flags.path, Stage::kModel).n_ctx_train;
}

}  // namespace

LoadedModel::LoadedModel(const ModelFlags& flags, const LoadOptions& options)
    : path_(flags.path),
      workers_(flags.n_thread == 0 ? count_physical_cores() : flags.n_thread),
      kernels_(choose_kernels(flags.isa, clock_)),
      source_(open_model_source(flags.path)),
      engine_(std::make_unique<Engine>(pages_, workers_, kernels_)) {
  install_interrupt_handler();
  EngineOptions engine_options;
  engine_options.n_ctx = flags.n_ctx;
  engine_options.n_batch = flags.n_batch;
  engine_options.kv = kv_type_of(flags.kv);
  engine_options.hash_file = options.hash_file;
  if (!flags.tokenizer.empty()) {
    tokenizer_source_ = open_model_source(flags.tokenizer);
    engine_options.tokenizer = tokenizer_source_.get();
  }
  if (flags.n_ctx == 0 && options.n_ctx_is_trained) engine_options.n_ctx = trained_context(flags);
  const u64 start_us = clock_.now_us();
  LoadProgress progress(clock_);
  expect(engine_->load(*source_, to_str(base_name(path_)), engine_options, &progress), path_,
         Stage::kModel);
  load_us_ = clock_.now_us() - start_us;
}

std::string LoadedModel::file_hash() const { return to_string(to_hex(engine_->file_hash()).str()); }

void LoadedModel::check_tokens(Span<const u32> tokens) {
  const u32 n_free = session().n_ctx() - session().n_past();
  if (tokens.size() > n_free) {
    throw_error(fail(ErrorCode::kContextFull, "more tokens than the context has room for, see -c:")
                    .with(tokens.size(), n_free),
                path_, Stage::kRun);
  }
  for (const u32 id : tokens) {
    if (id < config().n_vocab) continue;
    throw CommandError(ExitCode::kUsage, format("token id %u is not in the vocabulary (0 to %u)",
                                                id, config().n_vocab - 1));
  }
}

void LoadedModel::evaluate_all(Span<const u32> tokens, Session::LogitsSink& sink) {
  check_tokens(tokens);
  const usize step = session().n_batch();
  for (usize at = 0; at < tokens.size(); at += step) {
    if (interrupt_pending()) throw CommandError(ExitCode::kInterrupted, "interrupted");
    expect(session().evaluate_all(tokens.slice(at, std::min(step, tokens.size() - at)), sink),
           path_, Stage::kRun);
  }
}

void LoadedModel::evaluate(Span<const u32> tokens) {
  check_tokens(tokens);
  const Session::Interrupt interrupt{[](void*) { return interrupt_pending(); }, nullptr};
  const Status status = session().evaluate(tokens, interrupt);
  if (!status.ok() && status.error().code == ErrorCode::kCancelled)
    throw CommandError(ExitCode::kInterrupted, "interrupted");
  expect(status, path_, Stage::kRun);
}

void LoadedModel::add_circumstances(Json& out) {
  out["isa"] = kernels_.name;
  out["threads"] = n_thread();
  out["n_batch"] = session().n_batch();
  out["n_ctx"] = session().n_ctx();
  out["kv"] = kv_name(session().kv_type());
  out["model_sha256"] = file_hash();
}

// ---- digests and tokens -------------------------------------------------------------------------

LogitsDigest::LogitsDigest(const KernelTable& kernels)
    : sha_(kernels.sha256_blocks != nullptr ? kernels.sha256_blocks : sha256_blocks_portable) {}

void LogitsDigest::on_logits(u32, Span<const f32> logits) {
  sha_.update({reinterpret_cast<const u8*>(logits.data()), logits.size_bytes()});
}

std::string LogitsDigest::finish_hex() { return to_string(to_hex(sha_.finish()).str()); }

std::vector<u32> parse_tokens(const std::string& argument) {
  std::string text = argument == "-" ? read_stdin() : argument;
  for (char& c : text) {
    if (c == ',' || c == '[' || c == ']' || Str::is_space(c)) c = ' ';
  }
  std::vector<u32> tokens;
  for (usize at = text.find_first_not_of(' '); at != std::string::npos;
       at = text.find_first_not_of(' ', at)) {
    const usize end = std::min(text.find(' ', at), text.size());
    u64 id = 0;
    if (!parse_u64({text.data() + at, end - at}, id) || id > UINT32_MAX) {
      throw CommandError(ExitCode::kUsage,
                         "--tokens: '" + text.substr(at, end - at) + "' is no token id");
    }
    tokens.push_back(static_cast<u32>(id));
    at = end;
  }
  if (tokens.empty()) throw CommandError(ExitCode::kUsage, "--tokens: no token ids were given");
  return tokens;
}

}  // namespace lbm::cli
