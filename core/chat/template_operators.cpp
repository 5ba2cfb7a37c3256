#include "core/chat/template_operators.h"

#include "core/chat/template_access.h"
#include "core/chat/template_format.h"
#include "core/chat/template_number.h"
#include "core/chat/template_text.h"

namespace lbm {
namespace {

constexpr const char* kOverflow = "OverflowError: beyond 64 bits, line";

bool is_sequence(TemplateValue v) {
  return v.is(TemplateKind::kList) || v.is(TemplateKind::kTuple);
}

TemplateOrder order_numbers(TemplateValue a, TemplateValue b) {
  if (is_integral(a) && is_integral(b)) {
    if (a.as_int() == b.as_int()) return TemplateOrder::kEqual;
    return a.as_int() < b.as_int() ? TemplateOrder::kLess : TemplateOrder::kGreater;
  }
  const f64 x = number_of(a);
  const f64 y = number_of(b);
  if (x != y) {
    if (x < y) return TemplateOrder::kLess;
    return x > y ? TemplateOrder::kGreater : TemplateOrder::kUnordered;
  }
  // Equal as floats; an integer beyond 2^53 may still differ.
  const bool a_whole = is_integral(a);
  if (a_whole == is_integral(b) || x >= 9.2e18 || x <= -9.2e18) return TemplateOrder::kEqual;
  const i64 whole = a_whole ? a.as_int() : b.as_int();
  const i64 rounded = static_cast<i64>(x);
  if (whole == rounded) return TemplateOrder::kEqual;
  return (whole < rounded) == a_whole ? TemplateOrder::kLess : TemplateOrder::kGreater;
}

bool equal_items(TemplateBudget& budget, const TemplateList& a, const TemplateList& b, bool* out) {
  *out = false;
  if (a.size() != b.size()) return true;
  for (u32 i = 0; i < a.size(); ++i) {
    if (!equal(budget, a[i], b[i], out)) return false;
    if (!*out) return true;
  }
  *out = true;
  return true;
}

bool equal_maps(TemplateBudget& budget, const TemplateMap& a, const TemplateMap& b, bool* out) {
  *out = false;
  if (a.size() != b.size()) return true;
  for (const TemplateMap::Entry& entry : a.entries()) {
    TemplateValue* other = nullptr;
    *out = false;
    if (!find_key(budget, b, entry.key, &other)) return false;
    if (other == nullptr) return true;
    if (!equal(budget, entry.value, *other, out)) return false;
    if (!*out) return true;
  }
  *out = true;
  return true;
}

bool add(TemplateBudget& budget, TemplateValue a, TemplateValue b, TemplateValue* out) {
  if (a.is(TemplateKind::kString) && b.is(TemplateKind::kString)) {
    const bool safe = a.is_safe() || b.is_safe();
    TextBuilder text(budget);
    if (safe)
      text.append_escaped(a);
    else
      text.append(a);
    if (safe)
      text.append_escaped(b);
    else
      text.append(b);
    if (!text.finish(out)) return false;
    *out = out->with_safe(safe);
    return true;
  }
  if (!is_sequence(a) || a.kind() != b.kind()) {
    return fail_type(budget, "TypeError: unsupported operand of +, line",
                     b.is(TemplateKind::kUndefined) ? b : a);
  }
  TemplateList* joined = budget.make<TemplateList>();
  if (joined == nullptr) return false;
  const TemplateValue halves[] = {a, b};
  for (const TemplateValue& half : halves) {
    for (const TemplateValue& item : half.as_list().items()) {
      if (!append_item(budget, *joined, item)) return false;
    }
  }
  *out = TemplateValue::object(a.kind(), joined).with_origin(join_origin(a, b));
  return true;
}

// text * n, list * n; the origin stays that of the sequence: how often it is there says nothing
// new.
bool repeat(TemplateBudget& budget, TemplateValue sequence, i64 n, TemplateValue* out) {
  if (sequence.is(TemplateKind::kString)) {
    TextBuilder text(budget);
    for (i64 i = 0; i < n && budget.ok() && !sequence.text().empty(); ++i) text.append(sequence);
    if (!text.finish(out)) return false;
    *out = out->with_safe(sequence.is_safe());
    return true;
  }
  TemplateList* repeated = budget.make<TemplateList>();
  if (repeated == nullptr) return false;
  const Span<TemplateValue> items = sequence.as_list().items();
  for (i64 i = 0; i < n && !items.empty(); ++i) {
    for (const TemplateValue& item : items) {
      if (!append_item(budget, *repeated, item)) return false;
    }
  }
  *out = TemplateValue::object(sequence.kind(), repeated).with_origin(sequence.origin());
  return true;
}

bool integer_power(TemplateBudget& budget, i64 base, i64 exponent, i64* out) {
  i64 result = 1;
  for (; exponent > 0; --exponent) {
    if (!budget.spend(1)) return false;
    if (__builtin_mul_overflow(result, base, &result))
      return budget.fail(ErrorCode::kOverflow, kOverflow);
    if (result == 0 || result == 1 || result == -1) {
      if (base == 0 || base == 1) break;
      if (base == -1) exponent = (exponent - 1) % 2 + 1;
    }
  }
  *out = result;
  return true;
}

// Floor division and the remainder that goes with it, which has the sign of the divisor.
bool integer_arithmetic(TemplateBudget& budget, TemplateOperator op, i64 a, i64 b,
                        TemplateValue* out) {
  i64 r = 0;
  bool overflow = false;
  switch (op) {
    case TemplateOperator::kAdd: overflow = __builtin_add_overflow(a, b, &r); break;
    case TemplateOperator::kSubtract: overflow = __builtin_sub_overflow(a, b, &r); break;
    case TemplateOperator::kMultiply: overflow = __builtin_mul_overflow(a, b, &r); break;
    case TemplateOperator::kPower:
      if (!integer_power(budget, a, b, &r)) return false;
      break;
    default: {
      if (b == -1) {  // the one quotient that can overflow
        overflow = op == TemplateOperator::kFloorDivide && __builtin_sub_overflow(i64{0}, a, &r);
        break;
      }
      const i64 remainder = a % b;
      const bool adjust = remainder != 0 && (remainder < 0) != (b < 0);
      if (op == TemplateOperator::kModulo) {
        r = adjust ? remainder + b : remainder;
      } else {
        r = a / b - (adjust ? 1 : 0);
      }
      break;
    }
  }
  if (overflow) return budget.fail(ErrorCode::kOverflow, kOverflow);
  *out = TemplateValue::integer(r);
  return true;
}

// The exact remainder of |x| by |y|, by long division of the significands: fmod without a library.
f64 float_remainder(f64 x, f64 y) {
  if (x < y) return x;
  f64 scaled = y;
  while (scaled <= x / 2) scaled *= 2;
  while (x >= y) {
    if (x >= scaled) x -= scaled;
    scaled /= 2;
  }
  return x;
}

f64 float_modulo(f64 a, f64 b) {
  if (!is_finite(a) || b != b) return __builtin_nan("");
  f64 r = a;
  if (is_finite(b)) {
    r = float_remainder(a < 0 ? -a : a, b < 0 ? -b : b);
    if (a < 0) r = -r;
  }
  if (r == 0) return b < 0 ? -0.0 : 0.0;
  return (r < 0) != (b < 0) ? r + b : r;
}

bool float_power(TemplateBudget& budget, f64 base, f64 exponent, f64* out) {
  if (exponent != floor_f64(exponent) || exponent > 1024 || exponent < -1024) {
    return budget.fail(ErrorCode::kUnsupported, "** with this exponent, line");
  }
  f64 result = 1;
  const f64 n = exponent < 0 ? -exponent : exponent;
  for (f64 i = 0; i < n; ++i) result *= base;
  if (exponent < 0 && result == 0)
    return budget.fail(ErrorCode::kBadValue, "ZeroDivisionError: division by zero, line");
  *out = exponent < 0 ? 1 / result : result;
  return true;
}

bool float_arithmetic(TemplateBudget& budget, TemplateOperator op, f64 a, f64 b,
                      TemplateValue* out) {
  f64 r = 0;
  switch (op) {
    case TemplateOperator::kAdd: r = a + b; break;
    case TemplateOperator::kSubtract: r = a - b; break;
    case TemplateOperator::kMultiply: r = a * b; break;
    case TemplateOperator::kDivide: r = a / b; break;
    case TemplateOperator::kFloorDivide: {
      const f64 quotient = (a - float_modulo(a, b)) / b;
      r = floor_f64(quotient);
      if (quotient - r > 0.5) r += 1;
      break;
    }
    case TemplateOperator::kModulo: r = float_modulo(a, b); break;
    default:
      if (!float_power(budget, a, b, &r)) return false;
      break;
  }
  *out = TemplateValue::number(r);
  return true;
}

}  // namespace

Str type_name(TemplateValue v) {
  switch (v.kind()) {
    case TemplateKind::kUndefined: return "Undefined";
    case TemplateKind::kNone: return "NoneType";
    case TemplateKind::kBool: return "bool";
    case TemplateKind::kInt: return "int";
    case TemplateKind::kFloat: return "float";
    case TemplateKind::kString: return "str";
    case TemplateKind::kList: return "list";
    case TemplateKind::kTuple: return "tuple";
    case TemplateKind::kMap: return "dict";
    case TemplateKind::kRange: return "range";
    case TemplateKind::kView: return static_cast<const ViewObject*>(v.pointer())->type_name;
    case TemplateKind::kIterator: return static_cast<const IteratorObject*>(v.pointer())->type_name;
    case TemplateKind::kNamespace: return "Namespace";
    case TemplateKind::kLoop: return "LoopContext";
    case TemplateKind::kMacro: return "Macro";
    case TemplateKind::kFunction: return "function";
    case TemplateKind::kMethod: return "method";
    case TemplateKind::kClock: return "function";
    case TemplateKind::kAbsent: return "nothing";
  }
  return "nothing";
}

bool is_integral(TemplateValue v) { return v.is(TemplateKind::kInt) || v.is(TemplateKind::kBool); }

bool is_number(TemplateValue v) { return is_integral(v) || v.is(TemplateKind::kFloat); }

f64 number_of(TemplateValue v) {
  return is_integral(v) ? static_cast<f64>(v.as_int()) : v.as_float();
}

bool fail_type(TemplateBudget& budget, const char* what, TemplateValue v) {
  if (v.is_forbidden()) {
    return budget.fail(ErrorCode::kBadValue,
                       "SecurityError: access to this attribute is unsafe, line", v.text());
  }
  if (v.is(TemplateKind::kUndefined)) {
    return budget.fail(ErrorCode::kBadValue, "UndefinedError: this is undefined, line", v.text());
  }
  return budget.fail(ErrorCode::kBadValue, what, type_name(v));
}

bool truth(TemplateValue v) {
  switch (v.kind()) {
    case TemplateKind::kUndefined:
    case TemplateKind::kNone:
    case TemplateKind::kAbsent: return false;
    case TemplateKind::kBool:
    case TemplateKind::kInt: return v.as_int() != 0;
    case TemplateKind::kFloat: return v.as_float() != 0;
    case TemplateKind::kString: return !v.text().empty();
    case TemplateKind::kList:
    case TemplateKind::kTuple: return v.as_list().size() != 0;
    case TemplateKind::kMap: return v.as_map().size() != 0;
    case TemplateKind::kRange: return static_cast<const RangeObject*>(v.pointer())->size != 0;
    case TemplateKind::kView: return static_cast<const ViewObject*>(v.pointer())->list.size() != 0;
    default: return true;
  }
}

bool equal(TemplateBudget& budget, TemplateValue a, TemplateValue b, bool* out) {
  if (!budget.spend(1)) return false;
  *out = false;
  if (is_number(a) && is_number(b)) {
    *out = order_numbers(a, b) == TemplateOrder::kEqual;
    return true;
  }
  if (a.kind() != b.kind()) return true;
  switch (a.kind()) {
    case TemplateKind::kUndefined:
    case TemplateKind::kNone: *out = true; return true;
    case TemplateKind::kString:
      *out = a.text() == b.text();
      return budget.spend_bytes(a.text().size() == b.text().size() ? a.text().size() : 0);
    case TemplateKind::kList:
    case TemplateKind::kTuple:
    case TemplateKind::kMap: {
      TemplateNesting level(budget);
      if (!level.ok()) return false;
      if (a.is(TemplateKind::kMap)) return equal_maps(budget, a.as_map(), b.as_map(), out);
      return equal_items(budget, a.as_list(), b.as_list(), out);
    }
    case TemplateKind::kRange: {
      const RangeObject& x = *static_cast<const RangeObject*>(a.pointer());
      const RangeObject& y = *static_cast<const RangeObject*>(b.pointer());
      *out = x.size == y.size &&
             (x.size == 0 || (x.start == y.start && (x.size == 1 || x.step == y.step)));
      return true;
    }
    default: *out = a.pointer() == b.pointer(); return true;
  }
}

bool compare(TemplateBudget& budget, TemplateValue a, TemplateValue b, TemplateOrder* out) {
  if (is_number(a) && is_number(b)) {
    *out = order_numbers(a, b);
    return budget.spend(1);
  }
  if (a.is(TemplateKind::kString) &&
      b.is(TemplateKind::kString)) {  // byte order of UTF-8 is the order of code points
    *out = TemplateOrder::kGreater;
    if (a.text() == b.text())
      *out = TemplateOrder::kEqual;
    else if (a.text() < b.text())
      *out = TemplateOrder::kLess;
    return budget.spend_bytes(min_u64(a.text().size(), b.text().size()));
  }
  if (!is_sequence(a) || a.kind() != b.kind()) {
    return fail_type(budget, "TypeError: values of these types have no order, line",
                     b.is(TemplateKind::kUndefined) ? b : a);
  }
  TemplateNesting level(budget);
  if (!level.ok()) return false;
  const TemplateList& x = a.as_list();
  const TemplateList& y = b.as_list();
  for (u32 i = 0; i < x.size() && i < y.size(); ++i) {
    bool same = false;
    if (!equal(budget, x[i], y[i], &same)) return false;
    if (!same) return compare(budget, x[i], y[i], out);
  }
  *out = TemplateOrder::kEqual;
  if (x.size() < y.size()) *out = TemplateOrder::kLess;
  if (x.size() > y.size()) *out = TemplateOrder::kGreater;
  return true;
}

bool relate(TemplateBudget& budget, TemplateOperator op, TemplateValue a, TemplateValue b,
            bool* out) {
  if (op == TemplateOperator::kEqual || op == TemplateOperator::kNotEqual) {
    if (!equal(budget, a, b, out)) return false;
    if (op == TemplateOperator::kNotEqual) *out = !*out;
    return true;
  }
  if (op == TemplateOperator::kIn || op == TemplateOperator::kNotIn) {
    if (!contains(budget, b, a, out)) return false;
    if (op == TemplateOperator::kNotIn) *out = !*out;
    return true;
  }
  TemplateOrder order = TemplateOrder::kUnordered;
  if (!compare(budget, a, b, &order)) return false;
  switch (op) {
    case TemplateOperator::kLess: *out = order == TemplateOrder::kLess; break;
    case TemplateOperator::kLessEqual:
      *out = order == TemplateOrder::kLess || order == TemplateOrder::kEqual;
      break;
    case TemplateOperator::kGreater: *out = order == TemplateOrder::kGreater; break;
    default: *out = order == TemplateOrder::kGreater || order == TemplateOrder::kEqual; break;
  }
  return true;
}

bool contains(TemplateBudget& budget, TemplateValue haystack, TemplateValue needle, bool* out) {
  *out = false;
  if (haystack.is(TemplateKind::kString)) {
    if (!needle.is(TemplateKind::kString)) {
      return budget.fail(ErrorCode::kBadValue, "TypeError: only text can be in text, line",
                         type_name(needle));
    }
    *out =
        find_text(budget, haystack.text(), needle.text(), 0, haystack.text().size()) != Str::kNone;
    return budget.ok();
  }
  if (haystack.is(TemplateKind::kMap)) {
    TemplateValue* found = nullptr;
    if (!find_key(budget, haystack.as_map(), needle, &found)) return false;
    *out = found != nullptr;
    return true;
  }
  TemplateItems items;
  if (!iterate(budget, haystack, &items)) return false;
  for (u32 i = 0; i < items.size; ++i) {
    if (!equal(budget, items.at(i), needle, out)) return false;
    if (*out) return true;
  }
  return true;
}

bool find_key(TemplateBudget& budget, const TemplateMap& map, TemplateValue key,
              TemplateValue** out) {
  *out = nullptr;
  if (key.is(TemplateKind::kList) || key.is(TemplateKind::kMap)) {
    return budget.fail(ErrorCode::kBadValue, "TypeError: unhashable type, line", type_name(key));
  }
  for (TemplateMap::Entry& entry : map.entries()) {
    bool same = false;
    if (!equal(budget, entry.key, key, &same)) return false;
    if (!same) continue;
    *out = &entry.value;
    return true;
  }
  return true;
}

bool arithmetic(TemplateBudget& budget, TemplateOperator op, TemplateValue a, TemplateValue b,
                TemplateValue* out) {
  if (op == TemplateOperator::kModulo && a.is(TemplateKind::kString))
    return percent_format(budget, a, b, out);
  if (is_number(a) && is_number(b)) {
    const bool divides = op == TemplateOperator::kDivide || op == TemplateOperator::kFloorDivide ||
                         op == TemplateOperator::kModulo;
    if (divides && number_of(b) == 0) {
      return budget.fail(ErrorCode::kBadValue, "ZeroDivisionError: division by zero, line");
    }
    const bool whole = is_integral(a) && is_integral(b) && op != TemplateOperator::kDivide &&
                       !(op == TemplateOperator::kPower && b.as_int() < 0);
    const bool ok = whole ? integer_arithmetic(budget, op, a.as_int(), b.as_int(), out)
                          : float_arithmetic(budget, op, number_of(a), number_of(b), out);
    if (!ok) return false;
    *out = out->with_origin(join_origin(a, b));
    return true;
  }
  if (op == TemplateOperator::kAdd) return add(budget, a, b, out);
  if (op == TemplateOperator::kMultiply) {
    if ((a.is(TemplateKind::kString) || is_sequence(a)) && is_integral(b))
      return repeat(budget, a, b.as_int(), out);
    if ((b.is(TemplateKind::kString) || is_sequence(b)) && is_integral(a))
      return repeat(budget, b, a.as_int(), out);
  }
  return fail_type(budget, "TypeError: unsupported operand of this operator, line",
                   b.is(TemplateKind::kUndefined) || is_number(a) ? b : a);
}

}  // namespace lbm
