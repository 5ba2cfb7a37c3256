"""RELEASE_NOTES.md: what the files of a release are, how to verify them, how they get on a stick."""

NOTES_NAME = "RELEASE_NOTES.md"

PURPOSES = (
    ("nomodel-x86_64.img.xz", "image for a USB stick of 8 GB or more, without a model: 4 GiB of room for yours"),
    (".img.xz", "image for a USB stick, with the default model (SmolLM2 135M Instruct, Apache-2.0)"),
    (".img", "the same, unpacked"),
    (".zip", "for any FAT32 stick that you already use: unzip it there"),
    (".efi", "the program alone (`EFI/BOOT/BOOTX64.EFI`)"),
)

VERIFY_SIGNED = """
The checksums are signed with [minisign](https://jedisct1.github.io/minisign/). The key is also in the documents of the project;
compare it with the one there:

```
minisign -V -m SHA256SUMS.txt -P {key}
```
"""

FLASH = """## Flash

Everything on the stick is lost.

- **Linux**, where `/dev/sdX` is the stick (`lsblk` shows it):

  ```
  xz -dk {image}.xz
  sudo dd if={image} of=/dev/sdX bs=4M conv=fsync status=progress
  ```

- **Windows**: unpack the `.img.xz` (7-Zip does), start [Rufus](https://rufus.ie), select the `.img`, partition scheme **GPT**,
  target system **UEFI (non CSM)**, start.
- **Any system, without special tools**: format a stick as FAT32 and unzip the `.zip` into its root, so that `EFI` is a folder
  of the root.

Then copy model files (`.gguf`) to the volume `MODELS` (with the zip: to the folder `models`). A file there has at most 4 GiB; larger
models go there in parts (`-00001-of-0000N.gguf`). A llama2.c model needs its `tokenizer.bin` beside it.

Boot an x86-64 PC with UEFI from the stick: the firmware's boot menu opens with F12, F11, F8 or Esc at power-on.
{secure_boot}
"""


SIGNED_EFI = "Secure Boot has to know the key that signed the program (docs/secure_boot.md), or be off."
UNSIGNED_EFI = "Secure Boot has to be off: the program is not signed."


def purpose(name):
    return next(text for ending, text in PURPOSES if name.endswith(ending))


def text(version, assets, sizes, public_key, is_signed_efi):
    """`assets` in their order, `sizes` in bytes; `public_key` None where the checksums are not signed."""
    lines = [f"# llm-baremetal {version}", "", "A PC boots from a USB stick, with no operating system, into a chat with a local "
             "language model.", "", "## Assets", "", "| file | size | what it is |", "|---|---|---|"]
    lines += [f"| `{name}` | {sizes[name] / 1e6:.1f} MB | {purpose(name)} |" for name in assets]
    lines += ["", "## Verify", "", "In the folder of the downloads; files that were not downloaded are passed over:", "", "```",
              "sha256sum -c --ignore-missing SHA256SUMS.txt", "```", "",
              "Windows: `certutil -hashfile FILE SHA256`, compared with the line of the file in `SHA256SUMS.txt`. "
              "The lines `# unpacked:` are the hashes of the images after unpacking."]
    if public_key:
        lines += VERIFY_SIGNED.format(key=public_key).splitlines()
    else:
        lines += ["", "The checksums of this release are not signed."]
    image = next(name for name in assets if name.endswith(".img.xz")).removesuffix(".xz")
    secure_boot = SIGNED_EFI if is_signed_efi else UNSIGNED_EFI
    return "\n".join(lines) + "\n\n" + FLASH.format(image=image, secure_boot=secure_boot)
