// libFuzzer on what `lbm serve` reads of strangers: heads of requests and all that is done with
// them, and the bodies of every path. The first byte says which.
#include <string>

#include "core/base/check.h"
#include "tools/serve_error.h"
#include "tools/serve_head.h"
#include "tools/serve_range.h"
#include "tools/serve_request.h"

namespace {

using namespace lbm;
using namespace lbm::cli;

const AccessPolicy& policy() {
  static const AccessPolicy made = [] {
    AccessPolicy out;
    out.hosts = {"127.0.0.1", "localhost", "[::1]"};
    out.origins = {"https://example.org"};
    out.port = 8080;
    out.api_key = "key";
    out.run_token = "00112233445566778899aabbccddeeff";
    return out;
  }();
  return made;
}

template <class Work>
void try_it(const Work& work) {
  try {
    work();
  } catch (const ApiError& error) {
    LBM_CHECK(error.status() >= 400 && error.status() < 600);
  }
}

void try_head(const std::string& bytes) {
  RequestHead head;
  bool is_read = false;
  try_it([&] {
    head = parse_request_head(bytes);
    is_read = true;
  });
  if (!is_read) return;
  // What the rest of the server relies on.
  LBM_CHECK(!head.path.empty() && head.path[0] == '/');
  LBM_CHECK(head.path.find('\0') == std::string::npos);
  LBM_CHECK(head.path.find('\\') == std::string::npos);
  LBM_CHECK(head.origin.find('\n') == std::string::npos);
  try_it([&] { policy().check_sender(head); });
  try_it([&] { policy().check_page(head); });
  try_it([&] { policy().check_key(head); });
  static_cast<void>(policy().needs_ticket(head));
  for (const u64 size : {u64{0}, u64{1}, u64{1000}, ~u64{0} >> 1}) {
    const ByteRange range = parse_range(head.range, head.if_range, size, "\"tag\"");
    LBM_CHECK(range.first <= size && range.n <= size - range.first);
  }
}

void try_body(const std::string& body) {
  try_it([&] { static_cast<void>(parse_chat_request(body)); });
  try_it([&] { static_cast<void>(parse_completion_request(body)); });
  try_it([&] { static_cast<void>(parse_native_request(body)); });
  try_it([&] { static_cast<void>(parse_embedding_request(body)); });
  try_it([&] { static_cast<void>(parse_tokenize_request(body)); });
  try_it([&] { static_cast<void>(parse_detokenize_request(body)); });
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const lbm::u8* data, lbm::usize size) {
  if (size == 0 || size > 64 * 1024) return 0;
  const std::string bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  if (data[0] % 2 == 0) {
    try_head(bytes);
  } else {
    try_body(bytes);
  }
  return 0;
}
