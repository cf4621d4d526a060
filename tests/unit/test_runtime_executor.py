"""The executor: plans of every schedule, fed programs, its errors, and damaged tables."""

import ctypes
import random
from typing import Any

import numpy as np
import pytest

from fedtiny.compiler import planner, reference
from fedtiny.compiler.ir import AveragePool2d, Conv2d, FullyConnected, Graph, Node, Reshape, Tensor
from fedtiny.compiler.serialize import tables
from fedtiny.devices import profiles
from fedtiny.errors import RunnerError, UsageError
from fedtiny.runtime.host_plan import HostModel, HostSession, run_plan, run_plan_tensors

OK, ARGUMENT, ARENA, SIZE, STATE, MODEL = range(6)
SAME = ((1, 1), (1, 1))


def network(density: float = 1.0) -> Graph:
    """conv, conv with a residual's lifetime, global pool, fully connected; float32."""
    rng = np.random.default_rng(7)

    def constant(name: str, *shape: int) -> Tensor:
        mask = rng.random(shape) < density
        return Tensor(
            name, shape, "float32", None, (rng.standard_normal(shape) * mask).astype("f4")
        )

    def value(name: str, *shape: int) -> Tensor:
        return Tensor(name, shape, "float32")

    tensors = [
        value("x", 1, 6, 5, 3),
        constant("w0", 4, 3, 3, 3),
        constant("b0", 4),
        value("a", 1, 6, 5, 4),
        constant("w1", 4, 3, 3, 4),
        constant("b1", 4),
        value("b", 1, 3, 3, 4),
        value("p", 1, 1, 1, 4),
        value("f", 1, 4),
        constant("w2", 3, 4),
        constant("b2", 3),
        value("y", 1, 3),
    ]
    nodes = (
        Node("first", Conv2d(padding=SAME, activation="relu"), ("x", "w0", "b0"), ("a",)),
        Node("second", Conv2d(stride=(2, 2), padding=SAME), ("a", "w1", "b1"), ("b",)),
        Node("pool", AveragePool2d((3, 3), (1, 1)), ("b",), ("p",)),
        Node("flatten", Reshape(), ("p",), ("f",)),
        Node("last", FullyConnected(), ("f", "w2", "b2"), ("y",)),
    )
    return Graph("network", {t.name: t for t in tensors}, nodes, ("x",), ("y",)).verify()


def image() -> np.ndarray[Any, Any]:
    return np.random.default_rng(3).standard_normal((1, 6, 5, 3)).astype(np.float32)


@pytest.mark.quick
@pytest.mark.parametrize("ram", ["min", "speed"])
@pytest.mark.parametrize("fed", [False, True])
def test_plan_equals_the_reference(ram: planner.RamMode, fed: bool) -> None:
    graph = network()
    plan = planner.plan(graph, profiles.target("c"), ram, fed)
    expected = reference.execute(graph, {"x": image()}, keep_all=True)
    tensors = run_plan_tensors(plan, [image()])
    assert set(tensors) == {"a", "b", "p", "y"}
    for name, found in tensors.items():
        np.testing.assert_allclose(found, expected[name], rtol=1e-4, atol=1e-5)


def test_a_session_gives_the_same_again() -> None:
    session = HostSession(planner.plan(network(), profiles.target("c")))
    first, second = session.run([image()]), session.run([image()])
    np.testing.assert_array_equal(first[0], second[0])
    other = session.run([image() + 1])
    assert not np.array_equal(first[0], other[0])


def test_wrong_input_is_named() -> None:
    plan = planner.plan(network(), profiles.target("c"))
    with pytest.raises(UsageError, match="input 'x' is float64"):
        run_plan(plan, [image().astype(np.float64)])


def test_a_fed_program_takes_its_rows_once() -> None:
    session = HostSession(planner.plan(network(), profiles.target("c"), fed=True))
    rows = image().reshape(6, -1).view(np.uint8)
    session.run([image()])
    with pytest.raises(RunnerError, match="STATE"):
        session.push_row(rows[0])
    session.reset()
    session.push_row(rows[0])


def test_a_program_that_is_not_fed_refuses_rows() -> None:
    session = HostSession(planner.plan(network(), profiles.target("c")))
    with pytest.raises(RunnerError, match="STATE"):
        session.push_row(image().reshape(6, -1).view(np.uint8)[0])


def calls(session: HostSession) -> Any:
    from fedtiny.runtime import host

    return host.library()


@pytest.mark.quick
def test_status_codes() -> None:
    plan = planner.plan(network(), profiles.target("c"))
    session = HostSession(plan)
    library, model = calls(session), ctypes.byref(session.model.struct)
    arena = ctypes.c_void_p(session._arena)
    size = ctypes.c_size_t
    data = (ctypes.c_uint8 * 4096)()
    u16 = ctypes.c_uint16
    assert library.fedtiny_reset(model, None, size(1 << 20)) == ARGUMENT
    assert library.fedtiny_reset(model, arena, size(plan.arena_bytes - 1)) == ARENA
    off = ctypes.c_void_p(session._arena + 1)
    assert library.fedtiny_reset(model, off, size(plan.arena_bytes)) == ARENA
    assert library.fedtiny_set_input(model, arena, u16(0), data, size(359)) == SIZE
    assert library.fedtiny_set_input(model, arena, u16(1), data, size(360)) == ARGUMENT
    assert library.fedtiny_set_input(model, arena, u16(0), data, size(360)) == OK
    assert library.fedtiny_get_output(model, arena, u16(0), data, size(11)) == SIZE
    assert library.fedtiny_get_output(model, arena, u16(1), data, size(12)) == ARGUMENT
    assert library.fedtiny_run(None, arena, None) == ARGUMENT
    library.fedtiny_row.restype = ctypes.c_void_p
    first = session.model.parts["inputs"][0]
    assert library.fedtiny_row(model, arena, u16(first), ctypes.c_int32(5)) is not None
    for row in (-1, 6):
        assert library.fedtiny_row(model, arena, u16(first), ctypes.c_int32(row)) is None


def model_of(ram: planner.RamMode = "min") -> HostModel:
    return HostModel(tables(planner.plan(network(), profiles.target("c"), ram)))


def damage(model: HostModel) -> dict[str, Any]:
    """By name, a function that makes one table wrong."""
    layers, tensors = model.parts["layers"], model.parts["tensors"]
    program, struct = model.parts["program"], model.struct

    def put(target: Any, field: str, value: int) -> Any:
        return lambda: setattr(target, field, value)

    def item(array: Any, index: int, value: int) -> Any:
        return lambda: array.__setitem__(index, value)

    return {
        "row outside the arena": item(model.parts["row_address"], 0, 0xFFFF),
        "row count": put(tensors[0], "rows", 0xFFFF),
        "row bytes": put(tensors[0], "row_bytes", 0xFFFFFFFF),
        "first row": put(tensors[0], "first_row", struct.n_rows),
        "kernel index": put(layers[0], "kernel", struct.n_kernels),
        "tensor index": put(layers[0].input[0], "tensor", struct.n_tensors),
        "output index": put(layers[0].output, "tensor", 0xFFFF),
        "counter": put(layers[0], "counter", struct.n_counters),
        "counters count": put(struct, "n_counters", 0xFFFF),
        "shared counter": put(layers[1], "counter", layers[0].counter),
        "steps": put(layers[0], "steps", layers[0].steps + 1),
        "window": put(layers[0].input[0], "window", 0xFFFF),
        "output start": put(layers[0].output, "start", -1),
        "output advance": put(layers[0].output, "advance", 0xFFFF),
        "inputs": put(layers[0], "inputs", 3),
        "params": put(layers[0], "params", struct.constants_bytes),
        "params alignment": put(layers[0], "params", 2),
        "scratch": put(layers[0], "scratch", struct.arena_bytes + 8),
        "program layer": item(program, 0, struct.n_layers),
        "program feed": item(program, 0, 0x3FF),
        "pointers": put(struct, "pointers", struct.arena_bytes),
        "pointers over rows": put(struct, "pointers", 0),
        "counters": put(struct, "counters", struct.arena_bytes - 1),
        "arena": put(struct, "arena_bytes", struct.arena_bytes - 1),
        "alignment": put(struct, "arena_alignment", 12),
        "shift": put(struct, "address_shift", 32),
        "output": item(model.parts["outputs"], 0, 0xFFFF),
        "no entries": put(struct, "n_entries", 0),
        "no constants": put(struct, "constants", 0),
        "no kernel": item(model.parts["kernels"], 0, 0),
    }


@pytest.mark.quick
@pytest.mark.parametrize("name", sorted(damage(model_of())))
def test_check_refuses(name: str) -> None:
    model = model_of()
    assert model.check() == OK
    damage(model)[name]()
    assert model.check() == MODEL


def test_check_survives_random_damage() -> None:
    """Many random changes: the check must not crash, and must refuse most of them."""
    model = model_of()
    rng = random.Random(5)
    refused = 0
    for _ in range(3000):
        part = rng.choice(["layers", "tensors", "row_address", "program", "inputs", "outputs"])
        array = model.parts[part]
        size = ctypes.sizeof(array)
        raw = (ctypes.c_uint8 * size).from_buffer(array)
        at, old = rng.randrange(size), bytes(raw)
        raw[at] = rng.choice([0, 1, 0x7F, 0x80, 0xFF, raw[at] ^ (1 << rng.randrange(8))])
        refused += model.check() == MODEL
        raw[:] = old
    assert model.check() == OK
    assert refused > 1000
