"""The short form of `make bench`; docs/cost.md has the figures of the long one."""

import fcntl
import json
import os
import shutil

import pytest

from benchmarks.cost import scale, table
from benchmarks.cost.variants import VARIANTS
from tests.support import Process

NAMES = ["none", "off", "sampled", "by hand", "automatic"]

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where the results are saved: one folder for all workers of pytest-xdist, so that one of them measures."""
    own = tmp_path_factory.getbasetemp()
    folder = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "cost"
    folder.mkdir(exist_ok=True)
    return folder


def measure(part, folder):
    """Measure as `make bench` does, but too short for the figures to mean anything; return what is saved."""
    saved = folder / f"{part}.json"
    with (folder / f"{part}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not saved.exists():
            with Process.python("-m", "benchmarks.cost", part, "--short", "--results", folder) as process:
                assert process.wait(280) == 0, process.output
                assert f"Saved in {folder}" in process.out
    return json.loads(saved.read_text())


@pytest.fixture(scope="module")
def results(venv_auto, folder):
    """What is saved of the table."""
    return measure("table", folder)


@pytest.fixture(scope="module")
def growth(venv_auto, folder):
    """What is saved of the scale."""
    return measure("scale", folder)


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


def test_the_tables_have_every_cell(results, growth, folder):
    for name, tables in ("table", table.tables(results)), ("scale", scale.tables(growth)):
        for text in tables.values():
            rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines()]
            assert {len(row) for row in rows} == {len(rows[0])}
            assert all(cell for row in rows for cell in row), text
            assert text in (folder / f"{name}.md").read_text()


def test_the_waits_have_their_figures(results):
    assert len(results["moments"]) == 9
    missing = {what for what, seconds in results["moments"].items() if not seconds}
    assert all("page" in what for what in missing)
    assert bool(missing) == (not shutil.which("chromium"))


def test_it_draws_its_pictures_for_light_and_dark_pages(results, growth, folder):
    pictures = {path.name for path in folder.glob("*.svg")}
    assert pictures == {f"cost-{name}-{page}.svg" for name in ("throughput", "batches") for page in ("light", "dark")}


def test_no_size_of_a_batch_and_no_number_of_workers_loses_a_span(growth):
    assert {figures["lost"] for figures in growth["batches"].values()} == {0}
    assert {each["lost"] for figures in growth["workers"].values() for each in figures.values()} == {0}


@pytest.mark.skipif(not shutil.which("valgrind"), reason="no valgrind: `apt-get install valgrind`")
def test_instructions_are_counted_where_valgrind_is(start):
    process = start("-m", "benchmarks.cost.instructions", "off")
    assert process.wait(280) == 0, process.output
    assert 500_000 < json.loads(process.out)["instructions"]["off"] < 10_000_000


def test_without_a_collector_it_says_how_to_name_one(start):
    process = start("-m", "benchmarks.cost.nearby")
    assert process.wait() == 1
    assert process.output.splitlines() == [
        "Name the program of a Collector: python -m benchmarks.cost.nearby FOLDER/otelcol/otelcol"
    ]
