// lbm convert: any model that can be read, as GGUF or .slm.
//
// A folder is a Hugging Face model (hf_directory.h): its tensors are renamed and rearranged, its
// numbers and its vocabulary become metadata. A file is whatever model_file.h recognises. The
// weights may be quantized on the way; they stream, and the new file appears under its name when it
// is complete.
#include <filesystem>

#include "tools/command.h"
#include "tools/foreign_artifact.h"
#include "tools/hf_tensors.h"
#include "tools/hf_vocabulary.h"
#include "tools/interrupt.h"
#include "tools/quantize_mix.h"
#include "tools/requantize.h"
#include "tools/slm_writer.h"
#include "tools/thread_pool.h"

namespace lbm::cli {
namespace {

struct ConvertFlags {
  std::string input;
  std::string output;
  std::string type = "auto";
  std::string name;
  std::string importance;
  std::string shapes;
  u32 n_thread = 0;
  bool json = false;
};

// "135M", "8x7.2B": what files are named by.
std::string size_label(const std::vector<GgufTensor>& tensors, u64 n_expert) {
  u64 n_element = 0;
  for (const GgufTensor& tensor : tensors) {
    const u64 n = n_row(tensor) * n_column(tensor);
    const bool experts = n_expert > 0 && tensor.name.find("_exps.") != std::string::npos;
    n_element += experts ? n / n_expert : n;
  }
  const f64 n = static_cast<f64>(n_element);
  const f64 unit = n > 1e12 ? 1e12 : n > 1e9 ? 1e9 : n > 1e6 ? 1e6 : 1e3;
  const char* suffix = n > 1e12 ? "T" : n > 1e9 ? "B" : n > 1e6 ? "M" : "K";
  // Two digits at least.
  const int n_decimal = n / unit <= 0.5 ? 2 : n / unit < 9.5 ? 1 : 0;
  const std::string text = format("%.*f%s", n_decimal, n / unit, suffix);
  return n_expert > 0 ? std::to_string(n_expert) + "x" + text : text;
}

const Mix& find_type(const std::string& name) {
  const Mix* mix = find_mix(name);
  if (mix != nullptr) return *mix;
  throw CommandError(ExitCode::kUsage,
                     "--type " + name + ": no such type; there are auto, " + mix_names());
}

// What every conversion ends with.
class Conversion {
 public:
  explicit Conversion(const ConvertFlags& flags) : flags_(flags) {
    if (!flags.importance.empty()) importance_ = ImportanceMatrix(flags.importance);
  }

  [[nodiscard]] MixOptions options(const Mix& mix) const {
    MixOptions options;
    options.mix = &mix;
    options.has_importance = !importance_.empty();
    return options;
  }

  // Writes the tensors of `source`; `after` are they with their new types.
  void write(TensorSource& source, const GgufMetadata& meta, const std::vector<GgufTensor>& after) {
    install_interrupt_handler();
    ThreadPool workers(flags_.n_thread == 0 ? count_physical_cores() : flags_.n_thread);
    TensorStream stream(source, workers, importance_, flags_.input);
    GgufWriter out(flags_.output, meta, after);
    stream.write_all(after, out);
    out.finish();
  }

  void report(const std::string& from, const std::string& type,
              const std::vector<GgufTensor>& tensors,
              const std::vector<std::string>& left_out) const {
    u64 n_byte = 0;
    for (const GgufTensor& tensor : tensors) n_byte += tensor.n_byte();
    if (flags_.json) {
      print_json({{"input", flags_.input},
                  {"output", flags_.output},
                  {"from", from},
                  {"type", type},
                  {"n_tensor", tensors.size()},
                  {"bytes", n_byte},
                  {"left_out", left_out}});
      return;
    }
    for (const std::string& name : left_out) notice("left out: " + printable(to_str(name)));
    write_stdout(format("%s: %s, %s, %zu tensors, %s\n", flags_.output.c_str(), from.c_str(),
                        type.c_str(), tensors.size(), format_bytes(n_byte).c_str()));
  }

 private:
  const ConvertFlags& flags_;
  ImportanceMatrix importance_;
};

// ---- Hugging Face -------------------------------------------------------------------------------

ModelShape shape_of(const HfFamily& family, const Json& config, const std::string& path) {
  ModelShape shape;
  shape.architecture = family.architecture;
  shape.n_layer = config_u64(config, {"num_hidden_layers"}, path);
  if (!first_of(config, {"num_local_experts", "num_experts"}).is_null())
    shape.n_expert = config_u64(config, {"num_local_experts", "num_experts"}, path);
  if (!first_of(config, {"num_key_value_heads"}).is_null()) {
    shape.n_query_per_key = config_u64(config, {"num_attention_heads"}, path) /
                            config_u64(config, {"num_key_value_heads"}, path);
  }
  return shape;
}

void convert_directory(const ConvertFlags& flags) {
  const HfDirectory directory(flags.input);
  const std::string config_path = directory.path_of("config.json");
  const HfFamily& family = find_hf_family(directory.config(), config_path);
  const ModelShape shape = shape_of(family, directory.config(), config_path);
  HfTensors source(directory, family, embedding_rows(directory, family));
  const Mix& mix =
      find_type(flags.type == "auto" ? dtype_traits(source.stored_as()).name : flags.type);
  Conversion conversion(flags);
  std::vector<GgufTensor> after = source.tensors();
  const std::vector<TensorType> types = choose_types(after, shape, conversion.options(mix));
  for (usize i = 0; i < after.size(); ++i)
    after[i].dtype = is_quantizable(after[i]) ? types[i].type : DType::kF32;

  GgufMetadata meta;
  meta.set_text("general.architecture", family.architecture);
  meta.set_text("general.type", "model");
  meta.set_text("general.name", flags.name.empty() ? directory.name() : flags.name);
  meta.set_text("general.size_label", size_label(after, shape.n_expert));
  set_model_numbers(family, directory.config(), config_path, meta);
  meta.set_u32("general.file_type", mix.file_type);
  set_vocabulary(directory, family, meta);
  meta.set_u32("general.quantization_version", 2);
  conversion.write(source, meta, after);
  conversion.report(family.hf_name, mix.name, after, source.left_out());
}

// ---- files --------------------------------------------------------------------------------------

bool has_extension(const std::string& path, const char* extension) {
  return std::filesystem::path(path).extension() == extension;
}

void convert_file(const ConvertFlags& flags) {
  ModelReader reader(flags.input);
  const ModelFile& file = reader.file();
  const std::string from = to_string(file_format_name(file.format()));
  ModelTensors source(reader);
  Conversion conversion(flags);
  if (has_extension(flags.output, ".slm")) {
    SlmWeights weights = SlmWeights::kExact;
    if (flags.type != "auto" && !parse_slm_weights(flags.type, weights)) {
      throw CommandError(ExitCode::kUsage, "--type " + flags.type +
                                               ": .slm has exact (the default), f32, q8_0, q4_0");
    }
    write_slm(flags.output, file, weights);
    conversion.report(from, ".slm", source.tensors(), {});
    return;
  }
  GgufMetadata meta;
  meta.copy_from(file);
  std::vector<GgufTensor> after = source.tensors();
  std::string type = "types as they were";
  if (flags.type != "auto") {
    const Mix& mix = find_type(flags.type);
    const std::vector<TensorType> types =
        choose_types(after, model_shape(file), conversion.options(mix));
    for (usize i = 0; i < after.size(); ++i) after[i].dtype = types[i].type;
    meta.set_u32("general.file_type", mix.file_type);
    meta.set_u32("general.quantization_version", 2);
    type = mix.name;
  }
  conversion.write(source, meta, after);
  conversion.report(from, type, after, {});
}

ExitCode run(const ConvertFlags& flags) {
  std::error_code ignored;
  if (std::filesystem::is_directory(flags.input, ignored)) {
    convert_directory(flags);
  } else if (import_foreign_artifact(flags.input, flags.output, flags.shapes)) {
    if (flags.json) {
      print_json({{"input", flags.input}, {"output", flags.output}});
    } else {
      write_stdout(format("%s: a container of tensors, no model\n", flags.output.c_str()));
    }
  } else {
    convert_file(flags);
  }
  return ExitCode::kOk;
}

Action declare(CLI::App& app) {
  auto flags = std::make_shared<ConvertFlags>();
  app.add_option("INPUT", flags->input, "Hugging Face folder, or a model file")->required();
  app.add_option("OUTPUT", flags->output, "file to write: .gguf, or .slm")->required();
  app.add_option("--shapes", flags->shapes,
                 "JSON file {\"name\": [rows, columns], ...} with the shapes that SCXM lacks");
  app.add_option("--type", flags->type,
                 "type of the weights (default auto: as they are stored); any of lbm quantize")
      ->type_name("TYPE");
  app.add_option("--name", flags->name, "general.name (default: that of the folder)")
      ->type_name("TEXT");
  app.add_option("--imatrix", flags->importance, "importance matrix, where --type quantizes")
      ->type_name("FILE");
  app.add_option("-t,--threads", flags->n_thread, "threads (default: physical cores)")
      ->check(CLI::Range(1u, ThreadPool::kMaxThreads))
      ->type_name("N");
  app.add_flag("--json", flags->json, "one JSON object");
  return [flags] { return run(*flags); };
}

}  // namespace

const Command kConvertCommand = {"convert", "a Hugging Face model, or any model file, as GGUF",
                                 "  lbm convert ./SmolLM2-135M-Instruct model.gguf\n"
                                 "  lbm convert ./Qwen3-0.6B model.gguf --type Q4_K_M\n"
                                 "  lbm convert stories15M.bin stories15M.gguf\n"
                                 "  lbm convert model.gguf model.slm",
                                 declare};

}  // namespace lbm::cli
