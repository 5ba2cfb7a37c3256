// The chat template of a model: the subset of Jinja that real templates use, run without allocation
// beyond an arena.
//
// A model file brings its template as a program written by a stranger. It is bounded by fuel, depth
// and output size, it can only write text, and its output remembers, piece by piece, what came from
// the template (markup) and what from the conversation (content). Only markup can become control
// tokens (TextSegment in tokenizer.h), so no user, system or tool text can forge a turn.
#pragma once

#include "core/base/arena.h"
#include "core/base/fmt.h"
#include "core/base/result.h"
#include "core/base/span.h"
#include "core/chat/template_value.h"
#include "core/tokenizer/tokenizer.h"

namespace lbm {

struct TemplateLimits {
  u64 fuel = 50'000'000;  // evaluation steps
  u32 depth = 160;  // nesting of blocks, expressions and calls; a level takes 400 bytes of stack
  u64 output_bytes = 16 * kMiB;
};

struct TemplateSyntax;

// Where in a template a byte stands, both from 1; columns count bytes.
struct TemplatePlace {
  u64 line = 1;
  u64 column = 1;
};
// `offset` is the one of an Error of parse() or render(), which counts a line end as one byte
// however `source` spells it.
[[nodiscard]] TemplatePlace template_place(Str source, u64 offset);
// "no such filter frobnicate, line 3, column 14 [unsupported]"
void write_template_error(TextWriter& out, const Error& error, Str source);

class ChatTemplate {
 public:
  static constexpr u64 kMaxSourceBytes = 256 * kKiB;
  static constexpr u32 kMaxParseDepth = 64;  // of brackets and blocks

  // Parses `source` (which must outlive the template: literals are views). The syntax tree is taken
  // from `arena`.
  // Errors, with byte offset and line; the arena is then as it was:
  //         kBadSyntax.   kUnsupported  names the tag, filter or test that this build lacks; one
  //         that an `if` guards is an error of render().   kLimit  too long, or nested too deep.
  [[nodiscard]] static Result<ChatTemplate*> parse(Arena& arena, Str source);

  // Runs the template with the variables of `globals` (a map; "messages", "add_generation_prompt",
  // "bos_token", ...). Segments and all they refer to are taken from `scratch`; neighbours of the
  // same kind are joined.
  // Errors: kTemplate  raise_exception was called; its message is written to `exception`, where
  // that
  //         is not nullptr (a view into scratch).
  //         kBadValue  an operation the types do not have.   kOverflow  a number beyond 64 bits.
  //         kLimit  fuel, depth or output ran out.   kUnsupported  a thing this build lacks was
  //         reached.   kOutOfMemory  scratch is too small.
  [[nodiscard]] Result<Span<const TextSegment>> render(const TemplateMap& globals,
                                                       const TemplateLimits& limits, Arena& scratch,
                                                       Str* exception) const;

  // The text that was parsed, with '\n' for every line end.
  [[nodiscard]] Str source() const;

 private:
  const TemplateSyntax* syntax_ = nullptr;
};

}  // namespace lbm
