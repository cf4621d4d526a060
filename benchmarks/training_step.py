"""Time of one step of training, by the sparse step in C and by torch under a mask.

    python -m benchmarks.training_step [--models resnet8,resnet18] [--densities 1,0.2,0.05,0.01]
        [--batch 32] [--repeats 20] [--shape 1,28,28]

Random masks over the prunable weights, one thread, SGD with momentum and weight decay, torch in
channels-last layout. Contestants take turns; of each the least processor time of a step counts, as
other work on the machine only makes steps slower.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional as F

from fedtiny.federated.evaluation import channels_last
from fedtiny.models import create, prunable_blocks
from fedtiny.training_engine.engine import Engine

CLASSES = 10


def random_masks(module: nn.Module, density: float) -> dict[str, torch.Tensor]:
    """Of every prunable parameter; none of a density of 1."""
    generator = torch.Generator().manual_seed(0)
    names = [name for block in prunable_blocks(module) for name in block]
    shapes = {name: module.get_parameter(name).shape for name in names if density < 1}
    return {name: torch.rand(s, generator=generator) < density for name, s in shapes.items()}


def contestants(
    model: str, shape: tuple[int, int, int], density: float, batch: int
) -> dict[str, Callable[[], object]]:
    """A step of each, from the same weights and masks."""
    generator = torch.Generator().manual_seed(1)
    x = torch.rand(batch, *shape, generator=generator)
    x = x.contiguous(memory_format=torch.channels_last)
    y = torch.arange(batch) % CLASSES
    module = channels_last(create(model, shape, CLASSES)).train()
    masks = random_masks(module, density)
    masked = [(module.get_parameter(name), mask.float()) for name, mask in masks.items()]
    for parameter, mask in masked:
        parameter.data.mul_(mask)
    optimizer = torch.optim.SGD(module.parameters(), lr=0.01, momentum=0.9, weight_decay=5e-4)
    engine = Engine(module, masks, batch, shape)
    engine.load(optimizer)

    def by_torch() -> None:
        optimizer.zero_grad()
        F.cross_entropy(module(x), y).backward()  # type: ignore[no-untyped-call]
        for parameter, mask in masked:
            if parameter.grad is not None:
                parameter.grad.mul_(mask)
        optimizer.step()

    return {"sparse": lambda: engine.step(x, y, optimizer), "torch": by_torch}


def main() -> None:
    """Parse options and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", default="resnet8,resnet18")
    parser.add_argument("--densities", default="1,0.2,0.05,0.01")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--shape", default="1,28,28")
    options = parser.parse_args()
    torch.set_num_threads(1)
    channels, height, width = map(int, options.shape.split(","))
    for model in options.models.split(","):
        for density in map(float, options.densities.split(",")):
            steps = contestants(model, (channels, height, width), density, options.batch)
            best = dict.fromkeys(steps, float("inf"))
            for _ in range(options.repeats):
                for name, step in steps.items():
                    start = time.thread_time()
                    step()
                    best[name] = min(best[name], time.thread_time() - start)
            ours, theirs = best["sparse"], best["torch"]
            print(
                f"{model:<16} density {density:<5g} {ours * 1e3:8.2f} ms, torch "
                f"{theirs * 1e3:8.2f} ms: {theirs / ours:.2f} times faster",
                flush=True,
            )


if __name__ == "__main__":
    main()
