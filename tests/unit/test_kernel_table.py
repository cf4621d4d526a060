"""The kernel table: its header is up to date, its structs are C's, its rows are complete."""

from importlib import resources
from pathlib import Path

import numpy as np
import pytest

from fedtiny.devices import kernel_core, profiles, toolchains
from fedtiny.runtime import table
from fedtiny.runtime.contract import Packed

pytestmark = pytest.mark.quick
ROOT = Path(str(resources.files("fedtiny.runtime")))


def test_header_is_generated_from_the_table() -> None:
    committed = (ROOT / "include" / "fedtiny" / "kernels.h").read_text("utf-8")
    assert committed == table.header(), "run: python -m fedtiny.runtime.table"
    committed = (ROOT / "include" / "fedtiny" / "parts.h").read_text("utf-8")
    assert committed == table.parts_header(), "run: python -m fedtiny.runtime.table"


def test_every_source_and_packing_exists() -> None:
    for kernel in table.kernels():
        assert (ROOT / kernel.source).is_file(), kernel.name
        assert Path(kernel.source).stem == kernel.name
        for function in ("supports", "contract", "pack", "unpack", "features"):
            assert callable(getattr(table.packing(kernel), function)), kernel.name


def test_every_kernel_source_is_in_the_table() -> None:
    files = {f"kernels/{p.name}" for p in (ROOT / "kernels").iterdir() if p.suffix in (".c", ".S")}
    assert files == {kernel.source for kernel in table.kernels()}


def test_names_are_unique_and_every_op_has_one_reference_a_dtype() -> None:
    kernels = table.kernels()
    assert len({k.name for k in kernels}) == len(kernels)
    # Conversions of layouts are compared with the packing's own numpy code.
    for op, dtype in {(k.op, k.dtype) for k in kernels if k.op != "convert_layout"}:
        references = [k for k in kernels if (k.op, k.dtype) == (op, dtype) and k.reference]
        assert len(references) == 1, (op, dtype)
        assert not references[0].isa


def test_struct_fields_follow_c_alignment() -> None:
    dtype = table.param_struct("planes_add_f32")
    assert dtype.itemsize == 12
    dtype = table.param_struct("conv2d_s8")
    assert dtype.itemsize % dtype.alignment == 0
    assert dtype.fields is not None
    assert dtype.fields["in_w"][1] == 16


def test_encode_params_places_fields_and_marks_absent_constants() -> None:
    kernel = table.kernel("fully_connected_f32")
    packed = Packed({"inputs": 3, "outputs": 2, "output_min": 0.0, "output_max": 6.0})
    record = np.frombuffer(
        table.encode_params(kernel, packed, {}), table.param_struct(kernel.params)
    )[0]
    assert record["weights"] == record["bias"] == table.ABSENT
    assert (record["inputs"], record["outputs"], record["output_max"]) == (3, 2, 6.0)


@pytest.mark.parametrize(
    "params",
    [
        {"elements": 1 << 32, "output_min": 0.0, "output_max": 6.0},
        {"elements": 1, "output_min": 0.0},
        {"elements": 1, "output_min": 0.0, "output_max": 6.0, "other": 1},
    ],
)
def test_encode_params_refuses_what_does_not_fit(params: dict[str, int | float]) -> None:
    with pytest.raises((ValueError, OverflowError)):
        table.encode_params(table.kernel("add_f32"), Packed(params), {})


def test_code_sizes_name_kernels_and_are_those_of_the_compiler() -> None:
    """A function shared by two kernels has one size; sizes drift with the sources, a little."""
    target = profiles.target("cortex-m4")
    sized = [k for k in table.kernels() if table.code(k, target.cost)]
    sizes: dict[str, set[int]] = {}
    for kernel in sized:
        for name, size in table.code(kernel, target.cost).items():
            sizes.setdefault(name, set()).add(size)
        assert kernel.symbol in table.code(kernel, target.cost)
    assert all(len(found) == 1 for found in sizes.values())
    if "gcc" not in toolchains.available(target):
        pytest.skip("arm-none-eabi-gcc is not installed")
    for name in ("conv2d_pairs_s8_dsp", "fully_connected_s8"):
        kernel = table.kernel(name)
        known = sum(table.code(kernel, target.cost).values())
        found = sum(kernel_core.functions(target, kernel, "gcc").values())
        assert found == pytest.approx(known, rel=0.1), "run: python -m benchmarks.code_sizes"
