// The C functions that pages call (docs/web.md): models in chunks, answers in steps, text to tokens
// and back. Their names, arguments and meanings change only with lbm_abi_version().
//
// Numbers are 32 bits. A status is an ErrorCode, 0 for success; lbm_message() says more. Addresses
// that JavaScript gives lie in buffers that it got here; text is UTF-8 with its length.
// An error changes nothing: the model that was accepted stays, and so does what was said.
#include "core/base/fmt.h"
#include "web/buffers.h"
#include "web/chat_desk.h"
#include "web/diagnostics.h"
#include "web/export.h"
#include "web/machine.h"

namespace lbm::web {
namespace {

constexpr u32 kAbiVersion = 1;

// What lbm_step() returns where it does not return a token.
constexpr i32 kStepEnd = -1;
constexpr i32 kStepPrompt = -2;    // a piece of the prompt was evaluated, or there is no token yet
constexpr i32 kFirstError = -100;  // minus an ErrorCode

constexpr u32 kReplaceModel = 1;  // flag of lbm_load_begin()
constexpr u32 kHashFile = 1;      // flag of lbm_load_commit()

constinit Buffers g_buffers;
constinit ChatDesk* g_desk = nullptr;
alignas(ChatDesk) constinit u8 g_desk_bytes[sizeof(ChatDesk)] = {};

// A file that comes in chunks, before it is a model.
constinit Span<u8> g_staged;
constinit u32 g_n_staged = 0;
constinit bool g_gave_up_model = false;  // the last load did, for room

constinit char g_diagnostics[4096] = {};
constinit u32 g_n_diagnostics = 0;

ChatDesk& desk() {
  if (g_desk == nullptr) g_desk = new (PlaceAt{g_desk_bytes}) ChatDesk;
  return *g_desk;
}

Status no_model() {
  return fail(ErrorCode::kInvalidArgument, "no model is loaded; load one first");
}

void drop_staged() {
  if (!g_staged.empty()) memory().give_back(g_staged);
  g_staged = {};
  g_n_staged = 0;
}

void drop_model() {
  desk().close();
  if (engine() != nullptr) engine()->unload();
}

Status begin_load(u32 n_byte, u32 flags) {
  if (n_byte == 0) return fail(ErrorCode::kInvalidArgument, "a model file of no bytes");
  drop_staged();
  g_gave_up_model = false;
  Result<Span<u8>> range = memory().take(n_byte, "model file");
  if (!range.ok() && has_model()) {
    if ((flags & kReplaceModel) == 0) {
      return fail(ErrorCode::kOutOfMemory,
                  "the file does not fit beside the loaded model; begin again, and allow to give "
                  "that one up")
          .with(n_byte, memory().largest_free());
    }
    drop_model();
    g_gave_up_model = true;
    Result<Span<u8>> again = memory().take(n_byte, "model file");
    if (!again.ok()) return again.error();
    g_staged = again.value().first(n_byte);
    return {};
  }
  if (!range.ok()) return range.error();
  g_staged = range.value().first(n_byte);
  return {};
}

Status add_to_load(const u8* at, u32 n_byte) {
  if (g_staged.empty()) return fail(ErrorCode::kInvalidArgument, "no load has begun");
  if (at == nullptr) return fail(ErrorCode::kInvalidArgument, "a chunk at address 0");
  const Result<Span<const u8>> chunk = g_buffers.bytes(at, n_byte);
  if (!chunk.ok()) return chunk.error();
  if (n_byte > g_staged.size() - g_n_staged) {
    return fail(ErrorCode::kLimit, "more bytes than the load began with")
        .with(u64{g_n_staged} + n_byte, g_staged.size());
  }
  __builtin_memcpy(g_staged.data() + g_n_staged, chunk.value().data(), n_byte);
  g_n_staged += n_byte;
  return {};
}

Status commit_load(const EngineOptions& options) {
  if (g_n_staged != g_staged.size() || g_staged.empty()) {
    return fail(ErrorCode::kTruncated, "not all bytes of the file have come")
        .with(g_n_staged, g_staged.size());
  }
  if (desk().is_open() && desk().is_answering())
    return fail(ErrorCode::kInvalidArgument, "an answer is being made; cancel it first");
  const KernelTable* tables[8];
  // The last table is the fastest; an engine that has one keeps it, with its model.
  if (engine() == nullptr) {
    if (const Status s = use_table(usable_tables(tables) - 1); !s.ok()) return s;
  }
  MemorySource source(g_staged);
  const bool had_model = has_model();
  const Status loaded = engine()->load(source, "model", options, nullptr);
  drop_staged();
  if (!loaded.ok()) {
    if (had_model && !has_model()) {
      desk().forget();
      g_gave_up_model = true;
    }
    return loaded;
  }
  desk().forget();
  const Status opened = desk().open(*engine());
  if (!opened.ok()) engine()->unload();
  return opened;
}

Status begin_answer(bool chat, const char* at, u32 n_byte, const u8* params_at) {
  if (!has_model() || !desk().is_open()) return no_model();
  if (at == nullptr) return fail(ErrorCode::kInvalidArgument, "a text at address 0");
  const Result<Str> text = g_buffers.text(at, n_byte);
  if (!text.ok()) return text.error();
  const Result<Span<const u8>> bytes = g_buffers.bytes(params_at, sizeof(AnswerParams));
  if (!bytes.ok()) return bytes.error();
  AnswerParams params;
  __builtin_memcpy(static_cast<void*>(&params), bytes.value().data(), sizeof(params));
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

i32 count_or_error(const Result<u32>& n) {
  if (n.ok()) {
    static_cast<void>(report({}));
    return static_cast<i32>(n.value());
  }
  return kFirstError - static_cast<i32>(report(n.error()));
}

Result<u32> encode(const char* at, u32 n_byte, u32 flags, u32* out, u32 n_out) {
  if (!has_model()) return no_model().error();
  const Result<Str> text = g_buffers.text(at, n_byte);
  if (!text.ok()) return text.error();
  const Result<Span<u32>> ids = g_buffers.words(out, n_out);
  if (!ids.ok()) return ids.error();
  Arena& scratch = engine()->turn_arena();
  const EncodeOptions options = {.add_special = (flags & 1) != 0,
                                 .parse_special = (flags & 2) != 0};
  return engine()->tokenizer().encode(text.value(), options, ids.value(), scratch);
}

Result<u32> decode(u32* ids_at, u32 n_id, u32 flags, u8* out, u32 n_out) {
  if (!has_model()) return no_model().error();
  const Result<Span<u32>> ids = g_buffers.words(ids_at, n_id);
  if (!ids.ok()) return ids.error();
  const Result<Span<u8>> room = g_buffers.bytes(out, n_out);
  if (!room.ok()) return room.error();
  const Span<char> text(reinterpret_cast<char*>(room.value().data()), room.value().size());
  const Result<Str> made =
      engine()->tokenizer().decode(ids.value(), (flags & 1) != 0, (flags & 2) != 0, text);
  if (!made.ok()) return made.error();
  return static_cast<u32>(made.value().size());
}

}  // namespace

LBM_EXPORT(lbm_abi_version) u32 lbm_abi_version() { return kAbiVersion; }

// The ErrorCode of the last call that had a status, 0 for none; its words are lbm_message().
LBM_EXPORT(lbm_error_code) u32 lbm_error_code() { return last_code(); }

// ---- buffers ------------------------------------------------------------------------------------

// 1 byte to 128 MiB; 0 where that can not be had. A buffer is given back with the capacity that was
// asked for.
LBM_EXPORT(lbm_buffer_new) u8* lbm_buffer_new(u32 n_byte) {
  const Result<u8*> made = g_buffers.add(memory(), n_byte);
  static_cast<void>(report(made.ok() ? Status() : made.error()));
  return made.ok() ? made.value() : nullptr;
}
LBM_EXPORT(lbm_buffer_free) u32 lbm_buffer_free(u8* at, u32 n_byte) {
  return report(g_buffers.remove(memory(), at, n_byte));
}

// ---- models -------------------------------------------------------------------------------------

// A file of n_byte bytes will come. flags: 1, the loaded model may be given up where the file does
// not fit beside it; without, that is kOutOfMemory. Forgets a load that was not committed.
LBM_EXPORT(lbm_load_begin) u32 lbm_load_begin(u32 n_byte, u32 flags) {
  return report(begin_load(n_byte, flags));
}
// The next bytes of the file, out of a buffer.
LBM_EXPORT(lbm_load_write) u32 lbm_load_write(const u8* at, u32 n_byte) {
  return report(add_to_load(at, n_byte));
}
// Checks the file and makes it the model. n_ctx 0: the default. kv: a number of KvType. flags: 1,
// hash the file. After an error the model from before is still there, unless the diagnostics say
// gave_up_model.
LBM_EXPORT(lbm_load_commit) u32 lbm_load_commit(u32 n_ctx, u32 n_batch, u32 kv, u32 flags) {
  if (kv >= kKvTypeLimit)
    return report(fail(ErrorCode::kInvalidArgument, "there is no such KV type").with(kv));
  EngineOptions options;
  options.n_ctx = n_ctx;
  if (n_batch != 0) options.n_batch = n_batch;
  options.kv = static_cast<KvType>(kv);
  options.hash_file = (flags & kHashFile) != 0;
  return report(commit_load(options));
}
LBM_EXPORT(lbm_load_abort) void lbm_load_abort() { drop_staged(); }
LBM_EXPORT(lbm_model_free) void lbm_model_free() { drop_model(); }

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
  const Result<Str> text = g_buffers.text(at, n_byte);
  return report(text.ok() ? chat.value()->set_system(text.value()) : text.error());
}
LBM_EXPORT(lbm_chat_turn)
u32 lbm_chat_turn(const char* question, u32 n_question, const char* answer, u32 n_answer) {
  const Result<Conversation*> chat = conversation();
  if (!chat.ok()) return report(chat.error());
  const Result<Str> asked = g_buffers.text(question, n_question);
  if (!asked.ok()) return report(asked.error());
  const Result<Str> said = g_buffers.text(answer, n_answer);
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
  if (!has_model()) return report(no_model());
  desk().cancel();
  desk().forget_answer();
  static_cast<void>(lbm_chat_clear());
  return report(engine()->session().rewind(0));
}

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

// ---- tokens -------------------------------------------------------------------------------------

// Ids of a text into `out`; how many, or below 0 as lbm_step(). flags: 1, add BOS and EOS as the
// model asks; 2, text that spells a control token is one. lbm_max_ids() is room enough.
LBM_EXPORT(lbm_encode)
i32 lbm_encode(const char* text, u32 n_byte, u32 flags, u32* out, u32 n_out) {
  return count_or_error(encode(text, n_byte, flags, out, n_out));
}
LBM_EXPORT(lbm_max_ids) u32 lbm_max_ids(u32 n_byte) {
  const u64 n = has_model() ? engine()->tokenizer().max_ids(n_byte) : 0;
  return n < ~u32{0} ? static_cast<u32>(n) : ~u32{0};
}
// The text of ids into `out`; its bytes, or below 0 as lbm_step(). flags: 1, control tokens by
// their spelling; 2, the ids begin a text.
LBM_EXPORT(lbm_decode) i32 lbm_decode(u32* ids, u32 n_id, u32 flags, u8* out, u32 n_out) {
  return count_or_error(decode(ids, n_id, flags, out, n_out));
}
// Bytes that a token has at most.
LBM_EXPORT(lbm_max_piece) u32 lbm_max_piece() {
  return has_model() ? engine()->tokenizer().max_piece_bytes() : 0;
}

// ---- what is going on ---------------------------------------------------------------------------

// One JSON object (docs/web.md); lbm_diagnostics_size() bytes, until the next call.
LBM_EXPORT(lbm_diagnostics) const char* lbm_diagnostics() {
  TextWriter out(g_diagnostics);
  write_diagnostics(
      out, {kAbiVersion, desk(), g_buffers.size(), g_gave_up_model, g_n_staged, g_staged.size()});
  g_n_diagnostics = static_cast<u32>(out.text().size());
  return g_diagnostics;
}
LBM_EXPORT(lbm_diagnostics_size) u32 lbm_diagnostics_size() { return g_n_diagnostics; }

}  // namespace lbm::web
