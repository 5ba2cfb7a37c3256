"""The hosted tests, linked from objects of which some were compiled in another way: with counters (coverage.py), or with their
checks taken out (check_mutation.py). Everything else is what `make build-tests` has left in BUILD.

PARSERS are the files that read bytes of strangers.
"""

import glob
import os
import shlex
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

PARSERS = {
    "format": ["core/format/*.cpp"],
    "model": ["core/model/config*.cpp", "core/model/families*.cpp", "core/model/plan_*.cpp", "core/model/weight_binder*.cpp",
              "core/model/bind_*.cpp", "core/model/read_weights.cpp"],
    "tokenizer": ["core/tokenizer/vocab*.cpp", "core/tokenizer/tokenizer*.cpp", "core/tokenizer/special_tokens*.cpp",
                  "core/tokenizer/byte_pairs*.cpp", "core/tokenizer/*charsmap*.cpp", "core/tokenizer/unigram*.cpp"],
    "settings": ["core/chat/settings.cpp", "core/chat/config_file.cpp"],
    "template": ["core/chat/template_lexer.cpp", "core/chat/template_parser*.cpp", "core/chat/template_runner*.cpp",
                 "core/chat/template.cpp", "core/chat/template_budget.cpp", "core/chat/template_text.cpp"],
    "tools": ["tools/safetensors*.cpp", "tools/tokenizer_json*.cpp", "tools/clif*.cpp", "tools/scxm*.cpp", "tools/shard*.cpp",
              "tools/manifest*.cpp", "tools/json*.cpp"],
}


def parser_files(rooms=None):
    """The sources of `rooms` (all: None), relative to the root, in order."""
    found = []
    for room, patterns in PARSERS.items():
        if rooms is None or room in rooms:
            for pattern in patterns:
                found += sorted(glob.glob(pattern, root_dir=ROOT))
    return list(dict.fromkeys(found))


class HostedTests:
    """How make compiles and links BUILD/test/hosted_tests."""

    def __init__(self, build, jobs, compiler=None):
        self.jobs = jobs
        self.build = Path(build).resolve()
        command = ["make", "--no-print-directory", f"BUILD={build}", "print-hosted-tests"]
        if compiler:
            command.append(f"CXX={compiler}")
        lines = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.splitlines()
        self.made = dict(line.split("=", 1) for line in lines if "=" in line)

    def flags(self, source):
        flags = shlex.split(self.made["CORE_FLAGS" if source.startswith("core/") else "TOOLS_FLAGS"])
        return [flag for flag in flags if not flag.startswith(("-O", "-Werror"))]

    def object_of(self, source):
        return str(Path(self.made["BUILD"]) / "host" / source).replace(".cpp", ".o")

    def compile(self, sources, folder, more, text_of=None):
        """Compiles `sources` into `folder` with the flags `more` behind the usual ones; `text_of(source)` gives another text than
        the file's. Returns {source: object}."""
        objects = {}
        commands = []
        for source in sources:
            target = folder / source.replace("/", "-").replace(".cpp", ".o")
            path = ROOT / source
            if text_of is not None:
                path = folder / source.replace("/", "-")
                path.write_text(f'#line 1 "{source}"\n' + text_of(source))
            objects[source] = target
            commands.append([*shlex.split(self.made["CXX"]), *self.flags(source), *more, "-c", str(path), "-o", str(target)])
        with ThreadPoolExecutor(self.jobs) as pool:
            for command, done in zip(commands, pool.map(lambda c: subprocess.run(c, cwd=ROOT, capture_output=True, text=True), commands)):
                if done.returncode != 0:
                    raise RuntimeError(f"{' '.join(command)}\n{done.stderr}")
        return objects

    def link(self, objects, program, more):
        """Links `program` with `objects` in the place of those that make has compiled."""
        replaced = {os.path.normpath(self.object_of(source)): str(target) for source, target in objects.items()}
        all_objects = [replaced.get(os.path.normpath(name), name) for name in self.made["OBJECTS"].split()]
        missing = set(replaced.values()) - set(all_objects)
        command = [*shlex.split(self.made["CXX"]), *(name for name in all_objects), *sorted(missing), "-o", str(program),
                   *shlex.split(self.made["LINK"]), *more]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError(done.stderr[-4000:])
