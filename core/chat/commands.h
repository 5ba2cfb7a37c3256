// The commands of the REPL, as data: their names, their help, and how a line becomes one. What they
// do is in repl_commands.cpp.
#pragma once

#include "core/base/span.h"
#include "core/base/types.h"

namespace lbm {

enum class Command : u8 {
  kHelp,
  // models
  kModels,
  kModel,
  kModelInfo,
  kVerify,
  // the conversation
  kReset,
  kUndo,
  kRegen,
  kEdit,
  kRead,
  kSystem,
  kThink,
  // settings
  kSet,
  kShow,
  kCfg,
  kPreset,
  // what is kept
  kSave,
  kLoad,
  kSessions,
  kResume,
  kSnapSave,
  kSnapLoad,
  kAutorun,
  // looking inside
  kCtx,
  kStats,
  kBench,
  kLog,
  kDiag,
  kReport,
  kVersion,
  // the machine
  kReboot,
  kShutdown,
  kExit,
};
inline constexpr u32 kCommandCount = static_cast<u32>(Command::kExit) + 1;

struct CommandInfo {
  Command id;
  const char* name;     // without the slash
  const char* aliases;  // separated by spaces
  const char* usage;    // arguments
  const char* summary;  // one line
  const char* details;  // more lines of /help NAME, or ""
};

[[nodiscard]] const CommandInfo& command_info(u32 index);
// By name or alias, whole words only, in any case, '-' for '_'. Null when there is none.
[[nodiscard]] const CommandInfo* find_command(Str name);
// The command or setting nearest to a mistyped name, or an empty text.
[[nodiscard]] Str nearest_command(Str name);

// A line, taken apart.
struct InputLine {
  enum class Kind : u8 {
    kEmpty,
    kText,     // for the model: `text`
    kCommand,  // `name` and `text`, its arguments
  };
  Kind kind = Kind::kEmpty;
  Str name;
  Str text;
};
// "//x" is the text "/x". The words exit and quit alone are commands also without a slash.
[[nodiscard]] InputLine parse_input(Str line);

}  // namespace lbm
