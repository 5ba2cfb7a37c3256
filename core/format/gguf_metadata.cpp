// The GGUF reader: keys and values.
#include "core/format/gguf.h"

#include "core/base/arith.h"

namespace lbm {

Status GgufReader::read_meta(u32 index) {
  const usize entry = position_;
  if (Status s = require(8); !s.ok()) return s;
  const u64 key_bytes = here().read_u64();
  if (key_bytes == 0) return fail(ErrorCode::kBadName, "a metadata key is empty").at(entry);
  if (key_bytes > kMaxKeyBytes) {
    return fail(ErrorCode::kLimit, "a metadata key is too long; bytes")
        .with(key_bytes, kMaxKeyBytes)
        .at(entry);
  }
  position_ += 8;
  if (Status s = require(key_bytes + 4); !s.ok()) return s;
  ByteReader in = here();
  const Str key = in.read_text(key_bytes);
  const u32 type = in.read_u32();
  if (!is_clean_name(key)) {
    return fail(ErrorCode::kBadName, "a metadata key is not UTF-8 text").about(key).at(position_);
  }
  position_ += static_cast<usize>(key_bytes);
  if (type >= kMetaTypeCount) {
    return fail(ErrorCode::kBadType, "unknown value type")
        .about(key)
        .with(type, kMetaTypeCount - 1)
        .at(position_);
  }
  position_ += 4;
  metas_.set(index, static_cast<u32>(entry), key);

  const bool is_template = key.starts_with("tokenizer.chat_template");
  Status value = key == "general.alignment"
                     ? read_alignment(type)
                     : read_value(static_cast<MetaType>(type),
                                  is_template ? kMaxTemplateBytes : kMaxStringBytes);
  if (value.ok()) return {};
  Error error = value.error();
  return error.about(key);
}

Status GgufReader::read_value(MetaType type, u64 max_string) {
  if (type == MetaType::kString) return read_string(max_string);
  if (type == MetaType::kArray) return read_array(max_string);
  const u64 n_byte = meta_type_bytes(type);
  if (Status s = require(n_byte); !s.ok()) return s;
  if (type == MetaType::kBool) return check_bools(1);
  position_ += static_cast<usize>(n_byte);
  return {};
}

// Also the inner loop of arrays of strings: a vocabulary has 10^5 of them.
Status GgufReader::read_string(u64 max_string) {
  if (Status s = require(8); !s.ok()) return s;
  const u64 n_byte = here().read_u64();
  if (n_byte > max_string) {
    return fail(ErrorCode::kLimit, "a text is too long; bytes")
        .with(n_byte, max_string)
        .at(position_);
  }
  position_ += 8;
  if (Status s = require(n_byte); !s.ok()) return s;
  position_ += static_cast<usize>(n_byte);
  return {};
}

Status GgufReader::read_array(u64 max_string) {
  if (Status s = require(12); !s.ok()) return s;
  ByteReader in = here();
  const u32 type_id = in.read_u32();
  const u64 count = in.read_u64();
  if (type_id >= kMetaTypeCount) {
    return fail(ErrorCode::kBadType, "unknown element type")
        .with(type_id, kMetaTypeCount - 1)
        .at(position_);
  }
  const MetaType type = static_cast<MetaType>(type_id);
  if (type == MetaType::kArray) {
    return fail(ErrorCode::kBadType, "an array of arrays is not allowed").at(position_);
  }
  position_ += 4;
  // A string takes at least its length field.
  const u64 element = type == MetaType::kString ? 8 : meta_type_bytes(type);
  u64 least = 0;
  if (!checked_mul(count, element, least) || least > kMaxMetadataBytes) {
    return fail(ErrorCode::kLimit, "too many array elements")
        .with(count, kMaxMetadataBytes / element)
        .at(position_);
  }
  position_ += 8;
  if (type != MetaType::kString) {
    if (Status s = require(least); !s.ok()) return s;
    if (type == MetaType::kBool) return check_bools(count);
    position_ += static_cast<usize>(least);
    return {};
  }
  // Refused before anything is loaded for it.
  if (least > file_size_ - position_) {
    return fail(ErrorCode::kTruncated, "the file is cut short, get it again; bytes to come")
        .with(least, file_size_ - position_)
        .at(position_);
  }
  for (u64 i = 0; i < count; ++i) {
    if (Status s = read_string(max_string); !s.ok()) return s;
  }
  return {};
}

// `count` bools that are loaded; passes over them.
Status GgufReader::check_bools(u64 count) {
  for (u64 i = 0; i < count; ++i, ++position_) {
    if (loaded_[position_] > 1) {
      return fail(ErrorCode::kBadType, "a bool is neither 0 nor 1")
          .with(loaded_[position_], 1)
          .at(position_);
    }
  }
  return {};
}

Status GgufReader::read_alignment(u32 type) {
  if (static_cast<MetaType>(type) != MetaType::kU32) {
    return fail(ErrorCode::kBadAlignment, "the alignment must be a u32; value type")
        .with(type)
        .at(position_ - 4);
  }
  if (alignment_given_) {
    return fail(ErrorCode::kBadAlignment, "the alignment was given before").at(position_);
  }
  if (Status s = require(4); !s.ok()) return s;
  const u64 value = here().read_u32();
  if (!is_power_of_two(value) || value > kMaxAlignment) {
    return fail(ErrorCode::kBadAlignment, "the alignment must be a power of two")
        .with(value, kMaxAlignment)
        .at(position_);
  }
  alignment_ = value;
  alignment_given_ = true;
  position_ += 4;
  return {};
}

}  // namespace lbm
