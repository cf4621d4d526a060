"""SVHN's cropped digits: `train_32x32.mat` and `test_32x32.mat`.

Source: Netzer et al., "Reading Digits in Natural Images with Unsupervised Feature Learning", 2011.
The published label of the digit 0 is 10.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from fedtiny.data.dataset import Dataset
from fedtiny.errors import UsageError

TRAIN, TEST = "train_32x32.mat", "test_32x32.mat"


def load_svhn(folder: Path) -> Dataset:
    """Load both files.

    Raises:
        UsageError: One is missing or damaged.
    """
    (x, y), (x_test, y_test) = _read(folder / TRAIN), _read(folder / TEST)
    if x.shape[1:] != x_test.shape[1:]:
        raise UsageError(f"folder {str(folder)!r}: {TRAIN} and {TEST} differ in image size.")
    images, labels = np.concatenate([x, x_test]), np.concatenate([y, y_test])
    return Dataset(str(folder), images, labels, tuple(map(str, range(10))), len(x))


def _read(path: Path) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    from scipy.io import loadmat

    try:
        content = loadmat(path, variable_names=("X", "y"))
        x, y = content["X"], content["y"].reshape(-1)
    except Exception as error:  # a damaged file may raise anything
        raise UsageError(f"cannot read SVHN file {str(path)!r}: {error}.") from error
    if x.dtype != np.uint8 or x.ndim != 4 or x.shape[2:] != (3, len(y)):
        raise UsageError(
            f"SVHN file {str(path)!r}: X is {x.dtype} {x.shape} for {len(y)} labels; accepted is "
            "uint8 (H, W, 3, N)."
        )
    labels = np.where(y == 10, 0, y).astype(np.int64)
    return np.ascontiguousarray(x.transpose(3, 2, 0, 1)), labels
