// A tokenizer from whatever holds one: a model file of any format, a vocabulary file, the
// tokenizer.json of a Hugging Face folder, or the tokenizer.bin of a llama2.c model. No weights are
// read.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "tools/model_reader.h"

namespace lbm::cli {

class VocabularyReader {
 public:
  // `path` is a file, or a folder with a tokenizer.json. Throws CommandError (kModel).
  explicit VocabularyReader(const std::string& path);
  ~VocabularyReader();

  [[nodiscard]] const Tokenizer& tokenizer() const { return *tokenizer_; }

 private:
  class JsonVocabulary;
  class BinVocabulary;

  std::unique_ptr<ModelReader> model_;
  std::unique_ptr<JsonVocabulary> json_;
  std::unique_ptr<BinVocabulary> bin_;
  const Tokenizer* tokenizer_ = nullptr;
};

// Encodes and decodes text after text with the same memory.
class TextCoder {
 public:
  explicit TextCoder(const Tokenizer& tokenizer) : tokenizer_(tokenizer) {}

  // The ids of `text`, until the next call. Throws CommandError (kRuntime, kMemory).
  [[nodiscard]] Span<const u32> encode(const std::string& text, EncodeOptions options);
  // The bytes of `ids`, special tokens spelled out. Throws CommandError (kUsage) for an id beyond
  // the vocabulary.
  [[nodiscard]] std::string decode(const std::vector<u32>& ids) const;
  // The bytes of one token.
  [[nodiscard]] std::string piece(u32 id);

 private:
  const Tokenizer& tokenizer_;
  std::unique_ptr<ReservedMemory> memory_;
  std::vector<u32> ids_;
  std::vector<char> piece_;
};

}  // namespace lbm::cli
