"""Files that anybody may have made: each failure is a ValueError, memory is bounded."""

import io
import struct
import zipfile

import numpy as np
import pytest

from fedtiny.arrays import read_arrays
from fedtiny.reading import parse_json, read_json, read_toml
from tests.fuzz.campaign import limited_memory

pytestmark = pytest.mark.quick


def npz(path, **parts):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in parts.items():
            archive.writestr(f"{name}.npy", data)
    return path


def npy(array):
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def header(shape, descr="|u1"):
    text = f"{{'descr': {descr!r}, 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_arrays_are_those_that_numpy_saved(tmp_path, save):
    made = {
        "c": np.arange(12, dtype=np.float32).reshape(3, 4),
        "f": np.asfortranarray(np.arange(12, dtype=">i4").reshape(3, 4)),
        "empty": np.zeros((0, 3), np.int8),
        "scalar": np.array(2.5),
        "text": np.array(["a", "bc"]),
    }
    save(tmp_path / "x.npz", **made)
    read = read_arrays(tmp_path / "x.npz")
    assert list(read) == list(made)
    for name, array in made.items():
        assert read[name].dtype == array.dtype
        assert np.array_equal(read[name], array)


@pytest.mark.parametrize(
    ("part", "says"),
    [
        (header((1 << 40,)), "of 1099511627776 bytes where the file holds 0"),
        (header((-1,)), "bytes where the file holds 0"),
        (header((1,), "|O") + b"x", "object"),
        (npy(np.arange(9))[:-1], "of 72 bytes where the file holds 71"),
        (b"\x93NUMPY\x03\x00" + bytes(200), "format version"),
        (b"nothing", "EOF"),
        (bytes(300), "magic string"),
    ],
)
def test_what_an_array_says_of_itself_is_not_believed(tmp_path, part, says):
    with limited_memory(), pytest.raises(ValueError, match=says):
        read_arrays(npz(tmp_path / "x.npz", a=npy(np.arange(3)), x=part))


def test_an_archive_that_says_it_is_larger_than_it_can_be(tmp_path):
    path = npz(tmp_path / "x.npz", x=header((1 << 33,)))
    data = bytearray(path.read_bytes())
    entry = data.rfind(b"PK\x01\x02")
    data[entry + 24 : entry + 28] = (0xF0000000).to_bytes(4, "little")  # uncompressed size
    path.write_bytes(bytes(data))
    with limited_memory(), pytest.raises(ValueError, match="larger than the file can hold"):
        read_arrays(path)


def test_a_single_array_and_what_is_no_file(tmp_path):
    np.save(tmp_path / "one.npy", np.arange(3))
    with pytest.raises(ValueError, match="single array"):
        read_arrays(tmp_path / "one.npy")
    with pytest.raises(OSError, match="No such file"):
        read_arrays(tmp_path / "none.npz")


@pytest.mark.parametrize("text", [b"[" * 100_000, b"{", b"\xff", b"", b'{"a": "\n"}'])
def test_text_that_is_no_json(tmp_path, text):
    with pytest.raises(ValueError, match=r".") as error:
        parse_json(text)
    assert str(error.value).isprintable()
    (tmp_path / "x.json").write_bytes(text)
    with pytest.raises(ValueError, match=r"."):
        read_json(tmp_path / "x.json")


@pytest.mark.parametrize("text", [b"a = " + b"[" * 100_000, b"a = ", b"\xff", b"[a]\n[a]"])
def test_text_that_is_no_toml(tmp_path, text):
    (tmp_path / "x.toml").write_bytes(text)
    with pytest.raises(ValueError, match=r".") as error:
        read_toml(tmp_path / "x.toml")
    assert str(error.value).isprintable()
