"""Peak memory of a small C program that runs a packed ResNet-18 (32x32x3) in libfedtiny.

    python -m benchmarks.library [--density 0.05]

Measured on this machine (VmHWM of Linux, native, static): `examples/library/run.c`, random weights.
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.sizes import INPUT, lowered
from fedtiny.compiler.calibration import ranges_from_data
from fedtiny.compiler.passes import quantize
from fedtiny.compiler.planner import plan
from fedtiny.devices.profiles import target
from fedtiny.exporters import packed
from fedtiny.runtime import build

EXAMPLE = build.ROOT / ".." / "examples" / "library" / "run.c"


def main() -> None:
    """Print one line a dtype."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--density", type=float, default=0.05)
    density = parser.parse_args().density
    real = lowered("resnet18", density)
    height, width = INPUT[1:]
    x = np.random.default_rng(0).random((2, height, width, INPUT[0]), np.float32)
    graphs = {"float32": real, "int8": quantize(real, ranges_from_data(real, x))}
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        library, program = build.ROOT / "library", work / "run"
        archive = work / "libfedtiny.a"
        command = ["make", "-s", "-C", str(library), f"BUILD={work}", str(archive)]
        subprocess.run(command, check=True)
        words = ["cc", "-O2", "-static", f"-I{build.ROOT / 'include'}", EXAMPLE, archive, "-lm"]
        subprocess.run([*map(str, words), "-o", str(program)], check=True)
        for dtype, graph in graphs.items():
            model, source = work / "model.fedtiny", work / "input"
            packed.write(plan(graph, target("x86-64")), model)
            source.write_bytes(x[:1].tobytes() if dtype == "float32" else bytes(x[:1].size))
            files = [str(program), str(model), str(source), str(work / "output")]
            done = subprocess.run(files, check=True, capture_output=True, text=True)
            size = model.stat().st_size
            print(f"ResNet-18 {dtype}, density {density}: file {size:,} bytes,", end=" ")
            print(done.stdout.splitlines()[-1])


if __name__ == "__main__":
    main()
