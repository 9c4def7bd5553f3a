"""docs/reading-guide.md quotes the code as it is, from where it is."""

import ast
import re

import pytest

from tests.support import ROOT
from tests.test_trace import KINDS

GUIDE = (ROOT / "docs" / "reading-guide.md").read_text()
PLACE = r"here,? (?:`(\w+)` )?in \[(\w+\.py)\]"  # how the guide introduces what it quotes
QUOTATIONS = re.findall(rf"(?ims){PLACE}[^\n]*:\n\n```python\n(.*?)^```$", GUIDE)
WORDS = ["trace", "span", "kind", "current span", "context", "propagator", "carrier", "inject", "extract", "exporter"]
WORDS += ["processor", "provider", "resource", "scope", "SDK and API", "sampled", "baggage", "instrument"]


def code_of(file, function):
    """Return the code of a function, its decorators included, or of a whole file; without comments and docstrings."""
    text = (ROOT / file).read_text()
    lines = text.splitlines()
    first, last = 0, len(lines)
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            if node.name == function:
                first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)]) - 1
                last = node.end_lineno
            for number in range(node.body[0].lineno - 1, node.body[0].end_lineno):  # each has a docstring
                lines[number] = None
    assert first or not function, f"no {function} in {file}"
    lines = [line for line in lines[first:last] if line is not None and not line.strip().startswith("#")]
    return "\n".join(re.sub("  #.*", "", line).strip() for line in lines) + "\n"


@pytest.mark.parametrize(("function", "file", "quoted"), QUOTATIONS, ids=lambda part: part[:40])
def test_the_quoted_lines_stand_where_the_guide_says_with_a_mark_for_what_is_left_out(function, file, quoted):
    lines = (line.strip() for line in quoted.splitlines())
    pattern = "".join("(?:.*\n)*?" if line == "…" else re.escape(line) + "\n" for line in lines)
    assert re.search(f"^{pattern}", code_of(file, function), re.M), code_of(file, function)


def test_each_word_is_explained_in_one_place_to_which_the_readme_links():
    assert "(docs/reading-guide.md#how-one-trace-comes-about)" in (ROOT / "README.md").read_text()
    table = GUIDE.split("## How one trace comes about\n")[1].split("\n## ")[0]
    assert sorted(re.findall(r"^\| ([\w ]+) \| [A-Z]", table, re.M)) == sorted(WORDS)


def test_the_sdk_is_imported_in_common_py_alone():
    programs = [ROOT / "common.py", ROOT / "client.py", ROOT / "server.py", *(ROOT / "beyond").glob("*.py")]
    assert [path.name for path in programs if "opentelemetry.sdk" in path.read_text()] == ["common.py"]


def test_each_of_the_three_files_is_quoted():
    assert len(QUOTATIONS) == len(re.findall(rf"(?i){PLACE}", GUIDE))
    assert {file for _, file, _ in QUOTATIONS} == {"common.py", "client.py", "server.py"}


def test_the_packages_of_the_post_are_in_the_requirements():
    packages = re.search(r"```\n(opentelemetry-api\n.*?)```", GUIDE, re.S)[1].split()
    assert set(packages) <= set(re.findall(r"^[\w-]+", (ROOT / "requirements.txt").read_text(), re.M))


def test_the_diagram_has_the_spans_of_the_trace():
    diagram = re.search(r"one trace id:\n\n```\n(.*?)```", GUIDE, re.S)[1]
    assert re.findall(r"(?:─ |client\.py +)(.+)", diagram) == list(KINDS)


def test_the_table_of_spans_is_the_contract_that_the_other_tests_hold():
    rows = re.findall(r"^\| `([^`]+)` \| (?:client|server) \| ([A-Z]+) \|", GUIDE, re.M)
    assert dict(rows) == KINDS


def test_every_heading_of_the_post_is_here_in_both_languages():
    chinese = ["先决条件", "发生了什么", "OTel 库", "OTel 设置和配置", "初始化", "上下文传播", "试试看", "克隆回购"]
    chinese += ["运行服务器应用程序", "运行客户端应用程序", "在 Lightstep 中查看", "最后的想法"]
    places = [GUIDE.find(heading) for heading in chinese]
    assert -1 not in places
    assert places == sorted(places)
