""".github/workflows/test.yml, which cannot be run here, says what the rest of the repository says."""

import re

import yaml

from tests.support import ROOT

[JOB] = yaml.safe_load((ROOT / ".github" / "workflows" / "test.yml").read_text())["jobs"].values()


def test_it_takes_each_python_that_the_readme_names():
    first, last = re.search(r"Python 3\.(\d+) to 3\.(\d+)", (ROOT / "README.md").read_text()).groups()
    assert JOB["strategy"]["matrix"]["python"] == [f"3.{minor}" for minor in range(int(first), int(last) + 1)]


def test_it_makes_targets_that_there_are():
    [command] = [step["run"] for step in JOB["steps"] if "run" in step]
    targets = re.findall(r"'(\w+)'", command.replace("'schedule'", ""))
    assert targets == ["newest", "test"]
    assert set(targets) <= set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.M))
