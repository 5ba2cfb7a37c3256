// A ReplHost for tests: memory and files in arrays, a clock that ticks, a scripted console.
#pragma once

#include "core/base/move.h"
#include "core/chat/repl.h"
#include "kernels/select.h"
#include "tests/chat/scripted_console.h"

namespace lbm::test {

// 48 MiB: room for the REPL, two models at once, and a look into a third.
inline Span<u8> test_memory() {
  alignas(4096) static u8 memory[48 * kMiB];
  return memory;
}

// Pages from one array; a range is given back when it was the newest, else when all are.
class ArrayPages final : public Pages {
 public:
  explicit ArrayPages(Span<u8> memory) : memory_(memory) {}

  Result<Span<u8>> take(u64 bytes, const char* what) override {
    const u64 rounded = (bytes + 4095) / 4096 * 4096;
    if (rounded > memory_.size() - used_) {
      return fail(ErrorCode::kOutOfMemory, "not enough memory")
          .about(what)
          .with(bytes, memory_.size() - used_);
    }
    const Span<u8> range = memory_.slice(used_, static_cast<usize>(rounded));
    used_ += static_cast<usize>(rounded);
    ++n_live_;
    return range;
  }
  void give_back(Span<u8> range) override {
    LBM_CHECK(n_live_ > 0);
    if (range.data() + range.size() == memory_.data() + used_) used_ -= range.size();
    if (--n_live_ == 0) used_ = 0;
  }
  [[nodiscard]] u64 bytes_free() const override { return memory_.size() - used_; }
  [[nodiscard]] u64 largest_free() const override { return bytes_free(); }
  [[nodiscard]] u32 n_live() const { return n_live_; }

 private:
  Span<u8> memory_;
  usize used_ = 0;
  u32 n_live_ = 0;
};

class MemoryFile final : public ByteSource {
 public:
  MemoryFile() = default;
  MemoryFile(Str path, Span<const u8> bytes) : path_(path), bytes_(bytes) {}
  [[nodiscard]] Str path() const { return path_; }
  [[nodiscard]] u64 size() const override { return bytes_.size(); }
  [[nodiscard]] Status read(u64 offset, Span<u8> out) override {
    if (offset > bytes_.size() || out.size() > bytes_.size() - offset)
      return fail(ErrorCode::kTruncated, "file ends");
    __builtin_memcpy(out.data(), bytes_.data() + offset, out.size());
    return {};
  }

 private:
  Str path_;
  Span<const u8> bytes_;
};

// A few named files; those that end like a model are models.
class MemoryVolume final : public Volume {
 public:
  void add(Str path, Span<const u8> bytes) {
    LBM_CHECK(n_file_ < kMaxFiles);
    files_[n_file_++] = MemoryFile(path, bytes);
  }
  [[nodiscard]] u32 list_models(Span<FileEntry> out) override {
    u32 n = 0;
    for (u32 i = 0; i < n_file_; ++i) {
      const Str path = files_[i].path();
      if (!path.ends_with(".gguf") && !path.ends_with(".bin")) continue;
      FileEntry& entry = out[n++];
      entry = FileEntry();
      __builtin_memcpy(entry.path, path.data(), path.size());
      entry.path_size = static_cast<u32>(path.size());
      entry.size_bytes = files_[i].size();
    }
    return n;
  }
  [[nodiscard]] Result<ByteSource*> open(u32 volume, Str path) override {
    for (u32 i = 0; i < n_file_; ++i) {
      if (volume == 0 && files_[i].path() == path) {
        ++n_open_;
        return static_cast<ByteSource*>(&files_[i]);
      }
    }
    return fail(ErrorCode::kNotFound, "no such file").about(path);
  }
  void close(ByteSource*) override { --n_open_; }
  [[nodiscard]] i32 n_open() const { return n_open_; }

 private:
  static constexpr u32 kMaxFiles = 8;
  MemoryFile files_[kMaxFiles];
  u32 n_file_ = 0;
  i32 n_open_ = 0;
};

class TickingClock final : public Clock {
 public:
  [[nodiscard]] u64 now_us() override { return now_us_ += 1000; }

 private:
  u64 now_us_ = 0;
};

class ScriptedHost final : public ReplHost {
 public:
  ScriptedHost(ScriptedConsole& console, Span<u8> memory) : console_(console), pages_(memory) {}

  Console& console() override { return console_; }
  Clock& clock() override { return clock_; }
  ArrayPages& pages() override { return pages_; }
  MemoryVolume& volume() override { return volume_; }
  Workers& workers(u32) override { return worker_; }
  Result<const KernelTable*> kernels(Str isa) override {
    if (isa == "auto" || isa == "scalar") return find_kernel_table(CpuFeatures(), "scalar");
    return fail(ErrorCode::kUnsupported, "no kernels of this name").about(isa);
  }
  NamedText config() override { return config_; }
  Span<const SettingOverride> overrides() override { return overrides_; }
  NamedText script() override { return script_; }
  Str version() override { return "1.2.3 (test)"; }
  Str host_name() override { return "test"; }
  Str model_places() override { return "/ and /models of every volume"; }
  SlotFiles* state() override { return state_; }

  Result<Str> export_file(Str name, Span<const u8> bytes) override {
    if (exports_.empty()) return fail(ErrorCode::kReadOnly, "this host keeps no files").about(name);
    if (bytes.size() > exports_.size()) return fail(ErrorCode::kLimit, "no room").about(name);
    __builtin_memcpy(exports_.data(), bytes.data(), bytes.size());
    exported_ = Str(exports_.first(bytes.size()));
    return Str("/lbm of the stick");
  }
  void describe_machine(ConsolePrinter& out) override { out.line("firmware   of a test"); }
  void on_settings(const Settings& settings) override {
    static_cast<void>(settings);
    ++n_settings_;
  }
  void measure(Str what, const Sha256Digest& digest) override {
    if (what == "model") ++n_measured_model_;
    if (what != "config") return;
    ++n_measured_config_;
    measured_config_ = digest;
  }

  // Room for the last file that is exported; without it export_file() is refused.
  void set_exports(Span<u8> memory) { exports_ = memory; }
  [[nodiscard]] Str exported() const { return exported_; }
  [[nodiscard]] u32 n_settings() const { return n_settings_; }
  [[nodiscard]] u32 n_measured_model() const { return n_measured_model_; }
  [[nodiscard]] u32 n_measured_config() const { return n_measured_config_; }
  void set_state(SlotFiles& files) { state_ = &files; }
  [[nodiscard]] const Sha256Digest& measured_config() const { return measured_config_; }
  void set_config(Str text, Span<const u8> bytes = {}) { config_ = {"repl.cfg", text, bytes}; }
  void set_script(Str text) { script_ = {"llmk-autorun.txt", text}; }
  void set_overrides(Span<const SettingOverride> overrides) { overrides_ = overrides; }

 private:
  ScriptedConsole& console_;
  ArrayPages pages_;
  MemoryVolume volume_;
  TickingClock clock_;
  SingleWorker worker_;
  NamedText config_;
  NamedText script_;
  Span<const SettingOverride> overrides_;
  Span<u8> exports_;
  Str exported_;
  SlotFiles* state_ = nullptr;
  u32 n_settings_ = 0;
  u32 n_measured_model_ = 0;
  u32 n_measured_config_ = 0;
  Sha256Digest measured_config_;
};

}  // namespace lbm::test
