"""The seven steps, in order. Each is judged by what arrives, so that a program in any language can take it.

A check looks at a Ping. It returns what is wrong, and what to do (str), which is empty when the step holds. Where this
trace cannot show whether it does, that is an Unseen.
"""

from collections.abc import Callable
from typing import NamedTuple

from lesson.ping import CODE

ERROR_TYPE, SYSTEM, COLLECTION = "error.type", "db.system.name", "db.collection.name"
OF_CLIENT = ["http.request.method", "url.full", "server.address", "server.port", CODE]
OF_SERVER = ["http.request.method", "http.route", "url.path", "url.scheme", CODE]
OF_DATABASE = [SYSTEM, "db.namespace", "db.operation.name", "server.address", "server.port"]


class Unseen(str):
    """What is said of a trace that cannot show whether a step holds; may be empty."""


FAILED = Unseen("This ping failed, and so does not show it all. Are Redis and MongoDB running?")


def a_span_arrives(ping):
    """One came."""
    return ""


def it_says_who_sent_it(ping):
    """Each process has a `service.name` of its own."""
    for span in ping.spans:
        if not span.service or span.service.startswith("unknown_service"):
            return f"Nobody knows which program made {span}. Its process has no service.name: give it one."
    client, server = ping.client or ping.seen_client, ping.server or ping.seen_server
    if client and server and client.service == server.service:
        return f"{client} and {server} come from two processes with one service.name. Give each its own."
    return ""


def it_says_what_it_is(ping):
    """The client's span is CLIENT, with method, URL, address, port and the answer's status code."""
    span = ping.client
    if not span:
        return Unseen()
    if span.kind != "CLIENT":
        return f"{span} is of the kind {span.kind}. A span that asks another process is of the kind CLIENT."
    if lacking(span, OF_CLIENT) == [CODE] and (span.failed or ping.seen_client):
        return Unseen(f"{span} had no answer. Is the server running?")
    return say_what_it_lacks(span, OF_CLIENT)


def the_server_has_one_too(ping):
    """It is SERVER, named after the route, with method, route, path, scheme and status code."""
    span = ping.server
    if not span:
        return Unseen()
    if span.kind != "SERVER":
        return f"{span} is of the kind {span.kind}. A span that answers another process is of the kind SERVER."
    if lacking(span, OF_SERVER) == [CODE] and ping.failed:
        return FAILED
    route = span.get("http.route")
    if route and span.name not in (route, f"{span.get('http.request.method')} {route}"):
        return f'{span} is not named after its route, "{route}".'
    return say_what_it_lacks(span, OF_SERVER)


def one_trace(ping):
    """The server's span is the child of the client's."""
    client, server = ping.client, ping.server
    if server and client:
        return ""
    if server and server.parent_id:
        return Unseen(f"The parent of {server} has not come.")
    if server:
        return Unseen(f"{server} has no parent. The client does not send a context, or this span does not take it.")
    if not client or not client.get(CODE) or not ping.seen_server:
        return Unseen()
    if ping.failed:
        return Unseen(f"The answer to {client} was {client.get(CODE)}. The terminal of the server says why.")
    lost = f"{client} had an answer, and {ping.seen_server} is not its child."
    return f"{lost} Send the context along in the headers, and take it from there."


def inside_the_server(ping):
    """For each database there is an INTERNAL span, and in it a CLIENT span with the attributes of a database."""
    server, root = ping.server, ping.root
    if not server and root and root is not ping.client:
        return Unseen(f"{root} began a trace of its own. Begin it inside the block of the server's span.")
    if not server:
        return Unseen()
    if ping.failed:
        return FAILED
    systems = set()
    for outer in server.children:
        if outer.kind != "INTERNAL":
            return f"{outer} is right below {server}. Put an INTERNAL span between them."
        if not outer.children:
            return f"There is nothing in {outer}. Put a CLIENT span around the calls of the database."
        for span in outer.children:
            if span.kind != "CLIENT" and span.children:
                return f"{span} is in {outer}. It belongs right below {server}."
            if span.kind != "CLIENT":
                return f"{span} is of the kind {span.kind}. A database is another process, and asking it is CLIENT."
            systems.add(span.get(SYSTEM))
            if words := say_what_it_lacks(span, OF_DATABASE + [COLLECTION] * (span.get(SYSTEM) == "mongodb")):
                return words
    absent = " and ".join(system for system in ("redis", "mongodb") if system not in systems)
    return absent and f"Below {server} nothing shows what it did with {absent}. Each wants two spans, one in the other."


def when_it_fails(ping):
    """The error is where it began and on all above, with `error.type`; the client knows of the 500."""
    client, server = ping.client, ping.server
    if not client or not server:
        return Unseen("Stop Redis, with all else running, and look at the next ping.")
    if not ping.failed:
        return Unseen("This ping went well. Stop Redis, and look at the next.")
    calls = [span for outer in server.children for span in outer.children if span.kind == "CLIENT"]
    origin = next((span for span in calls if span.failed or span.has_exception or span.get(ERROR_TYPE)), None)
    if not origin:
        return (
            "No span of a database is in error. Is Redis stopped? Then let the exception leave the block of its span."
        )
    if not origin.has_exception:
        return f"{origin} does not say what happened. Let the exception leave its block."
    for span in origin, origin.parent, server:
        if not span.failed:
            return f"The status of {span} is not ERROR. Let the exception leave its block."
    for span in server, client:
        if span.get(CODE) != "500":
            return f"The answer was 500, and {span} does not have it as its {CODE}."
    if not client.failed:
        return f"The status of {client} is not ERROR. No exception has left its block, so say it yourself."
    for span in origin, server, client:
        if not span.get(ERROR_TYPE):
            return f"{span} is in error, and has no {ERROR_TYPE}."
    return ""


def lacking(span, names):
    """Return which of these attributes (list of str) a span does not have."""
    return [name for name in names if not span.get(name)]


def say_what_it_lacks(span, names):
    """Return a sentence on the attributes that a span should have and does not have; empty when it has them all."""
    return f"{span} has no {', no '.join(lacking(span, names))}." if lacking(span, names) else ""


class Step(NamedTuple):
    """A step: what it is called, the check, and what to do as long as no trace has shown anything of it."""

    title: str
    check: Callable
    hint: str


STEPS = [
    Step("A span arrives", a_span_arrives, "None has come yet. Put one around the request of the client."),
    Step("It says who sent it", it_says_who_sent_it, "Give each process a service.name of its own."),
    Step("It says what it is", it_says_what_it_is, "The client's span wants a kind and attributes."),
    Step("The server has one too", the_server_has_one_too, "No span of the server has come yet. Make one in its view."),
    Step("One trace", one_trace, "Make the span of the server a child of the client's."),
    Step("Inside the server", inside_the_server, "Make two spans for each database, one in the other."),
    Step("When it fails", when_it_fails, "Stop Redis, and look at the next ping."),
]
