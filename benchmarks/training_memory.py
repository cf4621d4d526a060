"""Memory of local training: what the accounting says, beside what a process of its own takes.

    python -m benchmarks.training_memory [--model resnet8] [--batches 16,64,256]

A process trains one client for a few iterations, dense under a mask as clients do today, and
reports its peak resident memory. Of both figures the growth over a batch of 2 is printed, which
leaves out torch itself; and the whole peaks. Accounted are float32 values, gradients, momentum, and
what the backward pass reads again; a process has dense weights under its masks and room for
convolutions as well.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys

import numpy as np

from fedtiny.data import Dataset
from fedtiny.federated.evaluation import channels_last
from fedtiny.federated.local import one_thread
from fedtiny.federated.local_training import Recipe, train
from fedtiny.federated.training_memory import trace_layers, training_memory
from fedtiny.models import create

SHAPE, CLASSES = (1, 28, 28), 10


def measured(model: str, batch: int) -> int:
    """Peak resident bytes of a process that trains with this batch."""
    command = [sys.executable, "-m", "benchmarks.training_memory", "--model", model]
    result = subprocess.run(
        [*command, "--run", str(batch)], check=True, capture_output=True, text=True
    )
    return int(result.stdout)


def play(model: str, batch: int) -> None:
    """Train, and print the peak."""
    module = channels_last(create(model, SHAPE, CLASSES))
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (4 * batch, *SHAPE), np.uint8)
    labels = rng.integers(0, CLASSES, len(images))
    data = Dataset("random", images, labels, tuple("0123456789"), len(images))
    with one_thread():
        train(module, {}, data, Recipe(1, batch, 0.05, 0.9, 5e-4), rng)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)


def main() -> None:
    """Parse options and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="resnet8")
    parser.add_argument("--batches", default="16,64,256")
    parser.add_argument("--run", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run is not None:
        play(options.model, options.run)
        return
    module = create(options.model, SHAPE, CLASSES)
    layers, parameters = trace_layers(module, SHAPE), dict(module.named_parameters())
    least = training_memory(layers, parameters, {}, 2, True)
    floor = measured(options.model, 2)
    print(f"{'batch':>6} {'accounted':>12} {'growth':>10} {'process':>10} {'growth':>10}  peak at")
    for batch in map(int, options.batches.split(",")):
        need = training_memory(layers, parameters, {}, batch, True)
        peak = measured(options.model, batch)
        cells = (need.peak_bytes, need.peak_bytes - least.peak_bytes, peak, peak - floor)
        figures = "{:>9.1f} MB {:>7.1f} MB {:>7.0f} MB {:>7.0f} MB".format(
            *(c / 1e6 for c in cells)
        )
        print(f"{batch:>6} {figures}  {need.peak_layer}")


if __name__ == "__main__":
    main()
