"""Time and memory of planning, from small networks to large ones.

    python -m benchmarks.compile_time [--target cortex-m4] [--ram MODE] [--network NAME]...

Every network is planned in a process of its own: processor seconds, and the process's peak memory
with and without the plan's share (importing the compiler alone takes the difference).
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import time
from collections.abc import Callable, Mapping

from fedtiny.compiler import planner
from fedtiny.compiler.ir import Graph
from fedtiny.devices import profiles
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


def fifty_layers() -> Graph:
    """ResNet-50's depth and widths over four, at 96 x 96: bottlenecks of 3, 4, 6 and 3 blocks."""
    b = Builder("fifty_layers")
    x = b.pool(b.conv(b.input(1, 96, 96, 3), 16, 7, 2))
    for stage, (blocks, channels) in enumerate(((3, 16), (4, 32), (6, 64), (3, 128))):
        for block in range(blocks):
            stride = 2 if stage and block == 0 else 1
            y = b.conv(b.conv(x, channels, 1), channels, 3, stride)
            y = b.conv(y, 4 * channels, 1, activation="none")
            x = b.add(y, b.conv(x, 4 * channels, 1, stride, "none") if block == 0 else x)
    return b.graph(b.dense(b.reshape(b.average(x), 1, 512), 10))


NETWORKS: Mapping[str, Callable[[], Graph]] = {
    "autoencoder": networks.autoencoder,
    "dscnn": networks.dscnn,
    "resnet8": networks.resnet8,
    "mobilenet": networks.mobilenet,
    "fifty_layers": fifty_layers,
    "resnet18": resnet18,
}


def measure(name: str, target: str, ram: planner.RamMode) -> str:
    """Plan one network; the line to print."""
    graph = NETWORKS[name]()
    weights = sum(t.size for t in graph.tensors.values() if t.data is not None)
    before = _peak_mib()
    start = time.process_time()
    plan = planner.plan(graph, profiles.target(target), ram)
    seconds = time.process_time() - start
    return (
        f"{name:14} {len(plan.layers):6} {weights:12,} {seconds:8.2f} s {_peak_mib():8.0f} MiB"
        f" (+{_peak_mib() - before:.0f}) {plan.arena_bytes:10,}"
    )


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--target", default="cortex-m4")
    parser.add_argument("--ram", default="balanced", choices=planner.RAM_MODES)
    parser.add_argument("--network", action="append", choices=NETWORKS)
    given = parser.parse_args()
    print(
        f"{'network':14} {'layers':>6} {'constants':>12} {'planning':>10} {'peak memory':>12} arena"
    )
    context = multiprocessing.get_context("spawn")
    for name in given.network or NETWORKS:
        with context.Pool(1) as pool:
            print(pool.apply(measure, (name, given.target, given.ram)), flush=True)


if __name__ == "__main__":
    main()
