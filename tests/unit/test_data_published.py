"""CIFAR, SVHN, CINIC-10 and image folders in the formats in which they are published."""

import pickle
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from fedtiny.data import load_dataset
from fedtiny.data.png import read_png
from fedtiny.errors import UsageError

pytestmark = pytest.mark.quick

RNG = np.random.default_rng(0)
X = RNG.integers(0, 256, (12, 3, 32, 32), np.uint8)
Y = np.arange(12) % 10


def python_cifar10(folder: Path) -> Path:
    for i in range(5):
        part = {
            b"data": X[2 * i : 2 * i + 2].reshape(2, -1),
            b"labels": Y[2 * i : 2 * i + 2].tolist(),
        }
        (folder / f"data_batch_{i + 1}").write_bytes(pickle.dumps(part, protocol=2))
    part = {b"data": X[10:].reshape(2, -1), b"labels": Y[10:].tolist()}
    (folder / "test_batch").write_bytes(pickle.dumps(part, protocol=2))
    names = {b"label_names": [f"class {i}".encode() for i in range(10)]}
    (folder / "batches.meta").write_bytes(pickle.dumps(names, protocol=2))
    return folder


def binary(images: np.ndarray, *labels: np.ndarray) -> bytes:
    columns = [*(label.astype(np.uint8)[:, np.newaxis] for label in labels)]
    return np.concatenate([*columns, images.reshape(len(images), -1)], 1).tobytes()


def test_cifar10_python(tmp_path: Path) -> None:
    data = load_dataset(str(python_cifar10(tmp_path)))
    assert np.array_equal(data.images, X)
    assert np.array_equal(data.labels, Y)
    assert data.test_from == 10
    assert data.classes[3] == "class 3"


def test_cifar_as_python_2_pickled_it(tmp_path: Path) -> None:
    python_cifar10(tmp_path)
    path = tmp_path / "test_batch"
    old = path.read_bytes().replace(b"numpy._core.multiarray", b"numpy.core.multiarray")
    assert old != path.read_bytes()
    path.write_bytes(old)
    assert np.array_equal(load_dataset(str(tmp_path)).images, X)


def test_cifar10_binary(tmp_path: Path) -> None:
    for i in range(5):
        part = slice(2 * i, 2 * i + 2)
        (tmp_path / f"data_batch_{i + 1}.bin").write_bytes(binary(X[part], Y[part]))
    (tmp_path / "test_batch.bin").write_bytes(binary(X[10:], Y[10:]))
    (tmp_path / "batches.meta.txt").write_text("\n".join(f"c{i}" for i in range(10)) + "\n\n")
    data = load_dataset(str(tmp_path))
    assert np.array_equal(data.images, X)
    assert np.array_equal(data.labels, Y)
    assert (data.test_from, data.classes[9]) == (10, "c9")


def test_cifar100_both_ways(tmp_path: Path) -> None:
    fine, coarse = (Y * 9 + 7), Y + 1
    names = [f"n{i}" for i in range(100)]
    for form in ("python", "binary"):
        (tmp_path / form).mkdir()
    for part, at in (("train", slice(0, 10)), ("test", slice(10, 12))):
        content = {b"data": X[at].reshape(-1, 3072), b"fine_labels": fine[at].tolist()}
        (tmp_path / "python" / part).write_bytes(pickle.dumps(content, protocol=2))
        (tmp_path / "binary" / f"{part}.bin").write_bytes(binary(X[at], coarse[at], fine[at]))
    meta = {b"fine_label_names": [n.encode() for n in names]}
    (tmp_path / "python" / "meta").write_bytes(pickle.dumps(meta, protocol=2))
    (tmp_path / "binary" / "fine_label_names.txt").write_text("\n".join(names))
    for form in ("python", "binary"):
        data = load_dataset(str(tmp_path / form))
        assert np.array_equal(data.images, X)
        assert np.array_equal(data.labels, fine)
        assert data.classes == tuple(names)


class Evil:
    def __reduce__(self):  # type: ignore[no-untyped-def]
        return (Path.touch, (Path("evil"),))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "damaged"),
        (b"\x80\x02}", "damaged"),
        (pickle.dumps({b"labels": [1]}), "has no 'data'"),
        (pickle.dumps({b"data": X[:2].reshape(2, -1), b"labels": [1]}), "for 1 labels"),
        (pickle.dumps(Evil()), "names pathlib"),
        (None, "cannot read"),
    ],
)
def test_damaged_cifar(tmp_path: Path, content: bytes | None, says: str) -> None:
    python_cifar10(tmp_path)
    (tmp_path / "data_batch_3").unlink()
    if content is not None:
        (tmp_path / "data_batch_3").write_bytes(content)
    with pytest.raises(UsageError, match=says):
        load_dataset(str(tmp_path))
    assert not Path("evil").exists()


def test_svhn(tmp_path: Path) -> None:
    labels = np.where(Y == 0, 10, Y)
    for part, at in (("train", slice(0, 9)), ("test", slice(9, 12))):
        content = {"X": X[at].transpose(2, 3, 1, 0), "y": labels[at, np.newaxis]}
        savemat(tmp_path / f"{part}_32x32.mat", content)
    data = load_dataset(str(tmp_path))
    assert np.array_equal(data.images, X)
    assert np.array_equal(data.labels, Y)
    assert data.test_from == 9
    (tmp_path / "test_32x32.mat").write_bytes(b"MATLAB")
    with pytest.raises(UsageError, match="cannot read SVHN file"):
        load_dataset(str(tmp_path))
    savemat(tmp_path / "test_32x32.mat", {"X": X[0], "y": labels})
    with pytest.raises(UsageError, match="accepted is uint8"):
        load_dataset(str(tmp_path))


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(image: np.ndarray, colour: int, filters: int = 0, palette: bytes = b"") -> bytes:
    """Encode `(H, W, samples)`; row y is filtered by (y + filters) % 5."""
    height, width, samples = image.shape
    rows, above = b"", np.zeros(width * samples, int)
    for y in range(height):
        row = image[y].reshape(-1).astype(int)
        a = np.concatenate([np.zeros(samples, int), row[:-samples]])
        c = np.concatenate([np.zeros(samples, int), above[:-samples]])
        p = a + above - c
        near = np.stack([abs(p - a), abs(p - above), abs(p - c)]).argmin(0)
        paeth = np.choose(near, [a, above, c])
        kind = (y + filters) % 5
        predicted = (0 * row, a, above, (a + above) // 2, paeth)[kind]
        rows += bytes([kind]) + ((row - predicted) & 255).astype(np.uint8).tobytes()
        above = row
    header = struct.pack(">IIBBBBB", width, height, 8, colour, 0, 0, 0)
    chunks = chunk(b"IHDR", header) + (chunk(b"PLTE", palette) if palette else b"")
    half = zlib.compress(rows)
    chunks += chunk(b"IDAT", half[:5]) + chunk(b"IDAT", half[5:]) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


@pytest.mark.parametrize(("colour", "samples"), [(0, 1), (2, 3), (4, 2), (6, 4)])
@pytest.mark.parametrize("filters", range(5))
def test_png_of_every_kind(tmp_path: Path, colour: int, samples: int, filters: int) -> None:
    image = RNG.integers(0, 256, (7, 6, samples), np.uint8)
    (tmp_path / "a.png").write_bytes(png(image, colour, filters))
    kept = image[:, :, : samples - 1 if colour & 4 else samples]
    assert np.array_equal(read_png(tmp_path / "a.png"), kept.transpose(2, 0, 1))


def test_png_with_a_palette(tmp_path: Path) -> None:
    colours = RNG.integers(0, 256, (9, 3), np.uint8)
    image = RNG.integers(0, 9, (4, 5, 1), np.uint8)
    (tmp_path / "a.png").write_bytes(png(image, 3, 0, colours.tobytes()))
    assert np.array_equal(read_png(tmp_path / "a.png"), colours[image[:, :, 0]].transpose(2, 0, 1))


def test_damaged_png(tmp_path: Path) -> None:
    whole = png(RNG.integers(0, 256, (7, 6, 3), np.uint8), 2)
    path = tmp_path / "a.png"
    bombs = whole[:8] + chunk(b"IHDR", struct.pack(">IIBBBBB", 1 << 20, 1 << 20, 8, 2, 0, 0, 0))
    few = whole.replace(struct.pack(">II", 6, 7), struct.pack(">II", 6, 9))
    few = few[:8] + chunk(b"IHDR", few[16:29]) + few[33:]
    for damaged in (b"", b"JPEG" * 9, whole[:60], whole[:50] + b"x" + whole[51:], bombs, few):
        path.write_bytes(damaged)
        with pytest.raises(UsageError, match="cannot read PNG image"):
            read_png(path)


def images(folder: Path, count: int) -> np.ndarray:
    """Write `count` images of each of two classes; return those of the second."""
    made = RNG.integers(0, 256, (2, count, 5, 4, 3), np.uint8)
    for name, part in zip(("bird", "cat"), made, strict=True):
        (folder / name).mkdir(parents=True)
        for i, image in enumerate(part):
            (folder / name / f"{i}.png").write_bytes(png(image, 2))
    return made[1].transpose(0, 3, 1, 2)


def test_cinic10_is_three_folders(tmp_path: Path) -> None:
    cats = [images(tmp_path / part, n) for part, n in (("train", 4), ("valid", 2), ("test", 3))]
    data = load_dataset(str(tmp_path))
    assert data.images.shape == (18, 3, 5, 4)
    assert (data.test_from, data.classes) == (12, ("bird", "cat"))
    assert np.array_equal(data.images[data.labels == 1], np.concatenate(cats))
    (tmp_path / "test" / "dog").mkdir()
    with pytest.raises(UsageError, match="different classes"):
        load_dataset(str(tmp_path))


def test_a_folder_of_labelled_images(tmp_path: Path) -> None:
    images(tmp_path, 5)
    data = load_dataset(str(tmp_path))
    assert (len(data), data.test_from, data.classes) == (10, 8, ("bird", "cat"))
    again = load_dataset(str(tmp_path))
    assert np.array_equal(data.images, again.images)
    (tmp_path / "cat" / "9.png").write_bytes(png(X[0].transpose(1, 2, 0), 2))
    with pytest.raises(UsageError, match="accepted are images of one size"):
        load_dataset(str(tmp_path))
