// Model families as data: what distinguishes one architecture from another, with no code of its
// own.
//
// read_config() and plan_weights() read a Family; forward() reads only the ModelConfig that comes
// of it, never names. A family that needs something new adds a column here and the operation
// behind it. docs/families.md is the table for readers.
#pragma once

#include "core/base/span.h"
#include "core/model/config.h"

namespace lbm {

// Whether a file has the tensors of a role.
enum class Presence : u8 { kNever, kMay, kMust };

// Which layers see a window of positions only.
enum class Window : u8 {
  kNone,      // the key is ignored, as the models were trained
  kOptional,  // where attention.sliding_window is in the file
  kAlways,    // it must be in the file, or the family has a default
};

// Which layers RoPE leaves alone.
enum class NoRope : u8 { kNever, kEveryFourth, kUnwindowed };

struct Family {
  const char* architecture;  // general.architecture
  RopeLayout rope = RopeLayout::kNeighbours;
  bool learned_positions = false;  // position_embd, and no RoPE

  NormKind norm = NormKind::kRms;
  Presence norm_bias = Presence::kNever;
  Presence attn_norm = Presence::kMust;  // before attention
  Presence ffn_norm = Presence::kMust;   // before the FFN; where it is absent in a parallel
                                         // family, both blocks read what attn_norm gave
  const char* ffn_norm_name = "ffn_norm";
  const char* output_norm_name = "output_norm";
  Presence post_norms = Presence::kNever;  // on what attention and FFN add to x
  bool parallel = false;                   // unless use_parallel_residual says otherwise
  bool parallel_without_ffn_norm = false;  // a file without ffn_norm means `parallel`
  bool second_attn_norm = false;  // attn_norm_2, where present, is attention's and attn_norm the
                                  // FFN's

  QkNorm qk_norm = QkNorm::kNone;
  Presence qk_norm_presence = Presence::kMust;
  bool qk_norm_after_rope = false;
  bool gated_attention = false;
  bool sinks = false;

  Activation activation = Activation::kSilu;
  bool gated = true;           // ffn_gate, or its rows before those of ffn_up in one tensor
  bool fused_gate_up = false;  // ffn_up holds both

  Window window = Window::kNone;
  u32 window_default = 0;       // where the file does not say
  u32 window_period = 1;        // every window_period-th layer sees everything
  u32 window_n_layer = 0;       // only the model of so many layers has windows; 0: any
  f64 local_freq_base = 0.0;    // of the windowed layers; 0: that of the others
  bool local_unscaled = false;  // no RoPE scaling in windowed layers
  NoRope no_rope = NoRope::kNever;
  bool rope_by_finetuned_key = false;  // rope.scaling.finetuned = false: no layer is rotated

  f64 attention_soft_cap = 0.0;  // where the file does not say; 0: none
  f64 logit_soft_cap = 0.0;
  bool embedding_scale_root = false;   // sqrt(n_embd)
  Presence scales = Presence::kNever;  // keys of embedding, residual, attention and logit scales
  bool logit_scale_key = false;        // that one alone
  bool logit_scale_divides = false;    // the key is a divisor
  bool scales_of_minicpm = false;      // where the file does not say: 12, 1.4 / sqrt(n_layer),
                                       // n_embd / 256
  u32 n_layer_wide_scale = 0;  // the model of so many layers scales scores by n_embd / n_head,
                               // not head_dim
  Presence output_bias = Presence::kNever;

  LayerKind recurrent = LayerKind::kAttention;  // of the layers that are no attention
  bool delta_net_grouped = false;  // value heads of one key head stand together; beta and alpha
                                   // are one tensor
  ExpertGating gating = ExpertGating::kSoftmax;
  bool experts_normalised = true;
  bool experts_split_n_ff = false;  // width of an expert where the file does not say: n_ff / n_used
};

// The family called `architecture`, or nullptr.
[[nodiscard]] const Family* find_family(Str architecture);

// All of them, for reports.
[[nodiscard]] Span<const Family> families();

// "llama, qwen2, ..." for messages; every row of the table.
[[nodiscard]] Str supported_architectures();

}  // namespace lbm
