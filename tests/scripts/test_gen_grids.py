"""The generator of the lattice tables reads what it should, packs it as the C++ side unpacks it, and refuses the rest."""

import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import scripts_path
import gen_grids as generator

HEADER = "GGML_TABLE_BEGIN(uint64_t, some_grid, NGRID)\n  0x2b190808081919ff, 0x08,\nGGML_TABLE_END()\n"


class ReadTest(unittest.TestCase):
    def test_points_are_bytes_in_memory_order(self):
        points = generator.read_table(HEADER, "some_grid", 2, 8)
        self.assertEqual(points, [[-1, 25, 25, 8, 8, 8, 25, 43], [8, 0, 0, 0, 0, 0, 0, 0]])

    def test_a_table_of_another_size_is_refused(self):
        for name, n_point in (("some_grid", 3), ("other_grid", 2)):
            with self.assertRaises(SystemExit):
                generator.read_table(HEADER, name, n_point, 8)


class PackTest(unittest.TestCase):
    def test_the_first_element_is_lowest(self):
        self.assertEqual(generator.pack([[8, 25, 43, 8], [43, 8, 8, 8]], 2, (8, 25, 43)), [0b00100100, 0b10])

    def test_the_committed_tables_have_as_many_points(self):
        committed = generator.OUTPUT.read_text(encoding="utf-8")
        for _, name, n_point, *_ in generator.TABLES:
            start = committed.index(f"{name.replace('Grid', 'Packed')}[{n_point}] = {{")
            self.assertEqual(committed[start:committed.index("};", start)].count("0x"), n_point)


class CommandTest(unittest.TestCase):
    def test_a_header_without_the_tables_is_an_error(self):
        with tempfile.TemporaryDirectory() as folder:
            header = Path(folder) / "ggml-common.h"
            header.write_text(HEADER, encoding="utf-8")
            script = scripts_path.ROOT / "scripts/gen_grids.py"
            result = subprocess.run([sys.executable, str(script), "--check", str(header)], capture_output=True, text=True)
            self.assertEqual(result.returncode, 1)
            self.assertIn("no table", result.stderr)


if __name__ == "__main__":
    unittest.main()
