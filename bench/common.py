"""What the benchmarks share: Python with the peers in it, and the release build."""

import json
import subprocess
import sys
import venv
from pathlib import Path

BENCH = Path(__file__).resolve().parent
ROOT = BENCH.parent


def environment():
    """Python of bench/venv with what bench/requirements.txt names, made where it is missing or older than that."""
    python = BENCH / "venv" / "bin" / "python"
    stamp = BENCH / "venv" / "installed"
    if not stamp.exists() or stamp.stat().st_mtime < (BENCH / "requirements.txt").stat().st_mtime:
        print("making bench/venv", file=sys.stderr)
        if not python.exists():
            venv.create(BENCH / "venv", with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "-q", "-r", BENCH / "requirements.txt"], check=True)
        stamp.touch()
    return python


def build(*what):
    """Folder of the release build of what the arguments of `cargo build` name."""
    subprocess.run(["cargo", "build", "--release", "-q", *what], cwd=ROOT, check=True)
    metadata = subprocess.run(
        ["cargo", "metadata", "--format-version", "1", "--no-deps"], cwd=ROOT, check=True, capture_output=True
    )
    return Path(json.loads(metadata.stdout)["target_directory"]) / "release"


def mnist_images(folder, kind):
    """The file of MNIST's `train` or `t10k` images."""
    path = next(folder.glob(f"*{kind}-images-idx3-ubyte.gz"), None)
    if path is None:
        raise SystemExit(f"no *{kind}-images-idx3-ubyte.gz in {folder}")
    return path
