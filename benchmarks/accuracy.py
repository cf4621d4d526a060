"""Accuracy of pruning methods at the same densities, on the same clients' data: a resumable grid.

    python -m benchmarks.accuracy [--runs DIR] [--methods A,B] [--densities 0.05,0.01]
        [--seeds 0] [--rounds 60] [--images 10000] [--table | --plot FILE.svg]

Fashion-MNIST, ten clients, Dirichlet labels of α = 0.5, one local epoch a round. Every method has
the same rounds, clients, batches and seeds; `fedavg` and `small-dense` have the one density that
they are of. A grid that was stopped goes on where it was, in the middle of a run too, and each
finished run is a line of DIR/results.csv. `--table` prints what is there: mean ± standard
deviation over seeds of the accuracy on the 10,000 test images after the last round; and of a
client, as the project accounts for them: bytes communicated, FLOPs of training, and the greatest
memory of training without activations (the papers' convention) and with them. `--plot` draws
accuracies over rounds (it needs matplotlib).
"""

from __future__ import annotations

import argparse
import csv
import itertools
import json
import statistics
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fedtiny import pipeline
from fedtiny.cli.bars import make_progress
from fedtiny.cli.boundary import Settings
from fedtiny.data import load_dataset
from fedtiny.federated.config import TrainConfig
from fedtiny.federated.run_folder import RunFolder

DATA = "fashion-mnist"
METHODS = "fedtiny,fedavg,small-dense,synflow,prunefl,feddst,fedrts"
WITHOUT_DENSITY = ("fedavg",)
COLUMNS = ("method", "density", "seed", "accuracy", "best", "bytes", "flops", "memory", "peak")
CLIENTS, ALPHA = 10, 0.5


@dataclass(frozen=True)
class Cell:
    """One run of the grid."""

    method: str
    density: float
    seed: int

    def folder(self, runs: Path) -> RunFolder:
        """Where it is kept."""
        return RunFolder(runs / f"{self.method}-{self.density:g}-{self.seed}")


def cells(methods: str, densities: str, seeds: str) -> Iterator[Cell]:
    """The grid, seed by seed, so that it is worth reading early."""
    seen = set()
    for seed, density, method in itertools.product(
        map(int, seeds.split(",")), map(float, densities.split(",")), methods.split(",")
    ):
        cell = Cell(method, 1.0 if method in WITHOUT_DENSITY else density, seed)
        if cell not in seen:
            seen.add(cell)
            yield cell


def data_file(runs: Path, images: int) -> Path:
    """A seeded part of the training images, and all test images, as a dataset of the user's."""
    path = runs / f"{DATA}-{images}.npz"
    if not path.is_file():
        whole = load_dataset(DATA)
        kept = np.sort(np.random.default_rng(0).permutation(whole.test_from)[:images])
        work = path.with_suffix(".part.npz")
        np.savez_compressed(
            work,
            x_train=whole.images[kept],
            y_train=whole.labels[kept],
            x_test=whole.images[whole.test_from :],
            y_test=whole.labels[whole.test_from :],
        )
        work.rename(path)
    return path


def run(cell: Cell, runs: Path, data: Path, rounds: int, workers: int | None) -> None:
    """Run a cell, or what is left of it, and append its line."""
    place = cell.folder(runs)
    config = TrainConfig(
        data=str(data), model="resnet8", density=cell.density, method=cell.method,
        clients=CLIENTS, alpha=ALPHA, rounds=rounds, local_epochs=1, seed=cell.seed,
        workers=workers,
    )  # fmt: skip
    if not place.model.is_file():
        with make_progress(Settings()) as progress:
            resume = place.checkpoint.is_file()
            pipeline.train(config, place.path, resume=resume, progress=progress)
    history = rows(cell, runs)
    accuracies = [row["accuracy"] for row in history]
    line: dict[str, Any] = {
        "method": cell.method,
        "density": cell.density,
        "seed": cell.seed,
        "accuracy": accuracies[-1],
        "best": max(accuracies),
        "bytes": sum(row["communication_bytes_of_a_client"] for row in history),
        "flops": sum(row["training_flops_of_a_client"] for row in history),
        "memory": max(row["training_memory_bytes"] for row in history),
        "peak": max(row["training_peak_bytes"] for row in history),
    }
    results = runs / "results.csv"
    new = not results.exists()
    with results.open("a", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        if new:
            writer.writeheader()
        writer.writerow(line)


def rows(cell: Cell, runs: Path) -> list[dict[str, Any]]:
    """The rounds of a finished run."""
    record: dict[str, Any] = json.loads(cell.folder(runs).record.read_text())
    found: list[dict[str, Any]] = record["history"]
    return found


def finished(runs: Path) -> dict[Cell, dict[str, float]]:
    """Lines of results.csv by cell."""
    if not (runs / "results.csv").exists():
        return {}
    with (runs / "results.csv").open(newline="") as file:
        return {
            Cell(row["method"], float(row["density"]), int(row["seed"])): {
                name: float(row[name]) for name in COLUMNS[3:]
            }
            for row in csv.DictReader(file)
        }


def print_table(runs: Path) -> None:
    """Markdown."""
    grouped: dict[tuple[float, str], list[dict[str, float]]] = defaultdict(list)
    for cell, line in finished(runs).items():
        grouped[cell.density, cell.method].append(line)
    print(
        "| density | method | seeds | accuracy, % | best round, % "
        "| MB | GFLOP | memory, MB | peak, MB |"
    )
    print("|---" * 9 + "|")
    order = sorted(grouped.items(), key=lambda item: (-item[0][0], -mean(item[1], "accuracy")))
    for (density, method), lines in order:
        accuracies = [100 * line["accuracy"] for line in lines]
        spread = f" ± {statistics.stdev(accuracies):.2f}" if len(lines) > 1 else ""
        print(
            f"| {density:g} | {method} | {len(lines)} | {statistics.mean(accuracies):.2f}{spread} "
            f"| {100 * mean(lines, 'best'):.2f} | {mean(lines, 'bytes') / 1e6:.2f} "
            f"| {mean(lines, 'flops') / 1e9:.1f} | {mean(lines, 'memory') / 1e6:.2f} "
            f"| {mean(lines, 'peak') / 1e6:.2f} |"
        )


def mean(lines: Sequence[dict[str, float]], name: str) -> float:
    """Of one column."""
    return statistics.mean(line[name] for line in lines)


def plot(runs: Path, path: Path) -> None:
    """Accuracy over rounds, one panel a density, mean over seeds; dense runs in every panel."""
    from matplotlib import pyplot  # type: ignore[import-not-found, unused-ignore]

    curves: dict[tuple[float, str], list[list[float]]] = defaultdict(list)
    for cell in finished(runs):
        accuracies = [100 * row["accuracy"] for row in rows(cell, runs)]
        curves[cell.density, cell.method].append(accuracies)
    densities = sorted({density for density, _ in curves if density < 1}, reverse=True) or [1.0]
    figure, panels = pyplot.subplots(
        1, len(densities), figsize=(6 * len(densities), 4.5), sharey=True, squeeze=False
    )
    methods = sorted({method for _, method in curves})
    for panel, density in zip(panels[0], densities, strict=True):
        for index, method in enumerate(methods):
            drawn = curves.get((density, method), curves.get((1.0, method)))
            if drawn:
                length = min(map(len, drawn))
                line = np.mean([accuracies[:length] for accuracies in drawn], axis=0)
                panel.plot(range(1, length + 1), line, label=method, color=f"C{index}")
        panel.set(title=f"density {density:g}", xlabel="round", ylim=(0, 100))
        panel.grid(alpha=0.3)
    panels[0][0].set_ylabel("accuracy on test images, %")
    panels[0][-1].legend()
    figure.tight_layout()
    figure.savefig(path)


def main() -> None:
    """Run what is left of the grid, or show what is there."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--runs", type=Path, default=Path("runs/accuracy"))
    parser.add_argument("--methods", default=METHODS)
    parser.add_argument("--densities", default="0.05,0.01")
    parser.add_argument("--seeds", default="0")
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--workers", type=int)
    parser.add_argument("--table", action="store_true")
    parser.add_argument("--plot", type=Path)
    given = parser.parse_args()
    if not given.table and not given.plot:
        given.runs.mkdir(parents=True, exist_ok=True)
        data, there = data_file(given.runs, given.images), finished(given.runs)
        for cell in cells(given.methods, given.densities, given.seeds):
            if cell not in there:
                run(cell, given.runs, data, given.rounds, given.workers)
    if given.plot:
        plot(given.runs, given.plot)
    else:
        print_table(given.runs)


if __name__ == "__main__":
    main()
