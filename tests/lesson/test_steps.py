"""What the lesson says of traces that are half right, and that nothing else takes a step away."""

from copy import deepcopy

import pytest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue

from lesson.__main__ import Teacher
from lesson.steps import NO_SERVER, STEPS
from tests.docs.pages import anchors
from tests.support import ROOT
from tests.viewer.otlp import attribute, exception, request, send, span, trace_id
from viewer.store import Store

CLIENT, SERVER = "the-client", "the-server"
CODE = "http.response.status_code"
INTERNAL, OF_SERVER, OF_CLIENT = 1, 2, 3
ADDRESS = {"server.address": "localhost", "server.port": 8081}
OF_DATABASE = ADDRESS | {"db.namespace": "0", "db.operation.name": "MSET"}
HEALTHY = {  # name of a span -> what is in it
    "client operation": {
        "service": CLIENT,
        "parent": None,
        "kind": OF_CLIENT,
        "attributes": ADDRESS | {"http.request.method": "GET", "url.full": "http://localhost:8081/ping", CODE: 200},
    },
    "/ping": {
        "service": SERVER,
        "parent": "client operation",
        "kind": OF_SERVER,
        "attributes": {
            "http.request.method": "GET",
            "http.route": "/ping",
            "url.path": "/ping",
            "url.scheme": "http",
            CODE: 200,
        },
    },
    "redis_integration": {"service": SERVER, "parent": "/ping", "kind": INTERNAL},
    "server redis operation": {
        "service": SERVER,
        "parent": "redis_integration",
        "kind": OF_CLIENT,
        "attributes": OF_DATABASE | {"db.system.name": "redis"},
    },
    "pymongo_integration": {"service": SERVER, "parent": "/ping", "kind": INTERNAL},
    "server pymongo operation": {
        "service": SERVER,
        "parent": "pymongo_integration",
        "kind": OF_CLIENT,
        "attributes": OF_DATABASE | {"db.system.name": "mongodb", "db.collection.name": "tests"},
    },
}


def only(*names, of=HEALTHY):
    """Return these spans of a ping."""
    return {name: deepcopy(of[name]) for name in names}


def changed(name, of=HEALTHY, **fields):
    """Return a ping of which one span is different; an attribute of None is taken away."""
    ping = deepcopy(of)
    fields["attributes"] = ping[name].get("attributes", {}) | fields.get("attributes", {})
    ping[name] |= fields
    ping[name]["attributes"] = {key: value for key, value in ping[name]["attributes"].items() if value is not None}
    return ping


def renamed(old, new, of=HEALTHY):
    """Return a ping with one span of another name."""
    names = {old: new}
    return {
        names.get(name, name): fields | {"parent": names.get(fields["parent"], fields["parent"])}
        for name, fields in deepcopy(of).items()
    }


FAILED = only("client operation", "/ping", "redis_integration", "server redis operation")
for fields in FAILED.values():
    fields |= {"failed": True, "events": [exception()]}
FAILED["client operation"]["events"] = []  # it has an answer
for name, error_type in (("client operation", "500"), ("/ping", "OSError"), ("server redis operation", "OSError")):
    FAILED[name]["attributes"]["error.type"] = error_type
FAILED["client operation"]["attributes"][CODE] = FAILED["/ping"]["attributes"][CODE] = 500


def value(of):
    """Return the value of an attribute in OTLP."""
    return AnyValue(int_value=of) if isinstance(of, int) else AnyValue(string_value=of)


class Lesson:
    """A teacher, and a store from which he has his traces."""

    def __init__(self):
        self.store, self.teacher, self.traces = Store(), Teacher(), 0

    def look(self, *pings, late=False):
        """Let pings arrive, each as a trace, and return what is said of the last. late: they began before those."""
        for ping in pings:
            self.traces += 1
            ids = {name: 100 * self.traces + number for number, name in enumerate(ping, 1)}
            for name, fields in ping.items():
                others = {key: fields[key] for key in ("kind", "failed", "events") if key in fields}
                made = span(
                    name,
                    trace=self.traces,
                    id=ids[name],
                    parent=ids.get(fields["parent"], 0),
                    start=-5_000 if late else fields.get("start", 5_000 * self.traces),
                    end=5_000 * self.traces + 2_000,
                    attributes=[attribute(key, value(of)) for key, of in fields.get("attributes", {}).items()],
                    **others,
                )
                send(self.store, request(made, service=fields["service"]))
            said = self.teacher.look(self.store.trace(trace_id(self.traces)))
        return said


@pytest.fixture
def lesson():
    return Lesson()


def next_step(said):
    """Return the number (str) of the step that is next, and what is said of it."""
    _, title, words, _ = said.splitlines()
    return title.removeprefix("Next: ")[0], words


CALL, VIEW, REDIS = "client operation", "/ping", "server redis operation"
HALF_RIGHT = {
    "no service name": (changed(CALL, service=""), "2", "Nobody knows which program made “client operation”."),
    "the SDK's own name": (changed(VIEW, service="unknown_service:node"), "2", "made “/ping”"),
    "one name for both": (
        {name: fields | {"service": "shop"} for name, fields in HEALTHY.items()},
        "2",
        "“client operation” and “/ping” come from two processes of one name, shop. Give each its own,",
    ),
    "the client's kind is missing": (changed(CALL, kind=0), "3", "“client operation” is of the kind INTERNAL."),
    "some attributes": (
        changed(CALL, attributes={"server.port": None, CODE: None}),
        "3",
        f"“client operation” has no server.port, no {CODE}.",
    ),
    "attributes with old names": (
        changed(CALL, attributes={"http.request.method": None, "http.method": "GET"}),
        "3",
        "“client operation” has no http.request.method.",
    ),
    "no status code": (changed(CALL, attributes={CODE: None}), "3", f"“client operation” has no {CODE}."),
    "an address with the port": (
        changed(CALL, attributes={"server.address": "localhost:8081"}),
        "3",
        "The server.address of “client operation” is “localhost:8081”. Give the host alone, without the port.",
    ),
    "an address with the scheme": (
        changed(CALL, attributes={"server.address": "http://localhost"}),
        "3",
        "The server.address of “client operation” is “http://localhost”.",
    ),
    "a number that is a text": (
        changed(CALL, attributes={"server.port": "8081"}),
        "3",
        "The server.port of “client operation” is a text. Give a number.",
    ),
    "a path in place of a URL": (
        changed(CALL, attributes={"url.full": "/ping"}),
        "3",
        "The url.full of “client operation” is “/ping”. It begins with http:// or https://.",
    ),
    "the server's kind is missing": (changed(VIEW, kind=1), "4", "“/ping” is of the kind INTERNAL."),
    "a route without a slash": (
        renamed(VIEW, "ping", of=changed(VIEW, attributes={"http.route": "ping"})),
        "4",
        "“ping” has the http.route “ping”. The name is the route, which begins with /.",
    ),
    "a URL in place of its path": (
        changed(VIEW, attributes={"url.path": "http://localhost:8081/ping"}),
        "4",
        "The url.path of “/ping” is “http://localhost:8081/ping”. It begins with /.",
    ),
    "no route": (changed(VIEW, attributes={"http.route": None}), "4", "“/ping” has no http.route."),
    "a name that is no route": (
        renamed(VIEW, "ping"),
        "4",
        "“ping” has the http.route “/ping”. The name is the route, which begins with /.",
    ),
    "nothing inside": (only(CALL, VIEW), "6", "No span below “/ping” has the db.system.name redis and mongodb."),
    "one database": (
        only(CALL, VIEW, "redis_integration", REDIS),
        "6",
        "No span below “/ping” has the db.system.name mongodb.",
    ),
    "the outer span alone": (
        only(CALL, VIEW, "redis_integration", "pymongo_integration"),
        "6",
        "There is nothing in “redis_integration”.",
    ),
    "the inner span alone": (
        changed(REDIS, parent=VIEW, of=only(CALL, VIEW, REDIS)),
        "6",
        "“server redis operation” is right below “/ping”.",
    ),
    "one integration in the other": (
        changed("pymongo_integration", parent="redis_integration"),
        "6",
        "“pymongo_integration” is in “redis_integration”. It belongs right below “/ping”.",
    ),
    "two spans of one database": (
        changed("server pymongo operation", attributes={"db.system.name": "redis"}),
        "6",
        "No span below “/ping” has the db.system.name mongodb.",
    ),
    "the outer span is a call": (
        changed("redis_integration", kind=OF_CLIENT),
        "6",
        "“redis_integration” is of the kind CLIENT. It asks nobody itself, and so is INTERNAL.",
    ),
    "the two are the wrong way round": (
        changed("redis_integration", parent=REDIS, of=changed(REDIS, parent=VIEW)),
        "6",
        "“redis_integration” is in “server redis operation”. Turn the two round.",
    ),
    "the database's kind is missing": (
        changed(REDIS, kind=0),
        "6",
        "“server redis operation” is of the kind INTERNAL.",
    ),
    "the database's attributes": (
        changed(REDIS, attributes={"db.namespace": None, "db.system.name": None}),
        "6",
        "“server redis operation” has no db.system.name, no db.namespace.",
    ),
    "the database's address with the port": (
        changed(REDIS, attributes={"server.address": "localhost:8081"}),
        "6",
        "The server.address of “server redis operation” is “localhost:8081”. Give the host alone, without the port.",
    ),
    "no collection": (
        changed("server pymongo operation", attributes={"db.collection.name": None}),
        "6",
        "“server pymongo operation” has no db.collection.name.",
    ),
}


@pytest.mark.parametrize("case", HALF_RIGHT)
def test_a_trace_that_is_half_right_has_one_next_thing_to_do(case, lesson):
    ping, number, words = HALF_RIGHT[case]
    said = next_step(lesson.look(ping))
    assert said[0] == number
    assert words in said[1]


HALF_FAILED = {
    "the exception is caught in the innermost span": (
        changed(REDIS, failed=False, events=[], attributes={"error.type": None}, of=FAILED),
        "No span of a database is in error.",
    ),
    "caught, and no status": (changed(REDIS, failed=False, of=FAILED), "The status of “server redis operation” is not"),
    "the status, and no exception": (
        changed(REDIS, events=[], of=FAILED),
        "“server redis operation” does not say what happened.",
    ),
    "caught just above": (
        changed("redis_integration", failed=False, events=[], of=FAILED),
        "The status of “redis_integration” is not ERROR.",
    ),
    "caught on the way": (changed(VIEW, failed=False, events=[], of=FAILED), "The status of “/ping” is not ERROR."),
    "the server says 200": (changed(VIEW, attributes={CODE: 200}, of=FAILED), "The answer was 500, and “/ping” does"),
    "the server does not say": (changed(VIEW, attributes={CODE: None}, of=FAILED), "The answer was 500, and “/ping”"),
    "the client is content": (changed(CALL, failed=False, of=FAILED), "The status of “client operation” is not ERROR."),
    "swallowed, with an error.type": (
        changed(REDIS, attributes={"error.type": "OSError"}),
        "“server redis operation” has an error.type, and its status is not ERROR. Let the exception leave its block.",
    ),
    "swallowed altogether": (HEALTHY, "Is it stopped already? Then something catches the exception: raise it."),
    "the client's status is a text, which does nothing": (
        changed(CALL, failed=False, of=FAILED),
        "say it yourself, inside of that, with StatusCode.ERROR and not a text.",
    ),
    "a class in place of its name": (
        changed(REDIS, attributes={"error.type": "<class 'OSError'>"}, of=FAILED),
        "The error.type of “server redis operation” is “<class 'OSError'>”. Give the name of the exception's class",
    ),
    "what the exception says in place of its class": (
        changed(REDIS, attributes={"error.type": "Connection refused"}, of=FAILED),
        "The error.type of “server redis operation” is “Connection refused”.",
    ),
    "a class in place of the answer's code": (
        changed(CALL, attributes={"error.type": "HTTPError"}, of=FAILED),
        "The error.type of “client operation” is HTTPError. The answer failed: give its code.",
    ),
    "no answer, and a status code as the error.type": (
        changed(CALL, failed=True, attributes={CODE: None, "error.type": "500"}, of=only(CALL)),
        "“client operation” had no answer: its error.type is not a status code, but the exception's class.",
    ),
    "Redis has no error.type": (
        changed(REDIS, attributes={"error.type": None}, of=FAILED),
        "“server redis operation” is in error, and has no error.type.",
    ),
    "the client has no error.type": (
        changed(CALL, attributes={"error.type": None}, of=FAILED),
        "“client operation” is in error, and has no error.type.",
    ),
}


@pytest.mark.parametrize("case", HALF_FAILED)
def test_a_failure_that_is_half_recorded_has_one_next_thing_to_do(case, lesson):
    ping, words = HALF_FAILED[case]
    said = lesson.look(HEALTHY, ping)
    assert said.startswith("6 of 7 steps hold\n")  # and none is lost
    assert next_step(said)[0] == "7"
    assert words in next_step(said)[1]


def test_seven_steps_hold_after_a_healthy_ping_and_a_failed_one(lesson):
    assert lesson.look(HEALTHY).startswith("6 of 7 steps hold\n")
    assert lesson.look(FAILED).startswith("7 of 7 steps hold\nThis is the post's trace now.")
    assert lesson.look(HEALTHY).startswith("7 of 7 steps hold\n")


SHOWN_FIRST = changed(VIEW, start=11_000, of=only(VIEW))  # while the viewer waits for the answer to the second trace


@pytest.mark.parametrize(
    ("pings", "held", "words"),
    [
        ([only(CALL)], 3, "No span of the server came."),
        ([only(VIEW)], 3, "kind and attributes"),
        ([only(CALL), changed(VIEW, parent=None, of=only(VIEW))], 4, "“/ping” has no parent"),
        ([SHOWN_FIRST, only(CALL)], 4, "“client operation” had an answer, and “/ping” is not its child."),
        (
            [only(CALL), changed(VIEW, kind=0, attributes={"http.route": None}, of=only(VIEW))],
            3,
            "“/ping” is of the kind",
        ),
    ],
    ids=["the client alone", "the server alone", "two traces", "two traces, the client's last", "a server of no kind"],
)
def test_each_side_counts_while_they_are_two_traces(pings, held, words, lesson):
    said = lesson.look(*pings)
    assert said.startswith(f"{held} of 7 steps hold\n")
    assert words in said


@pytest.mark.parametrize("attributes", [{}, dict.fromkeys(HEALTHY[CALL]["attributes"])], ids=["right", "none"])
def test_a_client_whose_span_was_of_the_kind_server_goes_on_when_that_is_mended(attributes, lesson):
    said = lesson.look(changed(CALL, kind=OF_SERVER, attributes=attributes, of=only(CALL)))
    words = "“client operation” is of the kind SERVER. A span that asks another process is CLIENT."
    assert next_step(said) == ("3", words)
    assert next_step(lesson.look(only(CALL)))[0] == "4"


@pytest.mark.parametrize(
    "attributes", [{}, HEALTHY[CALL]["attributes"]], ids=["its own attributes", "the client's too"]
)
def test_a_server_whose_span_is_of_the_kind_client_is_not_taken_for_the_client(attributes, lesson):
    server = changed(VIEW, kind=OF_CLIENT, attributes=attributes, parent=None, of=only(VIEW))
    said = lesson.look(only(CALL), server)
    assert next_step(said) == ("4", "“/ping” is of the kind CLIENT. A span that answers another process is SERVER.")


def test_a_server_that_has_the_clients_name_takes_the_second_step_away(lesson):
    of_one_name = changed(VIEW, kind=0, service=CLIENT, of=only(VIEW))
    for ping in only(CALL), of_one_name, only(CALL), of_one_name:
        said = lesson.look(ping)
    assert said.startswith("2 of 7 steps hold; lost again: step 2\nNext: 2. It says who sent it\n")
    assert lesson.look(only(CALL)) == said
    assert lesson.look(changed(VIEW, kind=0, of=only(VIEW))).startswith("3 of 7 steps hold\n")


@pytest.mark.parametrize(
    ("before", "held"),
    [(HEALTHY, "5 of 7 steps hold; lost again: step 5"), (renamed(VIEW, "ping", of=only(VIEW)), "3 of 7 steps hold")],
    ids=["a right one", "a half right one"],
)
def test_a_server_whose_span_comes_no_more_is_asked_for_it(before, held, lesson):
    said = lesson.look(only(CALL), before, only(CALL))
    assert said.startswith(f"{held}\n")
    assert next_step(said)[1] == NO_SERVER


def test_a_ping_without_an_answer_is_not_said_to_have_gone_well(lesson):
    said = lesson.look(HEALTHY, changed(CALL, attributes={CODE: None}, of=only(CALL)))
    assert "7. When it fails\nStop Redis, with all else running" in said


def test_a_step_that_is_lost_is_said_to_be_lost_until_it_holds_again(lesson):
    said = lesson.look(HEALTHY, changed(CALL, kind=0))
    assert said.startswith("5 of 7 steps hold; lost again: step 3\nNext: 3. It says what it is\n")
    assert lesson.look(HEALTHY).startswith("6 of 7 steps hold\n")


def test_a_context_that_gets_lost_again_takes_the_fifth_step_away(lesson):
    said = lesson.look(HEALTHY, only(CALL))
    assert said.startswith("5 of 7 steps hold; lost again: step 5\n")


@pytest.mark.parametrize(
    "ping",
    [
        changed(CALL, attributes={CODE: None}, of=only(CALL)),
        changed(CALL, attributes={CODE: None}, failed=True, events=[exception()], of=only(CALL)),
        changed(CALL, attributes={CODE: 404}, of=only(CALL)),
        only(*list(HEALTHY)[1:]),
        only(*list(HEALTHY)[2:4]),
        changed(VIEW, attributes={CODE: None}, of=FAILED),
    ],
    ids=[
        "the server is not running",
        "the server is not running, and the client says so",
        "a wrong path",
        "curl, which sends no context",
        "a view without a span",
        "Redis is stopped, and the server does not say 500 yet",
    ],
)
def test_what_a_trace_cannot_show_is_not_lost(ping, lesson):
    assert lesson.look(HEALTHY, ping).startswith("6 of 7 steps hold\n")


def test_a_trace_that_is_shown_late_takes_no_step_away(lesson):
    lesson.look(HEALTHY)
    assert lesson.look(only(CALL), late=True).startswith("6 of 7 steps hold\n")
    assert lesson.look(only(CALL)).startswith("5 of 7 steps hold; lost again: step 5\n")
    assert lesson.look(HEALTHY, late=True).startswith("5 of 7 steps hold; lost again: step 5\n")


def test_a_span_that_begins_a_trace_of_its_own_is_told_where_it_belongs(lesson):
    lesson.look(only(CALL, VIEW))
    without_attributes = changed(
        REDIS, of=only("redis_integration", REDIS), attributes=dict.fromkeys(HEALTHY[REDIS]["attributes"])
    )
    said = lesson.look(without_attributes)
    assert "“redis_integration” began a trace of its own. Begin it inside the block" in said


def test_a_call_of_a_database_that_comes_before_any_span_of_the_server_is_not_taken_for_one(lesson):
    said = lesson.look(only(CALL), only(REDIS))
    assert next_step(said) == ("4", NO_SERVER)


def test_a_failed_ping_before_the_sixth_step_asks_for_the_databases(lesson):
    assert "Are Redis and MongoDB running?" in lesson.look(only(CALL, VIEW), FAILED)


def test_each_place_to_read_is_a_heading_of_the_page(lesson):
    nameless = changed(CALL, service="", kind=0, of=only(CALL))
    pings = [nameless, changed(CALL, kind=0, of=only(CALL)), only(CALL), only(VIEW), only(CALL, VIEW), HEALTHY, FAILED]
    said = [lesson.teacher.say(), *map(lesson.look, pings)]
    places = [text.splitlines()[-1].removeprefix("Read docs/build.md#") for text in said]
    assert len(set(places)) == len(STEPS) + 1
    assert set(places) <= anchors(ROOT / "docs" / "build.md")
