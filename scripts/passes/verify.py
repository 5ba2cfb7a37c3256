"""M6.1, the operator's path in one command: preflight, build the image, boot it.

  verify [--no-model | --model-bin FILE] [--gui] [--skip-run] [--accel auto|kvm|tcg|none] [--mem-mb 512..8192]

The last step is a chat in this terminal (or in a window with --gui); Ctrl-] leaves it.

Exit codes: 0 all steps passed, 1 one did not, 2 usage.
"""

import argparse
import subprocess
import sys

from passes.build import make
from passes.preflight import is_ready, preflight
from passes.scenario import ACCELERATORS, qemu_accelerator
from passes.voice import EXIT_FAILED, EXIT_PASSED, ROOT, PassFailed, Voice, whole_number


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="verify", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    model = parser.add_mutually_exclusive_group()
    model.add_argument("--no-model", action="store_true", help="an image without a model")
    model.add_argument("--model-bin", metavar="FILE", help="the model: a file, or a name of models/catalog.json (default: its default)")
    parser.add_argument("--gui", action="store_true", help="boot in a window")
    parser.add_argument("--skip-run", action="store_true", help="stop when the image is built")
    parser.add_argument("--accel", choices=ACCELERATORS, default="auto", help="who runs the processor (default: auto)")
    parser.add_argument("--mem-mb", type=whole_number(512, 8192), default=4096, metavar="N", help="512..8192 (default: 4096)")
    return parser


def verify(options, voice: Voice):
    """The three steps. Errors: PassFailed."""
    accelerator = qemu_accelerator(options.accel)
    voice.step("Verify release flow")
    voice.line("  Step 1/3: preflight")
    if not is_ready(preflight(voice)):
        raise PassFailed("preflight is not ready; each [FAIL] above says the way out")
    voice.line("  Step 2/3: build image")
    make(voice, "image", *(["NO_MODEL=1"] if options.no_model else []), *([f"MODEL={options.model_bin}"] if options.model_bin else []))
    if options.skip_run:
        voice.line("  Step 3/3: run skipped (-SkipRun)")
        voice.line("[M6.1] READY: preflight + build passed.")
        return
    voice.line("  Step 3/3: launch QEMU")
    image = ROOT / "images" / f"llm-baremetal-boot{'-nomodel' if options.no_model else ''}.img"
    command = [sys.executable, str(ROOT / "scripts" / "qemu.py"), "run", "--image", str(image), "--accel", accelerator,
               "--memory", f"{options.mem_mb}M", *(["--gui"] if options.gui else [])]
    code = subprocess.run(command, check=False).returncode
    if code != 0:
        raise PassFailed(f"QEMU ended with exit code {code}")


def main(arguments) -> int:
    options = build_parser().parse_args(arguments)
    voice = Voice("M6.1")
    try:
        verify(options, voice)
    except PassFailed as error:
        voice.fail(str(error))
        return EXIT_FAILED
    return EXIT_PASSED
