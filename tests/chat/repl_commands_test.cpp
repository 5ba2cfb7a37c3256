// Every command by its transcript: what is typed, and what must stand on the screen. The model is
// made here (tiny_model.h).
#include "core/chat/commands.h"
#include "tests/chat/repl_machine.h"

using namespace lbm;
using namespace lbm::test;

namespace {

constexpr char kQuick[] = "temp=0\nmax_tokens=4\nstats=0\n";

Span<const u8> bytes_of(Str text) {
  return {reinterpret_cast<const u8*>(text.data()), text.size()};
}

// A machine with one model, that answers in four tokens.
struct QuickMachine : Machine {
  explicit QuickMachine(Str config = kQuick) {
    add_model("tiny.gguf");
    host.set_config(config);
  }
};

}  // namespace

TEST_CASE("commands: at most 35, each with a help of its own", "[chat]") {
  CHECK(kCommandCount <= 35);
  for (u32 i = 0; i < kCommandCount; ++i) {
    Machine m;
    TextBuffer<64> typed;
    typed.print("/help {}\n/exit\n", command_info(i).name);
    m.console.type(typed.text());
    m.run();
    TextBuffer<64> head;
    CHECK(m.console.has_line(head.print("/{} ", command_info(i).name).text()));
    CHECK(m.console.shows(command_info(i).summary));
  }
}

TEST_CASE("commands: none crashes without a model, and none is not built", "[chat]") {
  Machine m;
  for (u32 i = 0; i < kCommandCount; ++i) {
    const CommandInfo& info = command_info(i);
    if (info.id == Command::kExit || info.id == Command::kReboot || info.id == Command::kShutdown)
      continue;
    TextBuffer<64> typed;
    typed.print("/{}\n/{} strange words\n", info.name, info.name);
    m.console.type(typed.text());
  }
  m.console.type("/exit\n");
  CHECK(m.run() == ReplExit::kQuit);
  CHECK(!m.console.shows("AI: "));
}

TEST_CASE("repl: /undo takes back turns", "[chat]") {
  QuickMachine m;
  m.console.type("/undo\none\ntwo\nthree\n/undo\n/undo 2\n/undo x\n/undo\n/show messages\n/exit\n");
  m.run();
  CHECK(m.console.has_line("There is nothing to take back.\n"));
  CHECK(m.console.has_line("OK: took back 1 question with its answer; 2 left\n"));
  CHECK(m.console.has_line("OK: took back 2 questions with their answers; 0 left\n"));
  CHECK(m.console.has_line("/undo takes a number of turns"));
  CHECK(m.console.has_line("The conversation is empty.\n"));
}

TEST_CASE("repl: /regen answers again with another seed, /edit brings the question back",
          "[chat]") {
  QuickMachine m("temp=1.5\ntop_k=0\nseed=5\nmax_tokens=6\nstats=0\n");
  m.console.type("/regen\n/edit\n//etc is what\n/regen\n/regen 12\n/regen soon\n/show messages\n");
  m.console.type("/edit\n");
  m.console.type(" now\n/show messages\n/exit\n");
  m.run();
  CHECK(m.console.has_line("Nothing was asked yet.\n"));
  CHECK(m.console.has_line("OK: seed 6\nAI: "));
  CHECK(m.console.has_line("OK: seed 12\nAI: "));
  CHECK(m.console.has_line("/regen takes a seed"));
  CHECK(m.console.has_line("1. You: /etc is what\n"));
  CHECK(m.console.shows("//etc is what now\nAI: "));  // the line as it was typed
  CHECK(m.console.has_line("1. You: /etc is what now\n"));
  CHECK(!m.console.has_line("2. You: "));
}

TEST_CASE("repl: /regen at temp=0 says why nothing changes", "[chat]") {
  QuickMachine m;
  m.console.type("hi\n/regen\n/exit\n");
  m.run();
  CHECK(m.console.shows("with temp=0 the likeliest token is taken whatever the seed\nAI: "));
}

TEST_CASE("repl: /read sends a text file whole or not at all", "[chat]") {
  QuickMachine m;
  static const u8 kUtf16[] = {0xFF, 0xFE, 'h', 0, 0xE9, 0, '\n', 0};
  static const u8 kBinary[] = {'a', 0, 'b'};
  static char big[2000];
  __builtin_memset(big, 'x', sizeof(big));
  m.host.volume().add("notes.txt", bytes_of("one\ntwo"));
  m.host.volume().add("my notes.txt", bytes_of("\xEF\xBB\xBFthree\n"));
  m.host.volume().add("wide.txt", kUtf16);
  m.host.volume().add("data.txt", kBinary);
  m.host.volume().add("big.txt", bytes_of({big, sizeof(big)}));
  m.console.type("/read\n/read notes.txt what is it?\n/read \"my notes.txt\"\n/read wide.txt\n");
  m.console.type("/read data.txt\n/read none.txt\n/read big.txt\n/show messages\n/exit\n");
  m.run();
  CHECK(m.console.has_line("/read FILE [question] sends"));
  CHECK(m.console.has_line("OK: notes.txt, 7 bytes, 2 lines\n"));
  CHECK(m.console.has_line("1. You: what is it?\n\nFile notes.txt:\n\none\ntwo\n"));
  CHECK(m.console.has_line("2. You: File my notes.txt:\n\nthree\n"));
  CHECK(m.console.has_line("OK: wide.txt, 8 bytes, 1 lines\n"));
  CHECK(m.console.shows("File wide.txt:\n\nh\xC3\xA9\n"));
  CHECK(
      m.console.has_line("ERROR: data.txt: is not a text file: bytes that are no UTF-8 at byte 1"));
  CHECK(m.console.has_line("ERROR: none.txt: no such file [not_found]\n"));
  CHECK(m.console.has_line("OK: big.txt, 2000 bytes, 1 lines\n"));
  CHECK(m.console.has_line("ERROR: the prompt has more tokens than the context "));
  CHECK(!m.console.shows("xxxx"));
}

TEST_CASE("repl: /preset sets what the table says", "[chat]") {
  QuickMachine m;
  m.console.type(
      "/preset\n/preset stable\n/preset creative\n/preset GREEDY\n/preset wild\n/exit\n");
  m.run();
  CHECK(m.console.has_line("Presets: stable creative greedy. Now: temp=0 min_p=0.05 "));
  CHECK(
      m.console.has_line("OK: stable: temp=0.7 min_p=0.05 top_p=0.9 top_k=40 "
                         "repeat_penalty=1.1 no_repeat_ngram=4\n"));
  CHECK(
      m.console.has_line("OK: creative: temp=1 min_p=0.05 top_p=0.95 top_k=80 "
                         "repeat_penalty=1.05 no_repeat_ngram=3\n"));
  CHECK(m.console.has_line("OK: greedy: temp=0 "));
  CHECK(m.console.has_line("There is no preset wild; one of: stable creative greedy\n"));
}

TEST_CASE("repl: /show and /ctx", "[chat]") {
  QuickMachine m("temp=0\nmax_tokens=4\nsystem=be kind\nchat_format=alpaca\n");
  m.console.type("hi\n/show\n/show model\n/show system\n/show template\n/show license\n");
  m.console.type("/show settings\n/show messages\n/ctx\n/exit\n");
  m.run();
  CHECK(
      m.console.has_line("/show takes one of: model system template license settings messages\n"));
  CHECK(m.console.shows("runs here   yes"));
  CHECK(m.console.has_line("be kind\n"));
  CHECK(m.console.has_line("(chat_format=alpaca)\n"));
  CHECK(m.console.shows("### Instruction:"));
  CHECK(m.console.has_line("The file of the model does not say what its license is.\n"));
  CHECK(m.console.has_line("  temp                       = 0 "));
  CHECK(m.console.has_line("1. You: hi\n1. AI: "));
  CHECK(m.console.has_line("  prompt    "));
  CHECK(m.console.has_line("  made of   7 bytes of system prompt, 2 messages\n"));
  CHECK(m.console.has_line("  overflow  stop\n"));
}

TEST_CASE("repl: /autorun types a file; --print only shows it", "[chat]") {
  QuickMachine m;
  m.host.volume().add("llmk-autorun.txt", bytes_of("hello\n/version\n"));
  m.host.volume().add("again.txt", bytes_of("/autorun again.txt\n"));
  m.host.volume().add("leave.txt", bytes_of("exit\nnever\n"));
  m.console.type("/autorun --dry\n/autorun\n/autorun again.txt\n/autorun --loud\n");
  m.console.type("/autorun none.txt\n/autorun leave.txt\n");
  CHECK(m.run() == ReplExit::kQuit);
  CHECK(
      m.console.has_line("[autorun] loaded llmk-autorun.txt (15 bytes)\nhello\n/version\n"
                         "[autorun] not run\n"));
  CHECK(m.console.has_line("You (autorun): hello\nAI: "));
  CHECK(m.console.has_line("You (autorun): /version\nOK: Version: "));
  CHECK(m.console.has_line("[autorun] done\n"));
  CHECK(m.console.has_line("ERROR: scripts call each other more than 4 deep [limit]\n"));
  CHECK(m.console.has_line(
      "/autorun knows --print, --dry, --shutdown and --no-shutdown, not --loud"));
  CHECK(m.console.has_line("ERROR: none.txt: no such file [not_found]\n"));
  CHECK(!m.console.shows("never"));
}

TEST_CASE("repl: /autorun --shutdown ends the machine, --no-shutdown does not", "[chat]") {
  for (const bool wanted : {true, false}) {
    QuickMachine m("stats=0\nautorun_shutdown_when_done=1\n");
    m.host.volume().add("s.txt", bytes_of("/version\n"));
    m.console.type(wanted ? "/autorun s.txt\n/exit\n" : "/autorun --no-shutdown s.txt\n/exit\n");
    CHECK(m.run() == (wanted ? ReplExit::kShutdown : ReplExit::kQuit));
    CHECK(m.console.shows("[autorun] shutting down") == wanted);
  }
}

TEST_CASE("repl: repl.cfg is measured as it lies on the stick, whatever it was decoded from",
          "[chat]") {
  const u8 file[] = {0xFF, 0xFE, 't', 0, 'o', 0, 'p', 0, '_', 0, 'k', 0, '=', 0, '7', 0};
  Sha256 hash;
  hash.update(file);
  Machine m;
  m.host.set_config("top_k=7", file);
  m.console.type("/exit\n");
  m.run();
  CHECK(m.host.measured_config() == hash.finish());
  Sha256 text_hash;
  text_hash.update(Str("top_k=7").bytes());
  Machine plain;
  plain.host.set_config("top_k=7");
  plain.console.type("/exit\n");
  plain.run();
  CHECK(plain.host.measured_config() == text_hash.finish());
}

TEST_CASE("repl: /verify compares the file with the load, and memory with itself", "[chat]") {
  {
    QuickMachine m("hash_model=1\n");
    m.console.type("/verify\n/exit\n");
    m.run();
    CHECK(m.host.n_measured_model() == 1);
    CHECK(m.host.n_measured_config() == 1);
    CHECK(m.console.shows("OK: as when it was loaded\n"));
    CHECK(m.console.shows("OK: as when they were hashed first\n"));
  }
  {
    QuickMachine m;
    m.console.type("/verify\n/verify\n/exit\n");
    m.run();
    CHECK(m.host.n_measured_model() == 0);
    CHECK(m.console.shows("not hashed when it was loaded"));
    CHECK(m.console.shows("taken for the first time"));
    CHECK(m.console.shows("OK: as when they were hashed first\n"));
  }
  {
    QuickMachine m;
    m.console.interrupt_after(4);  // two while it loads, one that drops old keys
    m.console.type("/verify\n/exit\n");
    m.run();
    CHECK(m.console.has_line("(stopped)\n"));
    CHECK(!m.console.shows("taken for the first time"));
  }
}

TEST_CASE("repl: /diag and /report tell about the machine, and nothing that was said", "[chat]") {
  {
    QuickMachine m;
    static u8 memory[64 * 1024];
    m.host.set_exports(memory);
    m.console.type("my secret\n/system a secret too\n/diag\n/report\n/exit\n");
    m.run();
    CHECK(m.console.has_line("kernels    scalar, 1 core\n"));
    CHECK(m.console.has_line("firmware   of a test\n"));
    CHECK(m.console.shows(" bytes written to /lbm of the stick\n"));
    const Str report = m.host.exported();
    CHECK(report.contains("firmware   of a test\n"));
    CHECK(report.contains("\ntemp=0\n"));
    CHECK(report.contains("tiny.gguf"));
    CHECK(report.contains("[stats] tokens=4 "));
    CHECK(!report.contains("secret"));
  }
  {
    QuickMachine m;
    m.console.type("/report\n/exit\n");
    m.run();
    CHECK(m.console.has_line("ERROR: lbm-report.txt: this host keeps no files [read_only]\n"));
    CHECK(m.console.has_line("llm-baremetal report\n"));
  }
}

TEST_CASE("repl: the keys of the key bar", "[chat]") {
  QuickMachine m;
  m.add_model("second.gguf", "llama", 1);
  m.console.press(Key::kEnter);  // the first of the menu
  m.console.press(Key::kF1);
  m.console.type("half a ");
  m.console.press(Key::kF3);
  m.console.press(Key::kF5);
  m.console.type("question\n");
  m.console.press(Key::kF2);
  m.console.press(Key::kDown);
  m.console.press(Key::kEnter);
  m.console.press(Key::kF9);
  m.console.press(Key::kF7);
  m.console.type("/exit\n");
  m.run();
  CHECK(m.console.has_line("  /help [command | word]"));
  CHECK(m.console.has_line("There is no system prompt"));
  CHECK(m.console.has_line("  overflow  stop\n"));
  CHECK(m.console.has_line("You: half a question\nAI: "));
  CHECK(m.console.has_line("OK: Model loaded: second.gguf "));
}

TEST_CASE("repl: the menu takes arrows, numbers and Esc, and any key stops its clock", "[chat]") {
  const struct {
    Key keys[4];
    const char* typed;
    const char* loaded;
  } cases[] = {
      {{Key::kDown, Key::kEnter, Key::kNone, Key::kNone}, "", "b.gguf"},
      {{Key::kUp, Key::kEnter, Key::kNone, Key::kNone}, "", "c.gguf"},
      {{Key::kEnd, Key::kUp, Key::kEnter, Key::kNone}, "", "b.gguf"},
      {{Key::kDown, Key::kHome, Key::kEnter, Key::kNone}, "", "a.gguf"},
      {{Key::kTab, Key::kNone, Key::kNone, Key::kNone}, "3\n", "c.gguf"},
      {{Key::kTab, Key::kNone, Key::kNone, Key::kNone}, "9\n2\n", "b.gguf"},
  };
  for (const auto& one : cases) {
    Machine m;
    m.add_model("a.gguf", "llama", 0);
    m.add_model("b.gguf", "llama", 1);
    m.add_model("c.gguf", "llama", 2);
    for (const Key key : one.keys) {
      if (key != Key::kNone) m.console.press(key);
    }
    m.console.type(one.typed);
    m.console.type("/exit\n");
    m.run();
    TextBuffer<64> line;
    CHECK(m.console.has_line(line.print("OK: Model loaded: {} ", one.loaded).text()));
    CHECK(m.console.shows("Enter loads it, Esc none; 10 s)"));
  }
}

TEST_CASE("repl: overflow and the loop guard speak on lines of their own", "[chat]") {
  QuickMachine m("temp=0\nmax_tokens=8\nstats=0\noverflow=drop_oldest\n");
  for (u32 i = 0; i < 6; ++i) m.console.type("a question of some length, so that it fills up\n");
  m.console.type("/ctx\n/show messages\n/exit\n");
  m.run();
  CHECK(m.console.has_line("[context] the context is full: the prompt goes on without turn"));
  CHECK(m.console.has_line("note: the context is "));
  CHECK(m.console.has_line("  left out  the "));
  CHECK(m.console.has_line("--- what is above is no longer in the prompt ---\n"));
  CHECK(m.console.has_line("6. You: a question"));
  CHECK(!m.console.shows("ERROR"));
}

TEST_CASE("repl: formats for models that bring no template, and what ends their answers",
          "[chat]") {
  static const u32 kScript[] = {':', 'o', 'k', '\n', 'Y'};
  TinyModel model;
  model.script = kScript;
  static u8 bytes[kTinyModelBytes];
  {
    Machine m;
    m.host.volume().add("t.gguf", make_tiny_model(bytes, model));
    m.host.set_config("temp=0\nmax_tokens=9\nchat_format=you_ai\nstop_nl=1\n");
    m.console.type("hi\n/show messages\n/exit\n");
    m.run();
    CHECK(m.console.has_line("1. AI: ok\n"));
    CHECK(m.console.shows(" stop=eog"));
  }
  {
    Machine m;
    m.host.volume().add("t.gguf", make_tiny_model(bytes, model));
    m.host.set_config("temp=0\nmax_tokens=3\nchat_format=you_ai\n");
    m.console.type("hi\n/set chat_format auto\n/show template\n/set chat_format no\n/exit\n");
    m.run();
    CHECK(m.console.shows(" stop=length"));
    CHECK(m.console.has_line("OK: chat_format = auto\n"));
    CHECK(m.console.shows("<|im_start|>"));
    CHECK(m.console.has_line("ERROR: chat_format: is not one of the choices [bad_value]\n"));
  }
}

TEST_CASE("repl: keys of the prior system are named with their reason", "[chat]") {
  Machine m;
  m.host.set_config("splash_ms=5\ntemp=1\n");
  m.console.type("/set budget 5\n/oo_consult\n/set theme light\n/exit\n");
  m.run();
  CHECK(m.console.has_line("[cfg] repl.cfg loaded\n"));
  CHECK(m.console.has_line("[cfg] repl.cfg:1: splash_ms: there is no splash picture"));
  CHECK(m.console.has_line("budget: no cycle budgets"));
  CHECK(m.console.has_line("oo_consult: not built yet"));
  CHECK(m.console.has_line("OK: theme = light, at once\n"));
  CHECK(m.host.n_settings() == 2);
}

TEST_CASE("repl: a quiet start keeps the lines that scripts read", "[chat]") {
  QuickMachine m("boot_quiet=1\n");
  m.console.type("/exit\n");
  m.run();
  CHECK(!m.console.shows("llm-baremetal 1.2.3"));
  CHECK(!m.console.shows("|_|"));
  CHECK(m.console.has_line("[obs][startup] model_select_ms="));
  CHECK(m.console.has_line("OK: Model loaded: tiny.gguf "));
  CHECK(m.console.has_line("OK: REPL ready (/help)\n"));
}

TEST_CASE("repl: the status bar is told what goes on, and how full the context is", "[chat]") {
  QuickMachine m;
  m.console.type("hi\n/reset\n/exit\n");
  m.run();
  CHECK(m.console.activities() == "l.ra.");
  CHECK(m.console.has_model());
  CHECK(m.console.has_rate());
  CHECK(m.console.n_ctx() == kTinyContext);
  CHECK(m.console.n_ctx_used() > 0);
}

TEST_CASE("repl: Tab completes what /show, /preset and the choices of a setting take", "[chat]") {
  QuickMachine m;
  m.console.type("/preset cre");
  m.console.press(Key::kTab);
  m.console.type("\n/show lic");
  m.console.press(Key::kTab);
  m.console.type("\n/set theme con");
  m.console.press(Key::kTab);
  m.console.type("\n/exit\n");
  m.run();
  CHECK(m.console.has_line("OK: creative: "));
  CHECK(m.console.has_line("The file of the model does not say"));
  CHECK(m.console.has_line("OK: theme = contrast, at once\n"));
}
