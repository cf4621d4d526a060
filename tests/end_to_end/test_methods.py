"""Every method trains on the same fleet, can be stopped and resumed, and is accounted for."""

import dataclasses
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from fedtiny.errors import UsageError
from fedtiny.federated.config import TrainConfig
from fedtiny.federated.training import train
from fedtiny.progress import Progress, Task
from fedtiny.pruning.load import load_method, method_names
from fedtiny.sparse_model import SparseModel

OBSERVE = f"{__name__}:observe_input"


def observe_input(module: Any, batches: Any) -> dict[str, tuple[float, float]]:
    """A stand-in that watches the input only."""
    x = torch.cat(list(batches))
    return {"input": (float(x.min()), float(x.max()))}


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> TrainConfig:
    rng = np.random.default_rng(0)
    y = np.arange(240) % 3
    row, column = np.indices((8, 8))
    kinds = np.stack([np.sin(row), np.sin(column), np.sin(row + column)])
    x = 128 + 60 * kinds[y] + rng.normal(0, 40, (240, 8, 8))
    path = tmp_path_factory.mktemp("data") / "stripes.npz"
    np.savez(path, x=x.clip(0, 255).astype(np.uint8), y=y)
    return TrainConfig(
        str(path),
        "resnet8-stride2",
        density=0.2,
        clients=3,
        alpha=2.0,
        rounds=6,
        local_epochs=1,
        batch=16,
        pretrain_epochs=3,
        adjust_every=1,
        workers=0,
    )


class StopsAt(Progress):
    """Raises KeyboardInterrupt when a training round is reported."""

    def __init__(self, round_: int) -> None:
        self.left = round_

    @contextmanager
    def task(self, title: str, total: int | None = None) -> Iterator[Task]:
        outer = self

        class Counting(Task):
            def advance(self, steps: int = 1, note: str = "") -> None:
                if title == "training" and note:
                    outer.left -= 1
                    if outer.left == 0:
                        raise KeyboardInterrupt

        yield Counting()


@pytest.mark.parametrize("name", sorted(set(method_names()) - {"fedavg", "small-dense"}))
def test_masks_of_blocks(config: TrainConfig, tmp_path: Path, name: str) -> None:
    config = dataclasses.replace(config, method=name, pattern="block1x4")
    model = train(config, tmp_path / "run", observe=OBSERVE)
    blocked = {n: m for n, m in model.masks.items() if m.ndim > 1 and m.shape[1] % 4 == 0}
    assert len(blocked) > 5
    for mask in blocked.values():
        blocks = np.asarray(mask).reshape(mask.shape[0], -1, 4, *mask.shape[2:])
        np.testing.assert_array_equal(blocks.any(2), blocks.all(2))
    total = sum(mask.size for mask in map(np.asarray, model.masks.values()))
    active = sum(int(np.asarray(mask).sum()) for mask in model.masks.values())
    if name not in ("lotteryfl", "fl-pqsu", "prunefl"):  # of other densities in so few rounds
        assert active / total == pytest.approx(config.density, abs=0.003)
    history = json.loads((tmp_path / "run" / "run.json").read_text())["history"]
    changes = sum(row["mask_changes"] for row in history)
    assert (changes > 0) == (name not in ("snip", "synflow", "fl-pqsu"))


@pytest.mark.parametrize("name", method_names())
def test_a_method_end_to_end(config: TrainConfig, tmp_path: Path, name: str) -> None:
    config = dataclasses.replace(config, method=name)
    train(config, tmp_path / "whole", observe=OBSERVE)
    with pytest.raises(KeyboardInterrupt):
        train(config, tmp_path / "cut", StopsAt(3), observe=OBSERVE)
    train(config, tmp_path / "cut", resume=True, observe=OBSERVE)
    for file in ("model.safetensors", "run.json", "history.csv"):
        assert (tmp_path / "cut" / file).read_bytes() == (tmp_path / "whole" / file).read_bytes()

    record = json.loads((tmp_path / "whole" / "run.json").read_text())
    history = record["history"]
    assert [row["events"] for row in history] == [[]] * 6
    assert record["final"]["accuracy"] > 0.6
    model = SparseModel.load(tmp_path / "whole" / "model.safetensors")
    assert all(not model.state[n][~mask].any() for n, mask in model.masks.items())
    kind = load_method(name)
    changed = any(row["mask_changes"] for row in history)
    assert changed == (kind.server_update is not load_method("fedavg").server_update)
    for row in history:  # what papers count, against what travelled
        counted = row["communication_bytes_of_a_client"]
        carried = (row["bytes_down"] + row["bytes_up"]) / len(row["clients"] + row["withheld"])
        assert 0.75 * carried < counted < 1.3 * carried


def test_masks_of_their_own_are_not_combined_weight_by_weight(
    config: TrainConfig, tmp_path: Path
) -> None:
    config = dataclasses.replace(config, method="feddst", aggregate="median")
    with pytest.raises(UsageError, match="with --method feddst each has its own"):
        train(config, tmp_path / "run", observe=OBSERVE)
