"""Shows each trace in the terminal: once it is whole, or when it has kept the reader waiting."""

import threading
import time
from collections.abc import Callable

from rich.console import Console
from rich.text import Text

from viewer.picture import FAINT, NOTICE, Picture, clean, count
from viewer.store import Store, Summary
from viewer.tree import may_grow

LOOK = 0.5  # seconds between two looks at the store: each costs the receiver time when spans pour in
QUIET = 1  # seconds after its last span that a whole trace is shown
ANSWER = 6  # the same for one that waits for the other side of a call: by default programs send every 5 seconds
PATIENCE = 10  # seconds after its first span not shown that any other is
EMPTY = 5  # seconds until an empty terminal says how to fill it
BURST, RATE = 30, 5  # traces drawn at once, and a second: nobody reads faster
MAX_NOTICE = 500  # characters of a line
MAX_COLOURS = 1_000  # services that have one
STYLES = ("cyan", "magenta", "green", "blue", "bright_cyan", "bright_magenta", "bright_green", "bright_blue")
ASCII = str.maketrans("├└│━╸╺…✗µ", "|`|===~xu")  # for a terminal that does not take UTF-8


class Terminal:
    """Draws on a console what comes into the store. `hint` is what it says while nothing comes.

    below: called with each trace that it has drawn, as Store.trace gives it; what it returns stands below the picture.
    """

    def __init__(self, store: Store, console: Console, hint: str = "", below: Callable[[list], str] | None = None):
        self.store = store
        self.console = console
        self.below = below
        self.leaving, self.ended = threading.Event(), threading.Event()
        self.hint = hint
        self._notices: dict[str, bool] = {}  # line -> whether it was said
        self._shown: dict[str, int] = {}  # trace id -> how many spans it had when it was shown
        self._since: dict[str, float] = {}  # trace id -> when the first span came that is not shown yet
        self._growing: dict[str, tuple[int, bool]] = {}  # trace id -> its spans when we looked, and what we found
        self._colours: dict[str, str] = {}  # service -> style
        self._budget = BURST  # traces that may be drawn now
        self._dropped = 0  # traces that had left the store when we last looked
        self._began = self._now = time.monotonic()
        self._refused, self._next_refusal = 0, self._began  # refused spans, how many were said and when to go on

    def run(self, saved: bool = False) -> None:
        """Show traces until `leaving` is set, then what is left; then, or when nobody reads any more, set `ended`.

        saved: nothing will come to the traces that are there now, so they are shown at once.
        """
        try:
            if saved:
                self.show(time.monotonic(), everything=True)
            while not self.leaving.wait(LOOK):
                self.show(time.monotonic())
            self.show(time.monotonic(), everything=True)
        except (OSError, SystemExit):  # the second is what rich makes of a broken pipe
            pass
        finally:
            self.ended.set()

    def say(self, line: str) -> None:
        """Show a line soon, once however often it is said. May be called by any thread."""
        self._notices.setdefault(line, False)

    def show(self, now: float, everything: bool = False) -> None:
        """Show what is due at `now`, in seconds of time.monotonic(), or everything that was not shown yet."""
        self._budget = min(BURST, self._budget + RATE * (now - self._now))
        self._now = now
        if self.hint and not self.store.revision and now - self._began >= EMPTY:
            self._print(Text(self.hint, FAINT))
            self.hint = ""
        for line in [line for line, was_said in self._notices.copy().items() if not was_said]:
            self._print(Text(clean(line, MAX_NOTICE), NOTICE), soft_wrap=True)  # to be copied
            self._notices[line] = True
        refused = self.store.refused
        if refused.count > self._refused and (everything or now >= self._next_refusal):
            self._print(Text(f"{count(refused.count - self._refused, 'span')} refused: {refused.reason}", NOTICE))
            self._refused, self._next_refusal = refused.count, now + PATIENCE

        summaries = self.store.summaries()
        due = [summary for summary in reversed(summaries) if self._is_due(summary, everything)]
        drawn, growing = [], set()
        for summary in reversed(due):  # the newest first, and only as many as can be drawn: to look inside costs
            if len(drawn) == int(self._budget):
                break
            if not everything and self._may_grow(summary):
                growing.add(summary.trace_id)
            else:
                drawn.append(summary)
        due = [summary for summary in due if summary.trace_id not in growing]
        if len(due) > len(drawn):
            self._print(Text(f"… {count(len(due) - len(drawn), 'trace')} not drawn: too many at once", NOTICE))
        for summary in reversed(drawn):
            self._draw(summary)
        self._budget -= len(drawn)
        for summary in due:
            self._shown[summary.trace_id] = summary.span_count
            self._since.pop(summary.trace_id, None)
            self._growing.pop(summary.trace_id, None)
        if self._dropped != self.store.dropped:
            self._dropped = self.store.dropped
            here = {summary.trace_id for summary in summaries}
            for memory in (self._shown, self._since, self._growing):
                for trace_id in memory.keys() - here:
                    del memory[trace_id]

    def _is_due(self, summary: Summary, everything: bool) -> bool:
        if summary.span_count == self._shown.get(summary.trace_id):
            return False
        since = self._since.setdefault(summary.trace_id, summary.arrived)
        is_whole = summary.complete and self._now - summary.arrived >= QUIET
        return everything or is_whole or self._now - since >= PATIENCE

    def _may_grow(self, summary: Summary) -> bool:
        """Whether the other side of a call may still come, and is worth waiting for."""
        waited = self._now - self._since[summary.trace_id]
        if self._now - summary.arrived >= ANSWER or waited >= PATIENCE:
            return False
        spans, growing = self._growing.get(summary.trace_id, (0, False))
        if spans != summary.span_count:
            growing = may_grow(self.store.trace(summary.trace_id) or [])
            self._growing[summary.trace_id] = summary.span_count, growing
        return growing

    def _draw(self, summary: Summary) -> None:
        trace = self.store.trace(summary.trace_id)
        if trace is None:  # it has just left for room
            return
        for name, *_ in summary.services:
            if len(self._colours) < MAX_COLOURS:
                self._colours.setdefault(name, STYLES[len(self._colours) % len(STYLES)])
        more = summary.span_count - self._shown.get(summary.trace_id, summary.span_count)
        try:
            text = Picture(summary, trace, self.console, self._colours, more).draw()
        except Exception as error:  # noqa: BLE001, one trace must not cost the reader all others
            text = Text(f"trace {summary.trace_id} cannot be drawn: {type(error).__name__}", NOTICE)
        self._print(text)
        if self.below:
            self._print(Text(self.below(trace)))

    def _print(self, text: Text, **options) -> None:
        if self.console.options.ascii_only:
            text.plain = text.plain.translate(ASCII).encode("ascii", "replace").decode()
        self.console.print(text, end="\n\n", **options)
