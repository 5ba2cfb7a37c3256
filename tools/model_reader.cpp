#include "tools/model_reader.h"

namespace lbm::cli {
namespace {

// Metadata is at most 64 MiB (core/format/limits.h); the indexes of a tokenizer stay below ten
// times that.
constexpr u64 kReaderMemory = 4 * kGiB;

}  // namespace

std::unique_ptr<FileSource> open_model_source(const std::string& path) {
  return expect(FileSource::open(path), path, Stage::kModel);
}

ModelReader::ModelReader(const std::string& path) : ModelReader(path, Options()) {}

ModelReader::ModelReader(const std::string& path, const Options& options)
    : path_(path),
      memory_(kReaderMemory),
      arena_(memory_.span()),
      source_(open_model_source(path)) {
  OpenOptions open_options;
  open_options.without_tokenizer = options.without_tokenizer;
  if (!options.tokenizer.empty()) {
    tokenizer_source_ = open_model_source(options.tokenizer);
    open_options.tokenizer = tokenizer_source_.get();
  }
  file_ = std::make_unique<ModelFile>(
      expect(ModelFile::open(*source_, arena_, open_options), path_, Stage::kModel));
}

Result<const Tokenizer*> ModelReader::try_tokenizer() {
  if (tokenizer_ == nullptr) {
    Result<Tokenizer*> made = Tokenizer::create(arena_, *file_);
    if (!made.ok()) return made.error();
    tokenizer_ = made.value();
  }
  return tokenizer_;
}

const Tokenizer& ModelReader::tokenizer() { return *expect(try_tokenizer(), path_, Stage::kModel); }

std::vector<u32> encode_text(const Tokenizer& tokenizer, const std::string& text,
                             EncodeOptions options) {
  ReservedMemory memory(tokenizer.scratch_bytes(text.size()) + kMiB);
  Arena scratch(memory.span());
  std::vector<u32> ids(text.size() + 3);
  const u32 n =
      expect(tokenizer.encode(to_str(text), options, Span<u32>(ids.data(), ids.size()), scratch),
             "", Stage::kRun);
  ids.resize(n);
  return ids;
}

std::string decode_ids(const Tokenizer& tokenizer, const std::vector<u32>& ids) {
  for (const u32 id : ids) {
    if (id < tokenizer.n_vocab()) continue;
    throw CommandError(ExitCode::kUsage, format("token id %u is not in the vocabulary (0 to %u)",
                                                id, tokenizer.n_vocab() - 1));
  }
  std::string text(ids.size() * tokenizer.max_piece_bytes() + 1, '\0');
  const Str decoded =
      expect(tokenizer.decode(Span<const u32>(ids.data(), ids.size()), /*show_special=*/true,
                              /*at_start=*/true, Span<char>(text.data(), text.size())),
             "", Stage::kRun);
  return to_string(decoded);
}

}  // namespace lbm::cli
