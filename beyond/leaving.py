"""Signals, and the last export: what the backend takes within 2 s is not lost, and nobody waits for longer."""

import atexit
import signal
import sys
from contextlib import suppress

LAST_EXPORT = 2  # seconds that the last export may take, with all its tries
MARGIN = 0.2  # seconds more, in which the exporter can say why it gave up


def send_the_rest_at_exit(processor):
    """Send what `processor` (BatchSpanProcessor) still holds when the program ends, by itself or by a signal.

    A signal that somebody has taken stays theirs: gunicorn's, nohup's.
    """
    atexit.register(send_the_rest, processor)  # it runs before the SDK's own exit handler, which was registered earlier
    with suppress(ValueError):  # raised in any thread but the main one, which alone may take signals
        for name in "SIGTERM", "SIGHUP":
            number = getattr(signal, name, None)  # Windows has no SIGHUP
            if number and signal.getsignal(number) == signal.SIG_DFL:
                signal.signal(number, leave)


def leave(number, frame):
    """Handle a signal that asks the program to end: let its exit handlers run. A second one ends it at once."""
    signal.signal(number, signal.SIG_DFL)
    sys.exit(0)


def send_the_rest(processor):
    """Give the last export 2 s. Without a backend the SDK alone would keep its user waiting for 6 to 30.

    BatchSpanProcessor.shutdown() takes no timeout yet (opentelemetry-python #4623), so this needs two private names.
    Where an SDK has others, nothing happens here, and its own exit handler sends the rest in its own time.
    """
    with suppress(AttributeError, TypeError):
        exporter, shutdown = processor.span_exporter, processor._batch_processor.shutdown
        exporter._timeout = min(exporter._timeout, LAST_EXPORT)
        shutdown(timeout_millis=1000 * (LAST_EXPORT + MARGIN))
