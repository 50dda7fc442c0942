"""The form over a recipe that starts a run; what is wrong is said before anything begins."""

import dataclasses
import shlex
from pathlib import Path

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal, VerticalScroll
from textual.screen import Screen
from textual.widgets import Footer, Input, Label, Static

from tmssl.config import Config, changed, parse_setting, read_config
from tmssl.errors import CatalogueError, ConfigError, InputError
from tmssl.recipes import recipe_names, recipe_path
from tmssl.runs.schedule import planned_learning_rate
from tmssl.text import learning_rate, safe
from tui.bindings import START_FORM, hint
from tui.charts.chart import Chart, Series
from tui.charts.render import render_text
from tui.options import display_options
from tui.runs.messages import StartRun
from tui.theme import QUIET

_POINTS = 120


@dataclasses.dataclass(frozen=True)
class Answers:
    """What was filled in, and the settings it makes."""

    recipe: str
    name: str
    settings: tuple[str, ...]
    """as `tmssl train --set` takes them"""
    config: Config


FIELDS = (
    ("recipe", "recipe", "one of the shipped ones, a .toml file, or nothing for the defaults"),
    ("source", "data", "folder, archive or table of images"),
    ("epochs", "epochs", "the recipe's"),
    ("lr", "lr", "the recipe's"),
    ("batch_size", "batch size", "the recipe's"),
    ("more", "settings", "any, such as temperature=0.1 views=mild"),
    ("name", "name", "date, time and data"),
)


def split_settings(text: str) -> tuple[str, ...]:
    """`lr=0.1 'source=my marks'` as a shell would split it, each checked to be a setting.

    Raises:
        ConfigError: quotes that do not close, no `=`, or no such setting.
    """
    try:
        words = tuple(shlex.split(text))
    except ValueError as error:
        raise ConfigError(f"'{safe(text, 60)}' cannot be read: {safe(error)}") from error
    for word in words:
        parse_setting(word)
    return words


def answers(typed: dict[str, str]) -> Answers:
    """What a filled form asks for, checked as `tmssl train` checks it.

    Raises:
        InputError: an unknown recipe or setting, a bad value, or data that are not there.
    """
    recipe = typed["recipe"].strip()
    base = read_config(recipe_path(recipe)) if recipe else Config()
    settings = [*split_settings(typed["more"])]
    settings += [
        f"{name}={typed[name].strip()}"
        for name in ("source", "epochs", "lr", "batch_size")
        if typed[name].strip()
    ]
    config = changed(base, dict(map(parse_setting, settings)))
    if not config.data.source:
        raise ConfigError(
            "there is nothing to train on; give --data with a folder, an archive or a table of images"
        )
    try:
        there = Path(config.data.source).exists()
    except OSError:  # such as a name that no file can have
        there = False
    if not there:
        raise CatalogueError(
            f"there is nothing at {safe(config.data.source)}; give a folder, an archive or a table of images"
        )
    return Answers(recipe, typed["name"].strip(), tuple(settings), config)


def config_words(config: Config) -> str:
    """What would be trained, in a line."""
    optim, train = config.optim, config.train
    return (
        f"{config.model.name} at {config.data.image_size} px, {config.data.views} views, "
        f"{config.data.positives} positives, {optim.optimizer} to lr {learning_rate(optim.lr)}, "
        f"N {train.batch_size}, {train.epochs} epochs"
    )


def rate_plan(config: Config) -> Chart:
    """The learning rate by epoch, as it is planned."""
    epochs = config.train.epochs
    per_epoch = max(1, _POINTS // epochs)
    rates = [
        planned_learning_rate(step, config.optim, steps_per_epoch=per_epoch, epochs=epochs)
        for step in range(epochs * per_epoch)
    ]
    places = tuple(step / per_epoch for step in range(len(rates)))
    return Chart("learning rate by epoch", (Series("planned", places, tuple(rates), "yellow"),))


class StartForm(Screen[None]):
    """Recipe, data, epochs, learning rate, batch size, and any setting by name."""

    BINDINGS = START_FORM

    AUTO_FOCUS = "#source"

    def compose(self) -> ComposeResult:
        """A field a line, then what they come to."""
        yield Static(Text(f"Start a run   {hint(START_FORM)}", style="bold"), classes="heading")
        with VerticalScroll(id="form"):
            for name, label, such_as in FIELDS:
                with Horizontal(classes="field"):
                    yield Label(label, classes="label")
                    yield Input(placeholder=such_as, id=name, compact=True)
            yield Static(Text(f"recipes: {', '.join(recipe_names())}", style=QUIET))
        yield Static("", id="verdict")
        yield Static("", id="plan-chart")
        yield Static("", id="status", classes="line")
        yield Footer()

    def on_mount(self) -> None:
        """Say what is missing from the first moment on."""
        self.call_after_refresh(self._show)
        self.app.theme_changed_signal.subscribe(self, lambda _: self._show())

    def show_status(self, text: str) -> None:
        """A line about the start."""
        self.query_one("#status", Static).update(Text(text, style="italic"))

    @on(Input.Changed)
    def _changed(self) -> None:
        self._show()

    def _answers(self) -> Answers | None:
        """The answers, or None with what is wrong shown."""
        typed = {name: self.query_one(f"#{name}", Input).value for name, _, _ in FIELDS}
        verdict = self.query_one("#verdict", Static)
        try:
            found = answers(typed)
        except InputError as error:
            verdict.update(Text(f"! {error}", style="bold"))
            return None
        verdict.update(Text(config_words(found.config)))
        return found

    def _show(self) -> None:
        found = self._answers()
        chart = self.query_one("#plan-chart", Static)
        if found is None:
            chart.update("")
            return
        options = display_options(self.app)
        chart.update(render_text(rate_plan(found.config), chart.size, options))

    @on(Input.Submitted)
    def action_start(self) -> None:
        """Start the run, if all is well; the form stays until training has begun."""
        found = self._answers()
        if found is not None:
            self.post_message(StartRun(found.recipe, found.name, found.settings))
