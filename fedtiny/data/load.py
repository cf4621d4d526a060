"""A dataset by name or by path."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import cast

from fedtiny import discovery
from fedtiny.data.cifar import holds_cifar, load_cifar
from fedtiny.data.dataset import Dataset
from fedtiny.data.idx import load_folder
from fedtiny.data.image_folder import holds_images, load_image_folder
from fedtiny.data.npz import load_npz
from fedtiny.data.svhn import TRAIN, load_svhn

_SOURCES = "fedtiny.data.sources"


def dataset_names() -> tuple[str, ...]:
    """The named datasets."""
    return discovery.names(_SOURCES)


def load_dataset(name: str) -> Dataset:
    """Load a dataset.

    Args:
        name: One of `dataset_names()`, a `.npz` file (see `fedtiny.data.npz`), or a folder: of
            CIFAR-10 or CIFAR-100 as published (Python or binary), of SVHN's two .mat files, of
            labelled PNG images (CINIC-10 is one; see `fedtiny.data.image_folder`), or of the four
            IDX files of MNIST.

    Raises:
        UsageError: It is unknown, not installed, or damaged.
    """
    if name not in dataset_names():
        path = Path(name)
        if path.is_dir():
            return _load_folder(path)
        if path.suffix == ".npz" or path.is_file():
            return load_npz(path)
    source = discovery.load(
        _SOURCES, "dataset", name, also=("a .npz file", "a folder of IDX, CIFAR, SVHN or PNG files")
    )
    return cast(Callable[[], Dataset], source.load)()


def _load_folder(path: Path) -> Dataset:
    if holds_cifar(path):
        return load_cifar(path)
    if (path / TRAIN).is_file():
        return load_svhn(path)
    if holds_images(path):
        return load_image_folder(path)
    return load_folder(str(path), path)
