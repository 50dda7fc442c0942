"""`tmssl report`: the training report of a run, from its journal and matches alone."""

import base64
import html
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import quote

import typer

from cli.options import RUNS_DEFAULT, RunPath, RunsFolder, accept_run_option, find_run
from cli.output.console import say, say_data
from tmssl.files import cannot_write, write_atomic
from tmssl.runs.folder import Run, is_alive
from tmssl.runs.history import History, read_history
from tmssl.runs.journal import read_journal
from tmssl.runs.report import plain, report
from tmssl.runs.workspace import is_read_only, read_only_words
from tmssl.text import safe

if TYPE_CHECKING:
    from tui.charts.chart import Chart

_QUERIES, _MATCHES = 3, 5
_CHART = (78, 16)  # columns and rows

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


@accept_run_option
def report_command(
    run: RunPath = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--out",
            metavar="FILE",
            help="File to write; `-` is stdout.  [default: RUN/report.md, or `-` where RUN is read-only]",
        ),
    ] = None,
    as_html: Annotated[
        bool, typer.Option("--html", help="Write one HTML file with its pictures inside.")
    ] = False,
    price_per_hour: Annotated[
        float | None,
        typer.Option(
            "--price-per-hour",
            min=0,
            max=1e9,
            metavar="X",
            help="Price of the machine per hour.  [default: setting of the run]",
        ),
    ] = None,
    runs_folder: RunsFolder = RUNS_DEFAULT,
) -> None:
    """Write the training report of a run: phases, losses, curves, evaluations, next steps."""
    opened = find_run(run, runs_folder)
    history = read_history(read_journal(opened.journal))
    charts = draw_charts(history)
    if out is None and is_read_only(opened):
        say(read_only_words(opened))
        out = Path("-")
    to_stdout = out is not None and str(out) == "-"
    target = out or (opened.report.with_suffix(".html") if as_html else opened.report)
    with tempfile.TemporaryDirectory(prefix="tmssl-report-") as temporary:
        folder = Path(temporary) if as_html else target.parent  # a page holds its pictures
        pictures = (
            {} if to_stdout and not as_html else _write_pictures(history, target.stem, folder)
        )
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
        say_data(text.removesuffix("\n"))
        return
    write_atomic(target, text.encode())
    say(f"report of {safe(opened.path)} written")
    say_data(str(target))


def _curves(history: History, points: int) -> "dict[str, Chart]":
    """Loss and learning rate by epoch; the planned rate has so many points."""
    from tui.charts.chart import learning_rate_chart, loss_chart

    charts = {
        "loss": loss_chart(history, axis="epoch", weight=0.9),
        "learning rate": learning_rate_chart(history, axis="epoch", count=points),
    }
    return {title: chart for title, chart in charts.items() if chart.series}


def draw_charts(history: History) -> dict[str, str]:
    """Draw loss and learning rate in characters."""
    from tui.charts.render import render_string
    from tui.options import PLAIN

    return {
        title: render_string(chart, *_CHART, PLAIN)
        for title, chart in _curves(history, 200).items()
    }


def _write_pictures(history: History, stem: str, folder: Path) -> dict[str, Path]:
    """Write loss and learning rate as PNG files."""
    from cli.output.curves_png import save_chart

    paths = {}
    for title, chart in _curves(history, 1000).items():
        paths[title] = folder / f"{stem}-{title.replace(' ', '-')}.png"
        try:
            save_chart(chart, paths[title], "epoch")
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
