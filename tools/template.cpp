// lbm template: conversations as JSON in, the text that a chat template makes of them out. What the
// model would be given, for tests and for people who wonder.
#include "core/chat/template.h"
#include "tools/command.h"
#include "tools/input.h"
#include "tools/model_reader.h"
#include "tools/template_json.h"

namespace lbm::cli {
namespace {

constexpr u64 kTemplateMemory = 2 * kGiB;  // address space; a limit, not a cost

struct TemplateFlags {
  std::string model;
  std::string template_path;
  bool jsonl = false;
};

// What a line leaves open: the model's own tokens and the time.
struct Defaults {
  std::string bos_token;  // empty: not defined
  std::string eos_token;
  std::string now;
};

std::string token_text(const Tokenizer& tokenizer, u32 id) {
  return id == Tokenizer::kNoToken ? std::string() : decode_ids(tokenizer, {id});
}

// The variables of Hugging Face's apply_chat_template. The texts they view are in `request` and
// `defaults`.
void build_globals(const Json& request, const Defaults& defaults, ValueBuilder& builder,
                   TemplateMap& globals) {
  builder.set(globals, "messages", builder.build(request.at("messages")));
  builder.set(globals, "tools", TemplateValue::none());
  builder.set(globals, "documents", TemplateValue::none());
  builder.set(globals, "add_generation_prompt",
              TemplateValue::boolean(request.value("add_generation_prompt", false)));
  const auto token = [&](const char* name, const std::string& standard) {
    const auto given = request.find(name);
    if (given == request.end()) {
      if (!standard.empty()) builder.set(globals, name, TemplateValue::markup(to_str(standard)));
    } else if (!given->is_null()) {
      builder.set(globals, name,
                  TemplateValue::markup(to_str(given->get_ref<const std::string&>())));
    }
  };
  token("bos_token", defaults.bos_token);
  token("eos_token", defaults.eos_token);
  const auto now = request.find("now");
  const std::string& time =
      now == request.end() || now->is_null() ? defaults.now : now->get_ref<const std::string&>();
  builder.set(globals, "strftime_now", TemplateValue::clock(to_str(time)));
  const auto extra = request.find("extra_context");
  if (extra == request.end()) return;
  for (const auto& [key, value] : extra->items())
    builder.set(globals, to_str(key), builder.build(value));
}

Json render_line(const ChatTemplate& chat_template, const Json& request, const Defaults& defaults,
                 Arena& arena) {
  ValueBuilder builder(arena);
  TemplateMap globals;
  build_globals(request, defaults, builder, globals);
  Str exception;
  Result<Span<const TextSegment>> rendered = chat_template.render(globals, {}, arena, &exception);
  if (!rendered.ok()) {
    const bool raised = rendered.error().code == ErrorCode::kTemplate;
    return Json{{"error", raised ? to_string(exception) : describe(rendered.error(), "")}};
  }
  std::string text;
  for (const TextSegment& segment : rendered.value()) text += to_string(segment.text);
  return Json(text);
}

ExitCode run(const TemplateFlags& flags) {
  std::unique_ptr<ModelReader> reader;
  std::string source;
  Defaults defaults;
  defaults.now = local_time_text();
  if (!flags.model.empty()) {
    reader = std::make_unique<ModelReader>(flags.model);
    source = to_string(
        expect(reader->file().get_text("tokenizer.chat_template"), flags.model, Stage::kModel));
    defaults.bos_token = token_text(reader->tokenizer(), reader->tokenizer().bos());
    defaults.eos_token = token_text(reader->tokenizer(), reader->tokenizer().eos());
  } else {
    source = read_file(flags.template_path);
  }
  const std::string& name = flags.model.empty() ? flags.template_path : flags.model;
  ReservedMemory memory(kTemplateMemory);
  Arena arena(memory.span());
  const ChatTemplate& chat_template =
      *expect(ChatTemplate::parse(arena, to_str(source)), name, Stage::kModel);
  std::string line;
  u64 number = 0;
  while (next_line(line, number)) {
    const Arena::Mark mark = arena.mark();
    Json answer;
    try {
      const Json request = Json::parse(line);
      answer = render_line(chat_template, request, defaults, arena);
    } catch (const std::exception& error) {
      // A line that is no request gets its answer like any other, so that answers stay beside their
      // lines.
      answer = Json{{"error", error.what()}};
    }
    print_json(answer);
    arena.rewind(mark);
  }
  return ExitCode::kOk;
}

Action declare(CLI::App& app) {
  auto flags = std::make_shared<TemplateFlags>();
  CLI::Option* model = app.add_option("-m,--model", flags->model, "take the template of this model")
                           ->type_name("FILE");
  app.add_option("--template", flags->template_path, "take the template in this file")
      ->excludes(model)
      ->type_name("FILE");
  app.add_flag("--jsonl", flags->jsonl, "one JSON object a line on stdin (the only form there is)");
  return [flags] {
    if (flags->model.empty() && flags->template_path.empty()) {
      throw CommandError(ExitCode::kUsage, "one of -m and --template is needed");
    }
    return run(*flags);
  };
}

}  // namespace

const Command kTemplateCommand = {
    "template", "conversations as JSON on stdin to the text of a chat template",
    "  echo "
    "'{\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}],\"add_generation_prompt\":true}' |\n"
    "      lbm template -m model.gguf --jsonl\n"
    "  lbm template --template chatml.jinja --jsonl < conversations.jsonl\n\n"
    "A line has: messages, add_generation_prompt, bos_token, eos_token (null: not defined), "
    "extra_context\n"
    "(more variables), now (\"2025-06-15T12:34:56\"). An answer is a JSON string or {\"error\": "
    "\"...\"}.",
    declare};

}  // namespace lbm::cli
