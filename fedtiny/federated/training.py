"""A training run: `train(config, out)` writes the folder of the run and returns the model."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from contextlib import closing, nullcontext
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from fedtiny.data import Dataset, Split
from fedtiny.errors import DoesNotFitError, UsageError
from fedtiny.federated import checkpoint, local_work, privacy
from fedtiny.federated.accounting import forward_flops, layer_macs, state_bytes
from fedtiny.federated.client import OBSERVE
from fedtiny.federated.client_training import ask_to_train
from fedtiny.federated.codec import StateCodec
from fedtiny.federated.config import PLAYS, TrainConfig
from fedtiny.federated.engines import load_engine
from fedtiny.federated.evaluation import Score, score
from fedtiny.federated.fleet import Fleet
from fedtiny.federated.history import Events, write_csv
from fedtiny.federated.local import one_thread
from fedtiny.federated.local_training import last_batch_size
from fedtiny.federated.results import finish
from fedtiny.federated.run_folder import SCHEMA_VERSION, RunFolder, write_json
from fedtiny.federated.server import Misfit, Server
from fedtiny.federated.setting import Setting
from fedtiny.federated.timing import Clock
from fedtiny.federated.training_memory import trace_layers, training_memory
from fedtiny.federated.versions import versions
from fedtiny.progress import SILENT, Progress, Task
from fedtiny.pruning.load import load_method
from fedtiny.pruning.masks import Masks, density, density_by_layer, masked
from fedtiny.pruning.method import Method
from fedtiny.sparse_model import SparseModel
from fedtiny.training_engine import engine as training_engine


def train(
    config: TrainConfig,
    out: Path,
    progress: Progress = SILENT,
    resume: bool = False,
    *,
    misfit: Misfit | None = None,
    observe: str = OBSERVE,
    fleet: Fleet | None = None,
) -> SparseModel:
    """Train one sparse model on many clients' data.

    Args:
        config: The options.
        out: Folder of the run: model.safetensors, run.json, timing.json and checkpoints/. An
            earlier run there is replaced.
        progress: Where to report.
        resume: Go on from the last checkpoint in `out`; the result is that of a run that was
            never stopped.
        misfit: Says why a candidate does not fit the devices; None plans it for each of
            `config.devices`.
        observe: ``"module:function"`` that takes activation ranges on a client.
        fleet: Clients that are there already, which hold no masks; it is closed at the end. None
            starts those of `config.engine`.

    Raises:
        UsageError: Wrong options, data, model or folder, or nothing to resume.
        DoesNotFitError: No candidate fits the devices.
        RunnerError: No client answers.
    """
    folder = RunFolder(out)
    folder.check()
    setting = Setting.of(config, observe)
    dataset, parts = setting.dataset, setting.parts
    module = setting.network()
    config = replace(config, training_engine=_training_engine(config, module, dataset, progress))
    setting = replace(setting, config=config)
    codec = StateCodec(module)
    data_sha256 = _data_sha256(dataset)
    run = checkpoint.fingerprint(config, data_sha256)
    start = None
    if resume and not folder.before_first_checkpoint():
        start = checkpoint.load(folder.checkpoint, codec, run)
        if fleet is not None:
            start = replace(start, holds={})
    budgets: Sequence[tuple[str, int | None]] = ()
    if config.devices and misfit is None:
        from fedtiny.federated.device_fit import device_misfit, training_budgets

        budgets = training_budgets(config.devices)
        misfit = device_misfit(setting.architecture, dataset.subset(parts.public), config.devices)
    if not resume:
        folder.clear()
    folder.begin()

    with one_thread(), folder.empty_unless_checkpointed():
        clock = Clock()
        if fleet is None:
            clients = setting.clients(codec, start.holds if start else {})
            fleet = load_engine(config.engine).start(config, setting.setup(), clients)
        try:
            public = dataset.subset(parts.public)
            samples = {i: len(client.train) for i, client in enumerate(parts.clients)}
            server = Server(config, module, public, fleet, misfit, progress, samples)
            record = _new_record(setting, data_sha256)
            training = _Training(server, folder, run, parts, dataset.test(), record, clock, budgets)
            method = training.run(start, progress)
            with progress.task("calibrating", 2) as task:
                model = finish(server, method, dataset, record, task, observe)
        finally:
            fleet.close()
        model.save(folder.model)
        record["model"]["sha256"] = hashlib.sha256(folder.model.read_bytes()).hexdigest()
        write_csv(folder.history, record["history"])
        write_json(folder.timing, clock.report(config.worker_count))
        write_json(folder.record, record)
    return model


@dataclass
class _Training:
    """The rounds of a run."""

    server: Server
    folder: RunFolder
    fingerprint: str
    parts: Split
    test: Dataset
    record: dict[str, Any]
    clock: Clock
    budgets: Sequence[tuple[str, int | None]]
    work: dict[int, local_work.Work] = field(default_factory=dict)
    evaluation: training_engine.Evaluation | None = None

    def run(self, start: checkpoint.Checkpoint | None, progress: Progress) -> Method:
        """Train to the last round."""
        server, config = self.server, self.server.config
        method = load_method(config.method)(server)
        self.macs = layer_macs(server.module, self.test.input_shape)
        self.layers = trace_layers(server.module, self.test.input_shape)
        if start is None:
            server.spent.of_method(method)
            server.masks = method.init()
            server.state = masked(server.state, server.masks)
            self._check_fit()
            self._divide_work()
            self._record_initialization()
            self._save(method)
        else:
            self._restore(start, method)
        events = Events(self.folder.events, server.round) if config.tensorboard else None
        closed = nullcontext() if events is None else closing(events)
        with closed, progress.task("training", config.rounds) as task:
            task.start_at(server.round)
            for round_ in range(server.round + 1, config.rounds + 1):
                with self.clock.measure(round_):
                    server.round = round_
                    self._round(method, task)
                    self._save(method)
                if events is not None:
                    events.add(self.record["history"][-1])
        return method

    def _round(self, method: Method, task: Task) -> None:
        """Train on the cohort, average, update the masks, record."""
        server, config = self.server, self.server.config
        masks, down, up = server.masks, server.fleet.bytes_down, server.fleet.bytes_up
        request = method.client_extra(server.round)
        cohort = server.cohort(server.round)
        updates = ask_to_train(server, method, cohort, request, round_=server.round)
        withheld = server.withheld
        under = {c: method.sent(c)[1] for c in [*(u.client for u in updates), *withheld]}
        if updates and len(updates) + len(withheld) >= config.min_cohort:
            weights = method.aggregate(updates)
            server.masks = _kept_if_equal(masks, method.server_update(weights, updates))
            server.state = masked(weights, server.masks)
        elif len(withheld) < config.min_cohort:
            server.event("too few answers", answers=len(updates), needed=config.min_cohort)

        server.module.load_state_dict(server.state)
        result = self._score()
        samples = {u.client: u.samples for u in updates} | {c: n for c, (n, _) in withheld.items()}
        losses = {u.client: u.loss for u in updates} | {c: x for c, (_, x) in withheld.items()}
        flops = [
            self._training_flops(method, client, under[client], bool(request)) for client in losses
        ]
        dense = state_bytes(server.state, {}, "bitmap")
        sparse = state_bytes(server.state, server.masks, "bitmap")
        row: dict[str, Any] = {
            "round": server.round,
            "clients": [update.client for update in updates],
            "accuracy": result.accuracy,
            "auc": result.auc,
            "loss": result.loss,
            "withheld": sorted(withheld),
            "training_loss": sum(losses[c] * n for c, n in samples.items()) / sum(samples.values()),
            "density": density(server.masks),
            "density_by_layer": density_by_layer(server.masks),
            "mask_changes": _changes(masks, server.masks),
            "bytes_down": server.fleet.bytes_down - down,
            "bytes_up": server.fleet.bytes_up - up,
            "communication_bytes_of_a_client": method.communication_bytes(
                dense, sparse, bool(request)
            ),
            "training_flops": sum(flops),
            "training_flops_of_a_client": max(flops),
            "training_memory_bytes": 3 * sparse,
            "training_peak_bytes": self._training_peak(losses),
            "events": [e for e in server.events if e["round"] == server.round],
        }
        self.record["history"].append(row)
        task.advance(
            note=f"{result.text()}, density {row['density']:.3f}, "
            f"{row['bytes_down'] / 1e6:.2f} MB down, {row['bytes_up'] / 1e6:.2f} MB up"
        )

    def _score(self) -> Score:
        """Of the module as it is, on the test set."""
        server, threads = self.server, self.server.config.evaluation_threads
        if server.config.training_engine == "torch":
            return score(server.module, self.test, threads)
        if self.evaluation is None:
            self.evaluation = training_engine.Evaluation(
                server.module, self.test.input_shape, threads
            )
        self.evaluation.load(server.masks)
        return score(server.module, self.test, threads, self.evaluation)

    def _training_peak(self, clients: Iterable[int]) -> int:
        """The most memory that one of these clients' training takes, activations included."""
        server = self.server
        batch = max(server.batches.get(client, server.config.batch) for client in clients)
        parameters = {name: server.state[name] for name in server.parameters}
        momentum = server.config.momentum > 0
        return training_memory(self.layers, parameters, server.masks, batch, momentum).peak_bytes

    def _training_flops(self, method: Method, client: int, masks: Masks, asked: bool) -> float:
        config = self.server.config
        samples = len(self.parts.clients[client].train)
        dense, sparse = forward_flops(self.macs, {}), forward_flops(self.macs, masks)
        last = last_batch_size(samples, self.server.batches.get(client, config.batch))
        return method.training_flops(dense, sparse, samples * config.local_epochs, last, asked)

    def _check_fit(self) -> None:
        """Refuse a first model that fits no better later, unless it was chosen as it fits.

        Raises:
            DoesNotFitError: It exceeds a device's budget.
        """
        server = self.server
        final = not server.masks or density(server.masks) <= 1.01 * server.config.density
        if server.chosen is not None or not final:
            return
        why = server.misfit(server.masks)
        if why is not None:
            raise DoesNotFitError(f"the model that {server.config.method} starts with: {why}")

    def _divide_work(self) -> None:
        """Give the clients devices, if there are any, and work that their memory has room for."""
        server = self.server
        if not self.budgets:
            return
        self.work = local_work.divide(server, self.budgets)
        local_work.assign(server, self.work)
        for client, why in server.refused.items():
            server.event("client refused", client=client, why=why)

    def _record_initialization(self) -> None:
        server = self.server
        self.record["initialization"] = {
            "bytes_down": server.fleet.bytes_down,
            "bytes_up": server.fleet.bytes_up,
            "candidates": server.candidates,
            "chosen": server.chosen,
            "density": density(server.masks),
            "density_by_layer": density_by_layer(server.masks),
            "events": list(server.events),
        }
        if self.work:
            self.record["initialization"]["clients"] = local_work.to_record(self.work)

    def _save(self, method: Method) -> None:
        server = self.server
        if server.config.dp_noise is not None:
            self.record["privacy"] = server.spent.to_record()
        state = checkpoint.Checkpoint(
            server.round, server.state, server.masks, method.tensors, server.holds, self.record
        )
        checkpoint.save(self.folder.checkpoint, state, server.codec, self.fingerprint)
        write_csv(self.folder.history, self.record["history"])

    def _restore(self, start: checkpoint.Checkpoint, method: Method) -> None:
        server = self.server
        server.round, server.state, server.masks = start.round, start.state, start.masks
        server.holds = dict(start.holds)
        method.tensors = dict(start.method)
        self.record.update(start.record)
        if "privacy" in start.record:
            server.spent = privacy.Spent.from_record(start.record["privacy"])
        self.work = local_work.from_record(self.record["initialization"].get("clients", {}))
        if self.work:
            local_work.assign(server, self.work)


def _training_engine(
    config: TrainConfig, module: nn.Module, dataset: Dataset, progress: Progress
) -> str:
    """What computes updates: ``"sparse"`` or ``"torch"``.

    Raises:
        UsageError: The sparse step is wanted and not possible.
    """
    if config.training_engine == "torch":
        return "torch"
    why = training_engine.obstacle(module, dataset.input_shape)
    if why is None:
        return "sparse"
    if config.training_engine == "sparse":
        raise UsageError(f"--training-engine sparse is not possible here: {why}")
    progress.log(f"training is computed by torch, as the sparse step is not possible here: {why}")
    return "torch"


def _new_record(setting: Setting, data_sha256: str) -> dict[str, Any]:
    dataset, parts = setting.dataset, setting.parts
    options = asdict(setting.config).items()
    return {
        "schema_version": SCHEMA_VERSION,
        "versions": versions(),
        "config": {name: value for name, value in options if name not in PLAYS},
        "data": {
            "name": dataset.name,
            "sha256": data_sha256,
            "classes": list(dataset.classes),
            "public": len(parts.public),
            "test": len(parts.test),
            "clients": [
                {
                    "train": len(c.train),
                    "selection": len(c.selection),
                    "labels": _label_counts(dataset, c.train),
                }
                for c in parts.clients
            ],
        },
        "model": {"name": setting.architecture, "input_shape": list(dataset.input_shape)},
        "initialization": {},
        "history": [],
    }


def _label_counts(dataset: Dataset, indices: NDArray[np.int64]) -> list[int]:
    """How many of these samples have each label; known because clients are simulated."""
    counts = np.bincount(dataset.labels[indices], minlength=len(dataset.classes))
    return [int(count) for count in counts]


def _data_sha256(dataset: Dataset) -> str:
    digest = hashlib.sha256(f"{dataset.images.shape}{dataset.images.dtype}".encode())
    digest.update(dataset.images.tobytes())
    digest.update(dataset.labels.tobytes())
    if dataset.users is not None:
        digest.update(dataset.users.tobytes())
    return digest.hexdigest()


def _kept_if_equal(old: Masks, new: Masks) -> Masks:
    """The old object when nothing changed: then no positions travel."""
    return old if old.keys() == new.keys() and not _changes(old, new) else new


def _changes(old: Masks, new: Masks) -> int:
    return sum(int((old[name] ^ mask).sum()) for name, mask in new.items())
