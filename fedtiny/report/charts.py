"""Geometry of the page's charts, in percent of their box, so that one page suits every width.

Shapes go to an SVG that is stretched to its box; words stay HTML at their own size beside it.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from fedtiny.report.model import ArenaItem, ArenaMap, Round
from fedtiny.report.run import DataInfo

COLOURS = 6
"""Number of colours of arena items in the style sheet (`c0` … `c5`)."""

MOST_LABELS = 20
"""Labels whose colours can be told apart."""

_LABEL_WIDTH = 9.0
_LABEL_HEIGHT = 7.0


@dataclass(frozen=True)
class Tick:
    """A grid line at `place` percent, and its label."""

    place: float
    label: str


@dataclass(frozen=True)
class Line:
    """Accuracy over rounds.

    Attributes:
        points: `points` of an SVG polyline in a 100 × 100 box.
        ticks: Grid lines from the bottom.
        first: First round.
        last: Last round.
        end: Where the line ends, in percent from the top.
        best: Highest accuracy, and its round.
    """

    points: str
    ticks: tuple[Tick, ...]
    first: int
    last: int
    end: float
    best: float
    best_round: int


@dataclass(frozen=True)
class Block:
    """One item of the arena: a rectangle in percent of the map, y from the top."""

    name: str
    x: float
    y: float
    width: float
    height: float
    colour: int
    title: str
    labelled: bool


@dataclass(frozen=True)
class Owner:
    """A tensor or buffer, all its rows taken together.

    Attributes:
        name: Its name.
        colour: As in the map.
        most_bytes: The most bytes of it that are alive at once.
        born: First step.
        dies: Step before which the last of it is gone.
    """

    name: str
    colour: int
    most_bytes: int
    born: int
    dies: int


@dataclass(frozen=True)
class Map:
    """The arena over the schedule.

    Attributes:
        blocks: What lies where and when.
        ticks: Grid lines of addresses, in percent from the top.
        owners: What the items belong to, in order of birth.
        steps: Steps of the program.
        bound: The least possible size, in percent from the top.
    """

    blocks: tuple[Block, ...]
    ticks: tuple[Tick, ...]
    owners: tuple[Owner, ...]
    steps: int
    bound: float


def accuracy_line(rounds: tuple[Round, ...]) -> Line | None:
    """The chart of accuracy over rounds; None when fewer than two rounds were evaluated."""
    known = [(item.round, item.accuracy) for item in rounds if item.accuracy is not None]
    if len(known) < 2:
        return None
    first, last = known[0][0], known[-1][0]
    low = math.floor(10 * min(value for _, value in known)) / 10
    high = min(1.0, math.ceil(10 * max(value for _, value in known)) / 10)
    high = max(high, low + 0.1)
    span = high - low

    def place(value: float) -> float:
        return round(100 * (high - value) / span, 2)

    points = " ".join(
        f"{100 * (number - first) / (last - first):.2f},{place(value)}" for number, value in known
    )
    step = 0.1 if span < 0.55 else 0.2
    count = round(span / step)
    values = [low + step * index for index in range(count + 1) if low + step * index <= high + 1e-9]
    ticks = tuple(Tick(place(value), f"{100 * value:.0f} %") for value in values)
    best_round, best = max(known, key=lambda item: item[1])
    return Line(points, ticks, first, last, place(known[-1][1]), best, best_round)


@dataclass(frozen=True)
class LabelPart:
    """Samples of one label at one client.

    Attributes:
        label: Its name.
        samples: How many.
        percent: Of the samples of the largest client.
        hue: Of the label's colour, in degrees.
    """

    label: str
    samples: int
    percent: float
    hue: int


@dataclass(frozen=True)
class Share:
    """A client's training samples."""

    samples: int
    parts: tuple[LabelPart, ...]


@dataclass(frozen=True)
class LegendEntry:
    """A label and the hue of its colour."""

    name: str
    hue: int


@dataclass(frozen=True)
class LabelShares:
    """How labels were dealt to clients."""

    clients: tuple[Share, ...]
    legend: tuple[LegendEntry, ...]


def label_shares(data: DataInfo) -> LabelShares | None:
    """The chart of labels by client; None where they are not known or too many to tell apart."""
    names = data.classes
    known = [client.labels for client in data.clients]
    if not 2 <= len(names) <= MOST_LABELS or any(len(labels) != len(names) for labels in known):
        return None
    most = max((sum(labels) for labels in known), default=0)
    if most <= 0 or any(count < 0 for labels in known for count in labels):
        return None
    legend = [LegendEntry(name, 360 * i // len(names)) for i, name in enumerate(names)]
    shares = tuple(
        Share(
            sum(labels),
            tuple(
                LabelPart(entry.name, count, round(100 * count / most, 2), entry.hue)
                for entry, count in zip(legend, labels, strict=True)
                if count
            ),
        )
        for labels in known
    )
    return LabelShares(shares, tuple(legend))


def arena_map(arena: ArenaMap) -> Map | None:
    """The chart of the arena; None when its items are not known."""
    if not arena.items or not arena.bytes:
        return None
    steps = max(item.dies for item in arena.items)
    colours: dict[str, int] = {}
    labelled: set[str] = set()
    blocks = []
    for item in sorted(arena.items, key=lambda item: (item.born, item.offset, item.name)):
        owner = _owner(item)
        colour = colours.setdefault(owner, len(colours) % COLOURS)
        block = _block(item, owner, arena.bytes, steps, colour, owner not in labelled)
        if block.labelled:
            labelled.add(owner)
        blocks.append(block)
    bound = round(100 * (1 - min(arena.bound_bytes / arena.bytes, 1)), 2)
    owners = tuple(_gather(name, colour, arena.items) for name, colour in colours.items())
    return Map(tuple(blocks), _address_ticks(arena.bytes), owners, steps, bound)


def _owner(item: ArenaItem) -> str:
    """The tensor that an item belongs to: rows are named `tensor[row]`."""
    return re.sub(r"\[\d+(:\d+)?\]$", "", item.name)


def _gather(name: str, colour: int, items: tuple[ArenaItem, ...]) -> Owner:
    own = [item for item in items if _owner(item) == name]
    changes = sorted(
        [(item.born, item.size_bytes) for item in own]
        + [(item.dies, -item.size_bytes) for item in own]
    )
    alive = most = 0
    for _, change in changes:  # at one step, deaths sort before births
        alive += change
        most = max(most, alive)
    return Owner(name, colour, most, min(item.born for item in own), max(item.dies for item in own))


def _block(
    item: ArenaItem, owner: str, arena_bytes: int, steps: int, colour: int, may_label: bool
) -> Block:
    width = 100 * (item.dies - item.born) / steps
    height = 100 * item.size_bytes / arena_bytes
    return Block(
        name=owner,
        x=round(100 * item.born / steps, 3),
        y=round(100 * (1 - (item.offset + item.size_bytes) / arena_bytes), 3),
        width=round(width, 3),
        height=round(height, 3),
        colour=colour,
        title=(
            f"{item.name}: {item.size_bytes:,} B at {item.offset:,}, "
            f"steps {item.born:,} to {item.dies:,}"
        ),
        labelled=may_label and width >= _LABEL_WIDTH and height >= _LABEL_HEIGHT,
    )


def _address_ticks(arena_bytes: int) -> tuple[Tick, ...]:
    step = 2 ** max(math.ceil(math.log2(arena_bytes / 5)), 0)
    labels = []
    for address in range(0, arena_bytes + 1, step):
        text = f"{address // 1024} KiB" if address and address % 1024 == 0 else f"{address:,}"
        labels.append(Tick(round(100 * (1 - address / arena_bytes), 2), text))
    return tuple(labels)
