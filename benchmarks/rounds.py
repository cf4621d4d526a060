"""Rounds a minute of the local engine, beside a plain loop over clients in torch; its memory.

    python -m benchmarks.rounds [--rounds 3] [--repeats 3] [--density 1]
    python -m benchmarks.rounds --memory [--clients 1000] [--cohort 10]

The first does the same work twice: ResNet-8 on the shipped part of Fashion-MNIST, 10 clients, one
local epoch of batch 32, dense averaging, accuracy on the test set after every round. The loop
trains one client after the other in one process, with one torch thread and with two; the engine
serializes every message, checks it, and writes a checkpoint a round; it is there with its own step
of training and with torch's. Below a density of 1 all train under the same masks (synaptic flow,
before training); the loop then multiplies weights' gradients by them. Contestants take turns, and
of each the fastest round counts, as other work on the machine only makes rounds slower.

The second prints the peak memory of the server's process and of its largest worker for a small
and a large number of clients, which share the same images: the shipped ones, repeated so that every
client has some.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from fedtiny.data import Dataset, load_dataset, split
from fedtiny.federated.config import TrainConfig
from fedtiny.federated.training import train
from fedtiny.models import create
from fedtiny.pruning.masks import Masks

DATA, MODEL, CLIENTS, BATCH, LR = "fashion-mnist-mini", "resnet8", 10, 32, 0.05


def config(rounds: int, data: str = DATA, density: float = 1.0, **options: object) -> TrainConfig:
    """The engine's options."""
    given: dict[str, object] = {
        "density": density, "method": "fedavg" if density == 1 else "synflow",
        "clients": CLIENTS, "rounds": rounds, "local_epochs": 1, "batch": BATCH, "lr": LR,
        "pretrain_epochs": 0,
    }  # fmt: skip
    return TrainConfig(data, MODEL, **given | options)  # type: ignore[arg-type]


def engine(rounds: int, density: float, step: str) -> tuple[list[float], Masks]:
    """Seconds of each of its rounds, and the masks."""
    with tempfile.TemporaryDirectory() as folder:
        options = config(rounds, density=density, training_engine=step)
        masks = dict(train(options, Path(folder) / "run").masks)
        timing = json.loads((Path(folder) / "run" / "timing.json").read_text())
    return [item["seconds"] for item in timing["rounds"]], masks


def batches(data: Dataset, size: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Images in 0..1, channels last, and labels."""
    for start in range(0, len(data), size):
        images = torch.from_numpy(data.images[start : start + size]).float() / 255
        labels = torch.from_numpy(data.labels[start : start + size])
        yield images.contiguous(memory_format=torch.channels_last), labels


def loop(rounds: int, threads: int, masks: Masks) -> list[float]:
    """Seconds of each round of the plain loop."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    dataset = load_dataset(DATA)
    parts = split(dataset, CLIENTS, 0.5, 0)
    shares = [dataset.subset(part.train) for part in parts.clients]
    test = dataset.test()
    module = create(MODEL, dataset.input_shape, len(dataset.classes))
    module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    masked = [(module.get_parameter(name), mask.float()) for name, mask in masks.items()]
    for parameter, mask in masked:
        parameter.data.mul_(mask)
    rng, seconds = np.random.default_rng(0), []
    for _ in range(rounds):
        start = time.perf_counter()
        sent = {name: value.clone() for name, value in module.state_dict().items()}
        total = {n: torch.zeros_like(v) for n, v in sent.items() if v.is_floating_point()}
        for share in shares:
            module.load_state_dict(sent)
            shuffled = share.subset(rng.permutation(len(share)))
            train_once(module, shuffled, masked)
            for name in total:
                total[name] += module.state_dict()[name] * (len(share) / sum(map(len, shares)))
        module.load_state_dict(sent | total)
        module.eval()
        with torch.no_grad():
            sum(int((module(x).argmax(1) == y).sum()) for x, y in batches(test, 256))
        seconds.append(time.perf_counter() - start)
    torch.set_num_threads(before)
    return seconds


def train_once(
    module: nn.Module, data: Dataset, masked: Sequence[tuple[nn.Parameter, torch.Tensor]]
) -> None:
    """One epoch of SGD."""
    module.train()
    optimizer = torch.optim.SGD(module.parameters(), lr=LR, momentum=0.9, weight_decay=5e-4)
    for x, y in batches(data, BATCH):
        if len(x) > 1:
            optimizer.zero_grad()
            F.cross_entropy(module(x), y).backward()  # type: ignore[no-untyped-call]
            for parameter, mask in masked:
                if parameter.grad is not None:
                    parameter.grad.mul_(mask)
            optimizer.step()


def compare(rounds: int, repeats: int, density: float) -> None:
    """Print rounds a minute."""
    _, masks = engine(1, density, "auto")  # which also builds the step where it is not
    contestants: dict[str, Callable[[], list[float]]] = {
        "engine": lambda: engine(rounds, density, "auto")[0],
        "engine by torch": lambda: engine(rounds, density, "torch")[0],
        "loop, 1 thread": lambda: loop(rounds, 1, masks),
        "loop, 2 threads": lambda: loop(rounds, 2, masks),
    }
    best = dict.fromkeys(contestants, float("inf"))
    for _ in range(repeats):
        for name, run in contestants.items():
            best[name] = min(best[name], *run())
    for name, seconds in best.items():
        print(f"{name:<16} {60 / seconds:7.2f} rounds a minute ({seconds:.2f} s)")
    plain = min(seconds for name, seconds in best.items() if name.startswith("loop"))
    print(f"engine over the better loop: {plain / best['engine']:.2f}")


def many_images(clients: int, path: Path) -> None:
    """Save the shipped images, repeated until there are some twenty for each client."""
    whole = load_dataset(DATA)
    repeats = -(-20 * clients // whole.test_from)
    images, labels = whole.images[: whole.test_from], whole.labels[: whole.test_from]
    np.savez(
        path,
        x_train=np.tile(images, (repeats, 1, 1, 1)),
        y_train=np.tile(labels, repeats),
        x_test=whole.images[whole.test_from :],
        y_test=whole.labels[whole.test_from :],
    )


def memory(clients: int, cohort: int) -> None:
    """Print peaks for a hundredth of the clients and for all; each in a process of its own."""
    for count in (max(cohort, clients // 100), clients):
        with tempfile.TemporaryDirectory() as folder:
            many_images(clients, Path(folder) / "images.npz")
            command = [sys.executable, "-m", "benchmarks.rounds", "--run", folder]
            words = ["--clients", str(count), "--cohort", str(cohort)]
            subprocess.run([*command, *words], check=True)
            timing = json.loads((Path(folder) / "run" / "timing.json").read_text())
        server, worker = (timing[who]["peak_memory_bytes"] / 1e6 for who in ("server", "workers"))
        processes = timing["worker_processes"]
        print(
            f"{count:5d} clients, cohort {cohort}: server {server:.0f} MB, largest of {processes} "
            f"workers {worker:.0f} MB, together at most {server + processes * worker:.0f} MB"
        )


def main() -> None:
    """Parse options and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--density", type=float, default=1.0)
    parser.add_argument("--memory", action="store_true")
    parser.add_argument("--clients", type=int, default=1000)
    parser.add_argument("--cohort", type=int, default=10)
    parser.add_argument("--run", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run is not None:
        data = str(options.run / "images.npz")
        many = config(2, data, clients=options.clients, cohort=options.cohort, alpha=None)
        train(many, options.run / "run")
    elif options.memory:
        memory(options.clients, options.cohort)
    else:
        compare(options.rounds, options.repeats, options.density)


if __name__ == "__main__":
    main()
