// lbm run: one prompt, one answer.
//
// Text streams to stdout as it is made; with --json nothing is printed until the one object at the
// end. Chat and raw differ in who writes the prompt: the model's template around a user message, or
// the user alone, control tokens included.
#include <unistd.h>

#include <exception>
#include <random>

#include "core/chat/conversation.h"
#include "core/chat/generate.h"
#include "tools/answer_grammar.h"
#include "tools/command.h"
#include "tools/input.h"
#include "tools/interrupt.h"
#include "tools/loaded_model.h"
#include "tools/model_reader.h"
#include "tools/terminal.h"

namespace lbm::cli {
namespace {

// Address space for the work of one turn (rendering, encoding); pages become real as they are used.
constexpr u64 kTurnMemory = 4 * kGiB;

struct RunFlags {
  ModelFlags model;
  std::string prompt;
  std::string prompt_path;
  std::string system;
  std::string think;  // on, dim, hide, off; empty: dim on a terminal, else hide
  SamplerParams sampler;
  GrammarFlags grammar;
  i64 seed = 0;        // as in the REPL: the same answer every time; -1: drawn
  i64 n_predict = -1;  // -1: until the answer or the context ends
  bool has_prompt = false;
  bool chat = false;
  bool raw = false;
  bool ignore_eos = false;
  bool show_special = false;
  bool digest = false;
  bool json = false;
  bool no_speculate = false;
};

// Where the answer goes: to stdout at once, or into the object that is printed last.
class AnswerSink final : public GenerateSink {
 public:
  AnswerSink(bool stream, bool shows_reasoning)
      : stream_(stream),
        shows_reasoning_(stream && shows_reasoning),
        terminal_(isatty(STDOUT_FILENO) == 1),
        dims_(color_wanted(STDOUT_FILENO)) {}

  void on_token(u32 id) override { ids_.push_back(id); }
  bool on_text(Str utf8) override {
    text_.append(utf8.data(), utf8.size());
    end_reasoning();
    return !stream_ || show(utf8);
  }
  bool on_reasoning(Str utf8) override {
    reasoning_.append(utf8.data(), utf8.size());
    if (!shows_reasoning_) return true;
    if (!in_reasoning_ && dims_) raw_show("\x1b[2m");
    in_reasoning_ = true;
    return show(utf8);
  }

  [[nodiscard]] const std::vector<u32>& ids() const { return ids_; }
  [[nodiscard]] const std::string& text() const { return text_; }
  [[nodiscard]] const std::string& reasoning() const { return reasoning_; }
  // Ends the line of streamed text. Throws what kept on_text() from writing.
  void finish() {
    end_reasoning();
    if (failure_ != nullptr) std::rethrow_exception(failure_);
    if (stream_ && !text_.empty() && text_.back() != '\n') write_stdout("\n");
  }

 private:
  void end_reasoning() {
    if (!in_reasoning_) return;
    in_reasoning_ = false;
    raw_show(dims_ ? "\x1b[22m\n\n" : "\n\n");
  }
  // A terminal obeys control characters, so it gets none from a model; a file gets the bytes.
  bool show(Str utf8) { return raw_show(terminal_ ? printable(utf8) : to_string(utf8)); }
  bool raw_show(const std::string& text) {
    // The core is below us on the stack and knows no exceptions: end the answer, and throw when it
    // has returned.
    try {
      write_stdout(text);
    } catch (const CommandError&) {
      failure_ = std::current_exception();
    }
    return failure_ == nullptr;
  }

  bool stream_;
  bool shows_reasoning_;
  bool terminal_;
  bool dims_;
  bool in_reasoning_ = false;
  std::exception_ptr failure_;
  std::vector<u32> ids_;
  std::string text_;
  std::string reasoning_;
};

std::string without_final_newline(std::string text) {
  if (!text.empty() && text.back() == '\n') text.pop_back();
  return text;
}

// -p TEXT, -f FILE, or stdin where neither is given or it is '-'.
std::string read_prompt(const RunFlags& flags) {
  if (flags.has_prompt && flags.prompt != "-") return flags.prompt;
  if (!flags.prompt_path.empty()) return without_final_newline(read_file(flags.prompt_path));
  if (!flags.has_prompt && isatty(STDIN_FILENO) == 1) {
    throw CommandError(
        ExitCode::kUsage,
        "no prompt: give one with -p TEXT, or pipe it in. To talk to the model: lbm chat");
  }
  return without_final_newline(read_stdin());
}

GenerateOptions generate_options(const RunFlags& flags, TokenFilter* filter) {
  GenerateOptions options;
  options.max_tokens = flags.n_predict < 0 ? 0 : static_cast<u32>(flags.n_predict);
  options.stop_at_end = !flags.ignore_eos;
  options.show_special = flags.show_special;
  options.digest = flags.digest || flags.json;
  options.speculate = flags.no_speculate ? Speculate::kOff : Speculate::kAuto;
  options.filter = filter;
  return options;
}

// The prompt as a user's message in the model's own template, by the same path as a turn of the
// REPL.
GenerateStats answer_chat(LoadedModel& model, const Generator& with, const RunFlags& flags,
                          const GenerateOptions& options, const std::string& prompt,
                          AnswerSink& sink, Session::Interrupt interrupt) {
  const u64 text_bytes = prompt.size() + u64{model.session().n_ctx()} * 16 + 64 * kKiB;
  Conversation& conversation =
      *expect(Conversation::create(with.scratch, text_bytes), "conversation", Stage::kRun);
  expect(conversation.set_system(to_str(flags.system)), "--system", Stage::kUsage);
  conversation.set_think(flags.think == "on"    ? ThinkRequest::kAsk
                         : flags.think == "off" ? ThinkRequest::kAvoid
                                                : ThinkRequest::kModel);
  const std::string now = local_time_text();
  conversation.set_now(to_str(now));
  Result<GenerateStats> stats = conversation.say(with, model.engine().chat_template(),
                                                 to_str(prompt), options, sink, interrupt);
  const Str note = conversation.take_note();
  if (!note.empty()) notice("warning: " + printable(note));
  if (!stats.ok() && stats.error().code == ErrorCode::kTemplate) {
    throw CommandError(ExitCode::kRuntime,
                       "the model's chat template refused: " + printable(conversation.exception()) +
                           " (--raw does without)");
  }
  return expect(std::move(stats), "prompt", Stage::kRun);
}

GenerateStats answer_raw(LoadedModel& model, const Generator& with, const RunFlags& flags,
                         const GenerateOptions& options, const std::string& prompt,
                         AnswerSink& sink, Session::Interrupt interrupt) {
  if (!flags.system.empty() || !flags.think.empty()) {
    throw CommandError(ExitCode::kUsage,
                       std::string(flags.system.empty() ? "--think" : "--system") +
                           " needs a chat template; this prompt is raw");
  }
  const std::vector<u32> ids =
      encode_text(model.tokenizer(), prompt, {.add_special = true, .parse_special = true});
  return expect(generate(with, {ids.data(), ids.size()}, options, sink, interrupt), "prompt",
                Stage::kRun);
}

Json describe_run(LoadedModel& model, const AnswerSink& sink, const GenerateStats& stats,
                  const SamplerParams& sampler) {
  const Span<const u32> evaluated = model.session().tokens();
  const usize n_prompt = std::min<usize>(stats.n_prompt, evaluated.size());
  Json out;
  out["text"] = sink.text();
  out["reasoning"] = sink.reasoning();
  out["stop_reason"] = to_string(stop_reason_name(stats.stop));
  out["prompt_ids"] = std::vector<u32>(evaluated.begin(), evaluated.begin() + n_prompt);
  out["output_ids"] = sink.ids();
  out["n_prompt"] = stats.n_prompt;
  out["n_output"] = stats.n_output;
  out["n_drafted"] = stats.n_drafted;
  out["n_accepted"] = stats.n_accepted;
  out["prefill_tok_s"] = stats.prefill_rate();
  out["decode_tok_s"] = stats.decode_rate();
  out["load_s"] = static_cast<f64>(model.load_us()) / 1e6;
  out["digest"] = stats.has_digest ? Json(to_string(to_hex(stats.digest).str())) : Json(nullptr);
  out["seed"] = sampler.seed;
  out["temperature"] = static_cast<f64>(sampler.temperature);
  model.add_circumstances(out);
  return out;
}

void print_stats(LoadedModel& model, const GenerateStats& stats, const SamplerParams& sampler) {
  notice(format("%u prompt tokens at %.1f tok/s, %u tokens at %.1f tok/s, context %u/%u, %s",
                stats.n_prompt, stats.prefill_rate(), stats.n_output, stats.decode_rate(),
                model.session().n_past(), model.session().n_ctx(),
                to_string(stop_reason_name(stats.stop)).c_str()) +
         (sampler.temperature > 0
              ? format(", seed %llu", static_cast<unsigned long long>(sampler.seed))
              : ""));
  if (stats.stop == StopReason::kContext)
    notice("the context is full: the answer ends early (enlarge -c)");
}

bool use_template(const RunFlags& flags, const Engine& engine) {
  if (flags.raw) return false;
  const bool is_chat = flags.chat || engine.has_own_template() || engine.template_is_broken();
  if (engine.template_is_broken()) {
    notice("warning: " + printable(engine.template_note()));
  } else if (!engine.has_own_template()) {
    notice(is_chat ? printable(engine.template_note())
                   : "the model brings no chat template; the prompt is taken as it is (--chat puts "
                     "it in a built-in one)");
  }
  return is_chat;
}

// Throws CommandError where flags contradict each other.
void check(const RunFlags& flags) {
  if (!flags.grammar.is_set()) return;
  if (flags.ignore_eos)
    throw CommandError(ExitCode::kUsage,
                       "--ignore-eos has no meaning with a grammar, which says "
                       "where an answer ends");
  const bool prompt_is_stdin =
      flags.prompt == "-" || (!flags.has_prompt && flags.prompt_path.empty());
  if (flags.grammar.reads_stdin() && (prompt_is_stdin || flags.prompt_path == "-"))
    throw CommandError(ExitCode::kUsage,
                       "the prompt and the grammar can not both be stdin: give one with -p TEXT");
}

ExitCode run(const RunFlags& flags) {
  check(flags);
  const std::string grammar_text = flags.grammar.is_set() ? checked_grammar(flags.grammar) : "";
  const std::string prompt = read_prompt(flags);
  SamplerParams params = flags.sampler;
  params.seed = flags.seed >= 0 ? static_cast<u64>(flags.seed) : std::random_device()();
  LoadedModel model(flags.model, {.hash_file = flags.json || flags.digest});
  ReservedMemory memory(kTurnMemory);
  Arena scratch(memory.span());
  Sampler& sampler =
      *expect(Sampler::create(scratch, model.config().n_vocab), "sampler", Stage::kRun);
  sampler.set_params(params);
  const Generator with{model.session(),
                       model.tokenizer(),
                       sampler,
                       model.clock(),
                       scratch,
                       model.kernels().sha256_blocks != nullptr ? model.kernels().sha256_blocks
                                                                : sha256_blocks_portable};
  const Session::Interrupt interrupt{[](void*) { return interrupt_pending(); }, nullptr};
  const bool shows_reasoning = flags.think.empty() ? isatty(STDOUT_FILENO) == 1
                                                   : flags.think == "dim" || flags.think == "on";
  AnswerSink sink(!flags.json, shows_reasoning);
  std::unique_ptr<AnswerGrammar> grammar;
  if (flags.grammar.is_set())
    grammar = std::make_unique<AnswerGrammar>(grammar_text, model.tokenizer());
  const GenerateOptions options = generate_options(flags, grammar ? &grammar->filter() : nullptr);
  const GenerateStats stats =
      use_template(flags, model.engine())
          ? answer_chat(model, with, flags, options, prompt, sink, interrupt)
          : answer_raw(model, with, flags, options, prompt, sink, interrupt);
  sink.finish();
  if (flags.json) {
    print_json(describe_run(model, sink, stats, params));
  } else if (flags.digest) {
    write_stdout("[digest] " + to_string(to_hex(stats.digest).str()) + "\n");
  }
  print_stats(model, stats, params);
  return stats.stop == StopReason::kInterrupted ? ExitCode::kInterrupted : ExitCode::kOk;
}

void declare_sampler_flags(CLI::App& app, RunFlags& flags) {
  SamplerParams& sampler = flags.sampler;
  app.add_option("--temp", sampler.temperature,
                 "temperature; 0 takes the likeliest token (default: 0.8)")
      ->check(CLI::Range(0.0, 100.0))
      ->type_name("T");
  app.add_option("--top-k", sampler.top_k, "the K likeliest tokens only; 0: all (default: 40)")
      ->type_name("K");
  app.add_option("--top-p", sampler.top_p,
                 "the likeliest tokens that make up P; 1: all (default: 0.95)")
      ->check(CLI::Range(0.0, 1.0))
      ->type_name("P");
  app.add_option("--min-p", sampler.min_p,
                 "at least P of the likeliest one's probability; 0: all (default: 0.05)")
      ->check(CLI::Range(0.0, 1.0))
      ->type_name("P");
  app.add_option("--repeat-penalty", sampler.repeat_penalty,
                 "make recent tokens less likely; 1: off (default: 1)")
      ->check(CLI::Range(0.01, 100.0))
      ->type_name("R");
  app.add_option("--repeat-last-n", sampler.repeat_last_n,
                 "how many recent tokens that looks at (default: 64)")
      ->check(CLI::Range(u32{0}, Sampler::kMaxRepeatLastN))
      ->type_name("N");
  app.add_option("-s,--seed", flags.seed,
                 "seed of the sampler; -1: drawn and reported (default: 0)")
      ->check(CLI::Range(i64{-1}, INT64_MAX))
      ->type_name("S");
}

Action declare(CLI::App& app) {
  auto flags = std::make_shared<RunFlags>();
  CLI::Option* prompt =
      app.add_option("-p,--prompt", flags->prompt, "the prompt; '-' or neither -p nor -f: stdin")
          ->type_name("TEXT");
  app.add_option("-f,--file", flags->prompt_path, "the prompt is in this file")
      ->excludes(prompt)
      ->type_name("FILE");
  app.add_option("--system,--system-prompt", flags->system, "system prompt of the template")
      ->type_name("TEXT");
  app.add_option("--think", flags->think,
                 "reasoning before the answer: dim shows it, on asks for it, hide, off asks for "
                 "none (default: dim on a terminal, else hide)")
      ->check(CLI::IsMember({"dim", "on", "hide", "off"}))
      ->type_name("MODE");
  CLI::Option* chat = app.add_flag("--chat", flags->chat,
                                   "apply the model's chat template (ChatML where it has none)");
  app.add_flag("--raw", flags->raw, "no template; text that spells special tokens becomes them")
      ->excludes(chat);
  app.add_option("-n,--predict,--n-predict", flags->n_predict,
                 "most tokens to answer; -1: no limit (default: -1)")
      ->check(CLI::Range(-1, INT32_MAX))
      ->check([](const std::string& n) {
        return n == "0" ? "0 tokens are no answer; lbm digest evaluates a prompt alone" : "";
      })
      ->type_name("N");
  declare_sampler_flags(app, *flags);
  declare_grammar_flags(app, flags->grammar);
  app.add_flag("--ignore-eos", flags->ignore_eos, "go on after the end of the answer");
  app.add_flag("--special", flags->show_special, "spell out control tokens in the text");
  app.add_flag("--digest", flags->digest,
               "print the run digest, a SHA-256 over tokens and logits, as the last line");
  app.add_flag(
      "--no-speculate", flags->no_speculate,
      "do not guess tokens ahead (the answer is the same, slower where text repeats itself)");
  app.add_flag("--json", flags->json, "one JSON object at the end instead of text");
  declare_model_flags(app, flags->model, kChatContextDefault);
  return [flags, prompt] {
    flags->has_prompt = prompt->count() != 0;
    return run(*flags);
  };
}

}  // namespace

const Command kRunCommand = {
    "run", "one prompt, one answer",
    "  lbm run -m model.gguf -p \"Why is the sky blue?\"\n"
    "  echo \"Why is the sky blue?\" | lbm run -m model.gguf -n 64 --temp 0\n"
    "  lbm run -m model.gguf --raw -p \"Once upon a time\" -n 100 --seed 7\n"
    "  lbm run -m model.gguf -p Hi --temp 0 --json | jq .digest",
    declare};

}  // namespace lbm::cli
