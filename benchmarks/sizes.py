"""Sizes of every exported form of a model, raw and gzipped, sparse beside dense.

    python benchmarks/sizes.py [--densities 1,0.2,0.05,0.01] [--kws FILE.tflite] [NETWORK...]

Networks are built with random weights and pruned by magnitude, layer by layer, to each density:
sizes depend on how many weights are left, not on what they are. They say nothing about accuracy.
The C is for Cortex-A; `C weights, size` are with `--optimize size`.
`--kws` adds MLPerf Tiny's keyword-spotting model at density 0.2, for a Cortex-M4: its C is
weights and code, as a linker places it, with predicted instructions beside.
"""

from __future__ import annotations

import argparse
import gzip
import tempfile
from pathlib import Path

import torch

from fedtiny import pipeline
from fedtiny.compiler.calibration import ranges_from_data
from fedtiny.compiler.frontends.torch_module import from_torch
from fedtiny.compiler.ir import Graph
from fedtiny.compiler.passes import lower, prune_magnitude, quantize, round_float16
from fedtiny.compiler.planner import Optimize, RamMode, plan
from fedtiny.compiler.serialize import tables
from fedtiny.devices.profiles import target
from fedtiny.errors import UsageError
from fedtiny.exporters import format
from fedtiny.exporters.format import Request, accepted
from fedtiny.models import create

INPUT = (3, 32, 32)
MODES: tuple[tuple[RamMode, Optimize], ...] = (
    ("balanced", "speed"),
    ("balanced", "size"),
    ("speed", "size"),
)
"""Of the firmware that `--kws` prints."""


def lowered(network: str, density: float) -> Graph:
    """A network of ours with random weights, pruned, before quantization."""
    module = create(network, INPUT, 10, seed=0).eval()
    return prune_magnitude(lower(from_torch(module, INPUT, network)), density)


def sizes(graph: Graph, dtype: str, to: str) -> dict[str, tuple[int, int]]:
    """Bytes raw and gzipped of what can be written, by format, and of the weights in C."""
    made = plan(graph, target(to))
    request = Request(graph, made, dtype, "int8" if dtype == "int8" else "float32")  # type: ignore[arg-type]
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in (name for name in format.names() if name != "c"):
            try:
                item = accepted(request, [name])[name]
            except UsageError:
                continue
            item.write(request, Path(folder))
            found[name] = _pair((Path(folder) / item.files[name]).read_bytes())
    if dtype != "float16":
        found["C weights"] = _pair(bytes(tables(made).constants))
        small = plan(graph, target(to), optimize="size")
        found["C weights, size"] = _pair(bytes(tables(small).constants))
    return found


def _pair(data: bytes) -> tuple[int, int]:
    return len(data), len(gzip.compress(data, mtime=0))


def _print(title: str, found: dict[str, tuple[int, int]]) -> None:
    print(title, flush=True)
    for name, (raw, packed) in found.items():
        print(f"    {name:18}{raw:12,}{packed:12,}", flush=True)


def _print_firmware(model: Path, dense: int, ram: RamMode, optimize: Optimize) -> None:
    with tempfile.TemporaryDirectory() as folder:
        totals = pipeline.export(
            model,
            target="cortex-m4",
            out=Path(folder) / "out",
            density=0.2,
            formats=["c"],
            ram=ram,
            optimize=optimize,
        ).totals
    arena = totals.arena_bytes
    flash, weights, count = totals.flash_bytes, totals.weights_bytes, totals.instructions
    assert flash is not None
    assert weights is not None
    assert count is not None
    assert arena is not None
    print(f"    cortex-m4 --ram {ram} --optimize {optimize}: {flash.value:,} bytes by {flash.by},")
    print(f"        {flash.value / dense:.3f} of the dense .tflite; weights {weights.value:,},")
    print(f"        arena {arena.value:,}; {count.value:,} instructions ({count.evidence})")


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("networks", nargs="*")
    parser.add_argument("--densities", default="1,0.05,0.01")
    parser.add_argument("--dtypes", default="int8,float16,float32")
    parser.add_argument("--kws", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    print("bytes, and bytes gzipped; random weights, pruned by magnitude")
    networks = options.networks or ([] if options.kws else ["resnet8", "resnet18"])
    for network in networks:
        for density in map(float, options.densities.split(",")):
            graph = lowered(network, density)
            x = torch.randn(4, 32, 32, 3, generator=torch.Generator().manual_seed(1)).numpy()
            for dtype in options.dtypes.split(","):
                made = graph
                if dtype == "int8":
                    made = quantize(graph, ranges_from_data(graph, x))
                elif dtype == "float16":
                    made = round_float16(graph)
                _print(f"{network} {dtype} density {density:g}", sizes(made, dtype, "cortex-a"))
    if options.kws is not None:
        dense = options.kws.stat().st_size
        print(f"{options.kws.name}: {dense:,} bytes as it came")
        for ram, optimize in MODES:
            _print_firmware(options.kws, dense, ram, optimize)


if __name__ == "__main__":
    main()
