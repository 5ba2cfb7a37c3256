// Where the pieces of a file are read from: a folder, or a web server. Both give exactly the bytes
// that were asked for, or a typed error.
#pragma once

#include <memory>
#include <string>

#include "tools/output.h"

namespace lbm::cli {

// What went wrong with a piece, and whether asking again may help.
class FetchError : public CommandError {
 public:
  FetchError(const std::string& message, ErrorCode code, bool may_retry)
      : CommandError(ExitCode::kRuntime, message + " [" + to_string(error_code_name(code)) + "]"),
        may_retry_(may_retry) {}
  [[nodiscard]] bool may_retry() const { return may_retry_; }

 private:
  bool may_retry_;
};

class ShardSource {
 public:
  ShardSource() = default;
  ShardSource(const ShardSource&) = delete;
  ShardSource& operator=(const ShardSource&) = delete;
  virtual ~ShardSource() = default;

  // All of `name`, which is at most `limit` bytes. Throws FetchError.
  [[nodiscard]] virtual std::string read_all(const std::string& name, u64 limit) = 0;
  // Exactly `size` bytes at `offset` of `name`; `whole_size` is that of the file, 0 where it is not
  // known. Throws FetchError.
  [[nodiscard]] virtual std::string read_part(const std::string& name, u64 offset, u64 size,
                                              u64 whole_size) = 0;
};

struct HttpOptions {
  bool follow_elsewhere = false;  // redirects to other hosts
  int timeout_s = 30;             // of silence
};

// `place` is the folder (or "http://..." address) in which the files lie. Throws CommandError
// (kUsage) for an address that is none.
[[nodiscard]] std::unique_ptr<ShardSource> open_shard_source(const std::string& place,
                                                             const HttpOptions& options);
[[nodiscard]] bool is_web_address(const std::string& place);
// "http://host/a/b.json" -> "http://host/a" and "b.json"; the same for paths.
void split_place(const std::string& place, std::string& folder, std::string& name);

}  // namespace lbm::cli
