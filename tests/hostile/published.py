"""Every published report of section "vulnerabilities" in docs/hostile.md, and what stands for it here.

generate.py --check fails where an id has neither a file of the corpus nor a reason. A reason names the test that covers the class,
or says what this project has not got.
"""

# Ids that the `source` of a recipe has to name.
IN_THE_CORPUS = """
CVE-2024-23496 CVE-2024-21825 CVE-2024-25668 CVE-2024-21802 CVE-2024-21836 CVE-2024-25666 CVE-2024-23605 CVE-2024-25664
CVE-2024-25665 CVE-2024-25667 CVE-2024-32878 CVE-2024-41130 CVE-2025-53630 GHSA-vgg9-87g3-85w8 CVE-2026-27940 GHSA-3p4r-fq3f-q74v
CVE-2026-33298 GHSA-96jg-mvhq-q7q7 llama.cpp#24759 llama.cpp#26318 llama.cpp#24997 llama.cpp#15711 llama.cpp#19003 llama.cpp#18586
GHSA-3p75-pq92-q28f llama.cpp#27188 llama.cpp#28131 llama.cpp#25401 gguf_py_f001 CVE-2026-7482 ik_llama.cpp#2437 CVE-2024-39720
CVE-2024-8063 CVE-2025-0317 CVE-2024-12055 CVE-2025-0312 CVE-2025-0315 ollama#17042 ollama#7802 llama.cpp#25513 llama.cpp#25821
llama.cpp#26051
CVE-2025-49847 llama.cpp#25258 llama.cpp#14145 llama.cpp#25475 llama.cpp#25508 GHSA-g4cc-763q-h9h6 llama.cpp#25969 llama.cpp#27226 llama.cpp#20735 llama.cpp#26690
CVE-2026-5760 CVE-2024-34359 GHSA-4hhp-h66f mlxcel#139 llama.cpp#26600
""".split()

NO_SERVER = "there is no server in this project"
NO_GRAMMAR = "there are no grammars in this project; nesting of templates: J04"
NO_IMAGES = "there are no images in this project; products of dimensions: G22"
NO_RPC = "tensors are never taken from a network"

# Ids without a file, and why.
ELSEWHERE = {
    "CVE-2024-12886": "nothing is decompressed; a fetch is bounded by the length its manifest promises",
    "CVE-2025-52566": "tests/tokenizer/tokenizer_test.cpp: the count of tokens against the room for them",
    "llama.cpp#14301": "as CVE-2025-52566",
    "llama.cpp#27783": "tests/hosted/tokenizer_golden_test.cpp: 2^20 equal characters; no regular expressions, no recursion",
    "llama.cpp#21257": "as llama.cpp#27783",
    "llama.cpp#26965": "as llama.cpp#27783",
    "llama.cpp#21919": "as llama.cpp#27783",
    "llama.cpp#14655": "as llama.cpp#27783",
    "llamafile#835": "as llama.cpp#27783",
    "llama.cpp#24382": "tests/chat/template_origin_test.cpp: only markup becomes a control token",
    "llama.cpp#26273": "as llama.cpp#24382",
    "transformers#29279": "as llama.cpp#24382",
    "ollama#17262": "as llama.cpp#24382",
    "vLLM#31735": "as llama.cpp#24382",
    "llama.cpp#18988": NO_GRAMMAR,
    "llama.cpp#25283": NO_GRAMMAR,
    "llama.cpp#19008": NO_GRAMMAR,
    "llama.cpp#25308": NO_GRAMMAR,
    "CVE-2026-21869": "tests/hosted/hostile_codes_test.cpp: a session rewinds only to positions it has passed",
    "CVE-2026-43631": NO_SERVER,
    "CVE-2024-42477": NO_RPC,
    "CVE-2024-42478": NO_RPC,
    "CVE-2024-42479": NO_RPC,
    "llama.cpp#20908": NO_RPC,
    "llama.cpp#25289": NO_RPC,
    "llama.cpp#27166": NO_IMAGES,
    "llama.cpp#27223": NO_IMAGES,
    "llama.cpp#27224": NO_IMAGES,
}


def table(rows):
    """The table of docs/hostile.md: id, recipes and number of files, or the reason. `rows`: (recipe, source) of every file."""
    lines = ["| report | recipe | files |", "| --- | --- | --- |"]
    for report in IN_THE_CORPUS:
        found = [ident for ident, source in rows if report in source.split()]
        lines.append(f"| {report} | {', '.join(sorted(set(found)))} | {len(found)} |")
    for report, reason in ELSEWHERE.items():
        lines.append(f"| {report} | {reason} | |")
    return "\n".join(lines) + "\n"


def missing(rows):
    """The reports of IN_THE_CORPUS that no file names, and sources of files that no report is listed for."""
    named = {name for _, source in rows for name in source.split() if name != "-"}
    known = set(IN_THE_CORPUS) | set(ELSEWHERE)
    return sorted(set(IN_THE_CORPUS) - named), sorted(named - known)
