#include "tools/terminal.h"

#include <poll.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "core/base/utf8.h"
#include "tools/interrupt.h"
#include "tools/output.h"
#include "tools/platform_posix.h"

namespace lbm::cli {
namespace {

// An Esc key is one byte; a sequence brings the rest at once. This is how long we wait to tell them
// apart.
constexpr int kEscapeWaitMs = 25;
constexpr char kEscape = '\x1b';
constexpr Str kPasteOn = "\x1b[?2004h";
constexpr Str kPasteOff = "\x1b[?2004l";
constexpr u32 kMinColumns = 20;
constexpr u32 kDefaultColumns = 80;

termios saved_settings;

void write_all(int descriptor, Str text) {
  usize n_done = 0;
  while (n_done < text.size()) {
    const ssize_t n = ::write(descriptor, text.data() + n_done, text.size() - n_done);
    if (n < 0 && errno != EINTR && errno != EAGAIN) return;  // nobody reads any more
    if (n > 0) n_done += static_cast<usize>(n);
  }
}

void leave_raw_mode() {
  write_all(STDOUT_FILENO, kPasteOff);
  tcsetattr(STDIN_FILENO, TCSADRAIN, &saved_settings);
}

bool enter_raw_mode() {
  if (tcgetattr(STDIN_FILENO, &saved_settings) != 0) return false;
  termios raw = saved_settings;
  raw.c_iflag &= ~static_cast<tcflag_t>(ICRNL | INLCR | IXON | ISTRIP | BRKINT);
  raw.c_lflag &= ~static_cast<tcflag_t>(ECHO | ICANON | ISIG | IEXTEN);
  raw.c_cc[VMIN] = 1;
  raw.c_cc[VTIME] = 0;
  // Output processing stays on: '\n' goes to column 1 as everywhere else.
  if (tcsetattr(STDIN_FILENO, TCSADRAIN, &raw) != 0) return false;
  write_all(STDOUT_FILENO, kPasteOn);
  return true;
}

// The key of "ESC [ parameters final" or "ESC O final"; kNone for one we do not know.
Key key_of_sequence(Str parameters, char final) {
  switch (final) {
    case 'A': return Key::kUp;
    case 'B': return Key::kDown;
    case 'C': return Key::kRight;
    case 'D': return Key::kLeft;
    case 'H': return Key::kHome;
    case 'F': return Key::kEnd;
    case 'P': return Key::kF1;
    case 'Q': return Key::kF2;
    case 'R': return Key::kF3;
    case 'S': return Key::kF4;
    default: break;
  }
  if (final != '~') return Key::kNone;
  static constexpr struct {
    const char* parameter;
    Key key;
  } kNumbered[] = {{"1", Key::kHome},   {"3", Key::kDelete},   {"4", Key::kEnd},
                   {"5", Key::kPageUp}, {"6", Key::kPageDown}, {"7", Key::kHome},
                   {"8", Key::kEnd},    {"11", Key::kF1},      {"12", Key::kF2},
                   {"13", Key::kF3},    {"14", Key::kF4},      {"15", Key::kF5},
                   {"17", Key::kF6},    {"18", Key::kF7},      {"19", Key::kF8},
                   {"20", Key::kF9},    {"21", Key::kF10}};
  // "3;5~" is a modified key 3; the modifier is dropped.
  const usize cut = parameters.find(";");
  const Str number = cut == Str::kNone ? parameters : parameters.first(cut);
  for (const auto& entry : kNumbered) {
    if (number == Str(entry.parameter)) return entry.key;
  }
  return Key::kNone;
}

}  // namespace

bool color_wanted(int descriptor) {
  const char* no_color = std::getenv("NO_COLOR");
  const char* term = std::getenv("TERM");
  return isatty(descriptor) == 1 && (no_color == nullptr || *no_color == '\0') &&
         (term == nullptr || std::strcmp(term, "dumb") != 0);
}

Terminal::Terminal() : terminal_(isatty(STDOUT_FILENO) == 1), color_(color_wanted(STDOUT_FILENO)) {
  install_interrupt_handler();
  if (terminal_ && isatty(STDIN_FILENO) == 1 && enter_raw_mode()) {
    raw_ = true;
    set_terminal_restorer(leave_raw_mode);
    set_panic_hook(restore_terminal);
  }
}

Terminal::~Terminal() {
  flush();
  if (!raw_) return;
  leave_raw_mode();
  set_terminal_restorer(nullptr);
  set_panic_hook(nullptr);
}

u32 Terminal::n_column() const {
  struct winsize size = {};
  if (terminal_ && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col != 0) {
    return size.ws_col < kMinColumns ? kMinColumns : size.ws_col;
  }
  return kDefaultColumns;
}

// One byte of visible text, into line_. A '\r' where nobody looks starts the line again, so its
// earlier states vanish.
void Terminal::put(char c) {
  if (terminal_) {
    line_ += c;
    return;
  }
  if (c == '\r') {
    if (overdraw_) {
      line_.clear();
    } else {
      flush();
    }
    overdraw_ = true;
    return;
  }
  line_ += c;
  if (c == '\n') overdraw_ = false;
}

void Terminal::write(Str utf8) {
  if (color_) {
    write_all(STDOUT_FILENO, utf8);
    return;
  }
  // Drop colour everywhere it is unwanted, and every other sequence where no terminal is there to
  // understand it.
  for (const char c : utf8) {
    if (escape_.empty() && c != kEscape) {
      put(c);
      continue;
    }
    escape_ += c;
    const bool is_introducer = escape_.size() == 1 || (escape_.size() == 2 && c == '[');
    if (is_introducer || (escape_.size() > 2 && !(c >= '@' && c <= '~'))) continue;
    if (terminal_ && c != 'm') line_ += escape_;
    escape_.clear();
  }
  if (!overdraw_) flush();
}

void Terminal::flush() {
  write_all(STDOUT_FILENO, to_str(line_));
  line_.clear();
}

// ---- input --------------------------------------------------------------------------------------

void Terminal::push(Key key, u32 codepoint) { keys_.push_back({key, codepoint}); }

// Reads what is there, or waits for something; false when nothing came.
bool Terminal::read_more(Wait wait) {
  if (ended_) return false;
  if (wait == Wait::kNo) {
    struct pollfd ready = {STDIN_FILENO, POLLIN, 0};
    if (poll(&ready, 1, 0) <= 0) return false;
  }
  char buffer[4096];
  const ssize_t n = ::read(STDIN_FILENO, buffer, sizeof(buffer));
  if (n < 0 && errno == EINTR) return false;
  if (n <= 0) {
    ended_ = true;
    parse_input(true);
    return false;
  }
  input_.append(buffer, static_cast<usize>(n));
  parse_input(false);
  if (raw_ && !input_.empty() && input_[0] == kEscape) {
    // The rest of a sequence follows at once; if it does not, this was the Esc key.
    struct pollfd ready = {STDIN_FILENO, POLLIN, 0};
    if (poll(&ready, 1, kEscapeWaitMs) <= 0) parse_input(true);
  }
  return true;
}

// Turns the bytes of input_ into keys. An unfinished sequence stays there unless `complete`: then
// it is what it is.
void Terminal::parse_input(bool complete) {
  usize at = 0;
  while (at < input_.size()) {
    const Str rest(input_.data() + at, input_.size() - at);
    const char c = rest[0];
    if (raw_ && c == kEscape) {
      const usize n = parse_escape(rest, complete);
      if (n == 0) break;
      at += n;
      continue;
    }
    const u32 length = utf8_sequence_length(static_cast<u8>(c));
    if (!complete && length > rest.size()) break;
    if (!raw_ && c == '\n') {
      push(Key::kEnter);
    } else if (!raw_ && c == '\r') {
      // The other half of a CRLF.
    } else if (c == '\r') {
      pasting_ ? push(Key::kCtrl, 'j') : push(Key::kEnter);
    } else if (c == '\t') {
      push(Key::kTab);
    } else if (raw_ && (c == '\x7f' || c == '\b')) {
      push(Key::kBackspace);
    } else if (raw_ && c >= 1 && c <= 26) {
      push(Key::kCtrl, static_cast<u32>('a' + c - 1));
    } else if (static_cast<u8>(c) >= ' ') {
      const Utf8Char character = decode_utf8(rest);
      push(Key::kChar, character.codepoint);
      at += character.n_byte;
      continue;
    }
    ++at;
  }
  input_.erase(0, at);
}

// One sequence at the front of `input`, which starts with Esc; returns its bytes, or 0 when it is
// not all there.
usize Terminal::parse_escape(Str input, bool complete) {
  if (input.size() == 1 || (input[1] != '[' && input[1] != 'O')) {
    if (input.size() == 1 && !complete) return 0;
    push(Key::kEscape);
    // Alt and a key arrive as Esc and the key; the key would type a letter, so both go. Two Esc are
    // two keys.
    return input.size() == 1 || input[1] == kEscape ? 1 : 2;
  }
  usize end = 2;
  while (end < input.size() && !(input[end] >= '@' && input[end] <= '~')) ++end;
  if (end == input.size()) return complete ? end : 0;
  const Str parameters = input.slice(2, end - 2);
  const char final = input[end];
  if (final == '~' && parameters == "200") {
    pasting_ = true;
  } else if (final == '~' && parameters == "201") {
    pasting_ = false;
  } else {
    const Key key = key_of_sequence(parameters, final);
    if (key != Key::kNone) push(key);
  }
  return end + 1;
}

KeyEvent Terminal::poll_key() {
  if (keys_.empty()) read_more(Wait::kNo);
  if (keys_.empty()) return {};
  const KeyEvent event = keys_.front();
  keys_.pop_front();
  return event;
}

KeyEvent Terminal::wait_key() {
  flush();
  while (keys_.empty() && !ended_) {
    if (read_more(Wait::kYes) || !cli::take_interrupt()) continue;
    if (raw_) return {Key::kCtrl, 'c'};
    ended_ = true;
    ended_by_interrupt_ = true;
  }
  if (keys_.empty()) return {};
  const KeyEvent event = keys_.front();
  keys_.pop_front();
  return event;
}

bool Terminal::take_interrupt() {
  if (raw_) {
    read_more(Wait::kNo);
    std::deque<KeyEvent> kept;
    for (const KeyEvent& event : keys_) {
      const bool stop =
          event.key == Key::kEscape || (event.key == Key::kCtrl && event.codepoint == 'c');
      if (stop) {
        interrupted_ = true;
      } else {
        kept.push_back(event);
      }
    }
    keys_ = std::move(kept);
  }
  if (cli::take_interrupt()) interrupted_ = true;
  const bool result = interrupted_;
  interrupted_ = false;
  return result;
}

}  // namespace lbm::cli
