// lbm version: what this binary is, for bug reports.
#include "core/tensor/dtype.h"
#include "kernels/cpu_features.h"
#include "kernels/select.h"
#include "tools/command.h"

// Given by the build: mk/.
#ifndef LBM_VERSION
#define LBM_VERSION "0.1.0-dev"
#endif

namespace lbm::cli {
namespace {

std::string compiler() {
#if defined(__clang__)
  return std::string("clang ") + __clang_version__;
#else
  return std::string("gcc ") + __VERSION__;
#endif
}

Json describe_build() {
  const CpuFeatures features = detect_cpu_features();
  const KernelTable* tables[8] = {};
  const u32 n_table = usable_kernel_tables(features, tables);
  Json isa = Json::array();
  for (u32 i = 0; i < n_table; ++i) isa.push_back(tables[i]->name);
  Json types = Json::array();
  for (u32 id = 0; id < kDTypeLimit; ++id) {
    const DTypeTraits traits = dtype_traits(static_cast<DType>(id));
    if (traits.is_weight) types.push_back(traits.name);
  }
  Json out;
  out["version"] = version_text();
  out["compiler"] = compiler();
  out["cpu"] = features.brand;
  out["isa"] = isa;
  out["weight_types"] = types;
  return out;
}

std::string joined(const Json& list) {
  std::string out;
  for (const Json& item : list) out += (out.empty() ? "" : " ") + item.get<std::string>();
  return out;
}

Action declare(CLI::App& app) {
  auto json = std::make_shared<bool>(false);
  app.add_flag("--json", *json, "one JSON object");
  return [json] {
    const Json build = describe_build();
    if (*json) {
      print_json(build);
      return ExitCode::kOk;
    }
    write_stdout(std::string("lbm ") + version_text() + "\n" + "compiler      " +
                 build["compiler"].get<std::string>() + "\ncpu           " +
                 build["cpu"].get<std::string>() + "\nisa           " + joined(build["isa"]) +
                 "\nweight types  " + joined(build["weight_types"]) + "\n");
    return ExitCode::kOk;
  };
}

}  // namespace

const char* version_text() { return LBM_VERSION; }

const Command kVersionCommand = {
    "version", "version, compiler, instruction sets and weight types of this build",
    "  lbm version\n  lbm version --json", declare};

}  // namespace lbm::cli
