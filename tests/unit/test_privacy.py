"""Every number that a client of a private run sends is clipped, carries noise, and is counted."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from scipy import optimize, stats

from fedtiny.data import Dataset
from fedtiny.errors import UsageError
from fedtiny.federated import privacy
from fedtiny.federated.batch_norm import Statistics
from fedtiny.federated.client import Client
from fedtiny.federated.codec import StateCodec
from fedtiny.federated.config import TrainConfig
from fedtiny.federated.message import Message
from fedtiny.federated.server import snapshot
from fedtiny.models import create

SHAPE = (1, 8, 8)
CONFIG = TrainConfig("d", "resnet8-stride2", 0.2, clip_norm=2.0, dp_noise=0.01, clients=2)


def client() -> Client:
    module = create("resnet8-stride2", SHAPE, 3)
    rng = np.random.default_rng(0)
    data = Dataset("d", rng.random((20, *SHAPE), np.float32), np.arange(20) % 3, tuple("abc"), 20)
    return Client(1, module, StateCodec(module), data, data, "none:none")


def answer(
    who: Client, kind: str, config: TrainConfig, **fields: object
) -> tuple[Message, Message]:
    who.module.load_state_dict(snapshot(create("resnet8-stride2", SHAPE, 3)))
    values = who.codec.pack(who.module.state_dict(), {})
    all_ = {"dense": 1, **fields, **privacy.asked(config)}
    request = Message(kind, all_, {"values": values})  # type: ignore[arg-type]
    return request, Message.from_bytes(who.run(request.to_bytes()))


TRAINING = {
    "round": 1, "seed": 0, "method": "fedavg", "epochs": 4, "batch": 4, "lr": 0.3, "momentum": 0.9,
    "weight_decay": 0.0, "pattern": "unstructured", "training_engine": "torch",
}  # fmt: skip


def test_updates_are_clipped_and_noised() -> None:
    who = client()
    request, plain = answer(who, "train", dataclasses.replace(CONFIG, dp_noise=None), **TRAINING)
    sent = request.arrays["values"].astype(np.float64)
    update = plain.arrays["values"] - sent
    assert np.linalg.norm(update) > 2  # so that clipping shortens it
    request, private = answer(who, "train", CONFIG, **TRAINING)
    noise = (private.arrays["values"] - sent) - update * 2 / np.linalg.norm(update)
    variances = np.concatenate(
        [np.full(v.numel(), n.endswith("running_var")) for n, v in who.module.state_dict().items()
         if v.is_floating_point()]
    )  # fmt: skip
    assert np.std(noise[~variances]) == pytest.approx(0.01 * 2, rel=0.02)
    assert stats.kstest(noise[~variances][:5000] / 0.02, "norm").pvalue > 1e-3
    assert (private.arrays["values"][variances] >= 0).all()
    assert private.number("loss") != plain.number("loss")
    assert answer(who, "train", CONFIG, **TRAINING)[1].arrays["values"].tobytes() == (
        private.arrays["values"].tobytes()
    )  # repeatable
    other = answer(who, "train", CONFIG, **TRAINING | {"round": 2})[1]
    assert not np.array_equal(other.arrays["values"], private.arrays["values"])


def test_statistics_and_scores_are_noised() -> None:
    who = client()
    plain_config = dataclasses.replace(CONFIG, dp_noise=None)
    _, plain = answer(who, "statistics", plain_config, batch=4)
    _, private = answer(who, "statistics", CONFIG, batch=4)
    base = Statistics.of_state(snapshot(create("resnet8-stride2", SHAPE, 3)), who.module, 1)
    moved = np.concatenate([plain.arrays["mean"] - base.mean,
                            plain.arrays["variance"] - base.variance])  # fmt: skip
    seen = np.concatenate([private.arrays["mean"] - base.mean,
                           private.arrays["variance"] - base.variance])  # fmt: skip
    clipped = moved * min(1, 2 / np.linalg.norm(moved))
    assert np.std(seen - clipped) == pytest.approx(0.02, rel=0.2)
    loud = dataclasses.replace(CONFIG, dp_noise=5.0)
    counts = {answer(who, "validate", loud, at=i)[1].number("correct") for i in range(12)}
    assert len(counts) > 2
    assert all(0 <= count <= 20 for count in counts)
    losses = [answer(who, "validate", loud, at=i)[1].number("loss") for i in range(12)]
    assert all(0 <= loss <= privacy.MOST_LOSS for loss in losses)


def test_errors_say_no_more_than_their_kind() -> None:
    _, reply = answer(client(), "train", CONFIG)
    assert reply.kind == "error"
    assert ":" not in str(reply.fields["why"])


def test_what_is_asked_is_counted_or_named() -> None:
    spent = privacy.Spent()
    for kind in ("train", "train", "statistics", "evaluate"):
        spent.ask(3, Message(kind, {"method": "fedavg"}))
    assert spent.mechanisms == {3: 7}
    pytest.importorskip("opacus")
    report = spent.report(CONFIG)
    assert report["epsilon"] == pytest.approx(privacy.epsilon(0.005, 7, 1e-5))
    back = privacy.Spent.from_record(spent.to_record())
    assert back == spent
    spent.ask(3, Message("train", {"method": "fedtiny", "ask.block": 1}))
    report = spent.report(CONFIG)
    assert report["epsilon"] is None
    assert "what method 'fedtiny' asks for" in report["why"]
    spent = privacy.Spent()
    spent.ask(0, Message("calibrate"))
    assert spent.report(CONFIG)["epsilon"] is None


def test_epsilon_bounds_the_exact_one_of_the_gaussian_mechanism() -> None:
    """k mechanisms of multiplier m are one of m / sqrt(k), whose δ(ε) is known in closed form."""
    pytest.importorskip("opacus")
    for multiplier, count in ((4.0, 1), (8.0, 30), (2.0, 3)):
        mu = math.sqrt(count) / multiplier

        def delta(e: float, mu: float = mu) -> float:
            tail = math.exp(e) * stats.norm.cdf(-e / mu - mu / 2)
            return float(stats.norm.cdf(-e / mu + mu / 2) - tail)

        exact = optimize.brentq(lambda e: delta(e) - 1e-5, 0, 50)
        found = privacy.epsilon(multiplier, count, 1e-5)
        assert exact <= found < 1.3 * exact
    assert privacy.epsilon(1.0, 0, 1e-5) == 0


def test_noise_needs_a_clipping_length() -> None:
    with pytest.raises(UsageError, match="--dp-noise needs --clip-norm"):
        TrainConfig("d", "m", 0.2, dp_noise=1.0)


def test_variances_stay_sound() -> None:
    who = client()
    vector = np.full(who.codec.length({}), -1, np.float32)
    state = who.codec.unpack(who.codec.with_sound_variances(vector, {}), {})
    for name, value in state.items():
        if value.is_floating_point():
            wanted = 0.0 if name.endswith("running_var") else -1.0
            assert torch.equal(value, torch.full_like(value, wanted))
