"""`fedtiny train` knows every setting of TrainConfig, and leaves the defaults to it."""

import sys
import types
from dataclasses import fields

import pytest
from click.testing import CliRunner

from fedtiny.cli.app import fedtiny
from fedtiny.errors import UsageError
from fedtiny.federated.config import TrainConfig

pytestmark = pytest.mark.quick

NEEDED = ["train", "--data", "d", "--model", "m", "--density", "0.1", "--out", "run"]


@pytest.fixture
def seen(monkeypatch):
    """What the pipeline is called with."""
    import fedtiny as package

    found = {}

    def train(config, out, *, resume, progress):
        found.update(config=config, out=str(out), resume=resume)
        raise UsageError("nothing was trained")

    module = types.ModuleType("fedtiny.pipeline")
    module.train = train
    monkeypatch.setitem(sys.modules, "fedtiny.pipeline", module)
    monkeypatch.setattr(package, "pipeline", module, raising=False)
    return found


def test_every_setting_has_an_option():
    options = {item.name for item in fedtiny.commands["train"].params if item.expose_value}
    assert options == {item.name for item in fields(TrainConfig)} | {"out", "resume"}


def test_what_is_not_given_is_left_to_the_configuration(seen):
    assert "nothing was trained" in CliRunner().invoke(fedtiny, NEEDED).stderr
    assert seen == {"config": TrainConfig("d", "m", 0.1), "out": "run", "resume": False}


def test_what_is_given_arrives(seen):
    words = ["--alpha", "iid", "--rounds", "7", "--device", "a", "--device", "b", "--resume"]
    assert "nothing was trained" in CliRunner().invoke(fedtiny, [*NEEDED, *words]).stderr
    assert seen["config"] == TrainConfig("d", "m", 0.1, alpha=None, rounds=7, devices=("a", "b"))
    assert seen["resume"] is True


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--method", "fedtinny"], "Did you mean 'fedtiny'"),
        (["--cohort", "11"], "1 to 10"),
        (["--alpha", "0"], "alpha"),
        (["--lr", "nan"], "--lr"),
        (["--batch", "1"], "batch"),
    ],
)
def test_a_bad_setting_is_named(seen, words, said):
    result = CliRunner().invoke(fedtiny, [*NEEDED, *words])
    assert result.exit_code == 2
    assert said in result.stderr
    assert seen == {}


def test_help_shows_the_defaults_of_the_configuration():
    text = " ".join(CliRunner().invoke(fedtiny, ["train", "--help"]).stdout.split())
    assert f"Federated rounds. [default: {TrainConfig('d', 'm', 0.1).rounds}]" in text
    assert "Clients asked in a round. [default: all]" in text
