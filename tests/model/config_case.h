// The metadata of a model, key by key, for tests of what is read from it. No tensors unless they
// are asked for.
#pragma once

#include "core/base/fmt.h"
#include "core/model/config.h"
#include "tests/format/gguf_builder.h"

namespace lbm::test {

class ConfigCase {
 public:
  // A model of `n_layer` layers, 64 wide with 4 heads, n_ff 96, context 256, 5 tokens. Keys that a
  // test adds must not be among those.
  explicit ConfigCase(Str architecture, u32 n_layer = 8, bool layer_norm = false)
      : architecture_(architecture), keys_(key_bytes_), tensors_(tensor_bytes_) {
    keys_.text_key("general.architecture", architecture);
    u32_key("block_count", n_layer).u32_key("embedding_length", 64).u32_key("context_length", 256);
    u32_key("attention.head_count", 4).u32_key("vocab_size", 5);
    f32_key(layer_norm ? "attention.layer_norm_epsilon" : "attention.layer_norm_rms_epsilon",
            1e-5f);
    n_key_ = 7;
  }

  ConfigCase& u32_key(Str key, u32 value) {
    keys_.u32_key(full(key), value);
    return count();
  }
  ConfigCase& f32_key(Str key, f32 value) {
    keys_.key(full(key), MetaType::kF32).f32_value(value);
    return count();
  }
  ConfigCase& flag_key(Str key, bool value) {
    keys_.key(full(key), MetaType::kBool).u8_value(value ? 1 : 0);
    return count();
  }
  ConfigCase& text_key(Str key, Str value) {
    keys_.text_key(full(key), value);
    return count();
  }
  ConfigCase& u32_array(Str key, Span<const u32> values) {
    keys_.key(full(key), MetaType::kArray).array(MetaType::kU32, values.size());
    for (const u32 value : values) keys_.u32_value(value);
    return count();
  }
  ConfigCase& f32_array(Str key, Span<const f32> values) {
    keys_.key(full(key), MetaType::kArray).array(MetaType::kF32, values.size());
    for (const f32 value : values) keys_.f32_value(value);
    return count();
  }
  // [n_row][n_col], or [n_col] where n_row is 0; n_col a multiple of 8. All zeros.
  ConfigCase& tensor(Str name, u32 n_col, u32 n_row = 0, DType type = DType::kF32) {
    tensors_.tensor(name, n_col, n_row, type, data_size_);
    data_size_ += u64{n_col} * (n_row == 0 ? 1 : n_row) * sizeof(f32);
    ++n_tensor_;
    return *this;
  }

  [[nodiscard]] Result<ModelFile> open(Arena& arena) {
    GgufBuilder gguf(file_);
    gguf.header(n_tensor_, n_key_);
    gguf.raw(text_of(keys_.bytes())).raw(text_of(tensors_.bytes())).pad(32).zeros(data_size_);
    BufferSource source(gguf.bytes());
    return ModelFile::open(source, arena);
  }
  [[nodiscard]] Result<ModelConfig> read() {
    Arena arena{Span<u8>(tables_)};
    Result<ModelFile> file = open(arena);
    if (!file.ok()) return file.error();
    return read_config(file.value());
  }

 private:
  Str full(Str key) {
    name_.clear();
    return name_.print("{}.{}", architecture_, key).text();
  }
  ConfigCase& count() {
    ++n_key_;
    return *this;
  }
  static Str text_of(Span<const u8> bytes) {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }

  Str architecture_;
  TextBuffer<96> name_;
  u8 key_bytes_[4096] = {};
  u8 tensor_bytes_[8192] = {};
  // Not on the stack, which has 1 MiB on bare metal; they hold nothing between two calls.
  static inline u8 file_[192 * 1024];
  static inline u8 tables_[64 * 1024];
  GgufBuilder keys_;
  GgufBuilder tensors_;
  u32 n_key_ = 0;
  u32 n_tensor_ = 0;
  u64 data_size_ = 0;
};

}  // namespace lbm::test
