#include "core/chat/chat_message.h"

namespace lbm {
namespace {

// Every variable a template may ask for.
Status set_globals(Span<const ChatMessage> messages, const RenderChatOptions& options, Arena& arena,
                   TemplateMap& globals) {
  Result<TemplateList*> list = arena.make<TemplateList>("chat messages");
  if (!list.ok()) return list.error();
  for (const ChatMessage& message : messages) {
    Result<TemplateMap*> map = arena.make<TemplateMap>("chat message");
    if (!map.ok()) return map.error();
    Status ok = map.value()->set(arena, "role", TemplateValue::text(message.role));
    if (ok.ok()) ok = map.value()->set(arena, "content", TemplateValue::text(message.content));
    if (ok.ok()) ok = list.value()->append(arena, TemplateValue::map(*map.value()));
    if (!ok.ok()) return ok;
  }
  struct Variable {
    const char* name;
    TemplateValue value;
    bool defined;
  };
  const Variable variables[] = {
      {"messages", TemplateValue::list(*list.value()), true},
      {"add_generation_prompt", TemplateValue::boolean(options.add_generation_prompt), true},
      {"tools", TemplateValue::none(), true},
      {"documents", TemplateValue::none(), true},
      {"bos_token", TemplateValue::markup(options.bos_token), !options.bos_token.empty()},
      {"eos_token", TemplateValue::markup(options.eos_token), !options.eos_token.empty()},
      {"strftime_now", TemplateValue::clock(options.now), !options.now.empty()},
  };
  for (const Variable& variable : variables) {
    if (!variable.defined) continue;
    const Status set = globals.set(arena, variable.name, variable.value);
    if (!set.ok()) return set;
  }
  return {};
}

}  // namespace

const char kChatMlTemplate[] =
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

Result<Span<const TextSegment>> render_chat(const ChatTemplate& chat_template,
                                            Span<const ChatMessage> messages,
                                            const RenderChatOptions& options, Arena& scratch,
                                            Str* exception) {
  TemplateMap globals;
  const Status set = set_globals(messages, options, scratch, globals);
  if (!set.ok()) return set.error();
  return chat_template.render(globals, options.limits, scratch, exception);
}

}  // namespace lbm
