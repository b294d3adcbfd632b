"""Variables that start with AGENT_ but are not ours: a platform sets them."""

import re
from collections.abc import Iterable, Mapping
from typing import Final

_ADDRESS: Final = re.compile(r"(tcp|udp|sctp)://\S*")

_KUBERNETES: Final = re.compile(
    r"AGENT(_\w+)?_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)"
)
"""Set in each pod for a Service called `agent` or `agent-...`; AGENT_HTTP_PORT may be one. See
https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables."""

_AZURE_PIPELINES: Final = frozenset(
    f"AGENT_{name}"
    for name in (
        "BUILDDIRECTORY",
        "CLOUDID",
        "DISABLELOGPLUGIN_TESTFILEPUBLISHERPLUGIN",
        "DISABLELOGPLUGIN_TESTRESULTLOGPLUGIN",
        "HOMEDIRECTORY",
        "ID",
        "ISSELFHOSTED",
        "JOBNAME",
        "JOBSTATUS",
        "MACHINENAME",
        "NAME",
        "OS",
        "OSARCHITECTURE",
        "READONLYVARIABLES",
        "RETAINDEFAULTENCODING",
        "ROOTDIRECTORY",
        "SERVEROMDIRECTORY",
        "TEMPDIRECTORY",
        "TOOLSDIRECTORY",
        "USEWORKSPACEID",
        "VERSION",
        "WORKFOLDER",
    )
)
"""Variables of the build agent, see
https://learn.microsoft.com/azure/devops/pipelines/build/variables."""


def foreign_names(environment: Mapping[str, str], ours: Iterable[str]) -> set[str]:
    """Return the variables that a platform has set, even if one of our settings has that name.

    Args:
        environment: All variables.
        ours: The names of our settings, in capitals.
    """
    known = set(ours)
    on_azure = "TF_BUILD" in environment
    found = set()
    for name, value in environment.items():
        if _KUBERNETES.fullmatch(name):
            # For a name of ours, such as AGENT_HTTP_PORT, the value decides.
            if name not in known or _ADDRESS.fullmatch(value):
                found.add(name)
        elif name in _AZURE_PIPELINES and (name not in known or on_azure):
            found.add(name)
    return found
