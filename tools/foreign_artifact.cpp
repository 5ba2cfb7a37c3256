// See foreign_artifact.h.
#include "tools/foreign_artifact.h"

#include "tools/clif.h"
#include "tools/input.h"
#include "tools/model_reader.h"
#include "tools/scxm.h"
#include "tools/strict_json.h"

namespace lbm::cli {
namespace {

std::string row(const std::string& label, const std::string& text) {
  return format("%-13s%s\n", label.c_str(), text.c_str());
}

}  // namespace

Json describe_foreign_artifact(const std::string& path) {
  const std::unique_ptr<FileSource> source = open_model_source(path);
  Json report;
  if (is_clif(*source)) {
    report = describe_clif(*source, expect(read_clif(*source), path, Stage::kModel));
  } else if (is_scxm(*source)) {
    report = describe_scxm(*source, expect(read_scxm(*source), path, Stage::kModel));
  } else {
    return nullptr;
  }
  report["file"] = path;
  return report;
}

std::string foreign_artifact_text(const Json& report) {
  std::string out = row("file", printable(to_str(report["file"].get<std::string>())) + ", " +
                                    format_bytes(report["size_bytes"].get<u64>()));
  out += row("format", report["format"].get<std::string>());
  for (const char* key : {"n_embd", "n_layer", "n_vocab", "n_tensor", "n_value", "payload_bytes"}) {
    if (report.contains(key)) out += row(key, report[key].dump());
  }
  for (const char* key : {"quantization", "checksum", "sha256_footer"}) {
    if (report.contains(key)) out += row(key, report[key].get<std::string>());
  }
  out += row("runs here", "no");
  for (const Json& problem : report["problems"]) out += row("", problem.get<std::string>());
  return out;
}

bool import_foreign_artifact(const std::string& in_path, const std::string& out_path,
                             const std::string& shapes_path) {
  const std::unique_ptr<FileSource> source = open_model_source(in_path);
  if (is_clif(*source)) {
    static_cast<void>(expect(read_clif(*source), in_path, Stage::kModel));
    throw_error(clif_import_refusal(), in_path, Stage::kModel);
  }
  if (!is_scxm(*source)) return false;
  const ScxmFile file = expect(read_scxm(*source), in_path, Stage::kModel);
  const Json shapes =
      shapes_path.empty() ? Json() : parse_strict_json(read_file(shapes_path), shapes_path);
  import_scxm(*source, file, shapes, out_path);
  return true;
}

}  // namespace lbm::cli
