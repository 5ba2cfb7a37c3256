# How things are made out of the sources, host by host. Every object knows the headers it read (-MMD) and the flags it was
# compiled with, every program the list of its objects: a change of any of them rebuilds exactly what it concerns.

Q := $(if $(filter-out 0,$(V)),,@)
say = $(if $(Q),@printf '  %-6s %s\n' '$(1)' '$(2)')

# $(call objects,host,sources)
objects = $(patsubst %.cpp,$(BUILD)/$(1)/%.o,$(2))

# The recipe of a stamp: a file that holds the text $(1) and is written only when the text changes. Its rule depends on FORCE.
define write_stamp
	@mkdir -p $(@D)
	@printf '%s\n' '$(subst ','\'',$(1))' | cmp -s - $@ || printf '%s\n' '$(subst ','\'',$(1))' > $@
endef
.PHONY: FORCE
FORCE:

# $(call compile_with,compiler and flags): the recipe of an object.
define compile_with
	$(call say,CXX,$< [$(firstword $(subst /, ,$(patsubst $(BUILD)/%,%,$@)))])
	$(Q)mkdir -p $(@D)
	$(Q)$(1) $(call extra_flags,$<) -MMD -MP -c $< -o $@
endef

# Kernels: -O3 and the line of their ISA. Files that say LBM_VERSION: the version, so that a new commit rebuilds only those.
extra_flags = $(if $(filter kernels/isa/%,$(1)),$(if $(SANITIZE),,-O3) $(ISA_FLAGS_$(basename $(notdir $(1)))) \
  $(if $(filter $(BUILD)/wasm/%,$@),$(WASM_ISA_FLAGS_$(basename $(notdir $(1)))))) \
  $(if $(filter $(VERSION_USERS),$(1)),-DLBM_VERSION='"$(VERSION_TEXT)"')
VERSION_USERS := $(shell grep -ls LBM_VERSION $(TOOLS_SRC) $(EFI_SRC) /dev/null)
VERSION_COMMIT := $(shell git describe --always --dirty --abbrev=7 --exclude '*' 2>/dev/null)
VERSION_TEXT := $(VERSION)$(if $(VERSION_COMMIT), ($(VERSION_COMMIT)))
$(BUILD)/version.stamp: FORCE
	$(call write_stamp,$(VERSION_TEXT))
$(call objects,host,$(VERSION_USERS)) $(call objects,efi,$(VERSION_USERS)): $(BUILD)/version.stamp

# ---- hosted: build/lbm and the tests -------------------------------------------------------------------------------------

HOST_CORE_OBJ  := $(call objects,host,$(CORE_SRC) $(KERNEL_SRC) $(call isa_sources,host))
HOST_TOOLS_OBJ := $(call objects,host,$(TOOLS_SRC))
HOST_TEST_OBJ  := $(call objects,host,$(SHARED_TEST_SRC) $(HOSTED_SRC))
HOST_TOOLS_PARTS_OBJ := $(call objects,host,$(TOOLS_PARTS_SRC))
HOST_FUZZ_OBJ  := $(call objects,host,$(FUZZ_SRC))

$(BUILD)/host/core.flags: FORCE
	$(call write_stamp,$(CXX) $(HOST_CORE_FLAGS) $(foreach i,$(ISAS_host),$(i): $(ISA_FLAGS_$(i))))
$(BUILD)/host/tools.flags: FORCE
	$(call write_stamp,$(CXX) $(HOST_TOOLS_FLAGS))

$(HOST_CORE_OBJ): $(BUILD)/host/%.o: %.cpp $(BUILD)/host/core.flags | hosted-toolchain
	$(call compile_with,$(CXX) $(HOST_CORE_FLAGS))
$(HOST_TOOLS_OBJ) $(HOST_TEST_OBJ) $(HOST_FUZZ_OBJ): $(BUILD)/host/%.o: %.cpp $(BUILD)/host/tools.flags | hosted-toolchain
	$(call compile_with,$(CXX) $(HOST_TOOLS_FLAGS))

# The tests use the platform of the tools (files, threads), all but their main().
HOST_TESTS_LINK := $(HOST_CORE_OBJ) $(HOST_TOOLS_PARTS_OBJ) $(HOST_TEST_OBJ)
$(BUILD)/lbm.objects: FORCE
	$(call write_stamp,$(HOST_LINK_FLAGS) $(HOST_CORE_OBJ) $(HOST_TOOLS_OBJ))
$(BUILD)/test/hosted_tests.objects: FORCE
	$(call write_stamp,$(HOST_LINK_FLAGS) $(HOST_TESTS_LINK))

$(BUILD)/lbm: $(HOST_CORE_OBJ) $(HOST_TOOLS_OBJ) $(BUILD)/lbm.objects
	$(call say,LINK,$@)
	$(Q)$(CXX) $(filter %.o,$^) -o $@ $(HOST_LINK_FLAGS)
$(BUILD)/test/hosted_tests: $(HOST_TESTS_LINK) $(BUILD)/test/hosted_tests.objects
	$(call say,LINK,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CXX) $(filter %.o,$^) -o $@ $(HOST_LINK_FLAGS) $(CATCH2_LIBS)

# How they are made, for scripts/parser_build.py, which makes some of the objects in another way.
.PHONY: print-hosted-tests
print-hosted-tests:
	@printf '%s\n' 'BUILD=$(BUILD)' 'CXX=$(CXX)' 'CORE_FLAGS=$(HOST_CORE_FLAGS)' 'TOOLS_FLAGS=$(HOST_TOOLS_FLAGS)' \
	  'LINK=$(HOST_LINK_FLAGS) $(CATCH2_LIBS)' 'OBJECTS=$(HOST_TESTS_LINK)'

# Debian 12 has Catch2 2 (headers only); newer systems have 3 (a library).
CATCH2_LIBS = $(if $(wildcard /usr/include/catch2/catch_all.hpp),-lCatch2)

# The corpus of hostile model files; INDEX.tsv is written last.
HOSTILE_FILES := $(BUILD)/hostile/INDEX.tsv
$(HOSTILE_FILES): $(wildcard tests/hostile/*.py)
	$(call say,PYTHON,$(@D))
	$(Q)$(PYTHON) tests/hostile/generate.py $(@D) >/dev/null

# A tiny model for every family and variant; INDEX is written last.
FAMILY_FILES := $(BUILD)/families/INDEX
$(FAMILY_FILES): $(wildcard tests/families/*.py tests/hostile/gguf_writer.py)
	$(call say,PYTHON,$(@D))
	$(Q)$(PYTHON) tests/families/generate.py $(@D)

# What writes repl.cfg.example.
EXAMPLE_CONFIG_OBJ := $(BUILD)/host/scripts/write_example_config.o
$(EXAMPLE_CONFIG_OBJ): $(BUILD)/host/%.o: %.cpp $(BUILD)/host/tools.flags | hosted-toolchain
	$(call compile_with,$(CXX) $(HOST_TOOLS_FLAGS))
$(BUILD)/test/write_example_config: $(EXAMPLE_CONFIG_OBJ) $(HOST_CORE_OBJ) $(HOST_TOOLS_PARTS_OBJ)
	$(call say,LINK,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CXX) $^ -o $@ $(HOST_LINK_FLAGS)

# The fuzzers: each tests/fuzz/NAME_fuzz.cpp is a program of its own, built with SANITIZE=1 by `make fuzz`.
FUZZERS := $(patsubst tests/fuzz/%.cpp,$(BUILD)/fuzz/%,$(FUZZ_SRC))
READER_FUZZERS := $(filter-out %/kernels_fuzz,$(FUZZERS))
HOST_FUZZ_PARTS_OBJ := $(call objects,host,$(FUZZ_PARTS_SRC))
$(HOST_FUZZ_PARTS_OBJ): $(BUILD)/host/%.o: %.cpp $(BUILD)/host/tools.flags | hosted-toolchain
	$(call compile_with,$(CXX) $(HOST_TOOLS_FLAGS))

define link_fuzzer
	$(call say,LINK,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CXX) $^ -o $@ $(HOST_LINK_FLAGS) -fsanitize=fuzzer
endef
# A library, so that a program takes only what it needs.
FUZZ_READERS := $(BUILD)/fuzz/readers.a
$(FUZZ_READERS): $(call objects,host,$(FUZZ_READER_SRC))
	$(Q)mkdir -p $(@D)
	$(Q)rm -f $@ && ar rcs $@ $^
$(READER_FUZZERS): $(BUILD)/fuzz/%: $(BUILD)/host/tests/fuzz/%.o $(HOST_FUZZ_PARTS_OBJ) $(FUZZ_READERS)
	$(link_fuzzer)
$(BUILD)/fuzz/kernels_fuzz: $(BUILD)/host/tests/fuzz/kernels_fuzz.o $(HOST_CORE_OBJ) $(HOST_TOOLS_PARTS_OBJ)
	$(link_fuzzer)

# ---- UEFI: build/efi/BOOTX64.EFI and build/efi/tests.efi -----------------------------------------------------------------

EFI_CORE_OBJ := $(call objects,efi,$(CORE_SRC) $(KERNEL_SRC) $(call isa_sources,x86_64))
EFI_APP_OBJ  := $(call objects,efi,$(EFI_SRC))
EFI_PARTS_OBJ := $(call objects,efi,$(EFI_PARTS_SRC))
# The same test sources as the hosted ones, with the small registry of tests/bare behind tests/test.h.
EFI_TEST_OBJ := $(call objects,efi,$(SHARED_TEST_SRC) $(BARE_SRC))

$(BUILD)/efi/core.flags: FORCE
	$(call write_stamp,$(EFI_CXX) $(EFI_FLAGS) $(foreach i,$(ISAS_x86_64),$(i): $(ISA_FLAGS_$(i))))

$(EFI_CORE_OBJ) $(EFI_APP_OBJ): $(BUILD)/efi/%.o: %.cpp $(BUILD)/efi/core.flags | llvm-toolchain
	$(call compile_with,$(EFI_CXX) $(EFI_FLAGS))
$(EFI_TEST_OBJ): $(BUILD)/efi/%.o: %.cpp $(BUILD)/efi/core.flags | llvm-toolchain
	$(call compile_with,$(EFI_CXX) $(EFI_FLAGS) -DLBM_TEST_BARE)

# The built-in fonts, made out of a font package.
FONT_SRC := $(BUILD)/generated/builtin_font.cpp
EFI_FONT_OBJ := $(BUILD)/efi/generated/builtin_font.o
$(FONT_SRC): scripts/gen_font.py scripts/pack_font.py scripts/pcf_font.py
	$(call say,PYTHON,$@)
	$(Q)$(PYTHON) scripts/gen_font.py --out $@
$(EFI_FONT_OBJ): $(FONT_SRC) $(BUILD)/efi/core.flags | llvm-toolchain
	$(call compile_with,$(EFI_CXX) $(EFI_FLAGS))

# The linked file keeps its debug information (*.debug.efi, for gdb); what boots is stripped of it.
define link_efi
	$(call say,LINK,$@)
	$(Q)$(EFI_LINK) $(EFI_LINK_FLAGS) /out:$(@:.EFI=).debug.efi /lldmap:$(@:.EFI=).map $(filter %.o,$^)
	$(Q)$(OBJCOPY) --strip-debug $(@:.EFI=).debug.efi $@
endef
$(BUILD)/efi/BOOTX64.objects: FORCE
	$(call write_stamp,$(EFI_LINK_FLAGS) $(EFI_CORE_OBJ) $(EFI_APP_OBJ) $(EFI_FONT_OBJ))
$(BUILD)/efi/tests.objects: FORCE
	$(call write_stamp,$(EFI_LINK_FLAGS) $(EFI_CORE_OBJ) $(EFI_PARTS_OBJ) $(EFI_FONT_OBJ) $(EFI_TEST_OBJ))
$(BUILD)/efi/BOOTX64.EFI: $(EFI_CORE_OBJ) $(EFI_APP_OBJ) $(EFI_FONT_OBJ) $(BUILD)/efi/BOOTX64.objects
	$(link_efi)
$(BUILD)/efi/tests.efi: $(EFI_CORE_OBJ) $(EFI_PARTS_OBJ) $(EFI_FONT_OBJ) $(EFI_TEST_OBJ) $(BUILD)/efi/tests.objects
	$(link_efi)

# ---- WebAssembly: build/web/lbm*.wasm, build/wasm/tests*.wasm ----------------------------------------------------------------
#
# Each module comes for engines without and with relaxed SIMD:
#   lbm      runs models (web/), for one thread and for several (-mt)
#   tests    the shared tests (tests/node/runner.cpp), for one thread; nobody is served these

WASM_CORE_OBJ := $(call objects,wasm,$(CORE_SRC) $(KERNEL_SRC) $(call isa_sources,wasm32))
WASM_WEB_OBJ  := $(call objects,wasm,$(WEB_SRC))
WASM_TEST_OBJ := $(call objects,wasm,$(SHARED_TEST_SRC) $(NODE_SRC))
WASM_RELAXED_OBJ := $(call objects,wasm,$(ISAS_wasm32_relaxed:%=kernels/isa/%.cpp))
WASM_LINK_lbm   := $(WASM_CORE_OBJ) $(WASM_WEB_OBJ)
WASM_LINK_tests := $(WASM_CORE_OBJ) $(call objects,wasm,$(WEB_PARTS_SRC)) $(WASM_TEST_OBJ)
WASM_MODULES := $(addprefix $(BUILD)/web/,lbm.wasm lbm-relaxed.wasm lbm-mt.wasm lbm-relaxed-mt.wasm)
WASM_TEST_MODULES := $(addprefix $(BUILD)/wasm/,tests.wasm tests-relaxed.wasm)

$(BUILD)/wasm/core.flags: FORCE
	$(call write_stamp,$(WASM_CXX) $(WASM_FLAGS) $(foreach i,$(ISAS_wasm32),$(i): $(ISA_FLAGS_$(i)) $(WASM_ISA_FLAGS_$(i))))
$(WASM_CORE_OBJ) $(WASM_WEB_OBJ): $(BUILD)/wasm/%.o: %.cpp $(BUILD)/wasm/core.flags | llvm-toolchain
	$(call compile_with,$(WASM_CXX) $(WASM_FLAGS))
$(WASM_TEST_OBJ): $(BUILD)/wasm/%.o: %.cpp $(BUILD)/wasm/core.flags | llvm-toolchain
	$(call compile_with,$(WASM_CXX) $(WASM_FLAGS) -DLBM_TEST_BARE)

$(BUILD)/wasm/modules.objects: FORCE
	$(call write_stamp,$(WASM_LINK) $(WASM_LINK_FLAGS) $(WASM_LINK_FLAGS_mt) $(WASM_LINK_lbm) $(WASM_LINK_tests))

# $(call wasm_module,folder,name,objects): the words of the name after its first say what it is for.
define wasm_module
$(1)$(2).wasm: $(if $(findstring relaxed,$(2)),$(3),$(filter-out $(WASM_RELAXED_OBJ),$(3))) $(BUILD)/wasm/modules.objects
	$$(call say,LINK,$$@)
	$$(Q)mkdir -p $$(@D)
	$$(Q)$(WASM_LINK) $(WASM_LINK_FLAGS) $(if $(findstring -mt,$(2)),$(WASM_LINK_FLAGS_mt)) $$(filter %.o,$$^) -o $$@
endef
wasm_objects = $(WASM_LINK_$(firstword $(subst -, ,$(1))))
$(foreach module,$(WASM_MODULES) $(WASM_TEST_MODULES),$(eval $(call \
  wasm_module,$(dir $(module)),$(basename $(notdir $(module))),$(call wasm_objects,$(basename $(notdir $(module)))))))

# ---- the page: build/web -------------------------------------------------------------------------------------------------
#
# One folder that any static server can serve: the modules, and what Vite makes of web/page (web/page/build), which takes the JavaScript
# of web/lib, web/store and web/gpu along. It is made anew whenever one of its files changed, so that nothing old stays in it.

# npm writes this file at the end of an installation.
WEB_PACKAGES := web/node_modules/.package-lock.json
$(WEB_PACKAGES): web/package-lock.json
	$(call say,NPM,web/node_modules)
	$(Q)cd web && npm ci --no-audit --no-fund --loglevel=error
	$(Q)touch $@

WEB_PAGE := $(BUILD)/web/index.html
WEB_FILES := $(shell find web/lib web/store web/gpu web/page -type f) models/catalog.json
$(WEB_PAGE): $(WASM_MODULES) $(WEB_FILES) $(WEB_PACKAGES) web/package.json
	$(call say,VITE,$(@D))
	$(Q)find $(@D) -mindepth 1 -maxdepth 1 -not -name 'lbm*.wasm' -exec rm -rf {} +
	$(Q)cd web && node_modules/.bin/vite build page --outDir $(abspath $(@D)) --emptyOutDir false --logLevel warn
	$(Q)for types in $(patsubst web/%,%,$(wildcard web/lib/*.d.ts web/store/*.d.ts web/gpu/*.d.ts)); do cp web/$$types $(@D)/$$types; done
	$(Q)touch $@

-include $(patsubst %.o,%.d,$(sort $(HOST_CORE_OBJ) $(HOST_TOOLS_OBJ) $(HOST_TEST_OBJ) $(HOST_FUZZ_OBJ) $(HOST_FUZZ_PARTS_OBJ) \
  $(EXAMPLE_CONFIG_OBJ) $(EFI_CORE_OBJ) $(EFI_APP_OBJ) $(EFI_FONT_OBJ) $(EFI_TEST_OBJ) \
  $(WASM_CORE_OBJ) $(WASM_WEB_OBJ) $(WASM_TEST_OBJ)))
