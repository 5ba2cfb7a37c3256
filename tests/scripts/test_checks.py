"""The structural checks can fail: each rule is broken once, in a small tree of its own."""

import contextlib
import io
import shutil
import struct
import subprocess
import tempfile
import unittest
from pathlib import Path

import scripts_path  # noqa: F401
import check_docs
import check_layers
import check_pe
import check_symbols
import object_file


class TreeTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = Path(folder.name)

    def write(self, path, text):
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        return file

    def main(self, module, *arguments):
        """(exit code, what it printed)"""
        out = io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
            code = module.main(list(map(str, arguments)))
        return code, out.getvalue()


class LayersTest(TreeTest):
    def setUp(self):
        super().setUp()
        self.header("core/base/types.h")
        self.header("core/platform.h", '#include "core/base/types.h"\n')
        self.header("core/infer/session.h", '#include "kernels/kernel_table.h"\n')
        self.header("kernels/kernel_table.h", '#include "core/base/types.h"\n')
        self.header("tests/test.h")

    def header(self, path, body=""):
        return self.write(path, f"// What it is.\n#pragma once\n\n{body}")

    def findings(self):
        return check_layers.check(self.root)[0]

    def assert_finding(self, path, line, words):
        self.assertTrue(any(f[0] == path and f[1] == line and words in f[2] for f in self.findings()), self.findings())

    def test_a_sound_tree_has_none(self):
        self.write("tests/infer/session_test.cpp", '#include "core/infer/session.h"\n\n#include "tests/test.h"\n')
        self.write("tools/main.cpp", '#include <string>\n#include "core/infer/session.h"\n#ifdef __linux__\n#endif\n')
        self.assertEqual(self.findings(), [])
        self.assertEqual(self.main(check_layers, "--root", self.root)[0], 0)

    def test_walls(self):
        for path, included in (("core/base/low.h", "core/platform.h"), ("core/platform.h", "core/infer/session.h"),
                               ("core/tensor/t.h", "core/infer/session.h"), ("core/tokenizer/t.h", "core/platform.h"),
                               ("core/model/m.h", "kernels/kernel_table.h"), ("core/chat/c.h", "kernels/select.h"),
                               ("kernels/k.h", "core/platform.h"), ("kernels/k.h", "core/base/result.h"),
                               ("efi/e.h", "tools/t.h"), ("tools/t.h", "efi/e.h"), ("efi/e.h", "kernels/simd/s.h"),
                               ("tests/base/t.h", "tests/hosted/h.h"), ("tests/base/t.h", "tools/t.h")):
            with self.subTest(path=path, included=included):
                self.header(included)
                self.header(path, f'#include "{included}"\n')
                self.assert_finding(path, 4, "wall")
                (self.root / path).unlink()
                self.header("core/platform.h")

    def test_the_exceptions_hold(self):
        self.header("core/base/fmath.inl.h")
        self.header("core/tensor/f16.inl.h")
        self.write("kernels/isa/scalar.cpp", '#include "core/base/fmath.inl.h"\n#include "core/tensor/f16.inl.h"\n')
        self.assertEqual(self.findings(), [])

    def test_paths_are_written_from_the_root(self):
        self.header("core/base/low.h", '#include "types.h"\n')
        self.assert_finding("core/base/low.h", 4, "no path from the root")
        self.header("core/base/low.h", '#include "../base/types.h"\n')
        self.assert_finding("core/base/low.h", 4, "no path from the root")

    def test_no_library_and_no_system_in_the_core(self):
        self.header("core/base/low.h", "#include <string.h>\n#if defined(__linux__)\n#endif\n")
        self.assert_finding("core/base/low.h", 4, "<string.h>")
        self.assert_finding("core/base/low.h", 5, "__linux__")

    def test_a_ring(self):
        self.header("core/base/a.h", '#include "core/base/b.h"\n')
        self.header("core/base/b.h", '#include "core/base/a.h"\n')
        self.assertIn("includes itself: core/base/a.h -> core/base/b.h -> core/base/a.h", [f[2] for f in self.findings()])

    def test_form(self):
        self.write("core/base/low.h", "int x;\n// caf\u00e9\n// " + "x" * 120 + "\n" + "\n" * 700)
        for line, words in ((1, "comment"), (1, "#pragma once"), (2, "ASCII"), (3, "columns"), (703, "lines")):
            self.assert_finding("core/base/low.h", line, words)
        self.assertEqual(self.main(check_layers, "--root", self.root)[0], 1)

    def test_a_room_that_nobody_knows(self):
        self.header("core/misc/m.h")
        self.assert_finding("core/misc/m.h", 1, "room")


class DocsTest(TreeTest):
    def setUp(self):
        super().setUp()
        self.write("Makefile", "run: ## go\n\ttrue\n")
        self.write("mk/more.mk", "test:\n\ttrue\n")
        self.write("core/base/types.h", "")
        self.write("docs/other.md", "# Other things\n\n## `make run`, and more\n")

    def problems(self, text):
        self.write("README.md", text)
        return list(check_docs.Documents(self.root).check())

    def test_what_exists_passes(self):
        self.assertEqual(self.problems(
            "[other](docs/other.md) [part](docs/other.md#make-run-and-more) [web](https://example.org/x) [here](#top)\n\n"
            "# Top\n`core/base/types.h:12`, `core/base/*.h`, `core/{base}/`, `make run V=1`, `make -j2 test`, `build/lbm`, `a/b`, "
            "`images/x.img`, `EFI/BOOT/BOOTX64.EFI`\n\n```\nmake run      does things\nmake test  # too\n```\n"), [])

    def test_what_does_not_exist_is_named_with_its_line(self):
        for text, words in (("[x](docs/none.md)", "docs/none.md"), ("![x](docs/none.png)", "docs/none.png"),
                            ("[x](docs/other.md#none)", "heading"), ("[x](#none)", "heading"),
                            ("`core/base/none.h`", "core/base/none.h"), ("`core/none/*.h`", "core/none/*.h"),
                            ("`core/{base,none}`", "core/none"), ("`make none`", "make none"),
                            ("```\nmake none\n```", "make none"), ("```\n$ make none V=1\n```", "make none")):
            with self.subTest(text):
                problems = self.problems("\n" + text + "\n")
                self.assertEqual(len(problems), 1, problems)
                self.assertIn(words, problems[0])
                self.assertRegex(problems[0], r"^README.md:[23]:")
        self.assertEqual(self.main(check_docs, "--root", self.root)[0], 1)


@unittest.skipUnless(shutil.which("g++"), "needs g++")
class SymbolsTest(TreeTest):
    SOUND = "namespace lbm { extern const int kTable; const int kTable = 1; }"

    def compile(self, path, text, *flags):
        target = self.root / "host" / path
        target.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(["g++", "-std=c++20", "-O1", "-fno-exceptions", "-fno-threadsafe-statics", *flags, "-x", "c++", "-c", "-",
                        "-o", target], input=text, text=True, check=True)

    def check(self):
        return self.main(check_symbols, self.root)

    def assert_finding(self, words):
        code, output = self.check()
        self.assertEqual(code, 1, output)
        self.assertIn(words, output)

    def test_sound_objects(self):
        self.compile("kernels/isa/scalar.o", self.SOUND)
        self.compile("core/base/a.o", "int helper(); int one() { return helper(); }")
        self.compile("core/base/b.o", "int helper() { return 1; }")
        code, output = self.check()
        self.assertEqual((code, output), (0, "symbols: 3 objects, 0 findings\n"))

    def test_an_inline_function_of_a_kernel_leaks(self):
        self.compile("kernels/isa/avx2.o", self.SOUND + "inline int twice(int x) { return 2 * x; } int (*keep)(int) = twice;")
        self.assert_finding("weak symbol twice(int)")

    def test_a_kernel_file_with_a_second_global(self):
        self.compile("kernels/isa/avx2.o", self.SOUND + "int extra() { return 2; }")
        self.assert_finding("2 global symbols")

    def test_a_kernel_that_calls_out(self):
        self.compile("kernels/isa/avx2.o", self.SOUND + "extern \"C\" double cos(double);"
                     "namespace { [[gnu::used]] double f(double x) { return cos(x); } }")
        self.assert_finding("needs cos; kernels")

    def test_libc_in_the_core(self):
        self.compile("core/base/a.o", "extern \"C\" double cos(double); double f(double x) { return cos(x); }")
        self.assert_finding("needs cos")

    def test_a_static_constructor(self):
        self.compile("core/base/a.o", "int f(); int f() { return 1; } int x = f() + *new int;", "-O0")
        self.assert_finding("static constructor")

    def test_a_static_made_at_run_time(self):
        self.compile("core/base/a.o", "int g(int n) { static int x = n; return x; }")
        self.assert_finding("made at run time")

    def test_nothing_to_check_is_no_success(self):
        self.assertEqual(self.check()[0], 2)

    def test_what_is_no_object(self):
        self.write("host/core/base/a.o", "text")
        self.assertEqual(self.check()[0], 1)


class CoffTest(TreeTest):
    def test_reads_sections_and_bindings(self):
        # Two sections, one with a long name and COMDAT, and three symbols: global, weak (in the COMDAT), undefined.
        strings = b".ctors.65535\0long_function_name\0"
        sections = (struct.pack("<8s6I2HI", b".text", 0, 0, 0, 0, 0, 0, 0, 0, 0x20) +
                    struct.pack("<8s6I2HI", b"/4", 0, 0, 0, 0, 0, 0, 0, 0, 0x1000))
        symbols = (struct.pack("<8sIhHBB", b"main", 0, 1, 0, 2, 0) +
                   struct.pack("<II", 0, 4 + 13) + struct.pack("<IhHBB", 0, 2, 0, 2, 0) +
                   struct.pack("<8sIhHBB", b"memcpy", 0, 0, 0, 2, 0))
        header = struct.pack("<HHIIIHH", 0x8664, 2, 0, 20 + len(sections), 3, 0, 0)
        file = self.root / "a.o"
        file.write_bytes(header + sections + symbols + struct.pack("<I", 4 + len(strings)) + strings)
        obj = object_file.read_object(file)
        self.assertEqual(obj.sections, (".text", ".ctors.65535"))
        self.assertEqual(obj.defined("global"), {"main"})
        self.assertEqual(obj.defined("weak"), {"long_function_name"})
        self.assertEqual(obj.undefined(), {"memcpy"})
        self.assertTrue(any("static constructor" in finding for finding in check_symbols.check_starts_nothing(file, obj)))


class PeTest(unittest.TestCase):
    @staticmethod
    def pe(subsystem=10, alignment=4096, flags=0x140, time_stamp=0, imports=0, relocations=12, rights=0x60000020, machine=0x8664,
           traits=0, checksum=0, address=4096, sbat=b"sbat,1,SBAT"):
        data = bytearray(1024)
        data[:2] = b"MZ"
        struct.pack_into("<I", data, 0x3C, 64)
        data[64:68] = b"PE\0\0"
        struct.pack_into("<HHIIIHH", data, 68, machine, 2, time_stamp, 0, 0, 240, traits)
        struct.pack_into("<H", data, 88, 0x20B)
        struct.pack_into("<II", data, 88 + 32, alignment, 512)
        struct.pack_into("<I", data, 88 + 64, checksum)
        struct.pack_into("<HH", data, 88 + 68, subsystem, flags)
        struct.pack_into("<II", data, 88 + 112 + 8, 0, imports)
        struct.pack_into("<II", data, 88 + 112 + 40, 0, relocations)
        struct.pack_into("<8sIIII", data, 88 + 240, b".text", 0, address, 0, 0)
        struct.pack_into("<I", data, 88 + 240 + 36, rights)
        struct.pack_into("<8sIIII", data, 88 + 280, b".sbat", len(sbat), 8192, 512, 512)
        struct.pack_into("<I", data, 88 + 280 + 36, 0x40000040)
        data[512:512 + len(sbat)] = sbat
        return bytes(data)

    def test_a_sound_file(self):
        self.assertEqual(check_pe.check(self.pe()), [])
        self.assertEqual(check_pe.check(self.pe(checksum=check_pe.checksum_of(self.pe(), 88 + 64))), [])

    def test_each_fault(self):
        for fault, words in (({"subsystem": 3}, "subsystem"), ({"alignment": 512}, "aligned"), ({"flags": 0x40}, "NX_COMPAT"),
                             ({"flags": 0x100}, "DYNAMIC_BASE"), ({"time_stamp": 1}, "time stamp"), ({"imports": 8}, "DLL"),
                             ({"relocations": 0}, "relocations"), ({"rights": 0xE0000020}, "writable and executable"),
                             ({"machine": 0x14C}, "x86-64"), ({"traits": 1}, "relocations"), ({"checksum": 7}, "checksum"),
                             ({"address": 4608}, "page"), ({"sbat": b""}, ".sbat"), ({"sbat": b"other,1"}, ".sbat")):
            with self.subTest(words):
                findings = check_pe.check(self.pe(**fault))
                self.assertEqual(len(findings), 1, findings)
                self.assertIn(words, findings[0])
        self.assertEqual(check_pe.check(b"MZ" + bytes(200)), ["is no PE file"])

    def test_the_checksum_is_the_one_of_the_specification(self):
        # Two words that carry, the field left out, an odd byte at the end; and the length.
        self.assertEqual(check_pe.checksum_of(b"\xff\xff\x02\x00" + b"????" + b"\x05", 4), 0x0002 + 5 + 9)


if __name__ == "__main__":
    unittest.main()
