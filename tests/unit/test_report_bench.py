"""What a benchmark's page recommends."""

import pytest

from fedtiny.benchmark.result import Entry, Race, Spread
from fedtiny.report.bench import stock_advice

pytestmark = pytest.mark.quick


def entry(name: str, ratio: float | None) -> Entry:
    time = Spread(1.0, 1.0, 1.0)
    spread = None if ratio is None else Spread(ratio, ratio, ratio)
    return Entry(name, f"{name} 1", f"model.{name}", 1, 1, time, spread, 1.0, 1.0, 1.0, 1, 1)


@pytest.mark.parametrize("ratio", [0.92, 1.0, 8.0])
def test_nothing_is_advised_while_the_c_keeps_up(ratio: float) -> None:
    assert stock_advice(Race(1, (entry("fedtiny", None), entry("litert", ratio)))) is None
    assert stock_advice(Race(1, (entry("fedtiny", None),))) is None


def test_the_fastest_stock_runtime_is_recommended_where_the_c_loses() -> None:
    rivals = entry("onnxruntime", 0.85), entry("litert", 0.4)
    advice = stock_advice(Race(2, (entry("fedtiny", None), *rivals)))
    assert advice is not None
    for part in ("litert 1", "model.litert", "2 threads"):
        assert part in advice
