"""The session that record_session.py plays: three starts of one stick, each a list of rows.

A row is what is done and what has to come of it:

  how       what is done
  WAIT      nothing: the machine is at work
  SERIAL    `typed` and Enter come over the serial port
  BYTES     `typed` comes over the serial port as it is
  KEYBOARD  `typed` and Enter are typed on the emulated keyboard, as on one of the US
  KEYS      `typed` are names of QEMU's keys, with spaces between them; "ctrl-j" are two at once

`expect` are patterns that the program's text has to match, one behind the other; then `until` has to come, by default a prompt that waits.
A `picture` is a photograph of the display. Rows look only at what came after the row before.

The tiny model answers at once, and in noise: it stands in wherever an answer is needed and what it says is not looked at.
"""

from dataclasses import dataclass
from typing import Tuple

WAIT, SERIAL, BYTES, KEYBOARD, KEYS = "wait", "serial", "bytes", "keyboard", "keys"

PROMPT = r"^(?:You: |llmk> )\Z"
ENDED = "ended"      # the machine switches itself off
AT_ONCE = ""         # nothing more is waited for

ANSWER = r"^\[stats\] tokens=[1-9]\d* "
READY = r"^OK: REPL ready \(/help\)$"
MENU = r"> 1 of 2: .*\(arrows or number; Enter loads it, Esc none"
KEY_TO_RETURN = r"^Press a key to return to the firmware"

CONFIG = "max_tokens=8\ntemp=0\nseed=1\nloop_guard=0\nctx=512\ntimeout=120\nhash_model=1\nsnap_file=context\n"
NOTES = "The boiler in the cellar was repaired on Tuesday.\nThe next inspection is in May.\n"
SCRIPT = "/version\nWhat is one and one?\n/ctx\n"
FILES = {"notes.txt": NOTES, "llmk-autorun.txt": SCRIPT}
KEPT_FILES = ("lbm/lbm-report.txt", "lbm/lbm-journal.jsonl", "lbm/screen1.png")  # on the STATE partition when all is done


@dataclass(frozen=True)
class Row:
    name: str
    how: str = WAIT
    typed: str = ""
    expect: Tuple[str, ...] = ()
    until: str = PROMPT
    picture: str = ""


@dataclass(frozen=True)
class Start:
    name: str
    rows: Tuple[Row, ...]


def serial(name: str, typed: str, *expect: str, **more) -> Row:
    return Row(name, SERIAL, typed, expect, **more)


def keyboard(name: str, typed: str, *expect: str, **more) -> Row:
    return Row(name, KEYBOARD, typed, expect, **more)


def keys(name: str, typed: str, *expect: str, **more) -> Row:
    return Row(name, KEYS, typed, expect, **more)


def sent(name: str, typed: str, *expect: str, **more) -> Row:
    return Row(name, BYTES, typed, expect, **more)


MENUS = (
    Row("two models: the menu with its countdown", WAIT, "", (r"^\[cfg\] repl\.cfg loaded$", MENU), AT_ONCE, "menu"),
    keys("Down and Enter take the second", "down ret", r"2 of 2", r"^OK: Model loaded: .*tiny\.gguf", READY),
)

# Every command, on the tiny model. What a model has to say for itself comes behind.
COMMANDS = (
    keyboard("help, on the keyboard", "/help", r"^  /help \[command \| word\] ", r"^  /exit ", picture="help"),
    serial("help of a command", "/help regen", r"^/regen \[seed\]$", r"also: retry"),
    serial("help of a word", "/help conversation", r"^  /reset "),
    serial("an unknown command, and the nearest", "/versoin", r"^There is no command /versoin\. Did you mean /version\?"),
    serial("version", "/version", r"^OK: Version: ", r"host uefi"),
    serial("models", "/models", r"SmolLM2", r"tiny\.gguf", r"^  summary: total=2 "),
    serial("model", "/model", r"^OK: Model loaded: .*tiny\.gguf"),
    serial("model_info of the other", "/model_info SmolLM2", r"SmolLM2"),
    serial("verify", "/verify", r"OK: as when it was loaded", r"weights   [0-9a-f]{64}", r"OK: as when they were hashed first"),
    serial("a question", "banana", r"^AI: ", ANSWER),
    serial("stats", "/stats", r"^\[stats\] ", r"^  answer    8 tokens", r"^  memory "),
    serial("stats off", "/stats off", r"^OK: stats = 0"),
    serial("stats on", "/stats on", r"^OK: stats = 1"),
    serial("ctx", "/ctx", r"^  context   512 tokens, ", r"^  sampling  temp=0 "),
    serial("regen", "/regen", r"^OK: seed 2; with temp=0", ANSWER),
    serial("preset", "/preset creative", r"^OK: creative: temp=1 min_p=0\.05 top_p=0\.95 top_k=80"),
    serial("regen with a seed", "/regen 7", r"^OK: seed 7$", ANSWER),
    serial("preset back", "/preset greedy", r"^OK: greedy: temp=0 "),
    serial("set", "/set max_tokens 6", r"^OK: max_tokens = 6$"),
    serial("the short form of set", "/max_tokens 8", r"^OK: max_tokens = 8$"),
    serial("set, out of its range", "/set temp 1000", r"^ERROR: .*\[", r"^temp = 0", r"0\.00 to 100\.00"),
    serial("cfg of one key", "/cfg overflow", r"^overflow = stop", r"one of: stop drop_oldest summarize"),
    serial("cfg", "/cfg", r"^  model ", r"^  max_tokens +=", r"^/cfg KEY explains one, .*/save settings", picture="cfg"),
    serial("system", "/system Answer in one word.", r"^OK: system prompt set$"),
    serial("show system", "/show system", r"^Answer in one word\.$"),
    serial("think", "/think hide", r"^OK: think = hide$"),
    serial("show messages", "/show messages", r"^1\. You: banana$", r"^1\. AI: "),
    serial("show license", "/show license", r"license"),
    serial("read", "/read notes.txt When is the inspection?", r"^OK: notes\.txt, 81 bytes, 2 lines$", ANSWER),
    serial("read what is not there", "/read absent.txt", r"^ERROR: .*absent\.txt"),
    serial("undo", "/undo", r"^OK: took back 1 question with its answer; 1 left$"),
    serial("edit", "/edit", r"^OK: the last question is in the input line", until=r"You: banana\Z"),
    sent("edit: one letter more, and Enter", "s\r", ANSWER),
    serial("save under a name", "/save fruit", r"^OK: the conversation is kept as fruit$"),
    serial("snap_save", "/snap_save", r"^OK: the context of \d+ tokens is kept as context \("),
    serial("reset", "/reset"),
    serial("an empty conversation", "/show messages", r"^The conversation is empty\.$"),
    serial("a second conversation", "cherry", ANSWER),
    serial("sessions", "/sessions", r"^\*  1  .*cherry", r"^   2  fruit: .*bananas"),
    serial("load", "/load fruit", r"^OK: 2 messages of fruit$", r"^You: bananas$"),
    serial("resume", "/resume", r"^OK: 2 messages$", r"^You: cherry$"),
    serial("snap_load", "/snap_load", r"^OK: context: \d+ tokens of context, 2 messages$"),
    serial("bench", "/bench", r"^\[bench\] prefill=64 .* decode=16 "),
    serial("autorun, shown", "/autorun --print", r"^\[autorun\] loaded llmk-autorun\.txt", r"^/version$", r"^\[autorun\] not run$"),
    serial("autorun", "/autorun", r"^You \(autorun\): /version$", r"^You \(autorun\): What is one and one\?$", ANSWER,
           r"^\[autorun\] done$"),
    serial("log", "/log 2", r"^\{", r"^2 of \d+ lines; each is bound to the one before$"),
    serial("log as a file", "/log save", r"^OK: .*lbm-journal\.jsonl"),
    serial("diag", "/diag", r"^version ", r"^state      kept$", r"^model      2:tiny\.gguf", r"^modules    1 of memory, 1024 MiB$",
           picture="diag"),
    serial("report", "/report", r"^OK: \d+ bytes written to .*lbm-report\.txt"),
)

EDITOR = (
    serial("set max_tokens for the editor", "/set max_tokens 2", r"^OK: max_tokens = 2$"),
    sent("Tab: what they have in common, then the choice", "/mo\t\t", r"/model", r"models  model  model_info", until=AT_ONCE,
         picture="tab"),
    sent("Tab: one is left", "_\t", r"/model_info ", until=AT_ONCE),
    sent("Ctrl-C drops the line", "\x03", r"\^C$"),
    sent("Tab: a setting and its value", "/set over\tdrop\t\r", r"^OK: overflow = drop_oldest$"),
    sent("three quotes: lines of a text", '"""one\rtwo"""\r', r"^\.\.\. two", ANSWER),
    sent("a backslash: the line goes on", "three\\\rfour\r", r"^\.\.\. four", ANSWER),
    sent("Ctrl-J: a new line", "five\nsix\r", r"^\.\.\. six", ANSWER),
    serial("the questions as they were sent", "/show messages", r"You: one\ntwo$", r"You: three\nfour$", r"You: five\nsix$"),
    serial("two slashes: a text with one", "//etc is a folder", ANSWER),
    serial("it was sent with one", "/show messages", r"You: /etc is a folder$"),
    keys("history, on the keyboard", "up up ret", r"//etc is a folder", ANSWER),
    sent("history, over the serial port", "\x1b[A\x1b[A\x1b[B\x01\x0b/version\r", r"^OK: Version: "),
    keys("Ctrl-J on the keyboard", "a ctrl-j b ret", r"^\.\.\. b", ANSWER),
)

KEYBOARDS = (
    keyboard("a German keyboard", "/set keymap de", r"^OK: keymap = de"),
    # By the places of a US keyboard, as the machine names its keys.
    keys("z, umlauts, sharp s, at, euro", "z y semicolon apostrophe bracket_left minus alt_r-q alt_r-e ret",
         r"yz\u00f6\u00e4\u00fc\u00df@\u20ac", ANSWER),
    keys("a command on it", "shift-7 c t x ret", r"/ctx", r"^  context   512 tokens, "),
    serial("serial is no keyboard", "/set keymap us", r"^OK: keymap = us"),
    serial("settings kept", "/save settings", r"^OK: the settings that were set by commands are kept$"),
)

FUNCTION_KEYS = (
    keys("F1", "f1", r"^  /help ", r"/help help tells the keys"),
    keys("F3", "f3", r"^Answer in one word\."),
    keys("F5", "f5", r"^  context   512 tokens, "),
    keys("F9", "f9", r"^OK: the conversation is kept"),
    keys("F4: a larger font", "f4", until=AT_ONCE, picture="font"),
    keys("Page Up", "pgup", until=AT_ONCE, picture="scrolled"),
    keys("F4 back", "f4 f4 f4", until=AT_ONCE),
    keys("F10: a picture", "f10", until=AT_ONCE, picture="f10"),
    serial("a theme", "/set theme contrast", r"^OK: theme = contrast", picture="contrast"),
    serial("a theme back", "/set theme dark", r"^OK: theme = dark"),
    keys("F2: the menu, and the first model by its number", "f2 1 ret", r"1 of 2: .*SmolLM2", r"^OK: Model loaded: .*SmolLM2"),
)

REAL_MODEL = (
    serial("the system prompt away", "/system off", r"^OK: no system prompt$"),
    serial("show template", "/show template", r"im_start"),
    serial("show model", "/show model", r"llama"),
    serial("a new conversation", "/reset"),
    serial("room for an answer", "/set max_tokens 40", r"^OK: max_tokens = 40$"),
    serial("a question of the default model", "What is the capital of France?", r"^AI: .*Paris", ANSWER, picture="chat"),
    serial("another, to be stopped", "Tell me a long story about a lighthouse.", r"^AI: \S+ \S+ ", until=AT_ONCE),
    keys("Esc stops it", "esc", r"^\(stopped\)$", r"^\[stats\] .*stop=interrupted"),
    serial("what came is kept", "/show messages", r"^2\. You: Tell me", r"\(stopped\)$", picture="stopped"),
    serial("reboot", "/reboot", until=ENDED),
)

RESUMED = (
    Row("the second start: what is kept is told", WAIT, "", (r"^\[state\] \d+ settings as /save settings kept them$",
                                                            r"^\[state\] the last conversation: 4 messages", MENU), AT_ONCE),
    sent("the tiny model, by its number", "2\r", READY),
    serial("resume after a restart", "/resume", r"^OK: 4 messages$", r"^You: Tell me a long story", picture="resumed"),
    serial("the name is still there", "/sessions", r"fruit: "),
    keys("history after a restart, behind what was typed since", "up up up up", r"/reboot", r"/show messages", until=AT_ONCE,
         picture="history"),
    keys("Ctrl-C drops the line, on the keyboard", "ctrl-c", r"\^C$"),
    serial("exit", "/exit", KEY_TO_RETURN, until=AT_ONCE),
)

SHUT_DOWN = (
    Row("the third start: the menu begins at the model of the last time", WAIT, "", (r"> 2 of 2: 2:tiny\.gguf ",), AT_ONCE),
    keys("Esc: no model", "esc", r"^OK: REPL ready \(no model\)\. Type /help$", picture="no-model"),
    keyboard("a command without a slash", "models", r"^  summary: total=2 "),
    keyboard("shutdown, on the keyboard", "/shutdown", until=ENDED),
)

STARTS = (Start("first", MENUS + COMMANDS + EDITOR + KEYBOARDS + FUNCTION_KEYS + REAL_MODEL), Start("second", RESUMED),
          Start("third", SHUT_DOWN))
