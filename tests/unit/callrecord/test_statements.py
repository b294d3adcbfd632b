"""No SQL is made from strings: whatever is sent to Postgres stands in a .sql file."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.places import PROJECT

SENDS = {
    *("execute", "executemany", "fetch", "fetchrow", "fetchval", "fetchmany", "cursor"),
    *("copy_from_query", "prepare"),
}

FROM_FILES = {"callrecord/schema/routines.py: connection.execute(statements)"}
"""What sends the text of files in db/routines, and the locks on the tables that they name."""


def strange(source: str) -> Iterator[str]:
    """Yield the calls that send something else than `sql(...)` of a plain name.

    `select(Kind, ...)` is such a file too: it puts the columns of a row's class into it.
    """
    for node in ast.walk(ast.parse(source)):
        if not (isinstance(node, ast.Call) and node.args and _sends(node.func)):
            continue
        if not _from_a_file(node.args[0]):
            yield f"line {node.lineno}: {ast.unparse(node)}"


def _from_a_file(statement: ast.expr) -> bool:
    match statement:
        case ast.Call(func=function, args=[ast.Constant() | ast.Name()]):
            return _name(function) in {"sql", "_placed"}
        case ast.Call(func=function, args=[ast.Name(), ast.Constant()]):
            return _name(function) == "select"
    return False


def _sends(function: ast.expr) -> bool:
    return isinstance(function, ast.Attribute) and function.attr in SENDS


def _name(function: ast.expr) -> str:
    match function:
        case ast.Attribute():
            return function.attr
        case ast.Name():
            return function.id
    return ""


@pytest.mark.parametrize(
    "argument",
    [
        "f'select {name}'",
        "'select %s' % name",
        "'select ' + name",
        "'select {}'.format(name)",
        "query",
        "sql('select').replace('NAME', name)",
        "sql(f'select_{name}')",
        "select(Call, f'get_{name}')",
    ],
)
def test_a_statement_from_a_string_is_found(argument: str) -> None:
    assert list(strange(f"connection.fetch({argument}, 1)"))
    assert not list(strange("connection.fetch(sql('select_name'), name)"))
    assert not list(strange("connection.fetch(select(Call, 'get_call'), name)"))


def test_every_statement_stands_in_a_file() -> None:
    found = {
        f"{path.relative_to(PROJECT)}, {each}"
        for path in _sources()
        for each in strange(path.read_text())
    }
    assert {re.sub(r", line \d+", "", each) for each in found} == FROM_FILES


def test_the_search_meets_statements() -> None:
    sent = [
        node
        for path in _sources()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and _name(node.func) == "sql"
    ]
    assert len(sent) > 15


def _sources() -> Iterator[Path]:
    for package in ("callrecord", "agent", "db"):
        yield from (PROJECT / package).rglob("*.py")


@pytest.mark.parametrize(
    "folder", ["bench/sql", "callrecord/postgres/queries", "db/routines", "migrations"]
)
def test_no_file_is_empty(folder: str) -> None:
    files = list((PROJECT / folder).rglob("*.sql"))
    assert files
    assert [str(path) for path in files if not _without_comments(path.read_text()).strip()] == []


def _without_comments(text: str) -> str:
    return re.sub(r"--.*", "", text)
