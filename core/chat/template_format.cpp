#include "core/chat/template_format.h"

#include "core/chat/template_builtins.h"
#include "core/chat/template_case.h"
#include "core/chat/template_number.h"
#include "core/chat/template_object.h"
#include "core/chat/template_operators.h"

namespace lbm {
namespace {

[[gnu::noinline]] void write_escaped(TextBuilder& text, u32 codepoint, bool markup) {
  char buffer[kNumberTextBytes];
  const u32 n_digit = codepoint < 0x100 ? 2 : codepoint < 0x10000 ? 4 : 8;
  const Str digits = format_magnitude(codepoint, 16, false, buffer);
  text.append(n_digit == 2 ? "\\x" : n_digit == 4 ? "\\u" : "\\U", markup);
  text.repeat('0', n_digit - digits.size(), markup);
  text.append(digits, markup);
}

// 'text', or "text" where it has single quotes only inside.
[[gnu::noinline]] void write_quoted(TextBuilder& text, TemplateValue v) {
  const bool single = v.text().contains("'");
  const char quote = single && !v.text().contains("\"") ? '"' : '\'';
  const Str quote_text(&quote, 1);
  text.append(quote_text, v.is_markup());
  TextPieces pieces(v);
  while (pieces.next()) {
    usize plain = 0;
    for (usize at = 0; at < pieces.bytes.size();) {
      const u32 c = codepoint_at(pieces.bytes, at);
      const usize n = character_at(pieces.bytes, at);
      const bool quoted = c == static_cast<u32>(quote) || c == '\\';
      if (!quoted && is_printable(c)) {
        at += n;
        continue;
      }
      text.append(pieces.bytes.slice(plain, at - plain), pieces.markup);
      if (c == '\n')
        text.append("\\n", pieces.markup);
      else if (c == '\r')
        text.append("\\r", pieces.markup);
      else if (c == '\t')
        text.append("\\t", pieces.markup);
      else if (quoted) {
        text.append("\\", pieces.markup);
        text.append(pieces.bytes.slice(at, n), pieces.markup);
      } else {
        write_escaped(text, c, pieces.markup);
      }
      at += n;
      plain = at;
    }
    text.append(pieces.bytes.from(plain), pieces.markup);
  }
  text.append(quote_text, v.is_markup());
}

void write_items(TemplateBudget& budget, TextBuilder& text, const TemplateList& list, bool markup) {
  for (u32 i = 0; i < list.size() && budget.ok(); ++i) {
    if (i != 0) text.append(", ", markup);
    write_repr(budget, text, list[i]);
  }
}

void write_map(TemplateBudget& budget, TextBuilder& text, const TemplateMap& map, bool markup) {
  text.append("{", markup);
  bool first = true;
  for (const TemplateMap::Entry& entry : map.entries()) {
    if (!budget.ok()) return;
    if (!first) text.append(", ", markup);
    first = false;
    write_repr(budget, text, entry.key);
    text.append(": ", markup);
    write_repr(budget, text, entry.value);
  }
  text.append("}", markup);
}

[[gnu::noinline]] void write_integer(TextBuilder& text, i64 v, bool markup) {
  char buffer[kNumberTextBytes];
  text.append(format_integer(v, buffer), markup);
}

[[gnu::noinline]] void write_range(TextBuilder& text, const RangeObject& range, bool markup) {
  text.append("range(", markup);
  write_integer(text, range.start, markup);
  text.append(", ", markup);
  write_integer(text, range.stop, markup);
  if (range.step != 1) {
    text.append(", ", markup);
    write_integer(text, range.step, markup);
  }
  text.append(")", markup);
}

// What Python shows of an object as <...>; without the address, which no template can mean to
// print.
[[gnu::noinline]] void write_object(TemplateBudget& budget, TextBuilder& text, TemplateValue v) {
  const bool markup = v.is_markup();
  text.append("<", markup);
  if (v.is(TemplateKind::kNamespace)) {
    text.append("Namespace ", markup);
    write_map(budget, text, static_cast<const NamespaceObject*>(v.pointer())->attributes, markup);
  } else if (v.is(TemplateKind::kLoop)) {
    const LoopObject& loop = *static_cast<const LoopObject*>(v.pointer());
    text.append("LoopContext ", markup);
    write_integer(text, i64{loop.index0} + 1, markup);
    text.append("/", markup);
    write_integer(text, loop.items.size, markup);
  } else if (v.is(TemplateKind::kMacro)) {
    text.append("Macro '", markup);
    text.append(static_cast<const MacroObject*>(v.pointer())->syntax->name, markup);
    text.append("'", markup);
  } else {
    text.append(type_name(v), markup);
    text.append(" object", markup);
  }
  text.append(">", markup);
}

void write_list(TemplateBudget& budget, TextBuilder& text, TemplateValue v) {
  const TemplateList& list = v.as_list();
  const bool tuple = v.is(TemplateKind::kTuple);
  text.append(tuple ? "(" : "[", v.is_markup());
  write_items(budget, text, list, v.is_markup());
  text.append(tuple ? (list.size() == 1 ? ",)" : ")") : "]", v.is_markup());
}

// Out of line: the buffer does not belong on the stack of a recursion.
[[gnu::noinline]] void write_number(TemplateBudget& budget, TextBuilder& text, TemplateValue v) {
  char buffer[kNumberTextBytes];
  if (v.is(TemplateKind::kInt)) {
    text.append(format_integer(v.as_int(), buffer), v.is_markup());
  } else if (budget.spend(kFloatTextSteps)) {
    text.append(format_float(v.as_float(), buffer), v.is_markup());
  }
}

}  // namespace

void write_repr(TemplateBudget& budget, TextBuilder& text, TemplateValue v) {
  TemplateNesting level(budget);
  if (!level.ok() || !budget.spend(1)) return;
  const bool markup = v.is_markup();
  switch (v.kind()) {
    case TemplateKind::kUndefined: text.append("Undefined", true); break;
    case TemplateKind::kNone: text.append("None", markup); break;
    case TemplateKind::kBool: text.append(v.as_bool() ? "True" : "False", markup); break;
    case TemplateKind::kInt:
    case TemplateKind::kFloat: write_number(budget, text, v); break;
    case TemplateKind::kString: write_quoted(text, v); break;
    case TemplateKind::kList:
    case TemplateKind::kTuple: write_list(budget, text, v); break;
    case TemplateKind::kMap: write_map(budget, text, v.as_map(), markup); break;
    case TemplateKind::kRange:
      write_range(text, *static_cast<const RangeObject*>(v.pointer()), markup);
      break;
    case TemplateKind::kView: {
      const ViewObject& view = *static_cast<const ViewObject*>(v.pointer());
      text.append(view.type_name, markup);
      text.append("([", markup);
      write_items(budget, text, view.list, markup);
      text.append("])", markup);
      break;
    }
    default: write_object(budget, text, v); break;
  }
}

void write_str(TemplateBudget& budget, TextBuilder& text, TemplateValue v) {
  if (v.is(TemplateKind::kString)) {
    text.append(v);
  } else if (!v.is(TemplateKind::kUndefined)) {
    write_repr(budget, text, v);
  }
}

bool text_of(TemplateBudget& budget, TemplateValue v, TemplateValue* out) {
  if (v.is(TemplateKind::kString)) {
    *out = v;
    return true;
  }
  TextBuilder text(budget);
  write_str(budget, text, v);
  return text.finish(out);
}

}  // namespace lbm
