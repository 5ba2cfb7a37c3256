// What `lbm serve` does with the tokens of a model: calls of tools in text that comes in pieces,
// how likely tokens were, and answers nobody waits for any more.
#include <cmath>
#include <cstdlib>

#include "tests/hosted/refusal.h"
#include "tests/test.h"
#include "tools/model_reader.h"
#include "tools/serve_constraint.h"
#include "tools/serve_model.h"
#include "tools/serve_range.h"
#include "tools/serve_tools.h"

using namespace lbm;
using namespace lbm::cli;

namespace {

std::vector<Tool> two_tools() {
  const auto tool = [](const char* name) {
    return Tool{name, {{"type", "function"}, {"function", {{"name", name}}}}};
  };
  return {tool("f"), tool("g")};
}

struct Found {
  std::string text;
  std::vector<std::string> calls;
};

// The answer cut at two places.
Found find_calls(const std::string& answer, usize first, usize second) {
  const std::vector<Tool> tools = two_tools();
  ToolCallFinder finder(tools);
  Found out;
  const auto take = [&](const std::string& text) {
    out.text += text;
    for (const ToolCall& call : finder.take_calls())
      out.calls.push_back(call.name + call.arguments);
  };
  take(finder.add(answer.substr(0, first)));
  take(finder.add(answer.substr(first, second - first)));
  take(finder.add(answer.substr(second)));
  take(finder.finish());
  return out;
}

struct Case {
  std::string answer;
  std::string text;
  std::vector<std::string> calls;
};

std::string tiny_model() {
  const char* const given = std::getenv("LBM_FAMILIES");
  return std::string(given != nullptr ? given : "build/families") + "/llama-odd.gguf";
}

// Is gone from a certain question on.
class ImpatientClient final : public AnswerListener {
 public:
  explicit ImpatientClient(u32 patience) : patience_(patience) {}
  bool is_gone() override { return n_question_++ >= patience_; }
  void keep_alive() override {}
  void on_text(const std::string&, const std::vector<TokenChance>&) override {}
  void on_reasoning(const std::string&) override {}
  void on_progress(u32, u32, u32) override {}

 private:
  u32 patience_;
  u32 n_question_ = 0;
};

}  // namespace

TEST_CASE("calls of tools are found wherever the answer is cut", "[serve]") {
  const Case cases[] = {
      {"plain text", "plain text", {}},
      {"", "", {}},
      {"<tool_call>{\"name\": \"f\", \"arguments\": {\"a\": 1}}</tool_call>", "", {"f{\"a\":1}"}},
      {"I look. <tool_call>\n{\"name\": \"f\", \"arguments\": {}}\n</tool_call>",
       "I look. ",
       {"f{}"}},
      {"<tool_call>[{\"name\": \"f\"}, {\"name\": \"g\"}]</tool_call>", "", {"f{}", "g{}"}},
      {"<tool_call>{\"name\": \"f\"}</tool_call>\n<tool_call>{\"name\": \"g\"}</tool_call>",
       "",
       {"f{}", "g{}"}},
      {"<tool_call>{\"name\": \"f\"}", "", {"f{}"}},
      {"{\"name\": \"g\", \"parameters\": {\"b\": [2]}}", "", {"g{\"b\":[2]}"}},
      {" [{\"name\": \"g\", \"arguments\": {}}]", "", {"g{}"}},
      {"{\"name\": \"other\", \"arguments\": {}}", "{\"name\": \"other\", \"arguments\": {}}", {}},
      {"{\"name\": \"f\", \"arguments\": 1}", "{\"name\": \"f\", \"arguments\": 1}", {}},
      {"[1, 2]", "[1, 2]", {}},
      {"{ is a brace", "{ is a brace", {}},
      {"<tool_call>no</tool_call> <b>", "<tool_call>no</tool_call> <b>", {}},
      {"a < b <tool", "a < b <tool", {}},
      {"x <tool_call>{\"name\":", "x <tool_call>{\"name\":", {}},
  };
  for (const Case& one : cases) {
    const usize n = one.answer.size();
    for (usize first = 0; first <= n; ++first) {
      for (usize second = first; second <= n; ++second) {
        const Found found = find_calls(one.answer, first, second);
        if (found.text == one.text && found.calls == one.calls) continue;
        INFO(one.answer << " cut at " << first << " and " << second);
        CHECK(found.text == one.text);
        CHECK(found.calls == one.calls);
      }
    }
  }
}

TEST_CASE("what is too long or too deep for a call is text", "[serve]") {
  const std::vector<Tool> tools = two_tools();
  ToolCallFinder finder(tools);
  const std::string endless = "<tool_call>" + std::string(300 * 1024, 'x');
  CHECK(finder.add(endless) == endless);
  CHECK(finder.add(" and more") == " and more");
  CHECK(finder.finish().empty());

  const std::string brackets(100 * 1024, '[');
  const std::string deep = "{\"name\": \"f\", \"arguments\": {\"a\": " + brackets +
                           std::string(brackets.size(), ']') + "}}";
  const Found found = find_calls(deep, 10, 100);
  CHECK(found.calls.empty());
  CHECK(found.text == deep);
}

TEST_CASE("a constraint with a trigger begins there and ends with what it describes", "[serve]") {
  ModelReader reader(tiny_model());
  const Tokenizer& tokenizer = reader.tokenizer();
  Constraints constraints(tokenizer);
  ReservedMemory memory(64 * kMiB);
  Arena arena(memory.span());
  ConstraintRequest request;
  request.kind = ConstraintRequest::Kind::kGrammar;
  request.grammar = "root ::= \"ab\"";
  const std::unique_ptr<Constraint> made = constraints.make(request, "<tool_call>", arena);
  REQUIRE(made != nullptr);
  TokenFilter& filter = made->filter();
  const auto say = [&](const std::string& text) {
    for (const u32 id : encode_text(tokenizer, text, {})) REQUIRE(filter.accept(id).ok());
  };
  const u32 last = encode_text(tokenizer, "b", {}).back();
  filter.reset();
  for (int round = 0; round < 2; ++round) {
    say("words, <tool_ and more <tool_call");
    CHECK(filter.allows(last).value());
    CHECK(filter.can_end());
    say(">");
    CHECK(!filter.allows(last).value());
    CHECK(!filter.can_end());
    const u32 first = encode_text(tokenizer, "a", {}).back();
    REQUIRE(filter.allows(first).value());
    REQUIRE(filter.accept(first).ok());
    REQUIRE(filter.accept(last).ok());
    CHECK(filter.can_end());
    CHECK(!filter.must_end());
    CHECK(filter.allows(first).value());
  }
}

TEST_CASE("chances are a softmax of the logits, ties to the lower id", "[serve]") {
  const f32 logits[] = {1.0f, 3.0f, -2.0f, 3.0f};
  const f64 total = std::log(std::exp(1.0) + 2 * std::exp(3.0) + std::exp(-2.0));
  const TokenChance chance = token_chance(2, {logits, 4}, 3);
  CHECK(std::fabs(chance.logprob - (-2.0 - total)) < 1e-12);
  REQUIRE(chance.top.size() == 3);
  CHECK(chance.top[0].first == 1);
  CHECK(chance.top[1].first == 3);
  CHECK(chance.top[2].first == 0);
  CHECK(token_chance(0, {logits, 4}, 20).top.size() == 4);
  const f32 large[] = {1e4f, 1e4f - 1.0f};
  CHECK(std::fabs(token_chance(0, {large, 2}, 0).logprob + std::log1p(std::exp(-1.0))) < 1e-6);
}

TEST_CASE("ranges at both ends of a file", "[serve]") {
  const auto part = [](const char* range, u64 size) { return parse_range(range, "", size, "t"); };
  CHECK(part("bytes=0-", 0).kind == ByteRange::Kind::kNotThere);
  CHECK(part("bytes=-5", 0).kind == ByteRange::Kind::kNotThere);
  CHECK(part("bytes=9-9", 10).n == 1);
  CHECK(part("bytes=10-10", 10).kind == ByteRange::Kind::kNotThere);
  CHECK(part("bytes=999999999999999999-", ~u64{0} >> 1).n == (~u64{0} >> 1) - 999999999999999999u);
  CHECK(part("bytes=9999999999999999999-", 10).kind == ByteRange::Kind::kWhole);
  CHECK(parse_range("bytes=0-1", "t", 10, "t").kind == ByteRange::Kind::kPart);
  CHECK(parse_range("bytes=0-1", "u", 10, "t").kind == ByteRange::Kind::kWhole);
}

TEST_CASE("H4 a client that is gone costs no token more than it was asked about", "[serve]") {
  ModelFlags flags;
  flags.path = tiny_model();
  flags.n_thread = 1;
  flags.isa = "scalar";
  set_quiet(true);
  ServeModel model(flags, 2, 0);
  set_quiet(false);
  CompletionRequest request;
  for (u32 id = 0; id < model.config().n_vocab; ++id) {
    if (model.tokenizer().is_end_of_generation(id)) request.answer.bias.push_back({id, -100.0f});
  }
  const std::vector<u32> ids = {1, 2, 3};
  for (u32 patience = 0; patience < 12; ++patience) {
    ImpatientClient client(patience);
    const AnswerStats stats = model.complete(request, ids, 0, client);
    CHECK(stats.generate.stop == StopReason::kInterrupted);
    CHECK(stats.generate.n_output <= patience);
    CHECK(model.slots().n_busy() == 0);
  }
  CHECK(model.counts().n_cancelled == 12);
}
