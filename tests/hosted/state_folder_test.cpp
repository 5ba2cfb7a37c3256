// Records in a folder of Linux: kept over a restart, one writer at a time, and no file elsewhere.
#include "tools/state_folder.h"

#include <filesystem>

#include "core/state/record.h"
#include "tests/hosted/temporary_folder.h"
#include "tests/test.h"
#include "tools/output.h"

namespace {

using namespace lbm;
using namespace lbm::cli;

TEST_CASE("a folder keeps records over a restart", "[state]") {
  const test::TemporaryFolder root;
  const std::string path = root / "state/lbm";
  {
    StateFolder folder(path);
    REQUIRE(folder.why_read_only().empty());
    CHECK(folder.slot_bytes("CHAT00").error().code == ErrorCode::kNotFound);
    REQUIRE(folder.reserve("CHAT00", 4096, nullptr).ok());
    REQUIRE(folder.reserve("ANOTHER", 4096, nullptr).ok());
    CHECK(folder.reserve("ANOTHER", 2048, nullptr).ok());  // a power cut came in the middle of it
    std::filesystem::resize_file(path + "/ANOTHER.1", 0);
    CHECK(folder.slot_bytes("ANOTHER").value() == 0);
    CHECK(folder.reserve("ANOTHER", 4096, nullptr).ok());
    CHECK(folder.slot_bytes("ANOTHER").value() == 4096);
    Record record(folder, "CHAT00");
    REQUIRE(record.open().ok());
    u8 bytes[Record::kHeaderBytes + 3] = {};
    bytes[Record::kHeaderBytes] = 7;
    REQUIRE(record.write(bytes, 3).ok());
    REQUIRE(record.write(bytes, 2).ok());
  }
  StateFolder folder(path);
  SlotFiles::Entry entries[1];
  CHECK(folder.list("", entries) == 2);
  CHECK(entries[0].text() == "ANOTHER");
  CHECK(folder.list("CHAT", entries) == 1);
  CHECK(entries[0].slot_bytes == 4096);
  Record record(folder, "CHAT00");
  REQUIRE(record.open().ok());
  CHECK(record.generation() == 2);
  CHECK(record.size() == 2);
}

TEST_CASE("a second lbm reads what the first one keeps, and does not write", "[state]") {
  const test::TemporaryFolder root;
  const std::string path = root / "lbm";
  StateFolder first(path);
  REQUIRE(first.reserve("CHAT00", 4096, nullptr).ok());
  StateFolder second(path);
  CHECK(second.why_read_only().contains("another lbm"));
  const u8 byte[] = {1};
  CHECK(second.write("CHAT00", 0, 0, byte).error().code == ErrorCode::kReadOnly);
  u8 back[1];
  CHECK(second.read("CHAT00", 0, 0, back).ok());
}

TEST_CASE("a folder that can not be made is said, not thrown", "[state]") {
  const test::TemporaryFolder root;
  static_cast<void>(root.write("file", "x"));
  StateFolder folder(root / "file/lbm");
  CHECK(folder.why_read_only().contains("can not be made"));
  CHECK(folder.reserve("CHAT00", 4096, nullptr).error().code == ErrorCode::kReadOnly);
}

TEST_CASE("names do not lead out of the folder, writes not out of the slot", "[state]") {
  const test::TemporaryFolder root;
  StateFolder folder(root / "lbm");
  REQUIRE(folder.reserve("A", 4096, nullptr).ok());
  u8 bytes[8] = {};
  CHECK(folder.reserve("../A", 4096, nullptr).error().code == ErrorCode::kLimit);
  CHECK(folder.read("../A", 0, 0, bytes).error().code == ErrorCode::kNotFound);
  CHECK(folder.write("A", 0, 4090, bytes).error().code == ErrorCode::kLimit);
  CHECK(folder.write("A", 0, ~u64{0}, bytes).error().code == ErrorCode::kLimit);
  CHECK(folder.read("A", 0, 4090, bytes).error().code == ErrorCode::kTruncated);
  CHECK(folder.export_file("../x", bytes).error().code == ErrorCode::kBadName);
  CHECK(folder.export_file("", bytes).error().code == ErrorCode::kBadName);
  REQUIRE(folder.export_file("x.txt", bytes).ok());
  REQUIRE(folder.export_file("x.txt", Span<const u8>(bytes, 3)).ok());
  CHECK(std::filesystem::file_size(root / "lbm/x.txt") == 3);
}

}  // namespace
