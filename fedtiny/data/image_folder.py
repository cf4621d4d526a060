"""A folder of labelled PNG images, one folder a class; CINIC-10 is one.

Either `train/CLASS/*.png` and `test/CLASS/*.png`, where an optional `valid/` joins the training
part, or `CLASS/*.png`, of which a fixed fifth becomes the test set. All images are of one size.

Source: CINIC-10's layout: Darlow et al., "CINIC-10 Is Not ImageNet or CIFAR-10", arXiv 1810.03505.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from fedtiny.data.dataset import Dataset
from fedtiny.data.png import read_png
from fedtiny.errors import UsageError

_TEST_FRACTION = 5
_SHUFFLE_SEED = 0  # fixed, so that the test set does not move with the seed of a run


def holds_images(folder: Path) -> bool:
    """Whether a folder has one of the two layouts."""
    return next(folder.glob("*/*.png"), next(folder.glob("*/*/*.png"), None)) is not None


def load_image_folder(folder: Path) -> Dataset:
    """Load all images; classes are named after their folders, in alphabetical order.

    Raises:
        UsageError: An image cannot be read or is of another size, or classes differ.
    """
    if (folder / "train").is_dir() and (folder / "test").is_dir():
        parts = [p for p in ("train", "valid", "test") if (folder / p).is_dir()]
        files = [_files(folder / part) for part in parts]
        test_from = sum(len(found) for part in files[:-1] for found in part.values())
    else:
        files = [_files(folder)]
        test_from = None
    classes = tuple(files[0])
    for part in files:
        if tuple(part) != classes:
            raise UsageError(
                f"folder {str(folder)!r}: its parts have different classes "
                f"({', '.join(part)}, and {', '.join(classes)})."
            )
    paths = [(path, classes.index(c)) for part in files for c in part for path in part[c]]
    images, labels = _read([path for path, _ in paths]), np.array([label for _, label in paths])
    if test_from is None:
        order = np.random.default_rng(_SHUFFLE_SEED).permutation(len(images))
        images, labels = images[order], labels[order]
        test_from = len(images) - len(images) // _TEST_FRACTION
    return Dataset(str(folder), images, labels.astype(np.int64), classes, test_from)


def _files(folder: Path) -> dict[str, list[Path]]:
    classes = sorted(path for path in folder.iterdir() if path.is_dir())
    return {path.name: sorted(path.glob("*.png")) for path in classes}


def _read(paths: list[Path]) -> npt.NDArray[np.uint8]:
    first = read_png(paths[0])
    images = np.empty((len(paths), *first.shape), np.uint8)
    for at, path in enumerate(paths):
        image = read_png(path)
        if image.shape != first.shape:
            raise UsageError(
                f"image {str(path)!r} is {image.shape}, {str(paths[0])!r} is {first.shape}; "
                "accepted are images of one size and depth."
            )
        images[at] = image
    return images
