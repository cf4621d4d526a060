"""The wire format: exact, compact, and damage is noticed."""

import contextlib
import zlib

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fedtiny.federated import positions
from fedtiny.federated.codec import StateCodec
from fedtiny.federated.message import DamagedMessageError, Message
from fedtiny.models import create
from fedtiny.pruning.masks import magnitude_masks, masked

pytestmark = pytest.mark.quick


def sample() -> Message:
    return Message(
        "train",
        {"round": 3, "lr": 0.1, "names": ["a", "ß"], "counts": [1, 2]},
        {
            "values": np.arange(6, dtype=np.float32).reshape(2, 3),
            "positions": np.array([1, 255], np.uint8),
            "scalar": np.array(7, np.int64),
            "none": np.zeros((0, 4), np.int32),
        },
    )


def test_messages_survive_exactly() -> None:
    data = sample().to_bytes()
    back = Message.from_bytes(data)
    assert back.kind == "train"
    assert back.fields == sample().fields
    assert list(back.arrays) == ["values", "positions", "scalar", "none"]
    for name, array in sample().arrays.items():
        assert back.arrays[name].dtype == array.dtype
        assert back.arrays[name].shape == array.shape
        assert np.array_equal(back.arrays[name], array)
    assert back.to_bytes() == data


def test_layout_is_as_documented() -> None:
    data = Message("k", {}, {"a": np.array([1.5], np.float32)}).to_bytes()
    assert data[:-4].hex() == "46544d01016b027b7d0101610301010000c03f"


def test_big_endian_arrays_travel_little_endian() -> None:
    array = np.array([1, 2], ">f4")
    back = Message.from_bytes(Message("k", {}, {"a": array}).to_bytes())
    assert np.array_equal(back.arrays["a"], array)


def test_every_flipped_byte_and_every_truncation_is_noticed() -> None:
    data = sample().to_bytes()
    for at in range(len(data)):
        flipped = bytearray(data)
        flipped[at] ^= 0x41
        with pytest.raises(DamagedMessageError):
            Message.from_bytes(bytes(flipped))
        with pytest.raises(DamagedMessageError):
            Message.from_bytes(data[:at])


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=60), st.booleans())
def test_random_bytes_raise_nothing_else(body: bytes, sealed: bool) -> None:
    data = b"FTM\x01" + body
    data = data + zlib.crc32(data).to_bytes(4, "little") if sealed else body
    with contextlib.suppress(DamagedMessageError):
        Message.from_bytes(data)


def test_arrays_and_numbers_are_checked() -> None:
    message = Message(
        "k",
        {"n": 3, "text": "x", "nan": float("nan")},
        {"a": np.zeros((2, 3), np.float32), "b": np.array([np.nan], np.float32)},
    )
    assert message.array("a", np.float32, (2, None)).shape == (2, 3)
    assert message.number("n") == 3
    for name, dtype, shape in (
        ("c", "f4", (1,)),
        ("a", "f8", (2, 3)),
        ("a", "f4", (3, 3)),
        ("a", "f4", (6,)),
        ("b", "f4", (1,)),
    ):
        with pytest.raises(DamagedMessageError):
            message.array(name, dtype, shape)
    for name in ("m", "text", "nan"):
        with pytest.raises(DamagedMessageError):
            message.number(name)


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 3000), st.floats(0, 1), st.integers(0, 1000))
def test_positions_survive_in_the_shorter_form(size: int, share: float, seed: int) -> None:
    chosen = np.flatnonzero(np.random.default_rng(seed).random(size) < share)
    data = positions.encode(chosen, size)
    assert np.array_equal(positions.decode(data, size), chosen)
    assert len(data) <= 1 + (size + 7) // 8


def test_far_positions_need_escapes() -> None:
    chosen = np.array([0, 255, 256, 767, *range(770, 850, 4)])
    data = positions.encode(chosen, 100_000)
    assert len(data) == 1 + 3 * 1 + (510 // 255 + 1) + 20
    assert np.array_equal(positions.decode(data, 100_000), chosen)


def test_runs_of_positions_are_two_numbers() -> None:
    chosen = np.concatenate([np.arange(5, 400), np.arange(90_000, 100_000)])
    data = positions.encode(chosen, 100_000)
    assert data.tolist() == [2, 5, 0x8B, 3, 0x80, 0xBC, 5, 0x90, 0x4E]
    assert np.array_equal(positions.decode(data, 100_000), chosen)
    with pytest.raises(DamagedMessageError):
        positions.decode(data, 99_999)


@pytest.mark.parametrize(
    "data",
    [
        [],
        [3, 1],
        [2, 1],
        [2, 0x80],
        [2, 5, 0],
        [2, 1, 2, 0, 3],
        [2, 1, 100],
        [1, 255],
        [1, 200],
        [0, 1],
        [0, 0, 1],
        [1, *[99] * 2],
    ],
)
def test_damaged_positions(data: list[int]) -> None:
    with pytest.raises(DamagedMessageError):
        positions.decode(np.array(data, np.uint8), 12 if data[:1] == [0] else 100)


def test_states_travel_as_active_values_only() -> None:
    module = create("resnet8-stride2", (1, 8, 8), 3)
    codec = StateCodec(module)
    masks = magnitude_masks(module.state_dict(), {n: s // 10 for n, s in codec.prunable.items()})
    state = masked(module.state_dict(), masks)
    values = codec.pack(state, masks)
    active = sum(s // 10 for s in codec.prunable.values())
    floats = sum(v.numel() for v in state.values() if v.is_floating_point())
    assert len(values) == codec.length(masks) == floats - sum(codec.prunable.values()) + active
    back = codec.unpack(values, masks)
    assert back.keys() == state.keys()
    assert all(torch.equal(back[name], state[name]) for name in state)
    module.to(memory_format=torch.channels_last)
    assert np.array_equal(codec.pack(module.state_dict(), masks), values)
    with pytest.raises(DamagedMessageError):
        codec.unpack(values[1:], masks)


def test_weights_travel_in_8_bits_with_one_scale_a_tensor() -> None:
    module = create("resnet8-stride2", (1, 8, 8), 3)
    codec = StateCodec(module)
    masks = magnitude_masks(module.state_dict(), {n: s // 10 for n, s in codec.prunable.items()})
    state = masked(module.state_dict(), masks)
    message = Message("m", {}, codec.to_arrays(state, masks, 8))
    back = codec.from_arrays(message, masks, 8)
    for name, value in state.items():
        if value.dim() > 1:
            scale = float(value.abs().max()) / 127
            nearest = torch.round(value / scale) * scale
            assert torch.allclose(back[name], nearest, rtol=1e-5, atol=0)
        else:
            assert torch.equal(back[name], value)
    again = codec.from_arrays(Message("m", {}, codec.to_arrays(back, masks, 8)), masks, 8)
    assert all(torch.allclose(again[name], back[name], rtol=1e-6) for name in back)
    for name in ("codes", "scales", "values"):
        short = {n: a[1:] if n == name else a for n, a in message.arrays.items()}
        with pytest.raises(DamagedMessageError):
            codec.from_arrays(Message("m", {}, short), masks, 8)
    for bits in (8, 7):
        with pytest.raises(DamagedMessageError):
            codec.from_arrays(Message("m", {}, {"values": codec.pack(state, masks)}), masks, bits)


def test_masks_travel_as_changes() -> None:
    module = create("resnet8-stride2", (1, 8, 8), 3)
    codec = StateCodec(module)
    old = magnitude_masks(module.state_dict(), {n: s // 10 for n, s in codec.prunable.items()})
    new = {name: mask.clone() for name, mask in old.items()}
    new["stage3.conv1.weight"].view(-1)[:5] ^= True
    change = codec.pack_masks(new, old)
    assert len(change) < 800
    for known, data in ((old, change), (None, codec.pack_masks(new, None))):
        back = codec.unpack_masks(data, known)
        assert all(torch.equal(back[name], new[name]) for name in new)
    assert len(codec.pack_masks(new, new)) == 1
