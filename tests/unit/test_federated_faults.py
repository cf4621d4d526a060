"""Clients that vanish, answer late, twice, or nonsense: the round goes on with the rest."""

import dataclasses
import time

import numpy as np
import pytest
import torch

from fedtiny.data import Dataset
from fedtiny.errors import RunnerError, UsageError
from fedtiny.federated import local, robust
from fedtiny.federated.client_training import ask_to_train
from fedtiny.federated.codec import StateCodec
from fedtiny.federated.config import TrainConfig
from fedtiny.federated.fleet import Fleet, Lost
from fedtiny.federated.host import Host, client_message, setup_message
from fedtiny.federated.local import LocalFleet
from fedtiny.federated.message import Message
from fedtiny.federated.server import Server
from fedtiny.models import create
from fedtiny.pruning import erk
from fedtiny.pruning.load import load_method

SHAPE = (1, 8, 8)
CLASSES = ("a", "b", "c")


def dataset(seed: int, count: int) -> Dataset:
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 256, (count, *SHAPE), np.uint8)
    return Dataset("d", x, rng.integers(0, 3, count), CLASSES, count)


def clients() -> dict[int, Message]:
    codec = StateCodec(create("resnet8-stride2", SHAPE, 3))
    return {i: client_message(dataset(i, 12 + i), dataset(9, 4), codec, None) for i in range(4)}


class Faulty(Fleet):
    """Real clients; what they answer may be changed on the way."""

    def __init__(self) -> None:
        super().__init__()
        self.host = Host(setup_message("resnet8-stride2", SHAPE, CLASSES, "none:none"))
        for index, message in clients().items():
            self.host.add(index, message)
        self.fault = lambda client, answer: answer

    def exchange(self, requests):  # type: ignore[no-untyped-def]
        with local.one_thread():
            return [self.fault(c, self.host.run(c, data)) for c, data in requests]


def server(fleet: Fleet, **options: object) -> Server:
    given = {"method": "fedrts", "clients": 4, "rounds": 5, "local_epochs": 1, "batch": 8}
    config = TrainConfig("d", "resnet8-stride2", 0.2, **given | options)  # type: ignore[arg-type]
    samples = {i: 12 + i for i in range(4)}
    made = Server(config, create(config.model, SHAPE, 3), dataset(8, 9), fleet, samples=samples)
    made.masks = erk.random_erk(made)
    return made


def changed(answer: bytes, change) -> bytes:  # type: ignore[no-untyped-def]
    """The same answer with other fields or arrays."""
    message = Message.from_bytes(answer)
    fields, arrays = dict(message.fields), {n: a.copy() for n, a in message.arrays.items()}
    change(fields, arrays)
    return Message(message.kind, fields, arrays).to_bytes()


def put(name: str, at: object, value: float):  # type: ignore[no-untyped-def]
    def change(fields, arrays):  # type: ignore[no-untyped-def]
        arrays[name][at] = value

    return change


FAULTS = {
    "vanished": (lambda answer: Lost("gone"), "gone"),
    "cut": (lambda answer: answer[:-9], "checksum"),
    "not finite": (lambda a: changed(a, put("values", 3, np.inf)), "not finite"),
    "longer": (
        lambda a: changed(a, lambda f, x: x.update(values=np.zeros(5, "f4"))),
        "accepted is float32",
    ),
    "other type": (
        lambda a: changed(a, lambda f, x: x.update(values=x["values"].astype("f8"))),
        "float64",
    ),
    "absurd": (lambda a: changed(a, put("values", slice(9, 40), 1e6)), "100 times the median"),
    "claims more": (
        lambda a: changed(a, lambda f, x: f.update(samples=10**6)),
        "claims 1000000 samples where it has 13",
    ),
    "no samples": (lambda a: changed(a, lambda f, x: f.update(samples=0)), "claims 0 samples"),
    "loss not finite": (
        lambda a: changed(a, lambda f, x: f.update(loss=float("nan"))),
        "no finite number 'loss'",
    ),
    "masks of its own": (
        lambda a: changed(a, lambda f, x: x.update(own=np.zeros(1, "u1"))),
        "which the method does not have",
    ),
    "another question": (
        lambda a: changed(a, lambda f, x: f.update(to="00000000")),
        "an answer to another question",
    ),
}


@pytest.mark.quick
@pytest.mark.parametrize("name", FAULTS)
def test_whatever_one_client_does_the_others_decide(name: str) -> None:
    fault, why = FAULTS[name]
    fleet = Faulty()
    host = server(fleet)
    method = load_method("fedrts")(host)
    expected = ask_to_train(host, method, [0, 2, 3], {}, round_=1)
    fleet.fault = lambda client, answer: fault(answer) if client == 1 else answer
    updates = ask_to_train(host, method, range(4), {}, round_=1)
    assert [u.client for u in updates] == [0, 2, 3]
    assert [u.weight for u in updates] == [12 / 41, 14 / 41, 15 / 41]
    found, wanted = (method.aggregate(u) for u in (updates, expected))
    assert all(torch.equal(found[n], wanted[n]) for n in wanted)
    (event,) = host.events
    assert (event["client"], event["task"]) == (1, "train")
    assert why in event["why"]
    assert 1 not in host.holds
    fleet.fault = lambda client, answer: answer
    assert len(ask_to_train(host, method, range(4), {}, round_=1)) == 4


@pytest.mark.quick
def test_an_answer_given_twice_counts_once() -> None:
    fleet, kept = Faulty(), {}
    host = server(fleet)
    method = load_method("fedrts")(host)
    fleet.fault = lambda client, answer: kept.setdefault(client, answer)
    ask_to_train(host, method, range(4), {}, round_=1)
    fleet.fault = lambda client, answer: kept[client] if client == 2 else answer
    updates = ask_to_train(host, method, range(4), {}, round_=2)
    assert [u.client for u in updates] == [0, 1, 3]
    assert host.events[0]["why"] == "an answer to another question"


@pytest.mark.quick
def test_nobody_sound_ends_the_run() -> None:
    fleet = Faulty()
    host = server(fleet)
    fleet.fault = lambda client, answer: changed(answer, lambda f, x: f.update(samples=0))
    with pytest.raises(RunnerError, match=r"no client answered \(train\): claims 0 samples"):
        ask_to_train(host, load_method("fedrts")(host), range(4), {}, round_=1)


@pytest.mark.timeout(300)
def test_late_clients_are_left_out_and_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    setup = setup_message("resnet8-stride2", SHAPE, CLASSES, "none:none")
    fleet = LocalFleet(setup, clients(), 2)
    try:
        host = server(fleet)
        method = load_method("fedrts")(host)
        assert len(ask_to_train(host, method, range(4), {}, round_=1)) == 4
        slow = fleet._workers[0].ask
        monkeypatch.setattr(
            fleet._workers[0], "ask", lambda client, data: time.sleep(6) or slow(client, data)
        )
        fleet._deadline = 5.0
        updates = ask_to_train(host, method, range(4), {}, round_=1)
        late = [client for client, worker in fleet._assignment.items() if worker == 0]
        assert sorted(u.client for u in updates) == sorted(set(range(4)) - set(late))
        assert {e["why"] for e in host.events} == {"no answer before the deadline"}
        monkeypatch.setattr(fleet._workers[0], "ask", slow)
        fleet._deadline = 200.0
        assert len(ask_to_train(host, method, range(4), {}, round_=1)) == 4
    finally:
        fleet.close()


@pytest.mark.quick
def test_median_and_trimmed_mean_are_those_of_numpy() -> None:
    rng = np.random.default_rng(0)
    for count in (1, 2, 3, 5, 10):
        values = rng.normal(size=(count, 4, 3)).astype("f4")
        states = [{"w": torch.from_numpy(v), "n": torch.tensor(3)} for v in values]
        median = robust.combine("median", states, ["w"])
        assert np.allclose(median["w"], np.median(values.astype(float), 0), atol=1e-6)
        assert median["n"] == 3
        cut = {1: 0, 2: 0, 3: 1, 5: 1, 10: 2}[count]
        trimmed = np.sort(values, 0)[cut : count - cut].mean(0)
        assert np.allclose(robust.combine("trimmed-mean", states, ["w"])["w"], trimmed, atol=1e-6)


@pytest.mark.quick
@pytest.mark.parametrize("how", ["median", "trimmed-mean"])
def test_one_liar_of_five_cannot_move_the_aggregate_beyond_the_others(how: str) -> None:
    honest = [{"w": torch.tensor([float(i)])} for i in range(4)]
    for lie in (-1e9, 0.0, 1e9):
        value = robust.combine(how, [*honest, {"w": torch.tensor([lie])}], ["w"])["w"].item()
        assert 0 <= value <= 3


@pytest.mark.quick
def test_clipping_shortens_long_updates_only() -> None:
    sent = {"w": torch.tensor([1.0, 1.0]), "v": torch.tensor([2.0])}
    state = {"w": torch.tensor([4.0, 1.0]), "v": torch.tensor([6.0])}
    assert robust.clip(state, sent, ["w", "v"], 5.0) == state
    clipped = robust.clip(state, sent, ["w", "v"], 1.0)
    assert torch.allclose(clipped["w"], torch.tensor([1.6, 1.0]))
    assert torch.allclose(clipped["v"], torch.tensor([2.8]))
    fleet = Faulty()
    host = server(fleet, clip_norm=0.01)
    method = load_method("fedrts")(host)
    updates = ask_to_train(host, method, range(4), {}, round_=1)
    new = method.aggregate(updates)
    length = robust.norm({n: new[n] for n in host.parameters}, host.state)
    assert 0 < length <= 0.0100001


@pytest.mark.quick
def test_absurd_needs_a_majority_to_compare_with() -> None:
    assert robust.absurd([1.0, 1e9]) == [False, False]
    assert robust.absurd([1.0, 1.1, 1e9, 99.0]) == [False, False, True, False]
    assert robust.absurd([0.0, 0.0, 5.0]) == [False] * 3


@pytest.mark.quick
def test_options_are_checked() -> None:
    config = TrainConfig("d", "resnet8", 0.1)
    for options, says in (
        ({"aggregate": "max"}, "unknown aggregate 'max'"),
        ({"clip_norm": 0}, "--clip-norm is 0"),
        ({"deadline": -1}, "--deadline is -1"),
        ({"min_cohort": 11}, "--min-cohort is 11; accepted is 1 to 10"),
        ({"cohort": 3, "min_cohort": 4}, "accepted is 1 to 3"),
    ):
        with pytest.raises(UsageError, match=says):
            dataclasses.replace(config, **options)  # type: ignore[arg-type]
