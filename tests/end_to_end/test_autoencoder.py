"""An autoencoder: federated on data without labels, exported, verified, judged by its error."""

from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from fedtiny import pipeline
from fedtiny.data import load_dataset
from fedtiny.errors import UsageError
from fedtiny.federated.config import TrainConfig
from fedtiny.ranking import auc
from fedtiny.report.run import read_run

SHAPE = (1, 6, 8)


def waves(rng: np.random.Generator, count: int, odd: bool) -> np.ndarray:
    """Sines of any phase along one axis; odd ones along both."""
    row, column = np.indices(SHAPE[1:])
    angle = column + (2 * row if odd else 0)
    phase = rng.uniform(0, 2 * np.pi, (count, 1, 1))
    x = np.sin(angle + phase) + rng.normal(0, 0.05, (count, *SHAPE[1:]))
    return x.astype(np.float32)


def config(path: Path, **options: object) -> TrainConfig:
    given: dict[str, object] = {
        "density": 0.5, "clients": 2, "alpha": None, "rounds": 6, "local_epochs": 2, "lr": 0.1,
        "batch": 16, "pretrain_epochs": 10, "candidates": 2, "workers": 0,
    }  # fmt: skip
    return TrainConfig(str(path), "autoencoder@0.25", **given | options)  # type: ignore[arg-type]


@pytest.mark.parametrize("labelled", [True, False])
def test_an_autoencoder_end_to_end(tmp_path: Path, labelled: bool) -> None:
    rng = np.random.default_rng(0)
    train = waves(rng, 400, False)
    test = np.concatenate([waves(rng, 60, False), waves(rng, 40, True)])
    labels = np.repeat([0, 1], [60, 40])
    known = {"y_test": labels} if labelled else {}
    np.savez(tmp_path / "waves.npz", x_train=train, x_test=test, **known)
    pipeline.train(config(tmp_path / "waves.npz"), tmp_path / "run")
    record = read_run(tmp_path / "run")
    metric = "AUC" if labelled else "mean squared error"
    assert record.final.metric == metric
    assert record.final.accuracy is None
    assert record.history[-1].loss < record.history[0].loss
    assert set(record.final.clients.loss) == {"0", "1"}
    assert metric in (tmp_path / "run" / "report.html").read_text()

    pipeline.export(tmp_path / "run", target="c", out=tmp_path / "out", dtype="int8")
    report = pipeline.verify(tmp_path / "out")
    assert all(seen.equal for seen in report.verification)
    found = report.accuracy
    assert found is not None
    assert found.metric == metric
    assert found.runtime == found.int8
    assert found.float32 == pytest.approx(record.final.quality, rel=1e-4)
    assert found.int8 == pytest.approx(found.float32, rel=0.3)
    if labelled:
        assert found.runtime is not None
        assert found.runtime > 0.9
    assert metric in (tmp_path / "out" / "report.html").read_text()


def test_a_classifier_needs_labels(tmp_path: Path) -> None:
    np.savez(tmp_path / "waves.npz", x=waves(np.random.default_rng(0), 40, False))
    assert load_dataset(str(tmp_path / "waves.npz")).classes == ("0",)
    options = config(tmp_path / "waves.npz")
    wrong = TrainConfig(options.data, "resnet8-stride2", 0.5, clients=2, workers=0)
    with pytest.raises(UsageError, match="without labels an autoencoder"):
        pipeline.train(wrong, tmp_path / "run")


def test_area_under_the_curve_counts_pairs() -> None:
    rng = np.random.default_rng(1)
    scores, labels = rng.integers(0, 9, 60).astype(np.float64), rng.integers(0, 3, 60)
    odd, normal = scores[labels != 0], scores[labels == 0]
    pairs = [(a > b) + 0.5 * (a == b) for a in odd for b in normal]
    assert auc(scores, labels) == pytest.approx(np.mean(pairs))
    statistic = stats.mannwhitneyu(odd, normal).statistic
    assert auc(scores, labels) == pytest.approx(statistic / len(pairs))
    assert auc(scores, np.zeros(60, np.int64)) is None
