// Text in grammars: literals of GBNF, and the regular expressions of "pattern".
#include <algorithm>
#include <cstdio>
#include <vector>

#include "core/base/utf8.h"
#include "tools/json_schema_parts.h"

namespace lbm::cli {
namespace {

struct Range {
  u32 low;
  u32 high;
};

constexpr u32 kLast = 0x10FFFF;
constexpr usize kMaxPatternBytes = 4096;
constexpr u32 kMaxPatternDepth = 32;

std::string hex(u32 value, int n_digit) {
  char text[12];
  std::snprintf(text, sizeof(text), "%0*X", n_digit, value);
  return text;
}

// In a literal or a class.
std::string gbnf_character(u32 c, const char* escaped) {
  if (c < 0x20 || c == 0x7F) return "\\x" + hex(c, 2);
  if (c > 0x7F) return c > 0xFFFF ? "\\U" + hex(c, 8) : "\\u" + hex(c, 4);
  const char plain = static_cast<char>(c);
  return (std::string(escaped).find(plain) != std::string::npos ? "\\" : "") +
         std::string(1, plain);
}

// How JSON spells a character of a string; empty where it stands for itself.
std::string json_escape(u32 c) {
  switch (c) {
    case '"': return "\\\"";
    case '\\': return "\\\\";
    case '\b': return "\\b";
    case '\f': return "\\f";
    case '\n': return "\\n";
    case '\r': return "\\r";
    case '\t': return "\\t";
    default: return c < 0x20 ? "\\u00" + hex(c, 2) : "";
  }
}

// One character of `ranges` in the text of a JSON string.
std::string class_of(const std::vector<Range>& ranges) {
  std::string plain;
  std::string escapes;
  for (const Range& range : ranges) {
    u32 low = range.low;
    const auto add = [&](u32 first, u32 last) {
      // No half of a range ends at a surrogate, which is no character.
      if (first >= 0xD800 && first <= 0xDFFF) first = 0xE000;
      if (last >= 0xD800 && last <= 0xDFFF) last = 0xD7FF;
      if (first > last) return;
      plain += gbnf_character(first, "\\]^-[");
      if (last > first) plain += "-" + gbnf_character(last, "\\]^-[");
    };
    for (u32 c = range.low; c <= range.high && c <= '\\'; ++c) {
      const std::string escape = json_escape(c);
      if (escape.empty()) continue;
      if (c > low) add(low, c - 1);
      low = c + 1;
      escapes += " | " + grammar_literal(escape);
    }
    add(low, range.high);
  }
  if (escapes.empty()) return "[" + plain + "]";
  return "(" + (plain.empty() ? escapes.substr(3) : "[" + plain + "]" + escapes) + ")";
}

std::vector<Range> others(std::vector<Range> ranges) {
  std::sort(ranges.begin(), ranges.end(), [](Range a, Range b) { return a.low < b.low; });
  std::vector<Range> out;
  u32 low = 0;
  for (const Range& range : ranges) {
    if (range.low > low) out.push_back({low, range.low - 1});
    low = std::max(low, range.high + 1);
  }
  if (low <= kLast) out.push_back({low, kLast});
  return out;
}

// What is no digit, no letter or no space is told apart by readers of patterns in two ways: by
// ASCII, as the standard has it, or by Unicode. Printable ASCII is the same in both.
std::vector<Range> ascii(const std::vector<Range>& ranges) {
  std::vector<Range> out;
  for (const Range& range : ranges) {
    const Range printable = {std::max(range.low, 0x20u), std::min(range.high, 0x7Eu)};
    if (printable.low <= printable.high) out.push_back(printable);
  }
  return out;
}

const std::vector<Range> kDigits = {{'0', '9'}};
const std::vector<Range> kWord = {{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}};
const std::vector<Range> kSpace = {{'\t', '\r'}, {' ', ' '}, {0xA0, 0xA0}};
const std::vector<Range> kLineEnds = {{'\n', '\n'}, {'\r', '\r'}, {0x2028, 0x2029}};

// Regular expression to GBNF, front to back; messages name the pointer of the schema.
class PatternReader {
 public:
  PatternReader(const std::string& text, const std::string& pointer)
      : text_(text), pointer_(pointer) {}

  std::string read(bool& uses_char) {
    if (text_.size() > kMaxPatternBytes) refuse("the pattern is too long");
    if (!is_valid_utf8(to_str(text_))) refuse("the pattern is not UTF-8");
    const bool is_anchored = take('^');
    std::string body = alternatives(0);
    const bool is_ended = take('$');
    if (at_ != text_.size())
      refuse("this part of the pattern is not supported: '" + text_.substr(at_) + "'");
    // An anchor belongs to its alternative.
    if (has_top_alternative_ && (is_anchored || is_ended))
      refuse("put the alternatives of the pattern in parentheses, behind '^' and before '$'");
    uses_char = !is_anchored || !is_ended;
    return std::string("\"\\\"\" ") + (is_anchored ? "" : "char* ") + "(" + body + ")" +
           (is_ended ? "" : " char*") + " \"\\\"\"";
  }

 private:
  [[noreturn]] void refuse(const std::string& why) const { throw SchemaError(pointer_, why); }
  [[nodiscard]] char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }
  bool take(char c) {
    if (at_ == text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  u32 next_codepoint() {
    const Utf8Char c = decode_utf8(to_str(text_).from(at_));
    at_ += c.n_byte;
    return c.codepoint;
  }

  std::string alternatives(u32 depth) {
    if (depth > kMaxPatternDepth) refuse("the pattern is nested too deep");
    std::string out = sequence(depth);
    while (take('|')) {
      if (depth == 0) has_top_alternative_ = true;
      out += " | " + sequence(depth);
    }
    return out;
  }

  std::string sequence(u32 depth) {
    std::string out;
    while (at_ < text_.size() && peek() != '|' && peek() != ')' && peek() != '$') {
      const std::string one = item(depth);
      out += (out.empty() ? "" : " ") + one + repetition();
    }
    return out.empty() ? "\"\"" : out;
  }

  std::string repetition() {
    std::string out;
    if (peek() == '*' || peek() == '+' || peek() == '?') {
      out = std::string(1, text_[at_++]);
    } else if (peek() == '{') {
      const usize end = text_.find('}', at_);
      if (end == std::string::npos) refuse("a '{' of the pattern is not closed");
      out = text_.substr(at_, end + 1 - at_);
      if (out.find_first_not_of("{}0123456789,") != std::string::npos || out.size() < 3 ||
          out[1] == ',' || out.size() > 16)
        refuse("this repetition of the pattern is not supported: " + out);
      at_ = end + 1;
    } else {
      return "";
    }
    // Which of several ways a lazy repetition prefers makes no difference to what matches.
    static_cast<void>(take('?'));
    if (peek() == '*' || peek() == '+' || peek() == '{')
      refuse("a repetition of the pattern is repeated");
    return out;
  }

  std::string item(u32 depth) {
    switch (peek()) {
      case '(': {
        ++at_;
        if (take('?') && !take(':')) refuse("groups with '(?' are not supported in a pattern");
        const std::string inner = alternatives(depth + 1);
        if (!take(')')) refuse("a parenthesis of the pattern is not closed");
        return "(" + inner + ")";
      }
      case '[': return char_class();
      case '.': ++at_; return class_of(others(kLineEnds));
      case '*':
      case '+':
      case '?':
      case '{': refuse("a repetition of the pattern repeats nothing");
      case '^': refuse("'^' inside of a pattern is not supported");
      case '\\': {
        std::vector<Range> ranges;
        escape(ranges);
        return class_of(ranges);
      }
      default: {
        const u32 c = next_codepoint();
        return class_of({{c, c}});
      }
    }
  }

  u32 code(usize n_digit) {
    const std::string digits = text_.substr(at_, n_digit);
    if (digits.size() != n_digit ||
        digits.find_first_not_of("0123456789abcdefABCDEF") != std::string::npos)
      refuse("an escape of the pattern has too few digits");
    at_ += n_digit;
    const u32 c = static_cast<u32>(std::stoul(digits, nullptr, 16));
    if (c >= 0xD800 && c <= 0xDFFF) refuse("surrogates are not supported in a pattern");
    return c;
  }

  void escape(std::vector<Range>& out) {
    ++at_;
    if (at_ == text_.size()) refuse("the pattern ends with a backslash");
    const auto add = [&](const std::vector<Range>& ranges) {
      out.insert(out.end(), ranges.begin(), ranges.end());
    };
    const char c = text_[at_++];
    has_kind_ = has_kind_ || c == 'd' || c == 'w' || c == 's';
    switch (c) {
      case 'd': return add(kDigits);
      case 'D': return add(ascii(others(kDigits)));
      case 'w': return add(kWord);
      case 'W': return add(ascii(others(kWord)));
      case 's': return add(kSpace);
      case 'S': return add(ascii(others(kSpace)));
      case 't': return add({{'\t', '\t'}});
      case 'n': return add({{'\n', '\n'}});
      case 'r': return add({{'\r', '\r'}});
      case 'f': return add({{'\f', '\f'}});
      case 'v': return add({{'\v', '\v'}});
      case 'x': {
        const u32 value = code(2);
        return add({{value, value}});
      }
      case 'u': {
        const u32 value = code(4);
        return add({{value, value}});
      }
      default: break;
    }
    const bool is_word = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
                         (c >= 'A' && c <= 'Z') || c == '_' || static_cast<unsigned char>(c) > 0x7F;
    if (is_word) refuse(std::string("'\\") + c + "' is not supported in a pattern");
    add({{static_cast<u32>(c), static_cast<u32>(c)}});
  }

  std::string char_class() {
    ++at_;
    const bool is_negated = take('^');
    has_kind_ = false;
    std::vector<Range> ranges;
    while (!take(']')) {
      if (at_ == text_.size()) refuse("a class of the pattern is not closed");
      std::vector<Range> one;
      if (peek() == '\\') {
        escape(one);
      } else {
        const u32 c = next_codepoint();
        one = {{c, c}};
      }
      const bool is_single = one.size() == 1 && one[0].low == one[0].high;
      if (is_single && peek() == '-' && at_ + 1 < text_.size() && text_[at_ + 1] != ']') {
        ++at_;
        std::vector<Range> last;
        if (peek() == '\\') {
          escape(last);
        } else {
          const u32 c = next_codepoint();
          last = {{c, c}};
        }
        if (last.size() != 1 || last[0].low != last[0].high || last[0].low < one[0].low)
          refuse("a range of the pattern runs backwards");
        one[0].high = last[0].low;
      }
      ranges.insert(ranges.end(), one.begin(), one.end());
    }
    ranges = is_negated ? others(ranges) : others(others(ranges));
    if (is_negated && has_kind_) ranges = ascii(ranges);
    if (ranges.empty()) refuse("a class of the pattern has no characters");
    return class_of(ranges);
  }

  const std::string& text_;
  const std::string& pointer_;
  usize at_ = 0;
  bool has_top_alternative_ = false;
  bool has_kind_ = false;  // the class has \d, \w or \s
};

}  // namespace

std::string grammar_literal(const std::string& text) {
  std::string out = "\"";
  for (usize at = 0; at < text.size();) {
    const Utf8Char c = decode_utf8(to_str(text).from(at));
    out += gbnf_character(c.codepoint, "\\\"");
    at += c.n_byte;
  }
  return out + "\"";
}

std::string pattern_string(const std::string& pattern, const std::string& pointer,
                           bool& uses_char) {
  return PatternReader(pattern, pointer).read(uses_char);
}

}  // namespace lbm::cli
