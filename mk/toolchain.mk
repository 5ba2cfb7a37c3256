# Which compiler and which binary tools build the project. One family, clang + lld, builds all hosts (docs/architecture.md);
# `make CXX=g++` builds the hosted parts with another compiler.
#
# Everything here is found lazily: `make run` on a machine without a compiler must get as far as installing one.

# Oldest version that is known to work: 16. The first version found is taken.
LLVM_VERSIONS := 19 18 17 16 20 21
LLVM_VERSION := $(firstword $(foreach v,$(LLVM_VERSIONS),$(if $(shell command -v clang++-$(v)),$(v))))

# What a user sets (make CXX=...) or exports (CXX=... make) wins over what is found; make's own default does not count.
ifneq ($(filter default undefined,$(origin CXX)),)
  CXX := $(if $(LLVM_VERSION),clang++-$(LLVM_VERSION))
endif
PYTHON ?= python3

EFI_CXX  ?= clang++-$(LLVM_VERSION)
EFI_LINK ?= lld-link-$(LLVM_VERSION)
OBJCOPY  ?= llvm-objcopy-$(LLVM_VERSION)
WASM_CXX ?= clang++-$(LLVM_VERSION)
WASM_LINK ?= wasm-ld-$(LLVM_VERSION)

CXX_IS_CLANG = $(findstring clang,$(notdir $(CXX)))

define NO_TOOLCHAIN
no clang++ of version 16 or newer was found (looked for: $(foreach v,$(LLVM_VERSIONS),clang++-$(v))).
  Install it with everything else:  make deps
  Or name your own compiler:        make CXX=/path/to/c++ cli   (hosted parts only)
endef

# An order-only prerequisite of every object file, so that the message comes once and only when something is compiled.
.PHONY: hosted-toolchain llvm-toolchain
hosted-toolchain:
	$(if $(CXX),,$(error $(NO_TOOLCHAIN)))@:
llvm-toolchain:
	$(if $(LLVM_VERSION),,$(error $(NO_TOOLCHAIN)))@:
