"""Dense federated averaging, the yardstick: nothing is pruned.

Source: McMahan et al., "Communication-Efficient Learning of Deep Networks from Decentralized
Data", arXiv 1602.05629. It starts from the same weights, pretrained on the server's public data, as
the other methods, so that they differ by pruning only.
"""

from __future__ import annotations

from fedtiny.pruning import method
from fedtiny.pruning.masks import Masks


class Method(method.Method):
    """No masks at all."""

    def init(self) -> Masks:
        """Pretrain, and keep everything."""
        self.server.pretrain()
        return {}
