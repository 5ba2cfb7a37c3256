#include "core/chat/chat_message.h"

#include "core/chat/settings_table.h"

namespace lbm {
namespace {

// Role, content and reasoning of each message.
Status list_messages(Span<const ChatMessage> messages, Arena& arena, TemplateList& list) {
  // Two names for one thing: the second is that of templates with channels.
  const Str kReasoningKeys[] = {"reasoning_content", "thinking"};
  for (const ChatMessage& message : messages) {
    Result<TemplateMap*> map = arena.make<TemplateMap>("chat message");
    if (!map.ok()) return map.error();
    Status ok = map.value()->set(arena, "role", TemplateValue::text(message.role));
    if (ok.ok()) ok = map.value()->set(arena, "content", TemplateValue::text(message.content));
    for (const Str key : kReasoningKeys) {
      if (ok.ok() && !message.reasoning.empty())
        ok = map.value()->set(arena, key, TemplateValue::text(message.reasoning));
    }
    if (ok.ok()) ok = list.append(arena, TemplateValue::map(*map.value()));
    if (!ok.ok()) return ok;
  }
  return {};
}

// Every variable a template may ask for.
Status set_globals(const TemplateList& messages, const RenderChatOptions& options, Arena& arena,
                   TemplateMap& globals) {
  const bool asks = options.think == ThinkRequest::kAsk;
  const bool avoids = options.think == ThinkRequest::kAvoid;
  const bool is_request = asks || avoids;
  struct Variable {
    const char* name;
    TemplateValue value;
    bool defined;
  };
  const Variable variables[] = {
      {"messages", TemplateValue::list(messages), true},
      {"add_generation_prompt", TemplateValue::boolean(options.add_generation_prompt), true},
      {"tools", options.tools, true},
      {"documents", TemplateValue::none(), true},
      {"bos_token", TemplateValue::markup(options.bos_token), !options.bos_token.empty()},
      {"eos_token", TemplateValue::markup(options.eos_token), !options.eos_token.empty()},
      {"strftime_now", TemplateValue::clock(options.now), !options.now.empty()},
      {"enable_thinking", TemplateValue::boolean(asks), is_request},
      {"thinking", TemplateValue::boolean(asks), is_request},
      {"reasoning", TemplateValue::boolean(asks), is_request},
      {"thinking_mode", TemplateValue::text(asks ? "enabled" : "disabled"), is_request},
      {"thinking_budget", TemplateValue::integer(0), avoids},
      {"reasoning_effort", TemplateValue::text("low"), avoids},  // the least that all of them know
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
    "{{ bos_token }}{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

const char kPlainTemplate[] =
    "{{ bos_token }}{% for message in messages %}"
    "{% if message['role'] == 'system' %}{{ message['content'] + '\\n\\n' }}"
    "{% elif message['role'] == 'user' %}{{ 'User: ' + message['content'] + '\\n' }}"
    "{% else %}{{ 'Assistant: ' + message['content'] | trim + '\\n' }}{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}Assistant:{% endif %}";

namespace {

constexpr char kYouAiTemplate[] =
    "{{ bos_token }}{% for message in messages %}"
    "{% if message['role'] == 'system' %}{{ message['content'] + '\\n\\n' }}"
    "{% elif message['role'] == 'user' %}{{ 'You: ' + message['content'] + '\\n' }}"
    "{% else %}{{ 'AI: ' + message['content'] | trim + '\\n' }}{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}AI:{% endif %}";

constexpr char kAlpacaTemplate[] =
    "{{ bos_token }}{% for message in messages %}"
    "{% if message['role'] == 'system' %}{{ message['content'] + '\\n\\n' }}"
    "{% elif message['role'] == 'user' %}"
    "{{ '### Instruction:\\n' + message['content'] + '\\n\\n' }}"
    "{% else %}{{ '### Response:\\n' + message['content'] | trim + '\\n\\n' }}{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '### Response:\\n' }}{% endif %}";

constexpr char kLlama2Template[] =
    "{% set ns = namespace(system='') %}{% for message in messages %}"
    "{% if message['role'] == 'system' %}"
    "{% set ns.system = '<<SYS>>\\n' + message['content'] + '\\n<</SYS>>\\n\\n' %}"
    "{% elif message['role'] == 'user' %}"
    "{{ bos_token + '[INST] ' + ns.system + message['content'] + ' [/INST]' }}"
    "{% set ns.system = '' %}"
    "{% else %}{{ ' ' + message['content'] | trim + ' ' + eos_token }}{% endif %}"
    "{% endfor %}";

constexpr char kRawTemplate[] =
    "{{ bos_token }}{% for message in messages %}{{ message['content'] }}{% endfor %}";

// What is known of a built-in template. Where no token ends an answer, the beginning of the next
// question does.
struct BuiltIn {
  const char* source;
  const char* name;
  const char* formats;
  const char* stop;
};
constexpr BuiltIn kBuiltIn[] = {
    {kChatMlTemplate, "ChatML", "chatml qwen qwen2", ""},
    {kPlainTemplate, "plain text", "", "\nUser:"},
    {kYouAiTemplate, "you_ai", "you_ai", "\nYou:"},
    {kAlpacaTemplate, "Alpaca", "alpaca", "\n### Instruction:"},
    {kLlama2Template, "Llama 2", "llama2", ""},
    {kRawTemplate, "raw text", "raw", ""},
};

const BuiltIn* find_built_in(Str source) {
  for (const BuiltIn& built_in : kBuiltIn) {
    if (source == built_in.source) return &built_in;
  }
  return nullptr;
}

}  // namespace

const char* built_in_template(const Tokenizer& tokenizer) {
  const bool has_chatml = tokenizer.find("<|im_start|>") != Tokenizer::kNoToken &&
                          tokenizer.find("<|im_end|>") != Tokenizer::kNoToken;
  return has_chatml ? kChatMlTemplate : kPlainTemplate;
}

const char* template_of_format(Str format) {
  for (const BuiltIn& built_in : kBuiltIn) {
    if (choice_index(built_in.formats, format) >= 0) return built_in.source;
  }
  return nullptr;
}

Str built_in_template_name(Str source) {
  const BuiltIn* built_in = find_built_in(source);
  return built_in != nullptr ? Str(built_in->name) : Str();
}

void write_template_warning(TextWriter& out, const Error& reason, Str source, Str built_in) {
  out.append("the model's chat template can not be used (");
  write_template_error(out, reason, source);
  out.print("); using {}", built_in_template_name(built_in));
}

Str stop_text(Str template_source) {
  const BuiltIn* built_in = find_built_in(template_source);
  return built_in != nullptr ? Str(built_in->stop) : Str();
}

Result<Span<const TextSegment>> render_chat(const ChatTemplate& chat_template,
                                            Span<const ChatMessage> messages,
                                            const RenderChatOptions& options, Arena& scratch,
                                            Str* exception) {
  Result<TemplateList*> list = scratch.make<TemplateList>("chat messages");
  if (!list.ok()) return list.error();
  const Status listed = list_messages(messages, scratch, *list.value());
  if (!listed.ok()) return listed.error();
  return render_chat(chat_template, *list.value(), options, scratch, exception);
}

Result<Span<const TextSegment>> render_chat(const ChatTemplate& chat_template,
                                            const TemplateList& messages,
                                            const RenderChatOptions& options, Arena& scratch,
                                            Str* exception) {
  TemplateMap globals;
  const Status set = set_globals(messages, options, scratch, globals);
  if (!set.ok()) return set.error();
  return chat_template.render(globals, options.limits, scratch, exception);
}

}  // namespace lbm
