// Weights: the tensors of a model, checked by name, type and shape, in the layout the kernels read.
//
// Three steps, so that nothing is read before everything is known to fit:
//   plan_weights    names -> tensors; type and shape of each checked; sizes summed. Reads no
//   weight. place_weights   a place in memory for each read_weights    one pass through the file,
//   in its order: read a chunk, hash it, repack it, on all cores
// Memory at its peak is the model plus one chunk.
#pragma once

#include "core/base/arena.h"
#include "core/base/result.h"
#include "core/base/sha256.h"
#include "core/format/model_file.h"
#include "core/model/config.h"
#include "core/model/matrix.h"
#include "core/model/recurrent_weights.h"
#include "core/platform.h"
#include "core/tensor/dtype.h"

namespace lbm {

// The embedding table: row tiles when it is also the output matrix (tied), else rows as the file
// stores them.
struct Embedding {
  DType dtype = DType::kF32;
  u32 n_row = 0;
  u32 n_col = 0;
  const u8* bytes = nullptr;
  bool tiled = false;

  // out [n_col] = row `token`.
  void gather(u32 token, f32* out) const;
};

// A norm: `bias` only with LayerNorm, and there it may be absent too.
struct NormWeights {
  const f32* weight = nullptr;  // [width]
  const f32* bias = nullptr;    // [width]

  [[nodiscard]] bool present() const { return weight != nullptr; }
};

// One feed-forward network: down(act(gate x) * up x), or down(act(up x)) without a gate. Biases may
// be absent.
struct FfnWeights {
  Matrix gate, up, down;
  const f32* b_gate = nullptr;
  const f32* b_up = nullptr;
  const f32* b_down = nullptr;
};

// What a layer does without is absent: null, or a matrix that is not present().
struct LayerWeights {
  NormWeights attn_norm;       // before attention; absent: it reads x itself
  NormWeights attn_post_norm;  // on what it adds to x
  Matrix wq, wk, wv, wo;       // wq with gated_attention: for each head its query, then its gate
  const f32* bq = nullptr;
  const f32* bk = nullptr;
  const f32* bv = nullptr;
  const f32* bo = nullptr;
  const f32* q_norm = nullptr;  // by ModelConfig::qk_norm [head_dim], [n_head][head_dim]
  const f32* k_norm = nullptr;
  const f32* sinks = nullptr;  // [n_head]

  ShortConvWeights short_conv;
  DeltaNetWeights delta_net;

  NormWeights ffn_norm;  // before the FFN; absent: it reads x, or in a parallel layer what
                         // attention reads
  NormWeights ffn_post_norm;
  FfnWeights ffn;  // of a layer without experts

  Matrix router;                        // [n_expert][n_embd]
  const f32* router_bias = nullptr;     // [n_expert], part of the score
  const f32* selection_bias = nullptr;  // [n_expert], changes the choice and not the weight
  Span<FfnWeights> experts;             // [n_expert]
  FfnWeights shared;                    // the expert that every token passes
  const f32* shared_gate = nullptr;     // [n_embd], its weight is the sigmoid of the product with x
};

struct Weights {
  Embedding embedding;
  Embedding positions;  // learned ones [n_ctx_train][n_embd]
  Span<LayerWeights> layers;
  NormWeights output_norm;
  Matrix output;                     // [n_vocab][n_embd]; shares the embedding's tiles when tied
  const f32* output_bias = nullptr;  // [n_vocab]
  const f32* rope_freqs = nullptr;   // [n_rot / 2] divisors of the RoPE frequencies
  const f32* rope_long = nullptr;    // the same, for contexts beyond rope.n_ctx_orig
  const f32* rope_short = nullptr;   // and up to it
};

// One tensor, or some of its rows, on the way into memory.
struct WeightPlacement {
  enum class Kind : u8 { kTiles, kRows, kVector };
  Kind kind = Kind::kTiles;
  TensorInfo tensor;  // of the rows: their number, their place in the file
  u64 n_byte = 0;     // in memory
  u8* place = nullptr;
  Matrix* matrix = nullptr;  // what to point at the place; exactly one of these three
  Embedding* embedding = nullptr;
  const f32** vector = nullptr;
};

struct WeightPlan {
  Weights* weights = nullptr;
  Span<WeightPlacement> placements;  // in file order
  u64 n_byte = 0;                    // of all places, rounded up to the alignment of each
  u64 chunk_bytes = 0;               // work memory that read_weights needs
};

// Errors: kMissing      a tensor the architecture needs is not in the file.
//         kBadShape     a tensor has other dimensions than the configuration asks for.
//         kBadType      a tensor has a type that its role can not have (a quantized norm).
//         kUnsupported  a type this build does not run, or a tensor it does not know.
//         kMismatch     token_embd has another number of rows than the vocabulary.
[[nodiscard]] Result<WeightPlan> plan_weights(const ModelFile& file, const ModelConfig& config,
                                              Arena& arena);

// Takes a place for every tensor from `arena` and points the weights at it.
// Errors: kOutOfMemory  names the tensor.
[[nodiscard]] Status place_weights(WeightPlan& plan, Arena& arena);

// Called with the bytes read so far; false cancels.
struct ReadProgress {
  bool (*on_progress)(void* context, u64 n_done, u64 n_total) = nullptr;
  void* context = nullptr;
};

// What read_weights works with.
struct WeightReading {
  ByteSource& source;  // file.data()
  Workers& workers;
  Span<u8> chunk;          // plan.chunk_bytes
  Sha256* hash = nullptr;  // every byte of the file after the metadata passes through it, in order
                           // (the caller has hashed the metadata)
  ReadProgress progress = {};
};

// Reads all tensors into their places. The bytes that are hashed are the very bytes that are
// repacked: each is read once.
// Errors, of which the first in the order of the file is reported, whoever met it first:
//   kNumeric  a scale is NaN or infinite, with the tensor and the row.   kTruncated, kIo  with the
//   tensor.   kCancelled.
[[nodiscard]] Status read_weights(const WeightPlan& plan, const ModelFile& file,
                                  const WeightReading& with);

}  // namespace lbm
