"""Saved traces: which files are shown, and what is said of the others."""

import json
from pathlib import Path

import pytest

from tests.support import Process, clean_environment, free_port
from tests.viewer.otlp import request, send, span, trace_id
from viewer.otlp_json import add_file
from viewer.store import Store
from viewer.web import create_app

CASES = Path(__file__).with_name("cases")


def answer(number=1, name="work"):
    """Return what the read API answers for a trace of one span, and of one whose parent is missing."""
    store = Store()
    send(store, request(span(name, trace=number, id=1), span("lost", trace=number, id=2, parent=9)))
    return create_app(store).test_client().get(f"/api/v3/traces/{trace_id(number)}").json


def loaded(path, text):
    """Return the summaries of the traces in a file with this text."""
    path.write_bytes(text)
    store = Store()
    load(store, path)
    return store.summaries()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "saved.json"


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("unwrap", [False, True])
def test_an_answer_of_the_read_api_is_shown_with_or_without_its_wrapper(path, indent, unwrap):
    document = answer()["result"] if unwrap else answer()
    (summary,) = loaded(path, json.dumps(document, indent=indent).encode())
    assert (summary.trace_id, summary.span_count) == (trace_id(1), 2)


def test_the_file_of_a_collector_is_shown_line_by_line(path):
    lines = [answer(1)["result"], {"resourceMetrics": []}, answer(2)["result"], answer(1)["result"]]
    summaries = loaded(path, "\n\n".join(map(json.dumps, lines)).encode() + b"\n")
    assert [summary.trace_id for summary in summaries] == [trace_id(2), trace_id(1)]


def test_a_file_may_begin_with_a_byte_order_mark_and_end_its_lines_as_windows_does(path):
    lines = [json.dumps(answer(number)) for number in (1, 2)]
    assert len(loaded(path, b"\xef\xbb\xbf" + "\r\n".join(lines).encode())) == 2


@pytest.mark.parametrize("name", [case.name for case in sorted(CASES.iterdir())])
def test_the_small_inputs_are_shown(name):
    store = Store()
    load(store, CASES / name)
    assert store.kept() == 1


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"", "no spans"),
        (b"{}", "no spans"),
        (b'{"data":[{"traceID":"1","spans":[]}]}', "no spans"),
        (b'{"result":{}}', "no spans"),
        (b"resourceSpans: []", "JSON"),
        (b'{"resourceSpans":[', "JSON"),
        (b'{"resourceSpans":[]}\n{"resourceSpans":[', "line 2: "),
        (b'\n{}\n\n{"resourceSpans":5}', "line 4: "),
        (b"\x00\xff\xfe", ""),
        (b'{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"xyz"}]}]}]}', "traceId"),
    ],
)
def test_a_bad_file_is_one_clear_line(path, text, words):
    with pytest.raises(ValueError) as refused:
        loaded(path, text)
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("name", ["missing.json", "."])
def test_a_file_that_cannot_be_read_is_one_clear_line(tmp_path, name):
    with pytest.raises(ValueError, match=r"No such file|Is a directory|Permission denied"):
        load(Store(), tmp_path / name)


# The process


@pytest.fixture
def viewer():
    """Start a viewer: `viewer(*arguments)`."""
    processes = []

    def viewer(*arguments):
        settings = {"VIEWER_OTLP_PORT": free_port(), "VIEWER_WEB_PORT": free_port(), "VIEWER_HTTP_PORT": free_port()}
        processes.append(Process.python("-m", "viewer", *arguments, env=clean_environment(**settings)))
        return processes[-1]

    yield viewer
    for process in processes:
        process.__exit__()


def test_the_viewer_shows_the_files_it_is_given_at_once_whole_or_not(viewer, tmp_path):
    paths = [tmp_path / "one.json", tmp_path / "two.json"]
    for number, path in enumerate(paths, 1):
        path.write_text(json.dumps(answer(number, f"trace of {path.stem}")))
    process = viewer(*paths)
    process.wait_for("(?s)trace of one.*trace of two", seconds=9)  # an incomplete trace that was sent waits 10


@pytest.mark.parametrize("files", [["bad.json"], ["good.json", "bad.json"], ["missing.json"]])
def test_a_file_that_cannot_be_shown_ends_the_start(viewer, tmp_path, files):
    (tmp_path / "good.json").write_text(json.dumps(answer()))
    (tmp_path / "bad.json").write_text("once upon a time")
    process = viewer(*(tmp_path / name for name in files))
    assert process.wait() == 1
    (line,) = process.output.splitlines()
    assert line.startswith(f"viewer: cannot show {tmp_path / files[-1]}: ")


def test_the_help_says_what_a_file_is(viewer):
    process = viewer("--help")
    assert process.wait() == 0
    assert "python -m viewer [-h] [FILE ...]" in process.out
    assert "OTLP JSON" in process.out
