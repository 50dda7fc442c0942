from typing import Annotated

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from cli.command import NumbersCommand, repeat_option

NAMES = ("--topk", "-k")


@pytest.mark.parametrize(
    "arguments",
    [
        "--topk 10 100",
        "--topk 10,100",
        "--topk=10,100",
        "--topk 10 --topk 100",
        "--topk=10 --topk=100",
        "-k 10 -k 100",
        "-k 10 100",
        "--topk=10 100",
    ],
)
def test_every_form_means_the_same(arguments: str) -> None:
    expanded = repeat_option(arguments.split(), NAMES)
    assert [word for word in expanded if word.isdigit()] == ["10", "100"]
    assert len(expanded) == 4


def test_what_is_around_stays() -> None:
    words = ["runs/a", "--topk", "10", "100", "--json", "runs/b"]
    expanded = "runs/a --topk 10 --topk 100 --json runs/b".split()
    assert repeat_option(words, NAMES) == expanded
    after_dashes = "--topk 5 -- 7 --topk 9 1".split()
    assert repeat_option(after_dashes, NAMES) == after_dashes


@given(st.lists(st.text(max_size=8).filter(lambda s: not s.startswith(("--topk", "-k")))))
def test_other_arguments_are_never_touched(words: list[str]) -> None:
    assert repeat_option(words, NAMES) == words


app = typer.Typer()


@app.command(cls=NumbersCommand)
def lengths(
    run: str = "latest",
    topk: Annotated[list[int], typer.Option("--topk", "-k", min=1)] = [10, 100],  # noqa: B006 - as in tmssl eval
) -> None:
    typer.echo(f"{run} {topk}")


@pytest.mark.parametrize("bad", ["--topk", "--topk abc", "--topk 0", "--topk=-5"])
def test_bad_lengths_are_refused_by_the_parser(bad: str) -> None:
    assert CliRunner().invoke(app, bad.split()).exit_code == 2


def test_the_default_holds() -> None:
    assert CliRunner().invoke(app, []).output.strip() == "latest [10, 100]"
