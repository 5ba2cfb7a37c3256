// The section .sbat: which generation of this program a file is.
//
// The shim of Secure Boot refuses files without one, and can revoke all files of a component below
// a generation at once, instead of one hash at a time. The second field of our line is that
// generation: it grows only when a fault lets an unsigned thing run under Secure Boot.
// Source: SBAT.md of rhboot/shim. Lines: component, generation, vendor, package, version, address.

#ifndef LBM_VERSION
#define LBM_VERSION "development build"
#endif

namespace lbm::efi {
namespace {

[[gnu::section(".sbat"), gnu::used]] constexpr char kSbat[] =
    "sbat,1,SBAT Version,sbat,1,https://github.com/rhboot/shim/blob/main/SBAT.md\n"
    "llm-baremetal,1,llm-baremetal,llm-baremetal," LBM_VERSION ",docs/secure_boot.md\n";

}  // namespace
}  // namespace lbm::efi
