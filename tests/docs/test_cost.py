"""docs/cost.md shows what docs/cost.json holds, and no other figure."""

import json
import re

import pytest

from benchmarks.cost import docs, pictures
from tests.support import ROOT

PAGE = (ROOT / "docs" / "cost.md").read_text()
FIGURES = json.loads((ROOT / "docs" / "cost.json").read_text())
PICTURES = pictures.of_table(FIGURES["table"]) | pictures.of_scale(FIGURES["scale"])


def test_the_tables_are_those_of_the_run():
    assert docs.fill(PAGE, FIGURES) == PAGE


def test_every_table_of_the_run_is_shown():
    assert set(re.findall(r"<!-- ([\w ]+), from cost\.json -->", PAGE)) == set(docs.blocks(FIGURES))
    assert PAGE.count("<!-- end -->") == len(docs.blocks(FIGURES))


@pytest.mark.parametrize("name", PICTURES)
def test_the_pictures_are_those_of_the_run(name):
    assert (ROOT / "docs" / name).read_text() == PICTURES[name]
    assert f"]({name})" in PAGE or f'"{name}"' in PAGE


def test_the_whole_run_was_counted_and_lost_nothing():
    for program in "server", "client":
        assert all(figures["instructions"] for figures in FIGURES["table"][program].values())
        assert {figures["lost"] for figures in FIGURES["table"][program].values()} == {0}


def test_the_recommended_values_are_the_ones_that_were_measured():
    assert re.findall(r"^OTEL_BSP_MAX_EXPORT_BATCH_SIZE=(\d+)", PAGE, re.M) == [docs.RECOMMENDED]
    assert docs.RECOMMENDED in FIGURES["scale"]["batches"]
