// The state of the recurrent layers of one conversation, and checkpoints of it.
//
// A recurrent layer keeps no row for each token but one state that every token changes, so going
// back to an earlier position needs a state that was kept there. A session keeps the tokens, too:
// from whatever checkpoint lies before the wanted position, the tokens in between are evaluated
// again, and give the same bits (R17). Going back never fails; checkpoints only make it cheap.
//
// The states live in a few slots. A batch reads one and leaves its result in another, so a
// checkpoint is a slot that is not written again: nothing is copied, and a batch that fails or is
// stopped half-way has harmed nothing. Single tokens (decoding) change their slot in place.
// What is kept:
//   - the state at every mark(), the beginning of a turn: for undo, and for another question; and
//     where a session went back to;
//   - the state before the newest batch of several tokens: the last batch of a prompt, for another
//     answer, or for a template that changes what it says of the answer (think blocks).
// A new state takes a slot that is free, else the one of the batch before in the same turn, else
// that of the oldest checkpoint.
#pragma once

#include "core/base/arena.h"
#include "core/base/result.h"
#include "core/model/config.h"

namespace lbm {

class RecurrentState {
 public:
  static constexpr u32 kMinSlots = 3;  // before the batch, after it, a turn
  static constexpr u32 kMaxSlots = 8;
  static constexpr u64 kSlotBudget = 64 * kMiB;  // beyond kMinSlots, as many as fit

  // Bytes that create() takes; 0 for a model without recurrent layers.
  [[nodiscard]] static u64 bytes_needed(const ModelConfig& config);
  [[nodiscard]] static u32 n_slot(const ModelConfig& config);
  // Takes the slots from `arena`, one allocation a layer. Errors: kOutOfMemory.
  [[nodiscard]] static Result<RecurrentState> create(Arena& arena, const ModelConfig& config);

  // False for a model without recurrent layers; nothing below may be called then.
  [[nodiscard]] bool present() const { return !states_.empty(); }

  // Tokens that the state has seen.
  [[nodiscard]] u32 pos() const { return pos_; }
  // The state at pos() becomes a checkpoint; what was kept for single batches before stays.
  void mark();
  // Goes back to the newest checkpoint at or before n_past, unless pos() is there already, and
  // forgets those beyond.
  void rewind(u32 n_past);

  // The state at pos() of a layer, or an empty span for one that attends, or where pos() is 0.
  [[nodiscard]] Span<f32> live(u32 layer) const;
  // Elements of the state of one recurrent layer.
  [[nodiscard]] usize layer_size() const { return layer_size_; }
  // Forgets everything; the state at n_past is what the caller writes to live().
  void restore(u32 n_past);

  // A batch of n_token follows. Once it ran, commit() or abandon() ends it. True when abandon()
  // finds the state as it was; false when it must go back to a checkpoint.
  [[nodiscard]] bool begin(u32 n_token);
  void commit();
  void abandon();

  // The state of a layer before and after the batch; they may be the same. A convolution's last
  // inputs [n_tap - 1][tail_stride()], then, of a delta net, [n_value_head][key_dim][row_stride()].
  struct Layer {
    const f32* in;
    f32* out;
  };
  [[nodiscard]] Layer layer(u32 layer) const {
    return {state(source_, layer), state(target_, layer)};
  }
  [[nodiscard]] usize tail_stride() const { return tail_stride_; }
  [[nodiscard]] usize row_stride() const { return row_stride_; }
  // Where the matrix of a value head begins.
  [[nodiscard]] usize matrix_offset(u32 head) const { return tail_size_ + head * matrix_size_; }

 private:
  // What a slot is kept for beside being the state at pos(): nothing; until the next batch of the
  // same turn; a turn.
  enum class Keep : u8 { kNot, kBatch, kTurn };
  struct Slot {
    u32 pos;
    bool used;
    Keep keep;
  };
  static constexpr u32 kNone = ~u32{0};

  [[nodiscard]] f32* state(u32 slot, u32 layer) const { return states_[slot * n_layer_ + layer]; }
  [[nodiscard]] u32 free_slot() const;
  void take_newest();
  void clear(u32 slot);

  Span<f32*> states_;  // [n_slot][n_layer]; nullptr for a layer that attends
  u32 n_layer_ = 0;
  u32 n_slot_ = 0;
  usize tail_stride_ = 0;  // all sizes in elements
  usize tail_size_ = 0;
  usize row_stride_ = 0;
  usize matrix_size_ = 0;
  usize layer_size_ = 0;

  Slot slots_[kMaxSlots] = {};
  u32 live_ = kNone;  // the slot of the state at pos(), the highest in use; none where that is 0
  u32 pos_ = 0;
  u32 source_ = 0;  // of the batch at work
  u32 target_ = 0;
  u32 n_token_ = 0;
};

}  // namespace lbm
