#!/usr/bin/env python3
"""Checks what the compiler really made of our rules, in the object files.

  check_symbols.py BUILD        reads BUILD/host and BUILD/efi (whichever is there)

  kernels/isa/*.o   define one global symbol, their KernelTable, and nothing weak: an inline function compiled for AVX2 that the
                    linker may pick for everybody crashes older processors. They need nothing but the mem functions
                    and expand_grid (docs/adr/0002).
  core, kernels     need nothing but each other, the mem functions and panic(): no libc, no libstdc++, no compiler runtime.
  core, kernels,    run nothing before their entry: no .init_array, no .ctors, no guards of static variables. On bare metal
  efi               nobody would call the constructors.

Exit codes: 0 nothing found, 1 findings (one a line), 2 usage or nothing to check.
"""

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

from object_file import NotAnObject, read_object

# What the compiler itself may call; each host supplies them (libc, or efi/runtime.cpp).
GRID_FUNCTIONS = {"_ZN3lbm11expand_gridENS_5DTypeEPKhjRNS_8GridTileE"}  # docs/adr/0002
MEMORY_FUNCTIONS = {"memcpy", "memmove", "memset", "memcmp"}
# Besides those, what the core asks of every host: __builtin_strlen where it is not folded, panic(), and the function in the
# place of a pure virtual one, which a broken invariant would call.
HOST_CONTRACT = {"strlen", "_ZN3lbm5panicEPKcS1_j", "__cxa_pure_virtual"}
# Position-independent code names its table; debuggable unwinding names nobody outside.
LINKER_NAMES = {"_GLOBAL_OFFSET_TABLE_", "_fltused"}
START_SECTIONS = (".init_array", ".ctors", ".preinit_array", ".CRT$XC", ".CRT$XI")


def is_guard(name):
    return name.startswith("_ZGV") or name in ("__cxa_guard_acquire", "__cxa_atexit", "atexit")


def demangled(text):
    """The text with its C++ names readable, where c++filt is there to do it."""
    if not shutil.which("c++filt"):
        return text
    return subprocess.run(["c++filt"], input=text, capture_output=True, text=True, check=True).stdout


def check_isa(path, obj):
    tables = obj.defined("global")
    weak = obj.defined("weak")
    if len(tables) != 1:
        found = ", ".join(sorted(tables)) or "none"
        yield f"{path}: defines {len(tables)} global symbols instead of its one KernelTable: {found}"
    for name in sorted(weak):
        yield f"{path}: weak symbol {name}: the linker may use this copy in code for every processor"
    for name in sorted(obj.undefined() - MEMORY_FUNCTIONS - LINKER_NAMES - GRID_FUNCTIONS):
        yield f"{path}: needs {name}; kernels need nothing but the mem functions and expand_grid"


def check_closed(objects):
    """The core and the kernels together need nothing from outside."""
    defined = set()
    for obj in objects.values():
        defined |= obj.defined("global", "weak")
    allowed = defined | MEMORY_FUNCTIONS | HOST_CONTRACT | LINKER_NAMES
    for path, obj in objects.items():
        for name in sorted(obj.undefined() - allowed):
            yield f"{path}: needs {name}, which neither the core nor the kernels have"


def check_starts_nothing(path, obj):
    for section in obj.sections:
        if section.startswith(START_SECTIONS):
            yield f"{path}: has {section}: a static constructor, which nobody runs on bare metal (use constinit)"
    for symbol in obj.symbols:
        if is_guard(symbol.name):
            yield f"{path}: {symbol.name}: a static variable that is made at run time (use constinit)"


def read_folder(folder, *rooms):
    return {path: read_object(path) for room in rooms for path in sorted((folder / room).rglob("*.o"))}


def check_host(folder):
    objects = read_folder(folder, "core", "kernels")
    isa = {path: obj for path, obj in objects.items() if path.parent.name == "isa"}
    findings = [finding for path, obj in isa.items() for finding in check_isa(path, obj)]
    findings += check_closed(objects)
    with_host = objects | (read_folder(folder, "efi") if folder.name == "efi" else {})
    findings += [finding for path, obj in with_host.items() for finding in check_starts_nothing(path, obj)]
    return findings, len(with_host)


def main(arguments):
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("build", type=Path, help="the build folder")
    options = parser.parse_args(arguments)
    findings = []
    n_object = 0
    try:
        for host in ("host", "efi"):
            found, n = check_host(options.build / host)
            findings += found
            n_object += n
    except NotAnObject as error:
        print(f"check_symbols: {error}. Build again after:  make clean", file=sys.stderr)
        return 1
    if n_object == 0:
        print(f"check_symbols: no objects below {options.build}. Build first:  make cli efi", file=sys.stderr)
        return 2
    for finding in findings:
        print(demangled(finding))
    print(f"symbols: {n_object} objects, {len(findings)} findings")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
