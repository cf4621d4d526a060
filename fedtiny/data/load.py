"""A dataset by name or by path."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import cast

from fedtiny import discovery
from fedtiny.data.dataset import Dataset
from fedtiny.data.idx import load_folder
from fedtiny.data.npz import load_npz

_SOURCES = "fedtiny.data.sources"


def dataset_names() -> tuple[str, ...]:
    """The named datasets."""
    return discovery.names(_SOURCES)


def load_dataset(name: str) -> Dataset:
    """Load a dataset.

    Args:
        name: One of `dataset_names()`, a `.npz` file (see `fedtiny.data.npz`), or a folder with
            the four IDX files of MNIST.

    Raises:
        UsageError: It is unknown, not installed, or damaged.
    """
    if name not in dataset_names():
        path = Path(name)
        if path.is_dir():
            return load_folder(name, path)
        if path.suffix == ".npz" or path.is_file():
            return load_npz(path)
    source = discovery.load(
        _SOURCES, "dataset", name, also=("a .npz file", "a folder of IDX files")
    )
    return cast(Callable[[], Dataset], source.load)()
