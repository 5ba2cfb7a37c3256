// Files on a static web server, read whole or in ranges.
#pragma once

#include "tools/shard_source.h"

namespace lbm::cli {

// `address` is that of the folder. Throws CommandError (kUsage) where it is none.
[[nodiscard]] std::unique_ptr<ShardSource> open_http_source(const std::string& address,
                                                            const HttpOptions& options);

// Why a redirect from one origin ("https://host:443") to another is not followed, for a message;
// empty where it is. From https to http none is.
[[nodiscard]] std::string redirect_problem(const std::string& from, const std::string& to,
                                           bool follow_elsewhere);

}  // namespace lbm::cli
