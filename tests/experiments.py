"""Does what docs/experiments.md says, and compares what comes of it with what the page shows."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from tests.conftest import CLIENT, SERVER
from tests.support import ROOT, Process, clean_environment, wait_until

PAGE = (ROOT / "docs" / "experiments.md").read_text()
TAKE_CHANGE = re.search(r"^(sed .* \| git apply)$", PAGE, re.M)[1]  # as the page says it, of the sixth experiment

TRACE_ID = "[0-9a-f]{32}"
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


class Lesson:
    """One experiment, in a clone. A context manager: it applies the change at first, and undoes it in the end.

    `run()` takes the blocks of the page one by one. A command is typed; anything else is waited for, in the answer of
    the command, in the server's terminal or in the viewer's. A trace id of the page stands for one real trace id, the
    same in all blocks.

    folder: the clone, of which git knows the files. viewer: the Process that draws. web: the port of its page.
    settings: the environment of server and client.
    """

    def __init__(self, number, folder, viewer, web, settings):
        self.text, self.number, self.folder = section(number), number, folder
        self.viewer, self.web, self.port = viewer, web, settings["SERVER_PORT"]
        self.settings = settings | {
            "DESTINATION_URL": f"http://localhost:{self.port}/ping",
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        }
        self.ids = {name: name for name in re.findall(rf"TRACE=({TRACE_ID})", self.text)}  # page: real
        self.servers, self.clients = [], []

    def __enter__(self):
        if "\n$ curl " in self.text and not shutil.which("curl"):
            pytest.skip("there is no curl here, and the experiment is about it (apt install curl)")
        self.sh("git checkout --quiet .")  # what an experiment that failed has left
        if "```diff" in self.text:
            self.sh(re.sub(r"(?<=### )\d+", lambda sixth: str(int(sixth[0]) - 6 + self.number), TAKE_CHANGE))
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
        if command in ("make demo", "make bench"):
            return  # the test has done the one, and tests/benchmarks/ do the other
        if variables := re.fullmatch(r"(?:export )?((?:[A-Z_]+=\S+ ?)+)", command):
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
        """What the viewer has drawn, without the notices of traces that came in parts."""
        return re.sub(r"(?m)^  updated: .*\n", "", self.viewer.output)

    def find(self, expected, read, seconds=30):
        """Wait until `read()` has what the page shows, and note its trace ids."""

        deadline = time.monotonic() + seconds
        while not (match := re.search(self.pattern(expected), read())):
            assert time.monotonic() < deadline, f"The page shows\n{expected}\nand this came:\n{read()}"
            time.sleep(0.02)
        self.ids |= {name: match[f"id_{name}"] for name in set(re.findall(TRACE_ID, expected)) - set(self.ids)}
        assert len(set(self.ids.values())) == len(self.ids), f"two traces are one: {self.ids}"

    def pattern(self, expected):
        """Return the regular expression for what the page shows: what varies may vary, and spaces may be wider."""
        pattern, seen = "", set(self.ids)
        varying = "|".join(f"(?P<v{number}>{shown})" for number, (shown, _) in enumerate(VARYING))
        parts = rf"(?P<id>{TRACE_ID})|{varying}|(?P<space>\s+)|(?P<text>.)"
        for part in re.finditer(parts, expected.strip(), re.M):
            kind, text = part.lastgroup, part[0]
            if kind == "id" and text in self.ids:
                pattern += self.ids[text]
            elif kind == "id":
                pattern += f"(?P=id_{text})" if text in seen else f"(?P<id_{text}>{TRACE_ID})"
                seen.add(text)
            elif kind == "space":
                pattern += r"\s+"
            elif kind == "text":
                pattern += re.escape(text)
            else:
                pattern += VARYING[int(kind[1:])][1]
        return pattern

    def traces(self):
        """Return all the traces that the viewer has: a list of lists of spans, which are OTLP JSON objects."""
        summaries = self.get("trace-summaries")["summaries"]
        resources = [self.get(f"traces/{one['traceId']}")["result"]["resourceSpans"] for one in summaries]
        return [
            [s for resource in each for scope in resource["scopeSpans"] for s in scope["spans"]] for each in resources
        ]

    def get(self, path):
        """Return what the viewer's API answers (dict)."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.web}/api/v3/{path}") as answer:
            return json.load(answer)

    def wait_for_traces(self, *sizes):
        """Wait until the viewer has traces of so many spans each; return them as `traces` does."""
        return wait_until(lambda: (t := self.traces()) and sorted(map(len, t)) == sorted(sizes) and t, f"{sizes} spans")


def attributes(thing):
    """Return the attributes (dict) of a span or an event in OTLP JSON; integers are strings there."""
    return {pair["key"]: next(iter(pair["value"].values())) for pair in thing.get("attributes", [])}
