"""Make the shipped part of Fashion-MNIST from the whole: `python -m fedtiny.data.make_mini DIR`.

Seeded, stratified by class; an image that occurs twice is taken once at most, so that none is in
both the training and the test part. Files keep the format of the original.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fedtiny.data.idx import write_idx
from fedtiny.data.sources import fashion_mnist

TRAINING, TEST = 7000, 2000
_SEED = 20170825  # the day Fashion-MNIST was published


def make(folder: Path) -> None:
    """Write the four IDX files.

    Raises:
        UsageError: The whole dataset is not installed.
    """
    whole = fashion_mnist.load()
    _, first = np.unique(whole.images.reshape(len(whole), -1), axis=0, return_index=True)
    rng = np.random.default_rng(_SEED)
    folder.mkdir(parents=True, exist_ok=True)
    for part, count, inside in (
        ("train", TRAINING, first < whole.test_from),
        ("t10k", TEST, first >= whole.test_from),
    ):
        indices = _stratified(np.sort(first[inside]), whole.labels, count, rng)
        write_idx(folder / f"{part}-images-idx3-ubyte.gz", whole.images[indices, 0].astype("u1"))
        write_idx(folder / f"{part}-labels-idx1-ubyte.gz", whole.labels[indices].astype("u1"))


def _stratified(
    candidates: npt.NDArray[np.int64],
    labels: npt.NDArray[np.int64],
    count: int,
    rng: np.random.Generator,
) -> npt.NDArray[np.int64]:
    classes = np.unique(labels)
    drawn = [
        rng.choice(candidates[labels[candidates] == c], count // len(classes), replace=False)
        for c in classes
    ]
    return rng.permutation(np.concatenate(drawn))


if __name__ == "__main__":
    make(Path(sys.argv[1]))
