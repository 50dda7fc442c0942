"""The monitor: follows a run's journal, shows it, and starts what is heavy in other processes."""

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path

import msgspec
from rich.cells import cell_len
from textual import work
from textual.app import App, SystemCommand
from textual.filter import LineFilter, Monochrome
from textual.screen import Screen
from textual.theme import Theme
from textual.timer import Timer

from tmssl.runs.folder import Run, is_alive
from tmssl.runs.history import History, state
from tmssl.text import safe
from tui.bindings import GLOBAL, entries
from tui.live.messages import GoToStep, JournalUpdate, JournalUpdated
from tui.live.screen import LiveScreen
from tui.live.tail import follow
from tui.messages import (
    EVALUATION,
    HasStatusLine,
    PreferencesChanged,
    ShowsEvaluations,
    ShowsHistory,
    StatusMessage,
)
from tui.options import FULL, DisplayOptions
from tui.pictures.pixels import PixelPictures
from tui.preferences import preferences_path, read_preferences, write_preferences
from tui.runs.messages import OpenRun, StartRun
from tui.terminal.ascii import AsciiFilter
from tui.terminal.driver import QuietDriver
from tui.terminal.notify import notifications, write_osc9
from tui.textual_theme import DARK, DARK_COLOURS, LIGHT, LIGHT_COLOURS, default_theme
from tui.theme import HEIGHTS, WIDTHS

_SAVE_DELAY_S = 1.0  # a disk may be slow, and keys come in bursts
_LONG_STATUS_S = 20.0  # how long a text stays that is too long for the status line


class WatchApp(App[None]):
    """`tmssl watch RUN`.

    Other screens and actions are imported when they are asked for: the curves appear 0.3 s sooner.
    """

    BINDINGS = GLOBAL

    CSS_PATH = "app.tcss"
    HORIZONTAL_BREAKPOINTS, VERTICAL_BREAKPOINTS = WIDTHS, HEIGHTS
    TITLE = "tmssl"
    ENABLE_COMMAND_PALETTE = True

    def __init__(
        self, run: Run | None, options: DisplayOptions = FULL, runs_folder: Path | None = None
    ) -> None:
        """Watch a run, or begin with the list of the runs in a folder."""
        self.pixels = PixelPictures()
        super().__init__(driver_class=QuietDriver)
        self.no_color = self.no_color or not options.colour
        self.preferences, self._problem = read_preferences(preferences_path())
        for theme in (DARK, LIGHT):
            self.register_theme(theme)
        # Their watchers would parse all style sheets once more.
        self.set_reactive(App.ansi_theme_dark, DARK_COLOURS)
        self.set_reactive(App.ansi_theme_light, LIGHT_COLOURS)
        known = self.preferences.theme in self.available_themes
        self.theme = self.preferences.theme if known else default_theme()
        self.display_options = options
        self.runs_folder = runs_folder or (run.path.parent if run else Path("runs"))
        self.history = History()
        self.alive = False
        self.watched = run
        self._background_action = ""  # its name while one runs
        self.quitting = threading.Event()
        """set when the monitor quits"""
        self._drawn_at = 0.0
        self._draw_timer: Timer | None = None
        self._save_timer: Timer | None = None
        self._last_state = ""

    def get_line_filters(self) -> Sequence[LineFilter]:
        """Textual's filters, and those for grey and ASCII where they are wanted."""
        grey = [] if self.display_options.colour else [Monochrome()]
        letters = [AsciiFilter()] if self.display_options.ascii else []
        return [*super().get_line_filters(), *grey, *letters]

    def on_mount(self) -> None:
        """Show the curves of the run, or the list of runs."""
        self.set_class(self.display_options.ascii, "ascii")
        self.theme_changed_signal.subscribe(self, self._remember_theme)
        if self.watched is None:
            self.action_runs()
        else:
            self.watch_run(self.watched)
        if told := self._problem or self.display_options.note:
            self.report(told)

    def _remember_theme(self, theme: Theme) -> None:
        """Keep the theme that was selected by a key or in the palette."""
        self.post_message(PreferencesChanged(theme=theme.name))

    def on_preferences_changed(self, message: PreferencesChanged) -> None:
        """Save changed preferences shortly."""
        preferences = msgspec.structs.replace(self.preferences, **message.changes)
        if preferences != self.preferences:
            self.preferences = preferences
            if self._save_timer is None:
                self._save_timer = self.set_timer(_SAVE_DELAY_S, self._save_preferences)

    def _save_preferences(self) -> None:
        """Save the preferences if they have changed."""
        if self._save_timer is not None:
            self._save_timer = None
            problem = write_preferences(preferences_path(), self.preferences)
            if problem:
                self.report(problem)

    def action_light(self) -> None:
        """Switch between the light and the dark theme."""
        self.theme = LIGHT.name if self.current_theme.dark else DARK.name

    @property
    def run_folder(self) -> Run:
        """The watched run; only the screens of a run offer actions on it."""
        assert self.watched is not None
        return self.watched

    def watch_run(self, run: Run) -> None:
        """Show the curves of a run and follow its journal, instead of the previous run's."""
        self.watched = run
        self._drawn_at, self._last_state = 0.0, ""
        self.history = History()
        self.alive = is_alive(run)
        self._live = LiveScreen(run)
        while len(self.screen_stack) > 1:  # the lowest screen is Textual's own
            self.pop_screen()
        self.push_screen(self._live)
        self._follow_journal(run)

    def on_open_run(self, message: OpenRun) -> None:
        """Watch the selected run, or go back to it when it is watched already."""
        if message.run != self.watched:
            self.watch_run(message.run)
        elif self.screen is not self._live:  # a second Enter comes when the list is gone
            self.pop_screen()

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """Every action of the screen by name, and Textual's own, for the palette."""
        yield from super().get_system_commands(screen)
        for entry in entries([*screen.BINDINGS, *GLOBAL]):
            if entry.action != "app.quit":  # Textual offers that itself
                action = partial(self.run_action, entry.action, screen)
                yield SystemCommand(entry.description, entry.tooltip, action)

    @work(thread=True, exclusive=True, group="tail")
    def _follow_journal(self, run: Run) -> None:
        """Follow a journal until the app ends or watches another run."""
        for update in follow(run, self.quitting):
            if run is not self.watched:
                return
            self.post_message(JournalUpdated(update))

    def on_unmount(self) -> None:
        """Stop following the journal at once, and save changed preferences."""
        self.quitting.set()
        self._save_preferences()

    def on_journal_updated(self, message: JournalUpdated) -> None:
        """Add the update to the history and show it."""
        update = message.update
        if update.run is not self.watched:
            return  # of the previously watched run
        if update.history is not None:
            self.history = update.history
        self.history.add(list(update.events))
        self.alive = update.alive
        self._live.show_reading(update.share, update.problem)
        self._draw_soon()
        if update.share == 1.0 and not update.problem:
            self._notify_of(update)

    def _draw_soon(self) -> None:
        """Draw the history at once, or when `redraw_s` has passed since the last drawing."""
        rest = self.display_options.redraw_s - (time.monotonic() - self._drawn_at)
        if rest <= 0:
            self._drawn_at = time.monotonic()
            self._live.show(self.history, self.alive)
            if isinstance(self.screen, ShowsHistory):
                self.screen.show_history(self.history)
        elif self._draw_timer is None:
            self._draw_timer = self.set_timer(rest, self._draw_now)

    def _draw_now(self) -> None:
        self._draw_timer = None
        self._draw_soon()

    def _notify_of(self, update: JournalUpdate) -> None:
        """Ring the bell for bad findings and for the end of the run, but not for those there at the start."""
        now = state(self.history, self.alive)
        if (self._last_state, now) == ("running", "dead"):
            from tmssl.runs.notices.sending import tell_of_death

            tell_of_death(self.run_folder, self.history)
        if self.display_options.notify and self._last_state:
            for text in notifications(self.run_folder.name, self._last_state, now, update.events):
                self.bell()
                write_osc9(self._driver, text)
                self.report(safe(text))
        self._last_state = now

    def on_status_message(self, message: StatusMessage) -> None:
        """Show a text in the status line of the current screen."""
        if message.done:
            evaluated = self._background_action == EVALUATION
            self._background_action = ""
            if cell_len(message.text) >= self.size.width:  # the status line would cut its end
                self.notify(message.text, timeout=_LONG_STATUS_S, markup=False)
            if evaluated and isinstance(self.screen, ShowsEvaluations):
                self.screen.load(-1)
        if isinstance(self.screen, HasStatusLine):
            self.screen.show_status(message.text)

    def report(self, text: str, *, done: bool = False) -> None:
        """Show a text in the status line; also from a thread."""
        self.post_message(StatusMessage(text, done=done))

    def start_action(self, name: str, status: str, action: Callable[[], str]) -> None:
        """Run an action in a thread and report what it returns; only one runs at a time."""
        if self._background_action:
            self.report(f"wait: {self._background_action} is not done yet")
            return
        self._background_action = name
        self.report(status)
        self._run_action_in_thread(action)

    @work(thread=True, group="action")
    def _run_action_in_thread(self, action: Callable[[], str]) -> None:
        try:
            outcome = action()
        except OSError as error:  # no disk space for the output, or no memory for a process
            outcome = f"not done: {safe(error)}"
        self.report(outcome, done=True)

    def action_evaluate(self) -> None:
        """Ask which checkpoint to evaluate."""
        from tui.run_actions import ask_evaluate

        ask_evaluate(self)

    def action_start(self) -> None:
        """Open the form of a new run."""
        from tui.runs.start_form import StartForm

        self.push_screen(StartForm())

    def on_start_run(self, message: StartRun) -> None:
        """Start a run in another process, and watch it."""
        from tui.run_actions import start

        start(self, message)

    def action_stop(self) -> None:
        """Ask, then stop the trainer."""
        from tui.run_actions import ask_stop

        ask_stop(self)

    def action_checkpoint(self) -> None:
        """Ask the trainer for a checkpoint."""
        from tui.run_actions import checkpoint

        checkpoint(self)

    def action_resume(self) -> None:
        """Ask for the epochs, showing the planned learning rate."""
        from tui.run_actions import ask_resume

        ask_resume(self)

    def action_runs(self) -> None:
        """List the runs of the folder."""
        from tui.runs.screen import RunsScreen

        self.push_screen(RunsScreen(self.runs_folder, self.watched))

    def action_matches(self) -> None:
        """Show the matches of the newest evaluation."""
        from tui.run_actions import reports_imported

        if not reports_imported(self):
            from tui.matches.screen import MatchesScreen

            self.push_screen(MatchesScreen(self.run_folder))

    def action_search(self) -> None:
        """Search for the marks that a logo resembles."""
        from tui.run_actions import reports_imported

        if not reports_imported(self):
            from tui.search.screen import SearchScreen

            self.push_screen(SearchScreen(self.run_folder))

    def action_findings(self) -> None:
        """List every finding."""
        from tui.live.findings import FindingsScreen

        self.push_screen(FindingsScreen(self.history))

    def action_log(self) -> None:
        """Show what the trainer printed."""
        from tui.log_page import log_page

        self.push_screen(log_page(self.run_folder.log))

    def action_config(self) -> None:
        """Show the settings in force."""
        from tui.runs.config_page import config_page

        self.push_screen(config_page(self.history, self.run_folder))

    def action_pictures(self) -> None:
        """Show a mark in each way that pictures can be drawn here, to choose one."""
        from tui.picture_choice import picture_card

        if self.display_options.ascii:
            self.report("with --ascii pictures are letters; there is nothing to choose")
        else:
            colour = self.display_options.colour
            self.push_screen(picture_card(self.screen, self.pixels, colour), self._choose_pictures)

    def _choose_pictures(self, way: str | None) -> None:
        if way:
            from tui.picture_choice import draw_anew, kept

            self.display_options, pictures = kept(self.display_options, self.preferences, way)
            self.on_preferences_changed(PreferencesChanged(pictures=pictures, hinted=True))
            draw_anew(self.screen)

    def action_help(self) -> None:
        """List every key, beginning with those of the current screen."""
        from tui.help_page import HelpPage

        if not isinstance(self.screen, HelpPage):
            self.push_screen(HelpPage(self.screen.BINDINGS))

    def on_go_to_step(self, message: GoToStep) -> None:
        """Go back to the curves, with the crosshair at a step."""
        while self.screen is not self._live:
            self.pop_screen()
        self._live.go_to_step(message.step)
