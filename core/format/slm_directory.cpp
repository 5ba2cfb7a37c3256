// The .slm reader: the directory of tensors.
//
// Entries may stand in any order, but the payloads follow in the order of the entries, each at the
// next multiple of 64: first the values or integers, then the scales. That leaves no room for
// overlaps, gaps or hidden bytes.
#include "core/base/arith.h"
#include "core/base/fmt.h"
#include "core/format/limits.h"
#include "core/format/slm.h"

namespace lbm {
namespace {

// Offsets in an entry.
constexpr u32 kTypeAt = 8;
constexpr u32 kRankAt = 12;
constexpr u32 kDimsAt = 16;
constexpr u32 kDataAt = 32;
constexpr u32 kLengthAt = 40;
constexpr u32 kScalesAt = 48;
constexpr u32 kBlockAt = 56;
constexpr u32 kPadAt = 60;

}  // namespace

slm::TensorShape slm::tensor_shape(const LlamaShape& shape, u32 index, TextWriter& name) {
  const u32 q_dim = shape.n_head * shape.head_dim;
  const u32 kv_dim = shape.n_head_kv * shape.head_dim;
  const u32 n_embd = shape.n_embd;
  const u32 n_of_layers = kTensorsPerLayer * shape.n_layer;
  if (index == 0) {
    name.append("token_embd.weight");
    return {n_embd, shape.n_vocab};
  }
  if (index == n_of_layers + 1) {
    name.append("output_norm.weight");
    return {n_embd, 0};
  }
  if (index > n_of_layers) {
    name.append("output.weight");
    return {n_embd, shape.n_vocab};
  }
  const struct {
    const char* name;
    TensorShape shape;
  } of_layer[kTensorsPerLayer] = {
      {"attn_norm", {n_embd, 0}},         {"attn_q", {n_embd, q_dim}},
      {"attn_k", {n_embd, kv_dim}},       {"attn_v", {n_embd, kv_dim}},
      {"attn_output", {q_dim, n_embd}},   {"ffn_norm", {n_embd, 0}},
      {"ffn_gate", {n_embd, shape.n_ff}}, {"ffn_up", {n_embd, shape.n_ff}},
      {"ffn_down", {shape.n_ff, n_embd}}};
  const auto& tensor = of_layer[(index - 1) % kTensorsPerLayer];
  name.print("blk.{}.{}.weight", (index - 1) / kTensorsPerLayer, tensor.name);
  return tensor.shape;
}

Status SlmReader::read_directory() {
  u64 n_slot = 1;
  while (n_slot < u64{2} * n_tensor_) n_slot *= 2;
  Result<Span<Known>> known = arena_.take<Known>(n_slot, "names of tensors");
  if (!known.ok()) return known.error();
  known_ = known.value();
  Result<Span<ScaledTensor>> tensors = arena_.take<ScaledTensor>(n_tensor_, "table of tensors");
  if (!tensors.ok()) return tensors.error();
  Result<Span<u32>> indexes = arena_.take<u32>(n_tensor_, "table of tensors");
  if (!indexes.ok()) return indexes.error();
  indexes_ = indexes.value();
  // The hashes are of our names, whatever the file says, so the table can not be made to collide.
  for (u32 i = 0; i < n_tensor_; ++i) {
    TextBuffer<kMaxTensorNameBytes> name;
    static_cast<void>(slm::tensor_shape(shape_, i, name));
    const u64 hash = slm::hash_name(name.text());
    usize slot = static_cast<usize>(hash & (n_slot - 1));
    while (known_[slot].is_used) slot = (slot + 1) & (known_.size() - 1);
    known_[slot] = {hash, i, false, true};
  }
  position_ = data_offset_;
  constexpr u32 kAtOnce = 32;
  u8 bytes[kAtOnce * slm::kEntryBytes];
  for (u32 i = 0; i < n_tensor_; ++i) {
    const u64 entry_at = directory_.offset + u64{i} * slm::kEntryBytes;
    if (i % kAtOnce == 0) {
      const u32 n = min_u32(kAtOnce, n_tensor_ - i) * slm::kEntryBytes;
      if (Status s = source_.read(entry_at, {bytes, n}); !s.ok()) return s;
    }
    tensors_ = tensors.value().first(i + 1);
    const Span<const u8> all(bytes);
    if (Status s =
            read_entry(all.slice((i % kAtOnce) * slm::kEntryBytes, slm::kEntryBytes), entry_at);
        !s.ok())
      return s;
  }
  if (position_ == file_size_) return {};
  return fail(ErrorCode::kMismatch, "bytes after the last tensor")
      .with(file_size_ - position_)
      .at(position_);
}

// The tensor whose name hashes to `hash`. As many entries as tensors, none twice: none is missing.
Status SlmReader::find_name(u64 hash, u64 entry_at, u32& index) {
  usize slot = static_cast<usize>(hash & (known_.size() - 1));
  while (known_[slot].is_used && known_[slot].hash != hash) slot = (slot + 1) & (known_.size() - 1);
  Known& known = known_[slot];
  if (!known.is_used) {
    return fail(ErrorCode::kBadName, "the hash of a name that no tensor of such a model has")
        .at(entry_at);
  }
  if (known.is_met) {
    TextBuffer<kMaxTensorNameBytes> name;
    static_cast<void>(slm::tensor_shape(shape_, known.index, name));
    return fail(ErrorCode::kDuplicate, "this name was given before")
        .about(name.text())
        .at(entry_at);
  }
  known.is_met = true;
  index = known.index;
  return {};
}

Status SlmReader::read_entry(Span<const u8> bytes, u64 entry_at) {
  ByteReader in(bytes);
  const usize i = tensors_.size() - 1;
  if (Status s = find_name(in.read_u64(), entry_at, indexes_[i]); !s.ok()) return s;
  TextBuffer<kMaxTensorNameBytes> name;
  const slm::TensorShape shape = slm::tensor_shape(shape_, indexes_[i], name);
  ScaledTensor& tensor = tensors_[i];
  tensor = {};
  Status status = check_kind(in, shape, entry_at, tensor);
  if (status.ok()) status = place(ByteReader(bytes.from(kDataAt)), entry_at, tensor);
  if (status.ok()) status = choose_dtype(source_, tensor, shape.n_row == 0);
  if (status.ok()) return {};
  Error error = status.error();
  return error.about(name.text());
}

// dtype, rank, dimensions; `in` stands after the hash.
Status SlmReader::check_kind(ByteReader in, slm::TensorShape shape, u64 entry_at,
                             ScaledTensor& out) const {
  const u32 dtype = in.read_u32();
  switch (dtype) {
    case slm::kF32: out.form = ScaledTensor::Form::kPlain; break;
    case slm::kQ8_0: out.form = ScaledTensor::Form::kInt8; break;
    case slm::kQ4_0: out.form = ScaledTensor::Form::kInt4; break;
    default:
      return fail(ErrorCode::kBadType, "unknown dtype")
          .with(dtype, slm::kQ4_0)
          .at(entry_at + kTypeAt);
  }
  out.n_col = shape.n_col;
  out.n_row = shape.n_row == 0 ? 1 : shape.n_row;
  const u32 rank = shape.n_row == 0 ? 1 : 2;
  if (const u32 given = in.read_u32(); given != rank) {
    return fail(ErrorCode::kBadShape, "another rank than this tensor has")
        .with(given, rank)
        .at(entry_at + kRankAt);
  }
  // Slow dimension first; what is not used is 1.
  const u32 wanted[4] = {rank == 1 ? shape.n_col : shape.n_row, rank == 1 ? 1 : shape.n_col, 1, 1};
  for (u32 i = 0; i < 4; ++i) {
    const u32 dim = in.read_u32();
    if (dim == wanted[i]) continue;
    return fail(ErrorCode::kMismatch, "a dimension that the header does not ask for")
        .with(dim, wanted[i])
        .at(entry_at + kDimsAt + 4 * u64{i});
  }
  if (out.form == ScaledTensor::Form::kInt4 && out.n_col % 2 != 0) {
    return fail(ErrorCode::kBadShape, "rows of q4_0 have an even number of columns")
        .with(out.n_col)
        .at(entry_at + kDimsAt);
  }
  return {};
}

// Offsets and lengths; `in` stands at data_offset. With the limits of the header no product here
// reaches 2^60.
Status SlmReader::place(ByteReader in, u64 entry_at, ScaledTensor& tensor) {
  tensor.quants = in.read_u64();
  const u64 n_byte = in.read_u64();
  tensor.scales = in.read_u64();
  const u32 block = in.read_u32();
  const u32 pad = in.read_u32();
  const bool is_plain = tensor.form == ScaledTensor::Form::kPlain;
  const u32 wanted_block = is_plain                                   ? 0
                           : tensor.form == ScaledTensor::Form::kInt8 ? tensor.n_col
                                                                      : slm::kQ4Block;
  if (block != wanted_block) {
    return fail(ErrorCode::kBadValue, "another block size than this dtype has")
        .with(block, wanted_block)
        .at(entry_at + kBlockAt);
  }
  tensor.group = block;
  if (pad != 0) {
    return fail(ErrorCode::kBadValue, "a field that version 1 leaves 0 is not")
        .at(entry_at + kPadAt);
  }
  if (n_byte != tensor.quants_bytes()) {
    return fail(ErrorCode::kMismatch, "the length does not fit the dimensions")
        .with(n_byte, tensor.quants_bytes())
        .at(entry_at + kLengthAt);
  }
  if (Status s = take_place(tensor.quants, n_byte, entry_at + kDataAt); !s.ok()) return s;
  if (!is_plain)
    return take_place(tensor.scales, tensor.n_scale() * sizeof(f32), entry_at + kScalesAt);
  if (tensor.scales == 0) return {};
  return fail(ErrorCode::kBadOffset, "f32 has no scales; the offset has to be 0")
      .with(tensor.scales, 0)
      .at(entry_at + kScalesAt);
}

// `n_byte` bytes that have to start where the ones before ended, padded.
Status SlmReader::take_place(u64 offset, u64 n_byte, u64 field_at) {
  if (offset % slm::kAlignment != 0) {
    return fail(ErrorCode::kBadAlignment, "the offset is not a multiple of 64")
        .with(offset, slm::kAlignment)
        .at(field_at);
  }
  if (offset < position_) {
    return fail(ErrorCode::kOverlap, "this starts inside what stands before it; offset")
        .with(offset, position_)
        .at(field_at);
  }
  if (offset != position_) {
    return fail(ErrorCode::kBadOffset, "this does not follow what stands before it; offset")
        .with(offset, position_)
        .at(field_at);
  }
  const u64 end = align_up(position_ + n_byte, slm::kAlignment);
  if (end > file_size_) {
    return fail(ErrorCode::kTruncated, "the file is cut short, get it again; bytes needed")
        .with(end, file_size_)
        .at(field_at);
  }
  position_ = end;
  return {};
}

}  // namespace lbm
