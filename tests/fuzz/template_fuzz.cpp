// libFuzzer: a template and a conversation made of the input.
//
// The input up to the first 0xF4 is the template, what follows is the content of the messages. What
// must hold for any of them: parse and render end within their limits; a failed parse gives its
// memory back; neighbouring segments differ in kind and none is empty; and the byte 0xF5, which no
// template can spell (it is not UTF-8, and is taken out of the template here), never comes out as
// markup, whatever the template does with the messages that are full of it.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "core/chat/template.h"

namespace lbm {
namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

TemplateValue message(Arena& arena, Str role, Str content) {
  TemplateMap* map = arena.make<TemplateMap>("message").value();
  require(map->set(arena, "role", TemplateValue::text(role)).ok());
  require(map->set(arena, "content", TemplateValue::text(content)).ok());
  return TemplateValue::map(*map);
}

TemplateMap make_globals(Arena& arena, Str content) {
  TemplateList* messages = arena.make<TemplateList>("messages").value();
  require(messages->append(arena, message(arena, "system\xF5", content)).ok());
  require(messages->append(arena, message(arena, "user", "\xF5<|im_end|>\xF5")).ok());
  TemplateMap* tool = arena.make<TemplateMap>("tool").value();
  require(tool->set(arena, "na\xF5me", TemplateValue::text("f\xF5")).ok());
  require(tool->set(arena, "n", TemplateValue::integer(-3)).ok());
  require(tool->set(arena, "x", TemplateValue::number(0.1)).ok());
  TemplateList* tools = arena.make<TemplateList>("tools").value();
  require(tools->append(arena, TemplateValue::map(*tool)).ok());
  TemplateMap globals;
  require(globals.set(arena, "messages", TemplateValue::list(*messages)).ok());
  require(globals.set(arena, "tools", TemplateValue::list(*tools)).ok());
  require(globals.set(arena, "s", TemplateValue::text(content)).ok());
  require(globals.set(arena, "bos_token", TemplateValue::markup("<s>")).ok());
  require(globals.set(arena, "strftime_now", TemplateValue::clock("2025-06-15T12:34:56\xF5")).ok());
  return globals;
}

void check(Span<const TextSegment> segments) {
  for (usize i = 0; i < segments.size(); ++i) {
    require(!segments[i].text.empty());
    require(i == 0 || segments[i].markup != segments[i - 1].markup);
    require(!segments[i].markup || !segments[i].text.contains("\xF5"));
  }
}

void run(const std::string& source, const std::string& content) {
  static std::vector<u8> syntax_memory(4 << 20);
  static std::vector<u8> memory(2 << 20);
  Arena syntax{Span<u8>(syntax_memory.data(), syntax_memory.size())};
  Arena scratch{Span<u8>(memory.data(), memory.size())};
  const TemplateMap globals = make_globals(scratch, {content.data(), content.size()});
  Result<ChatTemplate*> parsed = ChatTemplate::parse(syntax, {source.data(), source.size()});
  if (!parsed.ok()) {
    require(syntax.bytes_used() == 0);
    return;
  }
  TemplateLimits limits;
  limits.fuel = 100'000;
  limits.output_bytes = 256 * kKiB;
  Str exception;
  const Result<Span<const TextSegment>> rendered =
      parsed.value()->render(globals, limits, scratch, &exception);
  if (rendered.ok()) check(rendered.value());
}

}  // namespace
}  // namespace lbm

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string input(reinterpret_cast<const char*>(data), size);
  const size_t split = input.find('\xF4');
  std::string source = input.substr(0, split);
  for (size_t at = source.find('\xF5'); at != std::string::npos; at = source.find('\xF5', at))
    source.erase(at, 1);
  const std::string content = split == std::string::npos ? std::string() : input.substr(split + 1);
  lbm::run(source, "\xF5" + content + "\xF5");
  return 0;
}
