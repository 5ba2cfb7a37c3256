# The steps behind the targets of the Makefile.

# ---- model and image -----------------------------------------------------------------------------------------------------

# MODEL is a file, or a name of models/catalog.json; without it, the catalog's default.
MODEL_FILE = $(if $(NO_MODEL),,$(if $(wildcard $(MODEL)),$(MODEL),$(shell $(PYTHON) scripts/fetch_model.py path $(MODEL))))
# Your own settings, where you have written some (repl.cfg.example shows how).
CFG ?= $(wildcard repl.cfg)
IMAGE ?= images/llm-baremetal-boot$(if $(NO_MODEL),-nomodel).img

.PHONY: boot-image model-file
model-file:
	$(if $(or $(NO_MODEL),$(wildcard $(MODEL))),@:,@$(PYTHON) scripts/fetch_model.py fetch $(MODEL) >/dev/null)
boot-image: $(BUILD)/efi/BOOTX64.EFI model-file
	$(call say,IMAGE,$(IMAGE))
	$(Q)$(PYTHON) scripts/make_image.py --efi $< --out $(IMAGE) $(addprefix --model ,$(MODEL_FILE)) \
	  $(addprefix --cfg ,$(CFG)) $(addprefix --size ,$(SIZE))

# ---- tests and checks ----------------------------------------------------------------------------------------------------

.PHONY: build-tests check-gcc check-san check-wasm check-structure fuzz-run
build-tests: $(BUILD)/lbm $(BUILD)/test/hosted_tests $(BUILD)/efi/BOOTX64.EFI $(BUILD)/efi/tests.efi \
  $(BUILD)/test/write_example_config $(HOSTILE_FILES) $(WASM_MODULES)

# Another compiler, the same answers: g++ builds everything hosted and runs the hosted tests.
check-gcc:
	+@$(MAKE) --no-print-directory CXX=g++ BUILD=$(BUILD)/gcc $(BUILD)/gcc/lbm $(BUILD)/gcc/test/hosted_tests
	$(BUILD)/gcc/test/hosted_tests

check-san:
	+@$(MAKE) --no-print-directory SANITIZE=1 BUILD=$(BUILD)/san OPT='-O1 -g' $(BUILD)/san/test/hosted_tests
	$(BUILD)/san/test/hosted_tests

# The WebAssembly modules, and their tests where Node is there.
check-wasm: $(WASM_MODULES) $(BUILD)/lbm
	@$(PYTHON) scripts/run_tests.py --build $(BUILD) --only wasm $(addprefix --model ,$(wildcard $(MODEL_FILE)))

# The checks that read sources and objects instead of running them; `make test` runs the same ones.
check-structure: $(BUILD)/lbm $(BUILD)/efi/BOOTX64.EFI $(BUILD)/test/write_example_config
	@$(PYTHON) scripts/run_tests.py --build $(BUILD) --only structure

# One fuzzer after the other. What it finds stays in its corpus; a crash leaves its input beside it. The fuzzer of model files
# starts from the hostile corpus, whose small files stand for all of its kinds.
FUZZ_SEEDS_gguf_fuzz = $(dir $(HOSTILE_FILES))
fuzz-run: $(FUZZERS) $(HOSTILE_FILES)
	$(if $(FUZZERS),,@echo "there are no fuzzers (tests/fuzz/*_fuzz.cpp)")
	@set -e; $(foreach fuzzer,$(FUZZERS),$(call run_fuzzer,$(fuzzer),$(notdir $(fuzzer)));) true

define run_fuzzer
mkdir -p $(BUILD)/fuzz/corpus/$(2); \
  $(1) -max_total_time=$(FUZZ_SECONDS) -timeout=10 -rss_limit_mb=4096 -artifact_prefix=$(BUILD)/fuzz/crash-$(2)- \
    $(BUILD)/fuzz/corpus/$(2) $(wildcard tests/fuzz/corpus/$(2)) $(FUZZ_SEEDS_$(2)) > $(BUILD)/fuzz/$(2).log 2>&1 \
  || { tail -n 60 $(BUILD)/fuzz/$(2).log; echo "fuzz: $(2) failed; all it said is in $(BUILD)/fuzz/$(2).log"; exit 1; }; \
  echo "fuzz: $(2): $$(sed -n 's/^Done \([0-9]* runs in [0-9]* second\).*/\1/p' $(BUILD)/fuzz/$(2).log)s"
endef
