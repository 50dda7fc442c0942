"""`tmssl report`: the training log report of a run, from its journal alone."""

import base64
import html
import tempfile
from pathlib import Path
from typing import Annotated
from urllib.parse import quote

import typer

from cli.follow import say
from cli.options import RUNS_DEFAULT, RunPath, RunsFolder, chosen_run
from tmssl.files import cannot_write, write_atomic
from tmssl.runs.folder import Run, is_alive, open_run
from tmssl.runs.history import History, read_history
from tmssl.runs.journal import read_journal
from tmssl.runs.report import plain, report
from tmssl.text import safe

_QUERIES, _MATCHES = 3, 5
_CHART = (78, 16)

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1"><title>{title}</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #1a1a1a; background: #fff }}
pre {{ overflow-x: auto; background: #f4f4f4; padding: .7rem; line-height: 1.15 }}
table {{ border-collapse: collapse }} td, th {{ border: 1px solid #ccc; padding: .2rem .6rem }} img {{ max-width: 100% }}
</style></head><body>
{body}
</body></html>
"""


def report_command(
    run: RunPath = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="The file to write; `-` is stdout.  [default: RUN/report.md]"),
    ] = None,
    as_html: Annotated[
        bool, typer.Option("--html", help="Write one HTML file with its pictures inside.")
    ] = False,
    price_per_hour: Annotated[
        float | None,
        typer.Option(
            "--price-per-hour",
            min=0,
            metavar="X",
            help="Price of the machine an hour.  [default: the run's setting]",
        ),
    ] = None,
    runs_folder: RunsFolder = RUNS_DEFAULT,
) -> None:
    """Write a run's training log report: phases, losses, curves, evaluations, what to do next."""
    opened = open_run(chosen_run(run, runs_folder))
    history = read_history(read_journal(opened.journal))
    charts = draw_charts(history)
    to_stdout = out is not None and str(out) == "-"
    target = out or (opened.report.with_suffix(".html") if as_html else opened.report)
    with tempfile.TemporaryDirectory(prefix="tmssl-report-") as temporary:
        folder = Path(temporary) if as_html else target.parent  # a page holds its pictures
        pictures = {} if to_stdout and not as_html else _pictures(history, target.stem, folder)
        text = report(
            history,
            opened.name,
            alive=is_alive(opened),
            charts=charts,
            matches=match_lines(opened),
            pictures={title: path.name for title, path in pictures.items()},
            price_per_hour=price_per_hour,
        )
        if as_html:
            text = page(text, opened.name, list(pictures.values()))
    if to_stdout:
        print(text, end="")  # noqa: T201 - stdout is data
        return
    write_atomic(target, text.encode())
    say(f"report of {safe(opened.path)} written")
    print(target)  # noqa: T201 - stdout is data


def draw_charts(history: History) -> dict[str, str]:
    """Loss and learning rate by epoch, in characters."""
    from tui.charts.chart import draw
    from tui.charts.pictures import loss_picture, rate_picture
    from tui.options import PLAIN

    width, height = _CHART
    drawn = {
        "loss": loss_picture(history, axis="epoch", weight=0.9),
        "learning rate": rate_picture(history, axis="epoch"),
    }
    return {
        title: draw(picture, width, height, PLAIN)
        for title, picture in drawn.items()
        if picture.lines
    }


def _pictures(history: History, stem: str, folder: Path) -> dict[str, Path]:
    """Loss and learning rate by epoch as PNG files of a folder."""
    from cli.output.curves_png import save_picture
    from tui.charts.pictures import loss_picture, rate_picture

    drawn = {
        "loss": loss_picture(history, axis="epoch", weight=0.9),
        "learning rate": rate_picture(history, axis="epoch", count=1000),
    }
    paths = {}
    for title, picture in drawn.items():
        if picture.lines:
            paths[title] = folder / f"{stem}-{title.replace(' ', '-')}.png"
            try:
                save_picture(picture, paths[title], "epoch")
            except OSError as error:
                raise cannot_write(paths[title], error, "choose another file with --out") from error
    return paths


def match_lines(run: Run) -> list[str]:
    """A few queries of the newest evaluation with their nearest marks, as Markdown tables."""
    from tmssl.data.vienna import title
    from tmssl.retrieval.evaluation.matches import read_matches

    files = sorted(run.eval.glob("*.matches.jsonl"), key=lambda path: path.stat().st_mtime)
    if not files:
        return []
    header, queries = read_matches(files[-1])
    step = max(1, len(queries) // _QUERIES)
    lines = [f"Epoch {header.epoch:.4g}, {header.gallery:,} marks searched."]
    for query in queries[::step][:_QUERIES]:
        name = plain(query.title or query.id or query.path, 80)
        codes = ", ".join(plain(f"{code} {title(code)}".strip(), 80) for code in query.vienna)
        lines += ["", f"**{name}** ({codes or 'no Vienna codes'})", ""]
        lines += ["| Rank | Similarity | Shared codes | Mark |", "|---:|---:|---|---|"]
        lines += [
            f"| {match.rank} | {match.similarity:.3f} | {plain(' '.join(match.shared) or '-')} "
            f"| {plain(match.title or match.id or match.path, 80)} |"
            for match in query.matches[:_MATCHES]
        ]
    return [*lines, *(["", plain(header.attribution)] if header.attribution else [])]


def page(markdown: str, name: str, pictures: list[Path]) -> str:
    """The report as one HTML file; markup in foreign text stays text, and nothing is fetched."""
    from markdown_it import MarkdownIt

    body: str = MarkdownIt("commonmark", {"html": False}).enable("table").render(markdown)
    for path in pictures:
        data = base64.b64encode(path.read_bytes()).decode()
        body = body.replace(f'src="{quote(path.name)}"', f'src="data:image/png;base64,{data}"')
    return _PAGE.format(title=html.escape(safe(name)), body=body)
