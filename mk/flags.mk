# Every compiler flag of the project, once, with the reason for those that carry one.

STD := -std=c++20
OPT ?= -O2 -g
# Warnings stop the build where the project's own compiler gives them; what another version newly dislikes stops no user.
WERROR ?= $(if $(filter 19,$(LLVM_VERSION)),-Werror)
WARN := -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wsign-conversion -Wdouble-promotion -Wold-style-cast $(WERROR)

# No fused multiply-add: the same bits on every host (docs/numerics.md, R2). Square roots never set errno, so that they are the
# processor's one instruction (correctly rounded) and not a call into a libc that the core has not got.
FP := -ffp-contract=off -fno-math-errno

# Includes are written from the root. The prefix map keeps the folder of the checkout out of the binaries.
PATHS := -I. -ffile-prefix-map=$(CURDIR)/=

# The core and the kernels: no library under them, no exceptions, no static constructors that need guards.
FREESTANDING := -ffreestanding -fno-exceptions -fno-rtti -fno-threadsafe-statics

# SANITIZE=1 (make check, make fuzz): address and undefined-behaviour checks, and the coverage counters that libFuzzer reads.
ifdef SANITIZE
  # Not the check of dynamic types: the core has none to tell.
  SAN := -fsanitize=address,undefined -fno-sanitize=vptr -fno-sanitize-recover=all -fno-omit-frame-pointer
  SAN_COMPILE := $(SAN) $(if $(CXX_IS_CLANG),-fsanitize=fuzzer-no-link)
endif

COMMON := $(STD) $(OPT) $(FP) $(WARN) $(PATHS)

HOST_CORE_FLAGS  = $(COMMON) $(FREESTANDING) $(SAN_COMPILE) $(CXXFLAGS)
HOST_TOOLS_FLAGS = $(COMMON) -pthread $(SAN_COMPILE) $(CXXFLAGS)
HOST_LINK_FLAGS  = -pthread -lcpp-httplib $(SAN) $(LDFLAGS)

# UEFI: straight to PE, with gnu-efi's headers only (docs/uefi.md). The firmware's timer may interrupt us at any instruction,
# so there is no red zone; frames over a page need no probe because the firmware maps its whole stack.
EFI_TARGET := -target x86_64-unknown-windows-gnu
EFI_FLAGS = $(EFI_TARGET) $(STD) -O2 -g -gdwarf-4 $(FP) $(WARN) $(PATHS) $(FREESTANDING) -fno-stack-protector -mno-red-zone \
  -fno-asynchronous-unwind-tables -mno-stack-arg-probe -fno-use-cxa-atexit \
  -DGNU_EFI_USE_MS_ABI -isystem /usr/include/efi -isystem /usr/include/efi/x86_64
# /lldmingw only changes symbol rules; nothing of mingw is linked. Time stamp 0: the same sources give the same bytes.
EFI_LINK_FLAGS := /subsystem:efi_application /entry:efi_main /nodefaultlib /lldmingw /dll /base:0x10000 /timestamp:0 /debug:dwarf

# WebAssembly. Everything is compiled with atomics, so that the same objects link into modules with one thread and with several;
# without bulk memory, zeros would be written out as data. What needs more than this is a kernel table (below).
WASM_FLAGS = --target=wasm32 -nostdlib -mbulk-memory -mmutable-globals -matomics -msimd128 $(STD) -O2 $(FP) $(WARN) $(PATHS) \
  $(FREESTANDING)
# The stack comes first, so that one that overflows traps instead of writing over data. One page less than 4 GiB.
WASM_LINK_FLAGS := --no-entry --import-memory --export=__stack_pointer --stack-first -z stack-size=1048576 \
  --max-memory=4294901760 --strip-debug
WASM_LINK_FLAGS_mt := --shared-memory

# The instruction sets. Kernels are compiled once for each, at -O3, with these flags and no others: one table, read by all hosts.
# A new ISA is a line here, kernels/isa/<isa>.cpp, and an entry in kernels/select.cpp.
ISA_FLAGS_scalar :=
# A compiler that turns 64-bit multiplications into vector code would undo what this table is for.
ISA_FLAGS_swar   := -fno-tree-vectorize -fno-tree-slp-vectorize
ISA_FLAGS_avx2   := -mavx2 -mf16c
ISA_FLAGS_avx_vnni := -mavx2 -mf16c -mavxvnni
ISA_FLAGS_avx512 := -mavx512f -mavx512bw -mavx512vl -mavx512dq -mavx512vnni -mf16c
ISA_FLAGS_amx    := $(ISA_FLAGS_avx512) -mamx-tile -mamx-int8
# No table of its own: one function, which any table gets (kernels/select.cpp).
ISA_FLAGS_sha_ni := -msha -msse4.1
ISA_FLAGS_wasm_simd :=
ISA_FLAGS_wasm_relaxed := -mrelaxed-simd
ISA_FLAGS_wasm_pairs := -mrelaxed-simd
# Where they are only what the others are compared with, and every byte is downloaded.
WASM_ISA_FLAGS_scalar := -Os
WASM_ISA_FLAGS_swar := -Os

ISAS_x86_64 := scalar swar avx2 avx_vnni avx512 amx sha_ni
ISAS_wasm32 := scalar swar wasm_simd wasm_relaxed wasm_pairs
# Linked only into modules for engines with relaxed SIMD: a module is refused as a whole.
ISAS_wasm32_relaxed := wasm_relaxed wasm_pairs
ISAS_other  := scalar swar

HOST_ARCH := $(shell uname -m)
ISAS_host := $(if $(filter x86_64 amd64,$(HOST_ARCH)),$(ISAS_x86_64),$(ISAS_other))
