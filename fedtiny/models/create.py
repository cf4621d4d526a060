"""A network by name."""

from __future__ import annotations

import importlib
import inspect
import math
from collections.abc import Callable, Sequence
from typing import cast

import torch
from torch import nn

from fedtiny import discovery
from fedtiny.errors import UsageError

_NETWORKS = "fedtiny.models.networks"


def model_names() -> tuple[str, ...]:
    """The named networks."""
    return discovery.names(_NETWORKS)


def create(name: str, input_shape: Sequence[int], classes: int, seed: int = 0) -> nn.Module:
    """Make a network with seeded random weights; torch's random state is left as it was.

    Args:
        name: One of `model_names()`, or ``"package.module:factory"``, a function of
            `(input_shape, classes)` that returns the module. ``"name@0.5"`` is the network with
            that multiple of its channels, for networks that take a keyword `width`.
        input_shape: `(C, H, W)` of one sample.
        classes: Number of outputs.
        seed: Of the initial weights.

    Raises:
        UsageError: The name is unknown, the factory cannot be imported or fails, or the network
            does not take such inputs.
    """
    name, width = _split_width(name)
    factory = _user_factory(name) if ":" in name else _named(name)
    options = {} if width is None else {"width": width}
    if options and "width" not in inspect.signature(factory).parameters:
        raise UsageError(f"model {name!r} has no widths: its factory takes no keyword width.")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        try:
            module = factory(tuple(input_shape), classes, **options)
        except Exception as error:
            raise UsageError(f"model {name!r} cannot be made: {error}.") from error
        if not isinstance(module, nn.Module):
            raise UsageError(f"model {name!r} returned a {type(module).__name__}, no nn.Module.")
        _check_output(name, module, input_shape, classes)
    return module


def _split_width(name: str) -> tuple[str, float | None]:
    """The network's name and its width, None where none is given.

    Raises:
        UsageError: The width is no positive number.
    """
    base, at, text = name.partition("@")
    if not at:
        return name, None
    try:
        width = float(text)
    except ValueError:
        width = math.nan
    if not 0 < width < math.inf:
        raise UsageError(f"model {name!r}: width is {text!r}; accepted is a number above 0.")
    return base, width


def _named(name: str) -> Callable[..., nn.Module]:
    network = discovery.load(_NETWORKS, "model", name, also=("package.module:factory",))
    return cast(Callable[..., nn.Module], network.build)


def _user_factory(name: str) -> Callable[..., nn.Module]:
    module_name, _, attribute = name.partition(":")
    try:
        factory = getattr(importlib.import_module(module_name), attribute)
    except Exception as error:  # importing runs the user's code, which may raise anything
        raise UsageError(f"model {name!r} cannot be imported: {error}.") from error
    if not callable(factory):
        raise UsageError(f"model {name!r} is not a function of (input_shape, classes).")
    parameters = inspect.signature(factory).parameters.values()
    required = [p for p in parameters if p.default is p.empty and p.kind not in (2, 4)]
    if len(required) > 2 or len(parameters) < 1:
        raise UsageError(f"model {name!r} is not a function of (input_shape, classes).")
    return cast(Callable[..., nn.Module], factory)


def _check_output(name: str, module: nn.Module, input_shape: Sequence[int], classes: int) -> None:
    training = module.training
    module.eval()
    try:
        with torch.no_grad():
            output = module(torch.zeros(1, *input_shape))
    except Exception as error:
        raise UsageError(
            f"model {name!r} does not take inputs of shape {tuple(input_shape)}: {error}."
        ) from error
    finally:
        module.train(training)
    accepted, what = (1, classes), "one logit for each class"
    if getattr(module, "reconstructs", False):
        accepted, what = (1, math.prod(input_shape)), "as it says that it reconstructs its input"
    if not isinstance(output, torch.Tensor) or output.shape != accepted:
        shape = tuple(output.shape) if isinstance(output, torch.Tensor) else type(output).__name__
        raise UsageError(
            f"model {name!r} returns {shape} for one sample; accepted is {accepted}, {what}."
        )
