"""The statements sent to Postgres, one in each .sql file beside this one."""

from functools import cache
from importlib.resources import files


@cache
def sql(name: str) -> str:
    """Return the text of `<name>.sql`.

    Raises:
        FileNotFoundError: There is no such file.
    """
    return files(__package__).joinpath(f"{name}.sql").read_text(encoding="utf-8")
