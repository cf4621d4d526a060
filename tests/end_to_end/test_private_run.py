"""A private run states the ε of everything that clients sent, or why it states none."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fedtiny import pipeline
from fedtiny.federated import privacy
from fedtiny.federated.config import TrainConfig


@pytest.fixture
def config(tmp_path: Path) -> TrainConfig:
    pytest.importorskip("opacus")
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (120, 8, 8), np.uint8)
    np.savez(tmp_path / "data.npz", x=x, y=np.arange(120) % 3)
    return TrainConfig(
        str(tmp_path / "data.npz"), "resnet8-stride2", density=0.2, clients=2, alpha=None,
        rounds=2, local_epochs=1, batch=16, pretrain_epochs=0, candidates=2, adjust_every=1,
        adjust_until=0, clip_norm=1.0, dp_noise=0.5, workers=0,
    )  # fmt: skip


def run(config: TrainConfig, out: Path, **options: Any) -> dict[str, Any]:
    pipeline.train(config, out, **options)
    record: dict[str, Any] = json.loads((out / "run.json").read_text())
    return record


def test_every_message_is_counted(config: TrainConfig, tmp_path: Path) -> None:
    found = run(config, tmp_path / "run")["privacy"]
    selection, rounds, final = 2 * (1 + 2), 2 * 2, 1 + 2
    assert found["mechanisms"] == selection + rounds + final
    assert found["epsilon"] == pytest.approx(privacy.epsilon(0.25, found["mechanisms"], 1e-5))
    assert "ε" in (tmp_path / "run" / "report.html").read_text("utf-8")


def test_what_carries_no_noise_leaves_no_epsilon(config: TrainConfig, tmp_path: Path) -> None:
    adjusting = dataclasses.replace(config, adjust_until=2)
    found = run(adjusting, tmp_path / "run")["privacy"]
    assert found["epsilon"] is None
    assert "what method 'fedtiny' asks for" in found["why"]
    found = run(dataclasses.replace(config, method="fl-pqsu"), tmp_path / "other")["privacy"]
    assert found["epsilon"] is None
    assert "weights of 8 bits" in found["why"]
