// The vocabulary of a Hugging Face model as the metadata of a GGUF file: tokenizer.ggml.* and the
// chat template.
//
// tokenizer.model (SentencePiece) is taken where it is, with what tokenizer_config.json says about
// added and special tokens; else tokenizer.json (tokenizer_json.h).
#pragma once

#include "tools/gguf_writer.h"
#include "tools/hf_directory.h"
#include "tools/hf_families.h"

namespace lbm::cli {

// Throws CommandError (kModel) naming the file and what is wrong.
void set_vocabulary(const HfDirectory& directory, const HfFamily& family, GgufMetadata& meta);

// Rows of the embedding that stand for tokens, where it has more than there are tokens (gemma3); 0
// where it is not cut.
[[nodiscard]] u64 embedding_rows(const HfDirectory& directory, const HfFamily& family);

}  // namespace lbm::cli
