// ConfigReader: typed, ranged reads of "<architecture>.<key>" that keep the first error, so that a
// list of reads stays a list.
#pragma once

#include "core/base/fmt.h"
#include "core/base/result.h"
#include "core/format/model_file.h"
#include "core/model/families.h"

namespace lbm {

class ConfigReader {
 public:
  ConfigReader(const ModelFile& file, Str architecture)
      : file_(file), architecture_(architecture) {}

  // After an error the value is one that the checks after it can work with: `low` or `fallback`.
  [[nodiscard]] u32 required(Str key, u64 low, u64 high);
  [[nodiscard]] u32 optional(Str key, u64 fallback, u64 low, u64 high);
  [[nodiscard]] f64 number(Str key, f64 low, f64 high);
  [[nodiscard]] f64 number_or(Str key, f64 fallback, f64 low, f64 high);
  [[nodiscard]] bool flag_or(Str key, bool fallback);
  [[nodiscard]] Str text_or(Str key, Str fallback);
  // A number for all layers, or an array with one for each of the first n_layer: out [n_layer].
  // False, and `out` as it was, where the key is absent.
  bool per_layer(Str key, u64 low, u64 high, Span<u32> out);

  [[nodiscard]] bool has(Str key);
  [[nodiscard]] bool has_array(Str key);
  // The error has the place of the key, where the file has the key.
  void refuse(ErrorCode code, const char* what, Str key, u64 value, u64 limit);
  [[nodiscard]] const Status& status() const { return status_; }

 private:
  Str full(Str key);
  u32 take(Result<u64> r, u32 fallback);
  f64 take(Result<f64> r);
  void keep(const Error& error) {
    if (status_.ok()) status_ = error;
  }

  const ModelFile& file_;
  Str architecture_;
  TextBuffer<160> name_;
  Status status_;
};

// The parts of read_config(), in its order; each reads its keys into `config`.
// RoPE of all layers and of the windowed ones (core/model/config_rope.cpp).
void read_rope(ConfigReader& reader, const Family& family, ModelConfig& config);
// Experts, and which layers have them (core/model/config_experts.cpp).
void read_experts(ConfigReader& reader, const Family& family, ModelConfig& config);
// Which layers are recurrent, and their sizes (core/model/config_recurrent.cpp). n_head_kv of each
// layer was read before; a layer with none must become a recurrent one.
void read_recurrent(ConfigReader& reader, const Family& family, ModelConfig& config);

}  // namespace lbm
