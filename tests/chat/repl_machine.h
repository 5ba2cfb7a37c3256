// A machine to test the REPL on: a scripted console, files in memory, and a tiny model.
#pragma once

#include "core/chat/repl.h"
#include "tests/chat/scripted_host.h"
#include "tests/chat/tiny_model.h"
#include "tests/test.h"

namespace lbm::test {

// Everything a session needs, in static memory.
struct Machine {
  ScriptedConsole& console;
  ScriptedHost host;

  explicit Machine(u32 n_column = 80)
      : console(new_console(n_column)), host(console, test_memory()) {}

  // Adds a model file; `slot` keeps its bytes apart from those of other slots.
  void add_model(Str path, Str architecture = "llama", u32 slot = 0) {
    static u8 bytes[3][kTinyModelBytes];
    host.volume().add(path, make_tiny_model(bytes[slot], architecture, slot + 1));
  }
  ReplExit run() {
    const Result<ReplExit> exit = run_repl(host);
    REQUIRE(exit.ok());
    CHECK(host.pages().n_live() == 0);  // all memory was given back
    CHECK(host.volume().n_open() == 0);
    return exit.value();
  }
};

}  // namespace lbm::test
