// JSON of strangers as a tree over its own text, without an allocation for each value.
//
// A document is the text and one node of 16 bytes for each value and key, in the order of the text.
// Strings are decoded in place (an escape is never shorter than what it stands for), so they are
// views of it. Strict: no comments, no trailing commas, no bytes that are not UTF-8, no lone
// surrogates, no key that an object has twice (readers disagree about which one counts), no nesting
// beyond kMaxDepth.
//
// The first error sticks to the document, whether the text has it or whoever reads the values finds
// it: after it every value is null, every text empty and every cursor at its end, so readers go on
// as if nothing was, and ask once in a while.
#pragma once

#include "core/base/arena.h"
#include "core/base/result.h"
#include "core/base/span.h"

namespace lbm {

class JsonValue;

class JsonDocument {
 public:
  static constexpr u32 kMaxDepth = 64;
  static constexpr u64 kMaxBytes = u64{1} << 30;

  // Parses `text`, which is changed and must outlive the document; nodes come from `arena`.
  // Errors: kBadSyntax  the text ends to be JSON, at a byte.   kDuplicate  a key, at its second
  // place.   kLimit (depth, size)   kOverflow  a number that no f64 holds.   kOutOfMemory
  [[nodiscard]] Status parse(Span<char> text, Arena& arena);
  [[nodiscard]] JsonValue root();

  [[nodiscard]] bool ok() const { return status_.ok(); }
  [[nodiscard]] const Status& status() const { return status_; }

 private:
  friend class JsonValue;
  friend class JsonCursor;
  friend class JsonParser;

  enum class Kind : u8 { kNull, kFalse, kTrue, kNumber, kString, kArray, kObject };
  struct Node {
    u32 at;    // of its first byte in the text
    u32 n;     // bytes of the string or number; items of the array, members of the object
    u32 next;  // the node behind it and all that it has
    Kind kind;
  };

  void refuse(const Error& error) {
    if (status_.ok()) status_ = error;
  }
  [[nodiscard]] Str text_of(u32 index) const {
    const Node& node = nodes_[index];
    return {text_.data() + node.at + (node.kind == Kind::kString ? 1 : 0), node.n};
  }

  Span<char> text_;
  Span<Node> nodes_;
  Status status_;
};

// A value of a document, or the place of a member that is not there, which counts as null.
class JsonValue {
 public:
  JsonValue() = default;  // null

  [[nodiscard]] bool is_null() const { return kind() == Kind::kNull; }
  [[nodiscard]] bool is_text() const { return kind() == Kind::kString; }
  [[nodiscard]] bool is_object() const { return kind() == Kind::kObject; }
  [[nodiscard]] bool is_array() const { return kind() == Kind::kArray; }
  // Items or members; 0 for anything else.
  [[nodiscard]] u32 size() const;

  // Whether there is such a member and it is not null. Searches: for objects with few members.
  [[nodiscard]] bool has(Str key) const;
  // A member. find(): null where it is absent, or where this is null.
  // Errors: kBadType  no object.   kMissing
  [[nodiscard]] JsonValue at(Str key) const;
  [[nodiscard]] JsonValue find(Str key) const;

  // Errors: kBadType; kBadValue  not from 0 on and below `limit`; kNumeric  no f32 holds it.
  [[nodiscard]] Str text() const;
  [[nodiscard]] u32 integer(u32 limit) const;
  [[nodiscard]] f32 number() const;
  [[nodiscard]] Str text_or(Str key, Str fallback) const;
  [[nodiscard]] bool flag_or(Str key, bool fallback) const;
  // The text as it may be changed in place, for what is decoded to something shorter.
  [[nodiscard]] Span<char> mutable_text() const;

  // Makes this the error of the document: "/model/vocab/17 'detail': what at byte 77 [code]".
  void refuse(ErrorCode code, const char* what, Str detail = {}) const;
  void refuse_unsupported(const char* what, Str detail = {}) const {
    refuse(ErrorCode::kUnsupported, what, detail);
  }

 private:
  friend class JsonDocument;
  friend class JsonCursor;
  using Kind = JsonDocument::Kind;
  JsonValue(JsonDocument* document, u32 index) : document_(document), index_(index) {}

  [[nodiscard]] Kind kind() const;
  [[nodiscard]] bool is_there() const { return document_ != nullptr && !is_missing_; }

  JsonDocument* document_ = nullptr;
  u32 index_ = 0;
  bool is_missing_ = false;  // it would be the member `missing_` of index_
  Str missing_;
};

// Walks the items of an array, or the members of an object. An error of the document where it is
// neither.
class JsonCursor {
 public:
  [[nodiscard]] static JsonCursor items(const JsonValue& array);
  [[nodiscard]] static JsonCursor members(const JsonValue& object);

  // To the first, then the next one; false at the end and after an error.
  [[nodiscard]] bool next();
  [[nodiscard]] Str key() const;
  [[nodiscard]] JsonValue value() const;

 private:
  JsonDocument* document_ = nullptr;
  u32 left_ = 0;
  u32 index_ = 0;  // of the key, or of the item
  u32 step_ = 0;   // of the next one
  bool has_keys_ = false;
};

}  // namespace lbm
