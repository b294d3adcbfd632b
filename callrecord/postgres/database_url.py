"""DATABASE_URL: checks it, and removes options that are for other clients of Postgres.

People paste the URL that their provider or framework shows. Some of its options belong to libpq,
Prisma or a pooler. asyncpg would send each as a start-up parameter, which a server refuses.
"""

import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from callrecord.errors import Stop

OF_OTHER_CLIENTS: Final = {
    # libpq: https://www.postgresql.org/docs/current/libpq-connect.html
    "channel_binding",
    "client_encoding",
    "connect_timeout",
    "fallback_application_name",
    "gssdelegation",
    "gssencmode",
    "keepalives",
    "keepalives_count",
    "keepalives_idle",
    "keepalives_interval",
    "load_balance_hosts",
    "require_auth",
    "requirepeer",
    "requiressl",
    "sslcertmode",
    "sslcompression",
    "sslcrldir",
    "sslkeylogfile",
    "sslnegotiation",
    "sslsni",
    "tcp_user_timeout",
    # Prisma, node-postgres, pools, and the providers' own examples
    "connection_limit",
    "max_pool_size",
    "pgbouncer",
    "pool_mode",
    "pool_timeout",
    "prepared_statements",
    "schema",
    "sslaccept",
    "sslidentity",
    "statement_cache_size",
    "supa",
    "uselibpqcompat",
    "workaround",
}
_FILES: Final = ("sslrootcert", "sslcert", "sslkey")
_SYSTEM: Final = "system"
_WANTED: Final = "set it to postgresql://user:password@host:port/database"


class BadDatabaseUrl(Stop):
    """DATABASE_URL is missing or invalid, or Postgres refuses it for good."""


@dataclass(frozen=True)
class DatabaseUrl:
    """DATABASE_URL as asyncpg needs it.

    Attributes:
        dsn: The URL, without options of other clients.
        ignored: Names of those options.
        system_ca: Whether to verify the server's certificate with the system's root certificates.
    """

    dsn: str
    ignored: tuple[str, ...]
    system_ca: bool

    @property
    def tls(self) -> ssl.SSLContext | None:
        """The TLS context to connect with; None leaves it to the URL's sslmode."""
        return ssl.create_default_context() if self.system_ca else None

    def each_host(self) -> list[str]:
        """Return one URL for each of its hosts, in order."""
        parts = urlsplit(self.dsn)
        login, at, hosts = parts.netloc.rpartition("@")
        return [
            urlunsplit(parts._replace(netloc=f"{login}{at}{host}")) for host in hosts.split(",")
        ]


def checked_url(url: str | None) -> str:
    """Return the URL unchanged.

    Raises:
        BadDatabaseUrl: It is missing or not a Postgres URL. The message does not repeat it,
            because it holds a password.
    """
    if not url:
        raise BadDatabaseUrl(f"DATABASE_URL is missing: {_WANTED}")
    try:
        parts = urlsplit(url)
        good = parts.scheme in {"postgres", "postgresql"}
        hosts = [urlsplit(f"//{host}") for host in parts.netloc.rpartition("@")[2].split(",")]
        good = good and all(host.port != 0 for host in hosts)
    except ValueError:
        good = False
    named = good and (all(host.hostname for host in hosts) or _names_a_host(parts.query))
    if not named:
        raise BadDatabaseUrl(f"DATABASE_URL is not the URL of a Postgres database: {_WANTED}")
    return url


def read_url(url: str) -> DatabaseUrl:
    """Return the URL as asyncpg needs it.

    Raises:
        BadDatabaseUrl: The URL is invalid, or names a certificate or key that does not exist.
    """
    parts = urlsplit(checked_url(url))
    options = parse_qsl(parts.query, keep_blank_values=True)
    for name, value in options:
        if name in _FILES and value != _SYSTEM and not Path(value).expanduser().is_file():
            raise BadDatabaseUrl(f"DATABASE_URL: {name}={value} is not a file that can be read")
    kept, ignored, system_ca = [], [], False
    for name, value in options:
        if name in OF_OTHER_CLIENTS:
            ignored.append(name)
        elif name == "sslrootcert" and value == _SYSTEM:
            system_ca = True  # libpq then verifies the host name, whatever the sslmode
        elif name == "sslmode" and value == "no-verify":  # node-postgres' name for it
            kept.append((name, "require"))
        else:
            kept.append((name, value))
    if "," in parts.netloc and not any(name == "target_session_attrs" for name, _ in kept):
        kept.append(("target_session_attrs", "read-write"))
    if kept != options:  # else keep the spelling of the URL
        url = with_options(url, kept)
    return DatabaseUrl(url, tuple(dict.fromkeys(ignored)), system_ca)


def with_options(url: str, options: list[tuple[str, str]]) -> str:
    """Return the URL with its options replaced by these."""
    query = urlencode(options, safe="/:")
    return url.partition("?")[0] + (f"?{query}" if query else "")


def _names_a_host(query: str) -> bool:
    return any(name in {"host", "socket"} for name, _ in parse_qsl(query))
