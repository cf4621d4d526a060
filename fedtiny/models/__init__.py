"""The networks, and what of them may be pruned."""

from fedtiny.models.create import create, model_names
from fedtiny.models.prunable import Blocks, prunable_blocks

__all__ = ["Blocks", "create", "model_names", "prunable_blocks"]
