# Which file belongs to what. A new file in a known room needs no line here.

CORE_SRC    := $(wildcard core/*/*.cpp)
KERNEL_SRC  := $(wildcard kernels/*.cpp)
TOOLS_SRC   := $(wildcard tools/*.cpp)
EFI_SRC     := $(wildcard efi/*.cpp)
HOSTED_SRC  := $(wildcard tests/hosted/*.cpp)
WEB_SRC     := $(wildcard web/*.cpp)
BARE_SRC    := $(wildcard tests/bare/*.cpp)
NODE_SRC    := $(wildcard tests/node/*.cpp)
FUZZ_SRC    := $(wildcard tests/fuzz/*_fuzz.cpp)
# What the fuzzers of parsers are made of: everything that reads bytes of strangers, and what it stands on. A program links the files
# it needs of them. kernels_fuzz takes all of the core.
FUZZ_PARTS_SRC := tests/fuzz/mutator.cpp tests/fuzz/structure.cpp
FUZZ_READER_SRC := $(wildcard core/base/*.cpp core/format/*.cpp core/model/*.cpp core/tokenizer/*.cpp core/tensor/*.cpp core/screen/*.cpp \
  core/chat/template*.cpp $(addprefix core/chat/,settings.cpp settings_table.cpp text_file.cpp config_file.cpp commands.cpp nearest.cpp printable.cpp \
  input_history.cpp line_editor.cpp line_painter.cpp) core/infer/kv_cache.cpp $(wildcard core/infer/grammar*.cpp tools/json_schema*.cpp) $(addprefix tools/,platform_posix.cpp \
  machine_limits.cpp output.cpp safetensors.cpp strict_json.cpp manifest.cpp clif.cpp scxm.cpp gguf_writer.cpp file_writer.cpp \
  foreign_artifact.cpp model_reader.cpp input.cpp json_node.cpp tokenizer_json.cpp tokenizer_json_rules.cpp shard_index.cpp \
  serve_head.cpp serve_range.cpp serve_fields.cpp serve_request.cpp serve_request_chat.cpp))
# Tests that run hosted, on bare metal and in Node: every other folder under tests/.
SHARED_TEST_SRC := $(filter-out tests/hosted/% tests/bare/% tests/node/% tests/fuzz/%,$(wildcard tests/*/*.cpp))

# Where several hosts define the same things (panic, efi_main), a program takes all of a host but its main file.
EFI_PARTS_SRC   := $(filter-out efi/main.cpp,$(EFI_SRC))
TOOLS_PARTS_SRC := $(filter-out tools/main.cpp,$(TOOLS_SRC))
WEB_PARTS_SRC   := $(filter-out web/wasm_module.cpp web/api.cpp web/api_tokens.cpp,$(WEB_SRC))

# The kernels of host $(1), as far as they are written.
isa_sources = $(wildcard $(foreach isa,$(ISAS_$(1)),kernels/isa/$(isa).cpp))

UNKNOWN_ISA := $(filter-out $(ISAS_x86_64) $(ISAS_wasm32),$(basename $(notdir $(wildcard kernels/isa/*.cpp))))
$(if $(UNKNOWN_ISA),$(error kernels/isa/$(firstword $(UNKNOWN_ISA)).cpp has no line in the table of mk/flags.mk))
