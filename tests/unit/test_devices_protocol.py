"""The host's side of the device protocol: frames, garbage, and devices that misbehave."""

import random
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedtiny.devices import protocol
from fedtiny.devices.protocol import Client, Decoder, Frame, decode, encode
from fedtiny.errors import RunnerError

FRAMES = st.builds(
    Frame, st.integers(0, 255), st.integers(0, 255), st.binary(max_size=protocol.MAX_PAYLOAD_BYTES)
)


@pytest.mark.quick
@given(FRAMES)
def test_frames_round_trip(frame: Frame):
    encoded = encode(frame)
    assert encoded[0] == encoded[-1] == 0
    assert 0 not in encoded[1:-1]
    assert decode(encoded[1:-1]) == frame
    assert len(encoded) <= 2 + 518 + 3


@pytest.mark.quick
@pytest.mark.parametrize("size", [0, 247, 248, 249, 250, 251, 502, 512])
@pytest.mark.parametrize("byte", [0, 1])
def test_frames_at_the_edges_of_groups(size: int, byte: int):
    frame = Frame(5, 1, bytes([byte]) * size)
    assert decode(encode(frame)[1:-1]) == frame


@pytest.mark.quick
@given(st.lists(FRAMES, max_size=4), st.binary(max_size=300), st.integers(1, 64))
def test_decoder_is_in_step_after_garbage(frames: list[Frame], garbage: bytes, chunk: int):
    stream = garbage + b"".join(encode(frame) for frame in frames)
    decoder = Decoder()
    found = [
        f for at in range(0, len(stream), chunk) for f in decoder.feed(stream[at : at + chunk])
    ]
    assert found == frames


@pytest.mark.quick
@given(FRAMES, st.data())
def test_a_flipped_bit_never_gives_another_frame(frame: Frame, data: st.DataObject):
    encoded = bytearray(encode(frame))
    bit = data.draw(st.integers(0, 8 * len(encoded) - 1))
    encoded[bit // 8] ^= 1 << bit % 8
    assert [found for found in Decoder().feed(bytes(encoded)) if found != frame] == []


@pytest.mark.quick
@given(st.binary(max_size=600))
def test_decode_takes_any_bytes(data: bytes):
    decode(data)


@pytest.mark.quick
def test_decoder_keeps_little():
    decoder = Decoder()
    for _ in range(200):
        decoder.feed(b"\x07" * 1000)
    assert len(decoder._pending) <= 2048
    assert decoder.feed(encode(Frame(1, 2, b"x"))) == [Frame(1, 2, b"x")]


class Device:
    """A stream whose other end answers by a function."""

    def __init__(self, answer) -> None:
        self.answer = answer
        self.decoder = Decoder()
        self.outbox = b""
        self.asked: list[Frame] = []

    def write(self, data: bytes) -> None:
        for frame in self.decoder.feed(data):
            self.asked.append(frame)
            self.outbox += self.answer(frame, len(self.asked))

    def read(self, timeout_s: float) -> bytes:
        out, self.outbox = self.outbox, b""
        return out


HELLO = struct.pack("<BBHIIIIHI", 1, 4, 512, 7, 100, 32, 8, 2, 1000)


def reply(frame: Frame, payload: bytes) -> bytes:
    return encode(Frame(frame.kind | protocol.REPLY, frame.sequence, payload))


@pytest.mark.quick
def test_hello():
    info = Client(Device(lambda frame, _: reply(frame, HELLO))).hello()
    assert (info.identity, info.arena_bytes, info.layers, info.ticks_hz) == (7, 100, 2, 1000)


@pytest.mark.quick
def test_a_lost_question_is_asked_again():
    device = Device(lambda frame, count: reply(frame, HELLO) if count == 3 else b"")
    assert Client(device, timeout_s=0.01).hello().layers == 2
    assert len(device.asked) == 3


@pytest.mark.quick
def test_a_late_reply_to_an_earlier_question_is_ignored():
    stale = encode(Frame(protocol.HELLO | protocol.REPLY, 99, HELLO))
    client = Client(Device(lambda frame, _: stale), timeout_s=0.01)
    with pytest.raises(
        RunnerError, match=r"did not answer message 1 within 0\.01 s, asked 3 times"
    ):
        client.hello()


@pytest.mark.quick
def test_invoke_takes_both_replies_together():
    figures = struct.pack("<QI", 1234, 0xFFFFFFFF)
    device = Device(lambda frame, _: reply(frame, b"") + reply(frame, figures))
    result = Client(device).invoke(trace=False, timeout_s=0.1)
    assert (result.ticks, result.stack_bytes) == (1234, None)


@pytest.mark.quick
def test_an_inference_that_never_ends():
    device = Device(lambda frame, _: reply(frame, b""))
    with pytest.raises(RunnerError, match=r"did not end within 0\.05 s"):
        Client(device).invoke(trace=False, timeout_s=0.05)


@pytest.mark.quick
@pytest.mark.parametrize(
    ("payload", "message"),
    [
        (struct.pack("<BI", 4, 2), r"could not run the model \(fedtiny_status 2\)"),
        (struct.pack("<BI", 6, 0x1234), "faulted at address 0x00001234"),
        (struct.pack("<BI", 77, 5), "reported error 77, detail 5"),
        (b"", "answered with 0 bytes instead of 5"),
    ],
)
def test_error_replies(payload: bytes, message: str):
    device = Device(lambda frame, _: encode(Frame(protocol.ERROR, frame.sequence, payload)))
    with pytest.raises(RunnerError, match=message):
        Client(device).load(b"abc")


@pytest.mark.quick
@pytest.mark.parametrize("wrong", [HELLO[:-1], HELLO + b"x", b"", b"\x02" + HELLO[1:]])
def test_hello_of_another_kind(wrong: bytes):
    with pytest.raises(RunnerError, match=r"answered with|speaks protocol 2"):
        Client(Device(lambda frame, _: reply(frame, wrong))).hello()


@pytest.mark.quick
def test_short_answers():
    client = Client(Device(lambda frame, _: reply(frame, b"xx")))
    with pytest.raises(RunnerError, match="2 output bytes instead of 8"):
        client.output(8)
    with pytest.raises(RunnerError, match="2 bytes for 3 layers"):
        client.layers(3)


@pytest.mark.quick
def test_a_device_that_answers_noise_fails_and_ends():
    random.seed(3)
    client = Client(Device(lambda frame, _: random.randbytes(700)), timeout_s=0.02)
    for ask in (client.hello, lambda: client.output(8), lambda: client.invoke(False, 0.02)):
        with pytest.raises(RunnerError):
            ask()
