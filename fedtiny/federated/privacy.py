"""Differential privacy of a client: clipping and Gaussian noise before a message leaves it.

What is protected is everything that one client holds, against everybody, the server included:
each client adds the noise itself. Every number of an answer that depends on private data belongs
to a vector that is clipped to a known length and gets noise of `noise` times that length on every
coordinate; replacing a client's data moves such a vector by twice its length at most, so that it
is a Gaussian mechanism of noise multiplier `noise / 2`. Mechanisms are composed over all that a
client was asked, by Rényi differential privacy, without amplification by sampling. How many
samples a client has is taken as known.

Source: McMahan et al., "Learning Differentially Private Recurrent Language Models", arXiv
1710.06963 (clipped updates of a client); Mironov, "Rényi Differential Privacy", arXiv 1702.07476;
the accountant is Opacus'. Noise on the client, and bounds on losses, are decisions of this
project. The noise of simulated clients comes from the run's seed, so that runs can be repeated.
"""

from __future__ import annotations

import importlib.util
import math
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fedtiny.federated.batch_norm import Statistics
from fedtiny.federated.codec import FLOAT_BITS
from fedtiny.federated.message import Array, Field, Message
from fedtiny.federated.seeds import generator

if TYPE_CHECKING:
    from fedtiny.federated.client import Client
    from fedtiny.federated.config import TrainConfig
    from fedtiny.pruning.method import Method

MOST_LOSS = 10.0
"""Losses are sent as if they were no larger."""

MECHANISMS = {"train": 2, "statistics": 1, "evaluate": 2, "validate": 2}
"""Gaussian mechanisms in the answer to a question of each kind."""


def available() -> bool:
    """Whether the accountant is installed."""
    return importlib.util.find_spec("opacus") is not None


def asked(config: TrainConfig) -> dict[str, Field]:
    """What every question of a private run carries beside the rest; empty for a plain run."""
    if config.dp_noise is None or config.clip_norm is None:
        return {}
    return {"dp.noise": config.dp_noise, "dp.clip": config.clip_norm, "dp.seed": config.seed}


def privatized(client: Client, request: Message, question: str, reply: Message) -> Message:
    """An answer with noise, where the request wants it; as it was, where not.

    Args:
        client: Who answers.
        request: What it was asked.
        question: Names the request; equal questions get equal noise.
        reply: What it would answer. Arrays that a method asks for stay as they are, which
            `Spent.uncovered` says.
    """
    if "dp.noise" not in request.fields or reply.kind == "ranges":
        return reply
    if reply.kind == "error":  # its text may quote data
        return Message("error", {"why": str(reply.fields["why"]).partition(":")[0]})
    noise, clip = request.number("dp.noise"), request.number("dp.clip")
    seed = int(request.number("dp.seed"))
    rng = generator(seed, "privacy", client.index, zlib.crc32(question.encode()))
    fields, arrays = dict(reply.fields), dict(reply.arrays)

    def noised(vector: npt.NDArray[np.float64], length: float) -> npt.NDArray[np.float64]:
        norm = float(np.linalg.norm(vector))
        short = vector * min(1.0, length / norm) if norm else vector
        return np.asarray(short + rng.normal(0, noise * length, vector.shape))

    def bounded(value: float, most: float) -> float:
        """A number of 0 to `most`, with noise, cut to that again."""
        middle = most / 2
        vector = np.array([min(value, most) - middle])
        return float(np.clip(noised(vector, middle)[0] + middle, 0, most))

    if "loss" in fields:
        fields["loss"] = bounded(reply.number("loss"), MOST_LOSS)
    if "correct" in fields:
        samples = reply.number("samples")
        fields["correct"] = round(bounded(reply.number("correct") / samples, 1.0) * samples)
    if reply.kind == "trained" and "values" in arrays and "codes" not in arrays:
        sent = request.array("values", np.float32, arrays["values"].shape)
        arrays["values"] = sent + noised(_difference(arrays["values"], sent), clip).astype("f4")
        arrays["values"] = client.codec.with_sound_variances(arrays["values"], client.masks or {})
    if reply.kind == "statistics":
        bits = int(request.fields.get("bits", FLOAT_BITS))  # type: ignore[arg-type]
        state = client.codec.from_arrays(request, client.masks or {}, bits)
        sent_ = Statistics.of_state(state, client.module, 1)
        have = np.concatenate([arrays["mean"], arrays["variance"]])
        base = np.concatenate([sent_.mean, sent_.variance])
        near = (base + noised(_difference(have, base), clip)).astype(np.float32)
        arrays["mean"], arrays["variance"] = np.split(near, 2)
        arrays["variance"] = arrays["variance"].clip(min=0)
    return Message(reply.kind, fields, arrays)


def _difference(have: Array, base: Array) -> npt.NDArray[np.float64]:
    return np.asarray(have.astype(np.float64) - base.astype(np.float64))


@dataclass
class Spent:
    """What clients have revealed so far.

    Attributes:
        mechanisms: By client, Gaussian mechanisms that it answered or may have answered.
        uncovered: What clients were asked for that carries no noise.
    """

    mechanisms: dict[int, int] = field(default_factory=dict)
    uncovered: set[str] = field(default_factory=set)

    def ask(self, client: int, message: Message) -> None:
        """Count a question, whether or not an answer comes."""
        count = MECHANISMS.get(message.kind)
        if count is None:
            self.uncovered.add(f"answers to {message.kind!r}")
        self.mechanisms[client] = self.mechanisms.get(client, 0) + (count or 0)
        if any(name.startswith("ask.") for name in message.fields):
            self.uncovered.add(f"what method {message.fields['method']!r} asks for beside weights")

    def of_method(self, method: Method) -> None:
        """Note what its clients send, or do not send, without noise."""
        if method.own_masks:
            self.uncovered.add("masks of the clients' own")
        if method.may_withhold:
            self.uncovered.add("whether a client sends its weights")
        if "codes" in method.server.codec.to_arrays(
            method.server.state, method.server.masks, method.value_bits
        ):
            self.uncovered.add("weights of 8 bits")

    def report(self, config: TrainConfig) -> dict[str, Any]:
        """For run.json: ε of the client that revealed most, or why there is none."""
        assert config.dp_noise is not None
        most = max(self.mechanisms.values(), default=0)
        result: dict[str, Any] = {
            "protects": "all data of a client, from everybody",
            "noise": config.dp_noise,
            "clip_norm": config.clip_norm,
            "delta": config.dp_delta,
            "mechanisms": most,
            "epsilon": None,
        }
        if self.uncovered:
            return result | {"why": "not covered by noise: " + ", ".join(sorted(self.uncovered))}
        value = epsilon(config.dp_noise / 2, most, config.dp_delta)
        return result | {"epsilon": value if math.isfinite(value) else None}

    def to_record(self) -> dict[str, Any]:
        """For a checkpoint."""
        spent = {str(client): count for client, count in sorted(self.mechanisms.items())}
        return {"mechanisms": spent, "uncovered": sorted(self.uncovered)}

    @staticmethod
    def from_record(record: Mapping[str, Any]) -> Spent:
        """The exact inverse of `to_record`."""
        return Spent({int(c): n for c, n in record["mechanisms"].items()}, set(record["uncovered"]))


def epsilon(multiplier: float, mechanisms: int, delta: float) -> float:
    """ε at δ of so many Gaussian mechanisms in a row.

    Args:
        multiplier: Standard deviation of the noise over the sensitivity.
        mechanisms: How many.
        delta: δ.
    """
    from opacus.accountants import RDPAccountant
    from opacus.accountants.analysis import rdp

    if not mechanisms:
        return 0.0
    orders = list(RDPAccountant.DEFAULT_ALPHAS)
    spent = rdp.compute_rdp(q=1.0, noise_multiplier=multiplier, steps=mechanisms, orders=orders)
    found, _ = rdp.get_privacy_spent(orders=orders, rdp=spent, delta=delta)
    return float(found)
