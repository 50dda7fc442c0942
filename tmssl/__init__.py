"""Self-supervised retrieval for trademarks: the public API, described in docs/python.md.

Importing costs nothing: each name is imported when it is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from tmssl.system import refuse_windows
from tmssl.version import __version__ as __version__

if TYPE_CHECKING:
    from tmssl.api import (
        Encoder,
        RunHistory,
        TrainedRun,
        embed,
        evaluate,
        list_runs,
        load_encoder,
        open_pack,
        open_run,
        read_history,
        search,
    )
    from tmssl.errors import TmsslError

__all__ = [
    "Encoder",
    "RunHistory",
    "TmsslError",
    "TrainedRun",
    "embed",
    "evaluate",
    "list_runs",
    "load_encoder",
    "open_pack",
    "open_run",
    "read_history",
    "search",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'tmssl' has no attribute {name!r}")
    refuse_windows()
    home = "tmssl.errors" if name == "TmsslError" else "tmssl.api"
    return getattr(import_module(home), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
