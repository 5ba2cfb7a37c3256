// The state of a session as bytes: keys and values of each position, the states of recurrent
// layers. See session.h.
#include "core/infer/forward.h"
#include "core/infer/session.h"

namespace lbm {

u32 Session::n_state_token() const {
  if (is_external()) return 0;  // what the tokens left behind is not here
  RecurrentState& state = forward_->recurrent();
  return state.present() ? state.pos() : n_past_;
}

// Calls visit(bytes) for each piece, in order, until it returns false. Of the KV cache these are
// the groups of 16 positions that n_token tokens reach into, layer by layer, head by head, keys
// before values; of a recurrent layer, its state.
template <class Visit>
bool Session::for_each_state(u32 n_token, const Visit& visit) const {
  const ModelConfig& config = model().config;
  const KvCache& cache = forward_->cache();
  const usize n_byte = static_cast<usize>(ceil_div(n_token, kKvGroup) *
                                          kv_group_bytes(cache.type(), config.head_dim));
  RecurrentState& recurrent = forward_->recurrent();
  for (u32 layer = 0; layer < config.n_layer; ++layer) {
    if (config.layers[layer].kind != LayerKind::kAttention) {
      const Span<f32> state = recurrent.live(layer);
      if (!visit(Span<u8>(reinterpret_cast<u8*>(state.data()), state.size_bytes()))) return false;
      continue;
    }
    for (u32 head = 0; head < config.layers[layer].n_head_kv; ++head) {
      // The cache is ours; its views are const for those who only read it.
      u8* const keys = const_cast<u8*>(cache.keys(layer, head));
      u8* const values = const_cast<u8*>(cache.values(layer, head));
      if (!visit(Span<u8>(keys, n_byte)) || !visit(Span<u8>(values, n_byte))) return false;
    }
  }
  return true;
}

u64 Session::state_bytes(u32 n_token) const {
  if (n_token == 0 || is_external()) return 0;
  const ModelConfig& config = model().config;
  const u64 head_bytes =
      2 * ceil_div(n_token, kKvGroup) * kv_group_bytes(kv_type(), config.head_dim);
  u64 sum = 0;
  for (u32 layer = 0; layer < config.n_layer; ++layer) {
    sum += config.layers[layer].kind == LayerKind::kAttention
               ? config.layers[layer].n_head_kv * head_bytes
               : u64{forward_->recurrent().layer_size()} * sizeof(f32);
  }
  return sum;
}

bool Session::visit_state(StateVisitor& visitor) {
  const u32 n_token = n_state_token();
  if (n_token == 0) return true;
  return for_each_state(n_token, [&](Span<u8> bytes) { return visitor.on_state(bytes); });
}

Status Session::restore_state(Span<const u32> tokens, StateVisitor& visitor) {
  n_past_ = 0;
  first_logits_ = end_logits_ = 0;
  if (is_external())
    return fail(ErrorCode::kUnsupported, "a model that is evaluated elsewhere keeps no state here");
  RecurrentState& recurrent = forward_->recurrent();
  if (recurrent.present()) recurrent.restore(0);
  if (Status s = check(tokens); !s.ok()) return s;
  if (tokens.empty()) return {};
  const u32 n_token = static_cast<u32>(tokens.size());
  if (recurrent.present()) recurrent.restore(n_token);
  if (!for_each_state(n_token, [&](Span<u8> bytes) { return visitor.on_state(bytes); })) {
    if (recurrent.present()) recurrent.restore(0);
    return fail(ErrorCode::kIo, "the state of the session did not come");
  }
  for (usize i = 0; i < tokens.size(); ++i) tokens_[i] = tokens[i];
  n_past_ = n_token;
  return {};
}

}  // namespace lbm
