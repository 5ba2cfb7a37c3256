// libFuzzer on Hugging Face's tokenizer.json and the files beside it: they are refused with a
// message that ends in a code, or become a GGUF file that the core opens or refuses as any other.
// The core's own reader of tokenizer.json alone sees the same bytes.
// The input is tokenizer.json, tokenizer_config.json and generation_config.json, with a byte 0
// between them (which no JSON has).
#include <filesystem>
#include <fstream>
#include <string>

#include "tests/fuzz/read_model.h"
#include "tests/hosted/memory_source.h"
#include "tools/output.h"
#include "tools/tokenizer_json.h"

namespace {

namespace fs = std::filesystem;
using lbm::usize;

constexpr const char* kFiles[] = {"tokenizer.json", "tokenizer_config.json",
                                  "generation_config.json"};

// A folder in memory, gone with the process.
class Folder {
 public:
  Folder() {
    const fs::path memory = "/dev/shm";
    const fs::path parent = fs::is_directory(memory) ? memory : fs::temp_directory_path();
    std::string name = (parent / "tokenizer_json_fuzz.XXXXXX").string();
    lbm::fuzz::must(mkdtemp(name.data()) != nullptr);
    path_ = name;
  }
  ~Folder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;

  [[nodiscard]] fs::path path(const char* name) const { return path_ / name; }
  void write(const std::string& input) const {
    usize begin = 0;
    for (const char* const file : kFiles) {
      const bool is_there = begin <= input.size();
      if (!is_there) {
        fs::remove(path(file));
        continue;
      }
      const usize end = std::min(input.find('\0', begin), input.size());
      std::ofstream out(path(file), std::ios::binary | std::ios::trunc);
      out.write(input.data() + begin, static_cast<std::streamsize>(end - begin));
      begin = end + 1;
    }
  }

 private:
  fs::path path_;
};

// Opens what the core takes, or is left with all of its memory.
void try_core(const std::string& json) {
  using namespace lbm;
  static std::vector<u8> memory(usize{16} << 20);
  Arena arena({memory.data(), memory.size()});
  test::ViewSource source(cli::to_str(json).bytes());
  OpenOptions options;
  options.tokenizer_json = true;
  const Result<ModelFile> opened = ModelFile::open(source, arena, options);
  if (!opened.ok()) {
    char text[512];
    fuzz::must_be_printable(cli::to_string(format_error(opened.error(), text)));
    fuzz::must(arena.bytes_used() == 0);
    return;
  }
  fuzz::look_through(opened.value());
  const Result<Tokenizer*> tokenizer = Tokenizer::create(arena, opened.value());
  fuzz::must(tokenizer.ok() || tokenizer.error().code != ErrorCode::kOk);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const lbm::u8* data, lbm::usize size) {
  using namespace lbm;
  static const Folder folder;
  if (size > fuzz::kMaxInput) return 0;
  const std::string input(reinterpret_cast<const char*>(data), size);
  try_core(input.substr(0, input.find('\0')));
  folder.write(input);
  std::string gguf;
  try {
    gguf = cli::tokenizer_json_as_gguf(folder.path(kFiles[0]).string());
  } catch (const cli::CommandError& error) {
    const std::string message = error.what();
    fuzz::must(error.code() == cli::ExitCode::kModel && message.back() == ']');
    fuzz::must_be_printable(message);
    return 0;
  }
  test::ViewSource source(cli::to_str(gguf).bytes());
  fuzz::try_model(source, gguf.size());
  return 0;
}
