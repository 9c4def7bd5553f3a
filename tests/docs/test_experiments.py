"""docs/experiments.md is true: each change is applied, each command typed, and the page shows what comes."""

import contextlib
import os
import queue
import re
import shutil
import signal
import subprocess
import sys
import traceback
from concurrent.futures import ThreadPoolExecutor

import pytest

from demo.__main__ import PORTS
from tests.clone import clone
from tests.experiments import PAGE, Experiment, attributes, section
from tests.support import ROOT, Process, clean_environment, free_port, wait_until

NUMBERS = [int(number) for number in re.findall(r"^### (\d+)\. ", PAGE, re.M)]
FIRST_EVENING, OTHER_EVENINGS, FIFTH_EVENING = NUMBERS[:5], NUMBERS[5:], NUMBERS[23:]
AT_ONCE = 4  # experiments: they wait more than they work
KNOWS_GENERATORS = sys.version_info >= (3, 15)
EXPORTS = dict(re.findall(r"(\w+)=(\S+)", re.search(r"(?s)## Fifth evening.*?\n```\n(export .*?)\n```", PAGE)[1]))
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.M | re.S)

facts = {}  # number of an experiment: what to look at besides, which the terminal does not show


def fact(number):
    """Register a function that looks at an experiment after its run."""
    return lambda function: facts.setdefault(number, function)


def as_parameter(number):
    """Return the parameter for an experiment; without curl, those that are about it are skipped."""
    no_curl = "\n$ curl " in section(number) and not shutil.which("curl")
    return pytest.param(number, marks=pytest.mark.skipif(no_curl, reason="there is no curl here (apt install curl)"))


@contextlib.contextmanager
def desk(folder):
    """Set up a place for experiments, one after the other: yield a clone (Path), whose files git knows, in `folder`."""
    folder.mkdir(exist_ok=True)
    with clone(folder):
        subprocess.run("git init --quiet && git add --all", shell=True, cwd=folder / "clone", check=True)
        yield folder / "clone"


# The first evening: its demo is shared by all who look at it


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """The demo that runs for the whole first evening."""
    ports = {name: free_port() for name in PORTS}
    folder = tmp_path_factory.mktemp("demo")  # a new one if a worker comes back to this evening after other tests
    with desk(folder) as cloned:
        settings = ports | {"COLUMNS": 80, "TMPDIR": folder}
        with Process.python("-m", "demo", env=clean_environment(**settings), cwd=cloned) as process:
            process.ports, process.folder = ports, cloned
            process.wait_for_port(ports["VIEWER_WEB_PORT"])
            yield process
            process.stop(signal.SIGINT)


@contextlib.contextmanager
def pressed(demo, number):
    """Stop a database, as the page says by a key, and start it again in the end."""
    demo.send(number)
    yield
    back = demo.out.count(" is back.")
    demo.send(number)
    wait_until(lambda: demo.out.count(" is back.") > back, "the database is back")


@pytest.mark.parametrize("number", [as_parameter(number) for number in FIRST_EVENING])
def test_the_first_evening_shows_what_happens(number, demo):
    key = {2: signal.SIGUSR1, 3: signal.SIGUSR2}.get(number)
    web, settings = demo.ports["VIEWER_WEB_PORT"], {"SERVER_PORT": demo.ports["SERVER_PORT"]}
    with Experiment(number, demo.folder, demo, web, settings) as experiment:
        demo.wait_for("6 spans, 2 services")
        with pressed(demo, key) if key else contextlib.nullcontext():
            experiment.run()


# The other evenings: several experiments at once


@contextlib.contextmanager
def viewer():
    """Start the viewer that runs, as the page says, for the whole evening; `.web` and `.otlp` are its ports."""
    otlp, web = free_port(), free_port()
    settings = {"COLUMNS": 80, "VIEWER_OTLP_PORT": otlp, "VIEWER_WEB_PORT": web}
    with Process.python("-m", "viewer", env=clean_environment(**settings)) as process:
        process.otlp, process.web = otlp, web
        process.wait_for_port(otlp).wait_for_port(web)
        yield process


@pytest.fixture(scope="module")
def outcomes(request, tmp_path_factory):
    """A folder with what came of each experiment: a file named after its number, empty when all was as the page says.

    The worker of pytest-xdist that comes first runs all experiments that are asked for; the others wait for the files.
    """
    run = tmp_path_factory.getbasetemp()
    folder = (run.parent if "PYTEST_XDIST_WORKER" in os.environ else run) / "outcomes"
    try:
        folder.mkdir()
    except FileExistsError:
        yield folder
        return
    settings = {
        "REDIS_URL": request.getfixturevalue("redis_server").url,
        "MONGODB_URI": request.getfixturevalue("mongodb_server").uri,
        "OTEL_BSP_SCHEDULE_DELAY": 100,
    }
    wanted = {item.callspec.params["number"] for item in request.session.items if "outcomes" in item.fixturenames}
    if wanted & set(FIFTH_EVENING):
        with contextlib.suppress(pytest.skip.Exception):  # their tests say it
            request.getfixturevalue("venv_auto")
    desks = queue.SimpleQueue()  # those at which nobody works

    def work_on(number):
        cloned, viewer = desks.get()
        try:
            do(number, cloned, viewer, settings)
            outcome = ""
        except BaseException:  # noqa: BLE001, the test tells of it
            outcome = traceback.format_exc()
        desks.put((cloned, viewer))
        unfinished = folder / f"{number} is being written"
        unfinished.write_text(outcome)
        unfinished.rename(folder / str(number))

    with contextlib.ExitStack() as stack:
        for number in range(min(AT_ONCE, len(wanted))):
            cloned = stack.enter_context(desk(folder / f"desk-{number}"))
            (cloned / ".venv-auto").symlink_to(ROOT / ".venv-auto")
            desks.put((cloned, stack.enter_context(viewer())))
        pool = stack.enter_context(ThreadPoolExecutor(AT_ONCE))
        for number in sorted(wanted):
            pool.submit(work_on, number)
        yield folder
        pool.shutdown(cancel_futures="PYTEST_XDIST_WORKER" not in os.environ)  # another worker may wait for the rest


def do(number, cloned, viewer, settings):
    """Do one experiment in a clone, and look at what its facts say."""
    settings = settings | {
        "SERVER_PORT": free_port(),
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{viewer.otlp}",
    }
    if number in FIFTH_EVENING:
        settings |= EXPORTS
    with Experiment(number, cloned, viewer, viewer.web, settings) as experiment:
        if number == 11 and KNOWS_GENERATORS:
            the_span_of_a_generator_lasts_until_its_last_item(experiment)
        else:
            experiment.run()
            facts.get(number, lambda _: None)(experiment)
        the_advice_is_as_shown(experiment)


@pytest.mark.timeout(320)  # it waits for its turn
@pytest.mark.parametrize("number", [as_parameter(number) for number in OTHER_EVENINGS])
def test_an_experiment_shows_what_happens(number, request, outcomes):
    if number in FIFTH_EVENING:
        request.getfixturevalue("venv_auto")
    outcome = outcomes / str(number)
    wait_until(outcome.exists, f"experiment {number} is done", seconds=300)
    if problem := outcome.read_text():
        pytest.fail(problem, pytrace=False)


def the_advice_is_as_shown(experiment):
    """What the page quotes is said of one of the traces; where it says that the advice is silent, nothing is said."""

    def said():
        ids = {trace[0]["traceId"] for trace in experiment.traces()}
        return [each["text"] for trace_id in ids for each in experiment.get(f"/viewer/advice/{trace_id}")["advice"]]

    for quote in re.findall(r"(?m)^> (.*(?:\n> .*)*)", experiment.text):
        pattern = re.escape(quote.replace("\n> ", " ")).replace("…", "[0-9a-f]{32}")
        wait_until(lambda pattern=pattern: any(re.fullmatch(pattern, text) for text in said()), f"the advice: {quote}")
    if "The advice is silent" in experiment.text:
        assert said() == []


def the_span_of_a_generator_lasts_until_its_last_item(experiment):
    """As the page says of Python 3.15."""
    experiment.start_server("python server.py")
    experiment.sh("python client.py --count 1")
    [trace] = experiment.wait_for_traces(5)
    spans = by_name(trace)
    assert spans["redis_integration"]["parentSpanId"] == spans["lengths"]["spanId"]
    assert int(spans["lengths"]["endTimeUnixNano"]) >= int(spans["redis_integration"]["endTimeUnixNano"])


def by_name(trace):
    """Return the spans of a trace by their names."""
    return {span["name"]: span for span in trace}


@fact(6)
def the_servers_trace_comes_first_and_the_change_does_not_apply_twice(experiment):
    for shown in experiment.text, experiment.pictures():
        assert shown.index("  /ping ") < shown.index("  client operation ")
    assert "patch does not apply" in experiment.sh(experiment.take_change, must_succeed=False)


@fact(7)
def the_decorator_above_the_route_makes_no_span(experiment):
    traces = experiment.wait_for_traces(1, 6)
    assert "above the route" not in {span["name"] for trace in traces for span in trace}


@fact(13)
def two_pings_are_one_trace_with_one_parent(experiment):
    [trace] = wait_until(lambda: [t for t in experiment.traces() if len(t) >= 11], "all spans of both pings")
    pings = [span for span in trace if span["name"] == "/ping"]
    assert len(pings) == 2
    assert len({span["parentSpanId"] for span in pings}) == 1
    assert len(experiment.traces()) == 1
    experiment.find("begins 8.33 s before its parent", experiment.pictures)


@fact(15)
def the_second_trace_has_a_link_to_the_first_and_the_answer_has_an_event(experiment):
    first, second = sorted(
        experiment.wait_for_traces(6, 6), key=lambda trace: min(s["startTimeUnixNano"] for s in trace)
    )
    [link] = by_name(second)["client operation"]["links"]
    assert link["traceId"] == first[0]["traceId"]
    assert "links" not in by_name(first)["client operation"]
    for trace in first, second:
        [event] = by_name(trace)["/ping"]["events"]
        assert event["name"] == "length drawn"
        assert attributes(event).keys() == {"length"}


@fact(17)
def the_visitor_is_known_until_the_server_takes_another_propagator(experiment):
    def visitors():
        spans = [span for trace in experiment.wait_for_traces(*sizes) for span in trace]
        return sorted(attributes(span)["visitor"] for span in spans if span["name"] == "/ping")

    sizes = [6, 6]
    experiment.sh("python client.py --count 1")  # "and ping again"
    assert visitors() == ["ada", "nobody"]


@fact(18)
def nothing_has_come_of_the_trace_that_is_not_sampled(experiment):
    experiment.sh("python client.py --count 1")  # and so that something would have come by now
    [[span, *_]] = experiment.wait_for_traces(6)
    assert span["traceId"] not in experiment.ids


@fact(19)
def some_of_the_twenty_traces_come_and_each_of_them_whole(experiment):
    experiment.server.stop()  # which sends the rest
    traces = experiment.traces()
    assert 0 < len(traces) < 20
    assert {len(trace) for trace in traces} == {6}


@fact(22)
def each_span_of_the_server_tells_its_line(experiment):
    [trace] = experiment.wait_for_traces(6)
    lines = (experiment.folder / "server.py").read_text().splitlines()
    made_by = {}
    for name, span in by_name(trace).items():
        if name != "client operation":
            assert attributes(span)["code.file.path"] == str(experiment.folder / "server.py")
            made_by[name] = lines[int(attributes(span)["code.line.number"]) - 1].strip()
    assert made_by.pop("redis_integration").startswith("redis_integration(length)")
    assert made_by.pop("pymongo_integration").startswith("pymongo_integration(length)")
    assert made_by.keys() == {"/ping", "server redis operation", "server pymongo operation"}
    for line in made_by.values():
        assert line.startswith("with tracer.start_as_current_span(")


@fact(25)
def the_attributes_that_only_one_of_them_has_are_those_of_the_table(experiment):
    error, automatic, by_hand = sorted(experiment.wait_for_traces(3, 5, 6), key=len)
    rows = {
        "the request": ("GET", "client operation"),
        "the answer": ("GET /ping", "/ping"),
        "Redis": ("MSET", "server redis operation"),
        "MongoDB": ("opentelemetry-tests.find", "server pymongo operation"),
    }
    calls = [span for span in automatic if span["name"] == "GET"]
    [get] = [span for span in calls if "db.system.name" in attributes(span)]
    automatic.remove(get)
    for row, (theirs, ours) in rows.items():
        columns = re.search(rf"^\| {row} \| (.*) \| (.*)\|$", experiment.text, re.M).groups()
        shown = [set(re.findall(r"`([a-z._]+)`", column)) - {"find"} for column in columns]
        keys = [attributes(by_name(trace)[name]).keys() for trace, name in ((automatic, theirs), (by_hand, ours))]
        assert shown == [keys[0] - keys[1], keys[1] - keys[0]], row
    assert "error.type" not in attributes(by_name(error)["MSET"])
    assert re.fullmatch(r"[a-z0-9.]+:\d+", attributes(by_name(error)["GET /ping"])["server.address"])
    experiment.settings["OTEL_BSP_SCHEDULE_DELAY"] = 60_000
    experiment.start_server("$AUTO/opentelemetry-instrument $AUTO/python untraced/server.py")
    experiment.sh("python client.py --count 1", must_succeed=False)
    experiment.server.stop(signal.SIGTERM)
    experiment.wait_for_traces(1, 3, 5, 6)  # the client's span alone


@fact(26)
def the_line_of_our_own_setup_does_not_come(experiment):
    assert not re.search("Traces of .* go to", experiment.server.output)


# The page itself


def test_the_experiments_are_numbered_and_there_are_at_least_sixteen():
    assert list(range(1, len(NUMBERS) + 1)) == NUMBERS
    assert len(NUMBERS) >= 16


@pytest.mark.parametrize("number", NUMBERS)
def test_an_experiment_has_all_its_parts_in_order(number):
    text = section(number)
    parts = [text.find(part) for part in ("**You learn**", "```\n", "**Why:**", "**Undo:**")]
    assert -1 not in parts
    assert parts == sorted(parts)


@pytest.mark.parametrize("number", NUMBERS)
def test_a_change_is_undone_in_the_files_that_it_changes(number):
    files = re.findall(r"^--- a/(.*)$", section(number), re.M)
    undo = re.search(r"^\*\*Undo:\*\* (.*)$", section(number), re.M)[1]
    assert not files or undo == f"`git checkout {' '.join(sorted(files))}`"


def test_what_is_shown_fits_into_80_columns():
    shown = [line for language, block in FENCE.findall(PAGE) if not language for line in block.splitlines()]
    assert not [line for line in shown if len(line) > 80]
