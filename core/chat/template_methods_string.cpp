// Methods of str.
#include "core/base/utf8.h"
#include "core/chat/template_access.h"
#include "core/chat/template_builtins.h"
#include "core/chat/template_case.h"
#include "core/chat/template_format.h"
#include "core/chat/template_operators.h"
#include "core/chat/template_text.h"

namespace lbm {
namespace {

bool answer(bool v, TemplateValue* out) {
  *out = TemplateValue::boolean(v).with_origin(TemplateOrigin::kMarkup);
  return true;
}

bool answer(i64 v, TemplateValue* out) {
  *out = TemplateValue::integer(v).with_origin(TemplateOrigin::kMarkup);
  return true;
}

template <bool kLeft, bool kRight>
bool method_strip(BuiltinCall& call, TemplateValue* out) {
  return strip_text(call.budget, call.self, call.slot[0], kLeft, kRight, out);
}

bool method_upper(BuiltinCall& call, TemplateValue* out) {
  return upper_text(call.budget, call.self, out);
}

bool method_lower(BuiltinCall& call, TemplateValue* out) {
  return lower_text(call.budget, call.self, out);
}

bool method_capitalize(BuiltinCall& call, TemplateValue* out) {
  return capitalize_text(call.budget, call.self, out);
}

// title: a letter behind anything that has no case is a capital. swapcase: every letter the other
// way.
template <bool kTitle>
bool method_recase(BuiltinCall& call, TemplateValue* out) {
  TextBuilder text(call.budget);
  TextPieces pieces(call.self);
  bool after_cased = false;
  while (pieces.next()) {
    for (usize at = 0; at < pieces.bytes.size() && call.budget.ok();) {
      const Utf8Char c = decode_utf8(pieces.bytes.from(at));
      const bool lowers = kTitle ? after_cased : is_upper(c.codepoint);
      const LetterCase wanted = lowers   ? LetterCase::kLower
                                : kTitle ? LetterCase::kTitle
                                         : LetterCase::kUpper;
      append_in_case(text, pieces.bytes.slice(at, c.n_byte), wanted, pieces.markup);
      after_cased = is_upper(c.codepoint) || is_lower(c.codepoint);
      at += c.n_byte;
    }
  }
  return text.finish(out);
}

bool method_replace(BuiltinCall& call, TemplateValue* out) {
  TemplateValue old_text;
  TemplateValue new_text;
  i64 count = -1;
  return call.string(0, "", &old_text) && call.string(1, "", &new_text) &&
         call.integer(2, -1, &count) &&
         replace_text(call.budget, call.self, old_text, new_text, count, out);
}

// ---- Splitting

bool add_part(BuiltinCall& call, TemplateList& parts, usize begin, usize end) {
  TemplateValue part;
  return slice_text(call.budget, call.self, begin, end, &part) &&
         append_item(call.budget, parts, part);
}

usize skip_spaces(Str text, usize at, bool spaces) {
  while (at < text.size() && is_unicode_space(codepoint_at(text, at)) == spaces)
    at += character_at(text, at);
  return at;
}

usize skip_spaces_back(Str text, usize at, bool spaces) {
  while (at > 0) {
    const usize n = character_before(text, at);
    if (is_unicode_space(codepoint_at(text, at - n)) != spaces) break;
    at -= n;
  }
  return at;
}

// At runs of white space, none of which gives an empty part. What the limit leaves over keeps its
// far end as it is.
bool split_at_space(BuiltinCall& call, i64 limit, TemplateList& parts) {
  const Str text = call.self.text();
  if (!call.budget.spend_bytes(text.size())) return false;
  usize at = skip_spaces(text, 0, true);
  for (i64 n = 0; at < text.size(); ++n) {
    const bool rest = limit >= 0 && n >= limit;
    const usize end = rest ? text.size() : skip_spaces(text, at, false);
    if (!add_part(call, parts, at, end)) return false;
    if (rest) break;
    at = skip_spaces(text, end, true);
  }
  return true;
}

bool split_at_space_back(BuiltinCall& call, i64 limit, TemplateList& parts) {
  const Str text = call.self.text();
  if (!call.budget.spend_bytes(text.size())) return false;
  usize at = skip_spaces_back(text, text.size(), true);
  for (i64 n = 0; at > 0; ++n) {
    const bool rest = limit >= 0 && n >= limit;
    const usize begin = rest ? 0 : skip_spaces_back(text, at, false);
    if (!add_part(call, parts, begin, at)) return false;
    if (rest) break;
    at = skip_spaces_back(text, begin, true);
  }
  return true;
}

bool split_at_text(BuiltinCall& call, Str separator, i64 limit, TemplateList& parts) {
  const Str text = call.self.text();
  usize begin = 0;
  for (i64 n = 0; limit < 0 || n < limit; ++n) {
    const usize found = find_text(call.budget, text, separator, begin, text.size());
    if (!call.budget.ok()) return false;
    if (found == Str::kNone) break;
    if (!add_part(call, parts, begin, found)) return false;
    begin = found + separator.size();
  }
  return add_part(call, parts, begin, text.size());
}

bool split_at_text_back(BuiltinCall& call, Str separator, i64 limit, TemplateList& parts) {
  const Str text = call.self.text();
  usize end = text.size();
  for (i64 n = 0; limit < 0 || n < limit; ++n) {
    const usize found = find_text_last(call.budget, text, separator, 0, end);
    if (!call.budget.ok()) return false;
    if (found == Str::kNone) break;
    if (!add_part(call, parts, found + separator.size(), end)) return false;
    end = found;
  }
  return add_part(call, parts, 0, end);
}

template <bool kBack>
bool method_split(BuiltinCall& call, TemplateValue* out) {
  TemplateList* parts = call.budget.make<TemplateList>();
  i64 limit = -1;
  if (parts == nullptr || !call.integer(1, -1, &limit)) return false;
  if (!call.has_value(0)) {
    if (!(kBack ? split_at_space_back(call, limit, *parts) : split_at_space(call, limit, *parts)))
      return false;
  } else {
    TemplateValue separator;
    if (!call.string(0, "", &separator)) return false;
    if (separator.text().empty())
      return call.budget.fail(ErrorCode::kBadValue, "ValueError: empty separator, line");
    const bool ok = kBack ? split_at_text_back(call, separator.text(), limit, *parts)
                          : split_at_text(call, separator.text(), limit, *parts);
    if (!ok) return false;
  }
  const Span<TemplateValue> items = parts->items();
  for (usize i = 0; kBack && i < items.size() / 2; ++i)
    lbm::swap(items[i], items[items.size() - 1 - i]);
  *out = TemplateValue::list(*parts).with_origin(origin_of(call.self.is_markup()));
  return true;
}

bool method_splitlines(BuiltinCall& call, TemplateValue* out) {
  TemplateList* lines = call.budget.make<TemplateList>();
  if (lines == nullptr || !split_lines(call.budget, call.self, call.flag(0, false), lines))
    return false;
  *out = TemplateValue::list(*lines).with_origin(origin_of(call.self.is_markup()));
  return true;
}

template <bool kBack>
bool method_partition(BuiltinCall& call, TemplateValue* out) {
  TemplateValue separator;
  TemplateList* parts = call.budget.make<TemplateList>();
  if (parts == nullptr || !call.string(0, "", &separator)) return false;
  const Str text = call.self.text();
  const Str needle = separator.text();
  if (needle.empty())
    return call.budget.fail(ErrorCode::kBadValue, "ValueError: empty separator, line");
  const usize found = kBack ? find_text_last(call.budget, text, needle, 0, text.size())
                            : find_text(call.budget, text, needle, 0, text.size());
  if (!call.budget.ok()) return false;
  usize begin = found;
  usize end = found + needle.size();
  if (found == Str::kNone) begin = end = kBack ? 0 : text.size();
  if (!add_part(call, *parts, 0, begin) || !add_part(call, *parts, begin, end) ||
      !add_part(call, *parts, end, text.size())) {
    return false;
  }
  *out = TemplateValue::object(TemplateKind::kTuple, parts)
             .with_origin(origin_of(call.self.is_markup()));
  return true;
}

// ---- Searching

// The part [start, end) in characters, as slots 1 and 2 give it, in bytes. False in `valid` where
// start is beyond the end.
struct SearchRange {
  usize begin = 0;
  usize end = 0;
  bool valid = true;
};

bool search_range(BuiltinCall& call, SearchRange* out) {
  const Str text = call.self.text();
  out->end = text.size();
  if (!call.has_value(1) && !call.has_value(2)) return true;
  const i64 size = static_cast<i64>(count_characters(text));
  i64 begin = 0;
  i64 end = size;
  if (call.has_value(1) && !call.integer(1, 0, &begin)) return false;
  if (call.has_value(2) && !call.integer(2, size, &end)) return false;
  if (end > size) end = size;
  if (end < 0) end = end < -size ? 0 : end + size;
  if (begin < 0) begin = begin < -size ? 0 : begin + size;
  out->valid = begin <= end;
  out->begin = character_offset(text, static_cast<u64>(begin));
  out->end = character_offset(text, static_cast<u64>(end));
  return call.budget.spend_bytes(text.size());
}

template <bool kEnd>
bool method_affix(BuiltinCall& call, TemplateValue* out) {
  SearchRange range;
  if (!search_range(call, &range)) return false;
  const bool several = call.slot[0].is(TemplateKind::kTuple);
  const u32 n = several ? call.slot[0].as_list().size() : 1;
  bool found = false;
  for (u32 i = 0; i < n && !found; ++i) {
    const TemplateValue affix = several ? call.slot[0].as_list()[i] : call.slot[0];
    if (!affix.is(TemplateKind::kString))
      return fail_type(call.budget, "TypeError: text is needed, line", affix);
    if (!call.budget.spend_bytes(affix.text().size())) return false;
    if (!range.valid) continue;
    const Str part = call.self.text().slice(range.begin, range.end - range.begin);
    found = kEnd ? part.ends_with(affix.text()) : part.starts_with(affix.text());
  }
  return answer(found, out);
}

template <bool kBack, bool kMustFind>
bool method_find(BuiltinCall& call, TemplateValue* out) {
  TemplateValue needle;
  SearchRange range;
  if (!call.string(0, "", &needle) || !search_range(call, &range)) return false;
  usize found = Str::kNone;
  if (range.valid) {
    found =
        kBack ? find_text_last(call.budget, call.self.text(), needle.text(), range.begin, range.end)
              : find_text(call.budget, call.self.text(), needle.text(), range.begin, range.end);
  }
  if (!call.budget.ok()) return false;
  if (found != Str::kNone)
    return answer(static_cast<i64>(count_characters(call.self.text().first(found))), out);
  if (kMustFind)
    return call.budget.fail(ErrorCode::kBadValue, "ValueError: substring not found, line");
  return answer(i64{-1}, out);
}

bool method_count(BuiltinCall& call, TemplateValue* out) {
  TemplateValue needle;
  SearchRange range;
  if (!call.string(0, "", &needle) || !search_range(call, &range)) return false;
  const Str text = call.self.text();
  if (!range.valid) return answer(i64{0}, out);
  if (needle.text().empty()) {
    return answer(
        static_cast<i64>(count_characters(text.slice(range.begin, range.end - range.begin))) + 1,
        out);
  }
  i64 n = 0;
  for (usize at = range.begin;; ++n) {
    at = find_text(call.budget, text, needle.text(), at, range.end);
    if (at == Str::kNone) break;
    at += needle.text().size();
  }
  return call.budget.ok() && answer(n, out);
}

template <bool kEnd>
bool method_remove_affix(BuiltinCall& call, TemplateValue* out) {
  TemplateValue affix;
  if (!call.string(0, "", &affix)) return false;
  const Str text = call.self.text();
  const usize n = affix.text().size();
  *out = call.self;
  if (!call.budget.spend_bytes(n)) return false;
  if (!(kEnd ? text.ends_with(affix.text()) : text.starts_with(affix.text()))) return true;
  return slice_text(call.budget, call.self, kEnd ? 0 : n, kEnd ? text.size() - n : text.size(),
                    out);
}

// ---- Building

bool method_join(BuiltinCall& call, TemplateValue* out) {
  TemplateItems items;
  if (!iterate(call.budget, call.slot[0], &items)) return false;
  TextBuilder text(call.budget);
  for (u32 i = 0; i < items.size; ++i) {
    const TemplateValue item = items.at(i);
    if (!item.is(TemplateKind::kString))
      return fail_type(call.budget, "TypeError: join needs text, line", item);
    if (i != 0) text.append(call.self);
    text.append(item);
  }
  return text.finish(out);
}

bool fill_slot(BuiltinCall& call, TemplateValue* out) {
  if (!call.string(1, " ", out)) return false;
  if (out->text().size() <= 4 && count_characters(out->text()) == 1) return true;
  return call.budget.fail(ErrorCode::kBadValue, "TypeError: the fill must be one character, line");
}

bool method_center(BuiltinCall& call, TemplateValue* out) {
  i64 width = 0;
  TemplateValue fill;
  return call.integer(0, 0, &width) && fill_slot(call, &fill) &&
         center_text(call.budget, call.self, width, fill, out);
}

template <bool kLeft>
bool method_justify(BuiltinCall& call, TemplateValue* out) {
  i64 width = 0;
  TemplateValue fill;
  if (!call.integer(0, 0, &width) || !fill_slot(call, &fill)) return false;
  const i64 size = static_cast<i64>(count_characters(call.self.text()));
  if (!call.budget.spend_bytes(call.self.text().size())) return false;
  TextBuilder text(call.budget);
  if (kLeft) text.append(call.self);
  for (i64 i = size; i < width && call.budget.ok(); ++i) text.append(fill);
  if (!kLeft) text.append(call.self);
  return text.finish(out);
}

bool method_zfill(BuiltinCall& call, TemplateValue* out) {
  i64 width = 0;
  if (!call.integer(0, 0, &width)) return false;
  const Str text = call.self.text();
  const i64 size = static_cast<i64>(count_characters(text));
  const usize n_sign = !text.empty() && (text[0] == '+' || text[0] == '-') ? 1 : 0;
  TextBuilder result(call.budget);
  result.append_slice(call.self, 0, n_sign);
  result.repeat('0', width > size ? static_cast<u64>(width - size) : 0, call.self.is_markup());
  result.append_slice(call.self, n_sign, text.size());
  return result.finish(out);
}

bool method_format(BuiltinCall& call, TemplateValue* out) {
  return brace_format(call.budget, call.self, call.arguments.positional, call.arguments.named, out);
}

// ---- Asking: true where there is a character and all of them pass.

bool is_alphanumeric(u32 c) { return is_letter(c) || is_decimal_digit(c); }
bool is_ascii(u32 c) { return c < 0x80; }

template <bool (*kPasses)(u32), bool kEmpty>
bool method_all(BuiltinCall& call, TemplateValue* out) {
  const Str text = call.self.text();
  bool all = kEmpty || !text.empty();
  for (usize at = 0; all && at < text.size(); at += character_at(text, at))
    all = kPasses(codepoint_at(text, at));
  return call.budget.spend_bytes(text.size()) && answer(all, out);
}

bool method_isupper(BuiltinCall& call, TemplateValue* out) {
  return call.budget.spend_bytes(call.self.text().size()) &&
         answer(is_upper_text(call.self.text()), out);
}

bool method_islower(BuiltinCall& call, TemplateValue* out) {
  return call.budget.spend_bytes(call.self.text().size()) &&
         answer(is_lower_text(call.self.text()), out);
}

constexpr TemplateBuiltin kStringMethods[] = {
    {"strip", "chars?", method_strip<true, true>},
    {"lstrip", "chars?", method_strip<true, false>},
    {"rstrip", "chars?", method_strip<false, true>},
    {"split", "sep? maxsplit?", method_split<false>},
    {"rsplit", "sep? maxsplit?", method_split<true>},
    {"splitlines", "keepends?", method_splitlines},
    {"partition", "sep", method_partition<false>},
    {"rpartition", "sep", method_partition<true>},
    {"replace", "old new count?", method_replace},
    {"startswith", "prefix start? end?", method_affix<false>},
    {"endswith", "suffix start? end?", method_affix<true>},
    {"removeprefix", "prefix", method_remove_affix<false>},
    {"removesuffix", "suffix", method_remove_affix<true>},
    {"find", "sub start? end?", method_find<false, false>},
    {"rfind", "sub start? end?", method_find<true, false>},
    {"index", "sub start? end?", method_find<false, true>},
    {"rindex", "sub start? end?", method_find<true, true>},
    {"count", "sub start? end?", method_count},
    {"upper", "", method_upper},
    {"lower", "", method_lower},
    {"casefold", "", method_lower},
    {"capitalize", "", method_capitalize},
    {"title", "", method_recase<true>},
    {"swapcase", "", method_recase<false>},
    {"join", "iterable", method_join},
    {"center", "width fillchar?", method_center},
    {"ljust", "width fillchar?", method_justify<true>},
    {"rjust", "width fillchar?", method_justify<false>},
    {"zfill", "width", method_zfill},
    {"format", "*", method_format},
    {"isdigit", "", method_all<is_decimal_digit, false>},
    {"isdecimal", "", method_all<is_decimal_digit, false>},
    {"isnumeric", "", method_all<is_decimal_digit, false>},
    {"isalpha", "", method_all<is_letter, false>},
    {"isalnum", "", method_all<is_alphanumeric, false>},
    {"isspace", "", method_all<is_unicode_space, false>},
    {"isprintable", "", method_all<is_printable, true>},
    {"isascii", "", method_all<is_ascii, true>},
    {"isupper", "", method_isupper},
    {"islower", "", method_islower},
    {"encode", "*", nullptr},
    {"expandtabs", "*", nullptr},
    {"format_map", "*", nullptr},
    {"isidentifier", "*", nullptr},
    {"istitle", "*", nullptr},
    {"maketrans", "*", nullptr},
    {"translate", "*", nullptr},
};

}  // namespace

BuiltinTable string_methods() { return kStringMethods; }

}  // namespace lbm
