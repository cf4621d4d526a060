"""Time and memory of an export in all default formats, from small networks to large ones.

    python -m benchmarks.compile_time [--target cortex-m4] [--ram MODE] [--network NAME]...

Every network is read from a .tflite file, compiled and built in a process of its own: processor
seconds (compilers included), wall seconds, and the most memory that one process took.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from fedtiny import pipeline
from fedtiny.compiler import planner
from fedtiny.compiler.ir import Graph
from fedtiny.exporters import tflite
from tests import networks
from tests.networks import Builder


def resnet18() -> Graph:
    """ResNet-18's shape at 224 x 224, its first pooling an average."""
    b = Builder("resnet18")
    x = b.pool(b.conv(b.input(1, 224, 224, 3), 64, 7, 2))
    for channels in (64, 128, 256, 512):
        for block in range(2):
            stride = 2 if channels > 64 and block == 0 else 1
            y = b.conv(b.conv(x, channels, 3, stride), channels, 3, activation="none")
            x = b.conv(x, channels, 1, stride, "none") if stride == 2 else x
            x = b.add(y, x)
    return b.graph(b.dense(b.reshape(b.average(x), 1, 512), 1000))


def resnet50() -> Graph:
    """ResNet-50's shape at 224 x 224: bottlenecks of 3, 4, 6 and 3 blocks; pooling an average."""
    b = Builder("resnet50")
    x = b.pool(b.conv(b.input(1, 224, 224, 3), 64, 7, 2))
    for stage, (blocks, channels) in enumerate(((3, 64), (4, 128), (6, 256), (3, 512))):
        for block in range(blocks):
            stride = 2 if stage and block == 0 else 1
            y = b.conv(b.conv(x, channels, 1), channels, 3, stride)
            y = b.conv(y, 4 * channels, 1, activation="none")
            x = b.add(y, b.conv(x, 4 * channels, 1, stride, "none") if block == 0 else x)
    return b.graph(b.dense(b.reshape(b.average(x), 1, 2048), 1000))


NETWORKS: Mapping[str, Callable[[], Graph]] = {
    "autoencoder": networks.autoencoder,
    "dscnn": networks.dscnn,
    "resnet8": networks.resnet8,
    "mobilenet": networks.mobilenet,
    "resnet18": resnet18,
    "resnet50": resnet50,
}


def measure(name: str, target: str, ram: planner.RamMode) -> str:
    """Export one network in every default format; the line to print."""
    graph = NETWORKS[name]()
    weights = sum(t.size for t in graph.tensors.values() if t.data is not None)
    with tempfile.TemporaryDirectory(prefix="fedtiny-") as folder:
        model = Path(folder) / f"{name}.tflite"
        model.write_bytes(tflite.to_bytes(graph))
        before, start = _processor_seconds(), time.perf_counter()
        report = pipeline.export(model, target=target, out=Path(folder) / "out", ram=ram)
        wall, spent = time.perf_counter() - start, _processor_seconds() - before
    arena = report.totals.arena_bytes
    return (
        f"{name:14} {len(report.layers):6} {weights:12,} {spent:10.1f} s {wall:8.1f} s "
        f"{_peak_mib():8.0f} MiB {arena.value if arena else 0:12,}"
    )


def _processor_seconds() -> float:
    """Of this process and of the compilers that it ran."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(item.ru_utime + item.ru_stime for item in used)


def _peak_mib() -> float:
    """Of this process or of a compiler that it ran, whichever took more."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return max(item.ru_maxrss for item in used) / 1024


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--target", default="cortex-m4")
    parser.add_argument("--ram", default="balanced", choices=planner.RAM_MODES)
    parser.add_argument("--network", action="append", choices=NETWORKS)
    given = parser.parse_args()
    print(
        f"{'network':14} {'layers':>6} {'constants':>12} {'processor':>12} {'wall':>10} "
        f"{'peak':>12} {'arena':>12}"
    )
    context = multiprocessing.get_context("spawn")
    for name in given.network or NETWORKS:
        with context.Pool(1) as pool:
            print(pool.apply(measure, (name, given.target, given.ram)), flush=True)


if __name__ == "__main__":
    main()
