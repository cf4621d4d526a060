"""The page is complete in itself, the same every time, true to the report, and fits a phone."""

import re
import shutil
import subprocess
from html.parser import HTMLParser

import pytest

from fedtiny.report import charts, html, model

SHAPES = [
    ("conv1", 16, 32, 3),
    *((f"stack{i}_conv", 16 << (i // 3), 32 >> (i // 3), 16) for i in range(8)),
]


def figure(value, evidence="emulated", by="unicorn"):
    return model.Figure(value, evidence, by)


def layer(index, name, channels, size, inputs):
    density = 1.0 if index == 0 else 0.1
    macs = channels * size * size * inputs * 9
    kernel = "conv2d_s8" if index == 0 else "conv2d_csr_s8"
    pattern = "dense" if index == 0 else "unstructured"
    nonzero = int(macs * density)
    weights = int(channels * inputs * 9 * density)
    return model.LayerReport(
        name,
        "conv2d",
        kernel,
        pattern,
        density,
        macs,
        nonzero,
        figure(weights * 2 + channels * 12, "measured", "linker"),
        figure(0, "estimated", "planner"),
        figure(nonzero * 3 + 14 * channels * size * size),
    )


def arena():
    items, offset = [], 0
    for step, (name, channels, size, _) in enumerate(SHAPES):
        total = channels * size * size
        offset = 0 if step % 2 else 32768 - total
        items.append(model.ArenaItem(f"{name}_output", offset, total, step, step + 2))
    items.append(model.ArenaItem("row pointers", 32768, 512, 0, len(SHAPES) + 1))
    return model.ArenaMap("layers", 33280, 33000, tuple(items), 0.0091)


def make_report(**changes):
    """A report of the size of a real one, with every part."""
    layers = tuple(layer(i, *shape) for i, shape in enumerate(SHAPES))
    tensor = model.TensorInfo((1, 32, 32, 3), "int8", 0.0078, -1)
    rounds = tuple(
        model.Round(i, 0.82 - 0.6 / (1 + i), 0.1, 180_000 + i, 180_000) for i in range(1, 31)
    )
    content = {
        "fedtiny_version": "0.1.0",
        "model": model.ModelInfo(
            "resnet8", "ab" * 32, 0.112, 77_850, 12_501_632, 1_570_200, tensor, tensor
        ),
        "target": "cortex-m4",
        "device": model.DeviceInfo(
            "nucleo-l4r5zi",
            2 << 20,
            640 << 10,
            120_000_000,
            200.0,
            None,
            {
                "flash_bytes": "STM32L4R5 datasheet DS12023, table 2",
                "sram_bytes": "DS12023, table 2",
            },
        ),
        "artifacts": tuple(
            model.Artifact(kind, path, 30_000, "0123456789abcdef" * 4)
            for kind, path in (("onnx", "model.onnx"), ("tflite", "model.tflite"), ("c", "c"))
        ),
        "layers": layers,
        "totals": model.Totals(
            figure(28_540, "measured", "linker"),
            figure(19_340, "measured", "linker"),
            figure(9_200, "measured", "linker"),
            figure(33_280),
            figure(612),
            figure(0, "measured", "linker"),
            figure(5_940_000),
            None,
            figure(61.2, "estimated", "clock"),
        ),
        "budget": model.Budget(fits=True),
        "verification": (
            model.Verification("litert", 32, True, 0.0, "int8 graph"),
            model.Verification("onnxruntime", 32, False, 1.0, "int8 graph", tolerance=1.0),
            model.Verification("unicorn", 32, True, 0.0, "int8 graph"),
        ),
        "accuracy": model.Accuracy(
            "fashion-mnist-mini, test", 0.8231, 0.8225, 0.8225, 2000, "host"
        ),
        "toolchain": model.Toolchain(
            "arm-none-eabi-gcc 12.2.1", ("-O2", "-mcpu=cortex-m4"), {"numpy": "2.4.6"}
        ),
        "arena": arena(),
        "training": model.Training("fedtiny", "fashion-mnist-mini", 0.1, 10, 0, rounds),
    }
    return model.DeploymentReport(**{**content, **changes})


def text_of(page):
    return re.sub(r"\s+", " ", re.sub(r"<(style|svg).*?</\1>|<[^>]+>", " ", page, flags=re.S))


class Balance(HTMLParser):
    """Fails on an element that is closed out of order or left open."""

    VOID = frozenset({"meta", "link", "br", "img"})

    def __init__(self):
        super().__init__()
        self.open = []
        self.addresses = []

    def handle_starttag(self, tag, attributes):
        self.addresses += [value for name, value in attributes if name in ("src", "href")]
        assert tag != "script"
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        pass

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.mark.quick
def test_the_page_is_well_formed_and_complete_in_itself():
    page = html.render(make_report())
    balance = Balance()
    balance.feed(page)
    assert balance.open == []
    assert [address for address in balance.addresses if not address.startswith("data:")] == []
    assert "http" not in page
    assert "@import" not in page
    assert len(page) < 200_000
    assert html.render(make_report()) == page


@pytest.mark.quick
def test_the_verdict_comes_first_and_the_figures_are_those_of_the_report():
    text = text_of(html.render(make_report()))
    assert text.index("Fits nucleo-l4r5zi") < text.index("Budget")
    assert "Equal to the reference" in text
    assert "onnxruntime within 1" in text
    assert "82.3 % accuracy" in text or "82.2 % accuracy" in text
    assert "5,940,000" in text
    assert "33,280 bytes" in text
    assert "DS12023, table 2" in text
    assert text.count("conv2d_csr_s8") == 8


@pytest.mark.quick
def test_bad_news_is_said_plainly():
    failure = model.BudgetFailure("sram_bytes", 20_000, 33_892, "conv1_output", "density 0.05 fits")
    wrong = model.Verification("unicorn", 32, False, 9.0, "int8 graph", "stack3_conv")
    report = make_report(budget=model.Budget(False, (failure,)), verification=(wrong,))
    text = text_of(html.render(report))
    assert "Does not fit nucleo-l4r5zi" in text
    assert "13.6 KiB" in text or "13,892 B" in text
    assert "density 0.05 fits" in text
    assert "differs from stack3_conv on" in text


@pytest.mark.quick
def test_what_is_unknown_is_a_dash_and_never_a_zero():
    bare = make_report(
        device=None, layers=(), totals=model.Totals(), verification=(), accuracy=None, arena=None,
        training=None, budget=model.Budget(), artifacts=(), toolchain=model.Toolchain(),
    )  # fmt: skip
    text = text_of(html.render(bare))
    assert "No device named" in text
    assert "Not verified" in text
    assert "Accuracy not known" in text
    assert re.search("Instructions \N{EN DASH}", text)
    assert "None" not in text


@pytest.mark.quick
def test_names_are_escaped():
    tensor = model.TensorInfo((1,), "int8")
    evil = model.ModelInfo('<b>&"x', "ab", 1.0, 1, 1, 1, tensor, tensor)
    page = html.render(make_report(model=evil))
    assert "<b>&" not in page
    assert "&lt;b&gt;&amp;" in page


@pytest.mark.quick
def test_the_page_states_the_arena_beside_its_bound():
    page = html.render(make_report())
    assert "33,280 bytes" in page
    assert "(33,000 bytes; the arena is 0.9 % above)" in page


def test_arena_items_lie_where_the_report_says():
    items = (model.ArenaItem("a", 0, 25, 0, 1), model.ArenaItem("b[3]", 75, 25, 1, 4))
    chart = charts.arena_map(model.ArenaMap("rows", 100, 50, items))
    low, high = chart.blocks
    assert (low.x, low.width, low.y, low.height) == (0, 25, 75, 25)
    assert (high.x, high.width, high.y, high.height) == (25, 75, 0, 25)
    assert high.name == "b"
    assert chart.bound == 50


@pytest.mark.quick
def test_rows_of_a_tensor_are_counted_together():
    rows = (("t[0]", 0, 2), ("t[1]", 1, 3), ("t[2]", 2, 4), ("u", 0, 1))
    items = tuple(model.ArenaItem(name, 0, 10, born, dies) for name, born, dies in rows)
    first, second = charts.arena_map(model.ArenaMap("rows", 40, 30, items)).owners
    assert (first.name, first.most_bytes, first.born, first.dies) == ("t", 20, 0, 4)
    assert (second.name, second.most_bytes) == ("u", 10)


@pytest.mark.quick
def test_the_accuracy_line_spans_its_rounds():
    rounds = tuple(model.Round(i, value) for i, value in ((1, 0.2), (2, None), (3, 0.8)))
    line = charts.accuracy_line(rounds)
    assert line.points == "0.00,100.0 100.00,0.0"
    assert (line.best, line.best_round) == (0.8, 3)
    assert charts.accuracy_line(rounds[:2]) is None


@pytest.mark.skipif(not shutil.which("chromium"), reason="needs chromium")
@pytest.mark.parametrize("width", [390, 1200])
def test_nothing_sticks_out_of_the_screen(tmp_path, width):
    (tmp_path / "report.html").write_text(html.render(make_report()), encoding="utf-8")
    probe = tmp_path / "probe.html"
    probe.write_text(
        f"<iframe id=f src=report.html style='width:{width}px;height:800px;border:0'></iframe>"
        "<script>f.onload = () => { const d = f.contentDocument.documentElement;"
        "document.title = d.scrollWidth + ' of ' + d.clientWidth; }</script>"
    )
    command = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"]
    command += ["--allow-file-access-from-files", "--virtual-time-budget=5000", str(probe)]
    command.insert(1, f"--user-data-dir={tmp_path}/profile")
    dom = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
    found = re.search(r"<title>(\d+) of (\d+)</title>", dom)
    assert found, dom[:500]
    assert width - 20 <= int(found[2]) <= width
    assert int(found[1]) <= int(found[2])
