// See diagnostics.h; docs/web.md says what the members are.
#include "web/diagnostics.h"

#include "web/json_text.h"
#include "web/panic.h"

namespace lbm::web {
namespace {

Str state_name(ChatDesk::State state) {
  switch (state) {
    case ChatDesk::State::kIdle: return "idle";
    case ChatDesk::State::kPrompt: return "prompt";
    case ChatDesk::State::kAnswer: return "answer";
    case ChatDesk::State::kDone: return "done";
  }
  return "";
}

void write_model(TextWriter& out) {
  if (!has_model()) {
    out.append("null");
    return;
  }
  Engine& e = *engine();
  const ModelConfig& config = e.model().config;
  out.print("{{\"n_vocab\":{},\"n_layer\":{},\"n_ctx_train\":{},\"n_ctx\":{},\"n_past\":{}",
            config.n_vocab, config.n_layer, config.n_ctx_train, e.session().n_ctx(),
            e.session().n_past());
  out.print(",\"weight_bytes\":{},\"kv_bytes\":{},\"has_template\":{},\"template_note\":",
            e.weight_bytes(), e.kv_bytes(), json_bool(e.has_own_template()));
  write_json_text(out, e.template_note());
  out.print(",\"external\":{}", json_bool(e.session().is_external()));
  out.append(",\"tokenizer\":");
  write_json_text(out, e.tokenizer().model_name());
  out.append(",\"pretokenizer\":");
  write_json_text(out, e.tokenizer().pretokenizer_name());
  out.append(",\"sha256\":");
  write_json_text(out, to_hex(e.file_hash()).str());
  out.append("}");
}

void write_answer(TextWriter& out, const ChatDesk& desk) {
  const GenerateStats& stats = desk.stats();
  const bool done = desk.state() == ChatDesk::State::kDone;
  out.append("{\"state\":");
  write_json_text(out, state_name(desk.state()));
  out.print(",\"n_prompt\":{},\"n_prompt_done\":{},\"n_evaluated\":{},\"n_output\":{}",
            stats.n_prompt, desk.n_prompt_done(), stats.n_evaluated, stats.n_output);
  out.append(",\"stop\":");
  if (done) {
    write_json_text(out, stop_reason_name(stats.stop));
  } else {
    out.append("null");
  }
  out.append(",\"digest\":");
  if (done && stats.has_digest) {
    write_json_text(out, to_hex(stats.digest).str());
  } else {
    out.append("null");
  }
  out.append("}");
}

}  // namespace

void write_diagnostics(TextWriter& out, const DiagnosticsInput& input) {
  out.print("{{\"abi_version\":{},\"kernels\":", input.abi_version);
  write_json_text(out, engine() != nullptr ? Str(engine()->kernels().name) : Str());
  out.print(",\"n_thread\":{},\"bytes_free\":{},\"n_buffer\":{}", workers().n_worker(),
            memory().bytes_free(), input.n_buffer);
  out.print(
      ",\"gave_up_model\":{},\"load\":{{\"n_byte\":{},\"n_expected\":{},\"n_kept\":{}},\"model\":",
      json_bool(input.load.gave_up_model()), input.load.n_come(), input.load.size(),
      input.load.n_kept());
  write_model(out);
  out.append(",\"answer\":");
  if (input.desk.is_open()) {
    write_answer(out, input.desk);
  } else {
    out.append("null");
  }
  out.print(",\"error\":{{\"code\":{},\"message\":", last_code());
  write_json_text(out, last_message());
  out.print("},\"panicked\":{}}", json_bool(has_panicked()));
}

}  // namespace lbm::web
