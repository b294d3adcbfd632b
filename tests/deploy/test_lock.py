"""Every package of the lock has a wheel for each Python and machine that the docs name."""

import tomllib
from typing import Any

import pytest
from packaging.markers import Marker
from packaging.tags import Tag, compatible_tags, cpython_tags, mac_platforms
from packaging.utils import parse_wheel_filename

from local.places import PROJECT

LOCK: dict[str, Any] = tomllib.loads((PROJECT / "uv.lock").read_text())
PYTHONS = [(3, 11), (3, 12), (3, 13), (3, 14)]
GLIBC = 36  # Debian 12's
MACHINES = {
    "Linux x86_64": ("linux", "x86_64"),
    "Linux arm64": ("linux", "aarch64"),
    "macOS arm64": ("darwin", "arm64"),
}


@pytest.mark.parametrize("python", PYTHONS, ids=lambda version: "{}.{}".format(*version))
@pytest.mark.parametrize("machine", MACHINES)
def test_nothing_has_to_be_compiled(python: tuple[int, int], machine: str) -> None:
    system, processor = MACHINES[machine]
    tags, environment = _tags(python, system, processor), _environment(python, system, processor)
    lacking = [
        f"{package['name']} {package['version']}"
        for package in LOCK["package"]
        if "registry" in package["source"]
        and _is_for(package, environment)
        and not any(_tags_of(wheel) & tags for wheel in package.get("wheels", ()))
    ]
    assert lacking == []


def _is_for(package: dict[str, Any], environment: dict[str, str]) -> bool:
    markers = package.get("resolution-markers")
    return not markers or any(Marker(marker).evaluate(environment) for marker in markers)


def _tags_of(wheel: dict[str, str]) -> frozenset[Tag]:
    return parse_wheel_filename(wheel["url"].rpartition("/")[2])[3]


def _tags(python: tuple[int, int], system: str, processor: str) -> set[Tag]:
    if system == "darwin":
        platforms = list(mac_platforms((14, 0), processor))
    else:
        platforms = [f"manylinux_2_{minor}_{processor}" for minor in range(5, GLIBC + 1)]
        platforms += [f"manylinux{year}_{processor}" for year in ("2010", "2014")]
    interpreter = "cp{}{}".format(*python)
    return {
        *cpython_tags(python, platforms=platforms),
        *compatible_tags(python, interpreter, platforms),
    }


def _environment(python: tuple[int, int], system: str, processor: str) -> dict[str, str]:
    version = "{}.{}".format(*python)
    return {
        "implementation_name": "cpython",
        "platform_python_implementation": "CPython",
        "os_name": "posix",
        "platform_machine": processor,
        "platform_system": {"linux": "Linux", "darwin": "Darwin"}[system],
        "python_full_version": f"{version}.0",
        "python_version": version,
        "sys_platform": system,
    }
