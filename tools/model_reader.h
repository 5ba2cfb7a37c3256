// A model file opened for what it says about itself: metadata, tensor table, tokenizer. No weights
// are read.
#pragma once

#include <memory>
#include <string>

#include "core/base/arena.h"
#include "core/format/model_file.h"
#include "core/tokenizer/tokenizer.h"
#include "tools/output.h"
#include "tools/platform_posix.h"

namespace lbm::cli {

class ModelReader {
 public:
  struct Options {
    std::string tokenizer;           // of a llama2.c model; empty: looked for beside it
    bool without_tokenizer = false;  // such a model may lack it
  };
  // Throws CommandError (kModel) naming the file, the place and the reason.
  explicit ModelReader(const std::string& path);
  ModelReader(const std::string& path, const Options& options);

  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] const ModelFile& file() const { return *file_; }
  // Built when it is asked for. Throws CommandError (kModel).
  [[nodiscard]] const Tokenizer& tokenizer();
  // The same for callers that report instead of failing.
  [[nodiscard]] Result<const Tokenizer*> try_tokenizer();
  // Lives as long as the reader; for what is built upon it.
  [[nodiscard]] Arena& arena() { return arena_; }

 private:
  std::string path_;
  ReservedMemory memory_;
  Arena arena_;
  std::unique_ptr<FileSource> source_;
  std::unique_ptr<FileSource> tokenizer_source_;
  std::unique_ptr<ModelFile> file_;
  const Tokenizer* tokenizer_ = nullptr;
};

// Opens `path` or throws CommandError (kModel).
[[nodiscard]] std::unique_ptr<FileSource> open_model_source(const std::string& path);

// Encodes `text`; ids in order. Throws on an error of the tokenizer.
[[nodiscard]] std::vector<u32> encode_text(const Tokenizer& tokenizer, const std::string& text,
                                           EncodeOptions options);
// The bytes that `ids` stand for, control tokens spelled out. Throws CommandError (kUsage) for an
// id beyond the vocabulary.
[[nodiscard]] std::string decode_ids(const Tokenizer& tokenizer, const std::vector<u32>& ids);

}  // namespace lbm::cli
