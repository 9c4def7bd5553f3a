"""Does what docs/experiments.md says, and compares what comes of it with what the page shows."""

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

from tests.conftest import CLIENT, SERVER
from tests.support import PATIENCE, ROOT, Process, clean_environment, wait_until

PAGE = (ROOT / "docs" / "experiments.md").read_text()
TAKE_CHANGE = re.search(r"^(sed .* \| git apply)$", PAGE, re.M)[1]  # as the page says it, of the sixth experiment

ID = "[0-9a-f]{32}|[0-9a-f]{16}"  # of a trace, of a span
VARYING = [  # what differs from run to run, in what is shown: pattern, and what else may stand there
    (r"[━╸╺]+", r"[━╸╺]+"),
    (r"\d[\d.]* (?:ns|µs|ms|s)\b", r"\d[\d.]* (?:ns|µs|ms|s)"),
    (r"\d+ (?:bytes|letters)", r"\d+ (?:bytes|letters)"),
    (r"(?<=:)\d{4,5}\b", r"\d{4,5}"),
    (r"^[a-z]{5}$", r"(?m:^[a-z]{5}$)"),  # five random letters
    (r"^…$", r"(?s:.*?)"),
]


def section(number):
    """Return the text of one experiment."""
    return re.search(rf"(?ms)^### {number}\. .*?(?=^##|\Z)", PAGE)[0]


class Experiment:
    """One experiment, in a clone. A context manager: it applies the change at first, and undoes it in the end.

    `run()` takes the blocks of the page one by one. A command is typed; anything else is waited for, in the answer of
    the command, in the server's terminal or in the viewer's. An id of the page stands for one real id, the same in all
    blocks. The viewer may have served the experiment before: what it had when this one began is not looked at.

    folder: the clone, of which git knows the files. viewer: the Process that draws. web: the port of its page.
    settings: the environment of server and client.
    """

    def __init__(self, number, folder, viewer, web, settings):
        self.text, self.number, self.folder = section(number), number, folder
        self.viewer, self.web, self.port = viewer, web, settings["SERVER_PORT"]
        self.before = set()  # ids of traces
        self.before = {summary["traceId"] for summary in self.summaries()}
        self.settings = settings | {
            "DESTINATION_URL": f"http://localhost:{self.port}/ping",
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        }
        self.ids = {name: name for name in re.findall(rf"\b[A-Z]+=({ID})\b", self.text)}  # page: real
        self.take_change = re.sub(r"(?<=### )\d+", lambda sixth: str(int(sixth[0]) - 6 + number), TAKE_CHANGE)
        self.servers, self.clients = [], []

    def __enter__(self):
        self.sh("git checkout --quiet .")  # what an experiment that failed has left
        if "```diff" in self.text:
            self.sh(self.take_change)
            assert self.sh("git diff --name-only"), "the change has changed nothing"
        return self

    def __exit__(self, *details):
        for process in self.servers + self.clients:
            process.__exit__()
        if not details[0] and (undo := re.search(r"^\*\*Undo:\*\* `(git .*)`$", self.text, re.M)):
            self.sh(undo[1])
            assert self.sh("git diff --name-only") == "", "the change is undone"

    def sh(self, command, must_succeed=True):
        """Type a command in terminal 2, wait for its end, and return all that it wrote (str)."""
        env = clean_environment(OTEL_RESOURCE_ATTRIBUTES=CLIENT, **self.settings)
        command = command.replace("localhost:8081", f"127.0.0.1:{self.port}")
        run = subprocess.run(
            ["bash", "-c", command],
            env=env,
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
        )
        assert not must_succeed or run.returncode == 0, f"{command}\n{run.stdout}"
        return run.stdout

    def run(self):
        """Do all that stands between the change and the undoing. Return self."""
        for language, block in re.findall(r"^```(\w*)\n(.*?)^```$", self.text, re.M | re.S):
            if not language:
                self.do(block)
        return self

    def do(self, block):
        """Type the commands of one block, or find what it shows."""
        head, shown = re.match(r"(# terminal .*\n)?((?s:.*))", block).groups()
        if head is None:
            self.find(shown, self.pictures)
        elif head.endswith("shows\n"):
            self.find(shown, lambda: self.server.output)
        else:
            with_answers = shown.startswith("$ ")  # otherwise each line is a command
            for text in re.split(r"(?m)^\$ ", shown)[1:] if with_answers else shown.splitlines(keepends=True):
                self.type(text)

    def type(self, text):
        """Type a command, of one line or with a quotation that goes on, and find below it what `text` shows."""
        command = re.match(r"[^'\n]*('[^']*')?[^'\n]*('[^']*')?[^\n]*\n", text)[0]
        expected, command = text.removeprefix(command), command.rstrip()
        if command.startswith("make "):
            self.sh(f"{command} --dry-run")  # the test has done the one, and tests/benchmarks/ do the other
        elif variables := re.fullmatch(r"(?:export )?((?:[A-Z_]+=\S+ ?)+)", command):
            self.settings |= dict(pair.split("=") for pair in variables[1].split())
        elif re.search(r"python (untraced/)?server\.py( &)?$", command):
            self.start_server(command.removesuffix(" &"))
        elif command.endswith("python untraced/client.py"):
            self.ping_until_ctrl_c(command)
        elif kill := re.fullmatch("kill -(9|TERM) %1", command):
            self.server.stop({"9": signal.SIGKILL, "TERM": signal.SIGTERM}[kill[1]])
        else:
            answer = self.sh(command, must_succeed="Error" not in expected)
            self.find(expected, lambda: answer, seconds=0)

    def start_server(self, command):
        """Start the server in terminal 1, after the one before has ended."""
        if self.servers and self.server.returncode is None:
            self.server.stop()
        env = clean_environment(OTEL_RESOURCE_ATTRIBUTES=SERVER, **self.settings)
        self.servers.append(Process("bash", "-c", f"exec env {command}", env=env, cwd=self.folder))
        self.server.wait_for_port(self.port)

    def ping_until_ctrl_c(self, command):
        """Start a client in terminal 2 that knows no number of pings, and press Ctrl+C after the first."""
        env = clean_environment(OTEL_RESOURCE_ATTRIBUTES=CLIENT, **self.settings)
        self.clients.append(Process("bash", "-c", f"exec {command}", env=env, cwd=self.folder))
        self.clients[-1].wait_for("Request to .*\n")
        assert self.clients[-1].stop(signal.SIGINT) == 0

    @property
    def server(self):
        """The server that was started last."""
        return self.servers[-1]

    def pictures(self):
        """What the viewer has drawn since, without the notices of traces that came in parts."""
        pictures = re.split(rf"(?m)^trace (?=(?:{ID})  )", self.viewer.output)
        since = "".join(f"trace {picture}" for picture in pictures[1:] if picture[:32] not in self.before)
        return re.sub(r"(?m)^  updated: .*\n", "", since)

    def find(self, expected, read, seconds=PATIENCE):
        """Wait until `read()` has what the page shows, and note its trace ids."""

        deadline = time.monotonic() + seconds
        while not (match := re.search(self.pattern(expected), read())):
            assert time.monotonic() < deadline, f"The page shows\n{expected}\nand this came:\n{read()}"
            time.sleep(0.05)
        self.ids |= {name: match[f"id_{name}"] for name in set(re.findall(ID, expected)) - set(self.ids)}
        assert len(set(self.ids.values())) == len(self.ids), f"two ids are one: {self.ids}"

    def pattern(self, expected):
        """Return the regular expression for what the page shows: what varies may vary, and spaces may be wider."""
        pattern, seen = "", set(self.ids)
        varying = "|".join(f"(?P<v{number}>{shown})" for number, (shown, _) in enumerate(VARYING))
        parts = rf"(?P<id>{ID})|{varying}|(?P<space>\s+)|(?P<text>.)"
        for part in re.finditer(parts, expected.strip(), re.M):
            kind, text = part.lastgroup, part[0]
            if kind == "id" and text in self.ids:
                pattern += self.ids[text]
            elif kind == "id":
                pattern += f"(?P=id_{text})" if text in seen else f"(?P<id_{text}>[0-9a-f]{{{len(text)}}})"
                seen.add(text)
            elif kind == "space":
                pattern += r"\s+"
            elif kind == "text":
                pattern += re.escape(text)
            else:
                pattern += VARYING[int(kind[1:])][1]
        return pattern

    def traces(self):
        """Return all the traces that have come since: a list of lists of spans, which are OTLP JSON objects."""
        answers = [self.get(f"/api/v3/traces/{summary['traceId']}") for summary in self.summaries()]
        return [
            [
                s
                for resource in each["result"]["resourceSpans"]
                for scope in resource["scopeSpans"]
                for s in scope["spans"]
            ]
            for each in answers
        ]

    def summaries(self):
        """Return what the viewer's list says of the traces that have come since (list of dict)."""
        summaries = self.get("/api/v3/trace-summaries")["summaries"]
        return [summary for summary in summaries if summary["traceId"] not in self.before]

    def get(self, path):
        """Return what the viewer answers (dict)."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.web}{path}") as answer:
            return json.load(answer)

    def wait_for_traces(self, *sizes):
        """Wait until traces of so many spans each have come; return them as `traces` does."""

        def arrived():
            return sorted(summary["spanCount"] for summary in self.summaries()) == sorted(sizes)

        wait_until(arrived, f"traces of {sizes} spans")
        return self.traces()


def attributes(thing):
    """Return the attributes (dict) of a span or an event in OTLP JSON; integers are strings there."""
    return {pair["key"]: next(iter(pair["value"].values())) for pair in thing.get("attributes", [])}
