"""A connection to a Qdrant server, or to a folder that its client treats as one."""

import contextlib
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

from tmssl.errors import EngineError, InputError
from tmssl.text import safe

if TYPE_CHECKING:
    from qdrant_client import QdrantClient

KEY_VARIABLE = "QDRANT_API_KEY"
_TIMEOUT_S = 30


def connect(url: str) -> "QdrantClient":
    """A client of the server at an `http://` or `https://` address, or of a folder on this disk.

    Nothing is sent yet. The API key is that of the variable QDRANT_API_KEY.

    Raises:
        InputError: qdrant-client is missing, or the folder cannot be used.
    """
    try:
        from qdrant_client import QdrantClient
    except ImportError as error:
        raise InputError("Qdrant needs the extra qdrant: pip install 'tmssl[qdrant]'") from error
    if is_server(url):
        key = os.environ.get(KEY_VARIABLE) or None
        return QdrantClient(
            url=url, port=None, api_key=key, timeout=_TIMEOUT_S, check_compatibility=False
        )
    if "://" in url:
        raise InputError(
            f"'{safe(url, 80)}' is no address of Qdrant; give http://, https:// or a folder"
        )
    try:
        return QdrantClient(path=url)
    except (OSError, RuntimeError) as error:  # RuntimeError: another process has the folder open
        raise InputError(f"cannot open the folder {safe(url)}: {safe(error, 200)}") from error


def is_server(url: str) -> bool:
    """Whether that is the address of a server, and no folder in its place."""
    return url.startswith(("http://", "https://"))


@contextlib.contextmanager
def engine_errors(url: str, advice: str) -> Iterator[None]:
    """Turn what goes wrong with the server into one line.

    Args:
        url: of the server.
        advice: what to do.

    Raises:
        EngineError: the server refuses, does not answer in time, or breaks off.
    """
    from qdrant_client.common.client_exceptions import QdrantException
    from qdrant_client.http.exceptions import ApiException

    try:
        yield
    except (ApiException, QdrantException, OSError, ValueError) as error:
        reason = safe(" ".join(str(error).split()), 200) or type(error).__name__
        raise EngineError(f"Qdrant at {safe(url, 200)}: {reason}; {advice}") from error
