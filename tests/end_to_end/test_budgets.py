"""Budgets of the clients' devices decide who trains, on how much, and which candidate is chosen."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fedtiny import pipeline
from fedtiny.errors import DoesNotFitError
from fedtiny.federated import device_fit
from fedtiny.federated.config import TrainConfig

BOARD = """
description = "A made-up board."
target = "cortex-m4"
cpu = "one core"
clock_hz = 100_000_000
flash_bytes = 1_048_576
sram_bytes = 65_536
{limit}
[sources]
clock_hz = "made up"
flash_bytes = "made up"
sram_bytes = "made up"
max_macs = "made up"
train_memory_bytes = "made up"
"""


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> TrainConfig:
    rng = np.random.default_rng(0)
    y = np.arange(150) % 3
    row, column = np.indices((8, 8))
    kinds = np.stack([np.sin(row), np.sin(column), np.sin(row + column)])
    x = 128 + 60 * kinds[y] + rng.normal(0, 40, (150, 8, 8))
    path = tmp_path_factory.mktemp("data") / "stripes.npz"
    np.savez(path, x=x.clip(0, 255).astype(np.uint8), y=y)
    return TrainConfig(
        str(path), "resnet8-stride2", density=0.2, clients=3, alpha=None, rounds=2,
        local_epochs=1, batch=16, pretrain_epochs=1, candidates=3, adjust_every=1, workers=0,
    )  # fmt: skip


def board(folder: Path, name: str, limit: str = "") -> str:
    path = folder / f"{name}.toml"
    lines = [line for line in BOARD.format(limit=limit).splitlines() if line]
    unused = {"max_macs", "train_memory_bytes"} - {limit.partition(" ")[0]}
    kept = [line for line in lines if not any(line.startswith(name) for name in unused)]
    path.write_text("\n".join(kept) + "\n")
    return str(path)


def run(config: TrainConfig, out: Path, **options: Any) -> dict[str, Any]:
    pipeline.train(config, out, **options)
    record: dict[str, Any] = json.loads((out / "run.json").read_text())
    return record


def test_clients_train_within_their_memory(config: TrainConfig, tmp_path: Path) -> None:
    free = board(tmp_path, "free")
    probe = run(dataclasses.replace(config, devices=(free,)), tmp_path / "probe")
    peak = probe["history"][0]["training_peak_bytes"]
    half = board(tmp_path, "half", f"train_memory_bytes = {2 * peak // 3}")
    none = board(tmp_path, "none", "train_memory_bytes = 30_000")
    config = dataclasses.replace(config, devices=(free, half, none))
    record = run(config, tmp_path / "run")
    work = record["initialization"]["clients"]
    assert [work[c]["batch"] for c in "01"] == [16, work["1"]["batch"]]
    assert 2 <= work["1"]["batch"] < 16
    assert work["1"]["peak_bytes"] <= 2 * peak // 3
    assert work["2"]["batch"] is None
    assert "most at layer" in work["2"]["refused"]
    assert [row["clients"] for row in record["history"]] == [[0, 1], [0, 1]]
    (event,) = record["initialization"]["events"]
    assert event["what"] == "client refused"
    assert event["client"] == 2
    assert "client refused" in (tmp_path / "run" / "report.html").read_text()

    with pytest.raises(DoesNotFitError, match="no client can train"):
        run(dataclasses.replace(config, devices=(none,)), tmp_path / "other")


def test_a_tight_profile_changes_the_choice_and_the_export_fits(
    config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    macs: list[int] = []
    plan = device_fit._plan

    def watched(*args: Any) -> Any:
        report = plan(*args)
        macs.append(report.model.macs_nonzero)
        return report

    monkeypatch.setattr(device_fit, "_plan", watched)
    loose = board(tmp_path, "loose")
    free = run(dataclasses.replace(config, devices=(loose,)), tmp_path / "free")["initialization"]
    limit = macs[free["chosen"]] - 1
    tight = board(tmp_path, "tight", f"max_macs = {limit}")
    record = run(dataclasses.replace(config, devices=(tight,)), tmp_path / "tight")
    found = record["initialization"]
    chosen = found["candidates"][found["chosen"]]
    assert chosen["density_by_layer"] != free["candidates"][free["chosen"]]["density_by_layer"]
    assert record["final"]["events"] == []

    report = pipeline.export(tmp_path / "tight", device=tight, out=tmp_path / "out")
    assert report.budget.fits
    assert report.model.macs_nonzero <= limit
