"""What the passes have built before they run: calls of make, with its output where the pass speaks."""

import os
import subprocess

from passes.voice import ROOT, PassFailed, Voice


def make(voice: Voice, *targets: str):
    """Runs make in the project's root. Errors: PassFailed."""
    command = ["make", "--no-print-directory", f"-j{os.cpu_count() or 1}", *targets]
    # A make above us must not hand its own flags down.
    environment = {key: value for key, value in os.environ.items() if key not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")}
    voice.stream.flush()
    try:
        code = subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=voice.stream, env=environment, check=False).returncode
    except OSError as error:
        raise PassFailed(f"make can not be run ({error.strerror}); install it with your package manager") from error
    if code != 0:
        raise PassFailed(f"make {' '.join(targets)} failed with exit code {code}; its output is above")
