"""The types of settings, each with its validation."""

import re
from typing import Annotated
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, Field, SecretStr

_HOST = r"([^@/?#:,\[\]]*|\[[0-9a-fA-F:.]+\])(:[0-9]+)?"
_DSN = re.compile(rf"[a-z]+://([^@/?#:]*(:[^@/?#:]*)?@)?{_HOST}(,{_HOST})*(/[^?#]*)?(\?[^#]*)?")
_LANGUAGE = re.compile(r"[A-Za-z]{2,3}([-_][A-Za-z0-9]{2,8})*")


def _split(value: str, schemes: tuple[str, ...], example: str) -> SplitResult:
    # Do not quote the value in an error: it may contain a password.
    try:
        url = urlsplit(value)
        right = url.scheme in schemes and bool(url.hostname) and (url.port or True)
    except ValueError:
        right = False
    if not right or any(letter.isspace() for letter in value):
        raise ValueError(f"is no such address as {example}")
    return url


def _base_url(value: str) -> str:
    if not value:
        return value
    url = _split(value, ("http", "https"), "https://host/v1")
    if url.username or url.password:
        raise ValueError("must not hold a password: give the key in the setting for it")
    if url.query or url.fragment:
        raise ValueError("must end with the path, without ? or #")
    return value.rstrip("/")


def _azure_endpoint(value: str) -> str:
    if not value:
        return value
    if urlsplit(_base_url(value)).path:
        raise ValueError("must be without a path, as https://name.openai.azure.com")
    return value.rstrip("/")


def _postgres_url(value: SecretStr) -> SecretStr:
    text = value.get_secret_value()
    # The database refuses other schemes; its error for a misread URL would quote parts of it.
    if text.startswith(("postgresql://", "postgres://")) and not _DSN.fullmatch(text):
        raise ValueError(
            "cannot be read; in user and password write @ : / ? # % as %40 %3A %2F %3F %23 %25"
        )
    return value


def _language(value: str) -> str:
    if not _LANGUAGE.fullmatch(value):
        raise ValueError("is no language code such as en or pt-BR")
    return value


Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
BaseUrl = Annotated[str, AfterValidator(_base_url)]
AzureEndpoint = Annotated[str, AfterValidator(_azure_endpoint)]
PostgresUrl = Annotated[SecretStr, AfterValidator(_postgres_url)]
Language = Annotated[str, AfterValidator(_language)]

NO_SECRET = SecretStr("")
