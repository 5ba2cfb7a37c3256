"""scripts/release-prep (M6.3): a bundle whose checksums hold with the bundle alone."""

import datetime
import re
import subprocess
import unittest

from scripts_path import ROOT  # noqa: F401
import release_prep
from test_package_check import MODEL, NO_MODEL, PackageTest, sha256


class ReleasePrepTest(PackageTest):
    def prepare(self, *arguments):
        code, output, errors = self.run_script("release-prep", "--tag", "v1.0", *arguments)
        self.assertEqual((code, errors), (0, ""), output)
        self.assertIn("[M6.3] Upload bundle ready\n", output)
        return self.folder / "upload-v1.0"

    def assert_sums_hold(self, bundle):
        done = subprocess.run(["sha256sum", "-c", "SHA256SUMS.txt"], cwd=bundle, capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def names(self, bundle):
        return sorted(path.name for path in bundle.iterdir())

    def test_the_specified_pair_without_the_raw_image(self):
        self.sums(*self.pair(NO_MODEL), *self.pair(MODEL))
        bundle = self.prepare()
        self.assertEqual(self.names(bundle), ["RELEASE_NOTES.md", "SHA256SUMS.txt", NO_MODEL + ".img.xz", MODEL + ".img.xz"])
        self.assert_sums_hold(bundle)
        self.assertIn(f"# unpacked: {sha256(self.image)}  {NO_MODEL}.img", (bundle / "SHA256SUMS.txt").read_text())

    def test_the_specified_pair_with_the_raw_image(self):
        self.sums(*self.pair(NO_MODEL))
        bundle = self.prepare("--include-raw-image")
        self.assertEqual((bundle / (NO_MODEL + ".img")).read_bytes(), self.image)
        self.assert_sums_hold(bundle)
        self.assertEqual((bundle / "SHA256SUMS.txt").read_bytes(), (self.folder / "SHA256SUMS.txt").read_bytes())

    def test_our_release_keeps_its_sums_and_their_signature(self):
        base = NO_MODEL + "-x86_64"
        self.sums(*self.published(base))
        self.write("SHA256SUMS.txt.minisig", b"signature")
        self.write("minisign.pub", b"untrusted comment\nRWQkey\n")
        bundle = self.prepare()
        self.assertEqual(self.names(bundle), ["RELEASE_NOTES.md", "SHA256SUMS.txt", "SHA256SUMS.txt.minisig", "app.efi",
                                              base + ".img.xz", "minisign.pub"])
        self.assertEqual((bundle / "SHA256SUMS.txt").read_bytes(), (self.folder / "SHA256SUMS.txt").read_bytes())
        self.assertIn("minisign -V -m SHA256SUMS.txt -P RWQkey", (bundle / "RELEASE_NOTES.md").read_text())
        self.assert_sums_hold(bundle)

    def test_the_raw_image_of_our_release_is_unpacked(self):
        base = NO_MODEL + "-x86_64"
        self.sums(*self.published(base))
        bundle = self.prepare("--include-raw-image")
        self.assertEqual((bundle / (base + ".img")).read_bytes(), self.image)
        self.assert_sums_hold(bundle)

    def test_sums_that_change_lose_their_signature(self):
        self.sums(*self.pair(NO_MODEL), *self.pair(MODEL))
        self.write("SHA256SUMS.txt.minisig", b"signature")
        self.assertNotIn("SHA256SUMS.txt.minisig", self.names(self.prepare()))

    def test_notes_have_their_sections(self):
        self.sums(*self.published(NO_MODEL + "-x86_64"))
        notes = (self.prepare() / "RELEASE_NOTES.md").read_text()
        self.assertEqual(re.findall(r"^## (.*)", notes, re.MULTILINE), ["Assets", "Verify", "Flash"])
        self.assertIn("app.efi", notes)
        self.assertNotIn("SHA256SUMS.txt` |", notes)

    def test_the_package_has_to_be_sound(self):
        self.sums(*self.pair(NO_MODEL))
        self.write(NO_MODEL + ".img", b"?")
        self.assert_failure(f"Checksum mismatch for {self.folder / (NO_MODEL + '.img')}", "--tag", "v1.0", name="release-prep")
        self.assertFalse((self.folder / "upload-v1.0").exists())

    def test_tags(self):
        self.assertEqual(release_prep.default_tag(datetime.datetime(2026, 3, 4, 5, 6)), "v2026.03.04-0506")
        self.sums(*self.pair(NO_MODEL))
        for tag in ("../x", "", "a b", "-x=1/2"):
            with self.subTest(tag):
                code, _, errors = self.run_script("release-prep", f"--tag={tag}")
                self.assertEqual(code, 1)
                self.assertIn("Invalid tag", errors)
        self.prepare()
        self.assert_failure_again()

    def assert_failure_again(self):
        code, _, errors = self.run_script("release-prep", "--tag", "v1.0")
        self.assertEqual(code, 1)
        self.assertIn("exists already", errors)


if __name__ == "__main__":
    unittest.main()
