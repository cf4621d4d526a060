"""FedTiny: federated pruning, a compiler for sparse networks, and a runtime that proves them.

The Python interface is `train`, `load`, `curve`, `export`, `verify`, `bench` and `deployed`;
everything is imported when it is first used.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fedtiny.api import bench, curve, deployed, export, load, train, verify

__all__ = ["bench", "curve", "deployed", "export", "load", "train", "verify"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        from fedtiny import api

        return getattr(api, name)
    raise AttributeError(f"module 'fedtiny' has no attribute {name!r}")
