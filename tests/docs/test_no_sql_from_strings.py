"""The worker puts no SQL together from strings: each statement is a file's, or a constant."""

import ast
from collections.abc import Iterator

import pytest

from local.places import PROJECT

PACKAGES = ("agent", "callrecord", "db")
RUNS_SQL = {
    *("execute", "executemany", "fetch", "fetchrow", "fetchval", "prepare", "cursor"),
    *("copy_from_query",),
}


def built(source: str) -> Iterator[ast.Call]:
    """Yield the calls that run SQL which is neither a file's nor a constant."""
    for node in ast.walk(ast.parse(source)):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
            continue
        if node.func.attr in RUNS_SQL and node.args and not _is_fixed(node.args[0]):
            yield node


def _is_fixed(query: ast.expr) -> bool:
    if isinstance(query, ast.Constant):
        return isinstance(query.value, str)
    return (
        isinstance(query, ast.Call) and isinstance(query.func, ast.Name) and query.func.id == "sql"
    )


def test_no_statement_is_built() -> None:
    sources = [path for package in PACKAGES for path in (PROJECT / package).rglob("*.py")]
    found = [(path, ast.unparse(call)) for path in sources for call in built(path.read_text())]
    assert found == []


@pytest.mark.parametrize(
    "query", ["f'select {x}'", "'select ' + x", "'select %s' % x", "'select {}'.format(x)", "x"]
)
def test_a_statement_that_is_built_is_found(query: str) -> None:
    assert len(list(built(f"connection.fetch({query}, y)"))) == 1
