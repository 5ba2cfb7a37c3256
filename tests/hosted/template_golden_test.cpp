// Real chat templates against Python's Jinja2 (../shared/golden/templates): every case gives the
// exact text, or the exception with the exact message. In every output, what the messages say
// stands in content only.
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "core/chat/template.h"
#include "tests/hosted/golden.h"
#include "tests/test.h"

using namespace lbm;
using Json = nlohmann::ordered_json;

namespace {

Str view(const std::string& text) { return {text.data(), text.size()}; }

std::string copy(Str text) { return {text.data(), text.size()}; }

TemplateValue value_of(Arena& arena, const Json& json) {
  switch (json.type()) {
    case Json::value_t::boolean: return TemplateValue::boolean(json.get<bool>());
    case Json::value_t::number_integer:
    case Json::value_t::number_unsigned: return TemplateValue::integer(json.get<i64>());
    case Json::value_t::number_float: return TemplateValue::number(json.get<f64>());
    case Json::value_t::string:
      return TemplateValue::text(view(json.get_ref<const std::string&>()));
    case Json::value_t::array: {
      TemplateList* list = arena.make<TemplateList>("list").value();
      for (const Json& item : json) REQUIRE(list->append(arena, value_of(arena, item)).ok());
      return TemplateValue::list(*list);
    }
    case Json::value_t::object: {
      TemplateMap* map = arena.make<TemplateMap>("map").value();
      for (auto it = json.begin(); it != json.end(); ++it) {
        REQUIRE(map->set(arena, view(it.key()), value_of(arena, it.value())).ok());
      }
      return TemplateValue::map(*map);
    }
    default: return TemplateValue::none();
  }
}

void set(Arena& arena, TemplateMap& globals, Str name, TemplateValue value) {
  REQUIRE(globals.set(arena, name, value).ok());
}

// The variables of a case, as apply_chat_template defines them.
TemplateMap globals_of(Arena& arena, const Json& test) {
  TemplateMap globals;
  set(arena, globals, "messages", value_of(arena, test["messages"]));
  set(arena, globals, "add_generation_prompt", value_of(arena, test["add_generation_prompt"]));
  set(arena, globals, "tools", TemplateValue::none());
  set(arena, globals, "documents", TemplateValue::none());
  set(arena, globals, "strftime_now", TemplateValue::clock("2025-06-15T12:34:56"));
  for (const char* name : {"bos_token", "eos_token"}) {
    if (test[name].is_null()) continue;
    set(arena, globals, name,
        TemplateValue::markup(view(test[name].get_ref<const std::string&>())));
  }
  for (auto it = test["extra_context"].begin(); it != test["extra_context"].end(); ++it) {
    set(arena, globals, view(it.key()), value_of(arena, it.value()));
  }
  return globals;
}

struct Outcome {
  std::string text;
  std::string markup;  // the markup alone
  std::string exception;
  bool ok = false;
};

Outcome render(const std::string& source, const Json& test) {
  static std::vector<u8> memory(4 << 20);
  Arena arena(Span<u8>(memory.data(), memory.size()));
  Outcome out;
  Result<ChatTemplate*> parsed = ChatTemplate::parse(arena, view(source));
  REQUIRE(parsed.ok());
  Str exception;
  const Result<Span<const TextSegment>> segments =
      parsed.value()->render(globals_of(arena, test), TemplateLimits(), arena, &exception);
  out.ok = segments.ok();
  out.exception = copy(exception);
  if (!segments.ok()) return out;
  for (const TextSegment& segment : segments.value()) {
    out.text += copy(segment.text);
    if (segment.markup) out.markup += copy(segment.text);
  }
  return out;
}

std::string read_text(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

std::vector<Json> read_cases() {
  std::vector<Json> cases;
  const std::string path = golden_path("templates/cases.jsonl");
  std::ifstream in(path);
  std::string line;
  while (!path.empty() && std::getline(in, line)) cases.push_back(Json::parse(line));
  return cases;
}

}  // namespace

TEST_CASE("real templates render as the reference does", "[golden][chat]") {
  const std::vector<Json> cases = read_cases();
  if (cases.empty()) {
    WARN("skipped: no golden templates");
    return;
  }
  for (const Json& test : cases) {
    const std::string file = test["template_file"];
    INFO(file << " " << test["conversation"]);
    const Outcome outcome = render(read_text(golden_path("templates/" + file)), test);
    if (test["expected"].is_null()) {
      CHECK(!outcome.ok);
      CHECK(outcome.exception == test["expected_error"].get<std::string>());
    } else {
      CHECK(outcome.ok);
      CHECK(outcome.text == test["expected"].get<std::string>());
    }
  }
}

TEST_CASE("real templates never turn a message into markup", "[golden][chat]") {
  // A byte that no template contains stands in every content; it must not come out as markup.
  for (Json test : read_cases()) {
    const std::string file = test["template_file"];
    INFO(file << " " << test["conversation"]);
    for (Json& message : test["messages"]) {
      if (!message["content"].is_string()) continue;
      message["content"] =
          "\x01<|im_end|>\x01 " + message["content"].get<std::string>() + "\n\x01</think>\x01 ";
    }
    const Outcome outcome = render(read_text(golden_path("templates/" + file)), test);
    CHECK(outcome.markup.find('\x01') == std::string::npos);
    CHECK((!outcome.ok || test["messages"].empty() ||
           outcome.text.find('\x01') != std::string::npos));
  }
}
