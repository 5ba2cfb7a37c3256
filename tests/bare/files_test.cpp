// Volumes and files: against drivers with faults, and against the volume that scripts/qemu.py
// attaches for this test.
#include "efi/files.h"

#include "efi/debug_devices.h"
#include "tests/bare/machine.h"
#include "tests/test.h"

namespace {

using namespace lbm;
using efi::FileSource;

constexpr u64 kFakeSize = 9'000'000;

u8 pattern(u64 offset) { return static_cast<u8>(offset * 7 + (offset >> 8) * 13 + (offset >> 16)); }

// An EFI_FILE whose driver has one fault. The interface comes first, so that `This` is the object.
struct FaultyFile {
  EFI_FILE interface = {};
  u64 position = 0;
  UINTN largest_read = ~UINTN{0};  // reads above it fail
  UINTN short_read = ~UINTN{0};    // never gives more than this
  u32 n_failure_left = 0;          // the next so many reads fail
  bool fails_always = false;
  bool always_empty = false;
  bool gives_too_much = false;
  bool fails_until_reopened = false;
  u64 failure_us = 0;  // how long a failure takes
  u64* clock_us = nullptr;
  u32 n_read = 0;
  bool closed = false;

  FaultyFile() {
    interface.Read = [](EFI_FILE_HANDLE file, UINTN* size, void* out) EFIAPI -> EFI_STATUS {
      return reinterpret_cast<FaultyFile*>(file)->read(*size, static_cast<u8*>(out));
    };
    interface.SetPosition = [](EFI_FILE_HANDLE file, UINT64 to) EFIAPI -> EFI_STATUS {
      reinterpret_cast<FaultyFile*>(file)->position = to;
      return EFI_SUCCESS;
    };
    interface.Close = [](EFI_FILE_HANDLE file) EFIAPI -> EFI_STATUS {
      reinterpret_cast<FaultyFile*>(file)->closed = true;
      return EFI_SUCCESS;
    };
  }

  EFI_STATUS read(UINTN& size, u8* out) {
    ++n_read;
    const bool fails = fails_always || size > largest_read || n_failure_left > 0;
    if (n_failure_left > 0) --n_failure_left;
    if (fails || fails_until_reopened) {
      position += 3;  // a failed read may leave the pointer anywhere
      if (clock_us != nullptr) *clock_us += failure_us;
      return EFI_DEVICE_ERROR;
    }
    if (gives_too_much) {
      size += 1;
      return EFI_SUCCESS;
    }
    if (always_empty) size = 0;
    if (size > short_read) size = short_read;
    if (size > kFakeSize - position) size = static_cast<UINTN>(kFakeSize - position);
    // The pattern at both ends is enough to see a misplaced read, and quick under emulation.
    for (UINTN i = 0; i < size; i += size > 2048 ? 509 : 1) out[i] = pattern(position + i);
    if (size > 0) out[size - 1] = pattern(position + size - 1);
    position += size;
    return EFI_SUCCESS;
  }
};

// Opens a FaultyFile again, as often as it is asked to and the medium is there.
class FaultyOpener final : public efi::FileOpener {
 public:
  EFI_FILE_HANDLE open_again(const FileSource&) override {
    ++n_opened;
    if (file == nullptr) return nullptr;
    file->fails_until_reopened = false;
    return &file->interface;
  }
  u64 now_us() override { return clock_us; }
  u64 clock_us = 0;
  FaultyFile* file = nullptr;
  u32 n_opened = 0;
};

constinit FileSource g_source;
constinit FaultyOpener g_opener;

void attach(FaultyFile& file) {
  g_opener.file = &file;
  g_opener.n_opened = 0;
  file.clock_us = &g_opener.clock_us;
  g_source.attach(&file.interface, kFakeSize, "fake.gguf", g_opener);
}

// 9 MB to read into, taken once.
Span<u8> read_buffer() {
  static Span<u8> buffer;
  if (buffer.empty()) {
    Result<Span<u8>> taken = bare::pages().take(kFakeSize, "read buffer");
    if (taken.ok()) buffer = taken.value().first(kFakeSize);
  }
  return buffer;
}

Status read_all(FaultyFile& file) {
  attach(file);
  Span<u8> out = read_buffer();
  const Status status = g_source.read(0, out);
  if (status.ok()) {
    CHECK(out[0] == pattern(0));
    CHECK(out[kFakeSize - 1] == pattern(kFakeSize - 1));
  }
  return status;
}

// A model file of the test volume, or nullptr.
const FileEntry* find_entry(Span<const FileEntry> entries, Str name) {
  for (const FileEntry& entry : entries) {
    if (entry.name() == name) return &entry;
  }
  return nullptr;
}

FileEntry g_entries[64];

Span<const FileEntry> test_volume() {
  const u32 n = bare::volume().list_models(g_entries);
  return Span<const FileEntry>(g_entries, n);
}

// True when the harness says that its volume is attached; elsewhere the tests of it have nothing to
// look at.
bool expects_test_volume() {
  char text[8];
  return efi::read_fw_cfg("opt/lbm/volume", text) > 0;
}

}  // namespace

TEST_CASE("chunks grow while reads succeed", "[efi][files]") {
  FaultyFile file;
  CHECK(read_all(file).ok());
  CHECK(g_source.chunk() == FileSource::kLargestChunk);
  CHECK(file.n_read == 4);  // 1 + 2 + 4 MiB and the rest
  g_source.detach();
  CHECK(file.closed);
  CHECK(!g_source.attached());
}

TEST_CASE("a driver that fails above some size is read below it", "[efi][files]") {
  FaultyFile file;
  file.largest_read = 300'000;
  CHECK(read_all(file).ok());
  CHECK(g_source.chunk() == 256 * 1024);
  g_source.detach();
}

TEST_CASE("short reads are continued", "[efi][files]") {
  FaultyFile file;
  file.short_read = 70'001;
  CHECK(read_all(file).ok());
  g_source.detach();
}

TEST_CASE("passing errors are survived, lasting ones end", "[efi][files]") {
  FaultyFile passing;
  passing.n_failure_left = 8;  // six halvings to the smallest chunk, and two tries at it
  CHECK(read_all(passing).ok());
  g_source.detach();

  FaultyFile lasting;
  lasting.fails_always = true;
  const Status status = read_all(lasting);
  REQUIRE(!status.ok());
  CHECK(status.error().code == ErrorCode::kIo);
  CHECK(status.error().subject_text() == "fake.gguf");
  CHECK(lasting.n_read < 20);
  g_source.detach();
}

TEST_CASE("a failure that took the firmware long is not repeated at every size", "[efi][files]") {
  FaultyFile gone;  // as a stick that was taken out: each read costs its time-outs
  gone.fails_always = true;
  gone.failure_us = FileSource::kSlowUs;
  const Status status = read_all(gone);
  REQUIRE(!status.ok());
  CHECK(status.error().code == ErrorCode::kIo);
  CHECK(gone.n_read == 2);  // as it was asked first, and the smallest

  FaultyFile quick;
  quick.fails_always = true;
  quick.failure_us = FileSource::kSlowUs - 1;
  REQUIRE(!read_all(quick).ok());
  CHECK(quick.n_read > 6);

  FaultyFile large;  // a driver that runs into its time-out above some size
  large.largest_read = 300'000;
  large.failure_us = FileSource::kSlowUs;
  CHECK(read_all(large).ok());
  CHECK(g_source.chunk() >= FileSource::kSmallestChunk);
}

TEST_CASE("a file that fails until it is opened again is opened again", "[efi][files]") {
  FaultyFile sticky;
  sticky.fails_until_reopened = true;
  CHECK(read_all(sticky).ok());
  CHECK(g_opener.n_opened == 1);
  g_source.detach();
}

TEST_CASE("a medium that was taken out ends the read, and the source can still be closed",
          "[efi][files]") {
  FaultyFile file;
  file.fails_always = true;
  attach(file);
  g_opener.file = nullptr;
  const Status status = g_source.read(0, read_buffer());
  REQUIRE(!status.ok());
  CHECK(status.error().code == ErrorCode::kIo);
  CHECK(file.n_read == 1);
  CHECK(g_source.attached());
  u8 byte[1];
  CHECK(!g_source.read(0, byte).ok());
  g_source.detach();
  CHECK(!g_source.attached());
}

TEST_CASE("an end of file before its size, and a driver that lies, are errors", "[efi][files]") {
  FaultyFile empty;
  empty.always_empty = true;
  const Status status = read_all(empty);
  REQUIRE(!status.ok());
  CHECK(status.error().code == ErrorCode::kTruncated);
  CHECK(empty.n_read == 1);
  g_source.detach();

  FaultyFile generous;
  generous.gives_too_much = true;
  CHECK(!read_all(generous).ok());
  g_source.detach();
}

TEST_CASE("reads beyond the end are refused", "[efi][files]") {
  FaultyFile file;
  attach(file);
  u8 bytes[16];
  CHECK(g_source.read(kFakeSize - 16, bytes).ok());
  CHECK(!g_source.read(kFakeSize - 15, bytes).ok());
  CHECK(!g_source.read(~u64{0}, bytes).ok());
  CHECK(file.n_read == 1);
  CHECK(g_source.read(kFakeSize, {}).ok());
  g_source.detach();
}

TEST_CASE("models are found in the root and in models, in any case", "[efi][files]") {
  if (!expects_test_volume()) return;
  const Span<const FileEntry> entries = test_volume();
  const FileEntry* pattern_file = find_entry(entries, "LbmTest.BIN");
  REQUIRE(pattern_file != nullptr);
  CHECK(pattern_file->size_bytes == 3'000'000);
  const FileEntry* model = find_entry(entries, "models/Tiny Model \xc3\xa9t\xc3\xa9.GGUF");
  REQUIRE(model != nullptr);
  CHECK(model->size_bytes == 11);
  for (const FileEntry& entry : entries) {
    CHECK(!entry.name().contains("._"));
    CHECK(!entry.name().contains("notes"));
    CHECK(!entry.name().contains("folder.gguf"));
  }
}

TEST_CASE("a file of the volume is read back exactly", "[efi][files]") {
  if (!expects_test_volume()) return;
  const FileEntry* entry = find_entry(test_volume(), "LbmTest.BIN");
  REQUIRE(entry != nullptr);
  Result<ByteSource*> opened =
      bare::volume().open(entry->volume, "lbmtest.bin");  // not its own spelling
  REQUIRE(opened.ok());
  CHECK(opened.value()->size() == 3'000'000);
  Span<u8> out = read_buffer().first(3'000'000);
  CHECK(opened.value()->read(0, out).ok());
  u32 n_wrong = 0;
  for (u32 i = 0; i < 3'000'000; i += 61) n_wrong += out[i] != pattern(i) ? 1 : 0;
  CHECK(n_wrong == 0);
  u8 middle[5];
  CHECK(opened.value()->read(1'234'567, middle).ok());
  for (u32 i = 0; i < 5; ++i) CHECK(middle[i] == pattern(1'234'567 + i));
  bare::volume().close(opened.value());
}

TEST_CASE("paths: folders, either slash, short names, and what is not there", "[efi][files]") {
  if (!expects_test_volume()) return;
  const FileEntry* entry = find_entry(test_volume(), "LbmTest.BIN");
  REQUIRE(entry != nullptr);
  const u32 volume = entry->volume;
  constexpr Str kGood[] = {"models/tiny model \xc3\xa9t\xc3\xa9.gguf", "MODELS\\TINYMO~1.GGU",
                           "/models//PLAIN.GGUF"};
  for (const Str path : kGood) {
    Result<ByteSource*> opened = bare::volume().open(volume, path);
    CHECK(opened.ok());
    if (opened.ok()) bare::volume().close(opened.value());
  }
  constexpr Str kBad[] = {"models/absent.gguf", "absent/plain.gguf", "models",
                          "../lbmtest.bin",     "lbmtest.bin/x",     ""};
  for (const Str path : kBad) {
    const Result<ByteSource*> opened = bare::volume().open(volume, path);
    REQUIRE(!opened.ok());
    CHECK(opened.error().code == ErrorCode::kNotFound);
  }
  const Result<ByteSource*> no_volume = bare::volume().open(31, "x");
  CHECK(!no_volume.ok());
}

TEST_CASE("open files are counted and given back", "[efi][files]") {
  if (!expects_test_volume()) return;
  const FileEntry* entry = find_entry(test_volume(), "LbmTest.BIN");
  REQUIRE(entry != nullptr);
  for (u32 round = 0; round < 3; ++round) {
    ByteSource* open_files[efi::FirmwareVolume::kMaxOpenFiles] = {};
    for (ByteSource*& file : open_files) {
      Result<ByteSource*> opened = bare::volume().open(entry->volume, entry->name());
      REQUIRE(opened.ok());
      file = opened.value();
    }
    CHECK(!bare::volume().open(entry->volume, entry->name()).ok());
    for (ByteSource* file : open_files) bare::volume().close(file);
  }
}
