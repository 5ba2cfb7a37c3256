// lbm version: what this binary is, for bug reports.
#include "core/tensor/dtype.h"
#include "kernels/select.h"
#include "tools/command.h"
#include "tools/cpu.h"
#include "tools/platform_posix.h"

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

// What "auto" means on this machine, at this moment: the name of most entries, and by phase the
// names of the others with their types.
Json describe_trial(const CpuFeatures& features) {
  PosixClock clock;
  const auto now = [](void* context) { return static_cast<PosixClock*>(context)->now_us(); };
  const u64 start_us = clock.now_us();
  KernelTable fastest = {};
  compose_fastest(features, {now, &clock}, fastest);
  Json out;
  out["name"] = fastest.name;
  for (u32 id = 0; id < kDTypeLimit; ++id) {
    const char* type = dtype_traits(static_cast<DType>(id)).name;
    if (fastest.decode[id] == nullptr) continue;
    if (fastest.decode_from[id] != out["name"])
      out["decode"][fastest.decode_from[id]].push_back(type);
    if (fastest.prefill_from[id] != out["name"])
      out["prefill"][fastest.prefill_from[id]].push_back(type);
  }
  out["trial_us"] = clock.now_us() - start_us;
  return out;
}

Json describe_build() {
  const CpuFeatures features = usable_cpu_features();
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
  out["sha_ni"] = features.sha;
  out["fastest"] = describe_trial(features);
  out["weight_types"] = types;
  return out;
}

std::string joined(const Json& list) {
  std::string out;
  for (const Json& item : list) out += (out.empty() ? "" : " ") + item.get<std::string>();
  return out;
}

// "avx512; prefill: amx (Q4_0 Q4_1)"
std::string fastest_line(const Json& fastest) {
  std::string out = fastest["name"].get<std::string>();
  for (const char* phase : {"decode", "prefill"}) {
    if (!fastest.contains(phase)) continue;
    out += std::string("; ") + phase + ":";
    for (const auto& [table, types] : fastest[phase].items())
      out += " " + table + " (" + joined(types) + ")";
  }
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
                 (build["sha_ni"].get<bool>() ? ", SHA-NI" : "") + "\nfastest       " +
                 fastest_line(build["fastest"]) + "\nweight types  " +
                 joined(build["weight_types"]) + "\n");
    return ExitCode::kOk;
  };
}

}  // namespace

const char* version_text() { return LBM_VERSION; }

const Command kVersionCommand = {
    "version", "version, compiler, instruction sets and weight types of this build",
    "  lbm version\n  lbm version --json", declare};

}  // namespace lbm::cli
