"""The terminal: what a trace looks like, when it is shown, and that nothing in a span gets out of hand."""

import io
import time
import unicodedata

import pytest
from rich.cells import cell_len
from rich.console import Console

from tests.viewer.otlp import NOON, attribute, case, exception, request, send, span, trace_id
from viewer.picture import JOINERS, MAX_FAILURES, MAX_ROWS, Picture, duration
from viewer.store import Store
from viewer.terminal import ANSWER, BURST, EMPTY, PATIENCE, QUIET, Terminal

CLIENT, SERVER = "py-opentelemetry-manual-otlp-client", "py-opentelemetry-manual-otlp-server"


class Screen:
    """A store with a terminal on it, whose time is ours."""

    def __init__(self, width=80, encoding="utf-8", hint=""):
        self.store = Store()
        self.bytes = io.BytesIO()
        file = io.TextIOWrapper(self.bytes, encoding=encoding, write_through=True)
        console = Console(file=file, width=width, highlight=False, markup=False, emoji=False)
        self.terminal = Terminal(self.store, console, hint)
        self.encoding = encoding
        self.began = time.monotonic()

    def add(self, *requests):
        for each in requests:
            send(self.store, each)
        return self

    def after(self, seconds, **options):
        """Return what it shows when `seconds` have passed since the last span came, however long that is ago."""
        self.bytes.seek(0)
        self.bytes.truncate()
        came = max((summary.arrived for summary in self.store.summaries()), default=self.began)
        self.terminal.show(came + seconds + 0.001, **options)  # and a little, for what gets lost in rounding
        return self.bytes.getvalue().decode(self.encoding)


def picture(*requests, **options):
    """Return the picture of what these requests make, whole or not."""
    return Screen(**options).add(*requests).after(PATIENCE)


HEALTHY = [
    request(span("client operation", id=1, end=20, kind=3), service=CLIENT),
    request(
        span("/ping", id=2, parent=1, start=4, end=16, kind=2),
        span("redis_integration", id=3, parent=2, start=5, end=10, kind=1),
        span("server redis operation", id=4, parent=3, start=6, end=9, kind=3),
        span("pymongo_integration", id=5, parent=2, start=10, end=15, kind=1),
        span("server pymongo operation", id=6, parent=5, start=11, end=15, kind=3),
        service=SERVER,
    ),
]
REFUSED = exception("redis.exceptions.ConnectionError", "Error 111 connecting to localhost:6379. Connection refused.")
FAILED = [
    request(
        span("client operation", id=1, failed=True, events=[exception("HTTPError", "the answer is 500")], kind=3),
        service=CLIENT,
    ),
    request(
        span("/ping", id=2, parent=1, start=1, failed=True, events=[REFUSED], kind=2),
        span("redis_integration", id=3, parent=2, start=2, failed=True, events=[REFUSED], kind=1),
        span("server redis operation", id=4, parent=3, start=3, failed=True, events=[REFUSED], kind=3),
        service=SERVER,
    ),
]


def test_a_healthy_trace_is_a_tree_with_a_time_line():
    assert picture(*HEALTHY) == (
        """\
trace 00000000000000000000000000000001  6 spans, 2 services, 20.0 ms
  py-opentelemetry-manual-otlp-client, py-opentelemetry-manual-otlp-server
  client operation                …client  CLIENT    ━━━━━━━━━━━━━━━━━━  20.0 ms
  └ /ping                         …server  SERVER       ╺━━━━━━━━━━      12.0 ms
    ├ redis_integration           …server  INTERNAL      ╺━━━━           5.00 ms
    │ └ server redis operation    …server  CLIENT         ━━━            3.00 ms
    └ pymongo_integration         …server  INTERNAL           ━━━━╸      5.00 ms
      └ server pymongo operation  …server  CLIENT             ╺━━━╸      4.00 ms

"""
    )


def test_an_error_is_marked_on_every_span_and_told_where_it_began():
    assert picture(*FAILED) == (
        """\
trace 00000000000000000000000000000001  4 spans, 2 services, 10.0 ms, 4 errors
  py-opentelemetry-manual-otlp-client, py-opentelemetry-manual-otlp-server
✗ client operation              …client  CLIENT    ━━━━━━━━━━━━━━━━━━━━  10.0 ms
  │ HTTPError: the answer is 500
✗ └ /ping                       …server  SERVER      ━━━━━━━━━━━━━━━━━━  9.00 ms
✗   └ redis_integration         …server  INTERNAL      ━━━━━━━━━━━━━━━━  8.00 ms
✗     └ server redis operation  …server  CLIENT          ━━━━━━━━━━━━━━  7.00 ms
          redis.exceptions.ConnectionError: Error 111 connecting to
          localhost:6379. Connection refused.

"""
    )


def test_where_there_is_room_each_line_names_the_service_in_full():
    lines = picture(*HEALTHY, width=120).splitlines()
    assert len(lines) == 8
    assert CLIENT in lines[1]
    assert all(SERVER in line for line in lines[2:7])


@pytest.mark.parametrize("width", [20, 40, 60, 72, 80, 100, 120, 200])
@pytest.mark.parametrize("requests", [HEALTHY, FAILED])
def test_a_picture_is_never_wider_than_the_terminal(requests, width):
    lines = picture(*requests, width=width).splitlines()
    assert max(map(cell_len, lines)) <= width


def test_wide_characters_keep_the_columns_in_line():
    lines = picture(request(span("宽字符" * 30, id=1), span("narrow", parent=1))).splitlines()
    assert [cell_len(line) for line in lines[-3:-1]] == [80, 80]


def test_a_terminal_that_takes_no_utf8_gets_ascii():
    spans = [span("größer", id=1, failed=True), span("short", parent=1, end_time_unix_nano=NOON + 5_000)]
    text = picture(request(*spans), encoding="ascii")
    assert "x gr??er" in text
    assert "` short" in text
    assert "5.00 us" in text
    assert "====" in text


def test_a_whole_trace_is_shown_once_it_is_quiet():
    screen = Screen().add(*HEALTHY)
    assert screen.after(QUIET / 2) == ""
    assert screen.after(QUIET).startswith("trace ")
    assert screen.after(QUIET) == screen.after(PATIENCE) == ""


CALL = {"kind": 3, "attributes": [attribute("http.request.method", "GET")]}


@pytest.mark.parametrize("key", ["http.request.method", "url.full", "rpc.system", "rpc.method"])
def test_a_call_without_a_child_waits_for_the_other_side(key):
    screen = Screen().add(request(span("call", id=1, kind=3, attributes=[attribute(key, "x")])))
    assert screen.after(ANSWER - 1) == ""
    assert screen.after(ANSWER).startswith("trace ")
    assert screen.after(PATIENCE) == ""


def test_one_call_of_several_without_a_child_is_waited_for():
    screen = Screen().add(request(span("root", id=1), span(id=2, parent=1, **CALL), span(id=3, parent=1, **CALL)))
    screen.add(request(span(id=4, parent=2)))
    assert screen.after(ANSWER - 1) == ""
    assert screen.after(ANSWER) != ""


@pytest.mark.parametrize(
    "whole",
    [
        span(kind=3, attributes=[attribute("db.system.name", "redis")]),
        span(kind=3, attributes=[attribute("url.full", "x"), attribute("db.system.name", "elasticsearch")]),
        span(kind=3),
        span(kind=2, attributes=[attribute("http.route", "/ping")]),
    ],
    ids=["a database", "a database over HTTP", "a call of another kind", "a server"],
)
def test_what_waits_for_no_other_side_is_shown_at_once(whole):
    assert Screen().add(request(whole)).after(QUIET) != ""


def test_the_other_half_of_a_call_may_have_its_span_id():
    screen = Screen().add(request(span(id=1, **CALL), service="a"), request(span(id=1, kind=2), service="b"))
    assert screen.after(QUIET) != ""


def test_a_call_without_a_child_is_shown_at_the_end_too():
    assert "call" in Screen().add(request(span("call", **CALL))).after(0, everything=True)


def test_while_some_wait_for_the_other_side_whole_traces_are_shown():
    screen = Screen()
    for number in range(1, 2 * BURST):
        screen.add(request(span("call", trace=number, **CALL)))
    screen.add(request(span("whole", trace=1_000)))
    text = screen.after(QUIET)
    assert "whole" in text
    assert "call" not in text
    assert "not drawn" not in text


def test_an_incomplete_trace_waits_and_then_says_what_is_missing():
    screen = Screen().add(request(span("lost", id=2, parent=0xABC), span("also lost", id=3, parent=0xABC)))
    assert screen.after(PATIENCE - 1) == ""
    text = screen.after(PATIENCE)
    assert "incomplete: no root span has come; the parent of 2 spans has not come" in text
    assert "(parent 0000000000000abc has not come)" in text
    assert "├ lost" in text


def test_several_missing_parents_are_counted():
    assert "2 parents of 3 spans have not come" in picture(
        request(span(id=1), span(parent=8), span(parent=8), span(parent=9))
    )


def test_what_comes_later_is_shown_again_and_marked():
    screen = Screen().add(request(span("root", id=1)))
    assert "updated" not in screen.after(QUIET)
    screen.add(request(span("late", id=2, parent=1), span("later", id=3, parent=2)))
    text = screen.after(QUIET)
    assert "updated: 2 more spans" in text
    assert "root" in text
    assert "later" in text
    assert screen.after(PATIENCE) == ""


def test_an_incomplete_trace_that_becomes_whole_is_shown_again():
    screen = Screen().add(request(span("child", id=2, parent=1)))
    assert "incomplete" in screen.after(PATIENCE)
    text = screen.add(request(span("root", id=1))).after(PATIENCE + QUIET)
    assert "updated: 1 more span\n" in text
    assert "incomplete" not in text


def test_at_the_end_everything_that_was_not_shown_is():
    screen = Screen().add(request(span("whole", trace=1), span("part", trace=2, parent=7)))
    text = screen.after(0, everything=True)
    assert "whole" in text
    assert "part" in text
    assert screen.after(0, everything=True) == ""


def test_too_many_traces_at_once_are_counted_instead():
    screen = Screen()
    for number in range(1, BURST + 21):
        screen.add(request(span(f"trace {number}", trace=number)))
    text = screen.after(QUIET)
    assert text.count("1 span,") == BURST
    assert "… 20 traces not drawn" in text
    assert f"trace {BURST + 20} " in text


def test_an_empty_terminal_says_how_to_fill_it_once():
    screen = Screen(hint="Send something")
    assert screen.after(EMPTY - 1) == ""
    assert "Send something" in screen.after(EMPTY + 1)
    assert screen.after(EMPTY + 2) == ""


def test_refused_spans_are_said_and_not_again_at_once():
    screen = Screen()
    screen.add(request(span(trace_id=b"x"), span(trace_id=b"y")))
    assert screen.after(1) == "2 spans refused: trace_id is not 16 bytes, or all of them are zero (2)\n\n"
    screen.add(request(span(span_id=b"")))
    assert screen.after(2) == ""
    assert screen.after(2 + PATIENCE).startswith("1 span refused: span_id is not 8 bytes")


def test_a_trace_past_its_bound_says_how_much_is_missing():
    screen = Screen()
    screen.store.max_spans_per_trace = 3
    text = screen.add(request(span(id=1), *(span(parent=1) for _ in range(7)))).after(QUIET)
    assert "cut: 5 spans past what one trace may hold" in text


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"events": [exception(message="first"), exception(message="last")]}, "ValueError: last"),
        ({"status": {"code": 2, "message": "out of stock"}}, "out of stock"),
        ({"attributes": [attribute("error.type", "503")]}, "503"),
    ],
    ids=["its last exception", "its status", "its error type"],
)
def test_a_span_in_error_tells_what_it_knows_of_it(fields, words):
    assert f"    {words}\n" in picture(request(span(**{"failed": True} | fields)))


def test_an_exception_that_was_handled_is_none_of_the_readers_worries():
    assert "ValueError" not in picture(request(span(events=[exception()])))


def test_a_long_message_is_cut():
    text = picture(request(span(failed=True, events=[exception(message="word " * 100_000)])))
    assert len(text.splitlines()) == 6
    assert "…\n" in text


EVERY_BAD_SIGN = "".join(
    chr(code) for code in range(0x110000) if unicodedata.category(chr(code)) in ("Cc", "Cf", "Zl", "Zp", "Co")
)


def test_no_control_character_of_a_span_gets_through():
    bad = "\x1b[31mred\x1b]0;title\x07\r\n\t\x9b2J\u202e\u2066" + EVERY_BAD_SIGN[:300]
    text = picture(
        request(
            span(bad, failed=True, events=[exception(bad, bad)]),
            span(bad, parent=9, status={"code": 2, "message": bad}),
            service=bad,
        )
    )
    signs = [sign for sign in text if unicodedata.category(sign) in ("Cc", "Cf", "Zl", "Zp") and sign != "\n"]
    assert set(signs) <= set(JOINERS)
    assert "\\x1b[31mred" in text


@pytest.mark.parametrize("name", ["👩‍💻 pays", "می‌خواهم"])
def test_joiners_of_emoji_and_persian_are_not_spelt_out(name):
    assert name in picture(request(span(name)))


def test_markup_in_a_name_is_only_text():
    text = picture(request(span("[bold]a[/] [link=x] :smile: https://example.org")))
    assert "[bold]a[/] [link=x] :smile: https://example.org" in text


def test_a_span_without_name_or_kind_or_time_is_shown():
    text = picture(request(span("", start_time_unix_nano=0, end_time_unix_nano=0), span("odd", kind=77, parent=5)))
    assert "(no name)" in text
    assert "not set" in text
    assert " 77 " in text


def test_a_child_that_begins_before_its_parent_is_marked_with_how_far():
    text = picture(
        request(span("root", id=1, start=5), span("early", parent=1, start=2), span("later", parent=1, start=6))
    )
    assert text.count("before its parent") == 1
    assert text.split("early")[1].splitlines()[1].strip() == "│   begins 3.00 ms before its parent"


def test_ten_thousand_levels_are_cut_but_not_their_error():
    deep = [span(f"level {n}", id=n, parent=n - 1) for n in range(1, 10_000)]
    deep.append(span("the bottom", id=10_000, parent=9_999, failed=True, events=[exception(message="it is here")]))
    text = picture(request(*deep))
    assert len(text.splitlines()) < MAX_ROWS + 10
    assert f"… {10_000 - MAX_ROWS:,} more spans, 1 of them in error" in text
    assert "…9999 the bottom" in text
    assert "ValueError: it is here" in text


def test_of_many_errors_out_of_sight_a_few_are_shown():
    children = [span(f"n{n}", parent=1, failed=n > 100, events=[exception(message=f"m{n}")]) for n in range(500)]
    assert picture(request(span(id=1), *children)).count("ValueError") == MAX_FAILURES


def test_spans_that_share_an_id_are_drawn_and_a_child_stands_under_the_one_of_its_resource():
    lines = picture(case("01")).splitlines()
    assert "4 spans, 2 services" in lines[0]
    assert [line[:15].rstrip() for line in lines[1:5]] == [
        "  GET /",
        "  ├ get profile",
        "  └ get profile",
        "    └ load row",
    ]
    assert [line.split()[3] for line in lines[2:5]] == ["web", "profiles", "profiles"]


def test_a_child_of_a_shared_id_stands_under_the_one_that_starts_last_where_none_is_of_its_resource():
    first, last = span("first", id=1, start=0), span("last", id=1, start=1)
    for spans in ((first, last), (last, first)):
        text = picture(request(*spans, service="a"), request(span("child", parent=1, start=2), service="b"))
        assert "last" in text.split("child")[0].splitlines()[-2]


def test_a_span_whose_parent_has_its_own_id_stands_under_the_other():
    text = picture(request(span("call", id=1), service="a"), request(span("answer", id=1, parent=1), service="b"))
    assert "└ answer" in text


def test_a_span_under_itself_and_a_ring_are_no_orphans():
    text = picture(case("14"))
    assert "incomplete: 2 parents of 3 spans have not come" in text
    assert text.count("has not come)") == 2
    assert [text.count(name) for name in ("self", "ring 1", "ring 2")] == [1, 1, 1]


@pytest.mark.parametrize(
    ("nanoseconds", "text"),
    [
        (0, "0 ns"),
        (999, "999 ns"),
        (1_000, "1.00 µs"),
        (14_240_000, "14.2 ms"),
        (142_400_000, "142 ms"),
        (1_500_000_000, "1.50 s"),
        (9_996_000, "10.0 ms"),
        (59_960_000_000, "1.00 min"),
        (90 * 10**9, "1.50 min"),
        (7200 * 10**9, "2.00 h"),
        (3 * 86_400 * 10**9, "3.00 d"),
        (-1_500, "-1.50 µs"),
        (2**64, "585 y"),
    ],
)
def test_a_duration_has_three_digits_and_a_unit(nanoseconds, text):
    assert duration(nanoseconds) == text


def test_a_line_is_said_once_however_often_it_comes():
    screen = Screen()
    for line in ("one\x1b[2J", "one\x1b[2J", "two"):
        screen.terminal.say(line)
    assert screen.after(0) == "one\\x1b[2J\n\ntwo\n\n"
    screen.terminal.say("two")
    assert screen.after(1) == ""


def test_a_trace_that_cannot_be_drawn_does_not_take_the_others_along(monkeypatch):
    draw = Picture.draw

    def draw_but_one(self):
        if self.summary.root_name == "bad":
            raise RuntimeError("a bug")
        return draw(self)

    monkeypatch.setattr(Picture, "draw", draw_but_one)
    text = picture(request(span("bad", trace=1), span("good", trace=2)))
    assert f"trace {trace_id(1)} cannot be drawn: RuntimeError" in text
    assert "good" in text
