// See commands.h.
#include "core/chat/commands.h"

#include "core/chat/nearest.h"
#include "core/chat/settings.h"

namespace lbm {
namespace {

constexpr CommandInfo kTable[kCommandCount] = {
    {Command::kHelp, "help", "? commands", "[command | word]",
     "this list, or more about one command",
     "Keys: arrows, Home, End and Ctrl-A/E move; Ctrl-U/K/W delete; Up and Down show what was "
     "entered before; Tab\n"
     "completes. Esc or Ctrl-C stops an answer or a load. A line that ends in \\ goes on; so does "
     "everything between \"\"\"\n"
     "and \"\"\"; Ctrl-J is a new line. //text sends a text that begins with a slash."},
    {Command::kModels, "models", "", "",
     "the models on all volumes, with the numbers that /model takes", ""},
    {Command::kModel, "model", "", "[number | name]",
     "loads another model; without a name: the one that is loaded",
     "A name is a path, a file name with or without its extension, or the beginning of one.\n"
     "The conversation goes on with the new model. Naming the loaded model again loads it with the "
     "settings of now (ctx, kv).\n"
     "When the new model can not be loaded, the old one stays."},
    {Command::kModelInfo, "model_info", "info", "[number | name]",
     "what a model file holds, and whether this build can run it",
     "Reads the header only. Without a name: the model that is loaded."},
    {Command::kVerify, "verify", "", "", "SHA-256 of the model file, and of the weights in memory",
     "Reads the whole file again. Weights that are no longer what was loaded mean bad memory."},
    {Command::kReset, "reset", "clear", "",
     "forgets the conversation; system prompt and settings stay", ""},
    {Command::kUndo, "undo", "", "[n]", "takes back the last question and its answer, or n of them",
     ""},
    {Command::kRegen, "regen", "retry", "[seed]",
     "answers the last question again, with another seed", ""},
    {Command::kEdit, "edit", "", "", "takes the last question back into the input line", ""},
    {Command::kRead, "read", "file", "FILE [question]",
     "sends a text file of the stick to the model, with a question", ""},
    {Command::kSystem, "system", "", "[text | off]", "shows, sets or removes the system prompt",
     "Counts from the next answer on. Several lines: /system \"\"\"...\"\"\""},
    {Command::kThink, "think", "", "[on | dim | hide | off]",
     "what becomes of a model's reasoning before its answer",
     "dim shows it dimmed, hide only says that the model thinks. on asks for reasoning where the "
     "model leaves that to the\n"
     "user; off asks the model not to think, as far as its template can. Counts from the next "
     "answer "
     "on."},
    {Command::kSet, "set", "parameter", "[key [value]]", "shows or changes a setting",
     "/cfg lists the keys. The short form /temp 0.2 is the same as /set temp 0.2. /save settings "
     "keeps them, repl.cfg too."},
    {Command::kShow, "show", "", "[model | system | template | license | settings | messages]",
     "shows what is in effect", ""},
    {Command::kCfg, "cfg", "settings", "[key]",
     "all settings, where each comes from and when it counts", ""},
    {Command::kPreset, "preset", "", "[stable | creative | greedy]",
     "sampling settings in one word", ""},
    {Command::kSave, "save", "", "[name | settings | here]", "keeps the conversation under a name",
     "settings: keeps those of now for the next start. here: begins to keep things on a stick that "
     "was not made from our image."},
    {Command::kLoad, "load", "", "name", "goes on with a conversation that was kept", ""},
    {Command::kSessions, "sessions", "", "", "the conversations that are kept", ""},
    {Command::kResume, "resume", "", "",
     "goes on with the last conversation, also after a power cut", ""},
    {Command::kSnapSave, "snap_save", "", "[name]",
     "keeps the evaluated context, so that a long one need not be read again", ""},
    {Command::kSnapLoad, "snap_load", "", "[name]", "takes back a context that was kept", ""},
    {Command::kAutorun, "autorun", "", "[--print] [--shutdown | --no-shutdown] [file]",
     "types the lines of a script", ""},
    {Command::kCtx, "ctx", "context", "", "how full the context is, and of what", ""},
    {Command::kStats, "stats", "", "[on | off]",
     "times, speeds and memory of the last answer; on/off: the line after each", ""},
    {Command::kBench, "bench", "", "", "how fast the loaded model runs here, in a short run",
     "Evaluates 64 tokens at once and 16 one by one behind the conversation, which stays as it "
     "is."},
    {Command::kLog, "log", "journal", "[n | save]", "the last events of this and earlier starts",
     ""},
    {Command::kDiag, "diag", "", "", "machine, firmware, memory, devices, kernels", ""},
    {Command::kReport, "report", "", "", "writes all of that to a file that can be sent", ""},
    {Command::kVersion, "version", "", "", "version, machine, kernels and cores", ""},
    {Command::kReboot, "reboot", "", "", "restarts the machine", "In a hosted program: ends it."},
    {Command::kShutdown, "shutdown", "poweroff", "", "switches the machine off",
     "In a hosted program: ends it."},
    {Command::kExit, "exit", "quit bye", "", "leaves", ""},
};

constexpr bool table_in_order() {
  for (u32 i = 0; i < kCommandCount; ++i) {
    if (static_cast<u32>(kTable[i].id) != i) return false;
  }
  return true;
}
static_assert(table_in_order(), "kTable follows enum Command");

char fold(char c) {
  if (c >= 'A' && c <= 'Z') return static_cast<char>(c + ('a' - 'A'));
  return c == '-' ? '_' : c;
}

bool same_name(Str a, Str b) {
  if (a.size() != b.size()) return false;
  for (usize i = 0; i < a.size(); ++i) {
    if (fold(a[i]) != fold(b[i])) return false;
  }
  return true;
}

// Calls `visit` with the name and every alias; true as soon as it returns true.
template <class Visit>
bool any_name(const CommandInfo& info, Visit visit) {
  if (visit(Str(info.name))) return true;
  Str aliases = info.aliases;
  while (!aliases.empty()) {
    usize n = 0;
    while (n < aliases.size() && aliases[n] != ' ') ++n;
    if (visit(aliases.first(n))) return true;
    aliases = aliases.from(n).trimmed();
  }
  return false;
}

}  // namespace

const CommandInfo& command_info(u32 index) {
  LBM_CHECK(index < kCommandCount);
  return kTable[index];
}

const CommandInfo* find_command(Str name) {
  for (const CommandInfo& info : kTable) {
    if (any_name(info, [&](Str word) { return same_name(word, name); })) return &info;
  }
  return nullptr;
}

Str nearest_command(Str name) {
  NearestWord nearest(name);
  for (const CommandInfo& info : kTable) {
    static_cast<void>(any_name(info, [&](Str word) {
      nearest.offer(word);
      return false;
    }));
  }
  for (u32 i = 0; i < kSettingCount; ++i) nearest.offer(setting_info(static_cast<Setting>(i)).key);
  return nearest.best();
}

InputLine parse_input(Str line) {
  const Str text = line.trimmed();
  InputLine input;
  if (text.empty()) return input;
  if (text == "exit" || text == "quit") {
    input.kind = InputLine::Kind::kCommand;
    input.name = text;
    return input;
  }
  if (text[0] != '/' || text.starts_with("//")) {
    input.kind = InputLine::Kind::kText;
    input.text = text[0] == '/' ? text.from(1) : text;
    return input;
  }
  usize n = 1;
  while (n < text.size() && !Str::is_space(text[n])) ++n;
  input.kind = InputLine::Kind::kCommand;
  input.name = text.slice(1, n - 1);
  input.text = text.from(n).trimmed();
  return input;
}

}  // namespace lbm
