// A model loaded to run: the engine of the core with the memory, threads, kernels and clock of this
// machine, and the flags by which a user chooses them. Every subcommand that evaluates tokens
// starts here.
#pragma once

#include <CLI/App.hpp>
#include <memory>
#include <string>
#include <vector>

#include "core/chat/engine.h"
#include "kernels/kernel_table.h"
#include "tools/output.h"
#include "tools/platform_posix.h"
#include "tools/thread_pool.h"

namespace lbm::cli {

struct ModelFlags {
  std::string path;
  std::string tokenizer;  // of a llama2.c model; empty: looked for beside it
  std::string isa = "auto";
  std::string kv = "f16";
  u32 n_ctx = 0;  // 0: the default of the command
  u32 n_batch = 128;
  u32 n_thread = 0;  // 0: physical cores
};

// -m, --tokenizer, -c, -b, -t, --isa, --kv. `context_default` is the help text of what -c stands
// for when it is absent.
void declare_model_flags(CLI::App& app, ModelFlags& flags, const std::string& context_default);
// The parts, for commands that take some of them more than once.
void declare_model_path(CLI::App& app, std::string& path);
void declare_tokenizer_path(CLI::App& app, std::string& path);
void declare_kv(CLI::App& app, std::string& kv);
inline constexpr const char* kChatContextDefault = "min(trained, 4096), less where memory is short";
inline constexpr const char* kTrainedContextDefault = "all the model was trained for";

[[nodiscard]] inline KvType kv_type_of(const std::string& name) {
  KvType type = KvType::kF16;
  static_cast<void>(parse_kv_type(Str(name.data(), name.size()), type));
  return type;
}
[[nodiscard]] inline std::string kv_name(KvType type) { return to_string(kv_type_name(type)); }

// The kernels called `isa`, or the fastest by trial for "auto". Throws CommandError (kUsage) with
// the names there are.
[[nodiscard]] KernelTable choose_kernels(const std::string& isa, Clock& clock);
// The same with a Status, for the REPL. Errors: kUnsupported.
[[nodiscard]] Status find_kernels(const std::string& isa, Clock& clock, KernelTable& out);

struct LoadOptions {
  bool hash_file = true;          // SHA-256 of the file on the way through
  bool n_ctx_is_trained = false;  // without -c: n_ctx_train instead of the chat default (R13: n_ctx
                                  // can change the logits)
};

class LoadedModel {
 public:
  // Loads, with a progress line on a terminal. Throws CommandError.
  LoadedModel(const ModelFlags& flags, const LoadOptions& options);

  [[nodiscard]] Engine& engine() { return *engine_; }
  [[nodiscard]] Session& session() { return engine_->session(); }
  [[nodiscard]] const Tokenizer& tokenizer() const { return engine_->tokenizer(); }
  [[nodiscard]] const ModelConfig& config() const { return engine_->model().config; }
  [[nodiscard]] Clock& clock() { return clock_; }
  [[nodiscard]] const KernelTable& kernels() const { return kernels_; }
  [[nodiscard]] u32 n_thread() const { return workers_.n_worker(); }
  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] std::string file_hash() const;
  [[nodiscard]] u64 load_us() const { return load_us_; }

  // Evaluates `tokens` after those before, all logits going to `sink`; a Ctrl-C ends the command
  // between two batches.
  void evaluate_all(Span<const u32> tokens, Session::LogitsSink& sink);
  // The same without logits.
  void evaluate(Span<const u32> tokens);

  // The circumstances that belong beside every digest (R19): isa, threads, n_batch, n_ctx, kv,
  // model_sha256.
  void add_circumstances(Json& out);

 private:
  void check_tokens(Span<const u32> tokens);

  std::string path_;
  PosixPages pages_;
  PosixClock clock_;
  ThreadPool workers_;
  const KernelTable kernels_;
  std::unique_ptr<FileSource> source_;
  std::unique_ptr<FileSource> tokenizer_source_;
  std::unique_ptr<Engine> engine_;
  u64 load_us_ = 0;
};

// SHA-256 over logits in the order they come (R19), with the block function of `kernels`.
class LogitsDigest final : public Session::LogitsSink {
 public:
  explicit LogitsDigest(const KernelTable& kernels);
  void on_logits(u32 pos, Span<const f32> logits) override;
  [[nodiscard]] std::string finish_hex();

 private:
  Sha256 sha_;
};

// "1,2,3", "[1, 2, 3]", "1 2 3"; "-" reads it from stdin. Throws CommandError (kUsage).
[[nodiscard]] std::vector<u32> parse_tokens(const std::string& text);

}  // namespace lbm::cli
