"""Datasets by name and by path; damage is named."""

import gzip
from pathlib import Path

import numpy as np
import pytest

from fedtiny.data import Dataset, dataset_names, load_dataset
from fedtiny.data.idx import load_folder, read_idx, write_idx
from fedtiny.data.sources import fashion_mnist
from fedtiny.errors import UsageError

pytestmark = pytest.mark.quick

SHIPPED = Path(__file__).parents[2] / "fedtiny" / "data" / "fashion_mnist_mini"


def images(count: int = 20) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, 6, 5), np.uint8)


def test_the_shipped_images_are_small_balanced_and_never_twice() -> None:
    data = load_dataset("fashion-mnist-mini")
    assert data.images.shape == (9000, 1, 28, 28)
    assert data.test_from == 7000
    assert np.array_equal(np.bincount(data.labels), np.full(10, 900))
    assert len(np.unique(data.images.reshape(9000, -1), axis=0)) == 9000
    assert sum(p.stat().st_size for p in SHIPPED.iterdir()) < 4_000_000
    test = data.test()
    assert np.array_equal(test.images, data.images[7000:])
    assert test.classes[9] == "ankle-boot"


def test_unknown_names_are_answered_with_the_nearest() -> None:
    assert {"fashion-mnist", "fashion-mnist-mini"} <= set(dataset_names())
    with pytest.raises(UsageError, match=r"Did you mean 'fashion-mnist-mini'\? Known: .*npz"):
        load_dataset("fashion-mnist-mina")


def test_missing_debian_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fashion_mnist, "DEBIAN_FOLDER", tmp_path / "none")
    with pytest.raises(UsageError, match="dataset-fashion-mnist"):
        load_dataset("fashion-mnist")


def idx_folder(folder: Path) -> Path:
    for part, count in (("train", 20), ("t10k", 8)):
        write_idx(folder / f"{part}-images-idx3-ubyte.gz", images(count))
        write_idx(folder / f"{part}-labels-idx1-ubyte.gz", np.arange(count, dtype=np.uint8) % 3)
    return folder


def test_a_folder_of_idx_files(tmp_path: Path) -> None:
    data = load_dataset(str(idx_folder(tmp_path)))
    assert data.images.shape == (28, 1, 6, 5)
    assert data.test_from == 20
    assert data.classes == ("0", "1", "2")
    assert np.array_equal(data.images[:20, 0], images(20))
    raw = gzip.decompress((tmp_path / "train-images-idx3-ubyte.gz").read_bytes())
    (tmp_path / "train-images-idx3-ubyte.gz").unlink()
    (tmp_path / "train-images-idx3-ubyte").write_bytes(raw)
    assert np.array_equal(load_dataset(str(tmp_path)).images, data.images)


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda raw: raw[:50], "damaged: 50 bytes"),
        (lambda raw: raw + b"x", "damaged"),
        (lambda raw: raw[:6], "truncated in its header"),
        (lambda raw: b"\0\0\x0d" + raw[3:], "not an IDX file"),
        (lambda raw: b"", "not an IDX file"),
        (lambda raw: gzip.compress(raw)[:40], "cannot read IDX file"),
        (lambda raw: raw[:4] + b"\xff" * 12 + raw[16:], "damaged"),
    ],
)
def test_damaged_idx_files(tmp_path: Path, damage, says: str) -> None:
    path = idx_folder(tmp_path) / "train-images-idx3-ubyte.gz"
    path.write_bytes(damage(gzip.decompress(path.read_bytes())))
    with pytest.raises(UsageError, match=says):
        read_idx(path)


def test_idx_parts_that_do_not_go_together(tmp_path: Path) -> None:
    idx_folder(tmp_path)
    write_idx(tmp_path / "train-labels-idx1-ubyte.gz", np.zeros(19, np.uint8))
    with pytest.raises(UsageError, match=r"labels \(19,\)"):
        load_folder("mine", tmp_path)
    (tmp_path / "train-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(UsageError, match="has no file train-labels"):
        load_dataset(str(tmp_path))


@pytest.mark.parametrize(
    ("x", "shape"),
    [
        (images(20), (20, 1, 6, 5)),
        (np.zeros((20, 3, 6, 5), np.float64), (20, 3, 6, 5)),
        (np.zeros((20, 6, 5, 3), np.float32), (20, 3, 6, 5)),
    ],
)
def test_npz_with_a_fixed_test_part(tmp_path: Path, x: np.ndarray, shape: tuple[int, ...]) -> None:
    y = np.arange(20) % 4
    np.savez(tmp_path / "mine.npz", x=x, y=y, classes=np.array(["a", "b", "c", "d"]))
    data = load_dataset(str(tmp_path / "mine.npz"))
    assert data.images.shape == shape
    assert data.images.dtype == (np.uint8 if x.dtype == np.uint8 else np.float32)
    assert data.test_from == 16
    assert data.classes == ("a", "b", "c", "d")
    assert np.array_equal(np.sort(data.labels), np.sort(y))


def test_npz_with_its_own_test_part(tmp_path: Path) -> None:
    arrays = {"x_train": images(9), "y_train": np.zeros((9, 1), np.int32)}
    np.savez(tmp_path / "a.npz", **arrays, x_test=images(4), y_test=np.ones(4, np.uint8))
    data = load_dataset(str(tmp_path / "a.npz"))
    assert data.test_from == 9
    assert list(data.labels) == [0] * 9 + [1] * 4
    assert np.array_equal(data.images[:9, 0], images(9))


def test_npz_with_users(tmp_path: Path) -> None:
    x, who = images(20), np.array([f"user {i % 4}" for i in range(20)])
    x[:, 0, 0] = np.arange(20)
    np.savez(tmp_path / "a.npz", x=x, y=np.arange(20) % 2, user=who)
    data = load_dataset(str(tmp_path / "a.npz"))
    assert data.users is not None
    assert np.array_equal(data.users, data.images[:, 0, 0, 0] % 4)
    assert np.array_equal(data.subset(np.array([3, 5])).users, data.users[[3, 5]])
    parts = {"x_train": x[:15], "y_train": np.zeros(15, int), "x_test": x[15:]}
    np.savez(tmp_path / "b.npz", **parts, y_test=np.zeros(5, int), user_train=np.arange(15))
    again = load_dataset(str(tmp_path / "b.npz"))
    assert again.users is not None
    assert again.users.tolist() == [*range(15), *[-1] * 5]


@pytest.mark.parametrize(
    ("arrays", "says"),
    [
        ({"x": images(4), "y": np.zeros(4, int), "user": np.zeros(3, int)}, "user is int64"),
        ({"y": np.zeros(4, int)}, "no array 'x'"),
        ({"x": images(4), "y": np.zeros(3, int)}, "4 images, 3 labels"),
        ({"x": images(4), "y": np.zeros(4)}, "float64"),
        ({"x": images(4), "y": np.array([0, 1, -1, 2])}, "labels run from -1"),
        ({"x": images(4)[0], "y": np.zeros(4, int)}, "accepted is"),
        ({"x": images(4).astype(int), "y": np.zeros(4, int)}, "int64"),
        ({"x": np.full((4, 3, 3), np.nan), "y": np.zeros(4, int)}, "not finite"),
        ({"x": np.array([{}]), "y": np.zeros(1, int)}, "cannot read dataset"),
        ({"x": images(0), "y": np.zeros(0, int)}, "no images"),
        (
            {"x_train": images(4), "y_train": np.zeros(4, int), "x_test": images(2)},
            "no array 'y_test'",
        ),
    ],
)
def test_unsound_npz(tmp_path: Path, arrays: dict[str, np.ndarray], says: str) -> None:
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(UsageError, match=says):
        load_dataset(str(tmp_path / "a.npz"))


def test_damaged_npz(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    with pytest.raises(UsageError, match="cannot read dataset"):
        load_dataset(str(path))
    np.savez_compressed(path, x=images(50), y=np.arange(50) % 3)
    whole = path.read_bytes()
    for damaged in (whole[: len(whole) // 2], b"random bytes", b""):
        path.write_bytes(damaged)
        with pytest.raises(UsageError, match="cannot read dataset"):
            load_dataset(str(path))
    np.save(tmp_path / "one.npy", images(4))
    with pytest.raises(UsageError, match="single array"):
        load_dataset(str(tmp_path / "one.npy"))


def test_datasets_are_checked_when_made() -> None:
    x, y = np.zeros((3, 1, 2, 2), np.uint8), np.zeros(3, np.int64)
    assert Dataset("d", x, y, ("a",), 3).input_shape == (1, 2, 2)
    with pytest.raises(UsageError, match="no test set"):
        Dataset("d", x, y, ("a",), 3).test()
    for wrong in (
        {"images": x[0]},
        {"images": x.astype(np.int16)},
        {"labels": y[:2]},
        {"labels": y + 1},
        {"test_from": 4},
    ):
        with pytest.raises(UsageError, match="dataset 'd'"):
            Dataset(
                **{"name": "d", "images": x, "labels": y, "classes": ("a",), "test_from": 3} | wrong
            )
