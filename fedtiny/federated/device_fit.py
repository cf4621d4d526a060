"""Whether a candidate fits the devices, by really planning it for each, and room for training."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from fedtiny.compiler.calibration import Ranges, observe
from fedtiny.compiler.compile import compile_graph
from fedtiny.compiler.frontends.torch_module import from_sparse_model
from fedtiny.compiler.passes import lower, quantize
from fedtiny.compiler.serialize import tables
from fedtiny.data import Dataset
from fedtiny.devices import profiles
from fedtiny.federated.evaluation import to_input
from fedtiny.federated.server import Misfit
from fedtiny.pruning.masks import Masks, State
from fedtiny.report import budget, build
from fedtiny.report.model import DeploymentReport
from fedtiny.sparse_model import Provenance, SparseModel

_SAMPLES = 64
"""Public samples for activation ranges; a plan's size does not depend on their values."""


def device_misfit(architecture: str, public: Dataset, devices: Sequence[str]) -> Misfit:
    """A check of masks and weights against every device's flash, RAM, MACs and latency.

    It plans in the data type that the device's target defaults to, with the smallest arena. Code
    size and stack are not known before a build, so that the export's check can still fail where
    only they exceed a budget.

    Args:
        architecture: The network's name.
        public: The server's data; for shapes and activation ranges.
        devices: Names of boards, or TOML files.

    Raises:
        UsageError: A device is unknown or its file is not valid.
    """
    boards = [profiles.board(name) for name in devices]
    images = to_input(public.images[:_SAMPLES])

    def misfit(masks: Masks, state: State) -> str | None:
        model = SparseModel(
            architecture,
            public.input_shape,
            public.classes,
            state,
            masks,
            Provenance("candidate", public.name, 0.0, 0, 0),
        )
        ranges = observe(model.module(), [images])
        for board in boards:
            failure = _plan(model, ranges, board).failure()
            if failure is not None:
                return str(failure)
        return None

    return misfit


def training_budgets(devices: Sequence[str]) -> list[tuple[str, int | None]]:
    """Every device's name and its `train_memory_bytes`.

    Raises:
        UsageError: A device is unknown or its file is not valid.
    """
    boards = [profiles.board(name) for name in devices]
    return [(board.name, board.train_memory_bytes) for board in boards]


def _plan(model: SparseModel, ranges: Ranges, board: profiles.DeviceProfile) -> DeploymentReport:
    """What is known of a model on a board before it is built."""
    target = profiles.target(board.target)
    with torch.no_grad():
        graph = lower(from_sparse_model(model))
    graph = quantize(graph, ranges) if target.dtype == "int8" else graph
    compiled = compile_graph(graph, target, "min")
    planned = compiled.plan
    report = build.with_latency(
        DeploymentReport(
            fedtiny_version="",
            model=build.describe_model("the candidate", "", compiled),
            target=target.name,
            device=build.describe_device(board),
            layers=build.describe_layers(planned),
            totals=build.planned_totals(planned, len(tables(planned).constants)),
            arena=build.describe_arena(planned),
        )
    )
    return DeploymentReport(
        report.fedtiny_version,
        report.model,
        report.target,
        report.device,
        budget=budget.check(report),
    )
