"""The part of Fashion-MNIST that ships with the package: 7,000 training, 2,000 test images."""

from __future__ import annotations

from importlib import resources

from fedtiny.data.dataset import Dataset
from fedtiny.data.idx import load_folder
from fedtiny.data.sources.fashion_mnist import CLASSES


def load() -> Dataset:
    """Load it.

    Raises:
        UsageError: The installed files are damaged.
    """
    with resources.as_file(resources.files("fedtiny.data") / "fashion_mnist_mini") as folder:
        return load_folder("fashion-mnist-mini", folder, CLASSES)
