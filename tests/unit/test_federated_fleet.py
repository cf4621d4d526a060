"""The fleet: bytes are counted as serialized, failures stay with the client that failed."""

import numpy as np
import pytest
import torch

from fedtiny.data import Dataset
from fedtiny.errors import RunnerError
from fedtiny.federated.codec import StateCodec
from fedtiny.federated.config import TrainConfig
from fedtiny.federated.fleet import Fleet, Lost, question
from fedtiny.federated.host import Host, client_message, setup_message
from fedtiny.federated.local import LocalFleet, one_thread
from fedtiny.federated.message import Message
from fedtiny.federated.server import Server, snapshot
from fedtiny.models import create
from fedtiny.pruning.masks import density, magnitude_masks, masked

CLASSES = ("a", "b", "c")
SHAPE = (1, 8, 8)


def dataset(seed: int, count: int = 12) -> Dataset:
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 256, (count, *SHAPE), np.uint8)
    return Dataset("d", x, rng.integers(0, 3, count), CLASSES, count)


def server_with(fleet: Fleet, clients: int = 3) -> Server:
    module = create("resnet8-stride2", SHAPE, 3)
    config = TrainConfig("d", "resnet8-stride2", 0.1, clients=clients)
    server = Server(config, module, dataset(9), fleet)
    counts = {n: max(1, s // 10) for n, s in server.codec.prunable.items()}
    server.masks = magnitude_masks(server.state, counts)
    server.state = masked(server.state, server.masks)
    return server


class Recording(Fleet):
    """Real clients in this process; every byte is kept, and answers may be spoiled."""

    def __init__(self, clients: int = 3) -> None:
        super().__init__()
        codec = StateCodec(create("resnet8-stride2", SHAPE, 3))
        self.host = Host(setup_message("resnet8-stride2", SHAPE, CLASSES, "none:none"))
        for i in range(clients):
            self.host.add(i, client_message(dataset(i, 12 + i), dataset(50 + i, 4), codec, None))
        self.requests: list[bytes] = []
        self.answers: list[bytes] = []
        self.spoil: dict[int, bytes | Lost | Message] = {}

    def exchange(self, requests):  # type: ignore[no-untyped-def]
        result: list[bytes | Lost] = []
        for client, data in requests:
            with one_thread():
                answer = self.spoil.get(client) or self.host.run(client, data)
            if isinstance(answer, Message):
                fields = {"to": question(data), **answer.fields}
                answer = Message(answer.kind, fields, answer.arrays).to_bytes()
            self.requests.append(data)
            result.append(answer)
            if isinstance(answer, bytes):
                self.answers.append(answer)
        return result


def test_bytes_are_counted_as_serialized() -> None:
    fleet = Recording()
    server = server_with(fleet)
    server.pooled_statistics(range(3), server.state, server.masks)
    assert fleet.bytes_down == sum(map(len, fleet.requests)) > 0
    assert fleet.bytes_up == sum(map(len, fleet.answers)) > 0


def test_positions_travel_only_to_who_lacks_them() -> None:
    fleet = Recording()
    server = server_with(fleet)

    def send() -> list[Message]:
        fleet.requests.clear()
        server.pooled_statistics(range(3), server.state, server.masks)
        return [Message.from_bytes(data) for data in fleet.requests]

    first = send()
    active = sum(int(m.sum()) for m in server.masks.values())
    dense = sum(np.prod(s) for n, s in server.codec.shapes.items() if n not in server.masks)
    for message in first:
        assert message.arrays["values"].size == active + dense
        assert message.fields["whole"] == 1
    assert all("mask" not in message.arrays for message in send())
    bitmap = sum(m.numel() for m in server.masks.values()) // 8
    assert len(first[0].arrays["mask"]) <= bitmap

    changed = {name: mask.clone() for name, mask in server.masks.items()}
    changed["stage3.conv1.weight"].view(-1)[:4] ^= True
    server.masks, server.state = changed, masked(server.state, changed)
    server.holds.pop(2)
    second = send()
    assert [m.fields["whole"] for m in second] == [0, 0, 1]
    assert len(second[0].arrays["mask"]) < len(first[0].arrays["mask"]) / 20
    held = fleet.host._clients
    for client in held.values():
        assert client.masks is not None
        assert all(torch.equal(client.masks[n], changed[n]) for n in changed)


def test_a_message_is_about_its_least_size() -> None:
    fleet = Recording()
    server = server_with(fleet)
    for _ in range(2):
        fleet.requests.clear()
        server.pooled_statistics(range(3), server.state, server.masks)
    values = 4 * server.codec.length(server.masks)
    assert values < len(fleet.requests[0]) < values + 100


@pytest.mark.parametrize(
    ("spoiled", "why"),
    [
        (Lost("gone"), "gone"),
        (b"", "no FedTiny message"),
        (Message("statistics"), "no array 'mean'"),
        (Message("error", {"why": "out of memory"}), "out of memory"),
    ],
)
def test_unsound_clients_are_left_out(spoiled: bytes | Lost | Message, why: str) -> None:
    fleet = Recording()
    server = server_with(fleet)
    server.round = 7
    whole = server.pooled_statistics([0, 2], server.state, server.masks)
    fleet.spoil[1] = spoiled
    if spoiled == b"":
        fleet.spoil[1] = b"\0"
    part = server.pooled_statistics(range(3), server.state, server.masks)
    assert np.array_equal(part.mean, whole.mean)
    (event,) = server.events
    assert event["client"] == 1
    assert event["round"] == 7
    assert why in event["why"]
    assert 1 not in server.holds
    fleet.spoil.clear()
    server.pooled_statistics(range(3), server.state, server.masks)
    assert Message.from_bytes(fleet.requests[-2]).fields["whole"] == 1


def test_not_finite_replies_are_left_out() -> None:
    fleet = Recording()
    server = server_with(fleet)
    sound = Message.from_bytes(fleet.host.run(0, _request(server)))
    bad = sound.arrays["mean"].copy()
    bad[3] = np.nan
    fleet.spoil[0] = Message("statistics", {}, {**sound.arrays, "mean": bad})
    server.pooled_statistics(range(3), server.state, server.masks)
    assert "not finite" in server.events[0]["why"]


def _request(server: Server) -> bytes:
    arrays = {
        "values": server.codec.pack(server.state, server.masks),
        "mask": server.codec.pack_masks(server.masks, None),
    }
    return Message("statistics", {"batch": 8, "dense": 0, "whole": 1}, arrays).to_bytes()


def test_nobody_left_ends_the_run() -> None:
    fleet = Recording()
    server = server_with(fleet)
    fleet.spoil = dict.fromkeys(range(3), Lost("gone"))
    with pytest.raises(RunnerError, match=r"no client answered \(statistics\): gone"):
        server.pooled_statistics(range(3), server.state, server.masks)


def test_clients_refuse_what_they_cannot_use() -> None:
    fleet = Recording()
    server = server_with(fleet)

    def why(message: Message) -> str:
        return str(Message.from_bytes(fleet.host.run(0, message.to_bytes())).fields["why"])

    values = server.codec.pack(server.state, server.masks)
    assert "unknown task 'x'" in why(Message("x"))
    assert "no weights are held" in why(Message("calibrate"))
    nothing = Message("statistics", {"batch": 8, "dense": 0}, {"values": values})
    assert "no masks are held" in why(nothing)
    change = {"values": values, "mask": server.codec.pack_masks(server.masks, None)}
    base = Message("statistics", {"batch": 8, "dense": 0, "whole": 0}, change)
    assert "masks that are not held" in why(base)
    assert "no FedTiny message" in str(Message.from_bytes(fleet.host.run(0, b"x")).fields["why"])


def test_average_is_weighted_and_pools_statistics() -> None:
    server = server_with(Recording())
    a, b = snapshot(server.module), snapshot(server.module)
    for name in b:
        if b[name].is_floating_point():
            b[name] = b[name] + 1
    mean = server.average([a, b], [1, 3])
    assert torch.allclose(mean["output.weight"], a["output.weight"] + 0.75)
    assert torch.allclose(mean["stem.1.running_mean"], a["stem.1.running_mean"] + 0.75)
    spread = 0.25 * 0.75**2 + 0.75 * 0.25**2
    assert torch.allclose(mean["stem.1.running_var"], a["stem.1.running_var"] + 0.75 + spread)


def local_fleet(workers: int) -> LocalFleet:
    codec = StateCodec(create("resnet8-stride2", SHAPE, 3))
    clients = {
        i: client_message(dataset(i, 12 + i), dataset(50 + i, 4), codec, None) for i in range(3)
    }
    setup = setup_message("resnet8-stride2", SHAPE, CLASSES, "none:none")
    return LocalFleet(setup, clients, workers)


@pytest.mark.timeout(300)
def test_processes_answer_as_this_one_does_and_survive_a_death() -> None:
    recording = Recording()
    expected = server_with(recording)
    expected.pooled_statistics(range(3), expected.state, expected.masks)
    fleet = local_fleet(2)
    kept: list[bytes | Lost] = []
    plain = fleet.exchange
    fleet.exchange = lambda requests: kept.extend(plain(requests)) or kept[-len(requests) :]  # type: ignore
    try:
        server = server_with(fleet)
        server.pooled_statistics(range(3), server.state, server.masks)
        assert kept == recording.answers
        assert (fleet.bytes_down, fleet.bytes_up) == (recording.bytes_down, recording.bytes_up)
        worker = fleet._workers[fleet._assignment[1]]
        worker._process.kill()
        server.pooled_statistics(range(3), server.state, server.masks)
        lost = {event["client"] for event in server.events}
        assert 1 in lost
        assert lost <= {c for c, w in fleet._assignment.items() if w == fleet._assignment[1]}
        server.pooled_statistics(range(3), server.state, server.masks)
        for again, first in zip(kept[-3:], recording.answers, strict=True):
            assert isinstance(again, bytes)
            assert again.partition(b"mean")[2][:-4] == first.partition(b"mean")[2][:-4]
    finally:
        fleet.close()
        fleet.close()
    assert all(w._process.poll() is not None for w in fleet._workers)
    assert density(server.masks) < 0.11
