// lbm manifest: writes and checks what an artifact says of itself. docs/formats/manifest.md
#include <CLI/CLI.hpp>
#include <filesystem>

#include "tools/command.h"
#include "tools/file_writer.h"
#include "tools/input.h"
#include "tools/manifest.h"
#include "tools/strict_json.h"

namespace lbm::cli {
namespace {

namespace fs = std::filesystem;

struct ManifestFlags {
  bool is_make = false;
  std::vector<std::string> files;
  std::string manifest;
  std::string output = "manifest.json";
  std::string folder;
  std::string base;
  Manifest fields;
  u64 chunk_bytes = kDefaultChunkBytes;
  bool json = false;
};

ExitCode make(const ManifestFlags& flags) {
  Manifest manifest = flags.fields;
  manifest.tool = std::string("lbm ") + version_text();
  if (!flags.base.empty()) {
    manifest.has_base = true;
    if (!parse_hex_digest(to_str(flags.base), manifest.base_sha256))
      manifest.base_sha256 = hash_file(flags.base, "base", flags.chunk_bytes).sha256;
  }
  for (const std::string& path : flags.files)
    manifest.files.push_back(
        hash_file(path, fs::path(path).filename().string(), flags.chunk_bytes));
  if (manifest.name.empty()) manifest.name = fs::path(flags.files.front()).stem().string();
  const std::string text = to_json(manifest).dump(1) + "\n";
  // What is written is what is read: the same rules hold for both.
  try {
    static_cast<void>(parse_manifest(text, "manifest"));
  } catch (const CommandError& error) {
    throw CommandError(ExitCode::kUsage, error.what());
  }
  if (flags.output == "-") {
    write_stdout(text);
    return ExitCode::kOk;
  }
  FileWriter writer(flags.output);
  writer.write(text.data(), text.size());
  writer.commit();
  notice(flags.output + ": " + std::to_string(manifest.files.size()) + " files");
  return ExitCode::kOk;
}

ExitCode check(const ManifestFlags& flags) {
  const Manifest manifest = parse_manifest(read_file(flags.manifest), flags.manifest);
  const fs::path parent = fs::path(flags.manifest).parent_path();
  const std::string beside = parent.empty() ? "." : parent.string();
  check_files(manifest, flags.folder.empty() ? beside : flags.folder);
  if (flags.json) {
    print_json({{"name", manifest.name},
                {"version", manifest.version},
                {"kind", manifest.kind},
                {"licence", manifest.licence},
                {"source_kind", manifest.source_kind},
                {"files", manifest.files.size()},
                {"ok", true}});
    return ExitCode::kOk;
  }
  write_stdout("OK: " + manifest.name + " " + manifest.version + ", " + manifest.kind + ", " +
               manifest.licence + ", " + manifest.source_kind + "\n");
  for (const HashedFile& file : manifest.files)
    write_stdout("  " + hex_of(file.sha256) + "  " + file.name + "\n");
  return ExitCode::kOk;
}

Action declare(CLI::App& app) {
  auto flags = std::make_shared<ManifestFlags>();
  Manifest& fields = flags->fields;
  fields.version = "1.0.0";
  fields.kind = "model";
  fields.source_kind = "trained";
  app.require_subcommand(1);
  CLI::App* make_app = app.add_subcommand("make", "hashes files and writes their manifest");
  make_app->add_option("files", flags->files, "the files, of one folder")
      ->required()
      ->type_name("FILE");
  make_app->add_option("-o,--output", flags->output, "the manifest (default: manifest.json)")
      ->type_name("FILE");
  make_app
      ->add_option("--licence,--license", fields.licence, "SPDX expression: Apache-2.0, MIT ...")
      ->required()
      ->type_name("SPDX");
  make_app->add_option("--source", fields.source, "where it comes from: an address, or words")
      ->required()
      ->type_name("TEXT");
  make_app->add_option("--name", fields.name, "(default: the first file's, without its extension)")
      ->type_name("NAME");
  make_app->add_option("--version", fields.version, "(default: 1.0.0)")->type_name("X.Y.Z");
  make_app->add_option("--kind", fields.kind, "model (default), tokenizer, adapter, module ...")
      ->type_name("KIND");
  make_app
      ->add_option("--source-kind", fields.source_kind,
                   "trained (default) or deterministic-smoke (random weights, for tests)")
      ->type_name("KIND");
  make_app->add_option("--base", flags->base, "what it was made of: a file, or its SHA-256")
      ->type_name("FILE");
  make_app->add_option("--quantization", fields.quantization, "Q4_1, Q8_0 ...")->type_name("TYPE");
  make_app->add_option("--chunk-size", flags->chunk_bytes, "bytes of a chunk (default: 4194304)")
      ->check(CLI::Range(kMinChunkBytes, kMaxChunkBytes))
      ->type_name("N");
  CLI::App* check_app =
      app.add_subcommand("check", "reads a manifest and every file that it names");
  check_app->add_option("manifest", flags->manifest, "the manifest")->required()->type_name("FILE");
  check_app->add_option("--folder", flags->folder, "where the files are (default: beside it)")
      ->type_name("DIR");
  check_app->add_flag("--json", flags->json, "the result as JSON");
  make_app->final_callback([flags] { flags->is_make = true; });
  return [flags] { return flags->is_make ? make(*flags) : check(*flags); };
}

}  // namespace

const Command kManifestCommand = {
    "manifest", "what an artifact is, where it comes from, and the hash of every byte of it",
    "  lbm manifest make model.gguf --licence Apache-2.0 --source https://host/model\n"
    "  lbm manifest check manifest.json",
    declare};

}  // namespace lbm::cli
