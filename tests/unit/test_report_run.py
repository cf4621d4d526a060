"""A training run on one page and on one screen."""

import io
import json

import pytest
from click.testing import CliRunner

from fedtiny.cli.app import fedtiny
from fedtiny.errors import UsageError
from fedtiny.report.charts import label_shares
from fedtiny.report.html import render
from fedtiny.report.run import read_run
from fedtiny.report.terminal import make_console, print_run

pytestmark = pytest.mark.quick


def make_run(folder):
    """Write a `run.json` of three rounds and two clients."""
    history = [
        {
            "round": number, "clients": [0, 1], "accuracy": 0.2 * number, "loss": 1.0 / number,
            "density": 0.1, "density_by_layer": {"conv2.weight": 0.08, "conv3.weight": 0.12},
            "mask_changes": 12, "bytes_down": 1000, "bytes_up": 500, "training_flops": 1e6,
            "events": [{"round": 2, "what": "client lost", "client": 1, "why": "no answer"}]
            if number == 2 else [],
        }
        for number in (1, 2, 3)
    ]  # fmt: skip
    content = {
        "schema_version": 1,
        "versions": {"fedtiny": "0.1.0", "torch": "2"},
        "config": {
            "data": "mini", "model": "resnet8", "method": "fedtiny", "density": 0.1, "clients": 2,
            "rounds": 3, "seed": 7, "cohort": None, "alpha": 0.5, "added_later": 1,
        },
        "data": {"test": 400, "public": 50, "clients": [{"train": 30, "selection": 3}] * 2},
        "model": {
            "name": "resnet8", "parameters": 1000, "parameters_nonzero": 130,
            "storage_bytes": 700.0, "storage_bytes_dense": 4000.0,
        },
        "initialization": {
            "bytes_up": 100, "bytes_down": 200, "candidates": [{"loss": 0.5}, {"loss": 0.25}],
            "chosen": 1, "events": [],
        },
        "history": history,
        "final": {
            "accuracy": 0.61, "bytes_up": 10, "bytes_down": 20, "events": [],
            "clients": {"accuracy": {"0": 0.7, "1": 0.5}, "mean": 0.6, "worst": 0.5, "spread": 0.1},
        },
    }  # fmt: skip
    folder.mkdir()
    (folder / "run.json").write_text(json.dumps(content))
    return content


def test_traffic_is_everything_that_was_serialized(tmp_path):
    make_run(tmp_path / "run")
    run = read_run(tmp_path / "run")
    assert (run.bytes_up, run.bytes_down) == (100 + 3 * 500 + 10, 200 + 3 * 1000 + 20)
    assert [event.what for event in run.events] == ["client lost"]


def test_page_and_screen_say_what_happened(tmp_path):
    make_run(tmp_path / "run")
    run = read_run(tmp_path / "run")
    page = render(run)
    assert render(run) == page
    for part in ("61.0 % accuracy", "0.2500 (chosen)", "conv2.weight", "client lost, client 1"):
        assert part in page
    assert "None" not in page
    stream = io.StringIO()
    print_run(run, make_console(stream))
    assert "61.0 % accuracy" in stream.getvalue()
    assert "worst 50.0 %" in stream.getvalue()


def test_labels_of_clients_are_drawn_where_they_are_known(tmp_path):
    content = make_run(tmp_path / "run")
    assert "Labels of the clients" not in render(read_run(tmp_path / "run"))
    content["data"] |= {
        "classes": ["shoe", "bag"],
        "clients": [
            {"train": 40, "selection": 4, "labels": [30, 10]},
            {"train": 20, "selection": 2, "labels": [0, 20]},
        ],
    }
    (tmp_path / "run" / "run.json").write_text(json.dumps(content))
    shares = label_shares(read_run(tmp_path / "run").data)
    assert [[(p.label, p.samples, p.percent) for p in c.parts] for c in shares.clients] == [
        [("shoe", 30, 75.0), ("bag", 10, 25.0)],
        [("bag", 20, 50.0)],
    ]
    page = render(read_run(tmp_path / "run"))
    assert 'title="shoe: 30"' in page


def test_the_command_takes_runs(tmp_path):
    content = make_run(tmp_path / "run")
    words = ["report", str(tmp_path / "run"), "--html", str(tmp_path / "page.html")]
    result = CliRunner().invoke(fedtiny, [*words, "--json"])
    assert json.loads(result.stdout) == content
    assert "61.0 % accuracy" in (tmp_path / "page.html").read_text()
    assert "61.0 % accuracy" in CliRunner().invoke(fedtiny, words).stdout


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"config": 3}', "\x00"])
def test_a_damaged_run_is_bad_input(tmp_path, text):
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(UsageError, match=r"run\.json"):
        read_run(tmp_path)
    assert CliRunner().invoke(fedtiny, ["report", str(tmp_path)]).exit_code == 2


def test_a_folder_that_is_neither_is_named(tmp_path):
    result = CliRunner().invoke(fedtiny, ["report", str(tmp_path)])
    assert result.exit_code == 2
    assert "neither report.json" in result.stderr
