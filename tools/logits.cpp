// lbm logits, lbm digest: evaluate given token ids and write all their logits, or the SHA-256 of
// those bytes (the eval digest, docs/numerics.md R19). The digest is the same for every instruction
// set, thread count and batch size; comparing two lines of `lbm digest` is how that is checked.
#include "tools/command.h"
#include "tools/loaded_model.h"

namespace lbm::cli {
namespace {

struct LogitsFlags {
  ModelFlags model;
  std::string tokens;
  std::string output;
  bool json = false;
};

// Writes what the digest hashes.
class LogitsFile final : public Session::LogitsSink {
 public:
  explicit LogitsFile(OutputFile& out) : out_(out) {}
  void on_logits(u32, Span<const f32> logits) override {
    out_.write(logits.data(), logits.size_bytes());
  }

 private:
  OutputFile& out_;
};

ExitCode write_logits(const LogitsFlags& flags) {
  const std::vector<u32> tokens = parse_tokens(flags.tokens);
  LoadedModel model(flags.model, {.hash_file = false, .n_ctx_is_trained = true});
  OutputFile out(flags.output);
  LogitsFile sink(out);
  model.evaluate_all({tokens.data(), tokens.size()}, sink);
  out.close();
  return ExitCode::kOk;
}

ExitCode print_digest(const LogitsFlags& flags) {
  const std::vector<u32> tokens = parse_tokens(flags.tokens);
  LoadedModel model(flags.model, {.hash_file = true, .n_ctx_is_trained = true});
  LogitsDigest digest(model.kernels());
  model.evaluate_all({tokens.data(), tokens.size()}, digest);
  Json line;
  line["digest"] = digest.finish_hex();
  line["n_token"] = tokens.size();
  model.add_circumstances(line);
  if (flags.json) {
    print_json(line);
    return ExitCode::kOk;
  }
  std::string text = line["digest"].get<std::string>();
  line.erase("digest");
  for (const auto& [key, value] : line.items()) {
    text += " " + key + "=" + (value.is_string() ? value.get<std::string>() : value.dump());
  }
  write_stdout(text + "\n");
  return ExitCode::kOk;
}

void declare_common(CLI::App& app, LogitsFlags& flags) {
  declare_model_flags(app, flags.model, kTrainedContextDefault);
  app.add_option("--tokens", flags.tokens, "token ids: 1,2,3 ('-': from stdin)")
      ->required()
      ->type_name("IDS");
}

Action declare_logits(CLI::App& app) {
  auto flags = std::make_shared<LogitsFlags>();
  declare_common(app, *flags);
  app.add_option("-o,--output", flags->output,
                 "file of little-endian f32 [n_token][n_vocab], '-' for stdout")
      ->required()
      ->type_name("FILE");
  return [flags] { return write_logits(*flags); };
}

Action declare_digest(CLI::App& app) {
  auto flags = std::make_shared<LogitsFlags>();
  declare_common(app, *flags);
  app.add_flag("--json", flags->json, "one JSON object");
  return [flags] { return print_digest(*flags); };
}

}  // namespace

const Command kLogitsCommand = {
    "logits", "the logits of given tokens, as raw f32",
    "  lbm logits -m model.gguf --tokens 1,2,3 -o logits.f32\n"
    "  lbm logits -m model.gguf --tokens 1,2,3 --isa scalar --kv f32 -o logits.f32",
    declare_logits};

const Command kDigestCommand = {
    "digest", "SHA-256 of the logits of given tokens: the same on every machine",
    "  lbm digest -m model.gguf --tokens 1,2,3\n"
    "  lbm digest -m model.gguf --tokens 1,2,3 --isa scalar -t 1 -b 1   # the same digest",
    declare_digest};

}  // namespace lbm::cli
