"""How a child process of ours is started: nothing of the current folder is imported in it.

`python -m` and `python -c` put the current folder first among the places to import from; a `timm.py`
that lies beside somebody's images would be run.
"""

import sys
from collections.abc import Mapping

SAFE_PATH = {"PYTHONSAFEPATH": "1"}
"""for the environment of children that start Python themselves, as torchrun and multiprocessing do"""


def python_module(module: str, *arguments: str) -> list[str]:
    """The command line that runs a module with this Python."""
    return [sys.executable, "-P", "-m", module, *arguments]


_OF_RANKS = frozenset(
    "RANK WORLD_SIZE LOCAL_RANK LOCAL_WORLD_SIZE GROUP_RANK GROUP_WORLD_SIZE ROLE_RANK ROLE_WORLD_SIZE "
    "ROLE_NAME MASTER_ADDR MASTER_PORT".split()
)


def torchrun_variables(environment: Mapping[str, str]) -> dict[str, str]:
    """The variables by which torchrun tells a process its number, or is told its own options (PET_*).

    A shell inside a job of torchrun, Kubernetes or SageMaker has them too, and its children inherit them.
    """
    return {
        name: value
        for name, value in environment.items()
        if name in _OF_RANKS or name.startswith(("TORCHELASTIC_", "PET_"))
    }


def without_torchrun(environment: Mapping[str, str]) -> dict[str, str]:
    """An environment without the variables of another job's torchrun."""
    foreign = torchrun_variables(environment)
    return {name: value for name, value in environment.items() if name not in foreign}
