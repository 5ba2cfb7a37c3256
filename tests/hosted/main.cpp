// main() of the hosted tests: Catch2's runner, and a closing line that a script can read: "N
// passed, N failed" test cases.
#if __has_include(<catch2/catch_all.hpp>)
#include <catch2/catch_all.hpp>
using ListenerBase = Catch::EventListenerBase;
#else
#define CATCH_CONFIG_RUNNER
#include <catch2/catch.hpp>
using ListenerBase = Catch::TestEventListenerBase;
#endif

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>

#include "tests/hosted/golden.h"
#include "tools/cpu.h"

namespace {

Catch::Totals g_totals;

class ClosingLine final : public ListenerBase {
 public:
  using ListenerBase::ListenerBase;
  void testRunEnded(Catch::TestRunStats const& stats) override { g_totals = stats.totals; }
};
CATCH_REGISTER_LISTENER(ClosingLine)

std::string path_if_there(const char* variable, const std::string& fallback,
                          const std::string& name) {
  const char* given = std::getenv(variable);
  const std::string path = (given != nullptr ? std::string(given) : fallback) + name;
  return std::filesystem::exists(path) ? path : std::string();
}

}  // namespace

namespace lbm::test {

std::string golden_path(const std::string& name) {
  return path_if_there("LBM_GOLDEN", "../shared/golden", "/" + name);
}

std::string default_model_path() {
  return path_if_there("LBM_MODEL", "models/cache/SmolLM2-135M-Instruct.Q4_1.gguf", "");
}

}  // namespace lbm::test

int main(int argc, char** argv) {
  // The tests take every table of the processor: Linux must have been asked for the state of some.
  static_cast<void>(lbm::cli::usable_cpu_features());
  const int result = Catch::Session().run(argc, argv);
  const auto& cases = g_totals.testCases;
  // A run that ended before it began (a wrong flag, --list-tests) has no counts to show.
  if (cases.total() > 0) {
    std::printf("%llu passed, %llu failed\n",
                static_cast<unsigned long long>(cases.passed + cases.failedButOk),
                static_cast<unsigned long long>(cases.failed));
  }
  return result;
}
