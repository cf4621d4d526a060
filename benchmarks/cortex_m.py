"""Whole MLPerf-Tiny networks on an emulated Cortex-M, beside TensorFlow Lite Micro + CMSIS-NN.

Where the peer was not measured (Cortex-M0+), shares are those of FedTiny's own dense network in
plain C, kernels without assembly.

`python -m benchmarks.cortex_m [--target cortex-m4] [--densities 1,0.2,0.1,0.05] [--ram balanced]
[--pattern block1x4] [--network NAME]...`

Weights are pruned by magnitude at export; every inference is compared bit for bit with the
reference. Instructions are emulated (Unicorn; QEMU for Cortex-M55), flash is what the linker
placed, both with the installed arm-none-eabi-gcc; the peer's figures were measured the same way
(tflite-micro 90b983c2, CMSIS-NN 4ab83cc3, gcc 12.2, the better of -O2 and -O3, dense int8).

The model files are looked for in $FEDTINY_MODELS or ../shared/models, below `mlperf_tiny/`.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

from fedtiny import pipeline
from fedtiny.compiler.ir import Graph, Node
from fedtiny.devices import profiles
from fedtiny.report.model import DeploymentReport, Figure
from fedtiny.runtime import table
from fedtiny.runtime.contract import Kernel


@dataclass(frozen=True)
class Peer:
    """TFLM + CMSIS-NN on one model: instructions by target, arena and flash on Cortex-M4."""

    file: str
    instructions: dict[str, int]
    arena_bytes: int
    flash_bytes: int


PEERS = {
    "ResNet-8": Peer(
        "pretrainedResnet_quant.tflite",
        {
            "cortex-m3": 41_847_280,
            "cortex-m4": 29_863_160,
            "cortex-m7": 29_937_600,
            "cortex-m33": 29_931_050,
            "cortex-m55": 4_810_719,
        },
        54_996,
        150_664,
    ),
    "DS-CNN KWS": Peer(
        "kws_ref_model.tflite",
        {
            "cortex-m3": 10_534_520,
            "cortex-m4": 7_699_760,
            "cortex-m7": 7_763_120,
            "cortex-m33": 7_802_950,
            "cortex-m55": 1_787_156,
        },
        22_820,
        108_300,
    ),
    "FC autoencoder": Peer(
        "ad01_int8.tflite",
        {
            "cortex-m4": 582_280,
            "cortex-m7": 582_520,
            "cortex-m33": 582_500,
            "cortex-m55": 149_875,
        },
        2_580,
        306_716,
    ),
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--target", default="cortex-m4")
    parser.add_argument("--densities", default="1,0.2,0.1,0.05")
    parser.add_argument("--ram", default="balanced", choices=["min", "balanced", "speed"])
    parser.add_argument("--network", action="append", choices=tuple(PEERS))
    parser.add_argument("--pattern", help="that pruning leaves, such as block1x4")
    arguments = parser.parse_args()
    models = _folder()
    if models is None:
        print("no model files: set FEDTINY_MODELS to a folder that holds mlperf_tiny/")
        return 0
    print(f"{arguments.target}, --ram {arguments.ram}; shares of TFLM + CMSIS-NN in brackets")
    columns = ("instructions", 20), ("arena", 16), ("flash", 17), ("stack", 6)
    print(f"{'network':<15} {'density':>7}", *(f"{title:>{width}}" for title, width in columns))
    for name in arguments.network or PEERS:
        peer = PEERS[name]
        theirs = peer.instructions.get(arguments.target)
        if theirs is None:
            with _plain_c():
                report = _measure(models / peer.file, 1, arguments)
            assert report.totals.instructions is not None
            theirs = int(report.totals.instructions.value)
            print(_row(name, "plain", report, theirs, peer), flush=True)
        for density in map(float, arguments.densities.split(",")):
            report = _measure(models / peer.file, density, arguments)
            print(_row(name, density, report, theirs, peer), flush=True)
    return 0


def _folder() -> Path | None:
    root = os.environ.get("FEDTINY_MODELS")
    places = [Path(root)] if root else []
    places.append(Path(__file__).parents[2] / "shared" / "models")
    return next((p / "mlperf_tiny" for p in places if (p / "mlperf_tiny").is_dir()), None)


@contextmanager
def _plain_c() -> Iterator[None]:
    """Kernels without assembly."""
    found = table.candidates

    def plain(node: Node, graph: Graph, isa: Iterable[str]) -> tuple[Kernel, ...]:
        kernels = found(node, graph, isa)
        return tuple(k for k in kernels if not any(h.endswith(".S") for h in k.helpers))

    with mock.patch.object(table, "candidates", plain):
        yield


def _measure(model: Path, density: float, given: argparse.Namespace) -> DeploymentReport:
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "export"
        pruned = None if density == 1 else density
        pipeline.export(
            model,
            target=given.target,
            out=out,
            formats=("c",),
            density=pruned,
            pattern=given.pattern if pruned else None,
            ram=given.ram,
        )
        report = pipeline.verify(out, [profiles.target(given.target).runner])
    if not report.equal:
        sys.exit(f"{model.name}: {report.failure()}")
    return report


def _row(name: str, density: float | str, report: DeploymentReport, theirs: int, peer: Peer) -> str:
    totals = report.totals
    stack = "" if totals.stack_bytes is None else f"{totals.stack_bytes.value:>6}"
    return (
        f"{name:<15} {density:>7} {_share(totals.instructions, theirs, 20)} "
        f"{_share(totals.arena_bytes, peer.arena_bytes, 16)} "
        f"{_share(totals.flash_bytes, peer.flash_bytes, 17)} {stack}"
    )


def _share(figure: Figure | None, theirs: int | None, width: int) -> str:
    if figure is None:
        return f"{'-':>{width}}"
    share = f" ({figure.value / theirs:.3f})" if theirs else ""
    return f"{figure.value:,}{share}".rjust(width)


if __name__ == "__main__":
    sys.exit(main())
