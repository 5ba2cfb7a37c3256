// GBNF to a program: see grammar.h. Every rule is parsed once, front to back, and its code
// appended.
#include "core/base/fmt.h"
#include "core/base/utf8.h"
#include "core/infer/grammar_code.h"

namespace lbm {
namespace {

using Kind = GrammarOp::Kind;

constexpr u32 kUndefined = ~u32{0};
constexpr u32 kMaxCodepoint = 0x10FFFF;
constexpr u32 kFirstSurrogate = 0xD800;
constexpr u32 kLastSurrogate = 0xDFFF;
constexpr u32 kMaxRepeat = 1u << 20;  // far beyond what fits; keeps sums small

struct Rule {
  Str name;
  u32 entry = kUndefined;
  u32 first_use = 0;  // where it was named first
};

struct Place {
  u32 line = 1;
  u32 column = 1;  // in characters
};

class GrammarParser {
 public:
  GrammarParser(Str text, GrammarCode& code) : text_(text), code_(code) {}

  [[nodiscard]] Status take_memory(Arena& scratch) {
    const u64 n_rule = min_u64(Grammar::kMaxRules, text_.size() / 2 + 1);
    Result<Span<Rule>> rules = scratch.take<Rule>(n_rule, "grammar rules");
    if (!rules.ok()) return rules.error();
    n_slot_ = 16;
    while (n_slot_ < 2 * n_rule) n_slot_ *= 2;
    Result<Span<u32>> slots = scratch.take<u32>(n_slot_, "grammar rules");
    if (!slots.ok()) return slots.error();
    rules_ = rules.value();
    slots_ = slots.value();
    return {};
  }

  // The number of the root rule.
  [[nodiscard]] Result<u32> parse();
  [[nodiscard]] u32 n_rule() const { return n_rule_; }
  [[nodiscard]] const Rule& rule(u32 number) const { return rules_[number]; }
  [[nodiscard]] Error error_at(usize at, ErrorCode error, const char* what, Str name = {}) const;

 private:
  // Each of these leaves its error in error_ and returns false.
  bool parse_rule();
  bool parse_alternatives(u32 depth);
  bool parse_sequence(u32 depth);
  bool parse_item(u32 depth, bool& found);
  bool parse_literal();
  bool parse_class();
  bool parse_class_ranges(Span<CodepointRange> ranges, usize& n);
  bool parse_group(u32 depth);
  bool parse_repetitions(u32 start, u32 depth);
  bool parse_bounds(u32& low, u32& high);
  bool parse_number(u32& out);
  bool parse_character(u32& out);
  bool parse_hex(u32 n_digit, u32& out);
  bool parse_name(Str& out);
  bool number_of(Str name, u32& number);

  bool fail_at(usize at, ErrorCode error, const char* what, Str name = {}) {
    error_ = error_at(at, error, what, name);
    return false;
  }
  [[nodiscard]] bool check_room() {
    return !code_.is_full() ||
           fail_at(at_, ErrorCode::kLimit, "the grammar is too large; repeat less, or name parts");
  }
  [[nodiscard]] bool at_end() const { return at_ == text_.size(); }
  [[nodiscard]] char peek() const { return at_end() ? '\0' : text_[at_]; }
  [[nodiscard]] bool take(char c) {
    if (at_end() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  void skip_space(bool newlines);

  Str text_;
  GrammarCode& code_;
  usize at_ = 0;
  Span<Rule> rules_;
  Span<u32> slots_;  // number + 1 of a rule, by the hash of its name
  u32 n_slot_ = 0;
  u32 n_rule_ = 0;
  Status error_;
};

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_word(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || is_digit(c) || c == '-' || c == '_';
}
bool is_surrogate(u32 c) { return c >= kFirstSurrogate && c <= kLastSurrogate; }

Error GrammarParser::error_at(usize at, ErrorCode error, const char* what, Str name) const {
  Place place;
  for (usize i = 0; i < at; ++i) {
    const u8 byte = static_cast<u8>(text_[i]);
    if (byte == '\n') {
      ++place.line;
      place.column = 1;
    } else if ((byte & 0xC0) != 0x80) {
      ++place.column;
    }
  }
  TextBuffer<Error::kSubjectCapacity> where;
  where.print("grammar line {}, column {}", place.line, place.column);
  if (!name.empty())
    where.print(", '{}'", name.first(static_cast<usize>(min_u64(name.size(), 40))));
  return fail(error, what).about(where.text()).at(at);
}

void GrammarParser::skip_space(bool newlines) {
  while (!at_end()) {
    const char c = text_[at_];
    if (c == '#') {
      while (!at_end() && text_[at_] != '\n') ++at_;
    } else if (c == ' ' || c == '\t' || (newlines && (c == '\n' || c == '\r'))) {
      ++at_;
    } else {
      return;
    }
  }
}

// ---- names --------------------------------------------------------------------------------------

bool GrammarParser::parse_name(Str& out) {
  const usize start = at_;
  while (!at_end() && is_word(text_[at_])) ++at_;
  out = text_.slice(start, at_ - start);
  return !out.empty() || fail_at(at_, ErrorCode::kBadSyntax, "the name of a rule is needed here");
}

// The number of a rule, which may be defined later.
bool GrammarParser::number_of(Str name, u32& number) {
  u32 hash = 2166136261u;  // FNV-1a
  for (const char c : name) hash = (hash ^ static_cast<u8>(c)) * 16777619u;
  u32 slot = (hash ^ (hash >> 15)) & (n_slot_ - 1);
  for (; slots_[slot] != 0; slot = (slot + 1) & (n_slot_ - 1)) {
    number = slots_[slot] - 1;
    if (rules_[number].name == name) return true;
  }
  const usize at = static_cast<usize>(name.data() - text_.data());
  if (n_rule_ == rules_.size())
    return fail_at(at, ErrorCode::kLimit, "the grammar has too many rules");
  number = n_rule_++;
  rules_[number] = {name, kUndefined, static_cast<u32>(at)};
  slots_[slot] = n_rule_;
  return true;
}

// ---- characters ---------------------------------------------------------------------------------

bool GrammarParser::parse_hex(u32 n_digit, u32& out) {
  out = 0;
  for (u32 i = 0; i < n_digit; ++i) {
    const char c = peek();
    const char lower = static_cast<char>(c | 0x20);
    if (!is_digit(c) && (lower < 'a' || lower > 'f'))
      return fail_at(at_, ErrorCode::kBadSyntax, "a hexadecimal digit is needed here");
    out = out * 16 + static_cast<u32>(is_digit(c) ? c - '0' : lower - 'a' + 10);
    ++at_;
  }
  return true;
}

// One character, escaped or not.
bool GrammarParser::parse_character(u32& out) {
  const usize start = at_;
  if (!take('\\')) {
    const Utf8Char c = decode_utf8(text_.from(at_));
    if (!c.valid) return fail_at(at_, ErrorCode::kBadValue, "this is not UTF-8");
    at_ += c.n_byte;
    out = c.codepoint;
    return true;
  }
  const char escape = peek();
  if (!at_end()) ++at_;
  bool ok = true;
  switch (escape) {
    case 'x': ok = parse_hex(2, out); break;
    case 'u': ok = parse_hex(4, out); break;
    case 'U': ok = parse_hex(8, out); break;
    case 't': out = '\t'; break;
    case 'r': out = '\r'; break;
    case 'n': out = '\n'; break;
    case '\\':
    case '"':
    case '[':
    case ']':
    case '-':
    case '^': out = static_cast<u8>(escape); break;
    default:
      return fail_at(start, ErrorCode::kBadSyntax,
                     "unknown escape; there are \\x \\u \\U \\t \\r \\n \\\\ \\\" \\[ \\] \\- \\^");
  }
  if (!ok) return false;
  if (out > kMaxCodepoint || is_surrogate(out))
    return fail_at(start, ErrorCode::kBadValue, "there is no such character in Unicode");
  return true;
}

bool GrammarParser::parse_literal() {
  const usize start = at_++;
  while (peek() != '"') {
    if (at_end() || peek() == '\n')
      return fail_at(start, ErrorCode::kBadSyntax, "this literal has no closing quote");
    u32 c = 0;
    if (!parse_character(c)) return false;
    code_.append_character(c);
  }
  ++at_;
  return check_room();
}

bool GrammarParser::parse_class_ranges(Span<CodepointRange> ranges, usize& n) {
  const usize start = at_;
  while (peek() != ']') {
    if (at_end() || peek() == '\n')
      return fail_at(start, ErrorCode::kBadSyntax, "this class has no closing bracket");
    const usize at = at_;
    CodepointRange range = {};
    if (!parse_character(range.low)) return false;
    range.high = range.low;
    if (peek() == '-' && at_ + 1 < text_.size() && text_[at_ + 1] != ']') {
      ++at_;
      if (!parse_character(range.high)) return false;
    }
    if (range.high < range.low)
      return fail_at(at, ErrorCode::kBadValue, "this range runs backwards");
    if (n == ranges.size()) return fail_at(at, ErrorCode::kLimit, "this class has too many ranges");
    ranges[n++] = range;
  }
  if (n == 0) return fail_at(start, ErrorCode::kBadSyntax, "this class has no characters");
  return true;
}

// Sorts, and joins what overlaps or touches.
usize normalize(Span<CodepointRange> ranges) {
  for (usize i = 1; i < ranges.size(); ++i) {
    const CodepointRange moved = ranges[i];
    usize k = i;
    for (; k > 0 && ranges[k - 1].low > moved.low; --k) ranges[k] = ranges[k - 1];
    ranges[k] = moved;
  }
  usize n = 1;
  for (const CodepointRange& range : ranges.from(1)) {
    CodepointRange& last = ranges[n - 1];
    if (range.low <= last.high + 1) {
      last.high = max_u32(last.high, range.high);
    } else {
      ranges[n++] = range;
    }
  }
  return n;
}

// All other characters, in place of `ranges` (normalized), which have room for one more.
usize negate(Span<CodepointRange> ranges, usize n) {
  u32 low = 0;
  usize n_out = 0;
  for (usize i = 0; i < n; ++i) {
    const CodepointRange range = ranges[i];
    if (range.low > low) ranges[n_out++] = {low, range.low - 1};
    low = range.high + 1;
  }
  if (low <= kMaxCodepoint) ranges[n_out++] = {low, kMaxCodepoint};
  return n_out;
}

// Takes surrogates out, which are no characters; `ranges` (normalized) have room for one more.
usize drop_surrogates(Span<CodepointRange> ranges, usize n) {
  usize n_out = 0;
  for (usize i = 0; i < n; ++i) {
    const CodepointRange range = ranges[i];
    const bool has_lower = range.low < kFirstSurrogate;
    const bool has_upper = range.high > kLastSurrogate;
    if (has_lower && has_upper && range.high >= kFirstSurrogate) {  // one that has them all
      for (usize k = n; k > i + 1; --k) ranges[k] = ranges[k - 1];
      ++n;
      ranges[n_out++] = {range.low, kFirstSurrogate - 1};
      ranges[i + 1] = {kLastSurrogate + 1, range.high};
    } else if (has_lower) {
      ranges[n_out++] = {range.low, min_u32(range.high, kFirstSurrogate - 1)};
    } else if (has_upper) {
      ranges[n_out++] = {max_u32(range.low, kLastSurrogate + 1), range.high};
    }
  }
  return n_out;
}

bool GrammarParser::parse_class() {
  const usize start = at_++;
  CodepointRange ranges[Grammar::kMaxRanges + 2];
  usize n = 0;
  const bool is_negated = take('^');
  if (!parse_class_ranges(Span<CodepointRange>(ranges).first(Grammar::kMaxRanges), n)) return false;
  ++at_;
  n = normalize(Span<CodepointRange>(ranges).first(n));
  if (is_negated) n = negate(ranges, n);
  n = drop_surrogates(ranges, n);
  if (n == 0) return fail_at(start, ErrorCode::kBadValue, "no character is left for this class");
  code_.append_class(Span<const CodepointRange>(ranges, n));
  return check_room();
}

// ---- rules --------------------------------------------------------------------------------------

bool GrammarParser::parse_number(u32& out) {
  const usize start = at_;
  out = 0;
  for (; is_digit(peek()); ++at_) {
    out = out * 10 + static_cast<u32>(peek() - '0');
    if (out > kMaxRepeat) return fail_at(start, ErrorCode::kLimit, "this number is too large");
  }
  return at_ != start || fail_at(at_, ErrorCode::kBadSyntax, "a number is needed here");
}

// {m} {m,} {m,n}, behind its first brace.
bool GrammarParser::parse_bounds(u32& low, u32& high) {
  const usize start = at_;
  skip_space(true);
  if (!parse_number(low)) return false;
  high = low;
  skip_space(true);
  if (take(',')) {
    skip_space(true);
    high = GrammarCode::kNoEnd;
    if (is_digit(peek()) && !parse_number(high)) return false;
    skip_space(true);
  }
  if (!take('}')) return fail_at(at_, ErrorCode::kBadSyntax, "'}' is needed here");
  if (high < low) return fail_at(start, ErrorCode::kBadValue, "these bounds run backwards");
  return true;
}

bool GrammarParser::parse_repetitions(u32 start, u32 depth) {
  for (;;) {
    skip_space(depth != 0);
    const usize at = at_;
    if (take('*')) {
      code_.repeat(start, 0, GrammarCode::kNoEnd);
    } else if (take('+')) {
      code_.repeat(start, 1, GrammarCode::kNoEnd);
    } else if (take('?')) {
      code_.repeat(start, 0, 1);
    } else if (take('{')) {
      u32 low = 0;
      u32 high = 0;
      if (!parse_bounds(low, high)) return false;
      code_.repeat(start, low, high);
    } else {
      return true;
    }
    if (code_.is_full()) {
      return fail_at(at, ErrorCode::kLimit,
                     "this repetition makes the grammar too large; repeat less");
    }
  }
}

bool GrammarParser::parse_group(u32 depth) {
  const usize start = at_++;
  if (depth == Grammar::kMaxDepth)
    return fail_at(start, ErrorCode::kLimit, "parentheses are nested too deep");
  if (!parse_alternatives(depth + 1)) return false;
  if (!take(')')) return fail_at(start, ErrorCode::kBadSyntax, "this parenthesis is not closed");
  return true;
}

bool GrammarParser::parse_item(u32 depth, bool& found) {
  found = true;
  switch (peek()) {
    case '"': return parse_literal();
    case '[': return parse_class();
    case '(': return parse_group(depth);
    case '.': {
      ++at_;
      constexpr CodepointRange kAll[] = {{0, 0xD7FF}, {0xE000, kMaxCodepoint}};
      code_.append_class(kAll);
      return check_room();
    }
    case '<':
    case '!':
      return fail_at(at_, ErrorCode::kUnsupported,
                     "tokens in a grammar are not supported; spell the "
                     "text in quotes");
    default: break;
  }
  found = is_word(peek());
  if (!found) return true;
  Str name;
  u32 number = 0;
  if (!parse_name(name) || !number_of(name, number)) return false;
  code_.append({Kind::kCall, 0, 0, static_cast<i32>(number)});
  return check_room();
}

bool GrammarParser::parse_sequence(u32 depth) {
  for (;;) {
    skip_space(depth != 0);
    const u32 start = code_.size();
    bool found = false;
    if (!parse_item(depth, found)) return false;
    if (!found) return true;
    if (!parse_repetitions(start, depth)) return false;
  }
}

// Outside of parentheses a line feed ends the rule, but for one that follows '|'.
bool GrammarParser::parse_alternatives(u32 depth) {
  GrammarAlternatives alternatives(code_);
  for (;;) {
    if (!parse_sequence(depth)) return false;
    if (!take('|')) break;
    alternatives.next();
    if (!check_room()) return false;
    skip_space(true);
  }
  alternatives.end();
  return true;
}

bool GrammarParser::parse_rule() {
  Str name;
  u32 number = 0;
  if (!parse_name(name) || !number_of(name, number)) return false;
  const usize at = static_cast<usize>(name.data() - text_.data());
  if (rules_[number].entry != kUndefined)
    return fail_at(at, ErrorCode::kDuplicate, "this rule was given before", name);
  skip_space(false);
  if (!text_.from(at_).starts_with("::="))
    return fail_at(at_, ErrorCode::kBadSyntax, "'::=' is needed after the name of a rule");
  at_ += 3;
  skip_space(true);
  rules_[number].entry = code_.size();
  if (!parse_alternatives(0)) return false;
  code_.append({Kind::kReturn, 0, 0, 0});
  if (!check_room()) return false;
  if (!at_end() && peek() != '\n' && peek() != '\r')
    return fail_at(at_, ErrorCode::kBadSyntax, "this does not belong into a rule");
  return true;
}

Result<u32> GrammarParser::parse() {
  for (skip_space(true); !at_end(); skip_space(true)) {
    if (!parse_rule()) return error_.error();
  }
  for (u32 i = 0; i < n_rule_; ++i) {
    if (rules_[i].entry != kUndefined) continue;
    return error_at(rules_[i].first_use, ErrorCode::kMissing, "this rule is not defined",
                    rules_[i].name);
  }
  for (u32 i = 0; i < n_rule_; ++i) {
    if (rules_[i].name == "root") return i;
  }
  return fail(ErrorCode::kMissing, "the grammar has no rule 'root', where answers begin");
}

}  // namespace

Result<Grammar*> Grammar::parse(Arena& arena, Str text, Arena& scratch) {
  if (text.size() > kMaxTextBytes)
    return fail(ErrorCode::kLimit, "the grammar is too long").with(text.size(), kMaxTextBytes);
  const Arena::Mark kept = arena.mark();
  const Arena::Mark work = scratch.mark();
  const auto compile = [&]() -> Result<Grammar*> {
    Result<Span<u8>> ops = scratch.take_raw(kMaxOps * sizeof(GrammarOp), "grammar");
    if (!ops.ok()) return ops.error();
    Result<Span<AsciiSet>> sets = scratch.take<AsciiSet>(kMaxSets, "grammar");
    if (!sets.ok()) return sets.error();
    GrammarCode code({reinterpret_cast<GrammarOp*>(ops.value().data()), kMaxOps}, sets.value());
    GrammarParser parser(text, code);
    if (const Status s = parser.take_memory(scratch); !s.ok()) return s.error();
    const Result<u32> root = parser.parse();
    if (!root.ok()) return root.error();
    Result<Span<u32>> entries = arena.take<u32>(parser.n_rule(), "grammar");
    if (!entries.ok()) return entries.error();
    for (u32 i = 0; i < parser.n_rule(); ++i) entries.value()[i] = parser.rule(i).entry;
    const Result<u32> loop = find_left_recursion(code.ops(), entries.value(), scratch);
    if (!loop.ok()) return loop.error();
    if (loop.value() != kNoRule) {
      const Rule& rule = parser.rule(loop.value());
      return parser.error_at(
          rule.first_use, ErrorCode::kUnsupported,
          "this rule begins with itself (left recursion); put what repeats behind "
          "what does not",
          rule.name);
    }
    Result<Span<GrammarOp>> kept_ops = arena.take<GrammarOp>(code.size(), "grammar");
    if (!kept_ops.ok()) return kept_ops.error();
    Result<Span<AsciiSet>> kept_sets = arena.take<AsciiSet>(code.sets().size(), "grammar");
    if (!kept_sets.ok()) return kept_sets.error();
    __builtin_memcpy(kept_ops.value().data(), code.ops().data(), code.ops().size_bytes());
    __builtin_memcpy(kept_sets.value().data(), code.sets().data(), code.sets().size_bytes());
    return arena.make<Grammar>("grammar", kept_ops.value(), kept_sets.value(), entries.value(),
                               parser.rule(root.value()).entry);
  };
  Result<Grammar*> grammar = compile();
  scratch.rewind(work);
  if (!grammar.ok()) arena.rewind(kept);
  return grammar;
}

}  // namespace lbm
