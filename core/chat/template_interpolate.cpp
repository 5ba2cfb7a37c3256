// Values put into text: "%s is %d" % (...) and "{} is {:>5}".format(...).
#include "core/chat/template_access.h"
#include "core/chat/template_format.h"
#include "core/chat/template_number.h"
#include "core/chat/template_operators.h"

namespace lbm {
namespace {

// One conversion, in the words both notations share.
struct Conversion {
  char type = '\0';
  char align = '\0';  // '<' '>' '^' '=' or '\0' for what the type does by itself
  Str fill = " ";
  bool fill_markup = false;  // what fills is as the format is
  bool plus = false;
  bool space = false;
  bool alternate = false;
  bool grouped = false;  // 1,234
  u32 width = 0;
  i32 precision = -1;
};

// Widths are small in every honest template; a hostile one may not ask for a gigabyte of blanks.
constexpr u32 kMaxWidth = 4096;

bool read_count(TemplateBudget& budget, Str text, usize& at, u32* out) {
  u64 n = 0;
  while (at < text.size() && text[at] >= '0' && text[at] <= '9') {
    n = n * 10 + static_cast<u64>(text[at++] - '0');
    if (n > kMaxWidth)
      return budget.fail(ErrorCode::kLimit, "field width or precision too large, line");
  }
  *out = static_cast<u32>(n);
  return true;
}

// `body` of a field, in its width. `sign` stays in front of zeros that fill.
void write_padded(TextBuilder& text, const Conversion& c, Str sign, TemplateValue body,
                  bool is_number) {
  const bool markup = body.is_markup();
  const u64 used = sign.size() + count_characters(body.text());
  const u64 n_fill = c.width > used ? c.width - used : 0;
  const char align = c.align != '\0' ? c.align : is_number ? '>' : '<';
  const u64 before = align == '<' ? 0 : align == '^' ? n_fill / 2 : n_fill;
  if (align == '=') text.append(sign, markup);
  for (u64 i = 0; i < before; ++i) text.append(c.fill, c.fill_markup);
  if (align != '=') text.append(sign, markup);
  text.append(body);
  for (u64 i = before; i < n_fill; ++i) text.append(c.fill, c.fill_markup);
}

Str sign_of(const Conversion& c, bool negative) {
  if (negative) return "-";
  return c.plus ? "+" : c.space ? " " : "";
}

// Commas between groups of three digits before the point.
void write_grouped(TextBuilder& text, Str digits, bool markup) {
  usize whole = digits.find(".");
  if (whole == Str::kNone) whole = digits.size();
  for (usize i = 0; i < whole; ++i) {
    if (i != 0 && (whole - i) % 3 == 0) text.append(",", markup);
    text.append(digits.slice(i, 1), markup);
  }
  text.append(digits.from(whole), markup);
}

bool write_number(TemplateBudget& budget, TextBuilder& text, const Conversion& c, TemplateValue v) {
  char buffer[kNumberTextBytes];
  Str digits;
  bool negative = false;
  if (c.type == 'f' || c.type == 'F' || c.type == '%') {
    const f64 x = c.type == '%' ? number_of(v) * 100 : number_of(v);
    const u32 n_decimal = c.precision < 0 ? 6 : static_cast<u32>(c.precision);
    if (n_decimal > kMaxDecimals)
      return budget.fail(ErrorCode::kLimit, "field width or precision too large, line");
    if (!budget.spend(kFloatTextSteps)) return false;
    digits = format_fixed(x, n_decimal, buffer);
    if (digits.starts_with("-")) {
      negative = true;
      digits = digits.from(1);
    }
  } else {
    i64 whole = 0;
    if (v.is(TemplateKind::kFloat)) {
      const f64 x = v.as_float();
      if (!(x > -9.2e18 && x < 9.2e18))
        return budget.fail(ErrorCode::kOverflow, "OverflowError: beyond 64 bits, line");
      whole = static_cast<i64>(x);
    } else {
      whole = v.as_int();
    }
    negative = whole < 0;
    const u32 base = c.type == 'x' || c.type == 'X' ? 16
                     : c.type == 'o'                ? 8
                     : c.type == 'b'                ? 2
                                                    : 10;
    digits = format_magnitude(whole, base, c.type == 'X', buffer);
  }
  TextBuilder body(budget);
  if (c.alternate && c.type != 'd') {
    const char prefix[2] = {'0', c.type};
    body.append(Str(prefix, 2), v.is_markup());
  }
  for (i32 i = static_cast<i32>(digits.size()); c.type == 'd' && i < c.precision; ++i)
    body.append("0", v.is_markup());
  if (c.grouped) {
    write_grouped(body, digits, v.is_markup());
  } else {
    body.append(digits, v.is_markup());
  }
  if (c.type == '%') body.append("%", v.is_markup());
  TemplateValue out;
  if (!body.finish(&out)) return false;
  write_padded(text, c, sign_of(c, negative), out, true);
  return budget.ok();
}

bool write_text(TemplateBudget& budget, TextBuilder& text, const Conversion& c, TemplateValue v) {
  if (c.precision >= 0) {
    const usize end = character_offset(v.text(), static_cast<u64>(c.precision));
    if (!slice_text(budget, v, 0, end, &v)) return false;
  }
  write_padded(text, c, "", v, false);
  return budget.ok();
}

// ---- %

struct PercentArguments {
  TemplateValue all;
  u32 next = 0;
  bool named = false;

  [[nodiscard]] bool take(TemplateBudget& budget, TemplateValue* out) {
    const bool tuple = all.is(TemplateKind::kTuple);
    if (next >= (tuple ? all.as_list().size() : 1)) {
      return budget.fail(ErrorCode::kBadValue,
                         "TypeError: not enough arguments for the format string, line");
    }
    *out = tuple ? all.as_list()[next] : all;
    ++next;
    return true;
  }
};

bool read_percent_flags(TemplateBudget& budget, Str format, usize& at, PercentArguments& arguments,
                        Conversion* c) {
  bool zero = false;
  for (; at < format.size(); ++at) {
    const char flag = format[at];
    if (flag == '-')
      c->align = '<';
    else if (flag == '0')
      zero = true;
    else if (flag == '+')
      c->plus = true;
    else if (flag == ' ')
      c->space = true;
    else if (flag == '#')
      c->alternate = true;
    else
      break;
  }
  if (at < format.size() && format[at] == '*') {
    TemplateValue width;
    if (!arguments.take(budget, &width)) return false;
    if (!width.is(TemplateKind::kInt))
      return fail_type(budget, "TypeError: * wants int, line", width);
    const i64 n = width.as_int();
    if (n < -i64{kMaxWidth} || n > kMaxWidth)
      return budget.fail(ErrorCode::kLimit, "field width or precision too large, line");
    if (n < 0) c->align = '<';
    c->width = static_cast<u32>(n < 0 ? -n : n);
    ++at;
  } else if (!read_count(budget, format, at, &c->width)) {
    return false;
  }
  if (at < format.size() && format[at] == '.') {
    u32 precision = 0;
    if (!read_count(budget, format, ++at, &precision)) return false;
    c->precision = static_cast<i32>(precision);
  }
  while (at < format.size() && (format[at] == 'l' || format[at] == 'h' || format[at] == 'L')) ++at;
  if (zero && c->align == '\0') {
    c->align = '=';
    c->fill = "0";
  }
  return true;
}

bool write_percent(TemplateBudget& budget, TextBuilder& text, Conversion& c, TemplateValue v) {
  switch (c.type) {
    case 's':
    case 'r':
    case 'a': {
      TextBuilder body(budget);
      if (c.type == 's')
        write_str(budget, body, v);
      else
        write_repr(budget, body, v);
      TemplateValue shown;
      if (!body.finish(&shown)) return false;
      if (c.align == '=') {
        c.align = '>';
        c.fill = " ";
      }
      if (c.align == '\0') c.align = '>';
      return write_text(budget, text, c, shown);
    }
    case 'd':
    case 'i':
    case 'u':
      c.type = 'd';
      if (!is_number(v)) return fail_type(budget, "TypeError: %d needs a number, line", v);
      return write_number(budget, text, c, v);
    case 'x':
    case 'X':
    case 'o':
      if (!is_integral(v)) return fail_type(budget, "TypeError: %x needs an integer, line", v);
      return write_number(budget, text, c, v);
    case 'f':
    case 'F':
      if (!is_number(v)) return fail_type(budget, "TypeError: %f needs a number, line", v);
      return write_number(budget, text, c, v);
    default:
      return budget.fail(ErrorCode::kUnsupported, "this build lacks the conversion, line",
                         Str(&c.type, 1));
  }
}

// ---- {}

// The value that "0.name[key]" names.
bool resolve_field(TemplateBudget& budget, Str field, const TemplateList& positional,
                   const TemplateMap& named, i64* next_auto, TemplateValue* out) {
  usize at = 0;
  while (at < field.size() && field[at] != '.' && field[at] != '[') ++at;
  const Str first = field.first(at);
  i64 index = 0;
  if (first.empty() || parse_integer_text(first, 10, index) == IntegerParse::kOk) {
    if (first.empty()) index = (*next_auto)++;
    if (index < 0 || index >= i64{positional.size()}) {
      return budget.fail(ErrorCode::kBadValue, "IndexError: more fields than arguments, line");
    }
    *out = positional[static_cast<u32>(index)];
  } else {
    const TemplateValue* found = named.find(first);
    if (found == nullptr)
      return budget.fail(ErrorCode::kBadValue, "KeyError: no such argument, line", first);
    *out = *found;
  }
  while (at < field.size()) {
    const bool subscript = field[at] == '[';
    usize end = ++at;
    while (end < field.size() && field[end] != ']' &&
           (subscript || (field[end] != '.' && field[end] != '[')))
      ++end;
    const Str part = field.slice(at, end - at);
    TemplateValue key = TemplateValue::text(part);
    if (subscript) {
      if (end == field.size())
        return budget.fail(ErrorCode::kBadValue, "ValueError: ']' is missing in a format, line");
      if (parse_integer_text(part, 10, index) == IntegerParse::kOk)
        key = TemplateValue::integer(index);
      if (!get_item(budget, *out, key, out)) return false;
    } else if (!get_attribute(budget, *out, part, out)) {
      return false;
    }
    at = subscript ? end + 1 : end;
  }
  return true;
}

// [[fill]align][sign][#][0][width][,][.precision][type]
bool read_spec(TemplateBudget& budget, Str spec, Conversion* c) {
  constexpr Str kAligns = "<>^=";
  usize at = 0;
  const usize fill = spec.empty() ? 0 : character_at(spec, 0);
  if (fill < spec.size() && kAligns.contains(spec.slice(fill, 1))) {
    c->fill = spec.first(fill);
    c->align = spec[fill];
    at = fill + 1;
  } else if (!spec.empty() && kAligns.contains(spec.first(1))) {
    c->align = spec[at++];
  }
  if (at < spec.size() && (spec[at] == '+' || spec[at] == ' ' || spec[at] == '-')) {
    c->plus = spec[at] == '+';
    c->space = spec[at] == ' ';
    ++at;
  }
  if (at < spec.size() && spec[at] == '#') {
    c->alternate = true;
    ++at;
  }
  if (at < spec.size() && spec[at] == '0') {
    if (c->align == '\0') {
      c->align = '=';
      c->fill = "0";
    }
    ++at;
  }
  if (!read_count(budget, spec, at, &c->width)) return false;
  if (at < spec.size() && spec[at] == ',') {
    c->grouped = true;
    ++at;
  }
  if (at < spec.size() && spec[at] == '.') {
    u32 precision = 0;
    if (!read_count(budget, spec, ++at, &precision)) return false;
    c->precision = static_cast<i32>(precision);
  }
  if (at < spec.size()) c->type = spec[at++];
  constexpr Str kTypes = "sdxXobfF%";
  const bool known = c->type == '\0' || kTypes.contains(Str(&c->type, 1));
  if (at != spec.size() || !known)
    return budget.fail(ErrorCode::kUnsupported, "this build lacks the format, line", spec);
  return true;
}

bool write_field(TemplateBudget& budget, TextBuilder& text, Str spec, bool spec_markup,
                 TemplateValue v) {
  Conversion c;
  c.fill_markup = spec_markup;
  if (!read_spec(budget, spec, &c)) return false;
  if (is_number(v) && c.type != 's' && !(v.is(TemplateKind::kBool) && c.type == '\0')) {
    if (c.type == '\0' && v.is(TemplateKind::kInt)) c.type = 'd';
    if (c.type == '\0' && c.precision < 0) {  // a float as str() shows it
      TemplateValue shown;
      if (!text_of(budget, v, &shown)) return false;
      const bool negative = shown.text().starts_with("-");
      if (negative && !slice_text(budget, shown, 1, shown.text().size(), &shown)) return false;
      write_padded(text, c, sign_of(c, negative), shown, true);
      return budget.ok();
    }
    const bool float_type = c.type == 'f' || c.type == 'F' || c.type == '%';
    if (c.type == '\0' || (v.is(TemplateKind::kFloat) && !float_type)) {
      return budget.fail(ErrorCode::kUnsupported, "this build lacks the format, line", spec);
    }
    return write_number(budget, text, c, v);
  }
  if (c.type != '\0' && c.type != 's')
    return fail_type(budget, "ValueError: this format needs a number, line", v);
  if (!spec.empty() && !v.is(TemplateKind::kString) && !v.is(TemplateKind::kBool)) {
    return fail_type(budget, "TypeError: this type takes no format, line", v);
  }
  TemplateValue shown;
  return text_of(budget, v, &shown) && write_text(budget, text, c, shown);
}

}  // namespace

bool percent_format(TemplateBudget& budget, TemplateValue format, TemplateValue v,
                    TemplateValue* out) {
  const Str source = format.text();
  PercentArguments arguments{v};
  TextBuilder text(budget);
  usize plain = 0;
  for (usize at = source.find("%"); at != Str::kNone; at = source.find("%", plain)) {
    text.append_slice(format, plain, at);
    Conversion c;
    c.fill_markup = format.is_markup();
    TemplateValue value = TemplateValue::absent();
    if (++at < source.size() && source[at] == '(') {
      const usize close = source.find(")", at);
      if (close == Str::kNone)
        return budget.fail(ErrorCode::kBadValue, "ValueError: incomplete format key, line");
      if (!v.is(TemplateKind::kMap))
        return fail_type(budget, "TypeError: format requires a mapping, line", v);
      const Str key = source.slice(at + 1, close - at - 1);
      TemplateValue* found = nullptr;
      if (!find_key(budget, v.as_map(), TemplateValue::text(key), &found)) return false;
      if (found == nullptr)
        return budget.fail(ErrorCode::kBadValue, "KeyError: no such argument, line", key);
      value = *found;
      arguments.named = true;
      at = close + 1;
    }
    if (!read_percent_flags(budget, source, at, arguments, &c)) return false;
    if (at >= source.size())
      return budget.fail(ErrorCode::kBadValue, "ValueError: incomplete format, line");
    c.type = source[at];
    plain = at + 1;
    if (c.type == '%') {
      text.append_slice(format, at, at + 1);
      continue;
    }
    if (value.is(TemplateKind::kAbsent) && !arguments.take(budget, &value)) return false;
    if (!write_percent(budget, text, c, value)) return false;
  }
  text.append_slice(format, plain, source.size());
  // Python lets everything with subscripts pass that is not a tuple or text.
  const bool takes_all = arguments.named || v.is(TemplateKind::kMap) || v.is(TemplateKind::kList) ||
                         v.is(TemplateKind::kRange) || v.is(TemplateKind::kUndefined);
  const u32 n_given = v.is(TemplateKind::kTuple) ? v.as_list().size() : 1;
  if (!takes_all && arguments.next < n_given) {
    return budget.fail(ErrorCode::kBadValue, "TypeError: not all arguments converted, line");
  }
  return text.finish(out);
}

bool brace_format(TemplateBudget& budget, TemplateValue format, const TemplateList& positional,
                  const TemplateMap& named, TemplateValue* out) {
  const Str source = format.text();
  TextBuilder text(budget);
  i64 next_auto = 0;
  usize plain = 0;
  for (usize at = 0; at < source.size(); ++at) {
    const char c = source[at];
    if (c != '{' && c != '}') continue;
    text.append_slice(format, plain, at);
    if (at + 1 < source.size() && source[at + 1] == c) {
      plain = ++at;
      continue;
    }
    const usize close = source.find("}", at);
    if (c == '}' || close == Str::kNone) {
      return budget.fail(ErrorCode::kBadValue, "ValueError: single brace in a format string, line");
    }
    Str field = source.slice(at + 1, close - at - 1);
    if (field.contains("{"))
      return budget.fail(ErrorCode::kUnsupported, "fields inside of fields, line", field);
    const usize colon = field.find(":");
    const Str spec = colon == Str::kNone ? Str() : field.from(colon + 1);
    if (colon != Str::kNone) field = field.first(colon);
    const usize bang = field.find("!");
    const Str conversion = bang == Str::kNone ? Str() : field.from(bang + 1);
    if (bang != Str::kNone) field = field.first(bang);
    TemplateValue value;
    if (!resolve_field(budget, field, positional, named, &next_auto, &value)) return false;
    if (conversion == "r") {
      TextBuilder shown(budget);
      write_repr(budget, shown, value);
      if (!shown.finish(&value)) return false;
    } else if (conversion == "s") {
      if (!text_of(budget, value, &value)) return false;
    } else if (bang != Str::kNone) {
      return budget.fail(ErrorCode::kUnsupported, "this build lacks the conversion, line",
                         conversion);
    }
    if (!write_field(budget, text, spec, format.is_markup(), value)) return false;
    at = close;
    plain = close + 1;
  }
  text.append_slice(format, plain, source.size());
  return text.finish(out);
}

}  // namespace lbm
