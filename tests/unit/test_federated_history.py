"""The rounds as a table and as TensorBoard's events."""

import csv
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fedtiny.federated.history import COLUMNS, Events, write_csv


def row(number: int) -> dict[str, Any]:
    numbers = {name: number * 10.0 + at for at, name in enumerate(COLUMNS)}
    return numbers | {
        "round": number, "auc": None, "density_by_layer": {"a.weight": 0.25}, "clients": [0, 1],
    }  # fmt: skip


@pytest.mark.quick
def test_the_table_has_a_line_a_round(tmp_path: Path) -> None:
    write_csv(tmp_path / "history.csv", [row(1), row(2)])
    with (tmp_path / "history.csv").open() as file:
        lines = list(csv.DictReader(file))
    assert [line["round"] for line in lines] == ["1", "2"]
    assert tuple(lines[0]) == COLUMNS
    assert lines[1]["auc"] == ""
    assert float(lines[1]["loss"]) == row(2)["loss"]


def records(folder: Path) -> Iterator[Any]:
    """Every event of every file, by the format's framing."""
    from tensorboardX.proto.event_pb2 import Event

    for path in sorted(folder.glob("events.*")):
        data, at = path.read_bytes(), 0
        while at < len(data):
            (size,) = struct.unpack_from("<Q", data, at)
            yield Event.FromString(data[at + 12 : at + 12 + size])
            at += 12 + size + 4


def test_events_hold_every_number_as_it_comes(tmp_path: Path) -> None:
    pytest.importorskip("tensorboardX")
    events = Events(tmp_path, 0)
    events.add(row(1))
    events.close()
    seen = {
        value.tag: value.simple_value
        for event in records(tmp_path)
        for value in event.summary.value
        if event.step == 1
    }
    assert set(seen) == {*COLUMNS[1:], "density/a.weight"} - {"auc"}
    assert seen["accuracy"] == pytest.approx(row(1)["accuracy"])
    assert seen["density/a.weight"] == 0.25
