"""`report.html`: one page that needs no network and no script, for a phone as for a desk."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import resources

from jinja2 import Environment, FunctionLoader, StrictUndefined

from fedtiny.report import units
from fedtiny.report.charts import accuracy_line, arena_map, label_shares
from fedtiny.report.model import DeploymentReport, Figure, LayerReport, Training
from fedtiny.report.run import RunRecord
from fedtiny.report.summary import meters, run_verdicts, verdicts

_TOTALS = (
    ("Flash", "flash_bytes"),
    ("Weights and tables", "weights_bytes"),
    ("Code", "code_bytes"),
    ("Arena", "arena_bytes"),
    ("Stack", "stack_bytes"),
    ("Stack, at most", "stack_bound_bytes"),
    ("Static RAM", "static_ram_bytes"),
    ("Instructions", "instructions"),
    ("Cycles", "cycles"),
    ("Latency", "latency_ms"),
)


def render(*items: DeploymentReport | RunRecord) -> str:
    """Make the page of an export, of a training run, or one page of several.

    Args:
        items: At least one.

    Returns:
        HTML; the same items give the same bytes.
    """
    sections = [_run(item) if isinstance(item, RunRecord) else _export(item) for item in items]
    return _page("page.html.jinja", sections=sections, version=sections[0]["version"])


def _export(report: DeploymentReport) -> dict[str, object]:
    place = report.device.name if report.device else report.target
    training = report.training
    return {
        "template": "export_section.html.jinja",
        "title": f"{report.model.name} on {place}",
        "version": report.fedtiny_version,
        "report": report,
        "verdicts": verdicts(report),
        "meters": meters(report),
        "totals": [(name, key, getattr(report.totals, key)) for name, key in _TOTALS],
        "layers": _layers(report.layers),
        "instructions_by": _common(layer.instructions for layer in report.layers),
        "line": accuracy_line(training.rounds) if training else None,
        "traffic": _traffic(training) if training else None,
        "map": arena_map(report.arena) if report.arena else None,
    }


def _run(run: RunRecord) -> dict[str, object]:
    return {
        "template": "run_section.html.jinja",
        "title": f"{run.model.name} trained on {run.config.data}",
        "version": run.versions.get("fedtiny", ""),
        "run": run,
        "verdicts": run_verdicts(run),
        "line": accuracy_line(tuple(row.for_chart for row in run.history)),
        "shares": label_shares(run.data),
    }


def _page(template: str, **content: object) -> str:
    environment = Environment(
        loader=FunctionLoader(_template),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "bytes": units.bytes_text,
        "count": units.count_text,
        "percent": units.percent_text,
        "quality": units.quality_text,
        "density": units.density_text,
        "hertz": units.hertz_text,
        "short": units.short_name,
    }
    environment.globals["key_text"] = units.key_text
    return environment.get_template(template).render(content).rstrip() + "\n"


def _template(name: str) -> str:
    return resources.files("fedtiny.report").joinpath(name).read_text(encoding="utf-8")


def _layers(layers: tuple[LayerReport, ...]) -> list[dict[str, object]]:
    """Every layer with its shares, in percent of the largest layer."""
    most_flash = max((units.figure_value(item.flash_bytes) or 0 for item in layers), default=0)
    most_work = max((units.figure_value(item.instructions) or 0 for item in layers), default=0)
    return [
        {
            "layer": item,
            "flash": _share(item.flash_bytes, most_flash),
            "work": _share(item.instructions, most_work),
        }
        for item in layers
    ]


def _share(figure: Figure | None, most: float) -> float:
    return round(100 * figure.value / most, 2) if figure and most else 0.0


def _common(figures: Iterable[Figure | None]) -> str:
    """How a column of figures is known, in words; empty when none is."""
    known = {(item.evidence, item.by) for item in figures if item is not None}
    return "; ".join(f"{evidence} by {by}" for evidence, by in sorted(known))


def _traffic(training: Training) -> dict[str, int] | None:
    up = [item.bytes_up for item in training.rounds if item.bytes_up is not None]
    down = [item.bytes_down for item in training.rounds if item.bytes_down is not None]
    return {"up": sum(up), "down": sum(down)} if up and down else None
