// Tests: what stands behind `is`.
#include "core/chat/template_access.h"
#include "core/chat/template_builtins.h"
#include "core/chat/template_format.h"
#include "core/chat/template_operators.h"

namespace lbm {
namespace {

bool answer(bool v, TemplateValue* out) {
  *out = TemplateValue::boolean(v).with_origin(TemplateOrigin::kMarkup);
  return true;
}

template <TemplateKind kKind>
bool test_kind(BuiltinCall& call, TemplateValue* out) {
  return answer(call.self.is(kKind), out);
}

bool test_defined(BuiltinCall& call, TemplateValue* out) {
  return answer(!call.self.is(TemplateKind::kUndefined), out);
}

template <bool kValue>
bool test_boolean_value(BuiltinCall& call, TemplateValue* out) {
  return answer(call.self.is(TemplateKind::kBool) && call.self.as_bool() == kValue, out);
}

bool test_number(BuiltinCall& call, TemplateValue* out) {
  return answer(is_number(call.self), out);
}

bool test_iterable(BuiltinCall& call, TemplateValue* out) {
  return answer(is_iterable(call.self), out);
}

// Python asks for a length and for subscripts; maps have both, and so has undefined.
bool test_sequence(BuiltinCall& call, TemplateValue* out) {
  return answer(has_length(call.self) && !call.self.is(TemplateKind::kView) &&
                    !call.self.is(TemplateKind::kLoop),
                out);
}

bool test_callable(BuiltinCall& call, TemplateValue* out) {
  switch (call.self.kind()) {
    case TemplateKind::kUndefined:
    case TemplateKind::kFunction:
    case TemplateKind::kMethod:
    case TemplateKind::kMacro:
    case TemplateKind::kLoop:
    case TemplateKind::kClock: return answer(true, out);
    default: return answer(false, out);
  }
}

template <bool kUpper>
bool test_case(BuiltinCall& call, TemplateValue* out) {
  TemplateValue text;
  if (!text_of(call.budget, call.self, &text) || !call.budget.spend_bytes(text.text().size()))
    return false;
  return answer(kUpper ? is_upper_text(text.text()) : is_lower_text(text.text()), out);
}

bool test_remainder(BuiltinCall& call, TemplateValue divisor, i64 wanted, TemplateValue* out) {
  TemplateValue remainder;
  if (!arithmetic(call.budget, TemplateOperator::kModulo, call.self, divisor, &remainder))
    return false;
  bool same = false;
  return equal(call.budget, remainder, TemplateValue::integer(wanted), &same) && answer(same, out);
}

bool test_odd(BuiltinCall& call, TemplateValue* out) {
  return test_remainder(call, TemplateValue::integer(2), 1, out);
}

bool test_even(BuiltinCall& call, TemplateValue* out) {
  return test_remainder(call, TemplateValue::integer(2), 0, out);
}

bool test_divisibleby(BuiltinCall& call, TemplateValue* out) {
  return test_remainder(call, call.slot[0], 0, out);
}

template <TemplateOperator kOp>
bool test_relation(BuiltinCall& call, TemplateValue* out) {
  bool result = false;
  return relate(call.budget, kOp, call.self, call.slot[0], &result) && answer(result, out);
}

// Identity: of none and booleans by value, of lists and maps by what they point to.
bool test_sameas(BuiltinCall& call, TemplateValue* out) {
  const TemplateValue a = call.self;
  const TemplateValue b = call.slot[0];
  if (a.kind() != b.kind()) return answer(false, out);
  switch (a.kind()) {
    case TemplateKind::kNone: return answer(true, out);
    case TemplateKind::kBool:
    case TemplateKind::kInt: return answer(a.as_int() == b.as_int(), out);
    case TemplateKind::kFloat: return answer(a.as_float() == b.as_float(), out);
    case TemplateKind::kString: return answer(a.text() == b.text(), out);
    default: return answer(a.pointer() == b.pointer(), out);
  }
}

bool test_filter(BuiltinCall& call, TemplateValue* out) {
  return answer(
      call.self.is(TemplateKind::kString) && find_template_filter(call.self.text()) != nullptr,
      out);
}

bool test_test(BuiltinCall& call, TemplateValue* out) {
  return answer(
      call.self.is(TemplateKind::kString) && find_template_test(call.self.text()) != nullptr, out);
}

bool test_escaped(BuiltinCall& call, TemplateValue* out) {
  return answer(call.self.is_safe(), out);
}

constexpr TemplateBuiltin kTests[] = {
    {"defined", "", test_defined},
    {"undefined", "", test_kind<TemplateKind::kUndefined>},
    {"none", "", test_kind<TemplateKind::kNone>},
    {"boolean", "", test_kind<TemplateKind::kBool>},
    {"true", "", test_boolean_value<true>},
    {"false", "", test_boolean_value<false>},
    {"integer", "", test_kind<TemplateKind::kInt>},
    {"float", "", test_kind<TemplateKind::kFloat>},
    {"number", "", test_number},
    {"string", "", test_kind<TemplateKind::kString>},
    {"mapping", "", test_kind<TemplateKind::kMap>},
    {"sequence", "", test_sequence},
    {"iterable", "", test_iterable},
    {"callable", "", test_callable},
    {"upper", "", test_case<true>},
    {"lower", "", test_case<false>},
    {"odd", "", test_odd},
    {"even", "", test_even},
    {"divisibleby", "num", test_divisibleby},
    {"sameas", "other", test_sameas},
    {"escaped", "", test_escaped},
    {"filter", "", test_filter},
    {"test", "", test_test},
    {"in", "seq", test_relation<TemplateOperator::kIn>},
    {"eq", "other", test_relation<TemplateOperator::kEqual>},
    {"==", "other", test_relation<TemplateOperator::kEqual>},
    {"equalto", "other", test_relation<TemplateOperator::kEqual>},
    {"ne", "other", test_relation<TemplateOperator::kNotEqual>},
    {"!=", "other", test_relation<TemplateOperator::kNotEqual>},
    {"lt", "other", test_relation<TemplateOperator::kLess>},
    {"<", "other", test_relation<TemplateOperator::kLess>},
    {"lessthan", "other", test_relation<TemplateOperator::kLess>},
    {"le", "other", test_relation<TemplateOperator::kLessEqual>},
    {"<=", "other", test_relation<TemplateOperator::kLessEqual>},
    {"gt", "other", test_relation<TemplateOperator::kGreater>},
    {">", "other", test_relation<TemplateOperator::kGreater>},
    {"greaterthan", "other", test_relation<TemplateOperator::kGreater>},
    {"ge", "other", test_relation<TemplateOperator::kGreaterEqual>},
    {">=", "other", test_relation<TemplateOperator::kGreaterEqual>},
};

}  // namespace

BuiltinTable template_tests() { return kTests; }

}  // namespace lbm
