"""scripts/package-check (M6.2): the specified texts, exit codes and rules, and the layout of our own release."""

import hashlib
import lzma
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

from scripts_path import ROOT

NO_MODEL, MODEL = "llm-baremetal-boot-nomodel", "llm-baremetal-boot"


def sha256(data):
    return hashlib.sha256(data).hexdigest()


class PackageTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name) / "release-artifacts"
        self.folder.mkdir()
        self.image = b"image" + bytes(100_000)
        self.packed = lzma.compress(self.image)

    def write(self, name, data):
        (self.folder / name).write_bytes(data)

    def sums(self, *lines):
        self.write("SHA256SUMS.txt", "".join(line + "\n" for line in lines).encode())

    def pair(self, base):
        """The pair of the specification: both files, both listed. Returns the lines."""
        self.write(base + ".img", self.image)
        self.write(base + ".img.xz", self.packed)
        return [f"{sha256(self.image)}  {base}.img", f"{sha256(self.packed)}  {base}.img.xz"]

    def published(self, base):
        """What `make release` publishes: the packed image, and another file."""
        self.write(base + ".img.xz", self.packed)
        self.write("app.efi", b"MZ")
        return [f"{sha256(self.packed)}  {base}.img.xz", f"{sha256(b'MZ')}  app.efi", f"# unpacked: {sha256(self.image)}  {base}.img"]

    def run_script(self, name, *arguments):
        done = subprocess.run([sys.executable, ROOT / "scripts" / name, "--artifacts-dir", self.folder, *arguments],
                              capture_output=True, text=True, check=False)
        return done.returncode, done.stdout, done.stderr

    def assert_ok(self, *arguments, name="package-check"):
        code, output, errors = self.run_script(name, *arguments)
        self.assertEqual((code, errors), (0, ""), output)
        self.assertIn("[M6.2] Package check: OK\n", output)
        return output

    def assert_failure(self, text, *arguments, name="package-check"):
        code, output, errors = self.run_script(name, *arguments)
        self.assertEqual((code, errors), (1, text + "\n"), output)
        self.assertNotIn("OK", output)


class PackageCheckTest(PackageTest):
    def test_the_specified_pair(self):
        self.sums(*self.pair(NO_MODEL))
        self.assertIn(f"{NO_MODEL}.img + {NO_MODEL}.img.xz", self.assert_ok())

    def test_what_our_release_publishes(self):
        for base in (NO_MODEL + "-x86_64", MODEL + "-x86_64"):
            self.sums(*self.published(base))
            self.assertIn(base, self.assert_ok())
            (self.folder / (base + ".img.xz")).unlink()

    def test_hashes_in_any_case_and_both_spellings(self):
        first, second = self.pair(NO_MODEL)
        self.sums(first.upper().replace(NO_MODEL.upper() + ".IMG", NO_MODEL + ".img"), second.replace("  ", " *"))
        self.assert_ok()

    def test_no_model_comes_first_and_can_be_chosen(self):
        self.sums(*self.pair(NO_MODEL), *self.pair(MODEL))
        self.assertIn(f"Pair: {NO_MODEL}.img", self.assert_ok())
        self.assertIn(f"Pair: {NO_MODEL}.img", self.assert_ok("--no-model"))
        self.assertIn(f"Pair: {MODEL}.img", self.assert_ok("--with-model"))

    def test_a_missing_folder(self):
        self.folder.rmdir()
        self.assert_failure(f"Artifacts directory not found: {self.folder}")

    def test_missing_sums(self):
        self.pair(NO_MODEL)
        self.assert_failure(f"Missing required artifact: {self.folder / 'SHA256SUMS.txt'}")

    def test_fewer_than_two_entries(self):
        lines = self.pair(NO_MODEL)
        for some in ([], lines[:1], [lines[0], "# " + lines[1]], [lines[0], lines[1].replace(" ", "", 2)], [lines[0], lines[1][1:]]):
            with self.subTest(len(some)):
                self.sums(*some)
                self.assert_failure(f"Invalid checksum file (expected at least 2 entries): {self.folder / 'SHA256SUMS.txt'}")

    def test_no_pair(self):
        lines = self.pair(NO_MODEL)
        for base in (NO_MODEL + ".img", NO_MODEL + ".img.xz"):
            with self.subTest(base):
                self.pair(NO_MODEL)
                self.sums(*lines)
                (self.folder / base).unlink()
                self.assert_failure("No valid artifact pair found (.img + .img.xz with matching SHA256SUMS entries).")
        self.pair(NO_MODEL)
        self.sums(lines[0], f"{sha256(b'')}  other")  # there, but not listed
        self.assert_failure("No valid artifact pair found (.img + .img.xz with matching SHA256SUMS entries).")

    def test_the_chosen_kind_is_missing(self):
        self.sums(*self.pair(MODEL))
        self.assert_failure(f"Missing required artifact: {self.folder / (NO_MODEL + '-x86_64.img.xz')}", "--no-model")
        self.assert_ok("--with-model")

    def test_a_changed_byte(self):
        self.sums(*self.pair(NO_MODEL))
        for name, data in ((NO_MODEL + ".img", self.image), (NO_MODEL + ".img.xz", self.packed)):
            with self.subTest(name):
                self.write(name, data[:-1] + b"?")
                self.assert_failure(f"Checksum mismatch for {self.folder / name}")
                self.write(name, data)

    def test_a_changed_byte_of_anything_that_is_published(self):
        self.sums(*self.published(NO_MODEL + "-x86_64"))
        self.write("app.efi", b"MX")
        self.assert_failure(f"Checksum mismatch for {self.folder / 'app.efi'}")

    def test_an_image_that_unpacks_to_something_else(self):
        base = NO_MODEL + "-x86_64"
        for packed in (lzma.compress(b"another image"), self.packed[:-20]):
            with self.subTest(len(packed)):
                lines = self.published(base)
                self.write(base + ".img.xz", packed)
                self.sums(f"{sha256(packed)}  {base}.img.xz", *lines[1:])
                self.assert_failure(f"Checksum mismatch for {self.folder / (base + '.img.xz')}")

    def test_usage(self):
        for arguments in (["--xz-level", "0"], ["--xz-level", "10"], ["--unknown"]):
            self.assertEqual(self.run_script("package-check", *arguments)[0], 2)


if __name__ == "__main__":
    unittest.main()
