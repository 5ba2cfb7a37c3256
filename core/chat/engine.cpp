#include "core/chat/engine.h"

#include "core/base/fmt.h"
#include "core/chat/chat_message.h"
#include "core/infer/recurrent_state.h"
#include "core/model/weight_feed.h"

namespace lbm {
namespace {

constexpr u64 kFirstMetaBytes = 4 * kMiB;
constexpr u64 kLastMetaBytes = 256 * kMiB;
constexpr u64 kMinTurnBytes = 8 * kMiB;
constexpr u64 kTurnBytesPerToken = 512;
constexpr u32 kMinContext = 256;

bool is_out_of_memory(const Status& status) {
  return status.error().code == ErrorCode::kOutOfMemory;
}

Status hash_source(ByteSource& source, Span<u8> chunk, Sha256& sha) {
  const u64 size = source.size();
  for (u64 at = 0; at < size;) {
    const Span<u8> part = chunk.first(static_cast<usize>(min_u64(chunk.size(), size - at)));
    if (Status s = source.read(at, part); !s.ok()) return s;
    sha.update(part);
    at += part.size();
  }
  return {};
}

}  // namespace

// A slot lives at the front of its own first range, so giving the ranges back ends it.
struct Engine::Slot {
  static constexpr u32 kMaxRanges = 64;

  Arena meta;  // file tables, vocabulary, template, plan
  Arena weights;
  Arena session_memory;
  Arena turn;
  Span<u8> ranges[kMaxRanges];
  u32 n_range = 0;

  ModelFile file;
  Model model;
  WeightPlan plan;
  Tokenizer* tokenizer = nullptr;
  ChatTemplate* chat_template = nullptr;
  Session* session = nullptr;
  Str name;
  Str template_note;
  bool has_own_template = false;
  bool template_is_broken = false;
  Sha256Digest file_hash;
  SessionParams session_params;
  u64 kv_bytes = 0;
  bool external = false;

  // While weights come; the pointers are into `turn`.
  WeightPlan feed_plan;
  WeightFeed* feed = nullptr;
  Sha256* hash = nullptr;
  Arena::Mark before_feed = {};

  // Adds `bytes` of new memory to `arena`, in one range or, where RAM has holes, in several.
  [[nodiscard]] Status extend(Pages& pages, Arena& arena, u64 bytes, const char* what);
};

Status Engine::Slot::extend(Pages& pages, Arena& arena, u64 bytes, const char* what) {
  u64 missing = bytes;
  while (missing != 0) {
    const u64 largest = pages.largest_free();
    const u64 wanted = missing < largest ? missing : largest;
    if (wanted < kMiB && wanted < missing) {
      return fail(ErrorCode::kOutOfMemory, "not enough memory, bytes needed")
          .about(what)
          .with(bytes, bytes - missing);
    }
    if (n_range == kMaxRanges)
      return fail(ErrorCode::kOutOfMemory, "memory is in too many pieces").about(what);
    Result<Span<u8>> range = pages.take(wanted, what);
    if (!range.ok()) return range.error();
    ranges[n_range++] = range.value();
    if (!arena.add_range(range.value()))
      return fail(ErrorCode::kOutOfMemory, "memory is in too many pieces").about(what);
    missing -= min_u64(missing, range.value().size());
  }
  return {};
}

Engine::~Engine() {
  abort_load();
  unload();
}

void Engine::unload() {
  if (slot_ != nullptr) release(slot_);
  slot_ = nullptr;
}

void Engine::release(Slot* slot) {
  Span<u8> ranges[Slot::kMaxRanges];
  const u32 n = slot->n_range;
  for (u32 i = 0; i < n; ++i) ranges[i] = slot->ranges[i];
  // Newest first; the last to go is the range the slot itself stands in.
  for (u32 i = n; i-- > 0;) pages_.give_back(ranges[i]);
}

Status Engine::load(ByteSource& source, Str name, const EngineOptions& options,
                    LoadObserver* observer) {
  abort_load();
  Result<Slot*> prepared = prepare_and_take_memory(source, name, options);
  if (!prepared.ok()) return prepared.error();
  Slot* slot = prepared.value();
  Status status = slot->external ? Status() : fill(*slot, source, options, observer);
  if (status.ok()) status = make_session(*slot);
  if (!status.ok()) {
    release(slot);
    return status;
  }
  had_to_evict_ = false;
  unload();
  slot_ = slot;
  return {};
}

Result<Engine::Slot*> Engine::prepare_and_take_memory(ByteSource& source, Str name,
                                                      const EngineOptions& options) {
  had_to_evict_ = false;
  Result<Slot*> prepared = prepare(source, name, options);
  if (!prepared.ok()) return prepared;
  Slot* slot = prepared.value();
  slot->external = options.external;
  Status status = take_memory(*slot, options);
  if (!status.ok() && is_out_of_memory(status) && slot_ != nullptr && options.may_evict) {
    // Everything but the weights of the new model is known to be sound: give up the old one for
    // room.
    unload();
    had_to_evict_ = true;
    status = take_memory(*slot, options);
  }
  if (status.ok()) return slot;
  release(slot);
  return status.error();
}

// ---- a file that comes by itself

Status Engine::begin_load(ByteSource& source, Str name, const EngineOptions& options) {
  abort_load();
  Result<Slot*> prepared = prepare_and_take_memory(source, name, options);
  if (!prepared.ok()) return prepared.error();
  const Status status = prepare_feed(*prepared.value(), options);
  if (!status.ok()) {
    release(prepared.value());
    return status;
  }
  coming_ = prepared.value();
  return {};
}

Status Engine::prepare_feed(Slot& slot, const EngineOptions& options) {
  if (slot.file.is_translated() || !slot.file.parts().empty())
    return fail(ErrorCode::kUnsupported, "this file can not be loaded while it comes");
  slot.before_feed = slot.turn.mark();
  Result<Span<u8>> room = slot.turn.take_raw(slot.plan.chunk_bytes / 2, "load chunk");
  if (!room.ok()) return room.error();
  slot.feed_plan = slot.plan;
  // An external model has no places: its bytes are hashed, and that is all.
  if (slot.external) slot.feed_plan.placements = {};
  Result<WeightFeed*> feed =
      slot.turn.make<WeightFeed>("load", slot.feed_plan, slot.file, workers_, room.value());
  if (!feed.ok()) return feed.error();
  if (options.hash_file) {
    Result<Sha256*> hash = slot.turn.make<Sha256>("load", hash_blocks());
    if (!hash.ok()) return hash.error();
    slot.hash = hash.value();
    slot.hash->update(slot.file.header());
  }
  slot.feed = feed.value();
  return {};
}

u64 Engine::load_header_bytes() const { return coming_->file.header().size(); }
u64 Engine::load_missing_bytes() const { return coming_->feed->n_missing(); }

Status Engine::feed_load(Span<const u8> bytes) {
  if (coming_ == nullptr) return fail(ErrorCode::kInvalidArgument, "no load has begun");
  Status status;
  if (bytes.size() > coming_->feed->n_missing()) {
    status = fail(ErrorCode::kInvalidArgument, "more bytes than the file has; came, were missing")
                 .with(bytes.size(), coming_->feed->n_missing());
  } else {
    status = coming_->feed->add(bytes, coming_->hash);
  }
  if (!status.ok()) abort_load();
  return status;
}

Status Engine::finish_load() {
  if (coming_ == nullptr) return fail(ErrorCode::kInvalidArgument, "no load has begun");
  Slot& slot = *coming_;
  const u64 n_missing = slot.feed->n_missing();
  if (n_missing != 0 && !slot.external) {
    return fail(ErrorCode::kTruncated, "not all bytes of the file have come; missing, of")
        .with(n_missing, slot.file.file_size());
  }
  if (slot.hash != nullptr && n_missing == 0) slot.file_hash = slot.hash->finish();
  slot.feed = nullptr;
  slot.hash = nullptr;
  slot.turn.rewind(slot.before_feed);
  coming_ = nullptr;
  if (Status s = make_session(slot); !s.ok()) {
    release(&slot);
    return s;
  }
  had_to_evict_ = false;
  unload();
  slot_ = &slot;
  return {};
}

void Engine::abort_load() {
  if (coming_ != nullptr) release(coming_);
  coming_ = nullptr;
}

// Header, configuration, vocabulary, template and weight plan, in as little memory as they fit in.
Result<Engine::Slot*> Engine::prepare(ByteSource& source, Str name, const EngineOptions& options) {
  for (u64 bytes = kFirstMetaBytes;; bytes *= 4) {
    Result<Span<u8>> range = pages_.take(bytes, "model tables");
    if (!range.ok()) return range.error();
    Slot* slot = new (PlaceAt{range.value().data()}) Slot;
    slot->ranges[slot->n_range++] = range.value();
    slot->meta.add_range(range.value().from(static_cast<usize>(align_up(sizeof(Slot), 64))));
    const Status status = read_tables(*slot, source, name, options);
    if (status.ok()) return slot;
    release(slot);
    if (!is_out_of_memory(status) || bytes >= kLastMetaBytes) return status.error();
  }
}

Status Engine::read_tables(Slot& slot, ByteSource& source, Str name, const EngineOptions& options) {
  Result<Str> kept_name = slot.meta.take_text(name, "model name");
  if (!kept_name.ok()) return kept_name.error();
  slot.name = kept_name.value();
  OpenOptions open_options;
  open_options.tokenizer = options.tokenizer;
  open_options.tokenizer_json = options.tokenizer_only;
  Result<ModelFile> file = ModelFile::open(source, slot.meta, open_options);
  if (!file.ok()) return file.error();
  slot.file = file.value();
  if (!options.tokenizer_only) {
    if (Status s = read_model(slot, options); !s.ok()) return s;
  }
  Result<Tokenizer*> tokenizer = Tokenizer::create(slot.meta, slot.file);
  if (!tokenizer.ok()) return tokenizer.error();
  slot.tokenizer = tokenizer.value();
  if (options.tokenizer_only) {
    constexpr u64 kChunkBytes = 64 * kKiB;  // of a file whose bytes are hashed alone
    slot.plan.chunk_bytes = kChunkBytes;
    slot.model.config.n_vocab = slot.tokenizer->n_vocab();
    slot.model.config.n_ctx_train = 1;
  }
  return read_template(slot);
}

// The configuration, and what goes where.
Status Engine::read_model(Slot& slot, const EngineOptions& options) {
  Result<ModelConfig> config = read_config(slot.file);
  if (!config.ok()) return config.error();
  slot.model.config = config.value();
  if (options.n_ctx > slot.model.config.n_ctx_train) {
    return fail(ErrorCode::kInvalidArgument, "context is longer than the model was trained for")
        .about("n_ctx")
        .with(options.n_ctx, slot.model.config.n_ctx_train);
  }
  Result<WeightPlan> plan = plan_weights(slot.file, slot.model.config, slot.meta);
  if (!plan.ok()) return plan.error();
  slot.plan = plan.value();
  return {};
}

Status Engine::read_template(Slot& slot) {
  MetaValue text;
  if (slot.file.find("tokenizer.chat_template", text) && text.type == MetaType::kString &&
      !text.text.empty()) {
    const Arena::Mark mark = slot.meta.mark();
    Result<ChatTemplate*> own = ChatTemplate::parse(slot.meta, text.text);
    if (own.ok()) {
      slot.chat_template = own.value();
      slot.has_own_template = true;
      return {};
    }
    if (own.error().code == ErrorCode::kOutOfMemory) return own.error();
    slot.meta.rewind(mark);
    TextBuffer<320> note;
    write_template_warning(note, own.error(), text.text, built_in_template(*slot.tokenizer));
    slot.template_is_broken = true;
    Result<Str> kept = slot.meta.take_text(note.text(), "template note");
    if (!kept.ok()) return kept.error();
    slot.template_note = kept.value();
  } else {
    TextBuffer<80> note;
    note.print("the model brings no chat template; using {}",
               built_in_template_name(built_in_template(*slot.tokenizer)));
    Result<Str> kept = slot.meta.take_text(note.text(), "template note");
    if (!kept.ok()) return kept.error();
    slot.template_note = kept.value();
  }
  Result<ChatTemplate*> built_in =
      ChatTemplate::parse(slot.meta, built_in_template(*slot.tokenizer));
  if (!built_in.ok()) return built_in.error();
  slot.chat_template = built_in.value();
  return {};
}

// Memory for weights, session and turns. Gives back what it took when it fails.
Status Engine::take_memory(Slot& slot, const EngineOptions& options) {
  const u32 n_range = slot.n_range;
  Status status;
  if (!slot.external) {
    status = slot.extend(pages_, slot.weights, slot.plan.n_byte, "weights");
    if (status.ok()) status = place_weights(slot.plan, slot.weights);
  }
  const u32 n_ctx =
      Session::effective_n_ctx(slot.model.config, {options.n_ctx, options.n_batch, options.kv});
  const u64 turn_bytes =
      max_u64(max_u64(kMinTurnBytes, slot.plan.chunk_bytes + kMiB), n_ctx * kTurnBytesPerToken);
  if (status.ok()) status = slot.extend(pages_, slot.turn, turn_bytes, "work memory of a turn");
  if (status.ok()) status = take_session_memory(slot, options);
  if (status.ok()) return status;
  while (slot.n_range > n_range) pages_.give_back(slot.ranges[--slot.n_range]);
  slot.weights.drop_ranges();
  slot.turn.drop_ranges();
  slot.session_memory.drop_ranges();
  return status;
}

// The context that was asked for; a default one is halved until it fits.
Status Engine::take_session_memory(Slot& slot, const EngineOptions& options) {
  SessionParams params = {options.n_ctx, options.n_batch, options.kv};
  params.n_ctx = Session::effective_n_ctx(slot.model.config, params);
  if (slot.external) {
    slot.session_params = params;
    return slot.extend(pages_, slot.session_memory,
                       Session::external_bytes_needed(slot.model.config, params), "logits");
  }
  for (;;) {
    const u64 bytes = Session::bytes_needed(slot.model.config, params, workers_.n_worker());
    const bool fits = bytes <= pages_.bytes_free();
    if (fits || options.n_ctx != 0 || params.n_ctx <= kMinContext) {
      slot.session_params = params;
      slot.kv_bytes = KvCache::bytes_needed(slot.model.config, params.n_ctx, params.kv) +
                      RecurrentState::bytes_needed(slot.model.config);
      return slot.extend(pages_, slot.session_memory, bytes, "KV cache and activations");
    }
    params.n_ctx /= 2;
  }
}

Status Engine::fill(Slot& slot, ByteSource& source, const EngineOptions& options,
                    LoadObserver* observer) {
  const Arena::Mark mark = slot.turn.mark();
  Result<Span<u8>> chunk = slot.turn.take_raw(slot.plan.chunk_bytes, "load chunk");
  if (!chunk.ok()) return chunk.error();
  Sha256 sha(hash_blocks());
  // Weights that are translated are not the bytes of the file, so it is hashed by itself.
  const bool hash_apart = options.hash_file && slot.file.is_translated();
  if (hash_apart) {
    if (Status s = hash_source(source, chunk.value(), sha); !s.ok()) {
      slot.turn.rewind(mark);
      return s;
    }
  } else if (options.hash_file) {
    sha.update(slot.file.header());
  }
  ReadProgress progress;
  if (observer != nullptr) {
    progress.context = observer;
    progress.on_progress = [](void* context, u64 n_done, u64 n_total) {
      return static_cast<LoadObserver*>(context)->on_progress(n_done, n_total);
    };
  }
  Sha256* hash = options.hash_file && !hash_apart ? &sha : nullptr;
  const Status status = read_weights(slot.plan, slot.file,
                                     {slot.file.data(), workers_, chunk.value(), hash, progress});
  slot.turn.rewind(mark);
  if (status.ok() && options.hash_file) slot.file_hash = sha.finish();
  return status;
}

Status Engine::make_session(Slot& slot) {
  if (slot.plan.weights != nullptr) slot.model.weights = *slot.plan.weights;
  Result<Session*> session =
      slot.external ? Session::create_external(slot.session_memory, slot.model, slot.session_params)
                    : Session::create(slot.session_memory, slot.model, slot.session_params,
                                      kernels_, workers_);
  if (!session.ok()) return session.error();
  slot.session = session.value();
  return {};
}

Sha256BlockFn Engine::hash_blocks() const {
  return kernels_.sha256_blocks != nullptr ? kernels_.sha256_blocks : sha256_blocks_portable;
}

Str Engine::name() const { return slot_->name; }
const ModelFile& Engine::file() const { return slot_->file; }
const Model& Engine::model() const { return slot_->model; }
const Tokenizer& Engine::tokenizer() const { return *slot_->tokenizer; }
Session& Engine::session() { return *slot_->session; }
const ChatTemplate& Engine::chat_template() const { return *slot_->chat_template; }
bool Engine::has_own_template() const { return slot_->has_own_template; }
bool Engine::template_is_broken() const { return slot_->template_is_broken; }
Str Engine::template_note() const { return slot_->template_note; }
const Sha256Digest& Engine::file_hash() const { return slot_->file_hash; }
Arena& Engine::turn_arena() { return slot_->turn; }
u64 Engine::weight_bytes() const { return slot_->external ? 0 : slot_->plan.n_byte; }
Span<const WeightPlacement> Engine::placements() const { return slot_->plan.placements; }
const Weights& Engine::planned_weights() const { return *slot_->plan.weights; }
u64 Engine::kv_bytes() const { return slot_->kv_bytes; }

}  // namespace lbm
