"""What scripts/package-check and scripts/release-prep have in common: their options, and making the release again."""

import subprocess
from pathlib import Path

from package_check import PackageError

ROOT = Path(__file__).resolve().parent.parent


def add_options(parser):
    parser.add_argument("--artifacts-dir", type=Path, default=ROOT / "images" / "release",
                        help="the folder of the release (default: images/release)")
    parser.add_argument("--rebuild", action="store_true", help="make the release first (make release)")
    parser.add_argument("--no-model", action="store_true", default=None, dest="no_model",
                        help="the pair has to be the one without a model (default: either)")
    parser.add_argument("--with-model", action="store_false", dest="no_model", help="the pair has to be the one with a model")
    parser.add_argument("--model-bin", metavar="MODEL", help="the model to build with: a file, or a name of models/catalog.json")
    parser.add_argument("--xz-level", type=int, default=9, choices=range(1, 10), metavar="1..9",
                        help="of compression, with --rebuild (default: 9)")


def rebuild(options):
    """Makes the release. Raises PackageError where that fails."""
    command = ["make", "-C", str(ROOT), "release", f"RELEASE={options.artifacts_dir.resolve()}", f"XZ_LEVEL={options.xz_level}"]
    if options.no_model:
        command.append("NO_MODEL=1")
    if options.model_bin:
        command.append(f"MODEL={options.model_bin}")
    code = subprocess.run(command, check=False).returncode
    if code != 0:
        raise PackageError(f"make release failed (exit code {code})")
