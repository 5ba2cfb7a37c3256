#include "core/base/json_reader.h"

#include "core/base/fmt.h"
#include "core/base/json_parser.h"

namespace lbm {
namespace {

constexpr usize kShownKeyBytes = 60;

}  // namespace

Status JsonDocument::parse(Span<char> text, Arena& arena) {
  status_ = JsonParser(*this, arena).parse(text);
  return status_;
}

JsonValue JsonDocument::root() { return {this, 0}; }

// ---- values

JsonDocument::Kind JsonValue::kind() const {
  if (!is_there() || !document_->ok()) return Kind::kNull;
  return document_->nodes_[index_].kind;
}

u32 JsonValue::size() const { return is_array() || is_object() ? document_->nodes_[index_].n : 0; }

bool JsonValue::has(Str key) const { return is_object() && !find(key).is_null(); }

JsonValue JsonValue::at(Str key) const {
  if (!is_object()) {
    refuse(ErrorCode::kBadType, "an object is needed");
    return {};
  }
  JsonValue member = find(key);
  if (!member.is_there()) member.refuse(ErrorCode::kMissing, "is missing");
  return member;
}

JsonValue JsonValue::find(Str key) const {
  if (!is_there()) return *this;
  if (!is_null()) {
    for (JsonCursor member = JsonCursor::members(*this); member.next();) {
      if (member.key() == key) return member.value();
    }
  }
  JsonValue absent(document_, index_);
  absent.is_missing_ = true;
  absent.missing_ = key;
  return absent;
}

Str JsonValue::text() const {
  if (is_text()) return document_->text_of(index_);
  refuse(ErrorCode::kBadType, "a string is needed");
  return {};
}

Span<char> JsonValue::mutable_text() const {
  const Str chars = text();
  if (!is_text()) return {};
  return document_->text_.slice(document_->nodes_[index_].at + 1, chars.size());
}

u32 JsonValue::integer(u32 limit) const {
  bool is_whole = kind() == Kind::kNumber;
  const Str digits = is_whole ? document_->text_of(index_) : Str("0");
  const bool is_negative = digits.starts_with("-");
  u64 value = 0;
  // A number that a u64 does not hold is none that is whole, as one with a fraction is not.
  is_whole = is_whole && parse_u64(digits.from(is_negative ? 1 : 0), value);
  if (!is_whole) {
    refuse(ErrorCode::kBadType, "a whole number is needed");
    return 0;
  }
  if (value < limit && (!is_negative || value == 0)) return static_cast<u32>(value);
  refuse(ErrorCode::kBadValue, "the number is not from 0 on and below the limit", digits);
  return 0;
}

f32 JsonValue::number() const {
  if (kind() != Kind::kNumber) {
    refuse(ErrorCode::kBadType, "a number is needed");
    return 0;
  }
  f64 value = 0;
  // Above the largest f64 is refused by the parser; what is left is too small for one.
  if (!parse_f64(document_->text_of(index_), value)) value = 0;
  constexpr f64 kInfinite = 340282356779733661637539395458142568448.0;  // half way behind the last
  if (value > -kInfinite && value < kInfinite) return static_cast<f32>(value);
  refuse(ErrorCode::kNumeric, "the number is not finite");
  return 0;
}

Str JsonValue::text_or(Str key, Str fallback) const {
  const JsonValue member = find(key);
  return member.is_null() ? fallback : member.text();
}

bool JsonValue::flag_or(Str key, bool fallback) const {
  const JsonValue member = find(key);
  const Kind kind = member.kind();
  if (kind == Kind::kTrue || kind == Kind::kFalse) return kind == Kind::kTrue;
  if (kind != Kind::kNull) member.refuse(ErrorCode::kBadType, "true or false is needed");
  return fallback;
}

// The place is looked for only now, from the root down: the child whose nodes this one is of.
void JsonValue::refuse(ErrorCode code, const char* what, Str detail) const {
  if (document_ == nullptr || !document_->ok()) return;
  TextBuffer<Error::kSubjectCapacity> subject;
  const auto put_key = [&](Str key) {
    const bool is_long = key.size() > kShownKeyBytes;
    subject.print("/{}{}", is_long ? key.first(kShownKeyBytes) : key, is_long ? "..." : "");
  };
  JsonDocument& document = *document_;
  for (u32 at = 0; at != index_;) {
    const bool is_object = document.nodes_[at].kind == Kind::kObject;
    u32 child = at + 1;
    for (u32 i = 0;; ++i) {
      const u32 value = is_object ? child + 1 : child;
      const u32 end = document.nodes_[value].next;
      if (index_ < end) {
        if (is_object) {
          put_key(document.text_of(child));
        } else {
          subject.print("/{}", i);
        }
        at = value;
        break;
      }
      child = end;
    }
  }
  if (is_missing_) put_key(missing_);
  if (!detail.empty()) subject.print(" '{}'", detail);
  Error error = fail(code, what).at(document.nodes_[index_].at);
  if (!subject.text().empty()) error.about(subject.text());
  document.refuse(error);
}

// ---- cursors

JsonCursor JsonCursor::items(const JsonValue& array) {
  JsonCursor out;
  if (!array.is_array()) {
    array.refuse(ErrorCode::kBadType, "an array is needed");
    return out;
  }
  out.document_ = array.document_;
  out.left_ = array.size();
  out.step_ = array.index_ + 1;
  return out;
}

JsonCursor JsonCursor::members(const JsonValue& object) {
  JsonCursor out;
  if (!object.is_object()) {
    object.refuse(ErrorCode::kBadType, "an object is needed");
    return out;
  }
  out.document_ = object.document_;
  out.left_ = object.size();
  out.step_ = object.index_ + 1;
  out.has_keys_ = true;
  return out;
}

bool JsonCursor::next() {
  if (left_ == 0 || !document_->ok()) return false;
  --left_;
  index_ = step_;
  step_ = document_->nodes_[has_keys_ ? index_ + 1 : index_].next;
  return true;
}

Str JsonCursor::key() const { return document_->text_of(index_); }

JsonValue JsonCursor::value() const { return {document_, has_keys_ ? index_ + 1 : index_}; }

}  // namespace lbm
