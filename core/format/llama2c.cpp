#include "core/format/llama2c.h"

#include "core/base/arith.h"
#include "core/base/fmt.h"
#include "core/format/limits.h"

namespace lbm {
namespace {

constexpr u64 kMaxWidth = 1 << 20;
constexpr u64 kMaxElements = u64{1} << 40;  // of one kind of tensor in all layers

constexpr Str kFieldNames[] = {"dim",        "hidden_dim", "n_layers", "n_heads",
                               "n_kv_heads", "vocab_size", "seq_len"};
enum Field : u32 { kDim, kHidden, kLayers, kHeads, kKvHeads, kVocab, kContext };

Error bad_field(u32 field, const char* what, u32 at) {
  return fail(ErrorCode::kBadShape, what).about(kFieldNames[field]).at(at + 4 * u64{field});
}

}  // namespace

// Nothing is kept in memory for a file before its size and its tokenizer are known to be right.
Result<ModelFile> Llama2cReader::read() {
  if (Status s = read_header(); !s.ok()) return s.error();
  const u64 data_offset = position_;
  lay_out();
  if (Status s = check_size(); !s.ok()) return s.error();
  ByteSource* tokenizer_file = nullptr;
  if (Status s = open_tokenizer(tokenizer_file); !s.ok()) return s.error();
  Llama2cTokenizer tokenizer;
  if (tokenizer_file != nullptr) {
    if (Status s = tokenizer.read(*tokenizer_file, shape_.n_vocab, arena_); !s.ok())
      return s.error();
  }
  if (Status s = take_tables(); !s.ok()) return s.error();
  position_ = data_offset;
  lay_out();
  for (u32 i = 0; i < n_tensor_; ++i) {
    const Status chosen = choose_dtype(source_, tensors_[i], placed_[i].n_row == 0);
    if (chosen.ok()) continue;
    Error error = chosen.error();
    TextBuffer<kMaxTensorNameBytes> name;
    return error.about(name.print(placed_[i].name, placed_[i].layer).text());
  }
  return build(tokenizer_file != nullptr ? &tokenizer : nullptr);
}

// ---- header

Status Llama2cReader::read_header() {
  u8 bytes[kHeaderBytes] = {};
  const usize present = static_cast<usize>(min_u64(file_size_, kHeaderBytes));
  if (Status s = source_.read(0, {bytes, present}); !s.ok()) return s;
  ByteReader in({bytes, present});
  const bool is_legacy = in.read_text(4) != "24ka";
  const u64 needed = is_legacy ? kLegacyHeaderBytes : kHeaderBytes;
  if (file_size_ < needed) {
    return fail(ErrorCode::kTruncated, "the file ends inside its header; bytes needed")
        .with(needed, file_size_)
        .at(file_size_);
  }
  if (is_legacy) {
    position_ = kLegacyHeaderBytes;
    return check_shape(ByteReader({bytes, present}), 0);
  }
  version_ = in.read_u32();
  if (version_ != 1 && version_ != 2) {
    return fail(ErrorCode::kBadVersion, "this build reads llama2.c versions 1 and 2, not version")
        .with(version_)
        .at(4);
  }
  if (Status s = check_shape(in, kMagicBytes); !s.ok()) return s;
  in.skip(28);
  position_ = kHeaderBytes;
  return read_flags(in);
}

// What follows the seven numbers: u8 tied, and the group size of version 2.
Status Llama2cReader::read_flags(ByteReader in) {
  constexpr u64 kTiedAt = 36;
  constexpr u64 kGroupAt = 37;
  const u8 tied = in.read_u8();
  if (tied > 1) {
    return fail(ErrorCode::kBadValue, "the mark of a tied classifier is neither 0 nor 1")
        .with(tied, 1)
        .at(kTiedAt);
  }
  is_tied_ = tied == 1;
  if (version_ == 1) return {};
  const i32 group = in.read_i32();
  if (group < 1) {
    return fail(ErrorCode::kBadShape, "the group size is not positive")
        .about("group_size")
        .at(kGroupAt);
  }
  group_ = static_cast<u32>(group);
  const u32 widths[] = {shape_.n_embd, shape_.n_ff};
  for (const u32 width : widths) {
    if (width % group_ == 0) continue;
    return fail(ErrorCode::kBadShape, "rows are no whole number of groups; columns")
        .about("group_size")
        .with(width, group_)
        .at(kGroupAt);
  }
  return {};
}

// The seven numbers at `at`.
Status Llama2cReader::check_shape(ByteReader in, u32 at) {
  i32 values[7];
  for (i32& value : values) value = in.read_i32();
  is_tied_ = values[kVocab] > 0;
  // A negative vocabulary of the legacy form says that the classifier is not tied.
  if (version_ == 0 && values[kVocab] < 0 && values[kVocab] != INT32_MIN)
    values[kVocab] = -values[kVocab];
  for (u32 i = 0; i < 7; ++i) {
    if (values[i] < 1) return bad_field(i, "this number is not positive", at);
  }
  const auto value = [&](Field field) { return static_cast<u64>(values[field]); };
  constexpr Field kWidths[] = {kDim, kHidden, kVocab};
  for (const Field field : kWidths) {
    if (value(field) > kMaxWidth)
      return bad_field(field, "this number is too large", at).with(value(field), kMaxWidth);
  }
  u64 n_element = 0;
  if (!checked_mul(value(kDim) * value(kHidden), value(kLayers), n_element) ||
      n_element > kMaxElements) {
    return fail(ErrorCode::kOverflow, "the layers together are too large")
        .about(kFieldNames[kLayers])
        .with(value(kLayers))
        .at(at + 4 * u64{kLayers});
  }
  if (value(kLayers) > kMaxLayers)
    return bad_field(kLayers, "too many layers", at).with(value(kLayers), kMaxLayers);
  if (value(kHeads) > value(kDim) || value(kDim) % value(kHeads) != 0)
    return bad_field(kHeads, "it does not divide dim", at).with(value(kHeads), value(kDim));
  if (value(kKvHeads) > value(kHeads) || value(kHeads) % value(kKvHeads) != 0)
    return bad_field(kKvHeads, "it does not divide n_heads", at)
        .with(value(kKvHeads), value(kHeads));
  if (value(kDim) / value(kHeads) % 2 != 0)
    return bad_field(kHeads, "RoPE needs heads of an even size", at)
        .with(value(kDim) / value(kHeads));
  if (value(kContext) > kMaxContext) {
    return fail(ErrorCode::kLimit, "the context is too long")
        .about(kFieldNames[kContext])
        .with(value(kContext), kMaxContext)
        .at(at + 4 * u64{kContext});
  }
  shape_.n_embd = static_cast<u32>(value(kDim));
  shape_.n_ff = static_cast<u32>(value(kHidden));
  shape_.n_layer = static_cast<u32>(value(kLayers));
  shape_.n_head = static_cast<u32>(value(kHeads));
  shape_.n_head_kv = static_cast<u32>(value(kKvHeads));
  shape_.n_vocab = static_cast<u32>(value(kVocab));
  shape_.n_ctx = static_cast<u32>(value(kContext));
  shape_.head_dim = shape_.n_embd / shape_.n_head;
  return {};
}

// ---- tensors

Status Llama2cReader::take_tables() {
  const u64 n_most = u64{9} * shape_.n_layer + 3;
  Result<Span<Placed>> placed = arena_.take<Placed>(n_most, "table of tensors");
  if (!placed.ok()) return placed.error();
  placed_ = placed.value();
  Result<Span<ScaledTensor>> tensors = arena_.take<ScaledTensor>(n_most, "table of tensors");
  if (!tensors.ok()) return tensors.error();
  tensors_ = tensors.value();
  return {};
}

// Takes the place of `n_copy` tensors, one for each layer, after what was placed before, and notes
// them where there are tables. With the limits of check_shape() no sum or product here reaches
// 2^60.
void Llama2cReader::place(const char* name, u32 n_col, u32 n_row, u32 n_copy, bool is_weight) {
  for (u32 i = 0; i < n_copy; ++i) {
    ScaledTensor tensor;
    tensor.n_col = n_col;
    tensor.n_row = n_row == 0 ? 1 : n_row;
    tensor.quants = position_;
    if (is_weight && version_ == 2) {
      tensor.form = ScaledTensor::Form::kInt8;
      tensor.group = group_;
      tensor.scales = position_ + tensor.quants_bytes();
    }
    position_ += tensor.quants_bytes() + tensor.n_scale() * sizeof(f32);
    if (tensors_.empty()) continue;
    placed_[n_tensor_] = {name, i, n_row};
    tensors_[n_tensor_++] = tensor;
  }
}

void Llama2cReader::lay_out() {
  const u32 n_layer = shape_.n_layer;
  struct Group {
    const char* name;
    u32 n_col;
    u32 n_row;
    bool of_layer;
  };
  const u32 dim = shape_.n_embd;
  const u32 kv_dim = shape_.n_head_kv * shape_.head_dim;
  const Group embedding = {"token_embd.weight", dim, shape_.n_vocab, false};
  const Group attn_norm = {"blk.{}.attn_norm.weight", dim, 0, true};
  const Group ffn_norm = {"blk.{}.ffn_norm.weight", dim, 0, true};
  const Group norm = {"output_norm.weight", dim, 0, false};
  const Group q = {"blk.{}.attn_q.weight", dim, dim, true};
  const Group k = {"blk.{}.attn_k.weight", dim, kv_dim, true};
  const Group v = {"blk.{}.attn_v.weight", dim, kv_dim, true};
  const Group o = {"blk.{}.attn_output.weight", dim, dim, true};
  const Group w1 = {"blk.{}.ffn_gate.weight", dim, shape_.n_ff, true};
  const Group w2 = {"blk.{}.ffn_down.weight", shape_.n_ff, dim, true};
  const Group w3 = {"blk.{}.ffn_up.weight", dim, shape_.n_ff, true};
  const Group legacy[] = {embedding, attn_norm, q, k, v, o, ffn_norm, w1, w2, w3, norm};
  const Group current[] = {attn_norm, ffn_norm, norm, embedding, q, k, v, o, w1, w2, w3};
  for (const Group& group : version_ == 0 ? legacy : current) {
    place(group.name, group.n_col, group.n_row, group.of_layer ? n_layer : 1, group.n_row != 0);
  }
  // The tables of cos and sin, f32 [n_ctx][head_dim / 2] each.
  if (version_ == 0) position_ += u64{shape_.n_ctx} * shape_.head_dim * sizeof(f32);
  if (!is_tied_) place("output.weight", dim, shape_.n_vocab, 1, true);
}

// A legacy file has no other mark than that its numbers fit its size, so bytes too many are an
// error too: they are what a wrong sign of the vocabulary leaves.
Status Llama2cReader::check_size() const {
  if (file_size_ < position_) {
    return fail(ErrorCode::kTruncated, "the file is cut short, get it again; bytes needed")
        .with(position_, file_size_)
        .at(file_size_);
  }
  if (file_size_ > position_) {
    return fail(ErrorCode::kMismatch, "bytes after the last tensor; the numbers ask for a file of")
        .with(position_, file_size_)
        .at(position_);
  }
  return {};
}

// ---- the result

// "stories15M.tokenizer.bin" beside "stories15M.bin", else "tokenizer.bin".
Status Llama2cReader::open_tokenizer(ByteSource*& out) const {
  out = options_.tokenizer;
  if (out != nullptr) return {};
  const Str name = source_.name();
  const Str stem =
      name.ends_with(".bin") || name.ends_with(".BIN") ? name.first(name.size() - 4) : name;
  TextBuffer<FileEntry::kMaxPath + 1> own;
  own.print("{}.tokenizer.bin", stem);
  const Str candidates[] = {own.text(), "tokenizer.bin"};
  for (const Str candidate : candidates) {
    Result<ByteSource*> opened = source_.open_beside(candidate);
    if (opened.ok()) {
      out = opened.value();
      return {};
    }
    if (opened.error().code != ErrorCode::kNotFound) return opened.error();
  }
  if (options_.without_tokenizer) return {};
  return fail(ErrorCode::kMissing,
              "the tokenizer of a llama2.c model is a file of its own: put it beside the model, or "
              "name it with --tokenizer")
      .about("tokenizer.bin");
}

Result<ModelFile> Llama2cReader::build(const Llama2cTokenizer* tokenizer) {
  bool is_translated = false;
  for (u32 i = 0; i < n_tensor_; ++i)
    is_translated = is_translated || tensors_[i].form != ScaledTensor::Form::kPlain;
  ByteSource* data = &source_;
  if (is_translated) {
    Result<ScaledSource*> scaled =
        arena_.make<ScaledSource>("weights of the model", source_, tensors_.first(n_tensor_));
    if (!scaled.ok()) return scaled.error();
    data = scaled.value();
  }
  HeaderBuilder out(arena_);
  put_llama_keys(out, shape_, source_.name());
  if (tokenizer != nullptr) tokenizer->put(out);
  for (u32 i = 0; i < n_tensor_; ++i) {
    const ScaledTensor& tensor = tensors_[i];
    TextBuffer<kMaxTensorNameBytes> name;
    name.print(placed_[i].name, placed_[i].layer);
    out.tensor(name.text(), tensor.n_col, placed_[i].n_row, tensor.dtype,
               is_translated ? tensor.offset : tensor.quants);
  }
  HeaderBuilder::Facts facts;
  facts.format = FileFormat::kLlama2c;
  facts.version = version_;
  facts.data = data;
  facts.is_translated = is_translated;
  facts.file_size = file_size_;
  facts.alignment = sizeof(f32);
  return out.finish(facts);
}

}  // namespace lbm
