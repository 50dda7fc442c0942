"""The form that starts a run from a recipe; it says what is wrong before anything begins."""

import dataclasses
import shlex
import threading
from collections.abc import Callable

from rich.text import Text
from textual import on, work
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.message import Message
from textual.screen import Screen
from textual.suggester import Suggester, SuggestFromList
from textual.widgets import Footer, Input, Label, Static

from tmssl.config import Config, changed, parse_setting, read_config, resolved, to_dict
from tmssl.data.sources.specification import sources_exist
from tmssl.errors import CatalogueError, ConfigError, InputError
from tmssl.recipes import recipe_names, recipe_path
from tmssl.text import learning_rate, safe
from tui import subprocesses
from tui.bindings import START_FORM, hint
from tui.messages import StatusMessage
from tui.runs.completion import PathSuggester, SettingSuggester
from tui.runs.config_page import setting_lines
from tui.runs.messages import StartRun
from tui.runs.plan_chart import PlanChart, planned_line
from tui.theme import QUIET
from tui.widgets.panel import panel

_FIELDS = (
    ("recipe", "recipe", "one of the shipped ones, a .toml file, or nothing for the defaults"),
    ("source", "data", "folder, archive or table of images"),
    ("epochs", "epochs", "the recipe's"),
    ("lr", "lr", "the recipe's"),
    ("batch_size", "batch size", "the recipe's"),
    ("more", "settings", "any, such as temperature=0.1 views=mild"),
    ("name", "name", "date, time and data"),
)


@dataclasses.dataclass(frozen=True)
class NewRun:
    """A valid form."""

    recipe: str
    name: str
    settings: tuple[str, ...]
    """as `tmssl train --set` takes them"""
    config: Config
    """the recipe with these settings"""


def split_settings(text: str) -> tuple[str, ...]:
    """Split `lr=0.1 'source=my marks'` as a shell does, and check that each part is a setting.

    Raises:
        ConfigError: a quote is not closed, a part has no `=`, or there is no such setting.
    """
    try:
        parts = tuple(shlex.split(text))
    except ValueError as error:
        raise ConfigError(f"'{safe(text, 60)}' cannot be read: {safe(error)}") from error
    for part in parts:
        parse_setting(part)
    return parts


def parse_form(values: dict[str, str]) -> NewRun:
    """The run that a filled form describes, checked as `tmssl train` checks it.

    Raises:
        InputError: an unknown recipe or setting, a bad value, or data that do not exist.
    """
    recipe = values["recipe"].strip()
    base = read_config(recipe_path(recipe)) if recipe else Config()
    settings = [*split_settings(values["more"])]
    settings += [
        f"{name}={values[name].strip()}"
        for name in ("source", "epochs", "lr", "batch_size")
        if values[name].strip()
    ]
    config = changed(base, dict(map(parse_setting, settings)))
    source = config.data.source
    if not source:
        raise ConfigError(
            "there is nothing to train on; give --data with a folder, an archive or a table of images"
        )
    if not sources_exist(source):
        raise CatalogueError(
            f"there is nothing at {safe(source)}; give a folder, an archive or a table of images"
        )
    return NewRun(recipe, values["name"].strip(), tuple(settings), config)


def describe(config: Config) -> str:
    """What would be trained, in a line."""
    optim, train = config.optim, config.train
    return (
        f"{config.model.name} at {config.data.image_size} px, {config.data.views} views, "
        f"{config.data.positives} positives, {optim.optimizer} to lr {learning_rate(optim.lr)}, "
        f"N {train.batch_size}, {train.epochs} epochs"
    )


def labelled(label: str, field: Input) -> Horizontal:
    """A text field behind its label, in one line."""
    return Horizontal(Label(label, classes="label"), field, classes="field")


def _field(name: str, example: str) -> Input:
    """A text field that suggests what fits its name."""
    suggesters: dict[str, Callable[[], Suggester]] = {
        "recipe": lambda: SuggestFromList(recipe_names()),
        "source": PathSuggester,
        "more": SettingSuggester,
    }
    suggester = suggesters[name]() if name in suggesters else None
    return Input(placeholder=example, id=name, compact=True, suggester=suggester)


class StartForm(Screen[None]):
    """Recipe, data, epochs, learning rate, batch size, and any setting by name."""

    BINDINGS = START_FORM

    AUTO_FOCUS = "#source"

    class Measured(Message):
        """A dry run has ended."""

        def __init__(self, lines: list[str]) -> None:
            super().__init__()
            self.lines = lines

    def __init__(self) -> None:
        super().__init__()
        self._quitting = threading.Event()

    def compose(self) -> ComposeResult:
        """One line a field, then what they amount to; beside that, every setting."""
        with Horizontal(id="all"):
            with Vertical(classes="main"):
                with panel(VerticalScroll(id="form"), f"start a run   {hint(START_FORM)}"):
                    for name, label, example in _FIELDS:
                        yield labelled(label, _field(name, example))
                    yield Static(Text(f"recipes: {', '.join(recipe_names())}", style=QUIET))
                yield panel(Static("", id="verdict"), "what would be trained")
                yield panel(Static("", id="measured"), "dry run")
                yield panel(PlanChart(id="plan-chart"), "plan")
            with panel(VerticalScroll(id="settings"), "settings (* is not the default)"):
                yield Static("", id="setting-lines", classes="unwrapped")
        yield Static("", id="status", classes="line")
        yield Footer(show_command_palette=False)

    def on_mount(self) -> None:
        """Say at once what is missing."""
        self.query_one("#measured").display = False
        self.query_one("#settings").can_focus = False  # tab goes from field to field
        self.call_after_refresh(self._show_plan)
        self.app.theme_changed_signal.subscribe(self, lambda _: self._show_plan())

    def show_status(self, text: str) -> None:
        """Show the progress or the outcome of the start."""
        self.query_one("#status", Static).update(Text(text, style="italic"))

    def _parse(self) -> NewRun | None:
        """The run that is described; None if something is wrong, with the reason shown."""
        values = {name: self.query_one(f"#{name}", Input).value for name, _, _ in _FIELDS}
        verdict = self.query_one("#verdict", Static)
        try:
            new_run = parse_form(values)
        except InputError as error:
            verdict.update(Text(f"! {error}", style="bold"))
            return None
        verdict.update(Text(describe(new_run.config)))
        return new_run

    @on(Input.Changed)
    def _show_plan(self) -> None:
        new_run = self._parse()
        config = resolved(new_run.config if new_run else self._recipe())
        self.query_one(PlanChart).show((planned_line("planned", config),))
        settings = setting_lines(to_dict(config))
        self.query_one("#setting-lines", Static).update(Text("\n".join(settings)))

    def _recipe(self) -> Config:
        """The settings of the recipe alone, while something else is wrong; the defaults if it is the recipe."""
        recipe = self.query_one("#recipe", Input).value.strip()
        try:
            return read_config(recipe_path(recipe)) if recipe else Config()
        except InputError:
            return Config()

    @on(Input.Submitted)
    def action_start(self) -> None:
        """Start the run if all is valid; the form stays until training has begun."""
        new_run = self._parse()
        if new_run is not None:
            self.post_message(StartRun(new_run.recipe, new_run.name, new_run.settings))

    def action_measure(self) -> None:
        """Measure what the run would take, in another process."""
        new_run = self._parse()
        if new_run is not None:
            self.query_one("#measured").display = True
            self.query_one("#measured", Static).update("measuring; this takes some seconds")
            self._measure(subprocesses.dry_run_command(new_run.recipe, new_run.settings))

    @work(thread=True, exclusive=True, group="dry-run")
    def _measure(self, command: list[str]) -> None:
        def report(line: str) -> None:
            self.post_message(StatusMessage(line))

        try:
            lines = subprocesses.dry_run(command, report, self._quitting)
        except OSError as error:  # no memory for a process
            lines = [f"! {safe(error)}"]
        self.post_message(self.Measured(lines))

    def on_start_form_measured(self, message: Measured) -> None:
        """Show what was measured."""
        self.show_status("")
        self.query_one("#measured", Static).update(Text("\n".join(message.lines)))
        self.call_after_refresh(self._show_plan)  # the chart is smaller now

    def on_unmount(self) -> None:
        """Wait no longer for a dry run, which ends by itself."""
        self._quitting.set()
