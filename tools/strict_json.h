// JSON that was written by somebody else and decides what happens next: manifests and shard
// indexes.
//
// Stricter than JSON itself: a key that is given twice is refused (readers disagree about which one
// counts, which is how a file can say one thing to a checker and another to a user), nesting and
// size are bounded, and an object is read through Fields, which knows every key that may stand in
// it.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "core/base/sha256.h"
#include "tools/output.h"

namespace lbm::cli {

inline constexpr usize kMaxJsonBytes = 64 * kMiB;
inline constexpr int kMaxStrictDepth = 16;

// Parses `text`; `name` is the file, for messages. Throws CommandError (`code`) naming the byte or
// the key: [bad_syntax], [duplicate], [limit].
[[nodiscard]] Json parse_strict_json(const std::string& text, const std::string& name,
                                     ExitCode code = ExitCode::kModel);

// "manifest.json: files[2].sha256: needs 64 hexadecimal digits [bad_value]" as a CommandError.
[[noreturn]] void refuse(ExitCode code, const std::string& where, const std::string& what,
                         ErrorCode error);

// The fields of one object. Every getter names its key; done() then refuses whatever was not asked
// for, except keys that begin with "x-", which are anybody's. All throw CommandError (kModel).
class Fields {
 public:
  // `path` is where the object stands: "manifest.json: files[2]".
  Fields(const Json& object, std::string path);

  [[nodiscard]] std::string text(const char* key);
  [[nodiscard]] std::string text_or(const char* key, const std::string& standard);
  [[nodiscard]] u64 number(const char* key, u64 low, u64 high);
  [[nodiscard]] u64 number_or(const char* key, u64 low, u64 high, u64 standard);
  [[nodiscard]] bool flag(const char* key);
  [[nodiscard]] Sha256Digest digest(const char* key);
  // An array; an empty one where the key is absent and `is_required` is not set.
  [[nodiscard]] const Json& array(const char* key, bool is_required = true);
  // The value, or null where the key is absent.
  [[nodiscard]] const Json* optional(const char* key);
  void done() const;

  [[nodiscard]] std::string where(const char* key) const { return path_ + "." + key; }

 private:
  [[nodiscard]] const Json& required(const char* key);

  const Json& object_;
  std::string path_;
  std::set<std::string> known_;
};

// ^[A-Za-z0-9._-]{1,128}$, and neither "." nor "..": a name that stays in its folder on every file
// system.
[[nodiscard]] bool is_plain_name(const std::string& name);

}  // namespace lbm::cli
