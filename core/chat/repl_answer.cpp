// A turn of the conversation: what the settings say for it, the answer as it comes, and what is
// said about it afterwards. See repl_state.h.
#include "core/base/pcg32.h"
#include "core/chat/chat_message.h"
#include "core/chat/model_report.h"
#include "core/chat/repl_state.h"

namespace lbm {
namespace {

constexpr Str kDim = "\x1b[2m";
constexpr Str kNotDim = "\x1b[22m";
// A sign of life while reasoning is hidden: one dot for about so many tokens.
constexpr u32 kReasoningPerDot = 32;
constexpr u64 kStatusUs = 250'000;

ThinkRequest think_request(Str think) {
  if (think == "on") return ThinkRequest::kAsk;
  return think == "off" ? ThinkRequest::kAvoid : ThinkRequest::kModel;
}

}  // namespace

bool Repl::asked_to_stop(void* self) { return static_cast<Repl*>(self)->console_.take_interrupt(); }

void Repl::show_status(Str activity) {
  next_status_us_ = host_.clock().now_us() + kStatusUs;
  ConsoleStatus status;
  status.activity = activity;
  status.clock = host_.now();
  if (bytes_free_ == 0 || activity.empty()) bytes_free_ = host_.pages().bytes_free();
  status.bytes_free = bytes_free_;
  if (engine_->loaded()) {
    status.model = engine_->name();
    status.n_ctx_used = engine_->session().n_past();
    status.n_ctx = engine_->session().n_ctx();
  }
  const u64 us = host_.clock().now_us() - said_from_us_;
  if (in_answer_ && n_said_ > 1 && us > 0) {
    status.tok_s = static_cast<f64>(n_said_ - 1) * 1e6 / static_cast<f64>(us);
  } else if (has_stats_) {
    status.tok_s = stats_.decode_rate();
  }
  console_.show_status(status);
}

void Repl::on_notice(Str line) {
  out_.line("[context] {}", line);
  note_event(line);
}

void Repl::on_answer() {
  in_answer_ = true;
  n_said_ = 0;
  console_.write("AI: ");
  show_status("reading");
}

void Repl::on_token(u32) {
  if (n_said_++ == 0) said_from_us_ = host_.clock().now_us();
  if (n_said_ == 1 || host_.clock().now_us() >= next_status_us_) show_status("answering");
}

bool Repl::on_text(Str utf8) {
  end_reasoning();
  out_.text(utf8);
  return true;
}

bool Repl::on_reasoning(Str utf8) {
  const Str think = settings_.text(Setting::kThink);
  const bool is_shown = think == "dim" || think == "on";
  if (!in_reasoning_) {
    in_reasoning_ = true;
    n_reasoning_ = 0;
    console_.write(kDim);
    if (!is_shown) console_.write("(thinking ...");
  }
  if (is_shown) {
    out_.text(utf8);
  } else if (++n_reasoning_ % kReasoningPerDot == 0) {
    console_.write(".");
  }
  return true;
}

// Back to the looks of an answer, on a line of its own.
void Repl::end_reasoning() {
  if (!in_reasoning_) return;
  in_reasoning_ = false;
  const Str think = settings_.text(Setting::kThink);
  const bool is_shown = think == "dim" || think == "on";
  if (!is_shown) console_.write(")");
  console_.write(kNotDim);
  console_.write(is_shown ? "\n\n" : "\n");
}

GenerateOptions Repl::generate_options() const {
  GenerateOptions options;
  options.max_tokens = static_cast<u32>(settings_.integer(Setting::kMaxTokens));
  options.digest = settings_.flag(Setting::kDigest);
  options.loop_guard = static_cast<u32>(settings_.integer(Setting::kLoopGuard));
  options.filter = filter_;
  options.speculate =
      settings_.text(Setting::kSpeculate) == "off" ? Speculate::kOff : Speculate::kAuto;
  return options;
}

Generator Repl::generator() {
  return {engine_->session(), engine_->tokenizer(),  *sampler_,
          host_.clock(),      engine_->turn_arena(), engine_->kernels().sha256_blocks};
}

const ChatTemplate& Repl::chat_template() {
  return format_template_ != nullptr ? *format_template_ : engine_->chat_template();
}

u64 Repl::next_seed() {
  const i64 seed = settings_.integer(Setting::kSeed);
  return seed < 0 ? Pcg32(host_.clock().now_us(), 0).next() : static_cast<u64>(seed);
}

void Repl::prepare_answer(u64 seed) {
  seed_ = seed;
  SamplerParams params = settings_.sampler_params();
  params.seed = seed;
  sampler_->set_params(params);
  conversation_.set_now(host_.now());
  conversation_.set_think(think_request(settings_.text(Setting::kThink)));
  static_cast<void>(console_.take_interrupt());  // a key from before the question stops nothing
}

void Repl::answer(Str text) {
  prepare_answer(next_seed());
  end_answer(conversation_.say(generator(), chat_template(), text, generate_options(), *this,
                               {asked_to_stop, this}),
             false);
}

void Repl::answer_again(u64 seed) {
  prepare_answer(seed);
  end_answer(conversation_.say_again(generator(), chat_template(), generate_options(), *this,
                                     {asked_to_stop, this}),
             true);
}

void Repl::end_answer(const Result<GenerateStats>& stats, bool again) {
  end_reasoning();
  if (in_answer_) console_.write("\n");
  in_answer_ = false;
  print_note();
  if (!stats.ok()) {
    report_failure(stats.error(), again);
    return;
  }
  stats_ = stats.value();
  has_stats_ = true;
  report_answer(again);
  if (stats_.n_output != 0) keep_turn();
}

void Repl::print_note() {
  const Str note = conversation_.take_note();
  if (!note.empty()) out_.line("[template] WARNING: {}", note);
}

void Repl::report_answer(bool again) {
  const u32 n_used = engine_->session().n_past();
  const u32 n_ctx = engine_->session().n_ctx();
  TextBuffer<256> words;
  switch (stats_.stop) {
    case StopReason::kEndOfGeneration: break;
    case StopReason::kInterrupted:
      if (stats_.n_output != 0) {
        out_.line("(stopped)");
      } else {
        out_.line(again ? "(stopped before the answer began; the one that was there stays)"
                        : "(stopped before the answer began; the question was taken back, Up "
                          "brings it here)");
      }
      break;
    case StopReason::kLoop:
      if (stats_.loop_period == 1) {
        out_.print("(stopped: the answer says the same token over and over");
      } else {
        out_.print("(stopped: the answer says the same {} tokens over and over",
                   stats_.loop_period);
      }
      out_.line("; /regen tries another seed, /set loop_guard 0 lifts the guard)");
      break;
    case StopReason::kLength:
      out_.line("(stopped at max_tokens={}; /set max_tokens 0 lifts the limit)", stats_.n_output);
      break;
    case StopReason::kContext:
      out_.line("(stopped: the context of {} tokens is full)", n_ctx);
      out_.line("{}", way_out(fail(ErrorCode::kContextFull, ""), words));
      break;
  }
  if (host_.logs_for_programs() && settings_.integer(Setting::kVerbose) > 0) print_end_lines();
  if (settings_.flag(Setting::kStats)) print_stats_line();
  if (stats_.has_digest) out_.line("[digest] {}", to_hex(stats_.digest).str());
  if (stats_.stop != StopReason::kContext && u64{n_used} * 5 >= u64{n_ctx} * 4) {
    const bool stops = settings_.text(Setting::kOverflow) == "stop";
    out_.line("note: the context is {} % full ({}/{} tokens); {}", u64{n_used} * 100 / n_ctx,
              n_used, n_ctx,
              stops
                  ? "/reset starts anew, /set overflow drop_oldest goes on without the oldest turns"
                  : "the oldest turns will be left out, and named then");
  }
}

void Repl::report_failure(const Error& error, bool again) {
  if (error.code == ErrorCode::kCancelled) {
    out_.line("(stopped)");
  } else {
    out_.error(error);
  }
  if (error.code == ErrorCode::kTemplate && !conversation_.exception().empty()) {
    out_.line("  the model's template says: {}", conversation_.exception());
  }
  TextBuffer<256> words;
  const Str advice = way_out(error, words);
  if (error.code == ErrorCode::kContextFull && !advice.empty()) out_.line("  {}", advice);
  out_.line(again ? "  The answer that was there stays."
                  : "  The conversation is as it was before the question, which Up brings back.");
}

// How the answer ended, in the words of the prior system (docs/chat.md).
void Repl::print_end_lines() {
  Str reason = stop_reason_name(stats_.stop);
  switch (stats_.stop) {
    case StopReason::kEndOfGeneration: reason = "eos/bos"; break;
    case StopReason::kLength: reason = "max_tokens"; break;
    case StopReason::kContext: reason = "seq_len"; break;
    case StopReason::kInterrupted:
    case StopReason::kLoop: break;
  }
  const u32 pos = engine_->session().n_past();
  out_.line("[gen] tokens={}", stats_.n_output);
  out_.line("[stop] reason={} tok={} step={} pos={}", reason, stats_.n_output, stats_.n_decoded,
            pos);
  out_.line(
      "[obs] gen_end tokens={} reason={} step={} pos={} repeat_escape=0 loop_escape={} "
      "overrun_d=0",
      stats_.n_output, reason, stats_.n_decoded, pos, stats_.stop == StopReason::kLoop ? 1 : 0);
}

// One line for people and for scripts; the shape of its first part is fixed (docs/chat.md).
void Repl::print_stats_line() {
  out_.print(
      "[stats] tokens={} time_ms={} tok_s={:.3} prompt={} evaluated={} prefill_tok_s={:.3} "
      "context={}/{} stop={}",
      stats_.n_output, stats_.decode_us / 1000, stats_.decode_rate(), stats_.n_prompt,
      stats_.n_evaluated, stats_.prefill_rate(), engine_->session().n_past(),
      engine_->session().n_ctx(), stop_reason_name(stats_.stop));
  if (settings_.integer(Setting::kSeed) < 0) out_.print(" seed={}", seed_);
  out_.line("");
}

}  // namespace lbm
