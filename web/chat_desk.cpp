// See chat_desk.h.
#include "web/chat_desk.h"

namespace lbm::web {
namespace {

constexpr u64 kTextBytesPerToken = 16;
constexpr u64 kMinTextBytes = 64 * kKiB;
// What a sampler keeps for a token of the vocabulary, and for its history.
constexpr u64 kSamplerBytesPerToken = sizeof(f32) + sizeof(u32) + sizeof(f64);
constexpr u64 kRoundingBytes = 64 * kKiB;

// False for a NaN too.
bool within(f32 value, f32 low, f32 high) { return value >= low && value <= high; }

Status out_of_range(const char* setting) {
  return fail(ErrorCode::kBadValue, "out of range").about(setting);
}

}  // namespace

Status AnswerParams::check(u32 n_vocab) const {
  constexpr f32 kLargest = 1e6f;
  if (n_byte != sizeof(AnswerParams))
    return fail(ErrorCode::kInvalidArgument, "settings of another size")
        .with(n_byte, sizeof(AnswerParams));
  if (!within(temperature, 0, kLargest)) return out_of_range("temperature");
  if (top_k > n_vocab) return out_of_range("top_k");
  if (!within(top_p, 0, 1) || !(top_p > 0)) return out_of_range("top_p");
  if (!within(min_p, 0, 1)) return out_of_range("min_p");
  if (!within(repeat_penalty, 0, kLargest) || !(repeat_penalty > 0))
    return out_of_range("repeat_penalty");
  if (repeat_last_n > Sampler::kMaxRepeatLastN) return out_of_range("repeat_last_n");
  if (no_repeat_ngram > Sampler::kMaxNgram) return out_of_range("no_repeat_ngram");
  if ((flags & ~kAllFlags) != 0) return out_of_range("flags");
  return {};
}

Status ChatDesk::open(Engine& engine) {
  close();
  const u64 text_bytes = engine.session().n_ctx() * kTextBytesPerToken + kMinTextBytes;
  const u64 n_byte = Conversation::bytes_needed(text_bytes) + 2 * text_bytes +
                     engine.model().config.n_vocab * kSamplerBytesPerToken +
                     Sampler::kMaxRepeatLastN * sizeof(u32) + kRoundingBytes;
  const Result<Span<u8>> range = memory().take(n_byte, "conversation and sampler");
  if (!range.ok()) return range.error();
  range_ = range.value();
  memory_.reset();
  memory_.drop_ranges();
  static_cast<void>(memory_.add_range(range_));
  engine_ = &engine;
  const Status made = make_parts();
  if (!made.ok()) close();
  return made;
}

Status ChatDesk::make_parts() {
  const u64 text_bytes = engine_->session().n_ctx() * kTextBytesPerToken + kMinTextBytes;
  const Result<Sampler*> sampler = Sampler::create(memory_, engine_->model().config.n_vocab);
  if (!sampler.ok()) return sampler.error();
  sampler_ = sampler.value();
  const Result<Conversation*> conversation = Conversation::create(memory_, text_bytes);
  if (!conversation.ok()) return conversation.error();
  conversation_ = conversation.value();
  TextWriter** const writers[] = {&text_, &reasoning_};
  for (TextWriter** const writer : writers) {
    const Result<Span<char>> room = memory_.take<char>(text_bytes, "text of an answer");
    if (!room.ok()) return room.error();
    const Result<TextWriter*> made = memory_.make<TextWriter>("text of an answer", room.value());
    if (!made.ok()) return made.error();
    *writer = made.value();
  }
  return {};
}

void ChatDesk::close() {
  if (engine_ == nullptr) return;
  cancel();
  forget();
}

void ChatDesk::forget() {
  if (engine_ == nullptr) return;
  memory().give_back(range_);
  memory_.drop_ranges();
  range_ = {};
  engine_ = nullptr;
  sampler_ = nullptr;
  conversation_ = nullptr;
  text_ = reasoning_ = nullptr;
  state_ = State::kIdle;
  stats_ = {};
}

Generator ChatDesk::generator() {
  return {engine_->session(),
          engine_->tokenizer(),
          *sampler_,
          clock_,
          engine_->turn_arena(),
          engine_->kernels().sha256_blocks};
}

Status ChatDesk::prepare(const AnswerParams& params) {
  if (generation_ != nullptr)
    return fail(ErrorCode::kInvalidArgument, "an answer is being made; cancel it first");
  if (const Status s = params.check(engine_->model().config.n_vocab); !s.ok()) return s;
  SamplerParams sampler;
  sampler.temperature = params.temperature;
  sampler.top_k = params.top_k;
  sampler.top_p = params.top_p;
  sampler.min_p = params.min_p;
  sampler.repeat_penalty = params.repeat_penalty;
  sampler.repeat_last_n = params.repeat_last_n;
  sampler.no_repeat_ngram = params.no_repeat_ngram;
  sampler.seed = u64{params.seed_high} << 32 | params.seed_low;
  sampler_->set_params(sampler);
  options_ = {};
  options_.max_tokens = params.max_tokens;
  options_.digest = (params.flags & AnswerParams::kDigest) != 0;
  options_.stop_at_end = (params.flags & AnswerParams::kIgnoreEnd) == 0;
  options_.show_special = (params.flags & AnswerParams::kShowSpecial) != 0;
  const bool speculates = (params.flags & AnswerParams::kSpeculate) != 0 && !is_external();
  options_.speculate = speculates ? Speculate::kAlways : Speculate::kOff;
  forget_answer();
  return {};
}

void ChatDesk::forget_answer() {
  text_->clear();
  reasoning_->clear();
  state_ = State::kIdle;
  stats_ = {};
  has_new_ = false;
  was_evaluated_ = false;
  n_candidate_ = 0;
}

Status ChatDesk::begin_raw(Str prompt, const AnswerParams& params) {
  if (const Status s = prepare(params); !s.ok()) return s;
  Arena& scratch = engine_->turn_arena();
  const Tokenizer& tokenizer = engine_->tokenizer();
  before_ = scratch.mark();
  const auto begin = [&]() -> Status {
    const Result<Span<u32>> ids =
        scratch.take<u32>(tokenizer.max_ids(prompt.size()), "token ids of the prompt");
    if (!ids.ok()) return ids.error();
    const bool parses = (params.flags & AnswerParams::kParseSpecial) != 0;
    const Result<u32> n = tokenizer.encode(prompt, {.add_special = true, .parse_special = parses},
                                           ids.value(), scratch);
    if (!n.ok()) return n.error();
    const Result<Generation*> made = scratch.make<Generation>(
        "answer in the making", generator(), options_, static_cast<GenerateSink&>(*this));
    if (!made.ok()) return made.error();
    if (const Status s = made.value()->begin(ids.value().first(n.value())); !s.ok()) return s;
    generation_ = made.value();
    return {};
  };
  const Status begun = begin();
  if (!begun.ok()) {
    scratch.rewind(before_);
    return begun;
  }
  is_chat_ = false;
  state_ = State::kPrompt;
  return {};
}

Status ChatDesk::begin_chat(Str question, const AnswerParams& params) {
  if (const Status s = prepare(params); !s.ok()) return s;
  const Result<Generation*> begun =
      conversation_->begin_say(generator(), engine_->chat_template(), question, options_, *this);
  if (!begun.ok()) return begun.error();
  generation_ = begun.value();
  is_chat_ = true;
  state_ = State::kPrompt;
  return {};
}

Status ChatDesk::step() {
  if (generation_ == nullptr)
    return fail(ErrorCode::kInvalidArgument, "no answer is being made; begin one first");
  if (needs_evaluation())
    return fail(ErrorCode::kMissing, "tokens have to be evaluated before the next step");
  has_new_ = false;
  if (is_external())
    engine_->session().give(static_cast<u32>(generation_->due(n_step_token()).size()));
  was_evaluated_ = false;
  const Status status = generation_->step(n_step_token());
  if (!generation_->done()) {
    state_ = generation_->prefilled() ? State::kAnswer : State::kPrompt;
    return status;
  }
  const Status finished = finish();
  return status.ok() ? finished : status;
}

void ChatDesk::cancel() {
  if (generation_ == nullptr) return;
  generation_->stop();
  static_cast<void>(finish());
}

Status ChatDesk::finish() {
  Result<GenerateStats> stats = is_chat_ ? conversation_->end_say() : generation_->finish();
  if (!is_chat_) engine_->turn_arena().rewind(before_);
  generation_ = nullptr;
  state_ = State::kDone;
  if (!stats.ok()) {
    state_ = State::kIdle;
    return stats.error();
  }
  stats_ = stats.value();
  return {};
}

// ---- evaluation elsewhere

bool ChatDesk::needs_evaluation() const {
  return generation_ != nullptr && is_external() && !was_evaluated_ &&
         !generation_->due(n_step_token()).empty();
}

Span<const u32> ChatDesk::eval_tokens() const {
  return needs_evaluation() ? generation_->due(n_step_token()) : Span<const u32>();
}

// Candidates are enough where nothing but the order of the logits decides who they are.
u32 ChatDesk::eval_wants() const {
  if (!needs_evaluation() || !generation_->needs_logits(n_step_token())) return 0;
  const SamplerParams& params = sampler_->params();
  if (options_.digest || options_.filter != nullptr || params.repeat_penalty != 1.0f ||
      params.no_repeat_ngram != 0)
    return kAllLogits;
  if (params.temperature <= 0.0f) return 1;
  return params.top_k != 0 && params.top_k <= kMaxCandidates ? params.top_k : kAllLogits;
}

f32* ChatDesk::eval_logits() {
  n_candidate_ = 0;
  return engine_->session().given_logits().data();
}

Result<u32*> ChatDesk::eval_candidates(u32 n) {
  const u32 wanted = eval_wants();
  if (wanted == 0) return fail(ErrorCode::kInvalidArgument, "no logits are asked for");
  if (wanted == kAllLogits)
    return fail(ErrorCode::kInvalidArgument, "these settings need the logits of all tokens");
  if (n < wanted || n > kMaxCandidates) {
    return fail(ErrorCode::kInvalidArgument, "candidates; wanted")
        .about(n < wanted ? "too few" : "too many")
        .with(n, n < wanted ? wanted : kMaxCandidates);
  }
  n_candidate_ = n;
  return candidates_;
}

Status ChatDesk::eval_done() {
  if (!needs_evaluation()) return fail(ErrorCode::kInvalidArgument, "no evaluation was asked for");
  if (n_candidate_ != 0) {
    if (const Status s = spread_candidates(); !s.ok()) return s;
  }
  n_candidate_ = 0;
  was_evaluated_ = true;
  return {};
}

// Candidates as a row of logits in which every other token has no chance, so that the sampler goes
// its one way: what it picks is what it would have picked from all logits.
Status ChatDesk::spread_candidates() {
  constexpr f32 kNoChance = -3.0e38f;  // finite, as the order of logits asks for
  const Span<f32> row = engine_->session().given_logits();
  for (f32& logit : row) logit = kNoChance;
  for (u32 i = 0; i < n_candidate_; ++i) {
    const u32 id = candidates_[i];
    const f32 logit = __builtin_bit_cast(f32, candidates_[n_candidate_ + i]);
    if (id >= row.size())
      return fail(ErrorCode::kInvalidArgument, "a candidate that is no token").with(id, row.size());
    if (!within(logit, -2.9e38f, 3.4e38f))
      return fail(ErrorCode::kNumeric, "a candidate's logit is not finite; token").with(id);
    if (row[id] != kNoChance)
      return fail(ErrorCode::kInvalidArgument, "a candidate that stands twice").with(id);
    row[id] = logit;
  }
  return {};
}

const GenerateStats& ChatDesk::stats() const {
  return generation_ != nullptr ? generation_->stats() : stats_;
}
u32 ChatDesk::n_prompt_done() const {
  return generation_ != nullptr ? generation_->n_prompt_done() : stats_.n_prompt;
}

void ChatDesk::on_token(u32 id) {
  newest_ = id;
  has_new_ = true;
}
bool ChatDesk::on_text(Str utf8) { return !text_->append(utf8).truncated(); }
bool ChatDesk::on_reasoning(Str utf8) { return !reasoning_->append(utf8).truncated(); }

}  // namespace lbm::web
