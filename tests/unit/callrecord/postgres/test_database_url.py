"""DATABASE_URL: pasted from providers and frameworks, and read in one way by every command."""

from pathlib import Path

import pytest

from callrecord.postgres.database_url import BadDatabaseUrl, checked_url, read_url

PLAIN = "postgresql://u:p@h:5432/db"


@pytest.mark.parametrize(
    "url",
    [
        PLAIN,
        "postgres://u:p%40ss@h/db?sslmode=require",
        "postgresql://u:p@[::1]:5432/db",
        "postgresql:///db?host=/run/postgresql",
        f"{PLAIN}?application_name=worker&statement_timeout=5000",
    ],
)
def test_what_needs_no_change_is_passed_on_verbatim(url: str) -> None:
    read = read_url(url)
    assert (read.dsn, read.ignored, read.tls) == (url, (), None)


@pytest.mark.parametrize(
    ("options", "kept", "ignored"),
    [
        ("channel_binding=require&sslmode=prefer", "?sslmode=prefer", ("channel_binding",)),
        ("pgbouncer=true&connection_limit=1", "", ("pgbouncer", "connection_limit")),
        ("schema=public&connect_timeout=10", "", ("schema", "connect_timeout")),
        ("keepalives=1&keepalives_idle=30&gssencmode=disable", "", None),
        ("sslmode=no-verify&uselibpqcompat=true", "?sslmode=require", ("uselibpqcompat",)),
        ("supa=base-pooler.x&workaround=supabase-pooler.vercel", "", ("supa", "workaround")),
    ],
)
def test_options_of_other_clients_are_left_out(
    options: str, kept: str, ignored: tuple[str, ...] | None
) -> None:
    read = read_url(f"{PLAIN}?{options}")
    assert read.dsn == f"{PLAIN}{kept}"
    assert ignored is None or read.ignored == ignored


def test_the_systems_certificates_check_the_server() -> None:
    read = read_url(f"{PLAIN}?sslmode=verify-full&sslrootcert=system")
    assert read.dsn == f"{PLAIN}?sslmode=verify-full"
    assert read.tls is not None
    assert read.tls.check_hostname


@pytest.mark.parametrize("name", ["sslrootcert", "sslcert", "sslkey"])
def test_a_file_that_is_not_there_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadDatabaseUrl, match=f"{name}=/nope.crt is not a file"):
        read_url(f"{PLAIN}?sslmode=verify-full&{name}=/nope.crt")
    (tmp_path / "there").touch()
    read_url(f"{PLAIN}?sslmode=verify-full&{name}={tmp_path / 'there'}")


def test_of_several_hosts_the_one_that_takes_writes_is_wanted() -> None:
    url = "postgresql://u:p@a:1,b:5432/db"
    assert checked_url(url) == url
    assert read_url(url).dsn == f"{url}?target_session_attrs=read-write"
    given = f"{url}?target_session_attrs=primary"
    assert read_url(given).dsn == given
    assert read_url(url).each_host() == [
        "postgresql://u:p@a:1/db?target_session_attrs=read-write",
        "postgresql://u:p@b:5432/db?target_session_attrs=read-write",
    ]


@pytest.mark.parametrize(
    "url", [None, "", "nonsense", "mysql://h/d", "postgresql://h:x/d", "postgresql://h:1,/d"]
)
def test_what_is_none_is_refused_without_repeating_it(url: str | None) -> None:
    with pytest.raises(BadDatabaseUrl) as caught:
        checked_url(url)
    assert not url or url not in str(caught.value)
