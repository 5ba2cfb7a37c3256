// Hugging Face's tokenizer.json as the metadata of a GGUF file, so that there is one way into the
// core's Tokenizer whatever a vocabulary came as.
//
// Read are BPE, Unigram and WordPiece models, added tokens, the normalizers and pre-tokenizers that
// the core has (docs/formats/tokenizer.md lists them), what the template of the post-processor
// adds, and beside the file, where they are there: tokenizer_config.json and
// special_tokens_map.json (special tokens, chat template), generation_config.json and config.json
// (end tokens), chat_template.jinja. Anything that would change ids and that the core has not is an
// error that names the place in the JSON.
#pragma once

#include <string>

#include "tools/gguf_writer.h"

namespace lbm::cli {

// Sets the keys tokenizer.* from the file at `path`, or from tokenizer.json in the folder at
// `path`. `n_vocab` is the number of rows of the embedding, to which the tokens are filled up with
// unused ones; 0: as many as there are. Throws CommandError (kModel): unreadable, damaged or
// unsupported; every message names the file and the place (/model/vocab/17).
void add_tokenizer_json(GgufMetadata& metadata, const std::string& path, u32 n_vocab = 0);

// The same as the bytes of a GGUF file without tensors.
[[nodiscard]] std::string tokenizer_json_as_gguf(const std::string& path);

// Whether the file at `path` begins as JSON does, or is a folder with a tokenizer.json.
[[nodiscard]] bool is_tokenizer_json(const std::string& path);

}  // namespace lbm::cli
