// The Console of the hosted program: a terminal in raw mode, or plain streams where stdin is no
// terminal.
//
// Raw: keys arrive one by one; Ctrl-C and Esc are keys; pasted line breaks (bracketed paste) arrive
// as Ctrl-J, so that a paste does not submit its first line. Plain: characters and kEnter, kNone at
// the end of the input; interrupts come from SIGINT only (a script may well contain an Esc). Where
// stdout is no terminal, escape sequences are dropped, and of a line that is drawn over by
// '\r' (progress) only the last state is written.
#pragma once

#include <deque>
#include <string>

#include "core/platform.h"

namespace lbm::cli {

class Terminal final : public Console {
 public:
  Terminal();
  ~Terminal();
  Terminal(const Terminal&) = delete;
  Terminal& operator=(const Terminal&) = delete;

  void write(Str utf8) override;
  [[nodiscard]] KeyEvent poll_key() override;
  [[nodiscard]] KeyEvent wait_key() override;
  [[nodiscard]] u32 n_column() const override;
  [[nodiscard]] bool take_interrupt() override;

  // True when a person types: stdin and stdout are terminals.
  [[nodiscard]] bool interactive() const { return raw_; }
  // True when plain input ended because of Ctrl-C.
  [[nodiscard]] bool ended_by_interrupt() const { return ended_by_interrupt_; }

 private:
  enum class Wait : u8 { kNo, kYes };
  bool read_more(Wait wait);
  void parse_input(bool complete);
  usize parse_escape(Str input, bool complete);
  void push(Key key, u32 codepoint = 0);

  void put(char c);
  void flush();

  bool raw_ = false;       // stdin: keys as they are typed
  bool terminal_ = false;  // stdout: somebody looks
  bool color_ = false;
  bool overdraw_ = false;  // plain output: the line began with '\r' and waits in line_
  bool ended_ = false;
  bool ended_by_interrupt_ = false;
  bool pasting_ = false;
  bool interrupted_ = false;
  std::string input_;          // bytes not parsed yet: an unfinished sequence at most
  std::deque<KeyEvent> keys_;  // parsed, not handed out yet
  std::string escape_;         // an output escape sequence in the making, where escapes are dropped
  std::string line_;           // plain output not written yet
};

// Whether messages on `descriptor` may be coloured: a terminal, TERM is not "dumb", NO_COLOR is
// empty or unset.
[[nodiscard]] bool color_wanted(int descriptor);

}  // namespace lbm::cli
