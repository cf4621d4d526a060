"""What int8 costs in accuracy, over networks and densities, by calibration method.

    python -m benchmarks.quantization [--runs DIR] [--networks A,B] [--densities 0.05,1]

Trains each network at each density on the shipped part of Fashion-MNIST (five clients, ten rounds;
seeded; an interrupted run goes on where it stopped, and a complete one in DIR is used again), then
quantizes it in several ways and prints test accuracies by the reference executor, whose integers
are those of every exported form. Accuracies are those of short runs; the losses are the point.

Columns: float; then, from what the clients saw, as `fedtiny export RUN` does it, minimum and
maximum, percentile and entropy; then without correcting biases; then from 256 training images, as
`--calibration fashion-mnist-mini` does it, with channels equalized where that helps.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from fedtiny import pipeline
from fedtiny.compiler.quantizer import Options
from fedtiny.data import load_dataset
from fedtiny.evaluation import graph_quality
from fedtiny.federated.config import TrainConfig
from fedtiny.federated.run_folder import RunFolder
from fedtiny.source import open_source

DATA = "fashion-mnist-mini"
NETWORKS = "resnet8,resnet8-stride2,dscnn,mobilenetv1-025"
DENSITIES = "1,0.3,0.1,0.05"
WAYS: dict[str, tuple[str | None, Options]] = {
    "minmax": (None, Options("minmax")),
    "percentile": (None, Options("percentile")),
    "entropy": (None, Options("entropy")),
    "uncorrected": (None, Options("minmax", correct=False)),
    "from data": (DATA, Options("minmax")),
}


def config(network: str, density: float) -> TrainConfig:
    """A short run."""
    return TrainConfig(
        data=DATA,
        model=network,
        density=density,
        clients=5,
        alpha=1.0,
        rounds=10,
        local_epochs=1,
        lr=0.08,
        batch=32,
        pretrain_epochs=1,
        workers=1,
    )


def trained(network: str, density: float, folder: Path) -> Path:
    """Train, go on, or find a run."""
    run = RunFolder(folder / f"{network}-{density:g}")
    if not run.model.is_file():
        resume = run.checkpoint.is_file()
        pipeline.train(config(network, density), run.path, resume=resume)
    return run.path


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--runs", type=Path, default=Path("runs/quantization"))
    parser.add_argument("--networks", default=NETWORKS)
    parser.add_argument("--densities", default=DENSITIES)
    given = parser.parse_args()
    torch.set_num_threads(1)
    test = load_dataset(DATA).test()
    print(f"accuracy on {len(test):,} test images, %; in brackets what int8 loses, points")
    print(f"{'network':16}{'density':>8}{'float':>8}" + "".join(f"{way:>16}" for way in WAYS))
    for network in given.networks.split(","):
        for density in map(float, given.densities.split(",")):
            source = open_source(trained(network, density, given.runs))
            real: float | None = None
            line = ""
            for calibration, options in WAYS.values():
                lowering = pipeline.Lowering(source, "int8", calibration, options, "unstructured")
                if real is None:
                    graph = lowering.real(None)
                    assert graph is not None
                    real = 100 * graph_quality(graph, test, "float")
                    line = f"{network:16}{density:8g}{real:8.2f}"
                found = 100 * graph_quality(lowering.final(None), test, "int8")
                line += f"{f'{found:.2f} ({real - found:+.2f})':>16}"
            print(line, flush=True)


if __name__ == "__main__":
    main()
