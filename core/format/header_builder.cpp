#include "core/format/header_builder.h"

#include "core/base/arith.h"
#include "core/base/byte_reader.h"
#include "core/format/limits.h"

namespace lbm {
namespace {

// Passes over the key, type and value at the start of `in`.
void skip_meta(ByteReader& in) {
  in.skip(in.read_u64());
  const MetaType type = static_cast<MetaType>(in.read_u32());
  if (type == MetaType::kString) {
    in.skip(in.read_u64());
  } else if (type == MetaType::kArray) {
    const MetaType element = static_cast<MetaType>(in.read_u32());
    const u64 count = in.read_u64();
    if (element != MetaType::kString) return in.skip(count * meta_type_bytes(element));
    for (u64 i = 0; i < count; ++i) in.skip(in.read_u64());
  } else {
    in.skip(meta_type_bytes(type));
  }
}

void skip_tensor(ByteReader& in) {
  in.skip(in.read_u64());
  const u32 n_dim = in.read_u32();
  in.skip(u64{n_dim} * 8 + 4 + 8);
}

}  // namespace

HeaderBuilder::HeaderBuilder(Arena& arena) : arena_(arena) {
  const u64 most = min_u64(kMaxMetadataBytes, arena_.largest_free());
  const Result<Span<u8>> room = arena_.take_raw(most, "model metadata");
  if (room.ok()) room_ = room.value();  // else there is room for nothing, which finish() tells
}

void HeaderBuilder::put(u64 value, u32 n_byte) {
  u8 bytes[8];
  for (u32 i = 0; i < n_byte; ++i) bytes[i] = static_cast<u8>(value >> (8 * i));
  put_bytes({bytes, n_byte});
}

void HeaderBuilder::put_bytes(Span<const u8> bytes) {
  if (is_full_ || bytes.size() > room_.size() - size_) {
    is_full_ = true;
    return;
  }
  if (!bytes.empty()) __builtin_memcpy(room_.data() + size_, bytes.data(), bytes.size());
  size_ += bytes.size();
}

void HeaderBuilder::key(Str name, MetaType type) {
  text_element(name);
  put(static_cast<u32>(type), 4);
  ++n_meta_;
}

void HeaderBuilder::text(Str name, Str value) {
  key(name, MetaType::kString);
  text_element(value);
}

void HeaderBuilder::number(Str name, u32 value) {
  key(name, MetaType::kU32);
  number_element(value);
}

void HeaderBuilder::real(Str name, f32 value) {
  key(name, MetaType::kF32);
  real_element(value);
}

void HeaderBuilder::boolean(Str name, bool value) {
  key(name, MetaType::kBool);
  put(value ? 1 : 0, 1);
}

void HeaderBuilder::array(Str name, MetaType type, u64 count) {
  key(name, MetaType::kArray);
  put(static_cast<u32>(type), 4);
  put(count, 8);
}

void HeaderBuilder::text_element(Str value) {
  put(value.size(), 8);
  put_bytes(value.bytes());
}

void HeaderBuilder::begin_text_element() {
  text_start_ = size_;
  put(0, 8);
}

void HeaderBuilder::end_text_element() {
  if (is_full_) return;
  const u64 n_byte = size_ - text_start_ - 8;
  for (u32 i = 0; i < 8; ++i) room_[text_start_ + i] = static_cast<u8>(n_byte >> (8 * i));
}

void HeaderBuilder::tensor(Str name, u64 n_col, u64 n_row, DType dtype, u64 offset) {
  if (n_tensor_++ == 0) tensors_start_ = size_;
  text_element(name);
  put(n_row == 0 ? 1 : 2, 4);
  put(n_col, 8);
  if (n_row != 0) put(n_row, 8);
  put(static_cast<u32>(dtype), 4);
  put(offset, 8);
}

// Walks `n` entries from `start`; sorts their names.
Result<NameTable> HeaderBuilder::index(u32 n, usize start, bool is_meta, const char* what) {
  Result<NameTable> table = NameTable::create(arena_, n, what);
  if (!table.ok()) return table;
  ByteReader in(room_);
  in.skip(start);
  for (u32 i = 0; i < n; ++i) {
    ByteReader entry(room_.from(in.position()));
    const u64 n_byte = entry.read_u64();
    table.value().set(i, static_cast<u32>(in.position()), entry.read_text(n_byte));
    if (is_meta) {
      skip_meta(in);
    } else {
      skip_tensor(in);
    }
  }
  table.value().set_end(static_cast<u32>(in.position()));
  const Status sorted = table.value().sort(room_);
  LBM_CHECK(in.ok() && sorted.ok());  // whoever wrote them gave each name once
  return table;
}

Result<ModelFile> HeaderBuilder::finish(const Facts& facts) {
  if (is_full_ && room_.size() == kMaxMetadataBytes) {
    return fail(ErrorCode::kLimit, "the metadata are too large; bytes").with(kMaxMetadataBytes);
  }
  if (is_full_) return fail(ErrorCode::kOutOfMemory, "model metadata").with(room_.size());
  room_ = arena_.grow(room_, size_, "model metadata").value();
  Result<NameTable> metas = index(n_meta_, 0, true, "table of metadata keys");
  if (!metas.ok()) return metas.error();
  Result<NameTable> tensors = index(n_tensor_, tensors_start_, false, "table of tensors");
  if (!tensors.ok()) return tensors.error();
  ModelFile file;
  file.metadata_ = room_;
  file.tensor_table_ = room_;
  file.metas_ = metas.value();
  file.metadata_at_ = facts.metadata_at;
  if (facts.metadata != nullptr) {
    file.metadata_ = facts.metadata->metadata_;
    file.metas_ = facts.metadata->metas_;
  }
  file.tensors_ = tensors.value();
  file.data_ = facts.data;
  file.file_size_ = facts.file_size;
  file.alignment_ = facts.alignment;
  file.version_ = facts.version;
  file.format_ = facts.format;
  file.is_translated_ = facts.is_translated;
  return file;
}

void put_llama_keys(HeaderBuilder& out, const LlamaShape& shape, Str name) {
  usize end = name.size();
  for (usize i = name.size(); i > 1; --i) {
    if (name[i - 1] != '.') continue;
    end = i - 1;
    break;
  }
  out.text("general.architecture", "llama");
  if (end != 0) out.text("general.name", name.first(end));
  const struct {
    Str key;
    u32 value;
  } numbers[] = {{"llama.vocab_size", shape.n_vocab},
                 {"llama.block_count", shape.n_layer},
                 {"llama.context_length", shape.n_ctx},
                 {"llama.embedding_length", shape.n_embd},
                 {"llama.feed_forward_length", shape.n_ff},
                 {"llama.attention.head_count", shape.n_head},
                 {"llama.attention.head_count_kv", shape.n_head_kv},
                 {"llama.attention.key_length", shape.head_dim},
                 {"llama.attention.value_length", shape.head_dim},
                 {"llama.rope.dimension_count", shape.head_dim}};
  for (const auto& entry : numbers) out.number(entry.key, entry.value);
  out.real("llama.rope.freq_base", shape.rope_theta);
  out.real("llama.attention.layer_norm_rms_epsilon", shape.rms_eps);
}

}  // namespace lbm
