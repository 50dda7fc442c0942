"""The address of a service that takes notices; it may hold a password, so it is shown in part."""

import importlib.util
import os

from tmssl.config import scheme
from tmssl.errors import ConfigError
from tmssl.text import safe

NOTIFY_VARIABLE = "TMSSL_NOTIFY"
"""an address for every run that names none, so that it need not stand in a file"""


def address_of(setting: str) -> str:
    """The address that a run's notices go to: of its settings, else of `TMSSL_NOTIFY`; or empty."""
    return setting or os.environ.get(NOTIFY_VARIABLE, "")


def check_address(address: str) -> None:
    """Refuse an address that no service is known for. The service itself is not asked.

    Raises:
        ConfigError: it is no such address, or the library that sends notices is missing.
    """
    if not address:
        return
    if importlib.util.find_spec("apprise") is None:
        raise ConfigError("notices need the extra notify: pip install 'tmssl[notify]'")
    from apprise import Apprise

    if not Apprise().add(address):
        raise ConfigError(
            f"notify is {safe(scheme(address))}, and apprise can send to no such address; give one such as "
            "ntfy://TOPIC, or none"
        )
