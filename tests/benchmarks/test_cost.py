"""`make bench`, in a short form; `.ci/run` does the long one."""


def test_each_way_to_trace_answers_and_none_loses_a_span(start, venv_auto):
    process = start("-m", "benchmarks.cost", "--short")
    assert process.wait(100) == 0, process.output
    lines = [line for line in process.out.splitlines() if line.startswith("|")]
    rows = {cells[0]: cells[1:] for cells in ([cell.strip() for cell in line.split("|")[1:-1]] for line in lines)}
    assert rows["a ping"] == ["none", "off", "sampled", "by hand", "automatic"]
    assert rows["spans lost"] == ["0", "0", "0", "0", "0"]
    assert {len(cells) for cells in rows.values()} == {5}
