"""What a report says at a glance: the verdicts and the budgets, for terminal and page alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from fedtiny.report.model import DeploymentReport, Evidence, Figure, Number
from fedtiny.report.run import RunRecord
from fedtiny.report.units import (
    bytes_text,
    count_text,
    density_text,
    key_text,
    percent_text,
    quality_text,
)

State = Literal["good", "bad", "neutral"]

_STRENGTH: tuple[Evidence, ...] = ("estimated", "emulated", "measured")


@dataclass(frozen=True)
class Verdict:
    """One answer: `title` in a few words, `detail` in a line."""

    state: State
    title: str
    detail: str


@dataclass(frozen=True)
class Meter:
    """A budget and what is used of it.

    Attributes:
        label: What it measures.
        used: What the model uses; its evidence is the weakest of its parts.
        limit: The device's budget, or None.
        key: Names the unit, as in the report.
        parts: How `used` is made up, in words.
    """

    label: str
    used: Figure
    limit: Number | None
    key: str
    parts: str = ""

    @property
    def share(self) -> float | None:
        """The part of the limit that is used; above 1 it is exceeded."""
        return self.used.value / self.limit if self.limit else None

    @property
    def over(self) -> bool:
        """Whether more is used than there is."""
        return self.limit is not None and self.used.value > self.limit


def verdicts(report: DeploymentReport) -> tuple[Verdict, Verdict, Verdict]:
    """Does it fit, is it equal to the reference, how accurate is it."""
    return _fits(report), _equal(report), _accurate(report)


def run_verdicts(run: RunRecord) -> tuple[Verdict, Verdict, Verdict]:
    """How accurate is a trained model, how sparse, and what did it take to send."""
    clients = run.final.clients
    final, metric = run.final.quality, run.final.metric
    mean, worst = (quality_text(x, clients.metric) for x in (clients.mean, clients.worst))
    on_clients = f"clients: {clients.metric} mean {mean}, worst {worst}"
    if metric == "accuracy":
        on_clients = f"clients: mean {mean}, worst {worst}"
    stored = f"{bytes_text(run.model.storage_bytes)} of {bytes_text(run.model.storage_bytes_dense)}"
    kept = f"{count_text(run.model.parameters_nonzero)} of {count_text(run.model.parameters)}"
    return (
        Verdict("neutral", f"{quality_text(final, metric)} {metric}", on_clients),
        Verdict(
            "neutral",
            f"Density {density_text(run.config.density)}",
            f"{kept} parameters, {stored} to store",
        ),
        Verdict(
            "neutral",
            f"{bytes_text((run.bytes_up + run.bytes_down) / run.config.clients)} a client",
            f"sent and received; all: {bytes_text(run.bytes_up)} and {bytes_text(run.bytes_down)}",
        ),
    )


def meters(report: DeploymentReport) -> tuple[Meter, ...]:
    """Flash, memory and latency against the device's budgets, as far as they are known."""
    totals, device = report.totals, report.device
    found = []
    if totals.flash_bytes:
        parts = _parts(("weights and tables", totals.weights_bytes), ("code", totals.code_bytes))
        limit = device.flash_bytes if device else None
        found.append(Meter("Flash", totals.flash_bytes, limit, "flash_bytes", parts))
    memory = [
        ("arena", totals.arena_bytes),
        ("stack", totals.stack),
        ("static", totals.static_ram_bytes),
    ]
    known = [figure for _, figure in memory if figure]
    if totals.arena_bytes:
        used = Figure(sum(item.value for item in known), weakest(known), _runners(known))
        missing = [name for name, figure in memory if figure is None]
        parts = _parts(*memory) + (f"; {' and '.join(missing)} not known" if missing else "")
        limit = device.sram_bytes if device else None
        found.append(Meter("SRAM", used, limit, "sram_bytes", parts))
    if totals.latency_ms:
        limit_ms = device.max_latency_ms if device else None
        found.append(Meter("Latency", totals.latency_ms, limit_ms, "latency_ms"))
    return tuple(found)


def weakest(figures: list[Figure]) -> Evidence:
    """The evidence of a sum: that of its least certain part."""
    return min((item.evidence for item in figures), key=_STRENGTH.index)


def _runners(figures: list[Figure]) -> str:
    return ", ".join(dict.fromkeys(item.by for item in figures))


def _parts(*named: tuple[str, Figure | None]) -> str:
    known = [(name, figure.value) for name, figure in named if figure]
    return " + ".join(f"{name} {key_text('_bytes', value)}" for name, value in known)


def _fits(report: DeploymentReport) -> Verdict:
    if report.device is None:
        return Verdict("neutral", "No device named", "--device compares it with a board's budgets")
    name = report.device.name
    if report.budget.fits is None:
        return Verdict("neutral", "Not known to fit", f"some figures for {name} are unknown")
    if report.budget.fits:
        shares = [f"{m.label} {percent_text(m.share)}" for m in meters(report) if m.share]
        return Verdict("good", f"Fits {name}", ", ".join(shares))
    over = ", ".join(item.what for item in report.budget.failures)
    return Verdict("bad", f"Does not fit {name}", f"over budget: {over}")


def _equal(report: DeploymentReport) -> Verdict:
    entries = report.verification
    if not entries:
        return Verdict("neutral", "Not verified", "fedtiny verify compares it with the reference")
    wrong = [entry for entry in entries if not entry.equal]
    if wrong:
        layer = wrong[0].first_divergent_layer
        where = f", first in {layer}" if layer else ""
        names = ", ".join(entry.title for entry in wrong)
        return Verdict("bad", "Differs from the reference", f"{names}{where}")
    exact = [entry.title for entry in entries if entry.bit_exact]
    close = [
        f"{entry.title} within {entry.max_abs_error:g} (accepted: {entry.tolerance:g})"
        for entry in entries
        if not entry.bit_exact
    ]
    detail = "; ".join(filter(None, (f"bit-exact: {', '.join(exact)}" if exact else "", *close)))
    return Verdict("good", "Equal to the reference", detail)


def _accurate(report: DeploymentReport) -> Verdict:
    found = report.accuracy
    named = (
        []
        if found is None
        else [("C", found.runtime), ("int8", found.int8), ("float", found.float32)]
    )
    known = [(name, value) for name, value in named if value is not None]
    if found is None or not known:
        return Verdict("neutral", "Accuracy not known", "no labelled data came with the model")
    first = f"{quality_text(known[0][1], found.metric)} {found.metric}"
    if report.model.density < 1 and any(
        layer.density_before is not None for layer in report.layers
    ):
        note = "pruned at export: accuracy was not recovered"
        return Verdict("neutral", first, note)
    detail = ", ".join(f"{name} {quality_text(value, found.metric)}" for name, value in known)
    return Verdict("neutral", first, detail)
