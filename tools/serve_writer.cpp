// What all answers have in common, and the form of /completion. See serve_writer.h.
#include "tools/serve_writer.h"

#include <algorithm>
#include <ctime>

#include "tools/model_reader.h"

namespace lbm::cli {

Json usage_of(const GenerateStats& stats) {
  Json out;
  out["prompt_tokens"] = stats.n_prompt;
  out["completion_tokens"] = stats.n_output;
  out["total_tokens"] = stats.n_prompt + stats.n_output;
  out["prompt_tokens_details"]["cached_tokens"] =
      stats.n_prompt - std::min(stats.n_prompt, stats.n_evaluated);
  return out;
}

Json timings_of(const GenerateStats& stats) {
  const f64 predicted_ms = static_cast<f64>(stats.decode_us) / 1e3;
  Json out;
  out["cache_n"] = stats.n_prompt - std::min(stats.n_prompt, stats.n_evaluated);
  out["prompt_n"] = stats.n_evaluated;
  out["prompt_ms"] = static_cast<f64>(stats.prefill_us) / 1e3;
  out["prompt_per_second"] = stats.prefill_rate();
  out["predicted_n"] = stats.n_output;
  out["predicted_ms"] = predicted_ms;
  out["predicted_per_second"] = stats.decode_rate();
  return out;
}

i64 unix_time() { return static_cast<i64>(std::time(nullptr)); }

AnswerWriter::AnswerWriter(Exchange& exchange, const AnswerRequest& request, int ping_s)
    : request_(request), exchange_(exchange), ping_s_(ping_s) {}

void AnswerWriter::begin_answer(u32 index) {
  index_ = index;
  text_.clear();
  reasoning_.clear();
  chances_.clear();
}

void AnswerWriter::on_text(const std::string& text, const std::vector<TokenChance>& tokens) {
  if (request_.stream) {
    send_text(text, tokens);
  } else {
    text_ += text;
    chances_.insert(chances_.end(), tokens.begin(), tokens.end());
  }
}

void AnswerWriter::on_reasoning(const std::string& text) {
  if (request_.stream) {
    send_reasoning(text);
  } else {
    reasoning_ += text;
  }
}

void AnswerWriter::on_progress(u32 n_done, u32 n_prompt, u32 n_kept) {
  if (!request_.stream || !request_.return_progress) return;
  const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - begun_);
  send_progress(
      {{"total", n_prompt}, {"cache", n_kept}, {"processed", n_done}, {"time_ms", ms.count()}});
}

void AnswerWriter::keep_alive() {
  if (!request_.stream || is_lost_) return;
  const bool is_quiet = ping_s_ > 0 && Clock::now() - last_write_ >= std::chrono::seconds(ping_s_);
  if (outgoing_.empty() && is_quiet) outgoing_ = ": still at work\n\n";
  if (!outgoing_.empty()) write_out();
}

void AnswerWriter::write_out() {
  if (!exchange_.is_begun()) is_lost_ = !exchange_.begin_stream("text/event-stream");
  is_lost_ = is_lost_ || !exchange_.write(outgoing_);
  outgoing_.clear();
  last_write_ = Clock::now();
}

void AnswerWriter::send_event(const Json& value) {
  outgoing_ += "data: " + json_line(value) + "\n";
}

void AnswerWriter::finish() {
  if (!request_.stream) {
    exchange_.send(200, "application/json", json_line(whole()));
    return;
  }
  end_stream();
  write_out();
  exchange_.end_stream();
}

void AnswerWriter::break_off(const ApiError& error) {
  Json out;
  out["error"] = {{"message", error.what()}, {"type", "server_error"}, {"code", error.code()}};
  send_event(out);
  write_out();
}

// ---- /completion --------------------------------------------------------------------------------

NativeWriter::NativeWriter(Exchange& exchange, const AnswerRequest& request,
                           const ServeModel& model, int ping_s)
    : AnswerWriter(exchange, request, ping_s), tokenizer_(model.tokenizer()), model_(model.id()) {}

Json NativeWriter::probabilities_of(const std::vector<TokenChance>& tokens) const {
  Json out = Json::array();
  for (const TokenChance& token : tokens) {
    Json one = {{"id", token.id},
                {"token", decode_ids(tokenizer_, {token.id})},
                {"logprob", token.logprob}};
    one["top_logprobs"] = Json::array();
    for (const auto& [id, logprob] : token.top) {
      one["top_logprobs"].push_back(
          {{"id", id}, {"token", decode_ids(tokenizer_, {id})}, {"logprob", logprob}});
    }
    out.push_back(one);
  }
  return out;
}

void NativeWriter::send_text(const std::string& text, const std::vector<TokenChance>& tokens) {
  Json out = {{"index", 0}, {"content", text}, {"stop", false}};
  if (request_.logprobs) out["completion_probabilities"] = probabilities_of(tokens);
  send_event(out);
}

void NativeWriter::send_progress(const Json& progress) {
  send_event({{"index", 0}, {"content", ""}, {"stop", false}, {"prompt_progress", progress}});
}

void NativeWriter::end_answer(const AnswerStats& stats) {
  const GenerateStats& s = stats.generate;
  const bool is_limit = s.stop == StopReason::kLength || s.stop == StopReason::kContext;
  result_ = {{"index", 0}, {"content", text_}, {"stop", true}, {"model", model_}};
  result_["tokens_predicted"] = s.n_output;
  result_["tokens_evaluated"] = s.n_prompt;
  result_["tokens_cached"] = s.n_prompt - std::min(s.n_prompt, s.n_evaluated);
  result_["truncated"] = s.stop == StopReason::kContext;
  result_["stop_type"] = !stats.stop.empty() ? "word" : is_limit ? "limit" : "eos";
  result_["stopping_word"] = stats.stop;
  if (request_.logprobs && !request_.stream)
    result_["completion_probabilities"] = probabilities_of(chances_);
  result_["timings"] = timings_of(s);
  if (request_.stream) send_event(result_);
}

}  // namespace lbm::cli
