"""Options are checked when made, and schedules scale with the rounds."""

import pytest

from fedtiny.errors import UsageError
from fedtiny.federated.config import TrainConfig
from fedtiny.federated.demo import demo_config

pytestmark = pytest.mark.quick


def config(**options: object) -> TrainConfig:
    given = {"data": "fashion-mnist-mini", "model": "resnet8", "density": 0.1} | options
    return TrainConfig(**given)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"density": 0}, "--density is 0; accepted is a number above 0 and at most 1"),
        ({"density": 1.5}, "--density is 1.5"),
        ({"density": float("nan")}, "--density is nan"),
        ({"density": "x"}, "--density is 'x'"),
        ({"clients": 0}, "--clients is 0; accepted is a whole number from 1"),
        ({"clients": 2.5}, "--clients is 2.5"),
        ({"cohort": 11}, "--cohort is 11; accepted is 1 to 10"),
        ({"rounds": 0}, "--rounds is 0"),
        ({"local_epochs": True}, "--local-epochs is True"),
        ({"lr": -1}, "--lr is -1"),
        ({"momentum": 1}, "--momentum is 1; accepted is a number at least 0 and below 1"),
        ({"batch": 1}, "--batch is 1; accepted is a whole number from 2"),
        ({"alpha": 0}, "--alpha is 0"),
        ({"seed": -1}, "--seed is -1"),
        ({"workers": -1}, "--workers is -1"),
        ({"method": "fedtin"}, "unknown method 'fedtin'. Did you mean 'fedtiny'?"),
    ],
)
def test_wrong_options_are_named_with_what_is_accepted(
    options: dict[str, object], says: str
) -> None:
    with pytest.raises(UsageError) as error:
        config(**options)
    assert says in str(error.value)


def test_schedule_is_the_papers_or_scaled() -> None:
    paper = config(rounds=300)
    assert (paper.adjustment_interval, paper.adjustment_end) == (10, 100)
    short = config(rounds=30)
    assert (short.adjustment_interval, short.adjustment_end) == (1, 10)
    long = config(rounds=500)
    assert (long.adjustment_interval, long.adjustment_end) == (10, 100)
    given = config(rounds=30, adjust_every=2, adjust_until=0)
    assert (given.adjustment_interval, given.adjustment_end) == (2, 0)


def test_pool_size() -> None:
    assert [config(density=d).pool_size for d in (0.1, 0.05, 0.01, 0.5)] == [2, 2, 10, 2]
    assert config(candidates=5).pool_size == 5


def test_learning_rate_falls_along_a_half_cosine() -> None:
    rates = [config(rounds=10, lr=0.2).learning_rate(r) for r in range(1, 12)]
    assert rates[0] == 0.2
    assert rates[5] == pytest.approx(0.1)
    assert rates[10] == pytest.approx(0)
    assert rates == sorted(rates, reverse=True)


def test_demo_is_what_it_says() -> None:
    demo = demo_config()
    assert (demo.clients, demo.alpha, demo.density) == (10, 0.5, 0.1)
    assert (demo.data, demo.method) == ("fashion-mnist-mini", "fedtiny")
    assert demo.adjustment_end > demo.adjustment_interval
