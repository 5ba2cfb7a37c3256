// Filters on text.
#include "core/base/unicode_tables.h"
#include "core/base/utf8.h"
#include "core/chat/template_access.h"
#include "core/chat/template_builtins.h"
#include "core/chat/template_case.h"
#include "core/chat/template_format.h"
#include "core/chat/template_json.h"
#include "core/chat/template_operators.h"
#include "core/chat/template_text.h"

namespace lbm {
namespace {

// What the filter is applied to, as text.
bool self_text(BuiltinCall& call, TemplateValue* out) {
  return text_of(call.budget, call.self, out);
}

bool filter_trim(BuiltinCall& call, TemplateValue* out) {
  TemplateValue text;
  return self_text(call, &text) && strip_text(call.budget, text, call.slot[0], true, true, out);
}

bool filter_upper(BuiltinCall& call, TemplateValue* out) {
  TemplateValue text;
  return self_text(call, &text) && upper_text(call.budget, text, out);
}

bool filter_lower(BuiltinCall& call, TemplateValue* out) {
  TemplateValue text;
  return self_text(call, &text) && lower_text(call.budget, text, out);
}

bool filter_capitalize(BuiltinCall& call, TemplateValue* out) {
  TemplateValue text;
  return self_text(call, &text) && capitalize_text(call.budget, text, out);
}

// Words begin behind white space and - ( { [ <, which differs from str.title().
bool filter_title(BuiltinCall& call, TemplateValue* out) {
  TemplateValue text;
  if (!self_text(call, &text)) return false;
  TextBuilder result(call.budget);
  TextPieces pieces(text);
  bool first = true;
  while (pieces.next()) {
    for (usize at = 0; at < pieces.bytes.size() && call.budget.ok();) {
      const Utf8Char c = decode_utf8(pieces.bytes.from(at));
      constexpr Str kBreaks = "-({[<";
      const bool breaks =
          is_unicode_space(c.codepoint) || kBreaks.contains(pieces.bytes.slice(at, c.n_byte));
      append_in_case(result, pieces.bytes.slice(at, c.n_byte),
                     first ? LetterCase::kUpper : LetterCase::kLower, pieces.markup);
      first = breaks;
      at += c.n_byte;
    }
  }
  return result.finish(out);
}

bool filter_replace(BuiltinCall& call, TemplateValue* out) {
  TemplateValue text;
  TemplateValue old_text;
  TemplateValue new_text;
  i64 count = -1;
  if (call.has_value(2) && !call.integer(2, -1, &count)) return false;
  return self_text(call, &text) && text_of(call.budget, call.slot[0], &old_text) &&
         text_of(call.budget, call.slot[1], &new_text) &&
         replace_text(call.budget, text, old_text, new_text, count, out);
}

bool filter_string(BuiltinCall& call, TemplateValue* out) { return self_text(call, out); }

// Nothing is escaped on output (chat templates run without autoescape), but safe text escapes what
// is added to it.
bool filter_safe(BuiltinCall& call, TemplateValue* out) {
  if (!self_text(call, out)) return false;
  *out = out->with_safe(true);
  return true;
}

template <bool kAlways>
bool filter_escape(BuiltinCall& call, TemplateValue* out) {
  TemplateValue text;
  if (!self_text(call, &text)) return false;
  TextBuilder result(call.budget);
  result.append_escaped(kAlways ? text.with_safe(false) : text);
  if (!result.finish(out)) return false;
  *out = out->with_safe(true);
  return true;
}

bool filter_indent(BuiltinCall& call, TemplateValue* out) {
  TemplateValue text = call.self;
  if (!text.is(TemplateKind::kString))
    return fail_type(call.budget, "TypeError: text is needed, line", text);
  TemplateValue indention;
  if (call.has(0) && call.slot[0].is(TemplateKind::kString)) {
    indention = call.slot[0];
  } else {
    i64 width = 4;
    TextBuilder blanks(call.budget);
    if (!call.integer(0, 4, &width)) return false;
    blanks.repeat(' ', width > 0 ? static_cast<u64>(width) : 0, true);
    if (!blanks.finish(&indention)) return false;
  }
  const bool first = call.flag(1, false);
  const bool blank = call.flag(2, false);
  // Jinja ends the text with a newline before it splits it, so a newline at the end survives and an
  // empty text is one line.
  TextBuilder closed(call.budget);
  closed.append(text);
  closed.append("\n", true);
  TemplateList lines;
  if (!closed.finish(&text) || !split_lines(call.budget, text, false, &lines)) return false;
  TextBuilder result(call.budget);
  for (u32 i = 0; i < lines.size(); ++i) {
    if (i != 0) result.append("\n", true);
    const bool indents = i == 0 ? first : blank || !lines[i].text().empty();
    if (indents) result.append(indention);
    result.append(lines[i]);
  }
  return result.finish(out);
}

bool filter_center(BuiltinCall& call, TemplateValue* out) {
  TemplateValue text;
  i64 width = 80;
  return self_text(call, &text) && call.integer(0, 80, &width) &&
         center_text(call.budget, text, width, TemplateValue::markup(" "), out);
}

bool filter_wordcount(BuiltinCall& call, TemplateValue* out) {
  TemplateValue text;
  if (!self_text(call, &text)) return false;
  const Str bytes = text.text();
  i64 n = 0;
  bool inside = false;
  for (usize at = 0; at < bytes.size(); at += character_at(bytes, at)) {
    const u32 c = codepoint_at(bytes, at);
    const bool word = is_letter(c) || c == '_' || char_info(c).char_class == CharClass::kNumber;
    if (word && !inside) ++n;
    inside = word;
  }
  *out = TemplateValue::integer(n).with_origin(TemplateOrigin::kMarkup);
  return call.budget.spend_bytes(bytes.size());
}

// truncate(length=255, killwords=false, end='...', leeway=5)
bool filter_truncate(BuiltinCall& call, TemplateValue* out) {
  i64 length = 255;
  i64 leeway = 5;
  TemplateValue end;
  if (!call.self.is(TemplateKind::kString))
    return fail_type(call.budget, "TypeError: text is needed, line", call.self);
  if (!call.integer(0, 255, &length) || !call.string(2, "...", &end)) return false;
  if (call.has_value(3) && !call.integer(3, 5, &leeway)) return false;
  const Str bytes = call.self.text();
  const i64 n_end = static_cast<i64>(count_characters(end.text()));
  if (length < n_end || leeway < 0) {
    return call.budget.fail(ErrorCode::kBadValue,
                            "AssertionError: truncate needs a length beyond its end, line");
  }
  *out = call.self;
  if (!call.budget.spend_bytes(bytes.size() + end.text().size())) return false;
  const i64 n_character = static_cast<i64>(count_characters(bytes));
  if (n_character <= length || n_character - length <= leeway) return true;
  usize cut = character_offset(bytes, static_cast<u64>(length - n_end));
  if (!call.flag(1, false)) {
    const usize space = find_text_last(call.budget, bytes, " ", 0, cut);
    if (space != Str::kNone) cut = space;
  }
  TextBuilder result(call.budget);
  result.append_slice(call.self, 0, cut);
  result.append(end);
  return result.finish(out);
}

// "%s" % arguments
bool filter_format(BuiltinCall& call, TemplateValue* out) {
  TemplateValue text;
  if (!self_text(call, &text)) return false;
  const TemplateArguments& arguments = call.arguments;
  if (arguments.named.size() != 0 && arguments.positional.size() != 0) {
    return call.budget.fail(ErrorCode::kBadValue,
                            "FilterArgumentError: positional or keyword arguments, not both, line");
  }
  const TemplateValue values =
      arguments.named.size() != 0
          ? TemplateValue::map(arguments.named)
          : TemplateValue::object(TemplateKind::kTuple, &arguments.positional);
  return percent_format(call.budget, text, values, out);
}

// tojson(ensure_ascii=false, indent=none, separators=none, sort_keys=false), the order of Hugging
// Face's.
bool filter_tojson(BuiltinCall& call, TemplateValue* out) {
  JsonStyle style;
  style.ensure_ascii = call.flag(0, false);
  style.sort_keys = call.flag(3, false);
  TemplateValue indention = TemplateValue::markup("");
  if (call.has_value(1)) {
    style.indented = true;
    style.item_separator = TemplateValue::markup(",");
    indention = call.slot[1];
    if (!indention.is(TemplateKind::kString)) {
      i64 width = 0;
      if (!call.integer(1, 0, &width)) return false;
      TextBuilder blanks(call.budget);
      blanks.repeat(' ', width > 0 ? static_cast<u64>(width) : 0, true);
      if (!blanks.finish(&indention)) return false;
    }
  }
  style.indent = indention.text();
  if (call.has_value(2)) {
    TemplateItems pair;
    if (!iterate(call.budget, call.slot[2], &pair)) return false;
    if (pair.size != 2 || !pair.at(0).is(TemplateKind::kString) ||
        !pair.at(1).is(TemplateKind::kString)) {
      return call.budget.fail(ErrorCode::kBadValue, "ValueError: separators are two texts, line");
    }
    style.item_separator = pair.at(0);
    style.key_separator = pair.at(1);
  }
  return write_json(call.budget, call.self, style, out);
}

constexpr TemplateBuiltin kTextFilters[] = {
    {"trim", "chars?", filter_trim},
    {"upper", "", filter_upper},
    {"lower", "", filter_lower},
    {"capitalize", "", filter_capitalize},
    {"title", "", filter_title},
    {"replace", "old new count?", filter_replace},
    {"string", "", filter_string},
    {"safe", "", filter_safe},
    {"escape", "", filter_escape<false>},
    {"e", "", filter_escape<false>},
    {"forceescape", "", filter_escape<true>},
    {"indent", "width? first? blank?", filter_indent},
    {"center", "width?", filter_center},
    {"wordcount", "", filter_wordcount},
    {"truncate", "length? killwords? end? leeway?", filter_truncate},
    {"format", "*", filter_format},
    {"tojson", "ensure_ascii? indent? separators? sort_keys?", filter_tojson},
};

}  // namespace

BuiltinTable text_filters() { return kTextFilters; }

}  // namespace lbm
