"""`report.json`: what an export is, what it costs, and how each figure came to be known.

What is unknown is None (null in the file), never 0. Units are in the names. Keys are only ever
added; a change of meaning raises `SCHEMA_VERSION`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from fedtiny.errors import DoesNotFitError, FedTinyError, MismatchError, UsageError
from fedtiny.reading import parse_json
from fedtiny.report.codec import decode, encode

SCHEMA_VERSION = 1

Metric = Literal["accuracy", "AUC", "mean squared error"]
Evidence = Literal["estimated", "emulated", "measured"]
"""How a figure is known: predicted by the compiler, counted by an emulator, read on the device."""

Number = int | float


@dataclass(frozen=True)
class Figure:
    """One figure and how it is known.

    Attributes:
        value: In the unit that the key names.
        evidence: How it is known.
        by: Who says so: a runner's name, or the part of the compiler that predicted it.
    """

    value: Number
    evidence: Evidence
    by: str


@dataclass(frozen=True)
class TensorInfo:
    """The model's input or output as the exported program sees it (NHWC).

    Attributes:
        shape: With the batch dimension, which is 1.
        dtype: `"int8"` or `"float32"`.
        scale: Of the quantization; None for floats.
        zero_point: Of the quantization; None for floats.
    """

    shape: tuple[int, ...]
    dtype: str
    scale: float | None = None
    zero_point: int | None = None


@dataclass(frozen=True)
class ModelInfo:
    """The model that was exported.

    Attributes:
        name: Its name, never a path.
        sha256: Of the model file that was read.
        density: nonzeros / total of all weights, biases not counted.
        parameters: Weights and biases, zeros counted.
        macs: Multiply-accumulates of one inference, zero weights counted.
        macs_nonzero: Those with a nonzero weight in what is deployed, without dead channels.
        input: The input tensor.
        output: The output tensor.
        channels: Of all activations together; None where nothing counted them.
        channels_dropped: Those of them that the deployed program need not make.
    """

    name: str
    sha256: str
    density: float
    parameters: int
    macs: int
    macs_nonzero: int
    input: TensorInfo
    output: TensorInfo
    channels: int | None = None
    channels_dropped: int | None = None


@dataclass(frozen=True)
class DeviceInfo:
    """The board whose budgets apply, with the citation of every number by field name."""

    name: str
    flash_bytes: int | None
    sram_bytes: int | None
    clock_hz: int | None
    max_latency_ms: float | None
    max_macs: int | None = None
    sources: Mapping[str, str] = field(default_factory=dict)
    flash_wait_states: int | None = None
    flash_read_bytes: int | None = None


@dataclass(frozen=True)
class Artifact:
    """A file of the export, or the folder `c/`.

    Attributes:
        format: The format's name, or what else the file is.
        path: Relative to the export folder.
        bytes: Its size.
        sha256: Of its bytes; of a folder, of all files in it with their names.
        gzip_bytes: Its size when compressed as app stores and package feeds do.
        dense_bytes: Size of the same model without sparse tensors, in the same format or, of a
            packed file, as TensorFlow Lite.
        dense_gzip_bytes: That, compressed.
    """

    format: str
    path: str
    bytes: int
    sha256: str
    gzip_bytes: int | None = None
    dense_bytes: int | None = None
    dense_gzip_bytes: int | None = None


@dataclass(frozen=True)
class LayerReport:
    """One layer of the final graph, in the order of execution.

    Attributes:
        name: Its node's name.
        op: Its op.
        kernel: The kernel that runs it.
        pattern: Mask kind of its weights; None when it has none.
        density: nonzeros / total of its weights; None when it has none.
        macs: Multiply-accumulates, zero weights counted; 0 where the op has none.
        macs_nonzero: Multiply-accumulates with a nonzero weight.
        flash_bytes: Constants of this layer.
        scratch_bytes: Arena bytes that only this layer's kernel uses.
        instructions: Executed in this layer in one inference.
        cycles: Counted by a device, or estimated from what an emulator executed.
        latency_ms: By a device's clock.
        density_before: Density of its weights in the file that was read, where pruning at export
            changed it; else None.
    """

    name: str
    op: str
    kernel: str
    pattern: str | None
    density: float | None
    macs: int
    macs_nonzero: int
    flash_bytes: Figure | None = None
    scratch_bytes: Figure | None = None
    instructions: Figure | None = None
    cycles: Figure | None = None
    latency_ms: Figure | None = None
    density_before: float | None = None


@dataclass(frozen=True)
class Totals:
    """The whole model.

    Attributes:
        flash_bytes: Code and constants: what the device stores.
        weights_bytes: Constants: weights, biases, tables.
        code_bytes: The model's own code: executor and kernels, without the harness.
        arena_bytes: The caller-owned arena: activations, scratch, state, row pointers.
        stack_bytes: High-water mark of one inference.
        stack_bound_bytes: The most that one can take, by the linked program's frames and calls.
        static_ram_bytes: Writable globals.
        instructions: Executed in one inference.
        cycles: As a layer's.
        latency_ms: One inference.
    """

    flash_bytes: Figure | None = None
    weights_bytes: Figure | None = None
    code_bytes: Figure | None = None
    arena_bytes: Figure | None = None
    stack_bytes: Figure | None = None
    stack_bound_bytes: Figure | None = None
    static_ram_bytes: Figure | None = None
    instructions: Figure | None = None
    cycles: Figure | None = None
    latency_ms: Figure | None = None

    @property
    def stack(self) -> Figure | None:
        """What to reserve: the bound, else what was seen."""
        return self.stack_bound_bytes or self.stack_bytes


@dataclass(frozen=True)
class BudgetFailure:
    """One budget that is exceeded.

    Attributes:
        what: `"flash_bytes"`, `"sram_bytes"`, `"latency_ms"` or `"macs"`.
        limit: The device's budget, in the unit that `what` names.
        value: What the model needs.
        where: The layer or buffer that needs most of it.
        hint: What would fit, for example a density.
    """

    what: str
    limit: Number
    value: Number
    where: str
    hint: str | None = None


@dataclass(frozen=True)
class Budget:
    """Whether the model fits; `fits` is None when no device was named."""

    fits: bool | None = None
    failures: tuple[BudgetFailure, ...] = ()


@dataclass(frozen=True)
class Verification:
    """One comparison of one runner with the reference.

    Attributes:
        runner: As in `--on NAME`, or the interpreter (`"litert"`, `"onnxruntime"`).
        vectors: Inputs compared.
        bit_exact: Whether every output is equal to the reference.
        max_abs_error: Greatest difference, in units of the output's last place for int8, else in
            the output's own unit.
        reference: What it was compared with.
        first_divergent_layer: Name of the first layer that differs, where that is known.
        tolerance: Greatest difference that counts as equal; 0 means bit-exact.
        artifact: Format of the file that was run; None for the compiled C.
    """

    runner: str
    vectors: int
    bit_exact: bool
    max_abs_error: float | None
    reference: str
    first_divergent_layer: str | None = None
    tolerance: float = 0.0
    artifact: str | None = None

    @property
    def title(self) -> str:
        """The runner, and the file that it ran."""
        return self.runner if self.artifact is None else f"{self.runner} ({self.artifact})"

    @property
    def equal(self) -> bool:
        """Whether the outputs count as equal."""
        if self.bit_exact:
            return True
        return self.max_abs_error is not None and 0 < self.max_abs_error <= self.tolerance


@dataclass(frozen=True)
class Accuracy:
    """Accuracy on held-out data, each in 0…1, or another `metric` where outputs are no classes.

    Attributes:
        dataset: Name and split.
        float32: Of the model before quantization.
        int8: Of the quantized graph.
        runtime: Of the generated C.
        samples: Samples evaluated.
        runtime_by: The runner that ran the generated C.
        metric: What the figures are.
    """

    dataset: str
    float32: float | None = None
    int8: float | None = None
    runtime: float | None = None
    samples: int | None = None
    runtime_by: str | None = None
    metric: Metric = "accuracy"


@dataclass(frozen=True)
class Toolchain:
    """What compiled the generated C, and the versions of what made it."""

    compiler: str | None = None
    flags: tuple[str, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ArenaItem:
    """One item of the arena, alive in program steps `[born, dies)`."""

    name: str
    offset: int
    size_bytes: int
    born: int
    dies: int


@dataclass(frozen=True)
class ArenaMap:
    """The arena over the schedule.

    Attributes:
        schedule: `"layers"` or `"rows"`.
        bytes: Size of the arena.
        bound_bytes: No placement of this schedule can be smaller (the most bytes alive at once).
        gap: By what share the arena is larger than that.
        items: What lies where and when.
    """

    schedule: str
    bytes: int
    bound_bytes: int
    items: tuple[ArenaItem, ...] = ()
    gap: float | None = None


@dataclass(frozen=True)
class Round:
    """One federated round. Bytes are summed over its clients, as really serialized."""

    round: int
    accuracy: float | None = None
    density: float | None = None
    bytes_up: int | None = None
    bytes_down: int | None = None
    note: str | None = None


@dataclass(frozen=True)
class Training:
    """How the model was trained, copied from its run so that the report stands alone."""

    method: str
    dataset: str
    density: float | None
    clients: int | None
    seed: int | None
    rounds: tuple[Round, ...] = ()


@dataclass(frozen=True)
class DeploymentReport:
    """All of `report.json`."""

    fedtiny_version: str
    model: ModelInfo
    target: str
    device: DeviceInfo | None = None
    artifacts: tuple[Artifact, ...] = ()
    layers: tuple[LayerReport, ...] = ()
    totals: Totals = field(default_factory=Totals)
    budget: Budget = field(default_factory=Budget)
    verification: tuple[Verification, ...] = ()
    accuracy: Accuracy | None = None
    toolchain: Toolchain = field(default_factory=Toolchain)
    arena: ArenaMap | None = None
    training: Training | None = None
    schema_version: int = SCHEMA_VERSION

    @property
    def equal(self) -> bool | None:
        """Whether every comparison counts as equal; None when there was none."""
        return all(entry.equal for entry in self.verification) if self.verification else None

    def failure(self) -> FedTinyError | None:
        """The error this report ends with: outputs that differ, then a budget that is exceeded."""
        for entry in self.verification:
            if not entry.equal:
                return MismatchError(_mismatch(entry))
        if self.budget.fits is False:
            device = self.device.name if self.device else self.target
            parts = [_exceeded(item) for item in self.budget.failures]
            return DoesNotFitError(f"{self.model.name} does not fit {device}: {'; '.join(parts)}.")
        return None

    def to_json(self) -> str:
        """The file's text: the same report gives the same bytes."""
        content = encode(self)
        assert isinstance(content, dict)
        ordered = {"schema_version": content.pop("schema_version"), **content}
        return json.dumps(ordered, indent=1, allow_nan=False, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, text: str, where: str = "report.json") -> DeploymentReport:
        """Read a report, checking every field.

        Args:
            text: The file's text.
            where: What to call the file in errors.

        Raises:
            UsageError: It is not a report, is damaged, or was made by a newer FedTiny.
        """
        try:
            content = parse_json(text)
        except ValueError as error:
            raise UsageError(f"{where} is not JSON ({error}).") from None
        version = content.get("schema_version") if isinstance(content, dict) else None
        if version != SCHEMA_VERSION:
            raise UsageError(
                f"{where} is not a report that this version reads: schema_version is {version!r}, "
                f"accepted is {SCHEMA_VERSION}."
            )
        return decode(cls, content, where)


def read_report(folder: Path) -> DeploymentReport:
    """Read `report.json` of an export folder.

    Raises:
        UsageError: There is none, or it is damaged.
    """
    path = folder / "report.json"
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise UsageError(
            f"cannot read {path}: {reason}. Accepted is a folder that `fedtiny export` made."
        ) from None
    return DeploymentReport.from_json(text, str(path))


def _mismatch(entry: Verification) -> str:
    layer = entry.first_divergent_layer
    where = f", first in layer {layer!r}" if layer else ""
    error = "" if entry.max_abs_error is None else f" by up to {entry.max_abs_error:g}"
    allowed = f" (accepted: {entry.tolerance:g})" if entry.tolerance else ""
    return f"outputs of {entry.title} differ from {entry.reference}{error}{allowed}{where}."


def _exceeded(item: BudgetFailure) -> str:
    hint = f" ({item.hint})" if item.hint else ""
    over = item.value - item.limit
    return (
        f"{item.what} is {item.value:,}, {over:,} over the limit of {item.limit:,}, "
        f"most of it in {item.where}{hint}"
    )
