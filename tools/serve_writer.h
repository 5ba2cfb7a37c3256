// Answers on their way to a client: collected, or as server-sent events while they come.
//
// Everything is written between two steps of the model, never within one: a client that reads
// slowly must not hold up the others.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "tools/serve_answer.h"
#include "tools/serve_error.h"
#include "tools/serve_model.h"
#include "tools/serve_server.h"
#include "tools/serve_tools.h"

namespace lbm::cli {

[[nodiscard]] Json usage_of(const GenerateStats& stats);
[[nodiscard]] Json timings_of(const GenerateStats& stats);
[[nodiscard]] i64 unix_time();

class AnswerWriter : public AnswerListener {
 public:
  AnswerWriter(Exchange& exchange, const AnswerRequest& request, int ping_s);

  void on_text(const std::string& text, const std::vector<TokenChance>& tokens) override;
  void on_reasoning(const std::string& text) override;
  void on_progress(u32 n_done, u32 n_prompt, u32 n_kept) override;
  [[nodiscard]] bool is_gone() override { return is_lost_ || exchange_.is_gone(); }
  void keep_alive() override;

  // One of the answers of a request, from its beginning to its end.
  virtual void begin_answer(u32 index);
  virtual void end_answer(const AnswerStats& stats) = 0;
  // All of them are there.
  void finish();
  // Something went wrong after the first piece was sent.
  void break_off(const ApiError& error);

 protected:
  // A piece of a stream; the texts were collected already.
  virtual void send_text(const std::string& text, const std::vector<TokenChance>& tokens) = 0;
  virtual void send_reasoning(const std::string& text) { static_cast<void>(text); }
  virtual void send_progress(const Json& progress) = 0;
  [[nodiscard]] virtual Json whole() = 0;
  virtual void end_stream() {}
  void send_event(const Json& value);
  void send_line(const std::string& line) { outgoing_ += "data: " + line + "\n\n"; }

  const AnswerRequest& request_;
  u32 index_ = 0;
  std::string text_;
  std::string reasoning_;
  std::vector<TokenChance> chances_;

 private:
  using Clock = std::chrono::steady_clock;
  void write_out();

  Exchange& exchange_;
  const int ping_s_;
  std::string outgoing_;
  Clock::time_point last_write_ = Clock::now();
  const Clock::time_point begun_ = Clock::now();
  bool is_lost_ = false;
};

// chat.completion and its chunks.
class ChatWriter final : public AnswerWriter {
 public:
  ChatWriter(Exchange& exchange, const ChatRequest& request, const ServeModel& model, int ping_s);

  void on_text(const std::string& text, const std::vector<TokenChance>& tokens) override;
  void begin_answer(u32 index) override;
  void end_answer(const AnswerStats& stats) override;

 private:
  void send_text(const std::string& text, const std::vector<TokenChance>& tokens) override;
  void send_reasoning(const std::string& text) override;
  void send_progress(const Json& progress) override;
  [[nodiscard]] Json whole() override;
  void end_stream() override;
  void begin_delta();
  void send_delta(const Json& delta, const Json& logprobs, const Json& reason);
  void take_calls();
  [[nodiscard]] Json logprobs_of(const std::vector<TokenChance>& tokens) const;

  const ChatRequest& chat_;
  const Tokenizer& tokenizer_;
  ToolCallFinder finder_;
  Json base_;
  Json choices_ = Json::array();
  Json calls_ = Json::array();
  GenerateStats total_;
  bool has_begun_ = false;
};

// text_completion, whole and in pieces.
class TextWriter final : public AnswerWriter {
 public:
  TextWriter(Exchange& exchange, const AnswerRequest& request, const ServeModel& model, int ping_s);

  void begin_answer(u32 index) override;
  void end_answer(const AnswerStats& stats) override;

 private:
  void send_text(const std::string& text, const std::vector<TokenChance>& tokens) override;
  void send_progress(const Json& progress) override;
  [[nodiscard]] Json whole() override;
  void end_stream() override;
  void send_piece(const std::string& text, const Json& logprobs, const Json& reason);
  [[nodiscard]] Json logprobs_of(const std::vector<TokenChance>& tokens, usize offset) const;

  const Tokenizer& tokenizer_;
  Json base_;
  Json choices_ = Json::array();
  GenerateStats total_;
  usize n_offset_ = 0;  // of the answer's tokens, in bytes
};

// The form of llama-server's /completion.
class NativeWriter final : public AnswerWriter {
 public:
  NativeWriter(Exchange& exchange, const AnswerRequest& request, const ServeModel& model,
               int ping_s);

  void end_answer(const AnswerStats& stats) override;

 private:
  void send_text(const std::string& text, const std::vector<TokenChance>& tokens) override;
  void send_progress(const Json& progress) override;
  [[nodiscard]] Json whole() override { return result_; }
  [[nodiscard]] Json probabilities_of(const std::vector<TokenChance>& tokens) const;

  const Tokenizer& tokenizer_;
  const std::string model_;
  Json result_;
};

}  // namespace lbm::cli
