// Measured boot: against protocols of ours that write down what they are asked, and against the
// TPM of the machine where it has one (scripts/secure_boot_test.py attaches one).
#include "efi/tpm.h"

#include "core/base/fmt.h"
#include "efi/debug_devices.h"
#include "tests/test.h"

using namespace lbm;
using namespace lbm::efi;

namespace {

struct FakeTpm {
  Tcg2 protocol = {};
  bool present = true;
  EFI_STATUS answer = EFI_SUCCESS;
  u32 n_event = 0;
  u64 data_bytes = 0;
  u8 first_byte = 0;
  u8 event[512] = {};

  FakeTpm() {
    protocol.get_capability = get_capability;
    protocol.hash_log_extend_event = extend;
    protocol.submit_command = submit;
  }
  static FakeTpm& of(Tcg2* self) { return *reinterpret_cast<FakeTpm*>(self); }

  static EFI_STATUS EFIAPI get_capability(Tcg2* self, Tcg2Capability* out) {
    out->tpm_present = of(self).present;
    return EFI_SUCCESS;
  }
  static EFI_STATUS EFIAPI extend(Tcg2* self, UINT64 flags, EFI_PHYSICAL_ADDRESS data,
                                  UINT64 data_bytes, Tcg2EventHeader* event) {
    FakeTpm& tpm = of(self);
    CHECK(flags == 0);
    ++tpm.n_event;
    tpm.data_bytes = data_bytes;
    if (data_bytes > 0) tpm.first_byte = *reinterpret_cast<const u8*>(data);
    if (event->event_bytes <= sizeof(tpm.event))
      __builtin_memcpy(tpm.event, event, event->event_bytes);
    return tpm.answer;
  }
  static EFI_STATUS EFIAPI submit(Tcg2* self, UINT32, UINT8*, UINT32 response_bytes,
                                  UINT8* response) {
    CHECK(response_bytes == 62);
    __builtin_memset(response, 0, response_bytes);
    response[27] = 1;  // one digest
    response[30] = 0xAB;
    return of(self).answer;
  }
};

u32 read_le32(const u8* bytes) {
  return static_cast<u32>(bytes[0]) | static_cast<u32>(bytes[1]) << 8 |
         static_cast<u32>(bytes[2]) << 16 | static_cast<u32>(bytes[3]) << 24;
}

Sha256Digest digest_of(Span<const u8> data) {
  Sha256 hash;
  hash.update(data);
  return hash.finish();
}

// What a PCR becomes: SHA-256(old || SHA-256(data)).
Sha256Digest extended(const Sha256Digest& old, const Sha256Digest& data) {
  const Sha256Digest inner = digest_of(data.bytes);
  Sha256 outer;
  outer.update(old.bytes);
  outer.update(inner.bytes);
  return outer.finish();
}

}  // namespace

TEST_CASE("a measurement is an EV_EVENT_TAG of PCR 12 that names what was measured", "[tpm]") {
  FakeTpm tpm;
  MeasuredBoot boot;
  boot.start(&tpm.protocol);
  REQUIRE(boot.available());
  Sha256Digest digest;
  digest.bytes[0] = 0xC7;
  digest.bytes[31] = 0x01;
  boot.measure("model", digest);
  constexpr u32 kTextBytes = 5 + 8 + 64;
  CHECK(tpm.n_event == 1);
  CHECK(tpm.data_bytes == 32);
  CHECK(tpm.first_byte == 0xC7);
  CHECK(read_le32(tpm.event) == 18 + 8 + kTextBytes);
  CHECK(read_le32(tpm.event + 4) == 14);
  CHECK((tpm.event[8] == 1 && tpm.event[9] == 0));
  CHECK(read_le32(tpm.event + 10) == 12);
  CHECK(read_le32(tpm.event + 14) == 6);
  CHECK(__builtin_memcmp(tpm.event + 18, "lbm1", 4) == 0);
  CHECK(read_le32(tpm.event + 22) == kTextBytes);
  CHECK(__builtin_memcmp(tpm.event + 26, "model sha256:c700", 17) == 0);
  CHECK(__builtin_memcmp(tpm.event + 26 + kTextBytes - 4, "0001", 4) == 0);
  CHECK(boot.take_notice().empty());
}

TEST_CASE("a name that is too long for an event is cut", "[tpm]") {
  FakeTpm tpm;
  MeasuredBoot boot;
  boot.start(&tpm.protocol);
  char name[300];
  __builtin_memset(name, 'x', sizeof(name));
  Sha256Digest digest;
  digest.bytes[31] = 0xFE;
  boot.measure({name, sizeof(name)}, digest);
  CHECK(read_le32(tpm.event) == 18 + 8 + MeasuredBoot::kMaxText);
  CHECK(read_le32(tpm.event + 22) == MeasuredBoot::kMaxText);
  CHECK(__builtin_memcmp(tpm.event + 26 + MeasuredBoot::kMaxText - 4, "00fe", 4) == 0);
}

TEST_CASE("without a TPM nothing is measured and nothing is said", "[tpm]") {
  MeasuredBoot none;
  none.measure("model", Sha256Digest());
  none.start(nullptr);
  none.measure("model", Sha256Digest());
  CHECK(!none.available());
  CHECK(none.take_notice().empty());
  CHECK(none.pcr().error().code == ErrorCode::kNotFound);

  FakeTpm switched_off;
  switched_off.present = false;
  MeasuredBoot boot;
  boot.start(&switched_off.protocol);
  boot.measure("model", Sha256Digest());
  CHECK(switched_off.n_event == 0);
  CHECK(boot.take_notice().empty());
}

TEST_CASE("a TPM that fails is worth one notice and is left alone", "[tpm]") {
  FakeTpm tpm;
  tpm.answer = EFI_DEVICE_ERROR;
  MeasuredBoot boot;
  boot.start(&tpm.protocol);
  CHECK(boot.pcr().error().code == ErrorCode::kIo);
  boot.measure("model", Sha256Digest());
  CHECK(!boot.take_notice().empty());
  CHECK(boot.take_notice().empty());
  boot.measure("config", Sha256Digest());
  CHECK(tpm.n_event == 1);
  CHECK(!boot.available());
}

TEST_CASE("an event log that is full does not end the measurements", "[tpm]") {
  FakeTpm tpm;
  tpm.answer = EFI_VOLUME_FULL;
  MeasuredBoot boot;
  boot.start(&tpm.protocol);
  boot.measure("model", Sha256Digest());
  boot.measure("config", Sha256Digest());
  CHECK(tpm.n_event == 2);
  CHECK(boot.take_notice().empty());
}

// The line it writes tells scripts/secure_boot_test.py that this machine had one.
TEST_CASE("the TPM of this machine grows as predicted", "[tpm]") {
  MeasuredBoot boot;
  boot.start();
  if (!boot.available()) return;
  const Result<Sha256Digest> before = boot.pcr();
  REQUIRE(before.ok());
  u8 model[4096];
  for (u32 i = 0; i < sizeof(model); ++i) model[i] = static_cast<u8>(i * 7);
  const Sha256Digest config_digest = digest_of(Str("temp=0\n").bytes());
  const Sha256Digest model_digest = digest_of(model);
  boot.measure("config", config_digest);
  boot.measure("model", model_digest);
  const Result<Sha256Digest> after = boot.pcr();
  REQUIRE(after.ok());
  CHECK(after.value() == extended(extended(before.value(), config_digest), model_digest));
  TextBuffer<128> line;
  line.print("[tpm] pcr12={}\n", to_hex(after.value()).str());
  debug_write(line.text());
}
