"""docs/reading-guide.md quotes the code as it is, from where it is."""

import ast
import re

import pytest

from tests.support import ROOT
from tests.test_trace import KINDS

GUIDE = (ROOT / "docs" / "reading-guide.md").read_text()
PLACE = r"here,? (?:`(\w+)` )?in \[(\w+\.py)\]"  # how the guide introduces what it quotes
QUOTATIONS = re.findall(rf"(?ims){PLACE}[^\n]*:\n\n```python\n(.*?)^```$", GUIDE)


def lines_of(file, function):
    """Return the lines of a function, its decorators included; those of the whole file when it is empty."""
    text = (ROOT / file).read_text()
    lines = text.splitlines()
    if function:
        [node] = [n for n in ast.walk(ast.parse(text)) if isinstance(n, ast.FunctionDef) and n.name == function]
        first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
        lines = lines[first - 1 : node.end_lineno]
    return [line.strip() for line in lines]


def pattern(line):
    """Return the regular expression of a quoted line: `…` is anything, and a comment may follow."""
    return (
        "".join(".*" if part == "…" else re.escape(part.strip()) for part in re.split("(…)", line.strip()))
        + r"(  #.*)?"
    )


@pytest.mark.parametrize(("function", "file", "quoted"), QUOTATIONS, ids=lambda part: part[:40])
def test_the_quoted_lines_stand_where_the_guide_says(function, file, quoted):
    lines = iter(lines_of(file, function))
    for line in quoted.splitlines():
        assert any(re.fullmatch(pattern(line), each) for each in lines), (
            f"{file}, {function}: no (further) line {line!r}"
        )


def test_each_of_the_three_files_is_quoted():
    assert len(QUOTATIONS) == len(re.findall(rf"(?i){PLACE}", GUIDE))
    assert {file for _, file, _ in QUOTATIONS} == {"common.py", "client.py", "server.py"}


def test_the_packages_of_the_post_are_in_the_requirements():
    packages = re.search(r"```\n(opentelemetry-api\n.*?)```", GUIDE, re.S)[1].split()
    assert set(packages) <= set(re.findall(r"^[\w-]+", (ROOT / "requirements.txt").read_text(), re.M))


def test_the_diagram_has_the_spans_of_the_trace():
    diagram = re.search(r"```mermaid\nflowchart.*?```", GUIDE, re.S)[0]
    assert set(re.findall(r'[A-F]\["(.*?)"\]', diagram)) == set(KINDS)


def test_the_table_of_spans_is_the_contract_that_the_other_tests_hold():
    rows = re.findall(r"^\| `([^`]+)` \| (?:client|server) \| ([A-Z]+) \|", GUIDE, re.M)
    assert dict(rows) == KINDS


def test_every_heading_of_the_post_is_here_in_both_languages():
    chinese = ["先决条件", "发生了什么", "OTel 库", "OTel 设置和配置", "初始化", "上下文传播", "试试看", "克隆回购"]
    chinese += ["运行服务器应用程序", "运行客户端应用程序", "在 Lightstep 中查看", "最后的想法"]
    places = [GUIDE.find(heading) for heading in chinese]
    assert -1 not in places
    assert places == sorted(places)
