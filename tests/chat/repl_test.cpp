// The REPL as a user and as a script meet it: typed lines in, text and markers out. The model is
// made here (tiny_model.h).
#include "core/chat/repl.h"

#include "core/chat/commands.h"
#include "tests/chat/repl_machine.h"

using namespace lbm;
using namespace lbm::test;

TEST_CASE("commands: a line is text, a command, or a text with a slash", "[chat]") {
  CHECK(parse_input("   ").kind == InputLine::Kind::kEmpty);
  CHECK(parse_input("hello").text == "hello");
  CHECK(parse_input("//etc is a folder").text == "/etc is a folder");
  CHECK(parse_input("//etc").kind == InputLine::Kind::kText);
  const InputLine set = parse_input(" /set  temp 0.5 ");
  CHECK(set.kind == InputLine::Kind::kCommand);
  CHECK(set.name == "set");
  CHECK(set.text == "temp 0.5");
  CHECK(parse_input("exit").kind == InputLine::Kind::kCommand);
  CHECK(parse_input("exit the room").kind == InputLine::Kind::kText);
}

TEST_CASE("commands: whole names only", "[chat]") {
  REQUIRE(find_command("models") != nullptr);
  CHECK(find_command("models")->id == Command::kModels);
  CHECK(find_command("Model-Info")->id == Command::kModelInfo);
  CHECK(find_command("clear")->id == Command::kReset);
  CHECK(find_command("?")->id == Command::kHelp);
  CHECK(find_command("mod") == nullptr);
  CHECK(find_command("modelss") == nullptr);
  CHECK(nearest_command("modles") == "models");
  CHECK(nearest_command("halp") == "help");
  CHECK(nearest_command("xyzzy").empty());
}

TEST_CASE("repl without a model: usable, says where it looked and what to do", "[chat]") {
  Machine m;
  m.console.type("hello\nmodels\n/help\n/shutdown\n");
  CHECK(m.run() == ReplExit::kShutdown);
  CHECK(m.console.has_line("OK: Version: 1.2.3 (test)\n"));
  CHECK(m.console.has_line("OK: REPL ready (no model). Type /help\n"));
  CHECK(m.console.has_line("Tip: in no-model REPL use /models and /model_info <path>\n"));
  CHECK(m.console.shows("/ and /models of every volume"));
  CHECK(m.console.has_line("llmk> hello\n"));
  CHECK(m.console.shows("No model is loaded, so nobody can answer"));
  CHECK(m.console.has_line("  summary: total=0 bin=0 gguf=0 bytes=0\n"));
  CHECK(m.console.shows("/model_info"));
}

TEST_CASE("repl: the ways out", "[chat]") {
  const struct {
    const char* typed;
    ReplExit exit;
  } ways[] = {{"/exit\n", ReplExit::kQuit},         {"/bye\n", ReplExit::kQuit},
              {"exit\n", ReplExit::kQuit},          {"/reboot\n", ReplExit::kReboot},
              {"/shutdown\n", ReplExit::kShutdown}, {"", ReplExit::kInputEnd}};
  for (const auto& way : ways) {
    Machine m;
    m.console.type(way.typed);
    CHECK(m.run() == way.exit);
  }
  Machine m;
  m.console.type("a text that is dropped");
  m.console.control('c');
  m.console.control('c');
  m.console.control('c');
  CHECK(m.run() == ReplExit::kQuit);
  CHECK(m.console.shows("(Ctrl-C again, or /exit, leaves)"));
}

TEST_CASE("repl: unknown commands are never sent to the model", "[chat]") {
  Machine m;
  m.add_model("a.gguf");
  m.console.type("/modles\n/xyzzy 1\n/exit\n");
  CHECK(m.run() == ReplExit::kQuit);
  CHECK(m.console.has_line("There is no command /modles. Did you mean /models?"));
  CHECK(m.console.has_line("There is no command /xyzzy; /help lists them."));
  CHECK(!m.console.shows("AI: "));
}

TEST_CASE("repl: config, overrides and the settings commands", "[chat]") {
  Machine m;
  m.host.set_config("temp=0.5\nbogus=1\ntop_q=3\n");
  const SettingOverride overrides[] = {{"max_tokens", "9"}};
  m.host.set_overrides(overrides);
  m.console.type(
      "/cfg\n/set temp 0.25\n/temp\n/seed 12\n/set tmep 1\n/set kv q8\n/set ctx 64\n/exit\n");
  m.run();
  CHECK(m.console.has_line("[cfg] repl.cfg loaded, bad lines were ignored\n"));
  CHECK(m.console.has_line("[cfg] repl.cfg:2: bogus: no such setting [not_found]; ignored\n"));
  CHECK(m.console.has_line(
      "[cfg] repl.cfg:3: top_q: no such setting [not_found]; ignored. Did you mean top_k?\n"));
  CHECK(m.console.has_line("  temp                       = 0.5 "));
  CHECK(m.console.has_line("  max_tokens                 = 9 "));
  CHECK(m.console.has_line("OK: temp = 0.25\n"));
  CHECK(m.console.has_line("temp = 0.25\n"));
  CHECK(m.console.has_line("OK: seed = 12\n"));
  CHECK(m.console.has_line("There is no setting tmep. Did you mean temp?\n"));
  CHECK(m.console.has_line("ERROR: kv: is not one of the choices [bad_value]\n"));
  CHECK(m.console.has_line("OK: ctx = 64, when a model is loaded\n"));
}

TEST_CASE("repl: the only model is loaded, and the start-up markers stand at column 0", "[chat]") {
  Machine m;
  m.add_model("models/tiny.gguf");
  m.console.type("/exit\n");
  m.run();
  CHECK(m.console.has_line("[obs][startup] model_select_ms="));
  CHECK(m.console.shows(" format=gguf\n"));
  CHECK(
      m.console.has_line("OK: Model loaded: models/tiny.gguf (dim=32, layers=1, heads=2, kv=2, "
                         "vocab=259, seq=256)\n"));
  CHECK(m.console.has_line("OK: Version: 1.2.3 (test)\n"));
  CHECK(m.console.has_line("OK: REPL ready (/help)\n"));
}

TEST_CASE("repl: a conversation, its statistics and its digest", "[chat]") {
  Machine m;
  m.add_model("tiny.gguf");
  m.host.set_config("temp=0\nmax_tokens=5\ndigest=1\n");
  m.console.type("hi\n/stats\n/reset\nhi\n/exit\n");
  m.run();
  CHECK(m.console.has_line("AI: "));
  CHECK(m.console.has_line("[stats] tokens="));
  CHECK(m.console.shows(" context="));
  CHECK(m.console.has_line("OK: the conversation is empty\n"));
  // The same question to the same model from the same start: the same digest.
  const Str output = m.console.output();
  const usize first = output.find("[digest] ");
  REQUIRE(first != Str::kNone);
  const usize second = output.find("[digest] ", first + 1);
  REQUIRE(second != Str::kNone);
  CHECK(output.slice(first, 9 + 64) == output.slice(second, 9 + 64));
}

// The text from the last `label` to the end of its line.
static Str last_line(const Machine& m, Str label) {
  const Str output = m.console.output();
  usize at = output.find(label);
  for (usize next = at; next != Str::kNone; next = output.find(label, next + 1)) at = next;
  if (at == Str::kNone) return {};
  return output.slice(at, output.find("\n", at) - at);
}

TEST_CASE("repl: /bench measures behind the conversation and leaves it as it was", "[chat]") {
  const char* const typed[] = {"hi\nand again\n/exit\n", "hi\n/bench\nand again\n/exit\n"};
  char records[2][2][160] = {};
  for (u32 i = 0; i < 2; ++i) {
    Machine m;
    m.add_model("tiny.gguf");
    m.host.set_config("temp=0\nmax_tokens=5\ndigest=1\n");
    m.console.type(typed[i]);
    m.run();
    CHECK(m.console.has_line("[bench] prefill=64 prefill_tok_s=") == (i == 1));
    const Str lines[] = {last_line(m, "[digest] "), last_line(m, " evaluated=")};
    for (u32 k = 0; k < 2; ++k) {
      // Times differ: of the statistics, only how many tokens had to be evaluated.
      const Str kept = k == 0 ? lines[k] : lines[k].first(lines[k].find(" prefill_tok_s="));
      REQUIRE(!kept.empty());
      REQUIRE(kept.size() < sizeof(records[i][k]));
      __builtin_memcpy(records[i][k], kept.data(), kept.size());
    }
    if (i == 0) continue;
    const Str bench = last_line(m, "[bench] ");
    CHECK(bench.contains(" decode=16 decode_tok_s="));
    CHECK(bench.contains(" gb_s="));
    CHECK(!bench.ends_with(" depth=0"));  // behind the conversation
    CHECK(m.console.shows("tokens/s"));
  }
  CHECK(Str(records[0][0]) == Str(records[1][0]));
  CHECK(Str(records[0][1]) == Str(records[1][1]));
}

TEST_CASE("repl: /bench without a model, stopped, and where little room is left", "[chat]") {
  {
    Machine m;
    m.console.type("/bench\n/exit\n");
    m.run();
    CHECK(m.console.has_line("No model is loaded.\n"));
  }
  {
    Machine m;
    m.add_model("tiny.gguf");
    m.console.interrupt_after(20);
    m.console.type("/bench\n/bench\n/stats\n/exit\n");
    m.run();
    CHECK(m.console.has_line("(stopped)\n"));
    CHECK(m.console.has_line("[bench] prefill=64 "));  // the other one
    CHECK(m.console.shows("  context   0 of 256 tokens"));
  }
  {
    Machine m;
    m.add_model("tiny.gguf");
    m.host.set_config("ctx=16\n");
    m.console.type("/bench\n/exit\n");
    m.run();
    CHECK(m.console.has_line("[bench] prefill=8 "));
    CHECK(m.console.shows(" decode=8 "));
  }
}

TEST_CASE("repl: a stopped answer keeps the session", "[chat]") {
  Machine m;
  m.add_model("tiny.gguf");
  m.host.set_config("temp=0\nmax_tokens=100\n");
  m.console.type("tell me everything\n/stats\nand again\n/exit\n");
  m.console.interrupt_after(30);
  m.run();
  CHECK(m.console.shows(" stop=interrupted"));
  CHECK(m.console.has_line("(stopped"));
  CHECK(m.console.shows("You: and again\nAI: "));
}

TEST_CASE("repl: a full context is named, and the question is taken back", "[chat]") {
  Machine m;
  m.add_model("tiny.gguf");
  m.host.set_config("temp=0\nmax_tokens=4\n");
  for (u32 i = 0; i < 50; ++i) m.console.type("a long question ");
  m.console.type("\nhi\n/exit\n");
  m.run();
  CHECK(m.console.has_line("ERROR: the prompt has more tokens than the context "));
  CHECK(m.console.shows("[context_full]"));
  CHECK(m.console.shows("/reset starts anew"));
  CHECK(m.console.shows("You: hi\nAI: "));
  CHECK(m.console.has_line("[stats] tokens="));
}

TEST_CASE("repl: an answer that fills the context says so", "[chat]") {
  Machine m;
  m.add_model("tiny.gguf");
  // Only the three control tokens end an answer, so a random model goes on until the context is
  // full.
  m.host.set_config("temp=1.5\ntop_k=0\ntop_p=1\nmin_p=0\nmax_tokens=0\nseed=3\nctx=128\n");
  m.console.type("hi\n/exit\n");
  m.run();
  CHECK(m.console.shows("seq=128)"));
  CHECK((m.console.shows("(stopped: the context of 128 tokens is full)") ||
         m.console.shows("stop=eog")));
}

TEST_CASE("repl: what the model writes can not command the terminal", "[chat]") {
  Machine m;
  m.add_model("tiny.gguf");
  m.host.set_config("temp=2\ntop_k=0\ntop_p=1\nmin_p=0\nmax_tokens=200\nseed=5\n");
  m.console.type("hi\n/exit\n");
  m.run();
  bool is_plain = true;
  for (const char c : m.console.output()) {
    const u8 byte = static_cast<u8>(c);
    if ((byte < 0x20 && c != '\n' && c != '\r' && c != '\t') || byte == 0x7F) is_plain = false;
  }
  CHECK(is_plain);
}

TEST_CASE("repl: switching models, and a bad one leaves the good one usable", "[chat]") {
  Machine m;
  m.add_model("good.gguf", "llama", 0);
  m.add_model("strange.gguf", "martian", 1);
  m.add_model("other.gguf", "llama", 2);
  static const u8 kGarbage[] = {'n', 'o', 't', ' ', 'a', ' ', 'm', 'o', 'd', 'e', 'l'};
  m.host.volume().add("broken.gguf", kGarbage);
  m.host.set_config("model=good\ntemp=0\nmax_tokens=3\n");
  m.console.type(
      "/model strange\nhi\n/model broken\n/model nothing\n/model oth\n/model_info "
      "strange\n/model_info\n/exit\n");
  m.run();
  CHECK(m.console.has_line("OK: Model loaded: good.gguf "));
  CHECK(m.console.has_line("ERROR: cannot load strange.gguf\n"));
  CHECK(m.console.shows("arch martian"));
  CHECK(m.console.has_line("The model that was loaded stays: good.gguf\n"));
  CHECK(m.console.shows("You: hi\nAI: "));
  CHECK(m.console.has_line("ERROR: cannot load broken.gguf\n"));
  CHECK(m.console.shows("[bad_magic]"));
  CHECK(m.console.has_line("ERROR: nothing: no model of this name; /models lists them"));
  CHECK(m.console.has_line("OK: Model loaded: other.gguf "));
  CHECK(m.console.shows("The conversation goes on (2 messages)"));
  CHECK(m.console.shows("runs here   no: "));
  CHECK(m.console.shows("runs here   yes"));
}

TEST_CASE("repl: the menu when several models are there", "[chat]") {
  {
    Machine m;
    m.add_model("a.gguf", "llama", 0);
    m.add_model("b.gguf", "llama", 1);
    m.console.type("2\n/exit\n");
    m.run();
    CHECK(m.console.has_line("OK: Model loaded: b.gguf "));
  }
  {
    Machine m;
    m.add_model("a.gguf", "llama", 0);
    m.add_model("b.gguf", "llama", 1);
    m.console.press(Key::kEscape);
    m.console.type("/model 1\n/exit\n");
    m.run();
    CHECK(m.console.has_line("OK: REPL ready (no model)"));
    CHECK(m.console.has_line("OK: Model loaded: a.gguf "));
  }
  {
    // Nobody is there: the first is taken when the time is up, and the session goes on.
    Machine m;
    m.add_model("a.gguf", "llama", 0);
    m.add_model("b.gguf", "llama", 1);
    m.run();
    CHECK(m.console.has_line("OK: Model loaded: a.gguf "));
  }
}

TEST_CASE("repl: model= that is not there is named, and another is taken", "[chat]") {
  Machine m;
  m.add_model("a.gguf");
  m.host.set_config("model=stories110M.bin\n");
  m.console.type("/exit\n");
  m.run();
  CHECK(m.console.has_line(
      "[cfg] WARNING: model override open failed: stories110M.bin (not_found)\n"));
  CHECK(m.console.has_line("[cfg] fallback: continuing with auto-detect candidates\n"));
  CHECK(m.console.has_line("OK: Model loaded: a.gguf "));
}

TEST_CASE("repl: Esc cancels a load", "[chat]") {
  Machine m;
  m.add_model("a.gguf");
  m.console.interrupt_after(1);  // 0 is the question that drops old keys
  m.console.type("/exit\n");
  m.run();
  CHECK(m.console.shows("[cancelled]"));
  CHECK(m.console.has_line("OK: REPL ready (no model)"));
}

TEST_CASE("repl: autorun scripts", "[chat]") {
  {
    Machine m;
    m.add_model("a.gguf");
    m.host.set_config("temp=0\nmax_tokens=2\nautorun_shutdown_when_done=1\n");
    m.host.set_script("/models\r\n\r\nhello \\\nthere\n/version\n");
    CHECK(m.run() == ReplExit::kShutdown);
    CHECK(m.console.has_line("You (autorun): /models\n"));
    CHECK(m.console.has_line("  summary: total=1 bin=0 gguf=1 bytes="));
    CHECK(m.console.has_line("You (autorun): hello \nthere\nAI: "));
    CHECK(m.console.has_line("[autorun] done\n"));
    CHECK(m.console.has_line("[autorun] shutting down\n"));
  }
  {
    // From a file of the volume, as repl.cfg asks; `exit` ends it.
    Machine m;
    static const u8 kScript[] = {'/', 'c',  'f', 'g', '\n', 'e', 'x', 'i',
                                 't', '\n', '/', 'h', 'e',  'l', 'p'};
    m.host.volume().add("llmk-autorun.txt", kScript);
    m.host.set_config("autorun=1\n");
    CHECK(m.run() == ReplExit::kQuit);
    CHECK(m.console.has_line("You (autorun): exit\n"));
    CHECK(!m.console.shows("You (autorun): /help"));
  }
}

TEST_CASE("repl: Tab completes commands, settings and models", "[chat]") {
  Machine m;
  m.add_model("models/tiny.gguf");
  m.console.type("/ver");
  m.console.press(Key::kTab);
  m.console.type("\n/set max");
  m.console.press(Key::kTab);
  m.console.type("7\n/model_info mo");
  m.console.press(Key::kTab);
  m.console.type("\n/mo");
  m.console.press(Key::kTab);  // "/model"
  m.console.press(Key::kTab);  // lists model, models and model_info
  m.console.type("\n/exit\n");
  m.run();
  CHECK(m.console.has_line("OK: max_tokens = 7\n"));
  CHECK(m.console.shows("models/tiny.gguf\n  format"));
  CHECK(m.console.shows("models  model  model_info  "));
}

TEST_CASE("repl: kernels that are not there are named, and others are taken", "[chat]") {
  Machine m;
  m.host.set_config("isa=avx9\n");
  m.console.type("/exit\n");
  m.run();
  CHECK(m.console.has_line("ERROR: avx9: "));
  CHECK(m.console.shows("isa=avx9 is not usable here"));
}

TEST_CASE("repl: too little memory for itself is an error, not a crash", "[chat]") {
  ScriptedHost host(new_console(), test_memory().first(64 * 1024));
  const Result<ReplExit> exit = run_repl(host);
  REQUIRE(!exit.ok());
  CHECK(exit.error().code == ErrorCode::kOutOfMemory);
}
