# The steps behind the targets of the Makefile.

# ---- model and image -----------------------------------------------------------------------------------------------------

# MODEL is a file, or a name of models/catalog.json; without it, the catalog's default.
MODEL_FILE = $(if $(NO_MODEL),,$(if $(wildcard $(MODEL)),$(MODEL),$(shell $(PYTHON) scripts/fetch_model.py path $(MODEL))))
# Your own settings, where you have written some (repl.cfg.example shows how).
CFG ?= $(wildcard repl.cfg)
IMAGE ?= images/llm-baremetal-boot$(if $(NO_MODEL),-nomodel).img
# What every image says its terms are: ours, and those of what is compiled in, which Debian keeps beside each package. BOOT_FILES are
# further files of the BOOT volume, as PATH=SOURCE.
LICENCES ?= LICENSE
FOREIGN_TERMS := $(foreach package,xfonts-terminus gnu-efi, \
  $(addprefix LICENCES/$(package).txt=,$(wildcard /usr/share/doc/$(package)/copyright)))
IMAGE_OPTIONS = $(addprefix --model ,$(MODEL_FILE)) $(if $(EXTRA_MODELS),--extra-models '$(EXTRA_MODELS)') \
  $(addprefix --tokenizer ,$(TOKENIZER)) $(addprefix --cfg ,$(CFG)) $(addprefix --licence ,$(LICENCES)) \
  $(addprefix --file ,$(FOREIGN_TERMS) $(BOOT_FILES)) $(addprefix --size ,$(SIZE))

.PHONY: boot-image model-file
model-file:
	$(if $(or $(NO_MODEL),$(wildcard $(MODEL))),@:,@$(PYTHON) scripts/fetch_model.py fetch $(MODEL) >/dev/null)
boot-image: $(BUILD)/efi/BOOTX64.EFI model-file
	$(call say,IMAGE,$(IMAGE))
	$(Q)$(PYTHON) scripts/make_image.py --efi $< --out $(IMAGE) $(IMAGE_OPTIONS)

# ---- page ----------------------------------------------------------------------------------------------------------------

.PHONY: web-page
web-page: $(WEB_PAGE)
	@echo "The page is in $(<D). Look at it:  make cli && $(BUILD)/lbm serve -m MODEL.gguf"

# What is installed beside lbm: PREFIX/share/llm-baremetal/web.
define install_page
rm -rf $(DESTDIR)$(PREFIX)/share/llm-baremetal/web
	mkdir -p $(DESTDIR)$(PREFIX)/share/llm-baremetal/web
	cp -r $(BUILD)/web/. $(DESTDIR)$(PREFIX)/share/llm-baremetal/web
endef

# ---- release and stick ---------------------------------------------------------------------------------------------------

# KEY is a secret key of minisign; SIGN_KEY and SIGN_CERT sign the program for Secure Boot on the way.
RELEASE ?= images/release
.PHONY: release-files sign-efi flash-image
release-files: $(BUILD)/efi/BOOTX64.EFI model-file
	$(Q)$(PYTHON) scripts/release.py --efi $< --out $(RELEASE) --version '$(VERSION)' $(addprefix --model ,$(MODEL_FILE)) \
	  $(addprefix --licence ,$(LICENCES)) $(addprefix --file ,$(FOREIGN_TERMS) $(BOOT_FILES)) $(addprefix --key ,$(KEY)) \
	  $(addprefix --sign-key ,$(SIGN_KEY)) $(addprefix --sign-cert ,$(SIGN_CERT)) $(addprefix --xz-level ,$(XZ_LEVEL))
sign-efi: $(BUILD)/efi/BOOTX64.EFI
	$(Q)$(PYTHON) scripts/sign.py --key '$(KEY)' --cert '$(CERT)' --out $(BUILD)/efi/BOOTX64.signed.EFI $<
flash-image:
	$(Q)$(PYTHON) scripts/flash.py $(FLASH_OPTIONS) --image '$(IMAGE)' '$(DEV)'

# Clients of strangers, for the tests of lbm serve.
PYTHON_PACKAGES := $(BUILD)/python/installed
$(PYTHON_PACKAGES): tests/hosted/requirements.txt
	$(call say,PIP,$(@D))
	$(Q)rm -rf $(@D) && mkdir -p $(@D)
	$(Q)$(PYTHON) -m pip install --disable-pip-version-check --no-warn-script-location --root-user-action=ignore \
	  --only-binary=:all: --target $(@D) -r $< >$(@D)/pip.log 2>&1 || { cat $(@D)/pip.log >&2; exit 1; }
	$(Q)touch $@

# ---- tests and checks ----------------------------------------------------------------------------------------------------

.PHONY: build-tests check-gcc check-san check-wasm check-structure fuzz-run
build-tests: $(BUILD)/lbm $(BUILD)/test/hosted_tests $(BUILD)/efi/BOOTX64.EFI $(BUILD)/efi/tests.efi \
  $(BUILD)/test/write_example_config $(HOSTILE_FILES) $(FAMILY_FILES) $(WASM_MODULES) $(WASM_TEST_MODULES) $(WEB_PAGE) \
  $(PYTHON_PACKAGES)

# Another compiler, the same answers: g++ builds everything hosted and runs the hosted tests.
check-gcc:
	+@$(MAKE) --no-print-directory CXX=g++ BUILD=$(BUILD)/gcc $(BUILD)/gcc/lbm $(BUILD)/gcc/test/hosted_tests
	$(BUILD)/gcc/test/hosted_tests

SAN_OPT := -O1 -gline-tables-only
check-san:
	+@$(MAKE) --no-print-directory SANITIZE=1 BUILD=$(BUILD)/san OPT='$(SAN_OPT)' $(BUILD)/san/test/hosted_tests
	$(BUILD)/san/test/hosted_tests

# The WebAssembly modules, and their tests where Node is there.
check-wasm: $(WASM_MODULES) $(WASM_TEST_MODULES) $(HOSTILE_FILES) $(BUILD)/lbm
	@$(PYTHON) scripts/run_tests.py --build $(BUILD) --only wasm $(addprefix --model ,$(wildcard $(MODEL_FILE)))

# The checks that read sources and objects instead of running them; `make test` runs the same ones.
check-structure: $(BUILD)/lbm $(BUILD)/efi/BOOTX64.EFI $(BUILD)/test/write_example_config
	@$(PYTHON) scripts/run_tests.py --build $(BUILD) --only structure

# Each fuzzer for FUZZ_SECONDS, FUZZ_JOBS at a time; scripts/fuzz.py has the seeds, and says what came of it. The readers alone are
# what `make test` runs.
FUZZ_JOBS ?= 1
FUZZ_ONLY ?= $(FUZZERS)
fuzz-run: $(FUZZ_ONLY) $(HOSTILE_FILES)
	@$(PYTHON) scripts/fuzz.py --fuzzers $(BUILD)/fuzz --corpus $(dir $(HOSTILE_FILES)) --seconds $(FUZZ_SECONDS) --jobs $(FUZZ_JOBS) \
	  $(addprefix --table ,$(FUZZ_TABLE)) $(notdir $(FUZZ_ONLY))

.PHONY: reader-fuzzers coverage-run mutation-run
reader-fuzzers: $(READER_FUZZERS) $(HOSTILE_FILES)
coverage-run: $(BUILD)/test/hosted_tests $(HOSTILE_FILES)
	@$(PYTHON) scripts/coverage.py --build $(BUILD) --cxx "$(CXX)" $(COVERAGE)
mutation-run: $(BUILD)/test/hosted_tests $(HOSTILE_FILES)
	@$(PYTHON) scripts/check_mutation.py --build $(BUILD) --cxx "$(CXX)" $(MUTATION)

# Passes in QEMU (docs/reliability.md, docs/state.md).
.PHONY: reliability-run power-cut-run
reliability-run: $(BUILD)/efi/BOOTX64.EFI $(BUILD)/lbm model-file
	@$(PYTHON) scripts/reliability --skip-preflight --skip-build --run-qemu --efi $(BUILD)/efi/BOOTX64.EFI
	@$(PYTHON) scripts/boot_matrix.py --efi $(BUILD)/efi/BOOTX64.EFI $(if $(SHORT),--short)
power-cut-run: $(BUILD)/efi/BOOTX64.EFI
	@$(PYTHON) scripts/power_cut.py --efi $(BUILD)/efi/BOOTX64.EFI $(if $(SHORT),--short)
