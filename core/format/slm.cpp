// The .slm reader: header and sections, then what becomes of it. slm_directory.cpp reads the
// tensors, slm_tokenizer.cpp the tokenizer.
#include "core/format/slm.h"

#include "core/base/arith.h"
#include "core/base/fmt.h"
#include "core/format/gguf.h"
#include "core/format/limits.h"

namespace lbm {
namespace {

constexpr u32 kVersion = 1;
constexpr u64 kMaxWidth = 1 << 20;
constexpr u64 kMaxHeads = 1024;
constexpr u64 kMaxHeadDim = 1024;

// Offsets of fields.
constexpr u64 kVersionAt = 4;
constexpr u64 kLengthAt = 8;
constexpr u64 kGapAt = 12;
constexpr u64 kFlagsAt = 16;
constexpr u64 kShapeAt = 20;
constexpr u64 kThetaAt = 56;
constexpr u64 kEpsAt = 60;
constexpr u64 kTokenizerAt = 64;
constexpr u64 kDirectoryAt = 80;
constexpr u64 kCountAt = 88;
constexpr u64 kDataAt = 92;
constexpr u64 kTensorCountAt = 8;  // in a section of GGUF

// A part of a file as a file.
class SectionSource final : public ByteSource {
 public:
  SectionSource(ByteSource& file, u64 offset, u64 size)
      : file_(file), offset_(offset), size_(size) {}
  [[nodiscard]] u64 size() const override { return size_; }
  [[nodiscard]] Status read(u64 offset, Span<u8> out) override {
    return file_.read(offset_ + offset, out);
  }

 private:
  ByteSource& file_;
  u64 offset_;
  u64 size_;
};

}  // namespace

Result<ModelFile> SlmReader::read() {
  if (Status s = read_header(); !s.ok()) return s.error();
  if (Status s = check_checksum(); !s.ok()) return s.error();
  if (Status s = read_directory(); !s.ok()) return s.error();
  return build();
}

// ---- header

Status SlmReader::read_header() {
  u8 header[slm::kHeaderBytes] = {};
  const usize present = static_cast<usize>(min_u64(file_size_, slm::kHeaderBytes));
  if (Status s = source_.read(0, {header, present}); !s.ok()) return s;
  if (Status s = check_start(ByteReader({header, present})); !s.ok()) return s;
  if (present < slm::kHeaderBytes) {
    return fail(ErrorCode::kTruncated, "the file ends inside its header; bytes needed")
        .with(slm::kHeaderBytes, file_size_)
        .at(file_size_);
  }
  ByteReader in(Span<const u8>(header).from(kLengthAt));
  header_bytes_ = in.read_u32();
  if (header_bytes_ < slm::kHeaderBytes) {
    return fail(ErrorCode::kBadValue, "the header is too short")
        .with(header_bytes_, slm::kHeaderBytes)
        .at(kLengthAt);
  }
  if (header_bytes_ > file_size_) {
    return fail(ErrorCode::kTruncated, "the file ends inside its header; bytes needed")
        .with(header_bytes_, file_size_)
        .at(kLengthAt);
  }
  if (in.read_u32() != 0) {
    return fail(ErrorCode::kBadVersion, "a field that version 1 leaves 0 is not").at(kGapAt);
  }
  flags_ = in.read_u32();
  if ((flags_ & ~slm::kTiedFlag) != 0) {
    return fail(ErrorCode::kBadVersion, "flags that version 1 has not got")
        .with(flags_, slm::kTiedFlag)
        .at(kFlagsAt);
  }
  if (Status s = check_shape(in); !s.ok()) return s;
  return check_sections(ByteReader(Span<const u8>(header).from(kTokenizerAt)));
}

// Magic and version, as far as a short file shows them.
Status SlmReader::check_start(ByteReader in) {
  const Str magic = in.read_text(4);
  if (magic == "1MLS") {
    return fail(ErrorCode::kBadEndian, "a big-endian .slm file; write it little-endian").at(0);
  }
  if (magic != "SLM1") return fail(ErrorCode::kBadMagic, "not an .slm file").at(0);
  const u32 version = in.read_u32();
  if (!in.ok() || version == kVersion) return {};
  if (__builtin_bswap32(version) == kVersion) {
    return fail(ErrorCode::kBadEndian, "a big-endian .slm file; write it little-endian")
        .at(kVersionAt);
  }
  return fail(ErrorCode::kBadVersion, "this build reads .slm version 1, not version")
      .with(version)
      .at(kVersionAt);
}

Status SlmReader::check_shape(ByteReader in) {
  const struct {
    Str name;
    u32& value;
    u64 most;
  } fields[] = {
      {"n_vocab", shape_.n_vocab, kMaxVocabulary}, {"n_layer", shape_.n_layer, kMaxLayers},
      {"n_head", shape_.n_head, kMaxHeads},        {"n_head_kv", shape_.n_head_kv, kMaxHeads},
      {"head_dim", shape_.head_dim, kMaxHeadDim},  {"n_ff", shape_.n_ff, kMaxWidth},
      {"n_ctx", shape_.n_ctx, kMaxContext},        {"n_embd", shape_.n_embd, kMaxWidth}};
  u64 at = kShapeAt;
  for (const auto& field : fields) {
    field.value = in.read_u32();
    if (field.value == 0 || field.value > field.most) {
      return fail(ErrorCode::kBadValue, "this dimension is out of range")
          .about(field.name)
          .with(field.value, field.most)
          .at(at);
    }
    at += 4;
  }
  if (in.read_u32() != 0) {
    return fail(ErrorCode::kBadVersion, "a field that version 1 leaves 0 is not").at(at);
  }
  if (shape_.n_head % shape_.n_head_kv != 0) {
    return fail(ErrorCode::kMismatch, "n_head_kv does not divide n_head")
        .about("n_head_kv")
        .with(shape_.n_head_kv, shape_.n_head)
        .at(kShapeAt + 12);
  }
  if (shape_.head_dim % 2 != 0) {
    return fail(ErrorCode::kBadValue, "RoPE needs heads of an even size")
        .about("head_dim")
        .with(shape_.head_dim)
        .at(kShapeAt + 16);
  }
  const struct {
    Str name;
    f32& value;
    u64 at;
  } reals[] = {{"rope_theta", shape_.rope_theta, kThetaAt}, {"rms_eps", shape_.rms_eps, kEpsAt}};
  for (const auto& real : reals) {
    real.value = in.read_f32();
    // NaN fails every comparison.
    if (real.value > 0.0f && real.value - real.value == 0.0f) continue;
    return fail(ErrorCode::kNumeric, "this is no positive number").about(real.name).at(real.at);
  }
  return {};
}

// ---- sections

Status SlmReader::check_section(const char* name, Section section, u64 field_at) const {
  u64 end = 0;
  if (!checked_add(section.offset, section.n_byte, end)) {
    return fail(ErrorCode::kOverflow, "offset and length add up beyond 64 bits")
        .about(name)
        .with(section.offset)
        .at(field_at);
  }
  if (section.offset < header_bytes_) {
    return fail(ErrorCode::kOverlap, "this section starts inside the header")
        .about(name)
        .with(section.offset, header_bytes_)
        .at(field_at);
  }
  if (end > file_size_) {
    return fail(ErrorCode::kTruncated, "the file ends before this section")
        .about(name)
        .with(end, file_size_)
        .at(field_at);
  }
  if (end > data_offset_) {
    return fail(ErrorCode::kOverlap, "this section reaches into the tensor data")
        .about(name)
        .with(end, data_offset_)
        .at(field_at);
  }
  return {};
}

Status SlmReader::check_sections(ByteReader in) {
  tokenizer_.offset = in.read_u64();
  tokenizer_.n_byte = in.read_u64();
  directory_.offset = in.read_u64();
  n_tensor_ = in.read_u32();
  data_offset_ = in.read_u64();
  checksum_ = in.read_u64();
  const u32 n_tied = slm::n_tensors(shape_.n_layer, true);
  is_tied_ = n_tensor_ == n_tied;
  if (!is_tied_ && n_tensor_ != n_tied + 1) {
    return fail(ErrorCode::kMismatch, "the layers ask for another number of tensors")
        .about("tensor_count")
        .with(n_tensor_, n_tied + 1)
        .at(kCountAt);
  }
  if (is_tied_ && (flags_ & slm::kTiedFlag) == 0) {
    return fail(ErrorCode::kMissing, "there is no output matrix, and the flag of a tied one is off")
        .about("output.weight")
        .at(kFlagsAt);
  }
  directory_.n_byte = u64{n_tensor_} * slm::kEntryBytes;
  if (data_offset_ % slm::kAlignment != 0) {
    return fail(ErrorCode::kBadAlignment, "tensor_data_offset is not a multiple of 64")
        .with(data_offset_, slm::kAlignment)
        .at(kDataAt);
  }
  if (data_offset_ > file_size_) {
    return fail(ErrorCode::kTruncated, "the file ends before its tensor data")
        .with(data_offset_, file_size_)
        .at(kDataAt);
  }
  if (tokenizer_.n_byte > kMaxMetadataBytes) {
    return fail(ErrorCode::kLimit, "the tokenizer is too large; bytes")
        .with(tokenizer_.n_byte, kMaxMetadataBytes)
        .at(kTokenizerAt + 8);
  }
  if (Status s = check_section("tokenizer", tokenizer_, kTokenizerAt); !s.ok()) return s;
  if (Status s = check_section("directory", directory_, kDirectoryAt); !s.ok()) return s;
  const bool tokenizer_first = tokenizer_.offset < directory_.offset;
  const Section& low = tokenizer_first ? tokenizer_ : directory_;
  const Section& high = tokenizer_first ? directory_ : tokenizer_;
  if (low.offset + low.n_byte > high.offset) {
    return fail(ErrorCode::kOverlap, "tokenizer and directory overlap")
        .with(high.offset, low.offset + low.n_byte)
        .at(tokenizer_first ? kDirectoryAt : kTokenizerAt);
  }
  return {};
}

// Over the whole file, so that damage is found before anything is believed.
Status SlmReader::check_checksum() {
  constexpr u64 kChunk = 1 * kMiB;
  const Arena::Mark mark = arena_.mark();
  const u64 room = min_u64(min_u64(kChunk, file_size_), arena_.largest_free() / 2);
  Result<Span<u8>> taken = arena_.take_raw(max_u64(room, slm::kHeaderBytes), "checksum");
  if (!taken.ok()) return taken.error();
  const Span<u8> chunk = taken.value();
  slm::Fnv1a hash;
  Status status;
  for (u64 at = 0; at < file_size_ && status.ok();) {
    const Span<u8> part = chunk.first(static_cast<usize>(min_u64(chunk.size(), file_size_ - at)));
    status = source_.read(at, part);
    if (status.ok() && at == 0) __builtin_memset(part.data() + slm::kChecksumAt, 0, 8);
    if (status.ok()) hash.update(part);
    at += part.size();
  }
  arena_.rewind(mark);
  if (!status.ok()) return status;
  if (hash.value() == checksum_) return {};
  return fail(ErrorCode::kBadHash, "the file is damaged: its checksum differs, get it again")
      .at(slm::kChecksumAt);
}

// ---- the result

Result<ModelFile> SlmReader::build() {
  bool is_translated = false;
  for (const ScaledTensor& tensor : tensors_)
    is_translated = is_translated || tensor.form != ScaledTensor::Form::kPlain;
  ByteSource* data = &source_;
  if (is_translated) {
    Result<ScaledSource*> scaled =
        arena_.make<ScaledSource>("weights of the model", source_, tensors_);
    if (!scaled.ok()) return scaled.error();
    data = scaled.value();
  }
  Result<Span<u8>> section = arena_.take_raw(max_u64(tokenizer_.n_byte, 1), "tokenizer");
  if (!section.ok()) return section.error();
  const Span<u8> bytes = section.value().first(static_cast<usize>(tokenizer_.n_byte));
  if (Status s = source_.read(tokenizer_.offset, bytes); !s.ok()) return s.error();
  SlmTokenizer tokenizer;
  if (Status s = tokenizer.read(bytes, tokenizer_.offset, shape_.n_vocab, arena_); !s.ok())
    return s.error();
  ModelFile vocabulary;
  const bool has_metadata = tokenizer.kind() == SlmTokenizer::Kind::kGguf;
  if (has_metadata) {
    Result<ModelFile> read = take_vocabulary();
    if (!read.ok()) return read;
    vocabulary = read.value();
  }
  HeaderBuilder out(arena_);
  if (!has_metadata) {
    put_llama_keys(out, shape_, source_.name());
    tokenizer.put(out);
  }
  for (usize i = 0; i < tensors_.size(); ++i) {
    TextBuffer<kMaxTensorNameBytes> name;
    const slm::TensorShape shape = slm::tensor_shape(shape_, indexes_[i], name);
    const ScaledTensor& tensor = tensors_[i];
    out.tensor(name.text(), shape.n_col, shape.n_row, tensor.dtype,
               is_translated ? tensor.offset : tensor.quants);
  }
  HeaderBuilder::Facts facts;
  facts.format = FileFormat::kSlm;
  facts.version = kVersion;
  facts.data = data;
  facts.is_translated = is_translated;
  facts.file_size = file_size_;
  facts.alignment = slm::kAlignment;
  if (has_metadata) {
    facts.metadata = &vocabulary;
    facts.metadata_at = tokenizer_.offset;
  }
  return out.finish(facts);
}

// The metadata of a GGUF section. They may say more than the header, but nothing else.
Result<ModelFile> SlmReader::take_vocabulary() {
  SectionSource section(source_, tokenizer_.offset, tokenizer_.n_byte);
  const auto in_section = [&](const Error& error) {
    Error moved = error;
    if (moved.offset != Error::kNoOffset) moved.offset += tokenizer_.offset;
    return moved;
  };
  Result<ModelFile> read = GgufReader(section, arena_).read();
  if (!read.ok()) return in_section(read.error());
  const ModelFile& file = read.value();
  const auto differs = [&](Str key, u64 value, u64 wanted, u64 at) {
    return fail(ErrorCode::kMismatch, "header and metadata differ in this")
        .about(key)
        .with(value, wanted)
        .at(at);
  };
  if (file.n_tensor() != 0) {
    return fail(ErrorCode::kMismatch, "the metadata section has tensors of its own")
        .with(file.n_tensor(), 0)
        .at(tokenizer_.offset + kTensorCountAt);
  }
  const Result<Str> architecture = file.get_text("general.architecture");
  if (!architecture.ok()) return in_section(architecture.error());
  if (architecture.value() != "llama") {
    return in_section(
        fail(ErrorCode::kUnsupported, "an .slm file holds llama-like models; this one is")
            .about(architecture.value())
            .at(file.place_of("general.architecture")));
  }
  const struct {
    Str key;
    u32 wanted;
    u64 at;
  } numbers[] = {{"llama.block_count", shape_.n_layer, kShapeAt + 4},
                 {"llama.attention.head_count", shape_.n_head, kShapeAt + 8},
                 {"llama.attention.head_count_kv", shape_.n_head_kv, kShapeAt + 12},
                 {"llama.attention.key_length", shape_.head_dim, kShapeAt + 16},
                 {"llama.feed_forward_length", shape_.n_ff, kShapeAt + 20},
                 {"llama.context_length", shape_.n_ctx, kShapeAt + 24},
                 {"llama.embedding_length", shape_.n_embd, kShapeAt + 28}};
  for (const auto& number : numbers) {
    const Result<u64> value = file.get_u64_or(number.key, number.wanted, 0, ~u64{0});
    if (!value.ok()) return in_section(value.error());
    if (value.value() != number.wanted)
      return differs(number.key, value.value(), number.wanted, number.at);
  }
  const Result<MetaArray> tokens = file.get_array("tokenizer.ggml.tokens");
  if (!tokens.ok()) return in_section(tokens.error());
  if (tokens.value().count != shape_.n_vocab)
    return differs("tokenizer.ggml.tokens", tokens.value().count, shape_.n_vocab, kShapeAt);
  return read;
}

}  // namespace lbm
