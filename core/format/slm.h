// `.slm` version 1: a small container for llama-like models, in the layout that TinyRustLM
// published: a header, a tokenizer, a directory of tensors, their data.
//
//    0 "SLM1"               20 u32 n_vocab       56 f32 rope_theta         88 u32 tensor_count
//    4 u32 version = 1      24 u32 n_layer       60 f32 rms_eps            92 u64
//    tensor_data_offset 8 u32 header_length    28 u32 n_head        64 u64 tokenizer_offset  100
//    u64 checksum
//   12 u32 0                32 u32 n_head_kv     72 u64 tokenizer_length
//   16 u32 flags            36 u32 head_dim      80 u64 directory_offset
//                           40 u32 n_ff   44 u32 n_ctx   48 u32 n_embd   52 u32 0
//
// All little-endian, and not aligned: the u64 at 92 and 100 are read byte by byte. What the
// publication leaves open (order of the dimensions, spelling of names, order of nibbles, the
// checksum) is settled in docs/formats/slm.md; files that were settled otherwise are refused, not
// misread.
#pragma once

#include "core/base/arena.h"
#include "core/base/byte_reader.h"
#include "core/base/fmt.h"
#include "core/format/header_builder.h"
#include "core/format/scaled_source.h"

namespace lbm {

// The numbers of the format, for the reader and the writer.
namespace slm {

inline constexpr u32 kHeaderBytes = 108;
inline constexpr u32 kEntryBytes = 64;
inline constexpr u32 kAlignment = 64;  // of every payload and every array of scales
inline constexpr u32 kTiedFlag = 1;
inline constexpr u32 kChecksumAt = 100;
inline constexpr u32 kQ4Block = 32;
// dtype of an entry
inline constexpr u32 kF32 = 1;
inline constexpr u32 kQ8_0 = 2;
inline constexpr u32 kQ4_0 = 3;
// The fixed part of a BTOK or BPE1 section: all of a BTOK section.
inline constexpr u32 kTokenizerBytes = 64;
inline constexpr u32 kMergeBytes = 16;
inline constexpr u32 kNoId = ~u32{0};
inline constexpr u32 kAddBosFlag = 1;
inline constexpr u32 kAddEosFlag = 2;

// FNV-1a of 64 bits: over names for the directory, over the file for the checksum, with the eight
// bytes of the checksum itself taken as zero.
class Fnv1a {
 public:
  void update(Span<const u8> bytes) {
    for (const u8 byte : bytes) hash_ = (hash_ ^ byte) * 0x100000001B3u;
  }
  [[nodiscard]] u64 value() const { return hash_; }

 private:
  u64 hash_ = 0xCBF29CE484222325u;
};
[[nodiscard]] inline u64 hash_name(Str name) {
  Fnv1a hash;
  hash.update(name.bytes());
  return hash.value();
}

// The tensors of a model, in the order in which the writer puts them: token_embd, nine of each
// layer, output_norm, output. Names are those of GGUF.
inline constexpr u32 kTensorsPerLayer = 9;
struct TensorShape {
  u32 n_col = 0;
  u32 n_row = 0;  // 0: a vector
};
// `name` is written; `index` is below n_tensors().
[[nodiscard]] TensorShape tensor_shape(const LlamaShape& shape, u32 index, TextWriter& name);
[[nodiscard]] inline u32 n_tensors(u32 n_layer, bool is_tied) {
  return kTensorsPerLayer * n_layer + (is_tied ? 2 : 3);
}

}  // namespace slm

class SlmReader {
 public:
  SlmReader(ByteSource& source, Arena& arena)
      : source_(source), arena_(arena), file_size_(source.size()) {}

  // Used once.
  [[nodiscard]] Result<ModelFile> read();

 private:
  struct Section {
    u64 offset = 0;
    u64 n_byte = 0;
  };
  [[nodiscard]] Status read_header();
  [[nodiscard]] Status check_start(ByteReader in);
  [[nodiscard]] Status check_shape(ByteReader in);
  [[nodiscard]] Status check_sections(ByteReader in);
  [[nodiscard]] Status check_section(const char* name, Section section, u64 field_at) const;
  [[nodiscard]] Status check_checksum();

  [[nodiscard]] Status read_directory();
  [[nodiscard]] Status read_entry(Span<const u8> bytes, u64 entry_at);
  [[nodiscard]] Status check_kind(ByteReader in, slm::TensorShape shape, u64 entry_at,
                                  ScaledTensor& out) const;
  [[nodiscard]] Status place(ByteReader in, u64 entry_at, ScaledTensor& tensor);
  [[nodiscard]] Status take_place(u64 offset, u64 n_byte, u64 field_at);
  [[nodiscard]] Status find_name(u64 hash, u64 entry_at, u32& index);

  [[nodiscard]] Result<ModelFile> build();
  [[nodiscard]] Result<ModelFile> take_vocabulary();

  ByteSource& source_;
  Arena& arena_;
  u64 file_size_;
  u32 header_bytes_ = 0;
  u32 flags_ = 0;
  LlamaShape shape_;
  Section tokenizer_;
  Section directory_;
  u64 data_offset_ = 0;
  u64 checksum_ = 0;
  u32 n_tensor_ = 0;
  bool is_tied_ = false;
  u64 position_ = 0;  // where the next payload has to start
  struct Known {
    u64 hash;
    u32 index;  // of the tensor, as slm::tensor_shape() counts
    bool is_met;
    bool is_used;
  };
  Span<Known> known_;           // a hash table, at most half full
  Span<ScaledTensor> tensors_;  // in file order
  Span<u32> indexes_;           // of the same
};

// The tokenizer of an .slm file: BTOK (a token for each byte) or BPE1 (and merges of them), turned
// into a byte-level vocabulary; the third kind is a GGUF file without tensors.
class SlmTokenizer {
 public:
  enum class Kind : u8 { kBytes, kMerges, kGguf };

  // `bytes` is the section, which starts at `offset` of the file; it outlives this.
  // Errors: kTruncated, kBadMagic, kBadVersion, kBadValue, kMismatch, kLimit.
  [[nodiscard]] Status read(Span<const u8> bytes, u64 offset, u32 n_vocab, Arena& arena);
  [[nodiscard]] Kind kind() const { return kind_; }
  // Writes the keys tokenizer.*; not for kGguf.
  void put(HeaderBuilder& out) const;

 private:
  [[nodiscard]] Status check_head(ByteReader in);
  [[nodiscard]] Status check_merges(Arena& arena);
  [[nodiscard]] u32 first_merge() const { return n_vocab_ - n_merge_; }
  [[nodiscard]] bool is_special(u32 id) const { return id >= 256 && id < first_merge(); }
  void put_piece(HeaderBuilder& out, u32 id) const;
  void put_special(HeaderBuilder& out, u32 id) const;

  Kind kind_ = Kind::kBytes;
  Span<const u8> bytes_;
  u64 offset_ = 0;
  u32 n_vocab_ = 0;
  u32 n_merge_ = 0;
  u32 flags_ = 0;
  u32 ids_[4] = {};    // BOS, EOS, padding, unknown; slm::kNoId for none
  Span<u32> n_bytes_;  // of each piece
};

}  // namespace lbm
