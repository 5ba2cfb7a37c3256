// Mixture of experts: which experts a token passes (R16), and the buffers of a layer that has some.
//
// A slot is one token at one of its experts. Slots are ordered by expert, so that the tokens of an
// expert stand together: its matrices are multiplied with all of them at once, and those of an
// expert that no token asked for are not touched. The expert that every token passes comes last,
// as one more with all tokens.
#pragma once

#include "core/base/arena.h"
#include "core/base/result.h"
#include "core/infer/activations.h"
#include "core/model/config.h"
#include "kernels/kernel_table.h"

namespace lbm {

// The biases of a router [n_expert], where it has them.
struct RouterBias {
  const f32* score = nullptr;      // part of the logit
  const f32* selection = nullptr;  // added to the score for the choice; not part of the weight
};

// Chooses the experts of one token by the logits of its router, `scores` [n_expert], which become
// the scores they are chosen by: expert [n_used] by (score descending, index ascending) and their
// weights [n_used]. False when a logit is NaN or infinite; then the choice means nothing, but its
// experts exist and are different ones.
[[nodiscard]] bool select_experts(const KernelTable& kernels, const ExpertConfig& config,
                                  RouterBias bias, f32* scores, u32* expert, f32* weight);

// The two steps of an expert that multiply matrices.
enum class ExpertStage : u8 { kGateAndUp, kDown };

// Consecutive slots of one expert.
struct ExpertGroup {
  u32 expert;  // n_expert: the shared one
  u32 first_slot;
  u32 n;
};

struct ExpertBuffers {
  ActivationRows scores;          // [n_expert]         logits of the router, then scores
  ActivationRows weights;         // [n_used]           by rank
  u32* expert = nullptr;          // [n_batch][n_used]  by rank
  u32* slot = nullptr;            // [n_batch][n_used]  of the token at its expert of that rank
  f32* shared_weight = nullptr;   // [n_batch]          on what the shared expert gives
  u32* token = nullptr;           // [n_slot]           by slot, the shared expert's left out
  ExpertGroup* groups = nullptr;  // [n_expert + 1]     that have a slot, in order
  u32 n_group = 0;                //
  ActivationRows in_out;          // [n_slot][n_embd]   inputs of a group, then its outputs
  ActivationRows gate;            // [n_slot][n_ff]
  ActivationRows up;              // [n_slot][n_ff]
  ActivationBlock* quantized = nullptr;  // [n_slot][quantized_stride] copies of what is read
  usize quantized_stride = 0;            // blocks

  // Nothing for a model without experts.
  [[nodiscard]] static u64 bytes_needed(const ModelConfig& config, u32 n_batch);
  [[nodiscard]] static Result<ExpertBuffers> create(Arena& arena, const ModelConfig& config,
                                                    u32 n_batch);

  // Makes slots and groups of the first n_token tokens from `expert`.
  void order_slots(const ExpertConfig& config, u32 n_token);
  [[nodiscard]] ActivationBlock* quantized_row(u32 slot_index) const {
    return quantized + slot_index * quantized_stride;
  }
  [[nodiscard]] u32 n_slot() const {
    return n_group == 0 ? 0 : groups[n_group - 1].first_slot + groups[n_group - 1].n;
  }
};

}  // namespace lbm
