"""The short form of two benchmarks; docs/reliability.md has the figures of the long one."""

import re

import pytest


@pytest.fixture
def load(start):
    """Run parts of the benchmark with so many pings, and return what it prints."""

    def load(part, pings):
        process = start("benchmarks/load.py", part, "--pings", pings)
        assert process.wait(60) == 0, process.output
        return process.out

    return load


def test_every_ping_under_load_is_one_whole_trace(load):
    assert "  500 whole traces of 5 server spans; 0 spans dropped; none twice" in load("traces", 500)


def test_many_pings_leave_no_thread_no_file_and_no_memory_behind(load):
    pattern = r"since the first tenth: (\S+) MB, (\S+) threads, (\S+) open files"
    megabytes, threads, files = map(float, re.search(pattern, load("soak", 500)).groups())
    assert threads <= 3
    assert files <= 3
    assert megabytes <= 15
