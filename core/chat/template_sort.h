// Sorting by Python's order of values.
#pragma once

#include "core/chat/template_budget.h"
#include "core/chat/template_value.h"

namespace lbm {

// Sorts `items` by the keys of the same index, stable in both directions. Both spans are reordered.
// Fails where two keys have no order.
[[nodiscard]] bool sort_by_key(TemplateBudget& budget, Span<TemplateValue> keys,
                               Span<TemplateValue> items, bool reverse);

}  // namespace lbm
