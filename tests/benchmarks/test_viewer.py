"""The short form of the viewer's benchmark."""

import re


def test_under_a_steady_flow_of_spans_the_viewers_memory_is_flat_and_its_page_answers(start):
    settings = {"VIEWER_MAX_TRACES": 500, "VIEWER_MAX_SPANS": 2_000}  # so that it is full within a second
    process = start("benchmarks/viewer.py", "--soak", 0.05, "--rate", 5_000, **settings)
    assert process.wait(60) == 0, process.output
    megabytes = [int(number) for number in re.findall(r"min, .* (\d+) MB", process.out)]
    assert len(megabytes) > 8, process.out
    assert megabytes[-1] - megabytes[2] <= 10, process.out
    assert re.search(r"slowest answer +\d+ ms", process.out)
