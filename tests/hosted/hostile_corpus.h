// The hostile files of tests/hostile, as rows with their bytes.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/platform.h"

namespace lbm::test {

struct HostileFile {
  std::string id;                 // "G13"
  std::string name;               // "G13-string-2-63.gguf"
  std::string error;              // "limit"; "ok" for an accepted one
  std::string stage;              // who refuses (tests/hostile/replay.h); "ok"
  std::string source;             // the public report of such a file, or "-"
  u64 offset = Error::kNoOffset;  // that the error must name; kNoOffset: it must name none
  bool is_recorded = true;        // false while nobody has said what the offset has to be

  [[nodiscard]] std::vector<u8> bytes() const;
  [[nodiscard]] u64 n_byte() const;
  [[nodiscard]] std::string path() const;
  // "gguf": what the file claims to be.
  [[nodiscard]] std::string kind() const { return name.substr(name.rfind('.') + 1); }
  [[nodiscard]] bool is_model() const {
    return kind() == "gguf" || kind() == "slm" || kind() == "bin";
  }
  // False for what only lies beside another file.
  [[nodiscard]] bool is_replayed() const { return stage != "beside"; }
};

// All rows. The files are generated on first use (python3 tests/hostile/generate.py); empty where
// that is not possible.
[[nodiscard]] const std::vector<HostileFile>& hostile_corpus();

// False, with a warning that the test was skipped, where there is none.
[[nodiscard]] bool hostile_corpus_is_there();

// The row called `name`.
[[nodiscard]] const HostileFile& hostile_file(const std::string& name);

// The file called `name`, handed out in pieces of `piece` bytes inside each read, as a device does;
// the core sees only whole reads. What lies beside it are the other files of the corpus.
class HostileSource final : public ByteSource {
 public:
  static constexpr usize kWhole = ~usize{0};
  explicit HostileSource(const HostileFile& file, usize piece = kWhole)
      : HostileSource(file.name, file.bytes(), piece) {}
  // Other bytes under a name of the corpus; says that it has `claimed` of them.
  HostileSource(std::string name, std::vector<u8> bytes, usize piece = kWhole)
      : name_(std::move(name)), bytes_(std::move(bytes)), piece_(piece), claimed_(bytes_.size()) {}
  void claim(u64 size) { claimed_ = size; }
  // Of the file and of those beside it that were opened.
  [[nodiscard]] u64 n_byte() const;

  [[nodiscard]] u64 size() const override { return claimed_; }
  [[nodiscard]] Str name() const override { return {name_.data(), name_.size()}; }
  [[nodiscard]] Status read(u64 offset, Span<u8> out) override;
  [[nodiscard]] Result<ByteSource*> open_beside(Str neighbour) override;

 private:
  std::string name_;
  std::vector<u8> bytes_;
  usize piece_;
  u64 claimed_;
  std::vector<std::unique_ptr<HostileSource>> neighbours_;
};

}  // namespace lbm::test
