"""A user's own images: one `.npz` file.

Keys: `x` and `y` (a fixed fifth becomes the test set), or `x_train`, `y_train`, `x_test` and
`y_test`; optional are `classes`, the label names, and `user` (or `user_train`), who each sample is
of, as integers or texts. Images are `(N, H, W)`, `(N, C, H, W)` or
`(N, H, W, C)` with C of 1 or 3, in uint8 or floating point; labels are integers.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fedtiny.arrays import Array, read_arrays
from fedtiny.data.dataset import Dataset
from fedtiny.errors import UsageError

_MAX_CLASSES = 1 << 16
_TEST_FRACTION = 5
_SHUFFLE_SEED = 0  # fixed, so that the test set does not move with the seed of a run


def load_npz(path: Path) -> Dataset:
    """Load a dataset; nothing in the file is executed.

    Raises:
        UsageError: It is missing or damaged, a key is missing, or a shape is wrong.
    """
    try:
        arrays = read_arrays(path)
    except OSError as error:
        raise UsageError(f"cannot read dataset {str(path)!r}: {error.strerror}.") from error
    except ValueError as error:
        raise UsageError(
            f"cannot read dataset {str(path)!r}: {error}; accepted is .npz with x and y."
        ) from error
    if "x_train" in arrays:
        x = [_images(path, arrays, key) for key in ("x_train", "x_test")]
        if "y_train" in arrays:
            _get(path, arrays, "y_test")
        y = [
            _labels(path, arrays, key, len(part))
            for key, part in zip(("y_train", "y_test"), x, strict=True)
        ]
        if x[0].shape[1:] != x[1].shape[1:]:
            raise UsageError(f"dataset {str(path)!r}: x_train and x_test differ in image shape.")
        if any(len(a) != len(b) for a, b in zip(x, y, strict=True)):
            raise UsageError(f"dataset {str(path)!r}: images and labels differ in number.")
        images: npt.NDArray[Any] = np.concatenate(x)
        labels, test_from = np.concatenate(y), len(x[0])
        users = _users(path, arrays, "user_train", test_from)
        if users is not None:
            users = np.concatenate([users, np.full(len(x[1]), -1)])
    else:
        images = _images(path, arrays, "x")
        labels = _labels(path, arrays, "y", len(images))
        if len(images) != len(labels):
            raise UsageError(f"dataset {str(path)!r}: {len(images)} images, {len(labels)} labels.")
        users = _users(path, arrays, "user", len(images))
        order = np.random.default_rng(_SHUFFLE_SEED).permutation(len(images))
        images, labels = images[order], labels[order]
        users = None if users is None else users[order]
        test_from = len(images) - len(images) // _TEST_FRACTION
    if "classes" in arrays:
        classes = tuple(str(name) for name in arrays["classes"].reshape(-1))
    else:
        last = int(labels.max(initial=0))
        if last >= _MAX_CLASSES:
            raise UsageError(
                f"dataset {str(path)!r}: a label is {last}; accepted is 0 to {_MAX_CLASSES - 1}."
            )
        classes = tuple(str(i) for i in range(last + 1))
    return Dataset(str(path), images, labels, classes, test_from, users)


def _get(path: Path, arrays: dict[str, Array], key: str) -> Array:
    if key not in arrays:
        raise UsageError(
            f"dataset {str(path)!r} has no array {key!r}; accepted are x and, unless an "
            f"autoencoder is trained, y; or x_train, y_train, x_test and y_test (found: "
            f"{', '.join(sorted(arrays)) or 'none'})."
        )
    return arrays[key]


def _images(path: Path, arrays: dict[str, Array], key: str) -> npt.NDArray[Any]:
    x = _get(path, arrays, key)
    if x.ndim == 3:
        x = x[:, np.newaxis]
    elif x.ndim == 4 and x.shape[3] in (1, 3) and x.shape[1] not in (1, 3):
        x = np.ascontiguousarray(x.transpose(0, 3, 1, 2))
    if x.ndim != 4:
        raise UsageError(
            f"dataset {str(path)!r}: {key} has shape {x.shape}; accepted is (N, H, W), "
            "(N, C, H, W) or (N, H, W, C)."
        )
    if x.dtype == np.uint8:
        return x.astype(np.uint8)
    if not np.issubdtype(x.dtype, np.floating):
        raise UsageError(
            f"dataset {str(path)!r}: {key} is {x.dtype}; accepted is uint8 or floating point."
        )
    return x.astype(np.float32)


def _labels(path: Path, arrays: dict[str, Array], key: str, count: int) -> npt.NDArray[np.int64]:
    """The labels; one class for all where there are none, which is enough for an autoencoder."""
    if key not in arrays:
        return np.zeros(count, np.int64)
    y = arrays[key]
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if y.ndim != 1 or not np.issubdtype(y.dtype, np.integer):
        raise UsageError(
            f"dataset {str(path)!r}: {key} is {y.dtype} of shape {y.shape}; accepted is (N,) "
            "integers."
        )
    return y.astype(np.int64)


def _users(
    path: Path, arrays: dict[str, Array], key: str, count: int
) -> npt.NDArray[np.int64] | None:
    """Numbers of the users, in the order of their names; None where there are none."""
    if key not in arrays:
        return None
    names = arrays[key]
    if names.shape != (count,) or names.dtype.kind not in "iuU":
        raise UsageError(
            f"dataset {str(path)!r}: {key} is {names.dtype} {names.shape}; accepted is ({count},) "
            "integers or texts."
        )
    return np.unique(names, return_inverse=True)[1].astype(np.int64)
