// What the values of the engine's own kinds point to (TemplateValue::pointer).
#pragma once

#include "core/chat/template_syntax.h"
#include "core/chat/template_value.h"

namespace lbm {

struct TemplateBuiltin;
struct TemplateScope;

// kRange
struct RangeObject {
  static constexpr u32 kMaxSize = 100'000;  // of Jinja's sandbox
  i64 start = 0;
  i64 stop = 0;
  i64 step = 1;
  u32 size = 0;
  // Modulo 2^64: every item fits, though the steps between them need not.
  [[nodiscard]] i64 at(i64 index) const {
    return static_cast<i64>(static_cast<u64>(start) +
                            static_cast<u64>(index) * static_cast<u64>(step));
  }
};

// kView: what keys(), values() and items() of a map return. It has a length but no subscripts.
struct ViewObject {
  const char* type_name = "";
  TemplateList list;
};

// kIterator: what map, select and their kind return. It can be walked once.
struct IteratorObject {
  const char* type_name = "generator";
  const TemplateList* list = nullptr;
  u32 next = 0;
};

// kNamespace: the one thing a template can change.
struct NamespaceObject {
  TemplateMap attributes;
};

// What can be walked over, without making a list of it.
struct TemplateItems {
  const TemplateList* list = nullptr;
  const RangeObject* range = nullptr;
  u32 first = 0;
  u32 size = 0;
  [[nodiscard]] TemplateValue at(u32 index) const {
    if (range == nullptr) return (*list)[first + index];
    return TemplateValue::integer(range->at(index)).with_origin(TemplateOrigin::kMarkup);
  }
};

// kLoop
struct LoopObject {
  TemplateItems items;
  u32 index0 = 0;
  u32 depth0 = 0;
  const TemplateList* last_changed = nullptr;  // arguments of the latest loop.changed()
  const ForStatement* statement = nullptr;
  TemplateScope* outer = nullptr;  // where the loop stands
};

// kMacro
struct MacroObject {
  const MacroSyntax* syntax = nullptr;
  TemplateScope* closure = nullptr;
};

// kMethod
struct MethodObject {
  TemplateValue self;
  const TemplateBuiltin* method = nullptr;
};

// Variables of one block. A name is looked for here, then in `parent` ...; `set` writes here.
struct TemplateScope {
  TemplateScope* parent = nullptr;
  TemplateMap variables;
};

}  // namespace lbm
