"""`python -m bench`: every benchmark in its short form, one after the other."""

import subprocess
import sys

SHORT = (
    ["bench.recorder", "--events", "5000", "--beside", "100"],
    ["bench.shipping", "--calls", "50", "--rounds", "1"],
    ["bench.triggers", "--sizes", "10", "1000", "5000", "--times", "50"],
    ["bench.visibility", "--events", "200"],
    ["bench.visibility", "--calls", "3"],
    ["bench.backpressure", "--calls", "20", "--minutes", "15", "--seconds", "15"],
    ["bench.queries", "--calls", "10000", "--users", "300", "--runs", "50"],
    ["bench.greeting", "--calls", "3", "--instant"],
)


def main() -> int:
    """Run them all; return 1 if one could not be run."""
    failed = 0
    for command in SHORT:
        print(f"\n$ python -m {' '.join(command)}", flush=True)
        failed |= subprocess.run([sys.executable, "-m", *command], check=False).returncode != 0
    return failed


if __name__ == "__main__":
    sys.exit(main())
