"""Draws a trace for the terminal: its tree, and for each span a bar on the time line of the whole trace.

Whatever the spans hold, the picture is of bounded size and lets no control character through.
"""

from itertools import islice, takewhile

from opentelemetry.proto.trace.v1.trace_pb2 import Span
from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.text import Text

from viewer.store import Summary, Trace
from viewer.tree import Row, Tree

MAX_ROWS = 60  # spans drawn in the order of the tree
MAX_FAILURES = 5  # of those left out, spans drawn all the same because an error began there
MAX_SERVICES = 8  # named in full above the tree
MAX_NAME, MAX_MESSAGE = 100, 500  # characters
MAX_LINES = 3  # of one message
MAX_WIDTH = 120  # columns: the eye does not follow a line farther
MIN_BAR = 10  # columns
MARGIN = 2  # columns for the error marks
JOINERS = "\u200c\u200d"
FAILED, NOTICE, FAINT = "red", "yellow", "dim"
UNITS = {"y": 31_557_600e9, "d": 86_400e9, "h": 3_600e9, "min": 60e9, "s": 1e9, "ms": 1e6, "µs": 1e3}


class Picture:
    """A trace as lines of text, as wide as the console but no wider than MAX_WIDTH.

    colours: a style for each service. more: how many spans came since the trace was drawn before, if it was.
    """

    def __init__(self, summary: Summary, trace: Trace, console: Console, colours: dict[str, str], more: int = 0):
        self.summary, self.console, self.colours, self.more = summary, console, colours, more
        self.width = min(console.width, MAX_WIDTH)
        self.tree = Tree(trace)

    def draw(self) -> Text:
        """Return the whole picture."""
        rows = self.tree.rows(max_depth=self.width // 10)
        shown = list(islice(rows, MAX_ROWS))
        hidden = errors = 0
        failures = []
        for row in rows:
            hidden += row.span is not None
            errors += row.failed
            if row.failed and len(failures) < MAX_FAILURES and any(self.tree.failure(row)):
                failures.append(row)

        self._measure(shown + failures)
        lines = self._header()
        for row in shown:
            lines += self._lines(row)
        if hidden:
            lines.append(Text(f"  … {hidden:,} more spans", FAINT))
            if errors:
                lines[-1].append(f", {errors:,} of them in error", FAILED)
        for row in failures:
            lines += self._lines(row)
        for line in lines:
            line.rstrip()
            line.truncate(self.width)
        return Text("\n").join(lines)

    def _measure(self, rows: list[Row]) -> None:
        """Decide how wide each column is. What does not fit is cut: first services, then names."""
        self.gap = "  " if self.width >= 72 else " "
        self.kind_width = max(len(_kind(row)) for row in rows)
        self.time_width = max(len(_time(row)) for row in rows)
        room = self.width - MARGIN - self.kind_width - self.time_width - 4 * len(self.gap)
        names = max(cell_len(row.guides + _name(row)) for row in rows)
        self.services = {row.service: clean(row.service, MAX_NAME) for row in rows if row.span}
        services = max(map(cell_len, self.services.values()))
        self.shortened = names + services + 2 * MIN_BAR > room
        if self.shortened:
            self.services = _without_shared_beginning(self.services)
            services = min(max(map(cell_len, self.services.values())), max(8, room // 5))
        self.service_width = services
        self.name_width = max(8, min(names, room - services - MIN_BAR))
        self.bar_width = max(1, room - services - self.name_width)

    def _header(self) -> list[Text]:
        """The trace's id and figures, then what the reader has to know of it."""
        summary = self.summary
        figures = [
            count(summary.span_count, "span"),
            count(len(summary.services), "service"),
            duration(summary.end_ns - summary.start_ns),
        ]
        figures = [Text(figure) for figure in figures]
        if summary.error_count:
            figures.append(Text(count(summary.error_count, "error"), FAILED))
        lines = self._flow(figures, Text.assemble("trace ", (summary.trace_id, "bold"), "  "))
        if self.shortened:
            names = [Text(clean(name, MAX_NAME), self.colours.get(name, "")) for name, *_ in summary.services]
            if len(names) > MAX_SERVICES:
                names[MAX_SERVICES:] = [Text(f"{len(names) - MAX_SERVICES} more")]
            lines += self._flow(names, Text(" " * MARGIN))
        more = [f"updated: {count(self.more, 'more span')}"] if self.more else []
        for notice in more + notices(summary):
            lines += self._wrap(Text(notice, NOTICE), " " * MARGIN)
        return lines

    def _lines(self, row: Row) -> list[Text]:
        """One span, and under it what is special about it, and the error that began there."""
        mark, style = ("✗ ", FAILED) if row.failed else ("  ", FAINT if row.span is None else "")
        guides = set_cell_size(row.guides, min(cell_len(row.guides), self.name_width))
        name = _fit(_name(row), self.name_width - cell_len(guides))
        service = _fit(self.services.get(row.service, ""), self.service_width, keep_end=self.shortened)
        colour = self.colours.get(row.service, "")
        line = Text.assemble((mark, FAILED), (guides, FAINT), (name, style), self.gap, (service, colour))
        line.append(self.gap + _kind(row).ljust(self.kind_width) + self.gap, FAINT)
        line.append(self._bar(row.span), colour)
        line.append(self.gap + _time(row).rjust(self.time_width))
        lines = [line]
        if row.early:
            early = Text(f"begins {duration(row.early)} before its parent", NOTICE)
            lines += self._wrap(early, " " * MARGIN + row.below)
        if not row.failed:
            return lines
        exception, message = self.tree.failure(row)
        exception, message = clean(exception, MAX_NAME), clean(message, MAX_MESSAGE)
        error = Text(": ".join(filter(None, (exception, message))))
        error.stylize(FAILED, 0, len(exception))
        return lines + (self._wrap(error, " " * MARGIN + row.below) if error else [])

    def _bar(self, span: Span | None) -> str:
        """When the span ran, on the trace's time line; drawn to half a column, and at least that long."""
        if span is None or not span.start_time_unix_nano:
            return " " * self.bar_width
        halves = 2 * self.bar_width
        start, total = self.summary.start_ns, max(1, self.summary.end_ns - self.summary.start_ns)
        left = (span.start_time_unix_nano - start) * halves // total
        left = min(max(left, 0), halves - 1)
        right = (span.end_time_unix_nano - start) * halves // total
        right = min(max(right, left + 1), halves)
        return "".join(" ╺╸━"[2 * (left <= half < right) + (left <= half + 1 < right)] for half in range(0, halves, 2))

    def _flow(self, parts: list[Text], line: Text) -> list[Text]:
        """Put the parts behind `line`, with commas, and go on below where they do not fit."""
        lines = [line]
        for part, comma in zip(parts, [", "] * (len(parts) - 1) + [""], strict=True):
            if lines[-1].cell_len + part.cell_len + len(comma) > self.width and lines[-1].plain.strip():
                lines.append(Text(" " * MARGIN))
            lines[-1] += part + Text(comma)
        return lines

    def _wrap(self, text: Text, indent: str) -> list[Text]:
        """Break a text into at most MAX_LINES lines, each behind `indent`."""
        width = max(8, self.width - cell_len(indent))
        lines = list(text.wrap(self.console, width))
        if len(lines) > MAX_LINES:
            lines[MAX_LINES - 1].truncate(width - 1)
            lines[MAX_LINES - 1].append("…")
        return [Text(indent, FAINT) + line for line in lines[:MAX_LINES]]


def notices(summary: Summary) -> list[str]:
    """Return what of a trace is not here, in the words of the terminal and of the page."""
    missing = [] if summary.has_root else ["no root span has come"]
    if summary.missing_count == 1:
        missing.append(f"the parent of {count(summary.orphan_count, 'span')} has not come")
    elif summary.missing_count:
        missing.append(f"{summary.missing_count:,} parents of {summary.orphan_count:,} spans have not come")
    found = ["incomplete: " + "; ".join(missing)] if missing else []
    if summary.refused_count:
        found.append(f"cut: {count(summary.refused_count, 'span')} past what one trace may hold")
    return found


def clean(text: str, limit: int) -> str:
    """Return a text on one line, cut to `limit` characters, with control characters and the like spelt out.

    The joiners stay: they make one sign of several emoji, and write Persian.
    """
    text = " ".join(text[:limit].split()) + "…" * (len(text) > limit)
    return "".join(c if c.isprintable() or c in JOINERS else c.encode("unicode_escape").decode() for c in text)


def duration(nanoseconds: int) -> str:
    """Return a duration with three significant digits and its unit, as in `14.2 ms`."""
    for (unit, size), smaller in zip(UNITS.items(), [*UNITS.values(), 1][1:], strict=True):
        if abs(_three_digits(nanoseconds / smaller)) * smaller >= size:  # 59.96 s is 1 min
            number = _three_digits(nanoseconds / size)
            return f"{number:.{max(0, 2 - (abs(number) >= 10) - (abs(number) >= 100))}f} {unit}"
    return f"{nanoseconds} ns"


def _three_digits(number: float) -> float:
    return float(f"{number:.3g}")


def count(number: int, what: str) -> str:
    """Return a number and what it counts, in the plural where it is not one."""
    return f"{number:,} {what}{'s' * (number != 1)}"


def _name(row: Row) -> str:
    if row.span is None:
        return f"(parent {row.place.hex()} has not come)"
    return clean(row.span.name, MAX_NAME) or "(no name)"


def _kind(row: Row) -> str:
    """The span's kind; empty when it was not said."""
    number = row.span.kind if row.span else Span.SPAN_KIND_UNSPECIFIED
    if number == Span.SPAN_KIND_UNSPECIFIED:
        return ""
    known = number in Span.SpanKind.values()
    return Span.SpanKind.Name(number).removeprefix("SPAN_KIND_") if known else str(number)


def _time(row: Row) -> str:
    """How long the span took, also when that is less than nothing."""
    if row.span is None:
        return ""
    start, end = row.span.start_time_unix_nano, row.span.end_time_unix_nano
    return duration(end - start) if start and end else "not set"


def _fit(text: str, width: int, keep_end: bool = False) -> str:
    """Cut or fill a text to `width` columns."""
    if cell_len(text) > width:
        text = "…" + text[1 - width :] if keep_end else set_cell_size(text, width - 1) + "…"
    return set_cell_size(text, width)


def _without_shared_beginning(names: dict[str, str]) -> dict[str, str]:
    """Leave out the words with which all names begin: `…client`, `…server`."""
    first, last = min(names.values()), max(names.values())
    shared = "".join(a for a, _ in takewhile(lambda pair: pair[0] == pair[1], zip(first, last, strict=False)))
    length = max(shared.rfind(separator) for separator in "-_./ :") + 1
    return {key: f"…{name[length:]}" if length > 1 else name for key, name in names.items()}
