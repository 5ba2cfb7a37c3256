#include "core/infer/recurrent_state.h"

namespace lbm {
namespace {

constexpr u32 kLanes = 16;  // rows are whole lanes, so that kernels may write them whole

struct Sizes {  // elements
  u64 tail_stride, tail, row_stride, matrix;
  u64 layer;
};

Sizes sizes_of(const ModelConfig& c) {
  Sizes s = {};
  if (c.short_conv.n_tap != 0) {
    s.tail_stride = align_up(c.n_embd, kLanes);
    s.tail = (c.short_conv.n_tap - 1) * s.tail_stride;
  } else if (c.delta_net.n_tap != 0) {
    const DeltaNetConfig& net = c.delta_net;
    s.tail_stride = align_up(net.n_channel(), kLanes);
    s.tail = (net.n_tap - 1) * s.tail_stride;
    s.row_stride = align_up(net.value_dim, kLanes);
    s.matrix = net.key_dim * s.row_stride;
  }
  s.layer = s.tail + c.delta_net.n_value_head * s.matrix;
  return s;
}

u32 n_recurrent(const ModelConfig& c) {
  u32 n = 0;
  for (u32 i = 0; i < c.n_layer; ++i) n += c.layers[i].kind != LayerKind::kAttention ? 1u : 0u;
  return n;
}

u64 slot_bytes(const ModelConfig& c) {
  return n_recurrent(c) *
         align_up(sizes_of(c).layer * sizeof(f32), static_cast<u64>(Arena::kDefaultAlignment));
}

}  // namespace

u32 RecurrentState::n_slot(const ModelConfig& config) {
  const u64 bytes = slot_bytes(config);
  if (bytes == 0) return 0;
  return static_cast<u32>(max_u64(kMinSlots, min_u64(kMaxSlots, kSlotBudget / bytes)));
}

u64 RecurrentState::bytes_needed(const ModelConfig& config) {
  const u64 n = n_slot(config);
  return n * slot_bytes(config) +
         align_up(n * config.n_layer * sizeof(f32*), static_cast<u64>(Arena::kDefaultAlignment));
}

Result<RecurrentState> RecurrentState::create(Arena& arena, const ModelConfig& config) {
  RecurrentState r;
  r.n_slot_ = n_slot(config);
  if (r.n_slot_ == 0) return r;
  const Sizes sizes = sizes_of(config);
  r.n_layer_ = config.n_layer;
  r.tail_stride_ = static_cast<usize>(sizes.tail_stride);
  r.tail_size_ = static_cast<usize>(sizes.tail);
  r.row_stride_ = static_cast<usize>(sizes.row_stride);
  r.matrix_size_ = static_cast<usize>(sizes.matrix);
  r.layer_size_ = static_cast<usize>(sizes.layer);
  Result<Span<f32*>> states =
      arena.take<f32*>(static_cast<u64>(r.n_slot_) * config.n_layer, "recurrent state");
  if (!states.ok()) return states.error();
  for (u32 i = 0; i < states.value().size(); ++i) {
    if (config.layers[i % config.n_layer].kind == LayerKind::kAttention) continue;
    Result<Span<u8>> state = arena.take_raw(sizes.layer * sizeof(f32), "recurrent state");
    if (!state.ok()) return state.error();
    states.value()[i] = reinterpret_cast<f32*>(state.value().data());
  }
  r.states_ = states.value();
  return r;
}

void RecurrentState::mark() {
  for (u32 i = 0; i < n_slot_; ++i) {
    if (i == live_ || slots_[i].keep == Keep::kBatch) slots_[i].keep = Keep::kTurn;
  }
}

void RecurrentState::rewind(u32 n_past) {
  for (u32 i = 0; i < n_slot_; ++i) {
    if (slots_[i].pos > n_past) slots_[i].used = false;
  }
  if (pos_ > n_past) take_newest();
}

void RecurrentState::take_newest() {
  live_ = kNone;
  for (u32 i = 0; i < n_slot_; ++i) {
    if (slots_[i].used && (live_ == kNone || slots_[i].pos > slots_[live_].pos)) live_ = i;
  }
  pos_ = live_ == kNone ? 0 : slots_[live_].pos;
}

// The slot that a new state may overwrite.
u32 RecurrentState::free_slot() const {
  u32 batch = kNone;
  u32 oldest = 0;
  for (u32 i = 0; i < n_slot_; ++i) {
    if (!slots_[i].used) return i;
    if (slots_[i].keep == Keep::kBatch && i != live_) batch = i;
    if (slots_[i].pos < slots_[oldest].pos) oldest = i;
  }
  return batch != kNone ? batch : oldest;
}

void RecurrentState::clear(u32 slot) {
  for (u32 i = 0; i < n_layer_; ++i) {
    if (state(slot, i) != nullptr) __builtin_memset(state(slot, i), 0, layer_size_ * sizeof(f32));
  }
}

Span<f32> RecurrentState::live(u32 layer) const {
  if (live_ == kNone || state(live_, layer) == nullptr) return {};
  return {state(live_, layer), layer_size_};
}

void RecurrentState::restore(u32 n_past) {
  for (Slot& slot : slots_) slot = {};
  pos_ = n_past;
  live_ = n_past == 0 ? kNone : 0;
  if (n_past != 0) slots_[0] = {n_past, true, Keep::kNot};
}

bool RecurrentState::begin(u32 n_token) {
  n_token_ = n_token;
  source_ = target_ = live_;
  if (pos_ != 0 && n_token == 1 && slots_[live_].keep == Keep::kNot) return false;
  target_ = free_slot();
  slots_[target_].used = false;
  if (pos_ == 0) {
    source_ = target_;
    clear(target_);
  }
  return true;
}

void RecurrentState::commit() {
  if (source_ != target_ && slots_[source_].keep == Keep::kNot) slots_[source_].keep = Keep::kBatch;
  pos_ += n_token_;
  live_ = target_;
  slots_[live_] = {pos_, true, Keep::kNot};
}

void RecurrentState::abandon() {
  if (source_ != target_) return;  // the slot that was written is free
  slots_[target_].used = false;
  take_newest();
}

}  // namespace lbm
