"""What the project imports of shared namespaces is a dependency of its own.

deptry, in `make check`, does this for all others; the members of a namespace look alike to it.
"""

import ast
import importlib.metadata
import importlib.util
import re
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from local.places import PROJECT

NAMESPACES = ("livekit", "opentelemetry")
PROJECT_FILE: dict[str, Any] = tomllib.loads((PROJECT / "pyproject.toml").read_text())
GROUPS = {
    "callrecord": (),
    "db": (),
    "agent": ("worker",),
    "local": ("worker", "local"),
    "bench": ("worker", "local", "dev"),
    "tests": ("worker", "local", "dev"),
}


@pytest.mark.parametrize("package", GROUPS)
def test_members_of_namespaces_are_declared(package: str) -> None:
    declared = _declared(GROUPS[package])
    owners = {_owner(module): module for module in _imports(package)}
    assert {owner: module for owner, module in owners.items() if owner not in declared} == {}


def test_the_classifiers_name_the_pythons_that_may_run_it() -> None:
    project = PROJECT_FILE["project"]
    named = re.findall(r"Python :: 3\.(\d+)", "\n".join(project["classifiers"]))
    low, high = re.fullmatch(r">=3\.(\d+),<3\.(\d+)", project["requires-python"]).groups()  # type: ignore[union-attr]
    assert [int(minor) for minor in named] == list(range(int(low), int(high)))


def _declared(groups: tuple[str, ...]) -> set[str]:
    names = list(PROJECT_FILE["project"]["dependencies"])
    for group in groups:
        names += PROJECT_FILE["dependency-groups"][group]
    return {re.split(r"[\[<>=~! ]", name)[0] for name in names}


def _imports(package: str) -> Iterator[str]:
    """Yield each module of a namespace that the package imports, or imports names from."""
    for path in (PROJECT / package).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                found = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                # `from livekit import api` names a member, `from livekit.api import X` does not.
                inside = [f"{node.module}.{alias.name}" for alias in node.names]
                found = inside if node.module in _SHARED else [node.module]
            else:
                continue
            yield from (name for name in found if name.split(".")[0] in NAMESPACES)


_SHARED = (*NAMESPACES, "livekit.plugins", "opentelemetry.exporter", "opentelemetry.sdk")


@cache
def _owner(module: str) -> str:
    """Return the distribution that holds a module's file."""
    spec = importlib.util.find_spec(module)
    if spec is None or not spec.origin:
        spec = importlib.util.find_spec(module.rpartition(".")[0])
    assert spec is not None
    assert spec.origin, f"{module} is a namespace, of which no part was named"
    return _files()[Path(spec.origin)]


@cache
def _files() -> dict[Path, str]:
    return {
        Path(str(distribution.locate_file(file))): re.sub(r"[-_.]+", "-", distribution.name).lower()
        for distribution in importlib.metadata.distributions()
        for file in distribution.files or ()
        if str(file).startswith(NAMESPACES)
    }
