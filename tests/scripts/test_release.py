"""release.py: what was published verifies, unpacks to what it says, and is the same on every machine."""

import contextlib
import hashlib
import io
import lzma
import os
import shutil
import subprocess
import tempfile
import unittest
import unittest.mock
import zipfile
from pathlib import Path

from scripts_path import ROOT
import make_image
import release
import xz_file
from checksums import parse_sums, sha256_of
from test_sign import small_pe

MIB = 1 << 20
TOOLS = ("sgdisk", "mformat", "mcopy", "sha256sum", "xz")


class XzFileTest(unittest.TestCase):
    def setUp(self):
        patch = unittest.mock.patch.object(xz_file, "BLOCK", MIB // 4)  # what takes time is compressing
        patch.start()
        self.addCleanup(patch.stop)
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.source = Path(folder.name) / "data"
        self.packed = Path(folder.name) / "data.xz"

    def test_unpacks_to_what_went_in(self):
        noise = hashlib.shake_256(b"noise").digest(xz_file.BLOCK + 12345)
        for name, data in (("nothing", b""), ("one byte", b"x"), ("one block", noise[:xz_file.BLOCK]), ("blocks", noise),
                           ("zeros around", bytes(2 * xz_file.BLOCK) + noise + bytes(xz_file.BLOCK))):
            with self.subTest(name):
                self.source.write_bytes(data)
                digest = xz_file.compress_file(self.source, self.packed, 1)
                self.assertEqual(digest, hashlib.sha256(data).hexdigest())
                self.assertEqual(lzma.decompress(self.packed.read_bytes()), data)
                if shutil.which("xz"):  # the program checks what the library passes over
                    subprocess.run(["xz", "--test", self.packed], check=True)

    def test_blocks_of_zeros_are_small(self):
        with open(self.source, "wb") as file:
            file.truncate(8 * xz_file.BLOCK)
        with unittest.mock.patch.object(xz_file, "compress_block", wraps=xz_file.compress_block) as compress:
            xz_file.compress_file(self.source, self.packed, 1)
        self.assertLess(compress.call_count, 8)  # once, or once by each of the threads that begin together
        self.assertLess(self.packed.stat().st_size, MIB // 64)

    def test_the_number_of_processors_changes_nothing(self):
        self.source.write_bytes(hashlib.shake_256(b"noise").digest(3 * xz_file.BLOCK // 2))
        digests = set()
        for n in (1, 5):
            with unittest.mock.patch.object(os, "cpu_count", return_value=n):
                xz_file.compress_file(self.source, self.packed, 1)
            digests.add(sha256_of(self.packed))
        self.assertEqual(len(digests), 1)


def write_small_image(options):
    """Stands in for make_image.write_image: what the image depends on, and nothing of its size."""
    content = options.efi.read_bytes() + b"".join(model.read_bytes() for model in options.model) + options.cfg.read_bytes()
    options.out.write_bytes(b"image" + content)
    return options.out.stat().st_size, len(content)


class ReleaseTest(unittest.TestCase):
    def setUp(self):
        patch = unittest.mock.patch.object(make_image, "write_image", write_small_image)
        patch.start()
        self.addCleanup(unittest.mock.patch.stopall)
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.efi = self.folder / "app.efi"
        self.efi.write_bytes(b"MZ" + b"program" * 1000)
        self.model = self.folder / "Tiny-Model.Q8_0.gguf"
        self.model.write_bytes(b"GGUF" + bytes(range(256)) * 1000)
        self.out = self.folder / "release"

    def make(self, *arguments, out=None):
        text = io.StringIO()
        with contextlib.redirect_stdout(text), contextlib.redirect_stderr(text):
            code = release.main(list(map(str, ["--efi", self.efi, "--out", out or self.out, "--xz-level", 1, "--version", "1.2.3",
                                               "--size", make_image.SMALLEST_BYTES, *arguments])))
        return code, text.getvalue()

    def sha256sum(self, *arguments, folder=None):
        return subprocess.run(["sha256sum", "-c", *arguments, "SHA256SUMS.txt"], cwd=folder or self.out, capture_output=True,
                              text=True, check=False)


@unittest.skipUnless(all(map(shutil.which, TOOLS)), "needs " + ", ".join(TOOLS))
class ReleaseFilesTest(ReleaseTest):
    def test_everything_is_there_and_verifies(self):
        code, output = self.make("--model", self.model, "--licence", ROOT / "LICENSE")
        self.assertEqual(code, 0, output)
        self.assertIn("not signed", output)
        self.assertEqual(sorted(path.name for path in self.out.iterdir()),
                         ["RELEASE_NOTES.md", "SHA256SUMS.txt", release.NO_MODEL_IMAGE + ".xz", release.MODEL_IMAGE + ".xz",
                          release.ZIP_NAME, release.EFI_NAME])
        checked = self.sha256sum()
        self.assertEqual(checked.returncode, 0, checked.stdout + checked.stderr)
        self.assertEqual(checked.stdout.count(": OK"), 4)

        # One download alone verifies as the notes say, and a damaged one does not.
        alone = self.folder / "downloads"
        alone.mkdir()
        for name in ("SHA256SUMS.txt", release.NO_MODEL_IMAGE + ".xz"):
            shutil.copy(self.out / name, alone)
        self.assertEqual(self.sha256sum("--ignore-missing", folder=alone).returncode, 0)
        with open(alone / (release.NO_MODEL_IMAGE + ".xz"), "r+b") as file:
            file.seek(100)
            file.write(b"?")
        self.assertEqual(self.sha256sum("--ignore-missing", folder=alone).returncode, 1)

        # What is unpacked is an image with the hash of the comment.
        sums = parse_sums((self.out / "SHA256SUMS.txt").read_text())
        for name in (release.NO_MODEL_IMAGE, release.MODEL_IMAGE):
            data = lzma.decompress((self.out / (name + ".xz")).read_bytes())
            self.assertEqual(hashlib.sha256(data).hexdigest(), sums.unpacked[name])
            self.assertTrue(data.startswith(b"imageMZprogram"))
            self.assertEqual(self.model.read_bytes() in data, name == release.MODEL_IMAGE)
        self.assertEqual((self.out / release.EFI_NAME).read_bytes(), self.efi.read_bytes())

        with zipfile.ZipFile(self.out / release.ZIP_NAME) as archive:
            self.assertEqual(archive.namelist(), ["EFI/BOOT/BOOTX64.EFI", "LICENCES/LICENSE", "README.TXT", "models/README.TXT",
                                                  "repl.cfg"])
            self.assertEqual(archive.read("EFI/BOOT/BOOTX64.EFI"), self.efi.read_bytes())
            self.assertIn(b"models\\", archive.read("README.TXT"))

        notes = (self.out / "RELEASE_NOTES.md").read_text()
        for words in ("# llm-baremetal 1.2.3", "## Assets", "## Verify", "## Flash", "UEFI (non CSM)", "**GPT**",
                      "sha256sum -c --ignore-missing", "not signed", release.NO_MODEL_IMAGE):
            self.assertIn(words, notes)

    def test_a_real_image(self):
        unittest.mock.patch.stopall()
        image = unittest.mock.patch.object(make_image, "plan_partitions", wraps=make_image.plan_partitions)
        with image as planned:
            self.assertEqual(self.make()[0], 0)
        self.assertEqual(planned.call_count, 1)
        with lzma.open(self.out / (release.NO_MODEL_IMAGE + ".xz")) as file:
            self.assertEqual(file.read(520)[512:], b"EFI PART")

    def test_two_releases_are_the_same_bytes(self):
        digests = []
        for number, zone in enumerate(("UTC", "Pacific/Kiritimati")):
            out = self.folder / f"release {number}"
            with unittest.mock.patch.dict(os.environ, TZ=zone):
                self.assertEqual(self.make("--model", self.model, out=out)[0], 0)
            digests.append({path.name: sha256_of(path) for path in out.iterdir()})
            os.utime(self.model)
        self.assertEqual(digests[0], digests[1])

    def test_a_new_release_leaves_nothing_of_the_old_one(self):
        self.assertEqual(self.make("--model", self.model)[0], 0)
        (self.out / "SHA256SUMS.txt.minisig").write_text("old")
        (self.out / "notes of mine").write_text("mine")
        self.assertEqual(self.make()[0], 0)
        self.assertFalse((self.out / (release.MODEL_IMAGE + ".xz")).exists())
        self.assertFalse((self.out / "SHA256SUMS.txt.minisig").exists())
        self.assertTrue((self.out / "notes of mine").exists())
        self.assertEqual(self.sha256sum().returncode, 0)

    def test_what_fails_changes_nothing(self):
        self.out.mkdir()
        (self.out / "SHA256SUMS.txt").write_text("the old one")
        for arguments, words in ((["--model", self.folder / "none.gguf"], "none.gguf"), (["--key", self.folder / "none.key"], "minisign -G"),
                                 (["--sign-key", self.folder / "none.pem"], "there is no")):
            with self.subTest(words):
                code, output = self.make(*arguments)
                self.assertEqual(code, 1)
                self.assertIn(words, output)
                self.assertEqual((self.out / "SHA256SUMS.txt").read_text(), "the old one")

    @unittest.skipUnless(shutil.which("minisign"), "needs minisign")
    def test_the_checksums_are_signed(self):
        key, public_key = self.folder / "secret.key", self.folder / "public.pub"
        # A throw-away key without a password.
        subprocess.run(["minisign", "-G", "-W", "-f", "-p", public_key, "-s", key], check=True, capture_output=True)
        code, output = self.make("--key", key)
        self.assertEqual(code, 0, output)
        verify = ["minisign", "-V", "-m", self.out / "SHA256SUMS.txt", "-p", public_key]
        done = subprocess.run(verify, capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("llm-baremetal 1.2.3", done.stdout)
        self.assertIn(public_key.read_text().splitlines()[1], (self.out / "RELEASE_NOTES.md").read_text())
        self.assertNotIn("secret", " ".join(path.name for path in self.out.iterdir()))
        with open(self.out / "SHA256SUMS.txt", "a", encoding="ascii") as file:
            file.write("\n")
        self.assertNotEqual(subprocess.run(verify, capture_output=True, check=False).returncode, 0)

    @unittest.skipUnless(shutil.which("sbsign") and shutil.which("openssl"), "needs sbsigntool and openssl")
    def test_the_program_is_signed_wherever_it_is(self):
        key, certificate = self.folder / "db.key", self.folder / "db.crt"
        subprocess.run(["openssl", "req", "-new", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=test", "-days", "2", "-keyout",
                        key, "-out", certificate], check=True, capture_output=True)
        self.efi.write_bytes(small_pe())
        code, output = self.make("--sign-key", key, "--sign-cert", certificate)
        self.assertEqual(code, 0, output)
        signed = (self.out / release.EFI_NAME).read_bytes()
        subprocess.run(["sbverify", "--cert", certificate, self.out / release.EFI_NAME], check=True, capture_output=True)
        with zipfile.ZipFile(self.out / release.ZIP_NAME) as archive:
            self.assertEqual(archive.read("EFI/BOOT/BOOTX64.EFI"), signed)
        self.assertIn(signed, lzma.decompress((self.out / (release.NO_MODEL_IMAGE + ".xz")).read_bytes()))
        self.assertIn("has to know the key", (self.out / "RELEASE_NOTES.md").read_text())


if __name__ == "__main__":
    unittest.main()
