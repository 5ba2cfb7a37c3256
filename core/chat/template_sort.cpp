#include "core/chat/template_sort.h"

#include "core/chat/template_operators.h"

namespace lbm {
namespace {

struct Keyed {
  TemplateValue key;
  TemplateValue item;
};

// Merges the sorted runs [begin, middle) and [middle, end) of `from` into `to`.
bool merge(TemplateBudget& budget, const Keyed* from, usize begin, usize middle, usize end,
           bool reverse, Keyed* to) {
  usize left = begin;
  usize right = middle;
  for (usize at = begin; at < end; ++at) {
    bool take_right = left == middle;
    if (!take_right && right < end) {
      TemplateOrder order = TemplateOrder::kEqual;
      if (!compare(budget, from[right].key, from[left].key, &order)) return false;
      take_right = order == (reverse ? TemplateOrder::kGreater : TemplateOrder::kLess);
    }
    to[at] = take_right ? from[right++] : from[left++];
  }
  return budget.spend(end - begin);
}

}  // namespace

// Bottom-up merge sort: no recursion, n log n for any input.
bool sort_by_key(TemplateBudget& budget, Span<TemplateValue> keys, Span<TemplateValue> items,
                 bool reverse) {
  const usize n = items.size();
  if (n < 2) return true;
  Keyed* from = static_cast<Keyed*>(budget.take(u64{n} * sizeof(Keyed), alignof(Keyed)));
  Keyed* to = static_cast<Keyed*>(budget.take(u64{n} * sizeof(Keyed), alignof(Keyed)));
  if (from == nullptr || to == nullptr) return false;
  for (usize i = 0; i < n; ++i) from[i] = {keys[i], items[i]};
  for (usize width = 1; width < n; width *= 2) {
    for (usize begin = 0; begin < n; begin += 2 * width) {
      const usize middle = begin + width < n ? begin + width : n;
      const usize end = begin + 2 * width < n ? begin + 2 * width : n;
      if (!merge(budget, from, begin, middle, end, reverse, to)) return false;
    }
    Keyed* const swapped = from;
    from = to;
    to = swapped;
  }
  for (usize i = 0; i < n; ++i) {
    keys[i] = from[i].key;
    items[i] = from[i].item;
  }
  return true;
}

}  // namespace lbm
