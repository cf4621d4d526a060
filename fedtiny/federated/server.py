"""The server: the global state, what each client holds, and questions to the fleet."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import torch
from torch import nn

from fedtiny.data import Dataset
from fedtiny.errors import RunnerError
from fedtiny.federated import batch_norm, local_training, privacy, robust
from fedtiny.federated.codec import FLOAT_BITS, StateCodec
from fedtiny.federated.config import TrainConfig
from fedtiny.federated.evaluation import channels_last
from fedtiny.federated.fleet import Fleet
from fedtiny.federated.message import Array, DamagedMessageError, Field, Message
from fedtiny.federated.seeds import generator
from fedtiny.models import prunable_blocks
from fedtiny.progress import SILENT, Progress
from fedtiny.pruning.masks import Masks, State, equal, masked

T = TypeVar("T")

Misfit = Callable[[Masks, State], str | None]
"""Why a model of these masks and weights does not fit the devices; None when it does."""


@dataclass(frozen=True)
class Answer(Generic[T]):
    """What a client answered, read and found sound."""

    client: int
    value: T


class Server:
    """What server-side code works with.

    Attributes:
        config: The run's options.
        module: The network, to compute with; its weights mean nothing between calls.
        codec: Packs its states.
        blocks: Its prunable parameters, in the order of progressive pruning.
        parameters: Names of all its parameters.
        public: The server's own data.
        fleet: The clients.
        samples: By client, how many samples it registered with, where that is known.
        state: The global state.
        masks: The global masks; empty when dense.
        holds: By client, the masks it is known to hold.
        value_bits: Of a weight that travels.
        batches: By client, the largest batch that its memory has room for; `config.batch` where
            it is not here.
        refused: By client, why it cannot train.
        spent: What clients of a private run have revealed.
        withheld: By client, samples and loss of those that trained last and sent no weights.
        round: The current one, from 1; 0 before the first.
        events: What went wrong or changed, in order.
        candidates: Of adaptive batch-normalization selection: loss and densities of each.
        chosen: Index of the chosen candidate; None where there was no choice.
        progress: Where to report long work.
    """

    def __init__(
        self,
        config: TrainConfig,
        module: nn.Module,
        public: Dataset,
        fleet: Fleet,
        misfit: Misfit | None = None,
        progress: Progress = SILENT,
        samples: Mapping[int, int] | None = None,
    ) -> None:
        self.config, self.public, self.fleet = config, public, fleet
        self.module = channels_last(module)
        self.codec = StateCodec(module)
        self.blocks = prunable_blocks(module)
        self.parameters = tuple(name for name, _ in module.named_parameters())
        self.samples = dict(samples or {})
        self.state: State = snapshot(module)
        self.masks: Masks = {}
        self.holds: dict[int, Masks] = {}
        self.value_bits = FLOAT_BITS
        self.batches: dict[int, int] = {}
        self.refused: dict[int, str] = {}
        self.spent = privacy.Spent()
        self.withheld: dict[int, tuple[int, float]] = {}
        self.round = 0
        self.events: list[dict[str, Any]] = []
        self.candidates: list[dict[str, Any]] = []
        self.chosen: int | None = None
        self.progress = progress
        self._misfit = misfit

    def pretrain(self) -> None:
        """Train the dense state on the public data."""
        config = self.config
        if not config.pretrain_epochs:
            return
        recipe = local_training.Recipe(
            config.pretrain_epochs, config.batch, config.lr, config.momentum, config.weight_decay,
            engine=config.training_engine,
        )  # fmt: skip
        self.module.load_state_dict(self.state)
        rng = generator(config.seed, "pretrain")
        with self.progress.task("pretraining", config.pretrain_epochs) as task:
            local_training.train(
                self.module, {}, self.public, recipe, rng, after_epoch=task.advance
            )
        self.state = snapshot(self.module)

    def misfit(self, masks: Masks) -> str | None:
        """Why the current state under these masks does not fit the devices; None when it does."""
        return self._misfit(masks, masked(self.state, masks)) if self._misfit else None

    def cohort(self, round_: int) -> list[int]:
        """The clients of a round, ascending; those that cannot train are not drawn."""
        rng = generator(self.config.seed, "cohort", round_)
        able = [client for client in range(self.config.clients) if client not in self.refused]
        drawn = rng.choice(able, min(self.config.cohort_size, len(able)), replace=False)
        return sorted(int(client) for client in drawn)

    def event(self, what: str, **details: Any) -> None:
        """Record something that a reader of the run should know."""
        self.events.append({"round": self.round, "what": what, **details})

    def ask(
        self,
        clients: Sequence[int],
        task: Callable[[int], Message],
        read: Callable[[int, Message], T],
    ) -> list[Answer[T]]:
        """Ask clients, leaving out those whose answers fail or are not sound.

        Args:
            clients: Who.
            task: The message for each.
            read: Checks and reads a client's reply; raises DamagedMessageError when it is not
                sound.

        Returns:
            The sound answers, in the clients' order.

        Raises:
            RunnerError: No client answered soundly.
        """
        answers, kind = [], ""
        private = privacy.asked(self.config)

        def guarded(client: int) -> Message:
            message = task(client)
            if private:
                self.spent.ask(client, message)
            return Message(message.kind, {**message.fields, **private}, message.arrays)

        for reply in self.fleet.ask(clients, guarded if private else task):
            why = reply.why
            if reply.message is not None:
                try:
                    answers.append(Answer(reply.client, read(reply.client, reply.message)))
                    continue
                except DamagedMessageError as error:
                    why = str(error)
            kind = kind or task(reply.client).kind
            self.drop(reply.client, kind, why)
        if not answers:
            raise self.nobody(kind)
        return answers

    def drop(self, client: int, kind: str, why: str) -> None:
        """Leave a client out; it is sent whole masks the next time."""
        self.holds.pop(client, None)
        self.event("client dropped", client=client, task=kind, why=why)

    def nobody(self, kind: str) -> RunnerError:
        """The error that everybody asked was dropped."""
        why = self.events[-1]["why"]
        return RunnerError(f"round {self.round}: no client answered ({kind}): {why}.")

    def ask_with_weights(
        self,
        clients: Sequence[int],
        message: Callable[[int], Message],
        sent: Callable[[int], tuple[State, Masks]],
        read: Callable[[int, Message], T],
    ) -> list[Answer[T]]:
        """The same, with a state: active weights travel, and positions that a client lacks.

        Args:
            clients: Who.
            message: What to ask each client, without the state.
            sent: The values for each client, and its masks.
            read: See `ask`.
        """
        packed: list[tuple[State, Masks, dict[str, Array]]] = []

        def task(client: int) -> Message:
            state, masks = sent(client)
            asked = message(client)
            fields: dict[str, Field] = {**asked.fields, "dense": int(not masks)}
            if self.value_bits < FLOAT_BITS:
                fields["bits"] = self.value_bits
            values = next((v for s, m, v in packed if s is state and m is masks), None)
            if values is None:
                values = self.codec.to_arrays(state, masks, self.value_bits)
                packed.append((state, masks, values))
            arrays: dict[str, Array] = {**asked.arrays, **values}
            known = self.holds.get(client) or None
            if masks and not equal(known, masks):
                fields["whole"] = int(known is None)
                arrays["mask"] = self.codec.pack_masks(masks, known)
            return Message(asked.kind, fields, arrays)

        answers = self.ask(clients, task, read)
        self.holds.update({answer.client: sent(answer.client)[1] for answer in answers})
        return answers

    def pooled_statistics(
        self, clients: Sequence[int], state: State, masks: Masks
    ) -> batch_norm.Statistics:
        """Batch-normalization statistics of a state over the clients' data together."""

        def read(_: int, reply: Message) -> batch_norm.Statistics:
            return batch_norm.Statistics.of(reply, self.module)

        message = Message("statistics", {"batch": self.config.batch})
        answers = self.ask_with_weights(clients, lambda _: message, lambda _: (state, masks), read)
        return batch_norm.pool(self.module, [answer.value for answer in answers])

    def aggregate(self, states: Sequence[State], samples: Sequence[int]) -> State:
        """One state of all, as the options `aggregate` and `clip_norm` say.

        Args:
            states: Of equal masks; one a client, at least one.
            samples: What each was trained on.
        """
        config = self.config
        if config.clip_norm is not None and config.dp_noise is None:  # else clients clip
            states = [robust.clip(s, self.state, self.parameters, config.clip_norm) for s in states]
        if config.aggregate == "mean":
            return self.average(states, samples)
        return robust.combine(config.aggregate, states, list(self.codec.shapes))

    def average(self, states: Sequence[State], samples: Sequence[int]) -> State:
        """Average by samples; batch-normalization statistics are pooled.

        Args:
            states: One a client, at least one.
            samples: What each was trained on.
        """
        total = sum(samples)
        result = dict(states[0])
        for name in self.codec.shapes:
            terms = (s[name].double() * (n / total) for s, n in zip(states, samples, strict=True))
            result[name] = torch.stack(list(terms)).sum(0).float()
        parts = [
            batch_norm.Statistics.of_state(state, self.module, n)
            for state, n in zip(states, samples, strict=True)
        ]
        return batch_norm.pool(self.module, parts).put(result, self.module)


def snapshot(module: nn.Module) -> State:
    """A module's state, copied, contiguous."""
    return {
        name: value.detach().clone(memory_format=torch.contiguous_format)
        for name, value in module.state_dict().items()
    }
