// The values a chat template computes with, and how a host builds the variables it hands in.
//
// A value is 16 bytes and is copied freely; text, lists and maps are views into memory of the
// caller or of the arena that made them, and are never changed once a template can see them.
//
// Every value knows its origin. What the template itself spells (literals, the text between tags,
// counters of loops) is markup; what the conversation brings (messages, tools, documents, dates) is
// content. Text made of both remembers which bytes are which (TemplateText). Values that a host
// builds are content unless it says otherwise; bos_token and eos_token are the only variables that
// a host should build with TemplateValue::markup().
//
//   // [{"role": "user", "content": "Hello"}]
//   TemplateMap message;
//   message.set(arena, "role", TemplateValue::text("user"));
//   message.set(arena, "content", TemplateValue::text("Hello"));
//   TemplateList messages;
//   messages.append(arena, TemplateValue::map(message));
//   TemplateMap globals;
//   globals.set(arena, "messages", TemplateValue::list(messages));
#pragma once

#include "core/base/arena.h"
#include "core/base/result.h"
#include "core/base/span.h"

namespace lbm {

class TemplateList;
class TemplateMap;

enum class TemplateKind : u8 {
  kUndefined,  // text() is the name that was looked up
  kNone,
  kBool,
  kInt,
  kFloat,
  kString,
  kList,
  kTuple,
  kMap,
  // The kinds below are made by the engine only (template_object.h).
  kRange,
  kView,
  kIterator,
  kNamespace,
  kLoop,
  kMacro,
  kFunction,
  kMethod,
  kClock,
  kAbsent,  // an optional argument that was not given
};

enum class TemplateOrigin : u8 { kContent, kMarkup, kMixed };

// Bytes up to `end` (from the end of the run before) are markup or content.
struct TemplateRun {
  u32 end = 0;
  bool markup = false;
};

// Text of mixed origin. Neighbouring runs differ; the last one ends where the text ends.
struct TemplateText {
  Str bytes;
  Span<const TemplateRun> runs;
};

class TemplateValue {
 public:
  static constexpr u64 kMaxTextBytes = 0xFFFF'FFFF;

  TemplateValue() : int_(0) {}  // undefined, without a name

  [[nodiscard]] static TemplateValue none();
  [[nodiscard]] static TemplateValue boolean(bool v);
  [[nodiscard]] static TemplateValue integer(i64 v);
  [[nodiscard]] static TemplateValue number(f64 v);
  // Text of the conversation. `v` is viewed, not copied, and cut at kMaxTextBytes.
  [[nodiscard]] static TemplateValue text(Str v);
  // Text that may become control tokens: bos_token and eos_token, nothing else a host has.
  [[nodiscard]] static TemplateValue markup(Str v);
  // Views: the list or map must outlive the value and not change any more.
  [[nodiscard]] static TemplateValue list(const TemplateList& v);
  [[nodiscard]] static TemplateValue map(const TemplateMap& v);
  // The function strftime_now(format), for a clock that shows `iso`: "2025-06-15T12:34:56". A host
  // that does not know the time leaves the variable out; templates ask `strftime_now is defined`.
  // Viewed, not copied.
  [[nodiscard]] static TemplateValue clock(Str iso);

  // For the engine.
  [[nodiscard]] static TemplateValue undefined(Str name);
  // What an attribute that the sandbox forbids gives: undefined, and a SecurityError when it is
  // used.
  [[nodiscard]] static TemplateValue forbidden(Str name);
  [[nodiscard]] static TemplateValue mixed(const TemplateText& v);
  [[nodiscard]] static TemplateValue object(TemplateKind kind, const void* v);
  [[nodiscard]] static TemplateValue absent();
  [[nodiscard]] TemplateValue with_origin(TemplateOrigin origin) const;
  // Text that the filters `safe` and `escape` made: what is added to it is escaped for HTML, as
  // Python's Markup does.
  [[nodiscard]] TemplateValue with_safe(bool safe) const;

  [[nodiscard]] TemplateKind kind() const { return kind_; }
  [[nodiscard]] bool is(TemplateKind kind) const { return kind_ == kind; }
  [[nodiscard]] TemplateOrigin origin() const { return origin_; }
  [[nodiscard]] bool is_markup() const { return origin_ == TemplateOrigin::kMarkup; }
  [[nodiscard]] bool is_safe() const { return safe_; }
  [[nodiscard]] bool is_forbidden() const {
    return kind_ == TemplateKind::kUndefined && is_markup();
  }

  // The accessors need the kind they name.
  [[nodiscard]] bool as_bool() const { return int_ != 0; }
  [[nodiscard]] i64 as_int() const { return int_; }  // also of kBool: 0 or 1
  [[nodiscard]] f64 as_float() const { return float_; }
  [[nodiscard]] Str text()
      const;  // bytes of kString, whatever their origin; name of kUndefined; time of kClock
  [[nodiscard]] const TemplateText& mixed_text() const {
    return *static_cast<const TemplateText*>(pointer_);
  }
  [[nodiscard]] const TemplateList& as_list() const;  // kList, kTuple
  [[nodiscard]] const TemplateMap& as_map() const;
  [[nodiscard]] const void* pointer() const { return pointer_; }

 private:
  union {
    i64 int_;
    f64 float_;
    const void* pointer_;
  };
  u32 size_ = 0;  // bytes of text that is of one origin
  TemplateKind kind_ = TemplateKind::kUndefined;
  TemplateOrigin origin_ = TemplateOrigin::kContent;
  bool safe_ = false;
};

static_assert(sizeof(TemplateValue) == 16);

class TemplateList {
 public:
  // Errors: kOutOfMemory, kLimit (2^31 items). Nothing changes on failure.
  [[nodiscard]] Status append(Arena& arena, TemplateValue v);
  [[nodiscard]] Status reserve(Arena& arena, u32 n_item);
  [[nodiscard]] u32 size() const { return size_; }
  [[nodiscard]] TemplateValue operator[](u32 index) const {
    LBM_CHECK(index < size_);
    return items_[index];
  }
  [[nodiscard]] Span<TemplateValue> items() const { return {items_, size_}; }

 private:
  TemplateValue* items_ = nullptr;
  u32 size_ = 0;
  u32 capacity_ = 0;
};

// Keys in the order they were added, as Python keeps them. Lookup is linear: maps of templates are
// small, and the engine pays for it from its fuel.
class TemplateMap {
 public:
  struct Entry {
    TemplateValue key;
    TemplateValue value;
  };
  // Adds a key, or replaces its value. `key` is viewed. Errors: kOutOfMemory, kLimit (2^31 keys).
  // Nothing changes on failure.
  [[nodiscard]] Status set(Arena& arena, Str key, TemplateValue v);
  // The same without looking for an earlier `key`, for hosts that know it to be new.
  [[nodiscard]] Status add(Arena& arena, TemplateValue key, TemplateValue v);
  [[nodiscard]] const TemplateValue* find(Str key) const;  // nullptr where there is none
  [[nodiscard]] TemplateValue* find(Str key);
  // Forgets the entries and keeps their memory.
  void clear() { size_ = 0; }
  [[nodiscard]] u32 size() const { return size_; }
  [[nodiscard]] Span<Entry> entries() const { return {entries_, size_}; }

 private:
  Entry* entries_ = nullptr;
  u32 size_ = 0;
  u32 capacity_ = 0;
};

}  // namespace lbm
