"""Fashion-MNIST: 60,000 training and 10,000 test images of clothing, 28 x 28, MIT licence.

Source: Xiao, Rasul, Vollgraf, "Fashion-MNIST: a Novel Image Dataset for Benchmarking Machine
Learning Algorithms", arXiv 1708.07747.
"""

from __future__ import annotations

from pathlib import Path

from fedtiny.data.dataset import Dataset
from fedtiny.data.idx import load_folder
from fedtiny.errors import UsageError

DEBIAN_FOLDER = Path("/usr/share/datasets/fashion-mnist")
CLASSES = (
    "t-shirt",
    "trouser",
    "pullover",
    "dress",
    "coat",
    "sandal",
    "shirt",
    "sneaker",
    "bag",
    "ankle-boot",
)


def load() -> Dataset:
    """Load it from the Debian package dataset-fashion-mnist.

    Raises:
        UsageError: The package is not installed, or its files are damaged.
    """
    if not DEBIAN_FOLDER.is_dir():
        raise UsageError(
            f"dataset 'fashion-mnist' is not installed: no folder {str(DEBIAN_FOLDER)!r} (Debian "
            "package dataset-fashion-mnist); a folder with the four IDX files works as --data too."
        )
    return load_folder("fashion-mnist", DEBIAN_FOLDER, CLASSES)
