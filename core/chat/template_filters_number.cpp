// Filters on numbers.
#include "core/chat/template_builtins.h"
#include "core/chat/template_number.h"
#include "core/chat/template_operators.h"
#include "core/chat/template_text.h"

namespace lbm {
namespace {

// int(x) of a float. False where Python raises ValueError or OverflowError.
bool whole_part(f64 v, i64* out) {
  if (!(v > -9223372036854775809.0 && v < 9223372036854775808.0)) return false;
  *out = static_cast<i64>(v);
  return true;
}

bool spend_parse(TemplateBudget& budget, TemplateValue v) {
  return !v.is(TemplateKind::kString) || budget.spend(kFloatTextSteps / 8 + v.text().size() / 8);
}

// int(default=0, base=10): what can not be read is the default, but undefined is an error.
bool filter_int(BuiltinCall& call, TemplateValue* out) {
  const TemplateValue v = call.self;
  i64 base = 10;
  if (!call.integer(1, 10, &base)) return false;
  if (base != 0 && (base < 2 || base > 36)) {
    return call.budget.fail(ErrorCode::kBadValue, "ValueError: base must be 0 or 2 to 36, line");
  }
  if (v.is(TemplateKind::kUndefined)) return fail_type(call.budget, "", v);
  i64 whole = 0;
  bool ok = is_integral(v);
  if (ok) whole = v.as_int();
  if (v.is(TemplateKind::kFloat)) {
    ok = whole_part(v.as_float(), &whole);
    if (!ok && v.as_float() == v.as_float()) {
      return call.budget.fail(ErrorCode::kOverflow, "OverflowError: beyond 64 bits, line");
    }
  }
  if (v.is(TemplateKind::kString)) {
    const IntegerParse parsed = parse_integer_text(v.text(), static_cast<u32>(base), whole);
    if (parsed == IntegerParse::kTooLarge) {
      return call.budget.fail(ErrorCode::kOverflow, "OverflowError: beyond 64 bits, line",
                              v.text());
    }
    f64 real = 0;
    ok = parsed == IntegerParse::kOk ||
         (parse_float_text(v.text(), real) && whole_part(real, &whole));
  }
  *out = TemplateValue::integer(whole).with_origin(origin_of(v.is_markup()));
  if (!ok)
    *out =
        call.has(0) ? call.slot[0] : TemplateValue::integer(0).with_origin(TemplateOrigin::kMarkup);
  return spend_parse(call.budget, v);
}

bool filter_float(BuiltinCall& call, TemplateValue* out) {
  const TemplateValue v = call.self;
  if (v.is(TemplateKind::kUndefined)) return fail_type(call.budget, "", v);
  f64 real = 0;
  bool ok = is_number(v);
  if (ok) real = number_of(v);
  if (v.is(TemplateKind::kString)) ok = parse_float_text(v.text(), real);
  *out = TemplateValue::number(real).with_origin(origin_of(v.is_markup()));
  if (!ok)
    *out = call.has(0) ? call.slot[0]
                       : TemplateValue::number(0.0).with_origin(TemplateOrigin::kMarkup);
  return spend_parse(call.budget, v);
}

bool filter_abs(BuiltinCall& call, TemplateValue* out) {
  const TemplateValue v = call.self;
  if (!is_number(v)) return fail_type(call.budget, "TypeError: abs needs a number, line", v);
  if (v.is(TemplateKind::kFloat)) {
    *out = TemplateValue::number(v.as_float() < 0 ? -v.as_float() : v.as_float() + 0.0)
               .with_origin(v.origin());
    return true;
  }
  i64 magnitude = v.as_int();
  if (magnitude < 0 && __builtin_sub_overflow(i64{0}, magnitude, &magnitude)) {
    return call.budget.fail(ErrorCode::kOverflow, "OverflowError: beyond 64 bits, line");
  }
  *out = TemplateValue::integer(magnitude).with_origin(v.origin());
  return true;
}

// round(precision=0, method='common'): common keeps integers and rounds half to even on the exact
// value.
bool filter_round(BuiltinCall& call, TemplateValue* out) {
  const TemplateValue v = call.self;
  i64 precision = 0;
  TemplateValue method;
  if (!is_number(v)) return fail_type(call.budget, "TypeError: round needs a number, line", v);
  if (!call.integer(0, 0, &precision) || !call.string(1, "common", &method)) return false;
  if (precision < 0 || precision > kMaxDecimals) {
    return call.budget.fail(ErrorCode::kUnsupported, "round to this precision, line");
  }
  if (method.text() == "common") {
    *out =
        v.is(TemplateKind::kBool) ? TemplateValue::integer(v.as_int()).with_origin(v.origin()) : v;
    if (is_integral(v) || !is_finite(v.as_float())) return true;
    char buffer[kNumberTextBytes];
    f64 rounded = 0;
    if (!call.budget.spend(kFloatTextSteps)) return false;
    if (!parse_float_text(format_fixed(v.as_float(), static_cast<u32>(precision), buffer), rounded))
      return false;
    *out = TemplateValue::number(rounded).with_origin(v.origin());
    return true;
  }
  const bool up = method.text() == "ceil";
  if (!up && !(method.text() == "floor")) {
    return call.budget.fail(ErrorCode::kBadValue,
                            "FilterArgumentError: method must be common, ceil or floor, line");
  }
  f64 scale = 1;
  for (i64 i = 0; i < precision; ++i) scale *= 10;
  const f64 scaled = number_of(v) * scale;
  const f64 cut = up ? -floor_f64(-scaled) : floor_f64(scaled);
  *out = TemplateValue::number(cut / scale).with_origin(v.origin());
  return true;
}

constexpr TemplateBuiltin kNumberFilters[] = {
    {"int", "default? base?", filter_int},
    {"float", "default?", filter_float},
    {"abs", "", filter_abs},
    {"round", "precision? method?", filter_round},
};

}  // namespace

BuiltinTable number_filters() { return kNumberFilters; }

}  // namespace lbm
