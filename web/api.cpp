// The C functions that pages call (docs/web.md): models in chunks, answers in steps; those of text
// and tokens are in api_tokens.cpp. Their names, arguments and meanings change only with
// lbm_abi_version().
//
// Numbers are 32 bits. A status is an ErrorCode, 0 for success; lbm_message() says more. Addresses
// that JavaScript gives lie in buffers that it got here; text is UTF-8 with its length.
// An error changes nothing: the model that was accepted stays, and so does what was said.
#include "core/base/fmt.h"
#include "web/api_state.h"
#include "web/diagnostics.h"
#include "web/export.h"
#include "web/model_description.h"

namespace lbm::web {
namespace {

constexpr u32 kAbiVersion = 2;

// What lbm_step() returns where it does not return a token.
constexpr i32 kStepEnd = -1;
constexpr i32 kStepPrompt = -2;    // a piece of the prompt was evaluated, or there is no token yet
constexpr i32 kStepEvaluate = -3;  // tokens have to be evaluated elsewhere, and nothing happened

constinit char g_diagnostics[4096] = {};
constinit u32 g_n_diagnostics = 0;

// Of the loaded model, made when it is asked for.
constinit Span<u8> g_description;
constinit u32 g_n_description = 0;

void drop_description() {
  if (!g_description.empty()) memory().give_back(g_description);
  g_description = {};
  g_n_description = 0;
}

void drop_model() {
  drop_description();
  desk().close();
  if (engine() != nullptr) engine()->unload();
}

Status begin_load(u64 n_byte, const u8* params_at) {
  const Result<LoadParams> params = record_at<LoadParams>(params_at);
  return params.ok() ? model_load().begin(n_byte, params.value()) : Status(params.error());
}

Status write_load(const u8* at, u32 n_byte) {
  if (at == nullptr) return fail(ErrorCode::kInvalidArgument, "a chunk at address 0");
  const Result<Span<const u8>> chunk = buffers().bytes(at, n_byte);
  return chunk.ok() ? model_load().write(chunk.value()) : Status(chunk.error());
}

// In as much memory as it takes: what an object with 20,000 experts needs is known afterwards.
Status describe() {
  constexpr u64 kFirstBytes = 256 * kKiB;
  constexpr u64 kMostBytes = 256 * kMiB;
  drop_description();
  if (!has_model()) return no_model();
  if (engine()->placements().empty())
    return fail(ErrorCode::kUnsupported, "a tokenizer alone has no weights to describe");
  if (engine()->file().is_translated()) {
    return fail(ErrorCode::kUnsupported,
                "the weights of this file are translated while they are read; convert it to GGUF");
  }
  for (u64 n_byte = kFirstBytes; n_byte <= kMostBytes; n_byte *= 4) {
    const Result<Span<u8>> room = memory().take(n_byte, "model description");
    if (!room.ok()) return room.error();
    TextWriter out({reinterpret_cast<char*>(room.value().data()), room.value().size()});
    write_model_description(out, *engine());
    if (!out.truncated()) {
      g_description = room.value();
      g_n_description = static_cast<u32>(out.text().size());
      return {};
    }
    memory().give_back(room.value());
  }
  return fail(ErrorCode::kLimit, "the description of the model is too long").with(kMostBytes);
}

Status begin_answer(bool chat, const char* at, u32 n_byte, const u8* params_at) {
  if (!has_model() || !desk().is_open()) return no_model();
  if (at == nullptr) return fail(ErrorCode::kInvalidArgument, "a text at address 0");
  const Result<Str> text = buffers().text(at, n_byte);
  if (!text.ok()) return text.error();
  const Result<AnswerParams> record = record_at<AnswerParams>(params_at);
  if (!record.ok()) return record.error();
  const AnswerParams& params = record.value();
  return chat ? desk().begin_chat(text.value(), params) : desk().begin_raw(text.value(), params);
}

// The conversation, when it may be changed.
Result<Conversation*> conversation() {
  if (!desk().is_open()) return no_model().error();
  if (desk().is_answering()) {
    return fail(ErrorCode::kInvalidArgument, "an answer is being made; cancel it first");
  }
  return &desk().conversation();
}

}  // namespace

LBM_EXPORT(lbm_abi_version) u32 lbm_abi_version() { return kAbiVersion; }

// The ErrorCode of the last call that had a status, 0 for none; its words are lbm_message().
LBM_EXPORT(lbm_error_code) u32 lbm_error_code() { return last_code(); }

// ---- buffers ------------------------------------------------------------------------------------

// 1 byte to 128 MiB; 0 where that can not be had. A buffer is given back with the capacity that was
// asked for.
LBM_EXPORT(lbm_buffer_new) u8* lbm_buffer_new(u32 n_byte) {
  const Result<u8*> made = buffers().add(memory(), n_byte);
  static_cast<void>(report(made.ok() ? Status() : made.error()));
  return made.ok() ? made.value() : nullptr;
}
LBM_EXPORT(lbm_buffer_free) u32 lbm_buffer_free(u8* at, u32 n_byte) {
  return report(buffers().remove(memory(), at, n_byte));
}

// ---- models -------------------------------------------------------------------------------------

// A file will come; its size has 64 bits. `params`: a LoadParams (model_load.h). Forgets a load
// that was not committed.
LBM_EXPORT(lbm_load_begin) u32 lbm_load_begin(u32 size_low, u32 size_high, const u8* params) {
  return report(begin_load(u64{size_high} << 32 | size_low, params));
}
// The next bytes of the file, out of a buffer. What they show to be wrong is told here, and ends
// the load. After an error the model from before is still there, unless the diagnostics say
// gave_up_model.
LBM_EXPORT(lbm_load_write) u32 lbm_load_write(const u8* at, u32 n_byte) {
  return report(write_load(at, n_byte));
}
// 1 where lbm_load_commit() has all it needs: the file, or as much of it as describes the model
// where no more was asked for.
LBM_EXPORT(lbm_load_ready) u32 lbm_load_ready() { return model_load().is_ready() ? 1 : 0; }
// Makes it the model.
LBM_EXPORT(lbm_load_commit) u32 lbm_load_commit() {
  const Status status = model_load().commit();
  if (status.ok()) drop_description();
  return report(status);
}
LBM_EXPORT(lbm_load_abort) void lbm_load_abort() { model_load().abort(); }
LBM_EXPORT(lbm_model_free) void lbm_model_free() { drop_model(); }

// One JSON object (model_description.h); lbm_model_description_size() bytes, until the model goes.
// 0 after an error.
LBM_EXPORT(lbm_model_description) const u8* lbm_model_description() {
  return report(describe()) == 0 ? g_description.data() : nullptr;
}
LBM_EXPORT(lbm_model_description_size) u32 lbm_model_description_size() { return g_n_description; }

// ---- answers ------------------------------------------------------------------------------------

// The conversation that lbm_chat_begin() goes on with: forget it, set its system prompt, add a turn
// that was had before.
LBM_EXPORT(lbm_chat_clear) u32 lbm_chat_clear() {
  const Result<Conversation*> chat = conversation();
  if (!chat.ok()) return report(chat.error());
  chat.value()->reset();
  return report(chat.value()->set_system({}));
}
LBM_EXPORT(lbm_chat_system) u32 lbm_chat_system(const char* at, u32 n_byte) {
  const Result<Conversation*> chat = conversation();
  if (!chat.ok()) return report(chat.error());
  const Result<Str> text = buffers().text(at, n_byte);
  return report(text.ok() ? chat.value()->set_system(text.value()) : text.error());
}
LBM_EXPORT(lbm_chat_turn)
u32 lbm_chat_turn(const char* question, u32 n_question, const char* answer, u32 n_answer) {
  const Result<Conversation*> chat = conversation();
  if (!chat.ok()) return report(chat.error());
  const Result<Str> asked = buffers().text(question, n_question);
  if (!asked.ok()) return report(asked.error());
  const Result<Str> said = buffers().text(answer, n_answer);
  if (!said.ok()) return report(said.error());
  return report(chat.value()->add_turn(asked.value(), said.value(), {}, true));
}

// Begins an answer to the next question of the conversation, or to a text as it is. `params`: an
// AnswerParams (chat_desk.h).
LBM_EXPORT(lbm_chat_begin)
u32 lbm_chat_begin(const char* question, u32 n_byte, const u8* params) {
  return report(begin_answer(true, question, n_byte, params));
}
LBM_EXPORT(lbm_raw_begin) u32 lbm_raw_begin(const char* prompt, u32 n_byte, const u8* params) {
  return report(begin_answer(false, prompt, n_byte, params));
}
// Some of the prompt, or one token: its id, or one of the numbers above.
LBM_EXPORT(lbm_step) i32 lbm_step() {
  if (desk().is_open() && desk().state() == ChatDesk::State::kDone) {
    static_cast<void>(report({}));
    return kStepEnd;
  }
  if (desk().is_open() && desk().needs_evaluation()) {
    static_cast<void>(report({}));
    return kStepEvaluate;
  }
  const Status status = desk().is_open() ? desk().step() : no_model();
  if (!status.ok()) return kFirstError - static_cast<i32>(report(status));
  static_cast<void>(report({}));
  if (desk().has_new_token()) return static_cast<i32>(desk().newest_token());
  return desk().state() == ChatDesk::State::kDone ? kStepEnd : kStepPrompt;
}
LBM_EXPORT(lbm_cancel) u32 lbm_cancel() {
  if (desk().is_open()) desk().cancel();
  return report({});
}
// Forgets the conversation, the answer and what was evaluated; keeps the model.
LBM_EXPORT(lbm_reset) u32 lbm_reset() {
  if (!has_model() || !desk().is_open()) return report(no_model());
  desk().cancel();
  desk().forget_answer();
  static_cast<void>(lbm_chat_clear());
  return report(engine()->session().rewind(0));
}

// ---- evaluation elsewhere -----------------------------------------------------------------------

// After lbm_step() has returned -3: the tokens to evaluate behind the first lbm_eval_past() ones of
// the context (what was evaluated beyond them is forgotten).
LBM_EXPORT(lbm_eval_tokens) const u32* lbm_eval_tokens() {
  return desk().is_open() ? desk().eval_tokens().data() : nullptr;
}
LBM_EXPORT(lbm_eval_size) u32 lbm_eval_size() {
  return desk().is_open() ? static_cast<u32>(desk().eval_tokens().size()) : 0;
}
LBM_EXPORT(lbm_eval_past) u32 lbm_eval_past() { return desk().is_open() ? desk().eval_past() : 0; }
// What of the logits of the last one is wanted: 0, nothing; 0xffffffff, all; k, at least the k best
// tokens.
LBM_EXPORT(lbm_eval_wants) u32 lbm_eval_wants() {
  return desk().is_open() ? desk().eval_wants() : 0;
}
LBM_EXPORT(lbm_n_vocab) u32 lbm_n_vocab() {
  return has_model() ? engine()->model().config.n_vocab : 0;
}
// Where to write f32 [n_vocab]; 0 where the model has weights.
LBM_EXPORT(lbm_eval_logits) f32* lbm_eval_logits() {
  return desk().is_open() ? desk().eval_logits() : nullptr;
}
// Where to write n ids and behind them their n logits instead, the best first, of equal ones the
// lower id; 0 after an error.
LBM_EXPORT(lbm_eval_candidates) u32* lbm_eval_candidates(u32 n) {
  const Result<u32*> at = desk().is_open() ? desk().eval_candidates(n) : no_model().error();
  static_cast<void>(report(at.ok() ? Status() : at.error()));
  return at.ok() ? at.value() : nullptr;
}
// It was evaluated and written; the next lbm_step() goes on.
LBM_EXPORT(lbm_eval_done) u32 lbm_eval_done() {
  return report(desk().is_open() ? desk().eval_done() : no_model());
}

// ---- what was said ------------------------------------------------------------------------------

// The text of the answer so far, and its reasoning, which models that reason write before it.
LBM_EXPORT(lbm_text) const char* lbm_text() {
  return desk().is_open() ? desk().text().data() : nullptr;
}
LBM_EXPORT(lbm_text_size) u32 lbm_text_size() {
  return desk().is_open() ? static_cast<u32>(desk().text().size()) : 0;
}
LBM_EXPORT(lbm_reasoning) const char* lbm_reasoning() {
  return desk().is_open() ? desk().reasoning().data() : nullptr;
}
LBM_EXPORT(lbm_reasoning_size) u32 lbm_reasoning_size() {
  return desk().is_open() ? static_cast<u32>(desk().reasoning().size()) : 0;
}

// ---- what is going on ---------------------------------------------------------------------------

// One JSON object (docs/web.md); lbm_diagnostics_size() bytes, until the next call.
LBM_EXPORT(lbm_diagnostics) const char* lbm_diagnostics() {
  TextWriter out(g_diagnostics);
  write_diagnostics(out, {kAbiVersion, desk(), model_load(), buffers().size()});
  g_n_diagnostics = static_cast<u32>(out.text().size());
  return g_diagnostics;
}
LBM_EXPORT(lbm_diagnostics_size) u32 lbm_diagnostics_size() { return g_n_diagnostics; }

}  // namespace lbm::web
