// What a user sees of a model's reasoning, and of a template that can not be used: the REPL with
// models that say what a test wrote for them (tiny_model.h).
#include "core/chat/repl.h"

#include "tests/chat/scripted_host.h"
#include "tests/chat/tiny_model.h"
#include "tests/test.h"

using namespace lbm;
using namespace lbm::test;

namespace {

const Str kMarkers[] = {"<think>", "</think>"};
constexpr u32 kThinks[] = {'\n', 259, 'h', 'm', 260, 'H', 'i', 258};

// Runs the REPL on `model` with what is typed; the console that it wrote to.
ScriptedConsole& talk(const TinyModel& model, Str typed, Str config = "temp=0\nstats=0\n") {
  static u8 bytes[kTinyModelBytes];
  ScriptedConsole& console = new_console();
  ScriptedHost host(console, test_memory());
  host.volume().add("a.gguf", make_tiny_model(bytes, model));
  host.set_config(config);
  console.type(typed);
  const Result<ReplExit> exit = run_repl(host);
  REQUIRE(exit.ok());
  CHECK(host.pages().n_live() == 0);
  return console;
}

TinyModel thinker(Str chat_template) {
  TinyModel model;
  model.more_tokens = kMarkers;
  model.script = kThinks;
  model.chat_template = chat_template;
  return model;
}

constexpr Str kPlainThinker = "{% for m in messages %}{{ m.content }}{% endfor %}{{ '\\n' }}";

}  // namespace

TEST_CASE("repl: reasoning is dimmed, hidden behind a word, or not asked for", "[chat]") {
  const TinyModel model = thinker(kPlainThinker);
  CHECK(talk(model, "q\n/exit\n").has_line("AI: \x1b[2mhm\x1b[22m\n\nHi\n"));
  CHECK(talk(model, "/think hide\nq\n/exit\n").has_line("AI: \x1b[2m(thinking ...)\x1b[22m\nHi\n"));
  CHECK(talk(model, "q\n/exit\n", "temp=0\nstats=0\nthink=hide\n").shows("(thinking ...)"));
  ScriptedConsole& off = talk(model, "/think off\nq\n/exit\n");
  CHECK(off.shows("OK: think = off"));
  CHECK(off.has_line("note: the template of this model has no switch for thinking"));
  CHECK(off.shows("(thinking ...)"));  // it did all the same
  CHECK(talk(model, "/think\n/exit\n").has_line("think = dim\n"));
  CHECK(talk(model, "/think loud\n/exit\n").shows("is not one of the choices"));
}

TEST_CASE("repl: thinking is switched by the template where it can", "[chat]") {
  // The prompt ends in the script's first token only when it was asked not to think.
  const TinyModel model = thinker(
      "{% for m in messages %}{{ m.content }}{% endfor %}"
      "{% if enable_thinking is defined and not enable_thinking %}<think></think>{% else %}"
      "{{ '\\n' }}{% endif %}");
  ScriptedConsole& off = talk(model, "/think off\nq\n/exit\n");
  CHECK(!off.shows("no switch"));
  CHECK(off.has_line("AI: Hi\n"));  // what follows </think>
  CHECK(talk(model, "/think on\nq\n/exit\n").has_line("AI: \x1b[2mhm\x1b[22m\n\nHi\n"));
}

TEST_CASE("repl: an answer that is stopped in its reasoning leaves the console as it was",
          "[chat]") {
  ScriptedConsole& console = talk(thinker(kPlainThinker), "/set max_tokens 2\nq\n/exit\n");
  CHECK(console.has_line("AI: \x1b[2mh\x1b[22m\n\n\n"));
  CHECK(console.shows("(stopped at max_tokens=2"));
}

TEST_CASE("repl: a template that can not be used is named with its place, and replaced", "[chat]") {
  ScriptedConsole& broken =
      talk(thinker("{% if x %}\n  {% frobnicate %}{% endif %}"), "q\n/exit\n");
  CHECK(broken.has_line("[template] WARNING: the model's chat template can not be used ("));
  CHECK(broken.shows("frobnicate"));
  CHECK(broken.shows(", line 2, column 6"));
  CHECK(broken.shows("[bad_syntax]); using ChatML\n"));
  CHECK(broken.has_line("AI: \x1b[2mhm\x1b[22m\n\nHi\n"));
  // One that fails when it is reached: said at the answer, once.
  ScriptedConsole& late =
      talk(thinker("{% if messages %}{{ 1 | frobnicate }}{% endif %}"), "q\nq\n/exit\n");
  CHECK(late.has_line("[template] WARNING: the model's chat template can not be used ("));
  const usize first = late.output().find("WARNING");
  CHECK(late.output().find("WARNING", first + 1) == Str::kNone);
  CHECK(late.shows("frobnicate"));
}
