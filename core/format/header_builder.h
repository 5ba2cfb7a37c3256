// Metadata and a tensor table for files that have none in the form of GGUF: written into memory as
// GGUF has them, so that a ModelFile reads every format in one way.
//
// Keys first, then tensors, then finish(). Writing beyond the memory is remembered and reported by
// finish(); names and counts are of the readers' making, so they are not checked again.
#pragma once

#include "core/base/arena.h"
#include "core/base/result.h"
#include "core/format/model_file.h"

namespace lbm {

// What to say to a model that knows no turns: the words of the conversation as they are.
inline constexpr Str kPlainTextTemplate =
    "{{ bos_token }}{% for message in messages %}{% if message['role'] != 'system' %}"
    "{{ message['content'] }}{% endif %}{% endfor %}";

class HeaderBuilder {
 public:
  // Takes what memory is left, until finish() gives back the rest. Nothing else may be taken from
  // the arena in between.
  explicit HeaderBuilder(Arena& arena);

  void text(Str key, Str value);
  void number(Str key, u32 value);
  void real(Str key, f32 value);
  void boolean(Str key, bool value);
  // An array, followed by `count` calls of its kind of element.
  void array(Str key, MetaType type, u64 count);
  void text_element(Str value);
  void number_element(u32 value) { put(value, 4); }
  void real_element(f32 value) { put(__builtin_bit_cast(u32, value), 4); }
  // A text element in pieces: begin, any number of text_piece(), end.
  void begin_text_element();
  void text_piece(Str bytes) { put_bytes(bytes.bytes()); }
  void end_text_element();

  // W [n_row][n_col], or a vector [n_col] where n_row is 0. `offset` counts in ModelFile::data().
  void tensor(Str name, u64 n_col, u64 n_row, DType dtype, u64 offset);

  // What the ModelFile says beside metadata and tensors.
  struct Facts {
    FileFormat format = FileFormat::kGguf;
    u32 version = 0;
    ByteSource* data = nullptr;
    bool is_translated = false;
    u64 file_size = 0;
    u64 alignment = 1;
    // Whose metadata it has, where none were written here, and where those stand in the file.
    const ModelFile* metadata = nullptr;
    u64 metadata_at = Error::kNoOffset;
  };
  // Errors: kOutOfMemory, kLimit.
  [[nodiscard]] Result<ModelFile> finish(const Facts& facts);

 private:
  void key(Str name, MetaType type);
  void put(u64 value, u32 n_byte);
  void put_bytes(Span<const u8> bytes);
  [[nodiscard]] Result<NameTable> index(u32 n, usize start, bool is_meta, const char* what);

  Arena& arena_;
  Span<u8> room_;
  usize size_ = 0;
  usize tensors_start_ = 0;
  usize text_start_ = 0;  // of the element that is open
  u32 n_meta_ = 0;
  u32 n_tensor_ = 0;
  bool is_full_ = false;
};

// The shape of a llama-like model, and the keys that tell it.
struct LlamaShape {
  u32 n_vocab = 0;
  u32 n_layer = 0;
  u32 n_embd = 0;
  u32 n_ff = 0;
  u32 n_head = 0;
  u32 n_head_kv = 0;
  u32 head_dim = 0;
  u32 n_ctx = 0;
  f32 rope_theta = 10000.0f;
  f32 rms_eps = 1e-5f;
};
// `name` is that of the file; its extension is left out.
void put_llama_keys(HeaderBuilder& out, const LlamaShape& shape, Str name);

}  // namespace lbm
