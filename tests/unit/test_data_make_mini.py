"""The shipped images can be made again from the whole dataset, byte for byte."""

import gzip
import zlib
from pathlib import Path

import pytest

from fedtiny.data.make_mini import make
from fedtiny.data.sources import fashion_mnist

SHIPPED = Path(__file__).parents[2] / "fedtiny" / "data" / "fashion_mnist_mini"


def test_the_shipped_images_are_made_again_from_the_whole(tmp_path: Path) -> None:
    if not fashion_mnist.DEBIAN_FOLDER.is_dir():
        pytest.skip("needs the Debian package dataset-fashion-mnist")
    make(tmp_path)
    same_deflate = "ng" not in zlib.ZLIB_RUNTIME_VERSION
    assert len(list(tmp_path.iterdir())) == 4
    for path in tmp_path.iterdir():
        shipped = SHIPPED / path.name
        assert gzip.decompress(path.read_bytes()) == gzip.decompress(shipped.read_bytes())
        if same_deflate:
            assert path.read_bytes() == shipped.read_bytes()
