// Measured boot: which model and which repl.cfg ran, in a register that only grows. What /save
// settings keeps, and what a harness sets, is not measured.
//
// A TPM's PCR can not be set, only extended: new = SHA-256(old || SHA-256(data)), where our data is
// the SHA-256 of a file. Who knows the files can predict the value (scripts/predict_pcr.py), and
// who reads another value knows that something else ran (docs/secure_boot.md). PCR 12 is where boot
// loaders put what they were configured with; the event log names each measurement, as
// EV_EVENT_TAG.
//
// Nothing depends on it: where there is no TPM all of this does nothing, and a TPM that fails is
// worth one line and then left alone.
#pragma once

#include "core/base/result.h"
#include "core/base/sha256.h"
#include "core/base/span.h"
#include "efi/tcg2.h"

namespace lbm::efi {

class MeasuredBoot {
 public:
  static constexpr u32 kPcr = 12;
  static constexpr u32 kEventTag = 6;           // EV_EVENT_TAG
  static constexpr u32 kTaggedId = 0x316D626C;  // "lbm1": whose tagged events these are
  static constexpr usize kMaxText = 160;        // of an event

  // Looks for a TPM. Until then there is none.
  void start();
  // With this protocol instead of the firmware's; nullptr: none.
  void start(Tcg2* protocol);

  [[nodiscard]] bool available() const { return protocol_ != nullptr; }

  // Extends PCR 12 by the 32 bytes of `digest`, the SHA-256 of a file. The event log says
  // "`what` sha256:..."; `what` is cut where that would be too long.
  void measure(Str what, const Sha256Digest& digest);

  // Why a measurement failed, the first time it is asked after that; else empty.
  [[nodiscard]] Str take_notice();

  // The value of PCR 12. Errors: kNotFound (no TPM, or none with a SHA-256 bank), kIo.
  [[nodiscard]] Result<Sha256Digest> pcr();

 private:
  Tcg2* protocol_ = nullptr;
  Str notice_;
};

}  // namespace lbm::efi
