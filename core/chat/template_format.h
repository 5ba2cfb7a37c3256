// Values as Python's str() and repr() write them.
#pragma once

#include "core/chat/template_text.h"

namespace lbm {

// str(v): text as it is, nothing for undefined, True, None, 1.5, ['a', {'b': 1}] ... The text keeps
// the origin of what it is made of; brackets and quotes are of the origin of their list or map.
void write_str(TemplateBudget& budget, TextBuilder& text, TemplateValue v);
void write_repr(TemplateBudget& budget, TextBuilder& text, TemplateValue v);
// str(v) as a value; text is returned as it is.
[[nodiscard]] bool text_of(TemplateBudget& budget, TemplateValue v, TemplateValue* out);

// format % v, Python's printf style. Errors: kUnsupported names a conversion this build lacks.
[[nodiscard]] bool percent_format(TemplateBudget& budget, TemplateValue format, TemplateValue v,
                                  TemplateValue* out);
// format.format(*positional, **named)
[[nodiscard]] bool brace_format(TemplateBudget& budget, TemplateValue format,
                                const TemplateList& positional, const TemplateMap& named,
                                TemplateValue* out);

}  // namespace lbm
