"""Options that several commands share, and their checks."""

import functools
import inspect
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, get_args

import typer

from cli.command import RUN
from tmssl.config import Device
from tmssl.errors import ConfigError, InputError
from tmssl.files import is_folder, is_there
from tmssl.runs.folder import LATEST, Run, open_run
from tmssl.text import safe

RUNS_DEFAULT = Path("runs")
MOST = 1_000_000_000
"""The most that a count given by an option may be, such as a length of lists: above any catalogue."""

RunsFolder = Annotated[
    Path,
    typer.Option(
        "--runs",
        envvar="TMSSL_RUNS",
        metavar="DIR",
        rich_help_panel=RUN,
        help="Folder of the runs; the variable TMSSL_RUNS sets it too.",
    ),
]
RunPath = Annotated[
    Path | None,
    typer.Argument(
        metavar="RUN",
        help="Run folder, or name of a run in RUNS; `--run RUN` means the same.  [default: RUNS/latest]",
    ),
]
OfRun = Annotated[
    Path | None,
    typer.Option(
        "--run",
        metavar="RUN",
        help="Run whose gallery changes; an option, as the arguments say what changes.  "
        "[default: RUNS/latest]",
    ),
]
_RunOption = Annotated[Path | None, typer.Option("--run", metavar="RUN", hidden=True)]
CheckpointName = Annotated[
    str,
    typer.Option(
        "--checkpoint",
        metavar="NAME|FILE",
        help="Checkpoint: `best`, `last`, `epoch-0010`, a file.",
    ),
]
Whiten = Annotated[
    int,
    typer.Option(
        "--whiten",
        min=0,
        max=1 << 16,
        metavar="N",
        help="PCA-whiten the vectors and keep N features; 0 does not.",
    ),
]
Factory = Annotated[
    str,
    typer.Option(
        "--index",
        metavar="FACTORY",
        help='A faiss factory string, such as "IVF1024,SQ8;nprobe=32".  [default: exact]',
    ),
]
Views = Annotated[
    int,
    typer.Option(
        "--views",
        min=1,
        max=20,
        metavar="N",
        help="Compare N views of each mark: the whole, what stands apart in it, overlapping parts.",
    ),
]
DeviceName = Annotated[
    str, typer.Option("--device", metavar="|".join(get_args(Device)), help="Device for embedding.")
]
Workers = Annotated[
    int,
    typer.Option(
        "--workers",
        min=0,
        max=1024,
        metavar="N",
        help="Processes that decode images; 0 is one per core.",
        rich_help_panel=RUN,
    ),
]
ImagesUnder = Annotated[
    Path | None,
    typer.Option(
        "--images-under",
        metavar="DIR",
        help="A further folder that links and tables of the source may point into.",
    ),
]
Sources = Annotated[
    list[Path],
    typer.Argument(
        metavar="SOURCE...",
        help="Folder, archive, shards or table of images; several are read as one.",
    ),
]
Columns = Annotated[
    str,
    typer.Option(
        "--columns",
        metavar="MEANING=NAME,...",
        help="Names of a table's columns where they differ, such as path=filename,vienna=code_list.",
    ),
]
ClassFolders = Annotated[
    str,
    typer.Option(
        "--folders",
        metavar="group|split|group,split",
        help="What folders of images say: group (a folder for each class), split (train, val), or both.",
    ),
]
Pictures = Annotated[
    str,
    typer.Option(
        "--pictures",
        metavar="auto|half|quadrant|sextant|octant|kitty|off",
        help="How pictures are drawn; auto takes what was chosen by key P of the monitor, "
        "or else goes by what the environment says of the terminal.",
    ),
]
JsonOutput = Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")]


def accept_run_option(command: Callable[..., None]) -> Callable[..., None]:
    """Let a command that takes a run as its argument take it by `--run` as well."""

    def wrapped(*, run: Path | None, run_option: Path | None, **options: Any) -> None:
        if run is not None and run_option is not None:
            raise InputError("RUN and --run both name a run; leave one out")
        command(run=run_option if run is None else run, **options)

    parameters = inspect.signature(command).parameters.values()
    option = inspect.Parameter(
        "run_option", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=_RunOption
    )
    return with_parameters(command, wrapped, [*parameters, option])


def with_parameters(
    command: Callable[..., None],
    wrapped: Callable[..., None],
    parameters: Sequence[inspect.Parameter],
) -> Callable[..., None]:
    """Give a wrapper of a command its name, its help, and parameters for typer to read."""
    keywords = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in parameters]
    functools.update_wrapper(wrapped, command)
    wrapped.__signature__ = inspect.Signature(keywords)  # type: ignore[attr-defined]  # functions may carry one
    wrapped.__annotations__ = {p.name: p.annotation for p in keywords}
    return wrapped


def run_path(run: Path | None, runs_folder: Path) -> Path:
    """The folder of a run that is given by path or by name; the latest run for None."""
    if run is None or run == Path(LATEST):
        return runs_folder / LATEST
    if not is_there(run) and len(run.parts) == 1 and is_there(runs_folder / run):
        return runs_folder / run
    return run


def find_run(run: Path | None, runs_folder: Path) -> Run:
    """The run that is given by path or by name; the latest run for None.

    Raises:
        RunError: there is no such run.
    """
    return open_run(run_path(run, runs_folder))


def check_folder_of(option: str, file: Path | None) -> None:
    """Refuse an output file whose folder is missing, before hours of work.

    Raises:
        InputError: there is no such folder.
    """
    if file is not None and not is_folder(file.resolve().parent):
        raise InputError(
            f"{option} is {safe(file)} and its folder does not exist; make {safe(file.parent)} first"
        )


def refuse_beside_views(views: int, *, whiten: int = 0) -> None:
    """Refuse what says otherwise which vectors are compared than several views of each mark.

    Raises:
        InputError: something does.
    """
    if views > 1 and whiten:
        raise InputError(
            "--views and --whiten both say which vectors are compared; give one of them"
        )


def check_device(device: str) -> None:
    """Refuse an unknown device.

    Raises:
        ConfigError: it is none of `auto`, `cpu` and `cuda`.
    """
    if device not in get_args(Device):
        raise ConfigError(
            f"--device is '{safe(device, 60)}'; give one of {', '.join(get_args(Device))}"
        )
