#include "core/chat/template.h"

#include "core/chat/template_parser.h"
#include "core/chat/template_runner.h"

namespace lbm {
namespace {

// Steps of a parse: a few per byte, whatever the source is.
constexpr u64 kParseFuelPerByte = 64;

// '\n' for every line end, and without the last one, as Jinja reads a template.
bool normalize(TemplateBudget& budget, Str source, Str* out) {
  if (source.find("\r") != Str::kNone) {
    char* text = static_cast<char*>(budget.take(source.size(), 1));
    if (text == nullptr) return false;
    usize n = 0;
    for (usize i = 0; i < source.size(); ++i) {
      const bool pair = source[i] == '\r' && i + 1 < source.size() && source[i + 1] == '\n';
      if (pair) continue;
      text[n++] = source[i] == '\r' ? '\n' : source[i];
    }
    source = {text, n};
  }
  *out = source.ends_with("\n") ? source.first(source.size() - 1) : source;
  return true;
}

// The recorded error, with its line where it has no number of its own.
Error located(const TemplateBudget& budget, Str source) {
  Error error = budget.error();
  if (!error.has_value && error.offset != Error::kNoOffset)
    error.with(template_place(source, error.offset).line);
  return error;
}

}  // namespace

TemplatePlace template_place(Str source, u64 offset) {
  TemplatePlace place;
  u64 n_seen = 0;
  for (usize i = 0; i < source.size() && n_seen < offset; ++i) {
    if (source[i] == '\r' && i + 1 < source.size() && source[i + 1] == '\n') continue;
    ++n_seen;
    const bool line_end = source[i] == '\n' || source[i] == '\r';
    place.line += line_end ? 1u : 0u;
    place.column = line_end ? 1 : place.column + 1;
  }
  return place;
}

void write_template_error(TextWriter& out, const Error& error, Str source) {
  const Str what = error.what;
  if (error.subject_size != 0) out.print("{}: ", error.subject_text());
  out.append(what);
  if (error.offset != Error::kNoOffset) {
    const TemplatePlace place = template_place(source, error.offset);
    // Errors that have no number of their own end in "line", for the line as their number.
    out.print("{} {}, column {}", what.ends_with(", line") ? "" : ", line", place.line,
              place.column);
  }
  out.print(" [{}]", error_code_name(error.code));
}

Str ChatTemplate::source() const { return syntax_->source; }

Result<ChatTemplate*> ChatTemplate::parse(Arena& arena, Str source) {
  if (source.size() > kMaxSourceBytes) {
    return fail(ErrorCode::kLimit, "chat template too long, bytes")
        .with(source.size(), kMaxSourceBytes);
  }
  const Arena::Mark mark = arena.mark();
  TemplateBudget budget(arena, 1000 + kParseFuelPerByte * source.size(), kMaxParseDepth,
                        kMaxSourceBytes);
  ChatTemplate* chat_template = budget.make<ChatTemplate>();
  TemplateSyntax* syntax = budget.make<TemplateSyntax>();
  bool ok =
      chat_template != nullptr && syntax != nullptr && normalize(budget, source, &syntax->source);
  if (ok) {
    TemplateParser parser(budget, syntax->source);
    ok = parser.parse(&syntax->body);
  }
  if (!ok) {
    const Error error = located(budget, syntax == nullptr ? source : syntax->source);
    arena.rewind(mark);
    return error;
  }
  chat_template->syntax_ = syntax;
  return chat_template;
}

Result<Span<const TextSegment>> ChatTemplate::render(const TemplateMap& globals,
                                                     const TemplateLimits& limits, Arena& scratch,
                                                     Str* exception) const {
  TemplateBudget budget(scratch, limits.fuel, limits.depth, limits.output_bytes);
  TextBuilder out(budget);
  TemplateRunner runner(budget, globals, out);
  Span<const TextSegment> segments;
  if (runner.run(syntax_->body) && out.finish(&segments)) return segments;
  if (budget.error().code == ErrorCode::kTemplate && exception != nullptr)
    *exception = runner.exception();
  return located(budget, syntax_->source);
}

}  // namespace lbm
