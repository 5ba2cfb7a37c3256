// Measurements through EFI_TCG2_PROTOCOL (tpm.h).
#include "efi/tpm.h"

#include "core/base/fmt.h"
#include "efi/cpu_state.h"
#include "efi/firmware.h"

namespace lbm::efi {
namespace {

// TCG_PCClientTaggedEvent behind the header (TCG PC Client Platform Firmware Profile, 10.4.2.1).
struct [[gnu::packed]] TaggedEvent {
  Tcg2EventHeader header;
  UINT32 id;
  UINT32 text_bytes;
  char text[MeasuredBoot::kMaxText];
};

// TPM2_PCR_Read of one PCR in the SHA-256 bank, and its answer. Numbers are big-endian (TCG TPM 2.0
// Library, part 3, section 22.4).
constexpr u8 kPcrBit = 1u << (MeasuredBoot::kPcr % 8);
constexpr u8 kPcrRead[] = {0x80, 0x01, 0, 0, 0, 20,   0, 0, 0x01,    0x7E,  // tag, size, command
                           0,    0,    0, 1, 0, 0x0B, 3, 0, kPcrBit, 0};  // one selection: SHA-256
constexpr usize kResultAt = 6;
constexpr usize kDigestCountAt = 24;
constexpr usize kDigestAt = 30;
constexpr usize kAnswerBytes = kDigestAt + sizeof(Sha256Digest);

u32 read_be32(const u8* bytes) {
  return static_cast<u32>(bytes[0]) << 24 | static_cast<u32>(bytes[1]) << 16 |
         static_cast<u32>(bytes[2]) << 8 | bytes[3];
}

Tcg2* find_protocol() {
  EFI_GUID guid = kTcg2Guid;
  void* found = nullptr;
  if (failed(boot_services().LocateProtocol(&guid, nullptr, &found))) return nullptr;
  return static_cast<Tcg2*>(found);
}

}  // namespace

void MeasuredBoot::start() { start(find_protocol()); }

void MeasuredBoot::start(Tcg2* protocol) {
  protocol_ = nullptr;
  notice_ = {};
  if (protocol == nullptr) return;
  // The firmware has the protocol even where the TPM is switched off.
  Tcg2Capability capability = {};
  capability.size = sizeof(capability);
  const bool answers = !failed(protocol->get_capability(protocol, &capability));
  restore_float_state();
  if (answers && capability.tpm_present) protocol_ = protocol;
}

void MeasuredBoot::measure(Str what, const Sha256Digest& digest) {
  if (protocol_ == nullptr) return;
  constexpr Str kMiddle = " sha256:";
  constexpr usize kMaxWhat = kMaxText - kMiddle.size() - 2 * sizeof(digest.bytes);
  TaggedEvent event;
  TextWriter text(event.text);
  text.append(what.first(what.size() < kMaxWhat ? what.size() : kMaxWhat));
  text.append(kMiddle).append(to_hex(digest).str());
  const usize n = text.text().size();
  const usize event_bytes = sizeof(event) - sizeof(event.text) + n;
  event.header = {static_cast<UINT32>(event_bytes), kTcg2HeaderBytes, kTcg2HeaderVersion, kPcr,
                  kEventTag};
  event.id = kTaggedId;
  event.text_bytes = static_cast<UINT32>(n);
  const EFI_STATUS status = protocol_->hash_log_extend_event(
      protocol_, 0, reinterpret_cast<EFI_PHYSICAL_ADDRESS>(digest.bytes), sizeof(digest.bytes),
      &event.header);
  restore_float_state();
  // A log that is full takes no more events, but the PCR was extended: that is what counts.
  if (!failed(status) || status == EFI_VOLUME_FULL) return;
  notice_ = "the TPM does not take measurements; nothing more is measured";
  protocol_ = nullptr;
}

Str MeasuredBoot::take_notice() {
  const Str notice = notice_;
  notice_ = {};
  return notice;
}

Result<Sha256Digest> MeasuredBoot::pcr() {
  if (protocol_ == nullptr) return fail(ErrorCode::kNotFound, "there is no TPM").about("PCR 12");
  u8 command[sizeof(kPcrRead)];
  __builtin_memcpy(command, kPcrRead, sizeof(command));
  u8 answer[kAnswerBytes] = {};
  const EFI_STATUS status =
      protocol_->submit_command(protocol_, sizeof(command), command, sizeof(answer), answer);
  restore_float_state();
  const u32 result = read_be32(answer + kResultAt);
  if (failed(status) || result != 0)
    return fail(ErrorCode::kIo, "the TPM does not answer").about("PCR 12").with(result);
  if (read_be32(answer + kDigestCountAt) != 1)
    return fail(ErrorCode::kNotFound, "the TPM has no SHA-256 bank").about("PCR 12");
  Sha256Digest digest;
  __builtin_memcpy(digest.bytes, answer + kDigestAt, sizeof(digest.bytes));
  return digest;
}

}  // namespace lbm::efi
