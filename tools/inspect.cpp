// lbm inspect: what is in a model file, whether it runs here, and if not, the reason.
//
// What a file is decides who explains it: models by inspect_model.cpp, artifacts that are not run
// by foreign_artifact.cpp. A file whose container is sound is always reported; a broken one is an
// error with the place of the damage (exit code 3), and what could be read before it.
#include "core/format/sniff.h"
#include "tools/command.h"
#include "tools/foreign_artifact.h"
#include "tools/inspect_model.h"
#include "tools/loaded_model.h"
#include "tools/model_reader.h"

namespace lbm::cli {
namespace {

FileKind kind_of(ByteSource& source) {
  u8 bytes[kSniffBytes] = {};
  const Span<u8> head = Span<u8>(bytes).first(
      static_cast<usize>(source.size() < kSniffBytes ? source.size() : kSniffBytes));
  if (!source.read(0, head).ok()) return FileKind::kUnknown;
  return sniff(head, source.size());
}

// "key: value" for every member, nested ones indented.
std::string plain_text(const Json& value, const std::string& indent) {
  std::string out;
  for (const auto& [key, member] : value.items()) {
    out += indent + printable(to_str(key)) + ": ";
    if (member.is_object() && !member.empty()) {
      out += "\n" + plain_text(member, indent + "  ");
    } else {
      const std::string text = member.is_string()
                                   ? member.get<std::string>()
                                   : member.dump(-1, ' ', false, Json::error_handler_t::replace);
      out += printable(to_str(text)) + "\n";
    }
  }
  return out;
}

// After the error of a broken file: what it is, as far as that can be told.
[[noreturn]] void report_broken(const InspectFlags& flags, const CommandError& error) {
  const FileKind kind = kind_of(*open_model_source(flags.path));
  Json read;
  read["kind"] = to_string(file_kind_name(kind));
  if (kind == FileKind::kGguf) {
    if (const Json found = inspect_broken_gguf(flags.path); !found.is_null())
      read["header"] = found;
  }
  if (flags.json) {
    print_json({{"file", flags.path}, {"error", error.what()}, {"read", read}});
    throw error;
  }
  if (kind == FileKind::kTooShort || kind == FileKind::kUnknown) throw error;
  throw CommandError(error.code(),
                     std::string(error.what()) + "\nread before that:\n" + plain_text(read, "  "));
}

ExitCode run(const InspectFlags& flags) {
  if (const Json foreign = describe_foreign_artifact(flags.path); !foreign.is_null()) {
    if (flags.json) {
      print_json(foreign);
    } else {
      write_stdout(foreign_artifact_text(foreign));
    }
    return ExitCode::kOk;
  }
  try {
    const Json report = inspect_model(flags);
    if (flags.json) {
      print_json(report);
    } else {
      write_stdout(inspection_text(report, flags));
    }
  } catch (const CommandError& error) {
    if (error.code() != ExitCode::kModel) throw;
    report_broken(flags, error);
  }
  return ExitCode::kOk;
}

Action declare(CLI::App& app) {
  auto flags = std::make_shared<InspectFlags>();
  app.add_option("FILE,-m,--model", flags->path,
                 "model file (GGUF, .slm, llama2.c .bin), or one to be explained (CLIF-1, SCXM)")
      ->required()
      ->envname("LBM_MODEL")
      ->type_name("FILE");
  declare_tokenizer_path(app, flags->tokenizer);
  app.add_option("-c,--ctx-size", flags->n_ctx,
                 "plan memory for N tokens (default: min(trained, 4096))")
      ->type_name("N");
  declare_kv(app, flags->kv);
  app.add_flag("--tensors", flags->tensors, "list the tensors too");
  app.add_flag("--metadata", flags->metadata, "list the metadata too (--json always has it)");
  app.add_flag("--json", flags->json, "one JSON object");
  return [flags] { return run(*flags); };
}

}  // namespace

const Command kInspectCommand = {"inspect", "what is in a model file, and does it run here",
                                 "  lbm inspect model.gguf\n"
                                 "  lbm inspect model-00001-of-00003.gguf --tensors\n"
                                 "  lbm inspect model.gguf --metadata\n"
                                 "  lbm inspect model.gguf --json | jq .memory",
                                 declare};

}  // namespace lbm::cli
