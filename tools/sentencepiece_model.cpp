#include "tools/sentencepiece_model.h"

#include <cmath>
#include <cstring>

#include "core/format/limits.h"

namespace lbm::cli {
namespace {

enum class Wire : u8 { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };

struct Field {
  u32 number = 0;
  Wire wire = Wire::kVarint;
  u64 value = 0;         // kVarint, kFixed32, kFixed64
  Span<const u8> bytes;  // kBytes
  u64 offset = 0;        // in the file
};

// The fields of one message, one after the other.
class Message {
 public:
  Message(Span<const u8> bytes, u64 offset) : bytes_(bytes), offset_(offset) {}

  [[nodiscard]] bool done() const { return at_ == bytes_.size(); }

  [[nodiscard]] Status next(Field& out) {
    const usize start = at_;
    u64 tag = 0;
    if (Status status = varint(tag); !status.ok()) return status;
    out = {};
    out.offset = offset_ + start;
    if (tag >> 3 == 0 || tag >> 3 > 0x1fffffff)
      return fail(ErrorCode::kBadValue, "field number").with(tag >> 3).at(out.offset);
    out.number = static_cast<u32>(tag >> 3);
    out.wire = static_cast<Wire>(tag & 7);
    switch (out.wire) {
      case Wire::kVarint: return varint(out.value);
      case Wire::kFixed64: return fixed(8, out);
      case Wire::kFixed32: return fixed(4, out);
      case Wire::kBytes: return length_delimited(out);
    }
    return fail(ErrorCode::kBadType, "wire type").with(tag & 7).at(out.offset);
  }

 private:
  [[nodiscard]] Status varint(u64& out) {
    const usize start = at_;
    out = 0;
    for (u32 shift = 0; shift < 64; shift += 7) {
      if (at_ == bytes_.size())
        return fail(ErrorCode::kTruncated, "number is cut off").at(offset_ + start);
      const u8 byte = bytes_[at_++];
      if (shift == 63 && byte > 1) break;
      out |= static_cast<u64>(byte & 127) << shift;
      if (byte < 128) return {};
    }
    return fail(ErrorCode::kBadValue, "number is longer than 64 bits").at(offset_ + start);
  }
  [[nodiscard]] Status fixed(usize n_byte, Field& out) {
    if (n_byte > bytes_.size() - at_)
      return fail(ErrorCode::kTruncated, "number is cut off").at(out.offset);
    std::memcpy(&out.value, bytes_.data() + at_, n_byte);
    at_ += n_byte;
    return {};
  }
  [[nodiscard]] Status length_delimited(Field& out) {
    u64 size = 0;
    if (Status status = varint(size); !status.ok()) return status;
    if (size > bytes_.size() - at_) {
      return fail(ErrorCode::kTruncated, "field is longer than what holds it")
          .with(size, bytes_.size() - at_)
          .at(out.offset);
    }
    out.bytes = bytes_.slice(at_, static_cast<usize>(size));
    at_ += static_cast<usize>(size);
    return {};
  }

  Span<const u8> bytes_;
  u64 offset_;
  usize at_ = 0;
};

Status need(const Field& field, Wire wire) {
  if (field.wire == wire) return {};
  return fail(ErrorCode::kBadType, "field has another type than its meaning needs")
      .with(field.number)
      .at(field.offset);
}

// Knows where it starts in the file, for its own messages of trouble.
Message message_of(const Field& field, Span<const u8> file) {
  return {field.bytes, static_cast<u64>(field.bytes.data() - file.data())};
}

Status read_piece(Message message, SentencePiece& out) {
  Field field;
  while (!message.done()) {
    if (Status status = message.next(field); !status.ok()) return status;
    if (field.number == 1) {
      if (Status status = need(field, Wire::kBytes); !status.ok()) return status;
      out.text.assign(reinterpret_cast<const char*>(field.bytes.data()), field.bytes.size());
    } else if (field.number == 2) {
      if (Status status = need(field, Wire::kFixed32); !status.ok()) return status;
      const u32 bits = static_cast<u32>(field.value);
      std::memcpy(&out.score, &bits, sizeof(bits));
      if (!std::isfinite(out.score))
        return fail(ErrorCode::kNumeric, "score is not finite").at(field.offset);
    } else if (field.number == 3) {
      if (Status status = need(field, Wire::kVarint); !status.ok()) return status;
      if (field.value < SentencePiece::kNormal || field.value > SentencePiece::kByte)
        return fail(ErrorCode::kBadValue, "type of a piece").with(field.value).at(field.offset);
      out.type = static_cast<SentencePiece::Type>(field.value);
    }
  }
  return {};
}

Status read_trainer(Message message, SentencePieceModel& out) {
  Field field;
  while (!message.done()) {
    if (Status status = message.next(field); !status.ok()) return status;
    if (field.number != 3) continue;
    if (Status status = need(field, Wire::kVarint); !status.ok()) return status;
    out.is_unigram = field.value == 1;
  }
  return {};
}

Status read_normalizer(Message message, SentencePieceModel& out) {
  Field field;
  while (!message.done()) {
    if (Status status = message.next(field); !status.ok()) return status;
    if (field.number < 2 || field.number > 4) continue;
    const Wire wire = field.number == 2 ? Wire::kBytes : Wire::kVarint;
    if (Status status = need(field, wire); !status.ok()) return status;
    if (field.number == 2)
      out.charsmap.assign(reinterpret_cast<const char*>(field.bytes.data()), field.bytes.size());
    if (field.number == 3) out.add_dummy_prefix = field.value != 0;
    if (field.number == 4) out.remove_extra_whitespaces = field.value != 0;
  }
  return {};
}

}  // namespace

Result<SentencePieceModel> parse_sentencepiece_model(Span<const u8> bytes) {
  SentencePieceModel model;
  Message message(bytes, 0);
  Field field;
  while (!message.done()) {
    if (Status status = message.next(field); !status.ok()) return status.error();
    if (field.number < 1 || field.number > 3) continue;
    if (Status status = need(field, Wire::kBytes); !status.ok()) return status.error();
    Status status;
    if (field.number == 1) {
      if (model.pieces.size() == kMaxVocabulary)
        return fail(ErrorCode::kLimit, "pieces").with(model.pieces.size() + 1, kMaxVocabulary);
      status = read_piece(message_of(field, bytes), model.pieces.emplace_back());
    } else if (field.number == 2) {
      status = read_trainer(message_of(field, bytes), model);
    } else {
      status = read_normalizer(message_of(field, bytes), model);
    }
    if (!status.ok()) return status.error();
  }
  if (model.pieces.empty()) return fail(ErrorCode::kBadValue, "there are no pieces in it");
  return model;
}

}  // namespace lbm::cli
