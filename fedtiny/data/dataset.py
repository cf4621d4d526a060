"""Labelled images in memory."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fedtiny.errors import UsageError


@dataclass(frozen=True)
class Dataset:
    """Labelled images; those from `test_from` on are the test set, which nothing ever trains on.

    Attributes:
        name: The name or path that it was loaded by.
        images: `(N, C, H, W)`, uint8 in 0..255, or float32 as the network takes it.
        labels: `(N,)` int64, indices into `classes`.
        classes: The names of the labels, in order.
        test_from: Index of the first test sample; `len(images)` when there is no test set.
        users: `(N,)` int64, who each sample is of; None where that is not known.
    """

    name: str
    images: npt.NDArray[np.uint8] | npt.NDArray[np.float32]
    labels: npt.NDArray[np.int64]
    classes: tuple[str, ...]
    test_from: int
    users: npt.NDArray[np.int64] | None = None

    def __post_init__(self) -> None:
        """Check shapes, types and ranges.

        Raises:
            UsageError: One of them is wrong.
        """

        def refuse(what: str) -> UsageError:
            return UsageError(f"dataset {self.name!r}: {what}.")

        images, labels = self.images, self.labels
        if images.ndim != 4 or images.dtype not in (np.uint8, np.float32):
            raise refuse(
                f"images are {images.dtype} {images.shape}; accepted is (N, C, H, W) in uint8 "
                "or float32"
            )
        if labels.dtype != np.int64 or labels.shape != (len(images),):
            raise refuse(
                f"labels are {labels.dtype} {labels.shape}; accepted is int64 ({len(images)},), "
                "one for each image"
            )
        users = self.users
        if users is not None and (users.dtype != np.int64 or users.shape != labels.shape):
            raise refuse(
                f"users are {users.dtype} {users.shape}; accepted is int64 ({len(images)},), one "
                "for each image"
            )
        if not len(images) or 0 in images.shape:
            raise refuse("it holds no images")
        if labels.min() < 0 or labels.max() >= len(self.classes):
            raise refuse(
                f"labels run from {labels.min()} to {labels.max()}; accepted is 0 to "
                f"{len(self.classes) - 1}, one for each class"
            )
        if images.dtype == np.float32 and not np.isfinite(images).all():
            raise refuse("images hold values that are not finite")
        if not 0 <= self.test_from <= len(images):
            raise refuse(f"test_from is {self.test_from}; accepted is 0 to {len(images)}")

    def __len__(self) -> int:
        return len(self.images)

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """`(C, H, W)` of one sample."""
        _, channels, height, width = self.images.shape
        return channels, height, width

    def network_input(self) -> npt.NDArray[np.float32]:
        """The images as a network takes them: `(N, C, H, W)`; uint8 becomes 0..1."""
        if self.images.dtype == np.uint8:
            return self.images.astype(np.float32) / np.float32(255)
        return self.images.astype(np.float32, copy=False)

    def subset(self, indices: npt.NDArray[np.int64]) -> Dataset:
        """The samples of these indices, in their order, as a dataset without a test set."""
        images, labels = self.images[indices], self.labels[indices]
        users = None if self.users is None else self.users[indices]
        return Dataset(self.name, images, labels, self.classes, len(images), users)

    def test(self) -> Dataset:
        """The test set.

        Raises:
            UsageError: There is none.
        """
        if self.test_from == len(self):
            raise UsageError(f"dataset {self.name!r} has no test set.")
        return self.subset(np.arange(self.test_from, len(self)))
