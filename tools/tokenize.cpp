// lbm tokenize, lbm detokenize: text to token ids and back, as the vocabulary of a model defines
// it. Only the vocabulary is read, so files without weights do too.
#include "tools/command.h"
#include "tools/input.h"
#include "tools/model_reader.h"

namespace lbm::cli {
namespace {

struct TokenizeFlags {
  std::string model;
  EncodeOptions encode;
  bool jsonl = false;
};

// Calls `convert(value)` for every non-empty line of stdin, parsed as JSON, and prints what it
// returns.
template <class Convert>
void convert_lines(const Convert& convert) {
  std::string line;
  u64 number = 0;
  while (next_line(line, number)) {
    try {
      write_stdout(convert(Json::parse(line)));
    } catch (const Json::exception& error) {
      throw CommandError(ExitCode::kUsage,
                         "standard input, line " + std::to_string(number) + ": " + error.what());
    }
  }
}

ExitCode tokenize(const TokenizeFlags& flags) {
  ModelReader reader(flags.model);
  const Tokenizer& tokenizer = reader.tokenizer();
  const auto ids_line = [&](const std::string& text) {
    return json_line(Json(encode_text(tokenizer, text, flags.encode)));
  };
  if (flags.jsonl) {
    convert_lines([&](const Json& value) { return ids_line(value.get<std::string>()); });
  } else {
    write_stdout(ids_line(read_stdin()));
  }
  return ExitCode::kOk;
}

ExitCode detokenize(const TokenizeFlags& flags) {
  ModelReader reader(flags.model);
  const Tokenizer& tokenizer = reader.tokenizer();
  convert_lines([&](const Json& value) {
    const std::string text = decode_ids(tokenizer, value.get<std::vector<u32>>());
    return flags.jsonl ? json_line(Json(text)) : text;
  });
  return ExitCode::kOk;
}

void declare_model(CLI::App& app, TokenizeFlags& flags) {
  app.add_option("-m,--model", flags.model, "model or vocabulary file (GGUF)")
      ->required()
      ->envname("LBM_MODEL")
      ->type_name("FILE");
}

Action declare_tokenize(CLI::App& app) {
  auto flags = std::make_shared<TokenizeFlags>();
  declare_model(app, *flags);
  app.add_flag("--add-special", flags->encode.add_special, "add BOS and EOS as the file asks");
  app.add_flag("--parse-special", flags->encode.parse_special,
               "text that spells a special token becomes that token");
  app.add_flag("--jsonl", flags->jsonl,
               "stdin is one JSON string a line (default: one text as a whole)");
  return [flags] { return tokenize(*flags); };
}

Action declare_detokenize(CLI::App& app) {
  auto flags = std::make_shared<TokenizeFlags>();
  declare_model(app, *flags);
  app.add_flag("--jsonl", flags->jsonl,
               "answer one JSON string a line (default: the bytes, nothing added)");
  return [flags] { return detokenize(*flags); };
}

}  // namespace

const Command kTokenizeCommand = {
    "tokenize", "text on stdin to a JSON array of token ids",
    "  printf 'Hello world' | lbm tokenize -m model.gguf\n"
    "  printf '\"one\"\\n\"two\"\\n' | lbm tokenize -m model.gguf --jsonl\n"
    "  lbm tokenize -m model.gguf --add-special --parse-special < prompt.txt",
    declare_tokenize};

const Command kDetokenizeCommand = {"detokenize", "JSON arrays of token ids on stdin to text",
                                    "  echo '[19556, 905]' | lbm detokenize -m model.gguf\n"
                                    "  echo '[19556, 905]' | lbm detokenize -m model.gguf --jsonl",
                                    declare_detokenize};

}  // namespace lbm::cli
