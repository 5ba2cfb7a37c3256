// Values as JSON, as Python's json.dumps writes it.
#pragma once

#include "core/chat/template_text.h"

namespace lbm {

struct JsonStyle {
  bool ensure_ascii = false;
  bool sort_keys = false;
  bool indented = false;
  Str indent;  // of one level, where indented
  TemplateValue item_separator = TemplateValue::markup(", ");
  TemplateValue key_separator = TemplateValue::markup(": ");
};

// Errors: kBadValue  a value or key that JSON has no form for.
[[nodiscard]] bool write_json(TemplateBudget& budget, TemplateValue v, const JsonStyle& style,
                              TemplateValue* out);

}  // namespace lbm
