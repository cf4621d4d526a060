"""Training runs: repeatable, resumable, interruptible, honest about bytes."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from fedtiny.errors import DoesNotFitError, UsageError
from fedtiny.federated import client, local
from fedtiny.federated.config import TrainConfig
from fedtiny.federated.evaluation import evaluate
from fedtiny.federated.message import Message
from fedtiny.federated.training import train
from fedtiny.progress import Progress, Task
from fedtiny.pruning.masks import density
from fedtiny.sparse_model import SparseModel

OBSERVE = f"{__name__}:observe_ends"


def observe_ends(
    module: nn.Module, batches: Iterable[torch.Tensor]
) -> dict[str, tuple[float, float]]:
    """A stand-in that watches the network's two ends only."""
    both = [(x, module(x).detach()) for x in batches]
    return {
        name: (min(float(pair[i].min()) for pair in both), max(float(p[i].max()) for p in both))
        for i, name in enumerate(("input", "output"))
        for pair in both[:1]
    }


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three kinds of stripes under noise: small, but not trivial."""
    rng = np.random.default_rng(0)
    y = np.arange(360) % 3
    row, column = np.indices((10, 10))
    kinds = np.stack([np.sin(row), np.sin(column), np.sin(row + column)])
    x = 128 + 60 * kinds[y] + rng.normal(0, 40, (360, 10, 10))
    path = tmp_path_factory.mktemp("data") / "stripes.npz"
    np.savez(path, x=x.clip(0, 255).astype(np.uint8), y=y)
    return path


@pytest.fixture
def config(data: Path) -> TrainConfig:
    return TrainConfig(
        str(data),
        "resnet8-stride2",
        density=0.2,
        clients=4,
        cohort=3,
        alpha=1.0,
        rounds=5,
        local_epochs=1,
        batch=16,
        pretrain_epochs=4,
        adjust_every=1,
        adjust_until=5,
        workers=0,
    )


def run(config: TrainConfig, out: Path, **options: Any) -> dict[str, Any]:
    train(config, out, **{"observe": OBSERVE} | options)
    record: dict[str, Any] = json.loads((out / "run.json").read_text())
    return record


def results(out: Path) -> dict[str, bytes]:
    return {name: (out / name).read_bytes() for name in ("model.safetensors", "run.json")}


def test_a_run_is_complete_and_its_model_is_sparse(config: TrainConfig, tmp_path: Path) -> None:
    record = run(config, tmp_path / "run")
    names = {p.name for p in (tmp_path / "run").iterdir()}
    assert names == {"model.safetensors", "run.json", "timing.json", "history.csv", "checkpoints"}
    assert [p.name for p in tmp_path.iterdir()] == ["run"]
    model = SparseModel.load(tmp_path / "run" / "model.safetensors")
    prunable = sum(mask.numel() for mask in model.masks.values())
    assert density(model.masks) == round(0.2 * prunable) / prunable
    assert all(not model.state[n][~mask].any() for n, mask in model.masks.items())
    assert set(model.ranges) == {"input", "output"}
    assert 0 <= model.ranges["input"][0] < model.ranges["input"][1] <= 1
    history = record["history"]
    assert [row["round"] for row in history] == [1, 2, 3, 4, 5]
    assert all(len(row["clients"]) == 3 for row in history)
    first = record["initialization"]
    assert all(row["density_by_layer"] == first["density_by_layer"] for row in history)
    assert [row["mask_changes"] > 0 for row in history] == [True] * 4 + [False]
    losses = [candidate["loss"] for candidate in first["candidates"]]
    assert first["chosen"] == losses.index(min(losses))
    flops = [row["training_flops_of_a_client"] for row in history]
    assert flops[0] > flops[-1] > 0
    assert record["final"]["accuracy"] > 0.8

    from fedtiny.data import load_dataset

    assert evaluate(model, load_dataset(config.data).test()) == record["final"]["accuracy"]


def test_equal_runs_are_equal_whatever_the_workers(config: TrainConfig, tmp_path: Path) -> None:
    run(config, tmp_path / "a")
    for workers in (1, 3):
        run(dataclasses.replace(config, workers=workers), tmp_path / str(workers))
        assert results(tmp_path / str(workers)) == results(tmp_path / "a")
    run(dataclasses.replace(config, seed=1), tmp_path / "b")
    assert results(tmp_path / "b") != results(tmp_path / "a")


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


@pytest.mark.parametrize("stopped", [1, 3])
def test_a_resumed_run_is_identical(config: TrainConfig, tmp_path: Path, stopped: int) -> None:
    run(config, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        run(config, tmp_path / "out", progress=StopsAt(stopped))
    names = {p.name for p in (tmp_path / "out").iterdir()}
    assert names == {"checkpoints", "history.csv"}
    assert [p.name for p in (tmp_path / "out" / "checkpoints").iterdir()] == ["last.safetensors"]
    run(dataclasses.replace(config, workers=1), tmp_path / "out", resume=True)
    assert results(tmp_path / "out") == results(tmp_path / "whole")
    run(config, tmp_path / "out", resume=True)
    assert results(tmp_path / "out") == results(tmp_path / "whole")


def test_resuming_something_else_is_refused(config: TrainConfig, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="nothing to resume"):
        run(config, tmp_path / "none", resume=True)
    run(dataclasses.replace(config, rounds=1), tmp_path / "out")
    with pytest.raises(UsageError, match="other options"):
        run(config, tmp_path / "out", resume=True)
    checkpoint = tmp_path / "out" / "checkpoints" / "last.safetensors"
    whole = checkpoint.read_bytes()
    for damaged in (whole[:-9], b"x" * 50, whole[:-1] + bytes([whole[-1] ^ 1])):
        checkpoint.write_bytes(damaged)
        with pytest.raises(UsageError, match="damaged"):
            run(dataclasses.replace(config, rounds=1), tmp_path / "out", resume=True)


def test_bytes_in_the_record_are_those_that_travelled(
    config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[tuple[bytes, bytes]] = []
    plain = local.LocalFleet.exchange

    def exchange(self: local.LocalFleet, requests: Any) -> Any:
        answers = plain(self, requests)
        sent.extend((data, answer) for (_, data), answer in zip(requests, answers, strict=True))
        return answers

    monkeypatch.setattr(local.LocalFleet, "exchange", exchange)
    record = run(config, tmp_path / "run")
    parts = [record["initialization"], *record["history"], record["final"]]
    assert sum(p["bytes_down"] for p in parts) == sum(len(down) for down, _ in sent)
    assert sum(p["bytes_up"] for p in parts) == sum(len(up) for _, up in sent)

    messages = [(Message.from_bytes(down), Message.from_bytes(up)) for down, up in sent]
    kinds = [down.kind for down, _ in messages]
    assert (
        kinds
        == ["statistics"] * 4
        + ["evaluate"] * 4
        + ["statistics"] * 4
        + ["evaluate"] * 4
        + ["train"] * 15
        + ["statistics"] * 4
        + ["evaluate"] * 4
        + ["calibrate"] * 4
    )
    training = [pair for pair in messages if pair[0].kind == "train"]
    lengths = {m.arrays["values"].size for pair in training for m in pair}
    model = SparseModel.load(tmp_path / "run" / "model.safetensors")
    floats = {n: v for n, v in model.state.items() if v.is_floating_point()}
    active = sum(int(mask.sum()) for mask in model.masks.values())
    dense = sum(v.numel() for n, v in floats.items() if n not in model.masks)
    assert lengths == {active + dense}
    total = sum(v.numel() for v in floats.values())
    row = record["history"][-1]
    assert row["bytes_down"] + row["bytes_up"] < 2 * 3 * 4 * total / 2
    asked = [down.fields.get("ask.counts") for down, _ in training]
    grown = [[n for n in up.arrays if n.startswith("gradient")] for _, up in training]
    assert [a is not None for a in asked] == [bool(g) for g in grown] == [True] * 12 + [False] * 3
    for down, up in training[:12]:
        for number, count in enumerate(down.fields["ask.counts"]):
            assert up.arrays[f"gradient{number}"].shape == (count,)


def test_a_client_that_sends_nonsense_is_dropped(
    config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = client.train_task

    def nonsense(who: client.Client, message: Message) -> Message:
        reply = plain(who, message)
        if who.index == 1 and message.fields["round"] == 2:
            values = reply.arrays["values"].copy()
            values[7] = np.nan
            return Message(reply.kind, reply.fields, {**reply.arrays, "values": values})
        if who.index == 2 and message.fields["round"] == 3:
            grow = {"grow0": reply.arrays["grow0"][:-1]}
            return Message(reply.kind, reply.fields, {**reply.arrays, **grow})
        if who.index == 0 and message.fields["round"] == 4:
            raise MemoryError("too big")
        return reply

    monkeypatch.setitem(client.TASKS, "train", nonsense)
    record = run(dataclasses.replace(config, cohort=4), tmp_path / "run")
    events = [e for row in record["history"] for e in row["events"]]
    assert [(e["round"], e["client"]) for e in events] == [(2, 1), (3, 2), (4, 0)]
    assert "values holds values that are not finite" in events[0]["why"]
    assert "MemoryError: too big" in events[2]["why"]
    assert [row["clients"] for row in record["history"]] == [
        [0, 1, 2, 3],
        [0, 2, 3],
        [0, 1, 3],
        [1, 2, 3],
        [0, 1, 2, 3],
    ]


def test_dense_averaging_goes_through_the_same_door(config: TrainConfig, tmp_path: Path) -> None:
    record = run(dataclasses.replace(config, method="fedavg"), tmp_path / "run")
    model = SparseModel.load(tmp_path / "run" / "model.safetensors")
    assert dict(model.masks) == {}
    assert record["history"][-1]["density"] == 1.0
    assert record["final"]["accuracy"] > 0.8
    total = sum(v.numel() for v in model.state.values() if v.is_floating_point())
    for row in record["history"]:
        assert 3 * 4 * total < row["bytes_up"] < 3 * 4 * total + 1000


def test_candidates_must_fit_the_devices(config: TrainConfig, tmp_path: Path) -> None:
    asked: list[float] = []

    def misfit(masks: Any, state: Any) -> str | None:
        asked.append(density(masks))
        return "flash is 10 bytes over." if len(asked) % 3 else None

    config = dataclasses.replace(config, devices=("board",), rounds=1)
    record = run(config, tmp_path / "out", misfit=misfit)
    assert len(asked) == 7  # the last is the final model
    assert len(record["initialization"]["candidates"]) == 2
    with pytest.raises(DoesNotFitError, match="flash is 10 bytes over"):
        run(config, tmp_path / "other", misfit=lambda masks, state: "flash is 10 bytes over.")
    assert not (tmp_path / "other").exists()


BOARD = """
description = "A made-up board."
target = "cortex-m4"
cpu = "one core"
clock_hz = 100_000_000
flash_bytes = {flash}
sram_bytes = 65_536
[sources]
clock_hz = "made up"
flash_bytes = "made up"
sram_bytes = "made up"
"""


def test_candidates_are_planned_for_boards(config: TrainConfig, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="unknown device 'nucleo-l4r5z'"):
        run(dataclasses.replace(config, devices=("nucleo-l4r5z",)), tmp_path / "out")
    for name, flash in (("small", 4_096), ("large", 1_048_576)):
        (tmp_path / f"{name}.toml").write_text(BOARD.format(flash=flash))
    config = dataclasses.replace(config, rounds=1, candidates=1)
    large = dataclasses.replace(config, devices=(str(tmp_path / "large.toml"),))
    assert run(large, tmp_path / "out")["initialization"]["chosen"] == 0
    small = dataclasses.replace(config, devices=(str(tmp_path / "small.toml"), *large.devices))
    with pytest.raises(DoesNotFitError, match=r"no candidate of density 0\.2 fits.*flash"):
        run(small, tmp_path / "other")


def test_wrong_places_are_refused_before_any_work(config: TrainConfig, tmp_path: Path) -> None:
    (tmp_path / "photo").write_text("mine")
    with pytest.raises(UsageError, match="holds other files"):
        run(config, tmp_path)
    assert (tmp_path / "photo").read_text() == "mine"
    with pytest.raises(UsageError, match="is a file"):
        run(config, tmp_path / "photo")
    with pytest.raises(UsageError, match="unknown model"):
        run(dataclasses.replace(config, model="resnet9"), tmp_path / "out")
    with pytest.raises(UsageError, match="unknown dataset"):
        run(dataclasses.replace(config, data="mnist-fashion"), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def children(pid: int) -> list[int]:
    path = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(child) for child in path.read_text().split()] if path.exists() else []


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="reads /proc")
def test_ctrl_c_ends_the_workers_and_leaves_a_checkpoint(
    config: TrainConfig, tmp_path: Path
) -> None:
    options = dataclasses.asdict(dataclasses.replace(config, rounds=1000, workers=2))
    script = (
        "import sys, json\nfrom pathlib import Path\n"
        "from fedtiny.federated.config import TrainConfig\n"
        "from fedtiny.federated.training import train\n"
        "options = json.loads(sys.argv[1])\n"
        "try:\n    train(TrainConfig(**options), Path(sys.argv[2]))\n"
        "except KeyboardInterrupt:\n    sys.exit(130)\n"
    )
    out = tmp_path / "out"
    process = subprocess.Popen(
        [sys.executable, "-c", script, json.dumps(options), str(out)],
        stderr=subprocess.PIPE,
        text=True,
    )
    checkpoint = out / "checkpoints" / "last.safetensors"
    deadline = time.monotonic() + 200
    first = 0.0
    while time.monotonic() < deadline and process.poll() is None:
        if checkpoint.is_file():
            first = first or checkpoint.stat().st_mtime
            if checkpoint.stat().st_mtime > first:
                break
        time.sleep(0.02)
    workers = children(process.pid)
    assert len(workers) == 2
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert "Traceback" not in errors
    for pid in workers:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
    assert {p.name for p in out.iterdir()} <= {"checkpoints", "history.csv"}
    assert checkpoint.is_file()
    assert [p.name for p in checkpoint.parent.iterdir()] == ["last.safetensors"]


def test_calibration_is_the_compilers(config: TrainConfig, tmp_path: Path) -> None:
    """The ranges name the tensors of the graph that the compiler captures."""
    train(dataclasses.replace(config, clients=2, cohort=None, rounds=1), tmp_path / "run")
    model = SparseModel.load(tmp_path / "run" / "model.safetensors")
    from fedtiny.compiler.calibration import observe
    from fedtiny.data import load_dataset
    from fedtiny.federated.evaluation import to_input

    images = to_input(load_dataset(config.data).images[:288])
    whole = observe(model.module(), [images])
    assert whole.keys() == model.ranges.keys()
    assert len(whole) > 10


def test_too_few_answers_leave_the_model_as_it_was(
    config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = client.train_task

    def fails(who: client.Client, message: Message) -> Message:
        if who.index and message.fields["round"] == 2:
            raise MemoryError("too big")
        return plain(who, message)

    monkeypatch.setitem(client.TASKS, "train", fails)
    config = dataclasses.replace(config, cohort=None, min_cohort=2, rounds=3)
    history = run(config, tmp_path / "run")["history"]
    assert [e["what"] for e in history[1]["events"]] == ["client dropped"] * 3 + ["too few answers"]
    assert history[1]["loss"] == history[0]["loss"] != history[2]["loss"]
    assert [row["mask_changes"] > 0 for row in history] == [True, False, True]
