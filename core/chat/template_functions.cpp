// Functions: range, dict, namespace, raise_exception, strftime_now.
#include "core/chat/template_access.h"
#include "core/chat/template_builtins.h"
#include "core/chat/template_format.h"
#include "core/chat/template_number.h"
#include "core/chat/template_operators.h"
#include "core/chat/template_runner.h"
#include "core/chat/template_text.h"

namespace lbm {
namespace {

bool function_range(BuiltinCall& call, TemplateValue* out) {
  const TemplateList& given = call.arguments.positional;
  if (given.size() < 1 || given.size() > 3 || call.arguments.named.size() != 0) {
    return call.budget.fail(ErrorCode::kBadValue,
                            "TypeError: range takes one to three integers, line");
  }
  i64 parts[3] = {0, 0, 1};
  for (u32 i = 0; i < given.size(); ++i) {
    if (!is_integral(given[i]))
      return fail_type(call.budget, "TypeError: range takes integers, line", given[i]);
    parts[given.size() == 1 ? 1 : i] = given[i].as_int();
  }
  if (parts[2] == 0)
    return call.budget.fail(ErrorCode::kBadValue, "ValueError: range step must not be zero, line");
  RangeObject* range = call.budget.make<RangeObject>();
  if (range == nullptr) return false;
  range->start = parts[0];
  range->stop = parts[1];
  range->step = parts[2];
  const bool up = parts[2] > 0;
  u64 size = 0;
  if (up ? parts[1] > parts[0] : parts[1] < parts[0]) {
    const u64 span = up ? static_cast<u64>(parts[1]) - static_cast<u64>(parts[0])
                        : static_cast<u64>(parts[0]) - static_cast<u64>(parts[1]);
    size = ceil_div(span, up ? static_cast<u64>(parts[2]) : ~static_cast<u64>(parts[2]) + 1);
  }
  if (size > RangeObject::kMaxSize) {
    return call.budget.fail(ErrorCode::kLimit,
                            "OverflowError: range too big, the sandbox allows 100000, line");
  }
  range->size = static_cast<u32>(size);
  *out = TemplateValue::object(TemplateKind::kRange, range).with_origin(TemplateOrigin::kMarkup);
  return true;
}

// dict(mapping or pairs, **named) into `map`.
bool fill_map(BuiltinCall& call, TemplateMap& map) {
  const TemplateList& given = call.arguments.positional;
  if (given.size() > 1)
    return call.budget.fail(ErrorCode::kBadValue, "TypeError: at most one argument, line");
  if (given.size() == 1 && given[0].is(TemplateKind::kMap)) {
    for (const TemplateMap::Entry& entry : given[0].as_map().entries()) {
      if (!set_entry(call.budget, map, entry.key, entry.value)) return false;
    }
  } else if (given.size() == 1) {
    TemplateItems pairs;
    if (!iterate(call.budget, given[0], &pairs)) return false;
    for (u32 i = 0; i < pairs.size; ++i) {
      TemplateItems pair;
      if (!iterate(call.budget, pairs.at(i), &pair)) return false;
      if (pair.size != 2)
        return call.budget.fail(ErrorCode::kBadValue, "ValueError: dict needs pairs, line");
      if (!set_entry(call.budget, map, pair.at(0), pair.at(1))) return false;
    }
  }
  for (const TemplateMap::Entry& entry : call.arguments.named.entries()) {
    if (!set_entry(call.budget, map, entry.key, entry.value)) return false;
  }
  return true;
}

bool function_dict(BuiltinCall& call, TemplateValue* out) {
  TemplateMap* map = call.budget.make<TemplateMap>();
  if (map == nullptr || !fill_map(call, *map)) return false;
  const TemplateList& given = call.arguments.positional;
  const bool markup = given.size() == 0 || given[0].is_markup();
  *out = TemplateValue::map(*map).with_origin(origin_of(markup));
  return true;
}

bool function_namespace(BuiltinCall& call, TemplateValue* out) {
  NamespaceObject* object = call.budget.make<NamespaceObject>();
  if (object == nullptr || !fill_map(call, object->attributes)) return false;
  *out =
      TemplateValue::object(TemplateKind::kNamespace, object).with_origin(TemplateOrigin::kMarkup);
  return true;
}

bool function_raise_exception(BuiltinCall& call, TemplateValue*) {
  TemplateValue message;
  if (!text_of(call.budget, call.slot[0], &message)) return false;
  call.runner.set_exception(message.text());
  return call.budget.fail(ErrorCode::kTemplate, "the template refused, line", message.text());
}

// ---- strftime_now

struct DateTime {
  u32 year, month, day, hour, minute, second;
};

bool digits_at(Str text, usize at, usize n, u32* out) {
  *out = 0;
  for (usize i = at; i < at + n; ++i) {
    if (i >= text.size() || text[i] < '0' || text[i] > '9') return false;
    *out = *out * 10 + static_cast<u32>(text[i] - '0');
  }
  return true;
}

bool read_date_time(Str iso, DateTime* out) {
  return digits_at(iso, 0, 4, &out->year) && digits_at(iso, 5, 2, &out->month) &&
         digits_at(iso, 8, 2, &out->day) && digits_at(iso, 11, 2, &out->hour) &&
         digits_at(iso, 14, 2, &out->minute) && digits_at(iso, 17, 2, &out->second) &&
         out->month >= 1 && out->month <= 12 && out->day >= 1 && out->day <= 31;
}

constexpr const char* kMonths[] = {"January",   "February", "March",    "April",
                                   "May",       "June",     "July",     "August",
                                   "September", "October",  "November", "December"};
constexpr const char* kDays[] = {"Sunday",   "Monday", "Tuesday", "Wednesday",
                                 "Thursday", "Friday", "Saturday"};

u32 day_of_year(const DateTime& t) {
  constexpr u32 kBefore[] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334};
  const bool leap = (t.year % 4 == 0 && t.year % 100 != 0) || t.year % 400 == 0;
  return kBefore[t.month - 1] + t.day + (leap && t.month > 2 ? 1 : 0);
}

// 0 is Sunday. Days since the first of January of the year 1, a Monday in the Gregorian calendar.
u32 weekday(const DateTime& t) {
  const u32 y = t.year == 0 ? 399 : t.year - 1;  // the calendar repeats every 400 years
  return (y * 365 + y / 4 - y / 100 + y / 400 + day_of_year(t)) % 7;
}

void write_count(TextBuilder& text, u32 v, u32 width, char fill) {
  char buffer[kNumberTextBytes];
  const Str digits = format_integer(v, buffer);
  if (fill != '\0' && digits.size() < width) text.repeat(fill, width - digits.size(), false);
  text.append(digits, false);
}

// One directive; `fill` is what pads numbers, '\0' behind "%-". False for a directive this build
// lacks.
bool write_directive(TextBuilder& text, const DateTime& t, char directive, char fill) {
  const u32 hour12 = t.hour % 12 == 0 ? 12 : t.hour % 12;
  switch (directive) {
    case 'Y': write_count(text, t.year, 0, fill); return true;
    case 'y': write_count(text, t.year % 100, 2, fill); return true;
    case 'm': write_count(text, t.month, 2, fill); return true;
    case 'd': write_count(text, t.day, 2, fill); return true;
    case 'e': write_count(text, t.day, 2, fill == '0' ? ' ' : fill); return true;
    case 'H': write_count(text, t.hour, 2, fill); return true;
    case 'I': write_count(text, hour12, 2, fill); return true;
    case 'M': write_count(text, t.minute, 2, fill); return true;
    case 'S': write_count(text, t.second, 2, fill); return true;
    case 'f': write_count(text, 0, 6, '0'); return true;
    case 'j': write_count(text, day_of_year(t), 3, fill); return true;
    case 'w': write_count(text, weekday(t), 0, fill); return true;
    case 'u': write_count(text, weekday(t) == 0 ? 7 : weekday(t), 0, fill); return true;
    case 'B': text.append(kMonths[t.month - 1], false); return true;
    case 'b':
    case 'h': text.append(Str(kMonths[t.month - 1]).first(3), false); return true;
    case 'A': text.append(kDays[weekday(t)], false); return true;
    case 'a': text.append(Str(kDays[weekday(t)]).first(3), false); return true;
    case 'p': text.append(t.hour < 12 ? "AM" : "PM", false); return true;
    case 'Z':
    case 'z': return true;  // the clock knows no zone, as datetime.now() does not
    case '%': text.append("%", false); return true;
    case 'n': text.append("\n", false); return true;
    case 't': text.append("\t", false); return true;
    default: return false;
  }
}

// Directives that stand for several.
Str expand(char directive) {
  switch (directive) {
    case 'F': return "%Y-%m-%d";
    case 'D':
    case 'x': return "%m/%d/%y";
    case 'T':
    case 'X': return "%H:%M:%S";
    case 'R': return "%H:%M";
    case 'r': return "%I:%M:%S %p";
    case 'c': return "%a %b %e %H:%M:%S %Y";
    default: return {};
  }
}

bool write_time(BuiltinCall& call, TextBuilder& text, const DateTime& t, Str format,
                bool expanded) {
  for (usize at = 0; at < format.size() && call.budget.ok(); ++at) {
    if (format[at] != '%' || at + 1 == format.size()) {
      text.append(format.slice(at, 1), false);
      continue;
    }
    char fill = '0';
    ++at;
    if ((format[at] == '-' || format[at] == '_') && at + 1 < format.size()) {
      fill = format[at] == '-' ? '\0' : ' ';
      ++at;
    }
    const Str several = expanded ? Str() : expand(format[at]);
    if (!several.empty()) {
      if (!write_time(call, text, t, several, true)) return false;
    } else if (!write_directive(text, t, format[at], fill)) {
      return call.budget.fail(ErrorCode::kUnsupported, "this build lacks the date directive, line",
                              format.slice(at, 1));
    }
  }
  return call.budget.ok();
}

// The date is content, whatever the format says: it is not for the clock to write control tokens.
bool function_strftime_now(BuiltinCall& call, TemplateValue* out) {
  TemplateValue format;
  DateTime t = {};
  if (!call.string(0, "", &format)) return false;
  if (!read_date_time(call.self.text(), &t)) {
    return call.budget.fail(ErrorCode::kInvalidArgument,
                            "the time is not like 2025-06-15T12:34:56, line", call.self.text());
  }
  TextBuilder text(call.budget);
  return write_time(call, text, t, format.text(), false) && text.finish(out);
}

constexpr TemplateBuiltin kFunctions[] = {
    {"range", "*", function_range},
    {"dict", "*", function_dict},
    {"namespace", "*", function_namespace},
    {"raise_exception", "message", function_raise_exception},
    {"cycler", "*", nullptr},
    {"joiner", "*", nullptr},
    {"lipsum", "*", nullptr},
};

}  // namespace

const TemplateBuiltin kClockFunction = {"strftime_now", "format", function_strftime_now};

BuiltinTable template_functions() { return kFunctions; }

}  // namespace lbm
