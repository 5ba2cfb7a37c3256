// lbm dequantize: raw blocks of a ggml type to f32, by the reference formulas of
// core/tensor/dequantize.h.
#include "core/tensor/dequantize.h"

#include "tools/command.h"
#include "tools/input.h"

namespace lbm::cli {
namespace {

struct DequantizeFlags {
  std::string type;
  std::string input;
  std::string output;
};

std::string known_types() {
  std::string names;
  for (u32 id = 0; id < kDTypeLimit; ++id) {
    const DType type = static_cast<DType>(id);
    if (can_dequantize(type))
      names += std::string(names.empty() ? "" : ", ") + dtype_traits(type).name;
  }
  return names;
}

ExitCode run(const DequantizeFlags& flags) {
  DType type = DType::kF32;
  if (!find_dtype(to_str(flags.type), type) || !can_dequantize(type)) {
    throw CommandError(ExitCode::kUsage,
                       "--type " + flags.type + ": no such type; there are " + known_types());
  }
  const DTypeTraits traits = dtype_traits(type);
  const std::string blocks = read_file(flags.input);
  if (blocks.size() % traits.block_bytes != 0) {
    throw CommandError(
        ExitCode::kUsage,
        flags.input + format(": %zu bytes are no whole number of %s blocks (%u bytes each)",
                             blocks.size(), traits.name, traits.block_bytes));
  }
  std::vector<f32> values(blocks.size() / traits.block_bytes * traits.block_size);
  expect(dequantize(type, to_str(blocks).bytes(), Span<f32>(values.data(), values.size())),
         flags.input, Stage::kRun);
  OutputFile out(flags.output);
  out.write(values.data(), values.size() * sizeof(f32));
  out.close();
  return ExitCode::kOk;
}

Action declare(CLI::App& app) {
  auto flags = std::make_shared<DequantizeFlags>();
  app.add_option("--type", flags->type, "type of the blocks, such as Q4_1")
      ->required()
      ->type_name("NAME");
  app.add_option("-i,--input", flags->input, "file of raw blocks, '-' for stdin")
      ->required()
      ->type_name("FILE");
  app.add_option("-o,--output", flags->output, "file of little-endian f32, '-' for stdout")
      ->required()
      ->type_name("FILE");
  return [flags] { return run(*flags); };
}

}  // namespace

const Command kDequantizeCommand = {"dequantize", "raw blocks of a quantized type to f32",
                                    "  lbm dequantize --type Q4_1 -i blocks.bin -o values.f32",
                                    declare};

}  // namespace lbm::cli
