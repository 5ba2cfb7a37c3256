// lbm tokenize, lbm detokenize: text to token ids and back, as the vocabulary of a model defines
// it. Only the vocabulary is read, so files without weights do too.
#include <fstream>
#include <iostream>

#include "core/base/utf8.h"
#include "tools/command.h"
#include "tools/input.h"
#include "tools/token_metrics.h"
#include "tools/vocabulary_reader.h"

namespace lbm::cli {
namespace {

struct TokenizeFlags {
  std::string model;
  std::string tokenizer;
  std::vector<std::string> batch;
  EncodeOptions encode;
  bool jsonl = false;
  bool json = false;
  bool decode = false;
  bool metrics = false;
};

// Calls `take(line, place)` for every line of the files, "-" being stdin; without files, of stdin.
// Lines are handed out as they arrive.
template <class Take>
void each_line(const std::vector<std::string>& files, bool blank_too, const Take& take) {
  const auto read = [&](std::istream& in, const std::string& name) {
    std::string line;
    for (u64 number = 1; std::getline(in, line); ++number) {
      if (!blank_too && to_str(line).trimmed().empty()) continue;
      take(line, name + ", line " + std::to_string(number));
    }
    if (in.bad()) throw CommandError(ExitCode::kRuntime, name + ": read error");
  };
  for (const std::string& path : files.empty() ? std::vector<std::string>{"-"} : files) {
    if (path == "-") {
      read(std::cin, "standard input");
      continue;
    }
    std::ifstream in(path, std::ios::binary);
    if (!in) throw CommandError(ExitCode::kRuntime, path + ": can not be read");
    read(in, path);
  }
}

// The value of a line of JSON, as `T`.
template <class T>
T parse_line(const std::string& line, const std::string& place) {
  try {
    return Json::parse(line).get<T>();
  } catch (const Json::exception& error) {
    throw CommandError(ExitCode::kUsage, place + ": " + printable(to_str(error.what())));
  }
}

// The ids of an array, no number of which is taken for another.
std::vector<u32> to_ids(const Json& list, const std::string& place) {
  std::vector<u32> ids;
  for (const Json& item : list) {
    if (!item.is_number_unsigned() || item.get<u64>() > ~u32{0}) {
      throw CommandError(ExitCode::kUsage,
                         place + ": not a token id: " + printable(to_str(item.dump())));
    }
    ids.push_back(item.get<u32>());
  }
  return ids;
}

// Ids as JSON, or as numbers between spaces or commas.
std::vector<u32> parse_ids(const std::string& line, const std::string& place) {
  const Str text = to_str(line).trimmed();
  if (text.starts_with("[")) return to_ids(parse_line<Json>(line, place), place);
  std::string list = "[";
  for (const char c : text) {
    const bool separates = c == ',' || Str::is_space(c);
    if (!separates) {
      list += c;
    } else if (list.back() != ',' && list.back() != '[') {
      list += ',';
    }
  }
  if (list.back() == ',') list.pop_back();
  return to_ids(parse_line<Json>(list + "]", place), place);
}

Json to_json(Span<const u32> ids) { return Json(std::vector<u32>(ids.begin(), ids.end())); }

class TokenizeRun {
 public:
  explicit TokenizeRun(const TokenizeFlags& flags)
      : flags_(flags), reader_(path_of(flags)), coder_(reader_.tokenizer()) {}

  ExitCode encode() {
    if (!flags_.batch.empty() || flags_.jsonl) {
      each_line(flags_.batch, !flags_.jsonl,
                [&](const std::string& line, const std::string& place) {
                  encode_text(flags_.jsonl ? parse_line<std::string>(line, place) : line);
                });
    } else {
      encode_text(read_stdin());
    }
    if (flags_.metrics) {
      const Json report = metrics_.report(reader_.tokenizer());
      write_stdout(flags_.json ? json_line(report) : format_metrics(report));
    }
    return ExitCode::kOk;
  }

  ExitCode decode() {
    const bool json = flags_.json || flags_.jsonl;
    each_line(flags_.batch, false, [&](const std::string& line, const std::string& place) {
      std::string text;
      try {
        text = coder_.decode(parse_ids(line, place));
      } catch (const CommandError& error) {
        if (error.code() != ExitCode::kUsage || to_str(error.what()).starts_with(to_str(place)))
          throw;
        throw CommandError(error.code(), place + ": " + error.what());
      }
      const bool lines = !flags_.batch.empty();
      write_stdout(json ? json_line(Json(text)) : text + (lines ? "\n" : ""));
    });
    return ExitCode::kOk;
  }

 private:
  static const std::string& path_of(const TokenizeFlags& flags) {
    if (!flags.tokenizer.empty()) return flags.tokenizer;
    if (!flags.model.empty()) return flags.model;
    throw CommandError(ExitCode::kUsage,
                       "a vocabulary is needed: --tokenizer FILE, --model FILE or LBM_MODEL");
  }

  void encode_text(const std::string& text) {
    const Span<const u32> ids = coder_.encode(text, flags_.encode);
    if (flags_.metrics) return metrics_.add(reader_.tokenizer(), text, ids);
    if (!flags_.json) return write_stdout(json_line(to_json(ids)));
    Json out;
    out["ids"] = to_json(ids);
    out["pieces"] = Json::array();
    for (const u32 id : ids) out["pieces"].push_back(coder_.piece(id));
    write_stdout(json_line(out));
  }

  const TokenizeFlags& flags_;
  VocabularyReader reader_;
  TextCoder coder_;
  TokenMetrics metrics_;
};

void declare_input(CLI::App& app, TokenizeFlags& flags) {
  app.add_option("-m,--model", flags.model,
                 "model, vocabulary (GGUF), tokenizer.json or a folder with one")
      ->envname("LBM_MODEL")
      ->type_name("FILE");
  app.add_option(
         "--tokenizer", flags.tokenizer,
         "instead of the model's: a tokenizer.json, a tokenizer.bin of llama2.c, or what -m "
         "takes")
      ->type_name("FILE");
  app.add_option(
         "--batch", flags.batch,
         "read lines of this file, each on its own; may be given more than once, - is stdin")
      ->type_name("FILE");
}

Action declare_tokenize(CLI::App& app) {
  auto flags = std::make_shared<TokenizeFlags>();
  declare_input(app, *flags);
  app.add_flag("--add-special", flags->encode.add_special, "add BOS and EOS as the file asks");
  app.add_flag("--parse-special", flags->encode.parse_special,
               "text that spells a special token becomes that token");
  app.add_flag("--jsonl", flags->jsonl,
               "input is one JSON string a line (default: one text as a whole)");
  app.add_flag("--json", flags->json,
               "answer {\"ids\": [...], \"pieces\": [...]}; with --metrics an object");
  CLI::Option* metrics =
      app.add_flag("--metrics", flags->metrics, "how well the vocabulary fits, instead of ids");
  app.add_flag("--decode", flags->decode, "the other way: ids to text, as lbm detokenize")
      ->excludes(metrics);
  return [flags] {
    TokenizeRun run(*flags);
    return flags->decode ? run.decode() : run.encode();
  };
}

Action declare_detokenize(CLI::App& app) {
  auto flags = std::make_shared<TokenizeFlags>();
  declare_input(app, *flags);
  app.add_flag("--jsonl,--json", flags->jsonl,
               "answer one JSON string a line (default: the bytes, nothing added)");
  return [flags] { return TokenizeRun(*flags).decode(); };
}

}  // namespace

const Command kTokenizeCommand = {
    "tokenize", "text on stdin to a JSON array of token ids",
    "  printf 'Hello world' | lbm tokenize -m model.gguf\n"
    "  printf 'Hello world' | lbm tokenize --tokenizer folder/tokenizer.json --json\n"
    "  printf '\"one\"\\n\"two\"\\n' | lbm tokenize -m model.gguf --jsonl\n"
    "  lbm tokenize -m model.gguf --batch lines.txt > ids.jsonl\n"
    "  lbm tokenize -m model.gguf --decode --batch ids.jsonl\n"
    "  lbm tokenize -m model.gguf --metrics < book.txt\n"
    "  lbm tokenize -m model.gguf --add-special --parse-special < prompt.txt",
    declare_tokenize};

const Command kDetokenizeCommand = {"detokenize", "JSON arrays of token ids on stdin to text",
                                    "  echo '[19556, 905]' | lbm detokenize -m model.gguf\n"
                                    "  echo '[19556, 905]' | lbm detokenize -m model.gguf --jsonl",
                                    declare_detokenize};

}  // namespace lbm::cli
