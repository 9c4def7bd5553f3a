"""The short form of `make bench`; docs/cost.md has the figures of the long one."""

import json
import shutil

import pytest

from benchmarks.cost import scale, table
from benchmarks.cost.variants import VARIANTS
from tests.support import Process

NAMES = ["none", "off", "sampled", "by hand", "automatic"]


@pytest.fixture(scope="module")
def measured(venv_auto, tmp_path_factory):
    """Measure as `make bench` does, but too short for the figures to mean anything; the folder with the results."""
    folder = tmp_path_factory.mktemp("results")
    with Process.python("-m", "benchmarks.cost", "table", "scale", "--short", "--results", folder) as process:
        assert process.wait(110) == 0, process.output
        assert f"Saved in {folder}" in process.out
    return folder


@pytest.fixture
def results(measured):
    """What was saved of the table."""
    return json.loads((measured / "table.json").read_text())


@pytest.mark.parametrize("program", ["server", "client"])
def test_each_variant_answers_and_none_loses_a_span(results, program):
    figures = results[program]
    assert list(figures) == [variant.name for variant in VARIANTS] == NAMES
    assert all(turn["rate"] > 0 for each in figures.values() for turns in each["load"].values() for turn in turns)
    assert {name: each["lost"] for name, each in figures.items()} == dict.fromkeys(NAMES, 0)


def test_each_variant_makes_its_spans(results):
    assert {name: each["spans"] for name, each in results["server"].items()} == dict(
        zip(NAMES, [0, 0, 5, 5, 4], strict=True)
    )
    assert [results["client"][name]["spans"] for name in ("none", "off", "by hand", "automatic")] == [0, 0, 1, 1]


def test_the_tables_have_every_cell(measured):
    for part in table, scale:
        name = part.__name__.rpartition(".")[2]
        results = json.loads((measured / f"{name}.json").read_text())
        for text in part.tables(results).values():
            widths = {len(line.split("|")) for line in text.splitlines()}
            assert len(widths) == 1, text
            assert all(cell.strip() for line in text.splitlines() for cell in line.split("|")[1:-1]), text
            assert text in (measured / f"{name}.md").read_text()


def test_the_waits_have_their_figures(results):
    assert len(results["moments"]) == 9
    missing = {what for what, seconds in results["moments"].items() if not seconds}
    assert all("page" in what for what in missing)
    assert bool(missing) == (not shutil.which("chromium"))


def test_it_draws_its_pictures_for_light_and_dark_pages(measured):
    pictures = {path.name for path in measured.glob("*.svg")}
    assert pictures == {f"cost-{name}-{page}.svg" for name in ("throughput", "batches") for page in ("light", "dark")}


@pytest.mark.skipif(not shutil.which("valgrind"), reason="no valgrind: `apt-get install valgrind`")
def test_instructions_are_counted_where_valgrind_is(start):
    process = start("-m", "benchmarks.cost.instructions", "off")
    assert process.wait(110) == 0, process.output
    assert 500_000 < json.loads(process.out)["instructions"]["off"] < 10_000_000
