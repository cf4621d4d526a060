"""After the last round: final statistics, accuracy of every client, activation histograms."""

from __future__ import annotations

import statistics
from dataclasses import asdict
from typing import Any

import torch

from fedtiny.compiler.calibration import Histograms, choose_ranges, merge
from fedtiny.data import Dataset
from fedtiny.federated import batch_norm, histograms
from fedtiny.federated.accounting import layer_macs, state_bytes
from fedtiny.federated.client import Client, calibrate_task
from fedtiny.federated.evaluation import Score, read_score, score
from fedtiny.federated.message import Message
from fedtiny.federated.server import Server
from fedtiny.federated.training_memory import TrainingMemory, trace_layers, training_memory
from fedtiny.progress import Task
from fedtiny.pruning.masks import density
from fedtiny.pruning.method import Method
from fedtiny.sparse_model import Provenance, SparseModel

_SAMPLES = 64
"""Of the server's own data, kept in the model for correcting biases when it is quantized."""


def finish(
    server: Server,
    method: Method,
    dataset: Dataset,
    record: dict[str, Any],
    task: Task,
    observe: str,
) -> SparseModel:
    """Take final batch-normalization statistics and activation histograms from all clients.

    Args:
        server: After its last round.
        method: May add to the results.
        dataset: For its test set, shape and classes.
        record: Of the run; ``"model"`` and ``"final"`` are filled in.
        task: Where to report; two steps.
        observe: ``"module:function"`` that takes activation histograms.

    Raises:
        RunnerError: No client answers.
    """
    config, everyone = server.config, range(server.config.clients)
    down, up, events = server.fleet.bytes_down, server.fleet.bytes_up, len(server.events)
    pooled = server.pooled_statistics(everyone, server.state, server.masks)
    server.state = pooled.put(server.state, server.module)
    scores = _scores_by_client(server, pooled)
    task.advance()
    # Least and greatest values of private data cannot be hidden; the server has data of its own.
    private = config.dp_noise is not None
    observed = public_histograms(server, observe) if private else federated_histograms(server)
    task.advance()
    server.module.load_state_dict(server.state)
    test = score(server.module, dataset.test(), config.evaluation_threads)
    reconstructed = test.accuracy is None
    values = {
        str(client): score.loss if score.accuracy is None else score.accuracy
        for client, score in scores.items()
    }
    macs = layer_macs(server.module, dataset.input_shape)
    parameters = sum(p.numel() for p in server.module.parameters())
    inactive = sum(int((~mask).sum()) for mask in server.masks.values())
    record["model"] |= {
        "parameters": parameters,
        "parameters_nonzero": parameters - inactive,
        "density": density(server.masks),
        "macs": sum(macs.values()),
        "storage_bytes": state_bytes(server.state, server.masks),
        "storage_bytes_bitmap": state_bytes(server.state, server.masks, "bitmap"),
        "storage_bytes_dense": state_bytes(server.state, {}),
        "training_memory": asdict(_memory(server)),
    }
    why = server.misfit(server.masks)
    if why is not None:
        server.event("model does not fit", why=why)
    if config.dp_noise is not None:
        record["privacy"] = server.spent.report(config)
    record["final"] = {**method.final()} | {
        "accuracy": test.accuracy,
        "auc": test.auc,
        "loss": test.loss,
        "clients": {
            "loss" if reconstructed else "accuracy": values,
            "mean": statistics.fmean(values.values()),
            "worst": (max if reconstructed else min)(values.values()),
            "spread": statistics.pstdev(values.values()),
        },
        "bytes_down": server.fleet.bytes_down - down,
        "bytes_up": server.fleet.bytes_up - up,
        "events": server.events[events:],
    }
    return SparseModel(
        architecture=record["model"]["name"],
        input_shape=dataset.input_shape,
        classes=dataset.classes,
        state=server.state,
        masks=server.masks,
        provenance=Provenance(
            config.method, config.data, config.density, config.rounds, config.seed
        ),
        ranges=choose_ranges(observed),
        samples=torch.from_numpy(server.public.images[:_SAMPLES].copy()),
        histograms={name: seen for name, seen in observed.items() if len(seen.counts)},
    )


def public_histograms(server: Server, observe: str) -> Histograms:
    """What activations are over the server's own data."""
    server.module.load_state_dict(server.state)
    public = server.public
    own = Client(-1, server.module, server.codec, public, public, observe, server.masks)
    own.values = server.codec.pack(server.state, server.masks)
    return merge([histograms.unpack(calibrate_task(own, Message("calibrate")))])


def _memory(server: Server) -> TrainingMemory:
    """What training the final model takes at the run's batch size."""
    config = server.config
    return training_memory(
        trace_layers(server.module, server.public.input_shape),
        {name: server.state[name] for name in server.parameters},
        server.masks,
        config.batch,
        config.momentum > 0,
    )


def federated_histograms(server: Server) -> Histograms:
    """What activations are over all clients' data, of the state that they hold.

    Each answer is united with those before it as it is read, so that memory does not grow with the
    number of clients.
    """
    message, total = Message("calibrate"), Histograms()

    def unite(_: int, reply: Message) -> None:
        total.update(merge([total, histograms.unpack(reply)]))

    server.ask(range(server.config.clients), lambda _: message, unite)
    return total


def _scores_by_client(server: Server, pooled: batch_norm.Statistics) -> dict[int, Score]:
    """On their held-out samples."""

    message = Message("evaluate", arrays=pooled.arrays())
    everyone = range(server.config.clients)
    answers = server.ask(everyone, lambda _: message, lambda _, reply: read_score(reply))
    return {answer.client: answer.value for answer in answers}
