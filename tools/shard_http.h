// Files on a static web server, read whole or in ranges.
#pragma once

#include "tools/shard_source.h"

namespace lbm::cli {

// `address` is that of the folder. Throws CommandError (kUsage) where it is none.
[[nodiscard]] std::unique_ptr<ShardSource> open_http_source(const std::string& address,
                                                            const HttpOptions& options);

}  // namespace lbm::cli
