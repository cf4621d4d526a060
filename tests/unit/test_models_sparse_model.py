"""Model files: exact, byte-identical, and verified when read."""

import dataclasses
import json
from pathlib import Path

import pytest
import safetensors.torch
import torch

from fedtiny.errors import UsageError
from fedtiny.models import create
from fedtiny.pruning.masks import magnitude_masks, masked
from fedtiny.sparse_model import Provenance, SparseModel

pytestmark = pytest.mark.quick


def model() -> SparseModel:
    module = create("resnet8-stride2", (1, 8, 8), 3)
    masks = magnitude_masks(module.state_dict(), {"stage3.conv2.weight": 400})
    state = masked(module.state_dict(), masks)
    provenance = Provenance("fedtiny", "fashion-mnist-mini", 0.1, 20, 0)
    ranges = {f"activation{i}": (-0.1 * i, 1 / 3) for i in range(20)}
    return SparseModel(
        "resnet8-stride2", (1, 8, 8), ("a", "b", "c"), state, masks, provenance, ranges
    )


def test_models_survive_exactly(tmp_path: Path) -> None:
    made = model()
    made.save(tmp_path / "m.safetensors")
    read = SparseModel.load(tmp_path / "m.safetensors")
    for field in ("architecture", "input_shape", "classes", "provenance", "ranges"):
        assert getattr(read, field) == getattr(made, field)
    for left, right in ((read.state, made.state), (read.masks, made.masks)):
        assert left.keys() == right.keys()
        assert all(torch.equal(left[n], right[n]) and left[n].dtype == right[n].dtype for n in left)
    module = read.module()
    assert not module.training
    assert torch.equal(
        module.state_dict()["stage3.conv2.weight"], made.state["stage3.conv2.weight"]
    )
    assert module(torch.zeros(2, 1, 8, 8)).shape == (2, 3)


def test_equal_content_gives_equal_bytes(tmp_path: Path) -> None:
    made = model()
    made.save(tmp_path / "a")
    backwards = dataclasses.replace(
        made,
        state={
            n: v.contiguous(memory_format=torch.channels_last) if v.dim() == 4 else v
            for n, v in reversed(made.state.items())
        },
        ranges=dict(reversed(made.ranges.items())),
    )
    backwards.save(tmp_path / "b")
    SparseModel.load(tmp_path / "a").save(tmp_path / "c")
    data = (tmp_path / "a").read_bytes()
    assert data == (tmp_path / "b").read_bytes() == (tmp_path / "c").read_bytes()


def test_damaged_files_are_refused_in_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    with pytest.raises(UsageError, match="no such file"):
        SparseModel.load(path)
    with pytest.raises(UsageError, match="cannot read model"):
        SparseModel.load(tmp_path)
    model().save(path)
    whole = path.read_bytes()
    header = 8 + int.from_bytes(whole[:8], "little")
    places = [*range(0, header, 97), *range(header, len(whole), 20011), len(whole) - 1]
    for at in places:
        flipped = bytearray(whole)
        flipped[at] ^= 0x10
        path.write_bytes(bytes(flipped))
        with pytest.raises(UsageError) as error:
            SparseModel.load(path)
        assert "\n" not in str(error.value)
    for size in (0, 7, 8, 100, header, len(whole) - 1):
        path.write_bytes(whole[:size])
        with pytest.raises(UsageError):
            SparseModel.load(path)
    path.write_bytes(b"not a model at all" * 100)
    with pytest.raises(UsageError):
        SparseModel.load(path)


def test_other_safetensors_are_not_models(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    for metadata in ({}, {"fedtiny": "{}"}, {"fedtiny": "[]"}, {"fedtiny": "x"}, {"format": "pt"}):
        safetensors.torch.save_file({"w": torch.zeros(3)}, path, metadata)
        with pytest.raises(UsageError, match="no FedTiny model"):
            SparseModel.load(path)


def sealed(path: Path, change) -> None:  # type: ignore[no-untyped-def]
    """A file whose checksum is right but whose content is changed before."""
    from fedtiny import sparse_model

    model().save(path)
    with safetensors.safe_open(path, framework="pt") as file:
        about = json.loads(file.metadata()["fedtiny"])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    del about["sha256"]
    change(about, tensors)
    about["sha256"] = sparse_model._digest(tensors, about)
    safetensors.torch.save_file(tensors, path, {"fedtiny": json.dumps(about, sort_keys=True)})


MASK, WEIGHT = "mask.stage3.conv2.weight", "state.stage3.conv2.weight"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda a, t: a.update(format=9), "format 9; accepted is 1"),
        (lambda a, t: a.pop("classes"), "classes"),
        (lambda a, t: a.update(classes=[]), "its classes are"),
        (lambda a, t: a.update(input_shape=[1, 0, 8]), "its input shape is"),
        (lambda a, t: a.update(input_shape="x"), "its input shape is"),
        (lambda a, t: a.update(architecture=3), "its architecture is no text"),
        (lambda a, t: a.update(ranges={"x": [1, 0]}), "the range of 'x'"),
        (lambda a, t: a.update(ranges={"x": [1]}), "damaged"),
        (lambda a, t: a.update(provenance={}), "damaged"),
        (lambda a, t: t.update({MASK: t[MASK][:3].clone()}), "does not fit its weights"),
        (lambda a, t: t.update({MASK: t[MASK].float()}), "does not fit its weights"),
        (lambda a, t: t.update({"mask.none": t[MASK].clone()}), "the mask of .none"),
        (lambda a, t: t.update({WEIGHT: t[WEIGHT] + 1}), "nonzero weights where"),
        (lambda a, t: t.update({WEIGHT: t[WEIGHT] * torch.nan}), "not finite"),
        (lambda a, t: t.update(other=torch.zeros(1)), "neither weights nor masks"),
    ],
)
def test_contradictions_are_named(tmp_path: Path, change, says: str) -> None:  # type: ignore[no-untyped-def]
    sealed(tmp_path / "m", lambda about, tensors: None)
    SparseModel.load(tmp_path / "m")
    sealed(tmp_path / "m", change)
    with pytest.raises(UsageError, match=says):
        SparseModel.load(tmp_path / "m")


def test_weights_that_do_not_fit_the_architecture() -> None:
    made = model()
    with pytest.raises(UsageError, match="do not fit the architecture"):
        dataclasses.replace(made, classes=("a", "b")).module()
    with pytest.raises(UsageError, match="do not fit"):
        state = {n: v for n, v in made.state.items() if n != "output.bias"}
        dataclasses.replace(made, state=state).module()
    with pytest.raises(UsageError, match="unknown model"):
        dataclasses.replace(made, architecture="resnet7").module()


def test_loading_imports_nothing_that_the_file_names(tmp_path: Path) -> None:
    path = tmp_path / "m"
    dataclasses.replace(model(), architecture="antigravity:fly").save(path)
    import sys

    assert SparseModel.load(path).architecture == "antigravity:fly"
    assert "antigravity" not in sys.modules


def test_tied_weights_are_kept(tmp_path: Path) -> None:
    made = model()
    state = dict(made.state)
    state["twin"] = state["output.weight"]
    dataclasses.replace(made, state=state).save(tmp_path / "m")
    assert torch.equal(SparseModel.load(tmp_path / "m").state["twin"], state["output.weight"])
