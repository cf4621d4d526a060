"""What a run's options mean: who holds which samples, and which network they train."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import nn

from fedtiny.data import Dataset, Split, load_dataset, split
from fedtiny.errors import UsageError
from fedtiny.federated import privacy
from fedtiny.federated.client import OBSERVE
from fedtiny.federated.codec import StateCodec
from fedtiny.federated.config import TrainConfig
from fedtiny.federated.host import Host, client_message, setup_message
from fedtiny.federated.message import Message
from fedtiny.federated.objective import reconstructs
from fedtiny.models import create
from fedtiny.pruning.load import load_method
from fedtiny.pruning.masks import Masks


@dataclass(frozen=True)
class Setting:
    """The same on every machine that reads the same options and data.

    Attributes:
        config: The options.
        dataset: All samples.
        parts: Who holds which.
        architecture: Name of the network.
        observe: ``"module:function"`` that takes activation ranges on a client.
    """

    config: TrainConfig
    dataset: Dataset
    parts: Split
    architecture: str
    observe: str

    @staticmethod
    def of(config: TrainConfig, observe: str = OBSERVE) -> Setting:
        """Load the data and divide it.

        Raises:
            UsageError: Wrong data or model, or options that contradict each other.
        """
        dataset = load_dataset(config.data)
        parts = split(
            dataset,
            config.clients,
            config.alpha,
            config.seed,
            shards=config.shards,
            by_user=config.by_user,
        )
        if config.dp_noise is not None and not privacy.available():
            raise UsageError(
                "--dp-noise needs the accountant of Opacus: pip install 'fedtiny[privacy]'."
            )
        kind = load_method(config.method)
        if kind.own_masks and (config.aggregate != "mean" or config.clip_norm is not None):
            raise UsageError(
                f"--aggregate and --clip-norm compare clients weight by weight, but with --method "
                f"{config.method} each has its own; use --aggregate mean without --clip-norm."
            )
        architecture = kind.network(config, dataset.input_shape, len(dataset.classes))
        if len(dataset.classes) < 2 and not reconstructs(
            create(architecture, dataset.input_shape, len(dataset.classes))
        ):
            raise UsageError(
                f"dataset {config.data!r} has one class or no labels, and model {config.model!r} "
                "classifies; without labels an autoencoder can be trained."
            )
        return Setting(config, dataset, parts, architecture, observe)

    def network(self) -> nn.Module:
        """The network as it starts."""
        dataset = self.dataset
        return create(
            self.architecture, dataset.input_shape, len(dataset.classes), self.config.seed
        )

    def setup(self) -> Message:
        """What a host of clients needs to know."""
        dataset = self.dataset
        return setup_message(self.architecture, dataset.input_shape, dataset.classes, self.observe)

    def client(self, index: int, codec: StateCodec, masks: Masks | None = None) -> Message:
        """A client's samples, and the masks that it holds already."""
        share = self.parts.clients[index]
        train, selection = self.dataset.subset(share.train), self.dataset.subset(share.selection)
        return client_message(train, selection, codec, masks)

    def clients(self, codec: StateCodec, holds: Mapping[int, Masks]) -> dict[int, Message]:
        """All of them."""
        return {i: self.client(i, codec, holds.get(i)) for i in range(len(self.parts.clients))}

    def host(self, client: int) -> Host:
        """A host that plays one client, on its own machine."""
        host = Host(self.setup())
        host.add(client, self.client(client, StateCodec(self.network())))
        return host
