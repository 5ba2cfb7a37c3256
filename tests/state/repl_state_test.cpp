// What the REPL keeps, seen by its user: a session, a restart, and what is there again.
#include "tests/chat/repl_machine.h"
#include "tests/state/memory_slots.h"

namespace {

using namespace lbm;
using namespace lbm::test;

// Records as a stick has them, smaller.
struct Stick {
  MemorySlots slots{slot_memory()};

  Stick() {
    TextBuffer<8> name;
    for (u32 i = 0; i < 16; ++i) {
      name.clear();
      REQUIRE(slots.reserve(name.print("CHAT{}{}", i / 10, i % 10).text(), 16 * kKiB).ok());
      name.clear();
      if (i < 4)
        REQUIRE(slots.reserve(name.print("LOG{}{}", i / 10, i % 10).text(), 16 * kKiB).ok());
    }
    REQUIRE(slots.reserve("SETTINGS", 16 * kKiB).ok());
    REQUIRE(slots.reserve("HISTORY", 16 * kKiB).ok());
    REQUIRE(slots.reserve("SNAPSHOT", 320 * kKiB).ok());
  }
  // Types `keys` at a machine with this stick and returns its console.
  ScriptedConsole& run(Str keys, Str config = "temp=0\nmax_tokens=4\nstats=0\n") {
    Machine m;
    m.add_model("a.gguf");
    m.host.set_state(slots);
    m.host.set_config(config);
    m.console.type(keys);
    static_cast<void>(m.run());
    return m.console;
  }
};

TEST_CASE("a conversation is there again after a restart", "[state]") {
  Stick stick;
  ScriptedConsole& first = stick.run("Good morning\n/exit\n");
  CHECK(!first.shows("[state]"));
  ScriptedConsole& second = stick.run("/resume\n/sessions\nAnd now?\n/exit\n");
  CHECK(second.shows("[state] the last conversation: 2 messages"));
  CHECK(second.shows("Good morning"));
  CHECK(second.has_line("OK: 2 messages\n"));
  CHECK(second.has_line("You: Good morning\n"));
  CHECK(second.has_line("*  1  2 messages"));
  ScriptedConsole& third = stick.run("/resume\n/exit\n");
  CHECK(third.has_line("OK: 4 messages\n"));
  CHECK(third.shows("And now?"));
}

TEST_CASE("what was kept continues as if there had been no restart", "[state]") {
  Stick stick;
  ScriptedConsole& whole = stick.run("One\nTwo\n/exit\n");
  const Str answer_mark = "AI: ";
  usize at = whole.output().find(answer_mark, whole.output().find("Two"));
  REQUIRE(at != Str::kNone);
  TextBuffer<64> expected;
  expected.append(whole.output().slice(at, whole.output().find("\n", at) - at));
  Stick other;
  static_cast<void>(other.run("One\n/exit\n"));
  ScriptedConsole& resumed = other.run("/resume\nTwo\n/exit\n");
  at = resumed.output().find(answer_mark, resumed.output().find("Two"));
  REQUIRE(at != Str::kNone);
  CHECK(resumed.output().from(at).starts_with(expected.text()));
}

TEST_CASE("the power goes at the worst moment: what was kept before is there", "[state]") {
  bool all_there = true;
  for (const usize cut : {0u, 1u, 63u, 64u, 65u, 100u, 130u}) {
    Stick stick;
    static_cast<void>(
        stick.run("Kept for good\n/exit\n", "temp=0\nmax_tokens=4\nlog=0\nhistory=0\n"));
    stick.slots.cut_after = cut;
    ScriptedConsole& cut_off =
        stick.run("/resume\nOn its way\n/exit\n", "temp=0\nmax_tokens=4\nlog=0\nhistory=0\n");
    all_there = all_there && cut_off.shows("[state] nothing is kept from here on");
    stick.slots.cut_after = MemorySlots::kNever;
    ScriptedConsole& after = stick.run("/resume\n/exit\n");
    all_there = all_there && after.has_line("You: Kept for good\n");
  }
  CHECK(all_there);
}

TEST_CASE("names, settings and history are kept", "[state]") {
  Stick stick;
  ScriptedConsole& first = stick.run(
      "Hello\n/save trip\n/reset\nBye\n/save trip\n/set top_k 17\n/save settings\n/system Be "
      "kind.\n"
      "/exit\n");
  CHECK(first.has_line("OK: the conversation is kept as trip\n"));
  CHECK(first.has_line("There is a conversation of this name already"));
  CHECK(first.has_line("OK: the settings that were set by commands are kept\n"));
  ScriptedConsole& second = stick.run("/load trip\n/cfg top_k\n/load nothing\n/load 2\n/exit\n");
  CHECK(second.has_line("OK: 2 messages of trip\n"));
  CHECK(second.has_line("You: Hello\n"));
  CHECK(second.shows("17"));
  CHECK(second.has_line("There is no such conversation; /sessions lists them\n"));
  Machine m;
  m.host.set_state(stick.slots);
  m.console.press(Key::kUp);  // /exit
  m.console.press(Key::kUp);
  m.console.type("\n/exit\n");
  static_cast<void>(m.run());
  CHECK(m.console.shows("/load 2"));
}

TEST_CASE("/undo is kept, and /reset begins another conversation", "[state]") {
  Stick stick;
  static_cast<void>(stick.run("One\nTwo\n/undo\n/exit\n"));
  ScriptedConsole& undone = stick.run("/resume\n/reset\nThree\n/sessions\n/exit\n");
  CHECK(undone.has_line("OK: 2 messages\n"));
  CHECK(undone.has_line("You: One\n"));
  CHECK(undone.has_line("*  1  2 messages"));
  CHECK(undone.has_line("   2  2 messages"));
}

TEST_CASE("a medium that can not be written is said once, and the chat goes on", "[state]") {
  Stick stick;
  stick.slots.read_only = "the disk is write-protected";
  ScriptedConsole& console = stick.run("Hello\nAgain\n/save x\n/sessions\n/exit\n");
  CHECK(console.has_line("[state] nothing is kept from here on: the disk is write-protected."));
  CHECK(console.has_line("Nothing is kept: the disk is write-protected\n"));
  CHECK(console.shows("AI: "));
  CHECK(stick.slots.n_write == 0);
}

u32 count(Str text, Str part) {
  u32 n = 0;
  for (usize at = text.find(part); at != Str::kNone; at = text.find(part, at + 1)) ++n;
  return n;
}

TEST_CASE("a disk that is taken out is told once, and the chat goes on", "[state]") {
  for (const u32 n_write : {1u, 3u, 5u, 7u}) {
    Stick stick;
    stick.slots.out_after = n_write;
    ScriptedConsole& console =
        stick.run("Hello\n/reset\nMore\n/reset\n/undo\n/save x\nThe end\n/exit\n");
    CHECK(count(console.output(), "nothing is kept from here on: the disk was taken out") == 1);
    CHECK(!console.shows("ERROR"));
    CHECK(console.has_line("Nothing is kept: the disk was taken out\n"));
  }
}

TEST_CASE("a quiet start does not tell of a place that is not there", "[state]") {
  constexpr Str kNotice = "[state] nothing is kept from here on";
  for (const bool is_quiet : {false, true}) {
    MemorySlots slots(slot_memory());
    slots.read_only = "there is no place for it";
    Machine m;
    m.add_model("a.gguf");
    m.host.set_state(slots);
    m.host.set_config(is_quiet ? "boot_quiet=1\nmax_tokens=2\n" : "max_tokens=2\n");
    m.console.type("Hello\n/save\n/exit\n");
    static_cast<void>(m.run());
    CHECK(count(m.console.output(), kNotice) == (is_quiet ? 0u : 1u));
    CHECK(m.console.has_line("Nothing is kept: there is no place for it\n"));
  }
  Stick used;  // who had a conversation there would miss the next one
  static_cast<void>(used.run("Hello\n/exit\n"));
  used.slots.read_only = "the disk is write-protected";
  CHECK(used.run("/exit\n", "boot_quiet=1\n").has_line(kNotice));
}

// The console after a start with three models and `keys`, of which the first go to the menu.
ScriptedConsole& start_with_three(Stick& stick, Str keys, Str config = "max_tokens=2\n") {
  Machine m;
  m.add_model("a.gguf");
  m.add_model("b.gguf", "llama", 1);
  m.add_model("c.gguf", "llama", 2);
  m.host.set_state(stick.slots);
  m.host.set_config(config);
  m.console.type(keys);
  static_cast<void>(m.run());
  return m.console;
}

TEST_CASE("the menu begins with the model of the last time", "[state]") {
  Stick stick;
  CHECK(start_with_three(stick, "").has_line("OK: Model loaded: a.gguf "));  // the countdown ends
  CHECK(start_with_three(stick, "2\n/set top_k 17\n/save settings\n/set top_k 18\n/exit\n")
            .has_line("OK: Model loaded: b.gguf "));
  ScriptedConsole& second = start_with_three(stick, "");
  CHECK(second.shows("> 2 of 3: b.gguf"));
  CHECK(second.has_line("OK: Model loaded: b.gguf "));
  // repl.cfg wins, and what it loads is the last one; what was kept beside it stays as it was.
  ScriptedConsole& named = start_with_three(stick, "/cfg top_k\n/model 1\n/exit\n", "model=c\n");
  CHECK(!named.shows("> 2 of 3"));
  CHECK(named.has_line("OK: Model loaded: c.gguf "));
  CHECK(named.shows("17"));
  CHECK(!named.shows("18"));
  CHECK(start_with_three(stick, "\n/exit\n").shows("> 1 of 3: a.gguf"));
  // With autosave=0 nothing is remembered, and Esc changes nothing.
  static_cast<void>(start_with_three(stick, "3\n/exit\n", "autosave=0\n"));
  CHECK(start_with_three(stick, "3\n/exit\n").shows("> 1 of 3: a.gguf"));
  CHECK(start_with_three(stick, "").shows("> 3 of 3: c.gguf"));
}

TEST_CASE("a model of the last time that is not there any more is no matter", "[state]") {
  Stick stick;
  static_cast<void>(start_with_three(stick, "3\n/exit\n"));
  Machine m;
  m.add_model("a.gguf");
  m.add_model("b.gguf", "llama", 1);
  m.host.set_state(stick.slots);
  static_cast<void>(m.run());
  CHECK(m.console.has_line("OK: Model loaded: a.gguf "));
}

TEST_CASE("without a place for it the commands say so", "[state]") {
  Machine m;
  m.add_model("a.gguf");
  m.console.type("Hello\n/save\n/exit\n");
  static_cast<void>(m.run());
  CHECK(m.console.has_line("Nothing is kept here: this host has no place for it.\n"));
}

TEST_CASE("autosave off keeps nothing until /save", "[state]") {
  Stick stick;
  static_cast<void>(stick.run("Hello\n/exit\n", "autosave=0\nmax_tokens=2\nlog=0\nhistory=0\n"));
  CHECK(stick.slots.n_write == 0);
  static_cast<void>(
      stick.run("Hello\n/save\n/exit\n", "autosave=0\nmax_tokens=2\nlog=0\nhistory=0\n"));
  CHECK(stick.slots.n_write == 1);
}

TEST_CASE("the journal tells starts and models, with a whole chain", "[state]") {
  Stick stick;
  static_cast<void>(stick.run("/exit\n"));
  ScriptedConsole& console = stick.run("/log\n/log 1\n/log x\n/exit\n");
  CHECK(console.shows("\"e\":\"start\"}"));
  CHECK(console.shows("loaded\"}"));
  CHECK(console.shows("each is bound to the one before"));
  CHECK(console.has_line("1 of "));
}

TEST_CASE("a kept context spares the reading, and is refused where it does not fit", "[state]") {
  Stick stick;
  ScriptedConsole& first =
      stick.run("A question of some length\n/snap_save\n/snap_load x\n/exit\n");
  CHECK(first.shows("is kept as llmk-snap ("));
  CHECK(first.shows("another name"));
  ScriptedConsole& second = stick.run("/snap_load\nOn\n/exit\n", "temp=0\nmax_tokens=4\nstats=1\n");
  CHECK(second.has_line("OK: llmk-snap: "));
  CHECK(second.shows("2 messages"));
  ScriptedConsole& other = stick.run("/snap_load\n/exit\n", "kv=f32\n");
  CHECK(other.shows("another type of KV cache"));
  stick.slots.slot("SNAPSHOT", 0)[500] ^= 1;
  ScriptedConsole& damaged = stick.run("/snap_load\n/exit\n");
  CHECK(damaged.shows("it is damaged"));
}

}  // namespace
