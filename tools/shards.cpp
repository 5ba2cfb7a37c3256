// lbm shards: a large file in pieces, with the hash of each. Made for static hosting, where a
// download breaks off and nothing on the way is to be believed. docs/formats/shards.md
#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>

#include "tools/command.h"
#include "tools/file_writer.h"
#include "tools/input.h"
#include "tools/interrupt.h"
#include "tools/manifest.h"
#include "tools/model_reader.h"
#include "tools/shard_assemble.h"
#include "tools/strict_json.h"

namespace lbm::cli {
namespace {

namespace fs = std::filesystem;

struct ShardFlags {
  enum class Verb : u8 { kNone, kPack, kVerify, kFetch, kAssemble };
  Verb verb = Verb::kNone;
  std::string input;  // a file, an index, or the address of one
  std::string output;
  std::string manifest;
  std::string expected;  // SHA-256
  u64 chunk_bytes = kDefaultChunkBytes;
  u32 n_retry = 3;
  bool ranges = false;
  bool json = false;
  HttpOptions http;
};

void write_text(const std::string& path, const std::string& text) {
  FileWriter writer(path);
  writer.write(text.data(), text.size());
  writer.commit();
}

// ---- pack ---------------------------------------------------------------------------------------

// The text of the manifest that allows `path` to be packed. Throws where it does not.
std::string admit(const ShardFlags& flags, const fs::path& path) {
  const std::string text = read_file(flags.manifest);
  const Manifest manifest = parse_manifest(text, flags.manifest);
  const bool is_listed =
      std::any_of(manifest.files.begin(), manifest.files.end(),
                  [&](const HashedFile& file) { return file.name == path.filename(); });
  if (!is_listed) {
    refuse(ExitCode::kModel, flags.manifest,
           "does not list '" + path.filename().string() + "': not packed", ErrorCode::kMissing);
  }
  check_files(manifest, path.parent_path().empty() ? "." : path.parent_path().string());
  return text;
}

std::string chunk_name(const std::string& name, usize number) {
  const std::string digits = std::to_string(number);
  return name + "." + std::string(digits.size() < 5 ? 5 - digits.size() : 0, '0') + digits;
}

ShardIndex cut(const ShardFlags& flags, const std::string& name, const fs::path& folder) {
  const std::unique_ptr<FileSource> source = open_model_source(flags.input);
  ShardIndex index;
  index.name = name;
  index.size = source->size();
  index.chunk_bytes = flags.chunk_bytes;
  Sha256 whole;
  std::vector<u8> bytes(static_cast<usize>(std::min(flags.chunk_bytes, index.size)));
  ProgressLine progress;
  for (u64 at = 0; at < index.size; at += flags.chunk_bytes) {
    const Span<u8> piece(bytes.data(),
                         static_cast<usize>(std::min(flags.chunk_bytes, index.size - at)));
    expect(source->read(at, piece), flags.input, Stage::kModel);
    whole.update(piece);
    Sha256 hash;
    hash.update(piece);
    Chunk chunk;
    chunk.offset = at;
    chunk.size = piece.size();
    chunk.sha256 = hash.finish();
    chunk.path = flags.ranges ? name : chunk_name(name, index.chunks.size());
    chunk.path_at = flags.ranges ? at : 0;
    if (!flags.ranges) {
      FileWriter writer((folder / chunk.path).string());
      writer.write(piece);
      writer.commit();
    }
    index.chunks.push_back(std::move(chunk));
    progress.show("packing " + format_bytes(at) + " of " + format_bytes(index.size));
  }
  index.sha256 = whole.finish();
  return index;
}

ExitCode pack(const ShardFlags& flags) {
  const fs::path path(flags.input);
  const std::string name = path.filename().string();
  if (!is_plain_name(name + ".manifest.json")) {  // the longest of the names that come of it
    throw CommandError(ExitCode::kUsage, "'" + printable(to_str(name)) +
                                             "': rename it: up to 114 of A-Z a-z 0-9 . _ -");
  }
  const std::string manifest = flags.manifest.empty() ? std::string() : admit(flags, path);
  const fs::path folder = flags.output.empty() ? path.parent_path() : fs::path(flags.output);
  std::error_code ignored;
  if (!folder.empty()) fs::create_directories(folder, ignored);  // the writer reports
  ShardIndex index = cut(flags, name, folder);
  if (!manifest.empty()) {
    write_text((folder / (name + ".manifest.json")).string(), manifest);
    Sha256 hash;
    hash.update(to_str(manifest).bytes());
    index.has_manifest = true;
    index.manifest_sha256 = hash.finish();
  }
  // The index comes last: where it stands, everything that it names does.
  const std::string index_path = (folder / (name + ".shards.json")).string();
  write_text(index_path, to_json(index).dump(1) + "\n");
  if (flags.json) {
    print_json({{"index", index_path},
                {"size", index.size},
                {"sha256", hex_of(index.sha256)},
                {"chunks", index.chunks.size()}});
  } else {
    write_stdout(index_path + ": " + std::to_string(index.chunks.size()) + " chunks, " +
                 format_bytes(index.size) + "\nsha256 " + hex_of(index.sha256) + "\n");
  }
  return ExitCode::kOk;
}

// ---- verify, fetch, assemble --------------------------------------------------------------------

struct OpenIndex {
  std::unique_ptr<ShardSource> source;
  ShardIndex index;
};

OpenIndex open_index(const ShardFlags& flags) {
  std::string folder;
  std::string name;
  split_place(flags.input, folder, name);
  if (!is_plain_name(name))
    throw CommandError(ExitCode::kUsage,
                       "'" + printable(to_str(flags.input)) + "': the name of an index is needed");
  OpenIndex open;
  open.source = open_shard_source(folder, flags.http);
  const std::string text = open.source->read_all(name, kMaxJsonBytes);
  open.index = parse_shard_index(text, name);
  if (!open.index.has_hashes) {
    notice(
        "warning: this kind of index has no hashes: nothing shows that the bytes are the right "
        "ones" +
        std::string(flags.expected.empty() ? " (--sha256 would)" : ""));
  }
  return open;
}

ExitCode verify(const ShardFlags& flags) {
  OpenIndex open = open_index(flags);
  const ShardIndex& index = open.index;
  Sha256 whole;
  Json bad = Json::array();
  for (usize i = 0; i < index.chunks.size(); ++i) {
    try {
      const std::string bytes = read_chunk(index, i, *open.source);
      whole.update(to_str(bytes).bytes());
    } catch (const CommandError& error) {
      bad.push_back({{"chunk", i}, {"error", error.what()}});
    }
    if (take_interrupt()) return ExitCode::kInterrupted;
  }
  const Sha256Digest digest = whole.finish();
  const bool is_whole = bad.empty() && (!index.has_hashes || digest == index.sha256);
  if (flags.json) {
    print_json({{"name", index.name},
                {"size", index.size},
                {"chunks", index.chunks.size()},
                {"bad", bad},
                {"sha256", bad.empty() ? Json(hex_of(digest)) : Json(nullptr)},
                {"ok", is_whole}});
  } else {
    for (const Json& entry : bad) write_stdout(entry["error"].get<std::string>() + "\n");
    write_stdout(index.name + ": " + std::to_string(index.chunks.size() - bad.size()) + " of " +
                 std::to_string(index.chunks.size()) + " chunks " +
                 (index.has_hashes ? "right" : "readable") +
                 (bad.empty() ? "\nsha256 " + hex_of(digest) : std::string()) + "\n");
  }
  if (bad.empty() && !is_whole)
    throw CommandError(ExitCode::kModel, index.name +
                                             ": the whole is not that of the index "
                                             "[bad_hash]");
  return is_whole ? ExitCode::kOk : ExitCode::kModel;
}

ExitCode bring_together(const ShardFlags& flags) {
  install_interrupt_handler();
  OpenIndex open = open_index(flags);
  Sha256Digest expected;
  if (!flags.expected.empty()) {
    if (!parse_hex_digest(to_str(flags.expected), expected))
      throw CommandError(ExitCode::kUsage, "--sha256 needs 64 hexadecimal digits");
    if (open.index.has_hashes && !(open.index.sha256 == expected)) {
      throw CommandError(ExitCode::kModel, flags.input +
                                               ": is the index of another file than --sha256 says "
                                               "[bad_hash]");
    }
    // From here on as if the index had said it.
    open.index.sha256 = expected;
  }
  const std::string output = flags.output.empty() ? open.index.name : flags.output;
  ProgressLine progress;
  AssembleOptions options;
  options.n_retry = flags.n_retry;
  options.expects_whole = open.index.has_hashes || !flags.expected.empty();
  options.on_progress = [&](u64 n_done, u64 n_total) {
    progress.show(format_bytes(n_done) + " of " + format_bytes(n_total));
  };
  const AssembleReport report = assemble(open.index, *open.source, output, options);
  progress.clear();
  if (flags.json) {
    print_json({{"file", output},
                {"size", open.index.size},
                {"sha256", hex_of(report.sha256)},
                {"kept", report.n_kept},
                {"read", report.n_read},
                {"retried", report.n_retried}});
  } else {
    write_stdout(output + ": " + format_bytes(open.index.size) + ", " +
                 std::to_string(report.n_read) + " chunks read, " + std::to_string(report.n_kept) +
                 " were there\nsha256 " + hex_of(report.sha256) + "\n");
  }
  return ExitCode::kOk;
}

// ---- flags --------------------------------------------------------------------------------------

void declare_pack(CLI::App& app, ShardFlags& flags) {
  CLI::App* sub = app.add_subcommand("pack", "cuts a file into chunks and writes the index");
  sub->add_option("file", flags.input, "the file")->required()->type_name("FILE");
  sub->add_option("-o,--output", flags.output, "folder (default: beside the file)")
      ->type_name("DIR");
  sub->add_option("--chunk-size", flags.chunk_bytes, "bytes of a chunk (default: 4194304)")
      ->check(CLI::Range(kMinChunkBytes, kMaxChunkBytes))
      ->type_name("N");
  sub->add_flag("--ranges", flags.ranges,
                "no chunk files: the index points into the file itself, for servers with ranges");
  sub->add_option("--manifest", flags.manifest,
                  "manifest of the file: packed along, and nothing is packed where it fails")
      ->type_name("FILE");
  sub->add_flag("--json", flags.json, "the result as JSON");
  sub->final_callback([&flags] { flags.verb = ShardFlags::Verb::kPack; });
}

void declare_reader(CLI::App& app, ShardFlags& flags, const char* name, const char* summary,
                    ShardFlags::Verb verb) {
  CLI::App* sub = app.add_subcommand(name, summary);
  const bool is_fetch = verb == ShardFlags::Verb::kFetch;
  sub->add_option("index", flags.input,
                  is_fetch ? "the index: an address or a path" : "the index, beside its chunks")
      ->required()
      ->type_name(is_fetch ? "URL" : "FILE");
  if (verb != ShardFlags::Verb::kVerify) {
    sub->add_option("-o,--output", flags.output, "the file (default: the name in the index)")
        ->type_name("FILE");
    sub->add_option("--sha256", flags.expected, "what the file must be")->type_name("HEX");
  }
  if (is_fetch) {
    sub->add_option("--retries", flags.n_retry,
                    "attempts beyond the first, of a chunk (default: 3)")
        ->check(CLI::Range(0u, 10u))
        ->type_name("N");
    sub->add_option("--timeout", flags.http.timeout_s, "seconds of silence (default: 30)")
        ->check(CLI::Range(1, 3600))
        ->type_name("S");
    sub->add_flag("--follow", flags.http.follow_elsewhere,
                  "follow redirects to other hosts; the hashes decide all the same");
  }
  sub->add_flag("--json", flags.json, "the result as JSON");
  sub->final_callback([&flags, verb] { flags.verb = verb; });
}

Action declare(CLI::App& app) {
  auto flags = std::make_shared<ShardFlags>();
  app.require_subcommand(1);
  declare_pack(app, *flags);
  declare_reader(app, *flags, "verify", "reads every chunk and says which are wrong",
                 ShardFlags::Verb::kVerify);
  declare_reader(app, *flags, "fetch",
                 "gets a file from a web server or a folder; goes on after a stop",
                 ShardFlags::Verb::kFetch);
  declare_reader(app, *flags, "assemble", "puts the file together from chunks on this machine",
                 ShardFlags::Verb::kAssemble);
  return [flags]() -> ExitCode {
    switch (flags->verb) {
      case ShardFlags::Verb::kPack: return pack(*flags);
      case ShardFlags::Verb::kVerify: return verify(*flags);
      case ShardFlags::Verb::kFetch: return bring_together(*flags);
      case ShardFlags::Verb::kAssemble:
        if (is_web_address(flags->input))
          throw CommandError(ExitCode::kUsage, "that is an address: lbm shards fetch");
        return bring_together(*flags);
      case ShardFlags::Verb::kNone: break;  // coverage: require_subcommand() sees to that
    }
    throw CommandError(ExitCode::kUsage, "pack, verify, fetch or assemble?");  // coverage: as above
  };
}

}  // namespace

const Command kShardsCommand = {
    "shards", "a large file in checked pieces: pack, verify, fetch, assemble",
    "  lbm shards pack model.gguf -o upload                       # 4 MiB chunks and an index\n"
    "  lbm shards pack model.gguf --ranges                        # an index only\n"
    "  lbm shards fetch https://host/m/model.gguf.shards.json     # stop and go on as you like\n"
    "  lbm shards verify upload/model.gguf.shards.json\n"
    "  lbm shards assemble upload/model.gguf.shards.json -o model.gguf",
    declare};

}  // namespace lbm::cli
