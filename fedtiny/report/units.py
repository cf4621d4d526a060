"""How numbers are written for people, the same in the terminal and on the page."""

from __future__ import annotations

from fedtiny.report.model import Figure, Metric, Number

UNKNOWN = "\N{EN DASH}"


def bytes_text(value: Number | None) -> str:
    """`10,816 B`, `147.1 KiB`, `2.00 MiB`."""
    if value is None:
        return UNKNOWN
    if value < 16 * 1024:
        return f"{value:,.0f} B"
    if value < 1024 * 1024:
        return f"{value / 1024:,.1f} KiB"
    if value < 1024 * 1024 * 1024:
        return f"{value / 1024 / 1024:,.2f} MiB"
    return f"{value / 1024 / 1024 / 1024:,.2f} GiB"


def count_text(value: Number | None) -> str:
    """`940`, `12.3 k`, `4.49 M`, `1.20 G`."""
    if value is None:
        return UNKNOWN
    for limit, scale, unit in ((1e4, 1, ""), (1e6, 1e3, " k"), (1e9, 1e6, " M")):
        if value < limit:
            digits = 0 if scale == 1 else 3 - len(str(int(value / scale)))
            return f"{value / scale:,.{max(digits, 0)}f}{unit}"
    return f"{value / 1e9:,.2f} G"


def percent_text(value: Number | None, digits: int = 1) -> str:
    """`82.4 %` of a share in 0…1."""
    return UNKNOWN if value is None else f"{100 * value:.{digits}f} %"


def quality_text(value: Number | None, metric: Metric, digits: int = 1) -> str:
    """`82.4 %` of accuracy, `0.912` of AUC, `0.01234` of an error."""
    if value is None or metric == "accuracy":
        return percent_text(value, digits)
    return f"{value:.3f}" if metric == "AUC" else f"{value:.4g}"


def density_text(value: float | None) -> str:
    """`0.1` or `0.052`: at most three significant digits."""
    return UNKNOWN if value is None else f"{value:.3g}"


def milliseconds_text(value: Number | None) -> str:
    """`12.4 ms`."""
    return UNKNOWN if value is None else f"{value:.3g} ms"


def hertz_text(value: int | None) -> str:
    """`120 MHz`."""
    return UNKNOWN if value is None else f"{value / 1e6:g} MHz"


def key_text(key: str, value: Number | None) -> str:
    """A value in the unit that its key names (`_bytes`, `_ms`), else a count."""
    if key.endswith("_bytes"):
        return bytes_text(value)
    if key.endswith("_ms"):
        return milliseconds_text(value)
    return count_text(value)


def figure_value(figure: Figure | None) -> Number | None:
    """The value of a figure that may be unknown."""
    return None if figure is None else figure.value


def short_name(name: str) -> str:
    """A layer's or tensor's name without the list of ops that a converter fused into it."""
    first, rest = name.split(";")[0], ";" in name
    return f"{first} …" if rest else first
