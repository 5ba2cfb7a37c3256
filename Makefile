# llm-baremetal. `make help` lists the targets; flags, sources and rules are in mk/.
#
#   make run     boot the default model in QEMU and chat       make test    everything that has to pass
#
# What you can set: V=1 (show commands), CXX, CXXFLAGS, LDFLAGS, BUILD (default: build), PREFIX, DESTDIR, JOBS.

VERSION := 0.1.0
BUILD ?= build
PREFIX ?= /usr/local
JOBS ?= $(shell nproc 2>/dev/null || echo 2)

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules

include mk/toolchain.mk
include mk/flags.mk
include mk/sources.mk
include mk/rules.mk

# The targets that begin on a bare machine install what is missing first, and only then look for a compiler: in a second make.
# -j is ours unless the user has said how many.
AGAIN = +@$(MAKE) --no-print-directory $(if $(filter -j%,$(MAKEFLAGS)),,-j$(JOBS))

##@ Two commands on a fresh machine
.PHONY: run test
run: ## install what is missing, fetch the model, build, boot in QEMU, chat (GUI=1: in a window; MODEL=name or file)
	@scripts/deps.sh run $(if $(GUI),gui)
	$(AGAIN) boot-image
	@$(PYTHON) scripts/qemu.py run --image $(IMAGE) $(if $(GUI),--gui)

test: ## install what is missing, fetch the model, build, run every test
	@scripts/deps.sh test
	$(AGAIN) build-tests model
	$(AGAIN) SANITIZE=1 BUILD=$(BUILD)/san OPT='$(SAN_OPT)' reader-fuzzers
	@$(PYTHON) scripts/run_tests.py --build $(BUILD) --model "$$($(PYTHON) scripts/fetch_model.py path)"

##@ Build
.PHONY: deps model cli repl efi image flash web all
deps: ## install every package that the project uses (apt; asks through sudo where needed)
	@scripts/deps.sh run test check gui

model: ## fetch and verify the default model (MODEL=name: another one of models/catalog.json)
	@scripts/deps.sh model
	@$(PYTHON) scripts/fetch_model.py fetch $(MODEL) >/dev/null

cli: $(BUILD)/lbm ## the hosted command line, build/lbm

repl: efi ## the UEFI application (the chat REPL), build/efi/BOOTX64.EFI

efi: $(BUILD)/efi/BOOTX64.EFI ## the same as repl

image: ## images/llm-baremetal-boot.img (NO_MODEL=1; MODEL=name or file; EXTRA_MODELS='a;b'; SIZE=2G; CFG=repl.cfg)
	@scripts/deps.sh image
	$(AGAIN) boot-image

flash: ## write the image to a stick, and read it back: make flash DEV=/dev/sdX (IMAGE=file; asks before it writes)
	+@$(MAKE) --no-print-directory flash-image

all: cli efi ## cli and efi

web: ## the page and its modules, build/web: for lbm serve, or any static server
	@scripts/deps.sh web
	$(AGAIN) web-page

##@ Verify
.PHONY: check bench bench-web tidy fuzz fuzz-long coverage check-mutation reliability power-cut fmt
check: ## the slower checks: g++ build, ASan and UBSan, wasm32, fuzz smoke test, structure
	$(AGAIN) check-gcc
	$(AGAIN) check-san
	$(AGAIN) check-wasm
	$(AGAIN) fuzz FUZZ_SECONDS=5
	$(AGAIN) check-structure
	@echo "check: all passed"

bench: cli model-file ## decode and prefill speed on this machine (MODEL=name or file)
	$(BUILD)/lbm bench -m $(MODEL_FILE)

bench-web: ## the module in Chromium against another engine on the same file, as JSON (BENCH="--rounds 5 --threads 1,2")
	$(AGAIN) web model cli
	@node tests/web/bench.mjs --modules $(BUILD)/web --model "$$($(PYTHON) scripts/fetch_model.py path)" $(BENCH)

FUZZ_SECONDS ?= 60
fuzz: ## run every fuzzer for FUZZ_SECONDS (default 60)
	+@$(MAKE) --no-print-directory SANITIZE=1 BUILD=$(BUILD)/san OPT='$(SAN_OPT)' fuzz-run FUZZ_SECONDS=$(FUZZ_SECONDS)

fuzz-long: ## run every fuzzer for 10 minutes, and write docs/fuzzing.md
	$(AGAIN) fuzz FUZZ_SECONDS=600 FUZZ_JOBS=$(JOBS) FUZZ_TABLE=docs/fuzzing.md

reliability: ## boot passes: M8 with a boot, M9, the boot matrix (SHORT=1: some machines)
	@scripts/deps.sh run
	$(AGAIN) reliability-run

power-cut: ## every state that a power cut can leave behind: is a record lost? (SHORT=1: some hundred states)
	@scripts/deps.sh run
	$(AGAIN) power-cut-run

coverage: ## lines and branches of the parsers that the corpus and the unit tests run (COVERAGE=--show: what is missed)
	$(AGAIN) coverage-run

check-mutation: ## take out each check of the parsers in turn: do tests notice? (MUTATION="--room format", "--sample 10 --seed 7")
	$(AGAIN) mutation-run

tidy: ## clang-tidy over the sources
	@command -v clang-tidy-$(LLVM_VERSION) >/dev/null || { echo "clang-tidy-$(LLVM_VERSION) is missing: run 'make deps'" >&2; exit 1; }
	clang-tidy-$(LLVM_VERSION) --quiet $(CORE_SRC) $(KERNEL_SRC) -- $(filter-out $(WERROR),$(HOST_CORE_FLAGS))
	clang-tidy-$(LLVM_VERSION) --quiet $(TOOLS_SRC) -- $(filter-out $(WERROR),$(HOST_TOOLS_FLAGS))

FORMATTED = $(wildcard core/*.h core/*/*.h core/*/*.cpp kernels/*.h kernels/*.cpp kernels/*/*.h kernels/*/*.cpp \
  efi/*.h efi/*.cpp tools/*.h tools/*.cpp web/*.h web/*.cpp scripts/*.cpp tests/*.h tests/*/*.h tests/*/*.cpp)
fmt: ## clang-format over the sources
	@command -v clang-format-$(LLVM_VERSION) >/dev/null || { echo "clang-format-$(LLVM_VERSION) is missing: run 'make deps'" >&2; exit 1; }
	clang-format-$(LLVM_VERSION) -i $(filter-out %/unicode_tables.inl.h %/unicode_tables.cpp,$(FORMATTED))

##@ Other
.PHONY: help example-config release sign install clean distclean
help: ## this list
	@awk -f mk/help.awk Makefile

example-config: $(BUILD)/test/write_example_config ## write repl.cfg.example again, after a change of the settings
	$< > repl.cfg.example

release: ## images/release/: images with and without a model, a zip, checksums, notes (KEY=minisign key: signed)
	@scripts/deps.sh release
	$(AGAIN) release-files

sign: ## sign the program for Secure Boot: make sign KEY=key.pem CERT=cert.pem (docs/secure_boot.md)
	@scripts/deps.sh release
	$(AGAIN) sign-efi

install: $(BUILD)/lbm ## copy lbm below PREFIX (default /usr/local), with DESTDIR before it; the page, too, if it is built
	install -D -m 755 $(BUILD)/lbm $(DESTDIR)$(PREFIX)/bin/lbm
	$(if $(wildcard $(WEB_PAGE)),$(install_page))

clean: ## remove what was built
	rm -rf $(BUILD) images/*.img images/release

distclean: clean ## remove what was built and the models that were fetched
	rm -rf models/cache

include mk/targets.mk
