"""A grid's replies become answers in the order of the requests, whatever the nodes do."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import pytest

pytest.importorskip("flwr")

import tomllib
from dataclasses import fields
from typing import Any

import fedtiny.federated.flower  # noqa: F401  # telemetry off before Flower is imported

# isort: split
from flwr.app import Context, Error, Message, RecordDict

from fedtiny.errors import RunnerError, UsageError
from fedtiny.federated.config import PLAYS, TrainConfig
from fedtiny.federated.engines import load_engine
from fedtiny.federated.fleet import Lost
from fedtiny.federated.flower.clients import client_app
from fedtiny.federated.flower.fleet import GridFleet
from fedtiny.federated.flower.run_config import OWN, from_run_config, to_run_config
from fedtiny.federated.message import Message as TaskMessage

pytestmark = pytest.mark.quick

APP = Path(__file__).parents[2] / "examples" / "flower" / "pyproject.toml"


@pytest.fixture(autouse=True)
def _identity(monkeypatch: pytest.MonkeyPatch) -> None:
    """Flower's engines set this before an app runs."""
    from flwr.supercore.task_identity import TaskIdentity

    for name in ("_task_id", "_run_id", "_node_id"):
        monkeypatch.setattr(TaskIdentity, name, 1)


class Echo:
    """A client that counts how often it was asked, in what it keeps between messages."""

    def __init__(self) -> None:
        self.count = 0

    def run(self, index: int, data: bytes) -> bytes:
        self.count += 1
        return data + f" {index} {self.count}".encode()

    def memory(self, index: int) -> bytes:
        return bytes([self.count])

    def remember(self, index: int, memory: bytes) -> None:
        self.count = memory[0]


class LoopGrid:
    """Delivers to the real ClientApp, in any order; nodes may be absent, silent or broken."""

    def __init__(self, nodes: dict[int, dict[str, Any]]) -> None:
        self.nodes = nodes
        self.states = {node: RecordDict() for node in nodes}
        self.silent: set[int] = set()
        self.broken: set[int] = set()

    def get_node_ids(self) -> Iterable[int]:
        return list(self.nodes)

    def send_and_receive(
        self, messages: Iterable[Message], *, timeout: float | None = None
    ) -> Sequence[Message]:
        replies = []
        for message in messages:
            node = message.metadata.dst_node_id
            if node in self.silent:
                continue
            if node in self.broken:
                reply = Message(Error(0, "the app crashed"), reply_to=message)
            else:
                app = client_app(lambda client, context: Echo())  # a new process every time
                state = self.states.setdefault(node, RecordDict())
                context = Context(1, node, self.nodes[node], state, {})
                reply = app(message, context)
            reply.metadata.__dict__["_src_node_id"] = node
            replies.append(reply)
        return replies[::-1]


def grid_of(*clients: int) -> LoopGrid:
    return LoopGrid({100 - client: {"client": client} for client in clients})


def test_answers_are_in_the_order_of_the_requests() -> None:
    fleet = GridFleet(grid_of(0, 1, 2), 3)
    assert fleet.exchange([(2, b"x"), (0, b"y")]) == [b"x 2 1", b"y 0 1"]


def test_a_client_remembers_between_processes() -> None:
    fleet = GridFleet(grid_of(0), 1)
    assert [fleet.exchange([(0, b"x")])[0] for _ in range(3)] == [b"x 0 1", b"x 0 2", b"x 0 3"]


def test_silent_broken_and_lost_nodes_cost_only_their_own_answers() -> None:
    grid = grid_of(0, 1, 2, 3)
    fleet = GridFleet(grid, 4, deadline=0.1)
    grid.silent, grid.broken = {100}, {99}
    del grid.nodes[98]
    answers = fleet.exchange([(i, b"x") for i in range(4)])
    assert answers == [
        Lost("no answer before the deadline"),
        Lost("Flower: the app crashed"),
        Lost("the client's node is not connected"),
        b"x 3 1",
    ]


def test_a_node_that_connects_anew_is_found_again() -> None:
    grid = grid_of(0, 1)
    fleet = GridFleet(grid, 2)
    grid.nodes[7] = grid.nodes.pop(99)
    assert fleet.exchange([(1, b"x")]) == [b"x 1 1"]


def test_missing_clients_are_named() -> None:
    with pytest.raises(RunnerError, match="no Flower node is client 1"):
        GridFleet(grid_of(0, 5), 2, wait_s=0.3)


def test_without_flower_the_engine_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    config = TrainConfig("d", "resnet8", 0.1, engine="flower")
    with pytest.raises(UsageError, match=r"pip install 'fedtiny\[flower\]'"):
        load_engine("flower").start(config, TaskMessage("setup"), {})
    with pytest.raises(UsageError, match="unknown engine"):
        TrainConfig("d", "resnet8", 0.1, engine="grpc")


def test_options_survive_flowers_run_configuration() -> None:
    config = TrainConfig("d", "resnet8", 0.1, devices=("a", "b"), alpha=None, cohort=3)
    assert from_run_config(to_run_config(config)) == config
    with pytest.raises(UsageError, match="unknown key 'lrr'"):
        from_run_config(to_run_config(config) | {"lrr": 1})


def test_the_app_has_every_option_with_its_default() -> None:
    given = tomllib.loads(APP.read_text())["tool"]["flwr"]["app"]["config"]
    assert set(given) - set(OWN) == {
        item.name.replace("_", "-") for item in fields(TrainConfig) if item.name not in PLAYS
    }
    options = {key: value for key, value in given.items() if key not in OWN}
    assert from_run_config(options) == TrainConfig("fashion-mnist-mini", "resnet8", 0.1)
