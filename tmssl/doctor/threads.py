"""The environment of a process that computes: its threads share the cores with what else runs there.

torch's OpenMP threads wait for each other by spinning. As soon as more threads than cores are ready,
each spins away the time that another needs to get to the same barrier: two trainers on two cores get a
sixth of the steps that one gets alone. `python -m tests.bench.shared` measures it; docs/experiments.md
has the figures.
"""

import os
from collections.abc import MutableMapping

from tmssl.children import SAFE_PATH
from tmssl.doctor.machine import usable_cores
from tmssl.system import allowed_cores

# A thread spins about 0.1 ms, longer than most barriers take alone, and then sleeps.
_GNU = {"GOMP_SPINCOUNT": "10000"}
_INTEL_AND_LLVM = {"KMP_BLOCKTIME": "1"}  # ms, the least but 0
_CHOICES = ("OMP_WAIT_POLICY", "KMP_LIBRARY")  # a person's word on the same for every runtime


def share_cores(environment: MutableMapping[str, str] = os.environ) -> None:
    """Let OpenMP threads wait without spinning for long, and be no more than a quota allows.

    To be called before torch, faiss or numpy is imported; children inherit it. What the person has set
    stays. OpenMP follows the affinity by itself, and knows nothing of control groups.
    """
    for name, value in SAFE_PATH.items():
        environment.setdefault(name, value)
    if not any(name in environment for name in _CHOICES):
        for name, value in (_GNU | _INTEL_AND_LLVM).items():
            environment.setdefault(name, value)
    cores = usable_cores()
    if cores < len(allowed_cores()):
        environment.setdefault("OMP_NUM_THREADS", str(max(1, int(cores))))
