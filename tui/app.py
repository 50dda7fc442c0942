"""The monitor: tails a run's journal, shows it, and starts children for what is heavy."""

import sys
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import msgspec
from rich.cells import cell_len
from textual import work
from textual.app import App, SystemCommand
from textual.filter import LineFilter, Monochrome
from textual.screen import Screen
from textual.theme import Theme
from textual.timer import Timer

from tmssl.errors import ConfigError, TmsslError
from tmssl.runs.checkpoints import list_checkpoints
from tmssl.runs.folder import Run, is_alive, open_run
from tmssl.runs.history import History, state
from tmssl.text import safe
from tui import screens, subprocesses
from tui.bindings import GLOBAL, LIVE, Key, bindings
from tui.live.findings import FindingsScreen
from tui.live.messages import GoToStep, JournalNews, News
from tui.live.screen import LiveScreen
from tui.live.tail import follow
from tui.messages import PreferencesChanged, StatusMessage
from tui.options import FULL, Look
from tui.preferences import preferences_path, read_preferences, write_preferences
from tui.runs.messages import OpenRun, StartRun
from tui.terminal.ascii import AsciiFilter
from tui.terminal.driver import QuietDriver
from tui.terminal.notify import note, shows_notes, worth_a_note
from tui.theme import DARK, DARK_COLOURS, LIGHT, LIGHT_COLOURS, usual_theme

if TYPE_CHECKING:
    from tui.runs.dialogs import Resume

_EVALUATION = "the evaluation"  # as what is under way is called
_KEEP_S = 1.0
_LONG_S = 20.0  # that words stay which are too long for their line
_TURN_S = 0.0005  # a key waits for no more than this while another thread reads or draws


class WatchApp(App[None]):
    """`tmssl watch RUN`."""

    TABLE = GLOBAL
    BINDINGS = bindings(GLOBAL)  # type: ignore[assignment]  # a list of Binding is one of the kinds it takes

    CSS_PATH = "app.tcss"
    TITLE = "tmssl"
    ENABLE_COMMAND_PALETTE = True
    SCREENS: ClassVar = {}

    def __init__(self, run: Run | None, look: Look = FULL, runs_folder: Path | None = None) -> None:
        """Watch a run, or begin with the list of runs of a folder."""
        super().__init__(driver_class=QuietDriver)
        self.no_color = self.no_color or not look.colour
        self.preferences, self._problem = read_preferences(preferences_path())
        for theme in (DARK, LIGHT):
            self.register_theme(theme)
        self.ansi_theme_dark, self.ansi_theme_light = DARK_COLOURS, LIGHT_COLOURS
        known = self.preferences.theme in self.available_themes
        self.theme = self.preferences.theme if known else usual_theme()
        self.look = look
        self.runs_folder = runs_folder or (run.path.parent if run else Path("runs"))
        self.history = History()
        self.alive = False
        self.watched = run
        self._busy = ""
        self._left = threading.Event()
        self._shown = 0.0
        self._later: Timer | None = None
        self._keeper: Timer | None = None
        self._state = ""

    def get_line_filters(self) -> Sequence[LineFilter]:
        """Textual's filters, and ours where only grey or only ASCII may be shown."""
        grey = [] if self.look.colour else [Monochrome()]
        return [*super().get_line_filters(), *grey, *([AsciiFilter()] if self.look.ascii else [])]

    def on_mount(self) -> None:
        """Show the curves of the run, or the runs there are."""
        self.set_class(self.look.ascii, "ascii")
        self.theme_changed_signal.subscribe(self, self._remember_theme)
        if self.watched is None:
            self.push_screen(screens.runs(self.runs_folder))
        else:
            self.watch_run(self.watched)
        if self._problem:
            self._tell(self._problem)

    def _remember_theme(self, theme: Theme) -> None:
        """Keep the theme that was chosen, by a key or in the palette."""
        self.post_message(PreferencesChanged(theme=theme.name))

    def on_preferences_changed(self, message: PreferencesChanged) -> None:
        """Keep what was changed for the next time."""
        kept = msgspec.structs.replace(self.preferences, **message.changes)
        if kept != self.preferences:
            self.preferences = kept
            if self._keeper is None:  # a disk may be slow, and keys come in bursts
                self._keeper = self.set_timer(_KEEP_S, self._keep)

    def _keep(self) -> None:
        """Write down what was changed."""
        if self._keeper is not None:
            self._keeper = None
            words = write_preferences(preferences_path(), self.preferences)
            if words:
                self._tell(words)

    def action_light(self) -> None:
        """The light theme, or the dark one."""
        self.theme = LIGHT.name if self.current_theme.dark else DARK.name

    @property
    def run_folder(self) -> Run:
        """The run that is watched; what acts on it is offered on its screens only."""
        assert self.watched is not None
        return self.watched

    def watch_run(self, run: Run) -> None:
        """Show the curves of a run and tail it, instead of the one before."""
        self.watched = run
        self._shown, self._state = 0.0, ""
        self.history = History()
        self.alive = is_alive(run)
        self._live = LiveScreen(run)
        while len(self.screen_stack) > 1:  # the lowest is Textual's own
            self.pop_screen()
        self.push_screen(self._live)
        self._watch(run)

    def on_open_run(self, message: OpenRun) -> None:
        """Watch the run that was chosen, or go back to it when it is watched already."""
        if message.run != self.watched:
            self.watch_run(message.run)
        elif self.screen is not self._live:  # a second Enter comes when the list is gone
            self.pop_screen()

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """The palette offers every key of the screen by name, and Textual's own."""
        yield from super().get_system_commands(screen)
        table: tuple[Key, ...] = getattr(screen, "TABLE", ())
        for key in (*table, *GLOBAL):
            if key.action != "app.quit":  # Textual offers that itself
                yield SystemCommand(
                    key.short, key.long, partial(self.run_action, key.action, screen)
                )

    @work(thread=True, exclusive=True, group="tail")
    def _watch(self, run: Run) -> None:
        """Follow a journal until the app ends, or watches another run."""
        left = self._left
        for news in follow(run, left):
            if run is not self.watched:
                return
            self.post_message(JournalNews(news))

    def on_unmount(self) -> None:
        """Let the tail end at once; what was just changed is kept."""
        self._left.set()
        self._keep()

    def on_journal_news(self, message: JournalNews) -> None:
        """Take in what is new, and show it."""
        news = message.news
        if news.run is not self.watched:
            return  # of the run that was watched before
        if news.history is not None:
            self.history = news.history
        self.history.add(list(news.events))
        self.alive = news.alive
        self._live.tell_reading(news.share, news.problem)
        self._show_soon()
        if news.share == 1.0 and not news.problem:
            self._call(news)

    def _show_soon(self) -> None:
        """Show the history now, or when the link has had its rest."""
        rest = self.look.redraw_s - (time.monotonic() - self._shown)
        if rest <= 0:
            self._shown = time.monotonic()
            self._live.show(self.history, self.alive)
            if isinstance(self.screen, FindingsScreen):
                self.screen.show(self.history)
        elif self._later is None:
            self._later = self.set_timer(rest, self._show_later)

    def _show_later(self) -> None:
        self._later = None
        self._show_soon()

    def _call(self, news: News) -> None:
        """Ring for what a person asked to be called for; never for what was there at the start."""
        now = state(self.history, self.alive)
        if self.look.notify and self._state:
            for words in worth_a_note(self.run_folder.name, self._state, now, news.events):
                self.bell()
                if shows_notes() and self._driver is not None:
                    self._driver.write(note(words))
                self._tell(safe(words))
        self._state = now

    def on_status_message(self, message: StatusMessage) -> None:
        """Show a line about an action on whatever screen is up."""
        if message.done:
            evaluated, self._busy = self._busy == _EVALUATION, ""
            if cell_len(message.text) >= self.size.width:  # the line would lose its end
                self.notify(message.text, timeout=_LONG_S, markup=False)
            if evaluated and isinstance(self.screen, screens.Loads):
                self.screen.load(-1)
        if isinstance(self.screen, screens.Says):
            self.screen.show_status(message.text)

    def _do(self, what: str, words: str, deed: Callable[[], str]) -> None:
        """Say what begins, do it in a worker and say what became of it; one is on its way at a time."""
        if self._busy:
            self._tell(f"wait: {self._busy} is not done yet")
            return
        self._busy = what
        self._tell(words)
        self._work(deed)

    @work(thread=True, group="child")
    def _work(self, deed: Callable[[], str]) -> None:
        try:
            words = deed()
        except OSError as error:  # no room for a child's words, or no memory for a child
            words = f"not done: {safe(error)}"
        self._tell(words, done=True)

    def _is_imported(self) -> bool:
        """Whether the run is a log that was imported, which is said."""
        imported = self.history.imported
        if imported:
            self._tell(
                "imported from a log: it has figures, but no settings, checkpoints or matches"
            )
        return imported

    def action_evaluate(self) -> None:
        """Ask which checkpoint to evaluate."""
        if self._is_imported():
            return
        checkpoints = list_checkpoints(self.run_folder)
        if not checkpoints:
            self._tell("no checkpoint yet; press k for one while the run is trained")
            return
        done = frozenset(event.epoch for event in self.history.evals)
        self.push_screen(screens.evaluate(checkpoints, done), self._evaluate_answered)

    def _evaluate_answered(self, checkpoint: str | None) -> None:
        if checkpoint:
            deed = partial(
                subprocesses.evaluate, self.run_folder, checkpoint, self._tell, self._left
            )
            self._do(_EVALUATION, f"evaluating checkpoint {safe(checkpoint)}", deed)

    def action_start(self) -> None:
        """The form of a new run."""
        self.push_screen(screens.start())

    def on_start_run(self, message: StartRun) -> None:
        """Start a run in a child, and watch it."""
        command = subprocesses.start_command(
            self.runs_folder, message.recipe, message.name, message.settings
        )

        def start() -> str:
            words, folder = subprocesses.start(command, self._tell, self._left)
            if folder is not None:
                self.post_message(OpenRun(open_run(folder)))
            return words

        self._do("the start", "starting", start)

    def _tell(self, words: str, *, done: bool = False) -> None:
        """Say a line from a worker."""
        self.post_message(StatusMessage(words, done=done))

    def action_stop(self) -> None:
        """Ask, then stop the trainer."""
        if not self.alive:
            self._tell("nobody trains this run; there is nothing to stop")
        else:
            self.push_screen(screens.stop(), self._stop_answered)

    def _stop_answered(self, yes: bool | None) -> None:
        if yes:
            words = "stopping after this step, with a checkpoint"
            self._do(
                "stopping", words, partial(subprocesses.stop_trainer, self.run_folder, self._left)
            )

    def action_checkpoint(self) -> None:
        """Ask the trainer for a checkpoint."""
        if not self.alive:
            self._tell("nobody trains this run; its last checkpoint is as new as it gets")
            return
        self._tell(subprocesses.ask_for_checkpoint(self.run_folder))

    def action_resume(self) -> None:
        """Ask for the epochs, showing the learning rate to come."""
        if self._is_imported():
            return
        if not self.history.segments:
            self._tell("the run has not begun; there is nothing to go on from")
            return
        try:
            dialog = screens.resume(self.history, self.alive)
        except ConfigError as error:  # a journal of another version
            self._tell(str(error))
            return
        self.push_screen(dialog, self._resume_answered)

    def _resume_answered(self, wanted: "Resume | None") -> None:
        if wanted is not None:
            words = "stopping the trainer first" if self.alive else "starting the trainer"
            deed = partial(
                subprocesses.resume,
                self.run_folder,
                wanted.settings,
                self._tell,
                self._left,
                restart=wanted.restart,
            )
            self._do("the resume", words, deed)

    def action_runs(self) -> None:
        """Every run beside this one."""
        self.push_screen(screens.runs(self.runs_folder, self.watched))

    def action_matches(self) -> None:
        """The matches of the newest evaluation."""
        if not self._is_imported():
            self.push_screen(screens.matches(self.run_folder))

    def action_findings(self) -> None:
        """Every finding."""
        self.push_screen(FindingsScreen(self.history))

    def action_log(self) -> None:
        """What the trainer printed."""
        self.push_screen(screens.log(self.run_folder.log))

    def action_config(self) -> None:
        """The settings in force."""
        self.push_screen(screens.config(self.history))

    def action_help(self) -> None:
        """Every key."""
        page = screens.keys(getattr(self.screen, "TABLE", LIVE), self.screen)
        if page is not None:
            self.push_screen(page)

    def on_go_to_step(self, message: GoToStep) -> None:
        """Back to the curves, at a step."""
        while self.screen is not self._live:
            self.pop_screen()
        self._live.go_to_step(message.step)


def watch(run: Run | None, look: Look = FULL, runs_folder: Path | None = None) -> None:
    """Open the monitor on a run, or on a folder of runs, and stay until the person leaves.

    Raises:
        TmsslError: the terminal cannot show it.
    """
    sys.setswitchinterval(_TURN_S)
    app = WatchApp(run, look, runs_folder)
    app.run()
    if app.return_code:
        raise TmsslError("the monitor ended with an error; training is not touched by that")
