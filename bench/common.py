"""What the benchmarks share: Python with the peers in it, and the release build."""

import json
import os
import subprocess
import sys
import venv
from pathlib import Path

BENCH = Path(__file__).resolve().parent
ROOT = BENCH.parent


# New pages cost as much as a short attention. With these a process asks for large ones and keeps them, as one would that
# has worked for a while. The C library follows hugetlb in some processes alone, and keeps large arrays of its first thread
# alone: who is to be compared sees to both itself.
KEPT_MEMORY = {
    "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1:glibc.malloc.mmap_max=0:glibc.malloc.trim_threshold=8589934592",
    "THP_MEM_ALLOC_ENABLE": "1",
}


class Process:
    """A program that answers each line with a line of JSON."""

    def __init__(self, command, threads, memory={}):
        names = ("RAYON_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
        environ = os.environ | {name: str(threads) for name in names} | {"TORCHINDUCTOR_COMPILE_THREADS": "1"} | memory
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environ)

    def ask(self, *words):
        self.process.stdin.write(" ".join(map(str, words)) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"no answer to {' '.join(map(str, words))}")
        return json.loads(line)

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def environment():
    """Python of bench/venv with what bench/requirements.txt names, made where it is missing or older than that.

    PyTorch's library is read whole, so that all of its pages are in memory: a masked load that masks everything neither
    fails on a page that is not there nor fetches it, and is slow every time. With such a page under a constant, expm1
    takes 15 times as long.
    """
    python = BENCH / "venv" / "bin" / "python"
    stamp = BENCH / "venv" / "installed"
    if not stamp.exists() or stamp.stat().st_mtime < (BENCH / "requirements.txt").stat().st_mtime:
        print("making bench/venv", file=sys.stderr)
        if not python.exists():
            venv.create(BENCH / "venv", with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "-q", "-r", BENCH / "requirements.txt"], check=True)
        stamp.touch()
    library = next(BENCH.glob("venv/lib/python*/site-packages/torch/lib/libtorch_cpu.so"), None)
    if library is None:
        raise SystemExit("bench/venv has no libtorch_cpu.so: remove it to have it made again")
    with library.open("rb") as file:
        while file.read(1 << 24):
            pass
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
