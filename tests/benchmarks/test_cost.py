"""`make bench`, in a short form; `.ci/run` does the long one."""

import shutil

import pytest

from benchmarks.cost.sink import Sink
from benchmarks.cost.table import count
from benchmarks.cost.variants import VARIANTS


def test_each_way_to_trace_answers_and_none_loses_a_span(start, venv_auto):
    process = start("-m", "benchmarks.cost", "--short")
    assert process.wait(100) == 0, process.output
    lines = [line for line in process.out.splitlines() if line.startswith("|")]
    rows = {cells[0]: cells[1:] for cells in ([cell.strip() for cell in line.split("|")[1:-1]] for line in lines)}
    assert rows["a ping"] == ["none", "off", "sampled", "by hand", "automatic"]
    assert rows["spans lost"] == ["0", "0", "0", "0", "0"]
    assert {len(cells) for cells in rows.values()} == {5}


@pytest.mark.skipif(not shutil.which("valgrind"), reason="no valgrind: `apt-get install valgrind`")
def test_the_instructions_of_a_server_are_counted_and_its_spans_arrive(redis_server, mongodb_server):
    databases = {"REDIS_URL": redis_server.url, "MONGODB_URI": mongodb_server.uri}
    by_hand = next(variant for variant in VARIANTS if variant.name == "by hand")
    with Sink() as sink:
        assert count(by_hand, sink, databases, pings=2) > 100_000_000  # nearly all of it is the start
