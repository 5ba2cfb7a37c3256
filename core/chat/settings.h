// The settings: one table behind repl.cfg, /set, /cfg, the flags of a host, and repl.cfg.example.
//
// A setting is known by its enumerator in code and by its key or an alias in text. Values are
// checked where they enter, so whoever reads one needs no check. repl.cfg is `key=value` (or `key
// value`) a line, `#` and `;` comments, BOM and CRLF tolerated, quotes optional, of any size; a
// line that is wrong is named by its number and ignored. The last of equal keys wins, but of
// `model` the first: that is what the prior system did, and tools append to its files.
#pragma once

#include "core/base/fmt.h"
#include "core/base/result.h"
#include "core/base/span.h"
#include "core/chat/settings_table.h"
#include "core/infer/sampler.h"
#include "core/infer/session.h"

namespace lbm {

// Told about every line of a config that was ignored.
class ConfigObserver {
 public:
  virtual void on_bad_line(u32 line, const Error& error) = 0;

 protected:
  ~ConfigObserver() = default;
};

class Settings {
 public:
  static constexpr usize kMaxTextBytes = 4096;   // of the system prompt
  static constexpr usize kShortTextBytes = 256;  // of every other text
  enum class Origin : u8 { kStandard, kConfig, kHost, kCommand };

  Settings() { reset(); }
  Settings(const Settings&) = delete;
  Settings& operator=(const Settings&) = delete;
  // Every setting back to its default.
  void reset();

  // Errors, with the key as subject; the setting keeps its value:
  //   kNotFound  no such key.   kLimit  text too long.
  //   kBadValue  not of the type, out of range, or not one of the choices.
  //   kUnsupported  a key of the prior system that has no meaning here, with the reason.
  [[nodiscard]] Status set(Str key, Str value, Origin origin = Origin::kCommand);
  // Reads a repl.cfg. Returns how many lines were ignored. Every one was told to `observer` (may be
  // null).
  u32 read_config(Str text, ConfigObserver* observer);

  [[nodiscard]] bool flag(Setting id) const;
  [[nodiscard]] i64 integer(Setting id) const;
  [[nodiscard]] f64 real(Setting id) const;
  [[nodiscard]] Str text(Setting id) const;  // kText and kChoice
  [[nodiscard]] Origin origin(Setting id) const { return origins_[static_cast<u32>(id)]; }
  // The value as text, as set() would take it.
  [[nodiscard]] Str show(Setting id, Span<char> out) const;

  // A seed of -1 comes out as 0: the caller draws one.
  [[nodiscard]] SamplerParams sampler_params() const;
  [[nodiscard]] SessionParams session_params() const;

 private:
  f64 reals_[kSettingCount];
  i64 integers_[kSettingCount];
  u16 sizes_[kSettingCount];
  Origin origins_[kSettingCount];
  char system_[kMaxTextBytes];
  char texts_[kSettingCount][kShortTextBytes];
  [[nodiscard]] Span<char> storage(Setting id);
  [[nodiscard]] Status assign(const SettingInfo& info, Str value, Origin origin);
};

// Takes the lines of repl.cfg.example, in order.
class LineSink {
 public:
  virtual void on_line(Str line) = 0;

 protected:
  ~LineSink() = default;
};
// Generates repl.cfg.example: every setting with its help, range and default, all commented out.
void write_example_config(LineSink& sink);

}  // namespace lbm
