#include "core/base/json_parser.h"

#include "core/base/fmt.h"
#include "core/base/utf8.h"

namespace lbm {
namespace {

constexpr u32 kFewKeys = 8;  // so few are compared with each other

bool is_digit(char c) { return c >= '0' && c <= '9'; }

u32 hash_of(Str text) {
  u64 state = 0xCBF29CE484222325u;  // FNV-1a
  for (const char c : text) state = (state ^ static_cast<u8>(c)) * 0x100000001B3u;
  return static_cast<u32>(state >> 32) ^ static_cast<u32>(state);
}

}  // namespace

Status JsonParser::parse(Span<char> text) {
  text_ = text;
  if (text.size() > JsonDocument::kMaxBytes) {
    return fail(ErrorCode::kLimit, "too much JSON; bytes")
        .with(text.size(), JsonDocument::kMaxBytes);
  }
  const Result<Span<Node>> nodes = arena_.take<Node>(count_most_nodes(), "JSON");
  if (!nodes.ok()) return nodes.error();
  nodes_ = nodes.value();
  document_.text_ = text;
  document_.nodes_ = nodes_;
  skip_space();
  Status status = read_value();
  while (status.ok() && depth_ != 0) status = after_value();
  if (!status.ok()) return status;
  skip_space();
  return at_ == text_.size() ? Status() : unexpected();
}

// A value follows the start, a bracket, a comma or a colon, and a key a brace or a comma.
u64 JsonParser::count_most_nodes() const {
  u64 n = 1;
  bool in_string = false;
  for (usize i = 0; i < text_.size(); ++i) {
    const char c = text_.data()[i];
    if (c == '"') {
      in_string = !in_string;
    } else if (in_string) {
      if (c == '\\') ++i;
    } else if (c == ',' || c == ':' || c == '[' || c == '{') {
      ++n;
    }
  }
  return n;
}

Status JsonParser::unexpected(usize at) const {
  return fail(ErrorCode::kBadSyntax, "is no JSON").at(at);
}

void JsonParser::skip_space() {
  while (at_ < text_.size()) {
    const char c = text_.data()[at_];
    if (c != ' ' && c != '\t' && c != '\n' && c != '\r') return;
    ++at_;
  }
}

u32 JsonParser::add(Kind kind, usize at, u32 n) {
  nodes_[n_node_] = {static_cast<u32>(at), n, n_node_ + 1, kind};
  return n_node_++;
}

Status JsonParser::read_value() {
  switch (peek()) {
    case '{': return open(Kind::kObject);
    case '[': return open(Kind::kArray);
    case '"': return read_string();
    case 'n': return read_word("null", Kind::kNull);
    case 't': return read_word("true", Kind::kTrue);
    case 'f': return read_word("false", Kind::kFalse);
    default: return read_number();
  }
}

// What stands behind a value of the innermost object or array.
Status JsonParser::after_value() {
  const bool is_object = nodes_[open_[depth_ - 1]].kind == Kind::kObject;
  skip_space();
  const char c = peek();
  if (c == (is_object ? '}' : ']')) return close();
  if (c != ',') return unexpected();
  ++at_;
  skip_space();
  if (is_object) {
    if (const Status s = read_key(); !s.ok()) return s;
  }
  ++nodes_[open_[depth_ - 1]].n;
  return read_value();
}

Status JsonParser::open(Kind kind) {
  if (depth_ == JsonDocument::kMaxDepth) {
    return fail(ErrorCode::kLimit, "the JSON is nested too deeply; levels")
        .with(u64{depth_} + 1, JsonDocument::kMaxDepth)
        .at(at_);
  }
  open_[depth_++] = add(kind, at_++, 0);
  skip_space();
  if (peek() == (kind == Kind::kObject ? '}' : ']')) return close();
  if (kind == Kind::kObject) {
    if (const Status s = read_key(); !s.ok()) return s;
  }
  nodes_[open_[depth_ - 1]].n = 1;
  return read_value();
}

Status JsonParser::close() {
  ++at_;
  const u32 index = open_[--depth_];
  nodes_[index].next = n_node_;
  return nodes_[index].kind == Kind::kObject ? check_keys(index) : Status();
}

// A key and its colon, up to the value.
Status JsonParser::read_key() {
  if (peek() != '"') return unexpected();
  if (const Status s = read_string(); !s.ok()) return s;
  skip_space();
  if (peek() != ':') return unexpected();
  ++at_;
  skip_space();
  return {};
}

Status JsonParser::read_word(Str word, Kind kind) {
  const usize start = at_;
  for (const char c : word) {
    if (peek() != c) return unexpected();
    ++at_;
  }
  static_cast<void>(add(kind, start, static_cast<u32>(word.size())));
  return {};
}

Status JsonParser::read_number() {
  const usize start = at_;
  const auto skip_digits = [&] {
    const usize first = at_;
    while (is_digit(peek())) ++at_;
    return at_ != first;
  };
  if (peek() == '-') ++at_;
  if (peek() == '0') {
    ++at_;
  } else if (!skip_digits()) {
    return unexpected();
  }
  bool may_overflow = false;
  if (peek() == '.') {
    ++at_;
    if (!skip_digits()) return unexpected();
  }
  if (peek() == 'e' || peek() == 'E') {
    ++at_;
    may_overflow = peek() != '-';
    if (peek() == '-' || peek() == '+') ++at_;
    if (!skip_digits()) return unexpected();
  }
  const Str text(text_.data() + start, at_ - start);
  constexpr usize kDigitsOfMost = 300;  // fewer digits are no infinity
  f64 value = 0;
  if ((may_overflow || text.size() > kDigitsOfMost) && !text.contains("e-") &&
      !text.contains("E-") && !parse_f64(text, value)) {
    return fail(ErrorCode::kOverflow, "JSON with a number out of range").at(start);
  }
  static_cast<void>(add(Kind::kNumber, start, static_cast<u32>(text.size())));
  return {};
}

// ---- strings

Status JsonParser::read_string() {
  const usize start = at_++;
  usize out = at_;
  char* const text = text_.data();
  while (at_ < text_.size()) {
    const char c = text[at_];
    if (c == '"') {
      static_cast<void>(add(Kind::kString, start, static_cast<u32>(out - start - 1)));
      ++at_;
      return {};
    }
    if (c == '\\') {
      if (const Status s = read_escape(out); !s.ok()) return s;
      continue;
    }
    u32 n = 1;
    if (static_cast<u8>(c) < 0x20) return unexpected();
    if (static_cast<u8>(c) >= 0x80) {
      const Utf8Char decoded = decode_utf8({text + at_, text_.size() - at_});
      if (!decoded.valid) return unexpected();
      n = decoded.n_byte;
    }
    for (; n != 0; --n) text[out++] = text[at_++];
  }
  return unexpected();
}

// At a backslash. What it stands for goes to `out`, which is never beyond it.
Status JsonParser::read_escape(usize& out) {
  ++at_;
  constexpr char kNames[] = "\"\\/bfnrt";
  constexpr char kMeanings[] = "\"\\/\b\f\n\r\t";
  const char c = peek();
  if (c != 'u') {
    const usize which = c == '\0' ? Str::kNone : Str(kNames).find({&c, 1});
    if (which == Str::kNone) return unexpected();
    text_[out++] = kMeanings[which];
    ++at_;
    return {};
  }
  ++at_;
  u32 unit = 0;
  if (const Status s = read_unit(unit); !s.ok()) return s;
  if (unit >= 0xDC00 && unit < 0xE000) return unexpected(at_ - 1);
  if (unit >= 0xD800 && unit < 0xDC00) {
    u32 low = 0;
    for (const char expected : Str("\\u")) {
      if (peek() != expected) return unexpected();
      ++at_;
    }
    if (const Status s = read_unit(low); !s.ok()) return s;
    if (low < 0xDC00 || low >= 0xE000) return unexpected(at_ - 1);
    unit = 0x10000 + ((unit - 0xD800) << 10) + (low - 0xDC00);
  }
  char bytes[4];
  const u32 n = encode_utf8(unit, bytes);
  for (u32 i = 0; i < n; ++i) text_[out++] = bytes[i];
  return {};
}

Status JsonParser::read_unit(u32& unit) {
  for (u32 i = 0; i < 4; ++i) {
    const char c = peek();
    const char lower = static_cast<char>(c | 0x20);
    u32 digit = 0;
    if (is_digit(c)) {
      digit = static_cast<u32>(c - '0');
    } else if (lower >= 'a' && lower <= 'f') {
      digit = static_cast<u32>(lower - 'a') + 10;
    } else {
      return unexpected();
    }
    unit = unit * 16 + digit;
    ++at_;
  }
  return {};
}

// ---- keys that are there twice

Status JsonParser::refuse_key(u32 key) const {
  return fail(ErrorCode::kDuplicate, "this key is there twice")
      .about(document_.text_of(key))
      .at(nodes_[key].at);
}

Status JsonParser::check_keys(u32 object) {
  const u32 n = nodes_[object].n;
  if (n > kFewKeys) return check_many_keys(object);
  u32 keys[kFewKeys] = {};
  u32 key = object + 1;
  for (u32 i = 0; i < n; ++i) {
    const Str text = document_.text_of(key);
    for (u32 k = 0; k < i; ++k) {
      if (document_.text_of(keys[k]) == text) return refuse_key(key);
    }
    keys[i] = key;
    key = nodes_[key + 1].next;
  }
  return {};
}

// By hash, then by bytes, in a heapsort: keys that were made to collide cost no more than others.
Status JsonParser::check_many_keys(u32 object) {
  struct Entry {
    u32 hash;
    u32 key;
  };
  const u32 n = nodes_[object].n;
  const Arena::Mark mark = arena_.mark();
  const Result<Span<Entry>> room = arena_.take<Entry>(n, "keys of JSON");
  if (!room.ok()) return room.error();
  const Span<Entry> entries = room.value();
  u32 key = object + 1;
  for (Entry& entry : entries) {
    entry = {hash_of(document_.text_of(key)), key};
    key = nodes_[key + 1].next;
  }
  const auto less = [&](const Entry& a, const Entry& b) {
    if (a.hash != b.hash) return a.hash < b.hash;
    return document_.text_of(a.key) < document_.text_of(b.key);
  };
  const auto sift = [&](u32 root, u32 end) {
    for (u32 child = 2 * root + 1; child < end; child = 2 * root + 1) {
      if (child + 1 < end && less(entries[child], entries[child + 1])) ++child;
      if (!less(entries[root], entries[child])) return;
      const Entry other = entries[root];
      entries[root] = entries[child];
      entries[child] = other;
      root = child;
    }
  };
  for (u32 i = n / 2; i-- > 0;) sift(i, n);
  for (u32 end = n - 1; end > 0; --end) {
    const Entry first = entries[0];
    entries[0] = entries[end];
    entries[end] = first;
    sift(0, end);
  }
  u32 twice = ~u32{0};  // the second of two that are equal; the first such of the text
  for (u32 i = 1; i < n; ++i) {
    if (less(entries[i - 1], entries[i])) continue;
    const u32 later = entries[i - 1].key > entries[i].key ? entries[i - 1].key : entries[i].key;
    if (later < twice) twice = later;
  }
  arena_.rewind(mark);
  return twice == ~u32{0} ? Status() : refuse_key(twice);
}

}  // namespace lbm
