// See machine_report.h.
#include "tools/machine_report.h"

#include <sys/utsname.h>
#include <unistd.h>

#include <fstream>
#include <string>

#include "tools/cpu.h"
#include "tools/machine_limits.h"
#include "tools/output.h"
#include "tools/thread_pool.h"

namespace lbm::cli {
namespace {

// The first line of a small file; empty where there is none.
std::string first_line(const char* path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

}  // namespace

void describe_linux_machine(ConsolePrinter& out) {
  struct utsname system = {};
  if (uname(&system) == 0) {
    out.line("system     {} {} {}", static_cast<const char*>(system.sysname),
             static_cast<const char*>(system.release), static_cast<const char*>(system.machine));
  }
  const std::string maker = first_line("/sys/class/dmi/id/sys_vendor");
  const std::string product = first_line("/sys/class/dmi/id/product_name");
  if (!maker.empty()) out.line("machine    {} {}", to_str(maker), to_str(product));
  const CpuFeatures features = usable_cpu_features();
  out.line("cpu        {}{}{}{}{}", static_cast<const char*>(features.brand),
           features.avx2 ? ", avx2" : "", features.avx512 ? ", avx512" : "",
           features.amx ? ", amx" : "", features.sha ? ", sha" : "");
  out.line("cores      {} physical, {} logical", count_physical_cores(),
           static_cast<i64>(sysconf(_SC_NPROCESSORS_ONLN)));
  const char* const term = std::getenv("TERM");
  out.line("terminal   {}", term != nullptr ? term : "none");
}

}  // namespace lbm::cli
