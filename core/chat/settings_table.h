// The table of settings: keys, aliases, types, ranges, defaults and help, as data. What holds their
// values is in settings.h.
#pragma once

#include "core/base/span.h"
#include "core/base/types.h"

namespace lbm {

enum class Setting : u8 {
  // model
  kModel,
  kModelPicker,
  kPickerTimeout,
  kContext,
  kBatch,
  kKv,
  kIsa,
  kThreads,
  kHashModel,
  kSpeculate,
  kFat83,
  // sampling
  kTemperature,
  kTopK,
  kTopP,
  kMinP,
  kRepeatPenalty,
  kRepeatLastN,
  kNoRepeatNgram,
  kSeed,
  kMaxTokens,
  // chat
  kSystem,
  kChatFormat,
  kThink,
  kOverflow,
  kLoopGuard,
  kStopYou,
  kStopNl,
  kStats,
  kDigest,
  // what is kept
  kAutosave,
  kHistory,
  kLog,
  kSnapAutoload,
  kSnapFile,
  // screen and keyboard
  kScreen,
  kFontScale,
  kTheme,
  kKeymap,
  kScrollback,
  // start
  kVerbose,
  kBootQuiet,
  kBootLogo,
  kBootDiag,
  kAutorun,
  kAutorunFile,
  kAutorunShutdown,
};
inline constexpr u32 kSettingCount = static_cast<u32>(Setting::kAutorunShutdown) + 1;

enum class SettingType : u8 { kFlag, kInteger, kReal, kText, kChoice };
enum class SettingWhen : u8 { kStart, kLoad, kAnswer, kNow };  // what a change waits for

struct SettingInfo {
  Setting id;
  const char* key;
  const char* aliases;  // separated by spaces
  SettingType type;
  SettingWhen when;
  f64 low, high;         // kInteger, kReal: inclusive.  kText: most bytes
  const char* standard;  // the default, as text
  const char* choices;   // kChoice: separated by spaces
  const char* help;      // one line
};

[[nodiscard]] const SettingInfo& setting_info(Setting id);
// By key or alias, in any case, '-' for '_'. Null when there is none.
[[nodiscard]] const SettingInfo* find_setting(Str key);
// The key nearest to a mistyped one, or an empty text.
[[nodiscard]] Str nearest_setting(Str key);
// A key of the prior system that has no meaning here: why not, in half a sentence. Null for any
// other.
[[nodiscard]] const char* why_retired(Str key);
// Fixed words: "at the next start", "when a model is loaded", "at the next answer", "at once".
[[nodiscard]] Str setting_when_text(SettingWhen when);

// Cuts the first of the words that are separated by spaces off `words`; an empty result means there
// was none.
[[nodiscard]] Str take_word(Str& words);
// Position of `value` among the words of `choices`, or -1. Case does not count, '-' is '_'.
[[nodiscard]] i64 choice_index(Str choices, Str value);

}  // namespace lbm
