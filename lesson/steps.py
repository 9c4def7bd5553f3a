"""The seven steps, in order. Each is judged by what arrives, so that a program in any language can take it.

A check looks at a Ping. It returns what is wrong, and what to do (str), which is empty when the step holds. Where this
trace cannot show whether it does, that is an Unseen.
"""

import re
from collections.abc import Callable
from typing import NamedTuple

from lesson.ping import CODE, ERROR_TYPE, has_exception, kind_of
from viewer.advice import ERROR, called, short

SYSTEM, COLLECTION = "db.system.name", "db.collection.name"
OF_CLIENT = ["http.request.method", "url.full", "server.address", "server.port", CODE]
OF_SERVER = ["http.request.method", "http.route", "url.path", "url.scheme", CODE]
OF_DATABASE = [SYSTEM, "db.namespace", "db.operation.name", "server.address", "server.port"]


class Unseen(str):
    """What is said of a trace that cannot show whether a step holds; may be empty."""


FAILED = Unseen("This ping failed, and so does not show it all. Are Redis and MongoDB running?")
NO_SERVER = "No span of the server came. Make one in its view, of the kind SERVER; a decorator stands below @app.route."

FORMS = {  # what a value looks like, and what to do about another one
    "url.full": (r"https?://", "It begins with http:// or https://."),
    "url.path": (r"/", "It begins with /."),
    "server.address": (r"([^/:]+|[0-9a-f:]+)$", "Give the host alone, without the port."),
}
NUMBERS = [CODE, "server.port"]


def a_span_arrives(ping):
    """One came."""
    return ""


def it_says_who_sent_it(ping):
    """Each process has a `service.name` of its own."""
    for span in ping.spans:
        if span.service.startswith("unknown_service"):
            return f"Nobody knows which program made {called(span)}. Its process has no service.name: give it one."
    client, server = ping.client or ping.seen_client, ping.server or ping.seen_server
    if client and server and client.service == server.service:
        one = f"{called(client)} and {called(server)} come from two processes of one name, {short(client.service)}."
        return f"{one} Give each its own, which stands in no file that they share."
    return ""


def it_says_what_it_is(ping):
    """The client's span is CLIENT, with method, URL, address, port and the answer's status code."""
    span = ping.client
    if not span:
        return Unseen()
    if kind_of(span) != "CLIENT":
        return f"{called(span)} is of the kind {kind_of(span)}. A span that asks another process is CLIENT."
    if lacking(span, OF_CLIENT) == [CODE]:
        words = f"{called(span)} has no {CODE}. Set it inside of the block. Or is the server not running?"
        return Unseen(words) if span.status == ERROR or ping.seen_client else words
    return say_of_attributes(span, OF_CLIENT)


def the_server_has_one_too(ping):
    """It is SERVER, named after the route, with method, route, path, scheme and status code."""
    span = ping.server
    if not span:
        return Unseen(NO_SERVER if ping.lacks_server else "")
    if kind_of(span) != "SERVER":
        return f"{called(span)} is of the kind {kind_of(span)}. A span that answers another process is SERVER."
    if lacking(span, OF_SERVER) == [CODE] and ping.failed:
        return FAILED
    route = span.get("http.route")
    if route and (route[0] != "/" or span.name not in (route, f"{span.get('http.request.method')} {route}")):
        return f"{called(span)} has the http.route “{route}”. The name is the route, which begins with /."
    return say_of_attributes(span, OF_SERVER)


def one_trace(ping):
    """The server's span is the child of the client's."""
    client, server = ping.client, ping.server
    if server and client:
        return ""
    if server and not server.is_root:
        return Unseen(f"The parent of {called(server)} has not come.")
    if server:
        return Unseen(f"{called(server)} has no parent. The client sends no context, or this span does not take it.")
    if not client or not client.get(CODE) or not ping.seen_server:
        return Unseen()
    if ping.failed:
        return Unseen(f"The answer to {called(client)} was {client.get(CODE)}. The terminal of the server says why.")
    if ping.lacks_server:
        return NO_SERVER
    lost = f"{called(client)} had an answer, and {called(ping.seen_server)} is not its child."
    return f"{lost} Inject into the headers inside of the client's block, and extract from them in the server."


def inside_the_server(ping):
    """For each database there is an INTERNAL span, and in it a CLIENT span with the attributes of a database."""
    server, root = ping.server, ping.root
    if not server and root and root is not ping.client:
        return Unseen(f"{called(root)} began a trace of its own. Begin it inside the block of the server's span.")
    if not server:
        return Unseen()
    if ping.failed:
        return FAILED
    systems = set()
    for outer in server.children:
        if kind_of(outer) != "INTERNAL" and outer.children:
            inner = outer.children[0]
            if kind_of(inner) == "INTERNAL":
                return f"{called(inner)} is in {called(outer)}. Turn the two round."
            return f"{called(outer)} is of the kind {kind_of(outer)}. It asks nobody itself, and so is INTERNAL."
        if kind_of(outer) != "INTERNAL":
            return f"{called(outer)} is right below {called(server)}. Begin it inside the block of an INTERNAL span."
        if not outer.children:
            return f"There is nothing in {called(outer)}. Begin a CLIENT span inside of its block, around the calls."
        for span in outer.children:
            if kind_of(span) != "CLIENT" and span.children:
                return f"{called(span)} is in {called(outer)}. It belongs right below {called(server)}."
            if kind_of(span) != "CLIENT":
                return f"{called(span)} is of the kind {kind_of(span)}. A span that asks a database is CLIENT."
            systems.add(span.get(SYSTEM))
            if words := say_of_attributes(span, OF_DATABASE + [COLLECTION] * (span.get(SYSTEM) == "mongodb")):
                return words
    absent = " and ".join(system for system in ("redis", "mongodb") if system not in systems)
    return absent and f"No span below {called(server)} has the {SYSTEM} {absent}. Each wants two nested spans."


def when_it_fails(ping):
    """The error is where it began and on all above, with `error.type`; the client knows of the 500."""
    client, server = ping.client, ping.server
    if client and not client.get(CODE) and client.get(ERROR_TYPE).isdigit():
        return f"{called(client)} had no answer: its {ERROR_TYPE} is not a status code, but the exception's class."
    if not client or not server:
        return Unseen("Stop Redis, with all else running, and look at the next ping.")
    typed = next((span for span in ping.spans if span.get(ERROR_TYPE)), None)
    if not ping.failed and typed:
        return f"{called(typed)} has an {ERROR_TYPE}, and its status is not ERROR. Let the exception leave its block."
    if not ping.failed:
        went_well = "This ping went well. Stop Redis, and look at the next."
        return Unseen(f"{went_well} Is it stopped already? Then something catches the exception: raise it.")
    calls = [span for outer in server.children for span in outer.children if kind_of(span) == "CLIENT"]
    origin = next((span for span in calls if span.status == ERROR or has_exception(span) or span.get(ERROR_TYPE)), None)
    if not origin:
        return "No span of a database is in error. Is Redis stopped? Then let the exception leave its span's block."
    if not has_exception(origin):
        return f"{called(origin)} does not say what happened. Let the exception leave its block."
    for span in origin, origin.parent, server:
        if span.status != ERROR:
            return f"The status of {called(span)} is not ERROR. Let the exception leave its block."
    for span in server, client:
        if span.get(CODE) != "500":
            return f"The answer was 500, and {called(span)} does not have it as its {CODE}."
    if client.status != ERROR:
        why = "No exception leaves its block: say it yourself, inside of that, with StatusCode.ERROR and not a text."
        return f"The status of {called(client)} is not ERROR. {why}"
    for span in origin, server, client:
        if not span.get(ERROR_TYPE):
            return f"{called(span)} is in error, and has no {ERROR_TYPE}. Set it inside of the block."
        if re.search(r"[\s<]", span.get(ERROR_TYPE)):
            said = short(span.get(ERROR_TYPE))
            return f"The {ERROR_TYPE} of {called(span)} is “{said}”. Give the name of the exception's class alone."
    if client.get(ERROR_TYPE) != "500":
        return f"The {ERROR_TYPE} of {called(client)} is {client.get(ERROR_TYPE)}. The answer failed: give its code."
    return ""


def lacking(span, names):
    """Return which of these attributes (list of str) a span does not have."""
    return [name for name in names if not span.get(name)]


def say_of_attributes(span, names):
    """Return what is wrong with the attributes of a span, which should have these (list of str); empty when nothing."""
    if lacking(span, names):
        return f"{called(span)} has no {', no '.join(lacking(span, names))}."
    for pair in span.span.attributes:
        if pair.key in NUMBERS and pair.value.HasField("string_value"):
            return f"The {pair.key} of {called(span)} is a text. Give a number."
        form, words = FORMS.get(pair.key, ("", ""))
        if not re.match(form, span.get(pair.key)):
            return f"The {pair.key} of {called(span)} is “{short(span.get(pair.key))}”. {words}"
    return ""


class Step(NamedTuple):
    """A step: what it is called, the check, and what to do as long as no trace has shown anything of it."""

    title: str
    check: Callable
    hint: str


STEPS = [
    Step("A span arrives", a_span_arrives, "None has come yet. Put one around the request of the client."),
    Step("It says who sent it", it_says_who_sent_it, "Give each process a service.name of its own."),
    Step("It says what it is", it_says_what_it_is, "Put a kind and attributes on the client's span."),
    Step("The server has one too", the_server_has_one_too, NO_SERVER),
    Step("One trace", one_trace, "Make the span of the server a child of the client's."),
    Step("Inside the server", inside_the_server, "Make two spans for each database, one in the other."),
    Step("When it fails", when_it_fails, "Stop Redis, and look at the next ping."),
]
