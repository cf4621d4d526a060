"""What the torch front door and calibration share: one captured program and its tensor names.

Both must give the same name to the same value, or the ranges that clients observe would not find
their tensors. Names come from module paths (``layer1.0.conv1``), so they are stable.
"""

from __future__ import annotations

import logging
import operator
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import fx, nn

from fedtiny.errors import UnsupportedError

INPUT = "input"
EXAMPLE_BATCH = 2  # torch.export takes a batch of 1 for a constant

ALIASES = frozenset({"alias", "clone", "contiguous", "detach", "dropout", "identity"})
"""Operators that change nothing in eval mode; their value keeps the name of their input."""

VIEWS = ALIASES | {"flatten", "reshape", "squeeze", "unsqueeze", "view", "select", "slice"}
"""Operators whose value may share memory with their input."""


@dataclass(frozen=True)
class Capture:
    """A module as torch.export sees it in eval mode; in-place operators may be read as others.

    Attributes:
        nodes: The operators in order; those without a name only compute sizes.
        names: Tensor name of the input, of every operator's value, and of aliases.
        state: Parameters and buffers by their placeholder, each with its name in the module.
        outputs: The values that the module returns.
    """

    nodes: tuple[fx.Node, ...]
    names: Mapping[fx.Node, str]
    state: Mapping[fx.Node, tuple[str, torch.Tensor]]
    outputs: tuple[fx.Node, ...]


def capture(module: nn.Module, input_shape: Sequence[int]) -> Capture:
    """Capture a module once, for any batch size.

    Args:
        module: Any module that takes one float32 tensor; its training mode is left as it was.
        input_shape: Of one sample, for example `(C, H, W)`.

    Raises:
        UnsupportedError: torch.export cannot capture it, or it takes more than one tensor.
    """
    training = {name: part.training for name, part in module.named_modules()}
    module.eval()
    try:
        with _silence(), torch.no_grad():
            program = _export(module, input_shape)
    finally:
        for name, part in module.named_modules():
            part.training = training[name]
    return _named(program)


def short_name(node: fx.Node) -> str:
    """The operator's name, for example ``"add"``: no namespace, overload or mark of in-place."""
    return _full_name(node).removesuffix("_")


def _full_name(node: fx.Node) -> str:
    name = getattr(node.target, "_opname", None)
    return str(name if name is not None else getattr(node.target, "__name__", node.target))


def _in_place(node: fx.Node) -> bool:
    return node.op == "call_function" and _full_name(node).endswith("_")


def _harmless(node: fx.Node) -> bool:
    """Whether the value that an in-place operator overwrites is that operator's alone."""
    value = node.args[0]
    if not isinstance(value, fx.Node) or value.op == "placeholder" or short_name(value) in VIEWS:
        return False
    others = [user for user in value.users if user is not node]
    return all(user < node and short_name(user) not in VIEWS for user in others)


@contextmanager
def _silence() -> Iterator[None]:
    """Keep torch's deprecations and its logging of what we report as an error off the screen."""
    level = logging.root.manager.disable
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.disable(logging.ERROR)
        try:
            yield
        finally:
            logging.disable(level)


def _export(module: nn.Module, input_shape: Sequence[int]) -> torch.export.ExportedProgram:
    example = torch.zeros(EXAMPLE_BATCH, *input_shape)
    batch = {0: torch.export.Dim.DYNAMIC}
    try:
        program = torch.export.export(module, (example,), dynamic_shapes=(batch,))
        if not all(_harmless(node) for node in program.graph.nodes if _in_place(node)):
            program = program.run_decompositions({})  # without in-place operators, but slow
    except Exception as error:  # torch.export raises many kinds for what it cannot follow
        lines = str(error).strip().splitlines()
        reason = lines[0] if lines else type(error).__name__
        raise UnsupportedError(
            f"module {type(module).__name__}: torch.export cannot capture it for input "
            f"{('N', *input_shape)}: {reason}"
        ) from error
    return program


def _named(program: torch.export.ExportedProgram) -> Capture:
    signature = program.graph_signature
    stored = {**signature.inputs_to_parameters, **signature.inputs_to_buffers}
    tensors = {**program.state_dict, **program.constants}
    constants = signature.inputs_to_lifted_tensor_constants
    state: dict[fx.Node, tuple[str, torch.Tensor]] = {}
    names: dict[fx.Node, str] = {}
    taken: set[str] = {INPUT}
    nodes: list[fx.Node] = []
    outputs: tuple[fx.Node, ...] = ()
    for node in program.graph.nodes:
        if node.op == "placeholder":
            if node.name in stored or node.name in constants:
                name = stored.get(node.name) or constants[node.name]
                state[node] = (name, tensors[name])
            elif INPUT in names.values():
                raise UnsupportedError("the module takes more than one tensor; one is supported.")
            else:
                names[node] = INPUT
        elif node.op == "output":
            outputs = tuple(value for value in node.args[0] if isinstance(value, fx.Node))
        elif node.op == "call_function":
            nodes.append(node)
            if not _is_tensor(node):
                continue
            source = node.args[0] if node.args else None
            aliased = short_name(node) in ALIASES or node.target is operator.getitem
            if aliased and isinstance(source, fx.Node) and source in names:
                names[node] = names[source]
            else:
                names[node] = _unique(_path(node), taken)
    return Capture(tuple(nodes), names, state, outputs)


def _is_tensor(node: fx.Node) -> bool:
    value = node.meta.get("val")
    first = value[0] if isinstance(value, tuple | list) and value else value
    return isinstance(first, torch.Tensor)


def _path(node: fx.Node) -> str:
    """The module's path for an operator of torch.nn, else the path and the operator's name."""
    stack = list(node.meta.get("nn_module_stack", {}).values())
    path, kind = stack[-1] if stack else ("", "")
    kind = kind if isinstance(kind, str) else f"{kind.__module__}.{kind.__qualname__}"
    if path and kind.startswith("torch.nn."):
        return str(path)
    return f"{path}.{short_name(node)}" if path else short_name(node)


def _unique(name: str, taken: set[str]) -> str:
    candidate, count = name, 0
    while candidate in taken:
        count += 1
        candidate = f"{name}_{count}"
    taken.add(candidate)
    return candidate
