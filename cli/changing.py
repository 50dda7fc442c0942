"""What `tmssl add` and `tmssl remove` do alike: change the gallery of a run, and print what has changed."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from cli.output.console import say, say_data, say_json
from cli.output.progress import phase_bars
from tmssl.errors import InputError
from tmssl.runs.folder import Run, pinned
from tmssl.runs.workspace import is_read_only, read_only_words
from tmssl.text import count, safe

if TYPE_CHECKING:
    from tmssl.data.pack.derived import Edit
    from tmssl.data.pack.reader import Pack


def change_and_tell(
    run: Run,
    choose: "Callable[[Pack], Edit | None]",
    checkpoint: str,
    device: str,
    workers: int,
    json_output: bool,
) -> None:
    """Change the gallery of a run, and print what has changed.

    Raises:
        InputError: the run is read-only, or as `change_gallery`.
    """
    from tmssl.retrieval.search.changing import change_gallery

    if is_read_only(run):
        raise InputError(read_only_words(run))
    with pinned(run) as opened, phase_bars() as (phase, progress):
        changed = change_gallery(
            opened,
            choose,
            checkpoint=checkpoint,
            device=device,
            workers=workers,
            phase=phase,
            progress=progress,
        )
    before, after = changed.before, changed.after
    if changed.left_out:
        path, reason = next(iter(changed.left_out.items()))
        number = count(len(changed.left_out), "image")
        say(f"  {number} left out, such as {safe(path, 80)} ({safe(reason)})")
    if after.fingerprint == before.fingerprint:
        say("nothing has changed")
    last = after.changes[-1] if after.fingerprint != before.fingerprint else None
    facts = {
        "run": str(run.path),
        "marks": after.count,
        "added": last.added if last else 0,
        "removed": last.removed if last else 0,
        "unreadable": len(changed.left_out),
        "fingerprint": after.fingerprint,
        "parent": last.fingerprint if last else None,
        "changes": len(after.changes),
    }
    if json_output:
        say_json(facts)
        return
    for name, value in facts.items():
        if value is not None:
            say_data(f"{name:12} {safe(value)}")
