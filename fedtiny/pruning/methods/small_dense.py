"""A small dense model, the honest yardstick: as many parameters as the sparse one has active.

Its network is the wanted one with fewer channels in every layer (`fedtiny.models.width`); it is
pretrained and averaged like any other. Which small model is compared is our decision: papers use
one of their own for each network.
"""

from __future__ import annotations

from collections.abc import Sequence

from fedtiny.federated.config import TrainConfig
from fedtiny.models import create, prunable_blocks
from fedtiny.models.width import narrowed
from fedtiny.pruning import method
from fedtiny.pruning.masks import Masks


class Method(method.Method):
    """Dense averaging of a narrower network."""

    @classmethod
    def network(cls, config: TrainConfig, input_shape: Sequence[int], classes: int) -> str:
        """The widest network of no more parameters than the sparse one has active."""
        module = create(config.model, input_shape, classes)
        prunable = sum(
            module.get_parameter(name).numel()
            for block in prunable_blocks(module)
            for name in block
        )
        total = sum(parameter.numel() for parameter in module.parameters())
        active = total - prunable + round(config.density * prunable)
        return narrowed(config.model, input_shape, classes, active)

    def init(self) -> Masks:
        """Pretrain, and keep everything."""
        self.server.pretrain()
        return {}
