"""Send notices from a process of its own, so that a service that hangs holds up nothing."""

import hashlib
import json
import os
import subprocess

from tmssl.children import SAFE_PATH, python_module
from tmssl.config import read_config
from tmssl.errors import TmsslError
from tmssl.files import cache_folder
from tmssl.runs.folder import Run, folder_identity
from tmssl.runs.history import History
from tmssl.runs.notices.address import address_of
from tmssl.runs.notices.words import Notice, end_notice

LONGEST_S = 30.0
"""after which a sender gives up and ends itself"""


def send(address: str, notice: Notice) -> subprocess.Popen[bytes]:
    """Begin to send a notice, and return the process that does it; its exit code is 0 if it arrived."""
    sender = subprocess.Popen(
        python_module("tmssl.runs.notices"),
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        env={**os.environ, **SAFE_PATH},
    )
    assert sender.stdin is not None
    request = {"address": address, "title": notice.title, "body": notice.body}
    with sender.stdin as pipe:
        pipe.write(json.dumps(request).encode())  # a few hundred bytes, which a pipe holds
    return sender


def tell_of_death(run: Run, history: History) -> subprocess.Popen[bytes] | None:
    """Send the notice that a run's trainer died, if it is to have notices and nobody has sent this one.

    Every process that follows the run calls this; the first one of a machine sends it.

    Args:
        run: whose trainer is gone without a last word.
        history: of the run.
    """
    try:
        address = address_of(read_config(run.config).train.notify)
    except TmsslError:  # the run was deleted, or its settings are damaged; its follower says so
        return None
    if not address or not _is_first(run, history):
        return None
    return send(address, end_notice(run.name, history, None))


def _is_first(run: Run, history: History) -> bool:
    """Whether no other process of this machine has told of this death, which this one now does."""
    death = f"{folder_identity(run)} {len(history.segments)}"
    folder = cache_folder() / "told"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / hashlib.sha256(death.encode()).hexdigest()[:16]).touch(exist_ok=False)
    except FileExistsError:
        return False
    except OSError:  # nothing can be kept here: told twice is better than not at all
        return True
    return True
