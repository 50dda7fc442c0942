"""Computing the cached views of a session before its first step, by all ranks, with its progress journaled."""

import contextlib
import time
from collections.abc import Callable, Generator

from torch import Tensor

from tmssl.config import Config
from tmssl.data.pack.reader import Pack
from tmssl.runs.events import Views
from tmssl.text import count, safe
from tmssl.training.encoder.grid import GridEncoder
from tmssl.training.encoder.teacher import Teacher
from tmssl.training.features.compute import ViewDescriber
from tmssl.training.features.opening import OpenedStore
from tmssl.training.features.store import FeatureStore, gib
from tmssl.training.features.usage import StoredViews, build_lock
from tmssl.training.learner import Learner, views_dtype
from tmssl.training.session import Session
from tmssl.training.signals import SignalFlags

_TOLD_S, _TOLD_SHARE = 2.0, 0.005  # between journal lines, or a share of the time so far
_LOOK_S = 0.5  # between looks at a store that another process computes
_WORTH_TELLING = 100 << 20  # bytes of the stores of other runs


def cache_views(session: Session, flags: SignalFlags) -> None:
    """Compute the views that are missing in a session's store, if it has one; a signal ends it early.

    Raises:
        TrainingError: the disk refuses them; those before are kept.
    """
    if session.step >= session.total_steps:
        return
    for number, opened in enumerate(session.cached):
        of_teacher = session.learner.teacher if number else None
        describer = create_describer(session.learner, session.config, session.pack, of_teacher)
        _cache(session, opened, describer, flags)


def _cache(
    session: Session, opened: OpenedStore, describer: ViewDescriber, flags: SignalFlags
) -> None:
    """Compute what is missing in one store."""
    ranks, begun = session.ranks, time.perf_counter()

    def stop() -> bool:
        return flags.stop is not None

    with contextlib.ExitStack() as closing:
        closing.enter_context(contextlib.closing(describer))
        rounds = _rounds(session, opened, describer.blocks_at_once * ranks.size, stop)
        closing.enter_context(contextlib.closing(rounds))
        while True:
            blocks = ranks.share(next(rounds, None) if ranks.is_first else None)
            if blocks is None:
                break
            own = blocks[ranks.rank :: ranks.size]
            marks = [session.loader.sampler.rows[opened.store.shape.block(n)] for n in own]
            for number, features in zip(own, describer.features(marks, stop), strict=True):
                if features is not None:
                    opened.store.write(number, features)
            asked = ranks.agree(flags, due=False)
            flags.checkpoint = flags.checkpoint or asked.checkpoint  # for the loop, after its step
            if asked.stop is not None:
                break
    session.meter.leave_out(time.perf_counter() - begun)
    session.saved_at += time.perf_counter() - begun


def create_describer(
    learner: Learner, config: Config, pack: Pack, teacher: Teacher | None = None
) -> ViewDescriber:
    """What computes the views of a run's settings with its frozen encoder, or with a teacher."""
    return ViewDescriber(
        _frozen(learner, teacher),
        pack,
        views=config.data.views,
        count=config.data.cached_views,
        size=teacher.size if teacher else config.data.image_size,
        seed=config.train.seed,
        device=learner.device,
        dtype=views_dtype(learner),
    )


def _frozen(learner: Learner, teacher: Teacher | None) -> Callable[[Tensor], Tensor]:
    """The teacher, or the encoder without its head, for any thread."""
    encoder = learner.encoder.eval()
    assert isinstance(encoder, GridEncoder)

    def describe(view: Tensor) -> Tensor:
        with learner.autocast():  # a setting of each thread
            return teacher.features(view) if teacher else encoder.describe(view)

    return describe


def _rounds(
    session: Session, opened: OpenedStore, at_once: int, stop: Callable[[], bool]
) -> Generator[list[int], None, None]:
    """The blocks of each round, on the first rank, which journals how far they are."""
    store = opened.store
    _write_findings(session, opened)
    found = store.unsound(stop=stop)
    todo = found.all
    told = _Progress(session, store, todo, damaged=len(found.damaged))
    if found.damaged:
        session.write_finding(
            "views-damaged",
            "warning",
            f"{count(len(found.damaged), 'block')} of {store.shape.blocks:,} of the cached views in "
            f"{safe(store.folder)} were damaged, and are computed again",
            "if it comes again, check the disk, or set TMSSL_CACHE to another one",
        )
    told.write(todo)
    waited = False
    while todo and not stop():
        with build_lock(store.folder) as is_builder:
            if is_builder:
                todo = store.unsound(stop=stop).all if waited else todo
                yield from _compute_rounds(opened, todo, at_once, told)
                return
        yield []  # another process computes them
        waited = True
        time.sleep(_LOOK_S)
        done = store.written()
        told.tell([number for number in todo if number not in done])


def _compute_rounds(
    opened: OpenedStore, todo: list[int], at_once: int, told: "_Progress"
) -> Generator[list[int], None, None]:
    """The rounds of the process that computes what is missing."""
    begun = time.perf_counter()
    for begin in range(0, len(todo), at_once):
        if opened.brief_s is not None and time.perf_counter() - begun > opened.brief_s:
            told.write(todo[begin:])
            return
        yield todo[begin : begin + at_once]
        told.tell(todo[begin + at_once :])


class _Progress:
    """Journals how far the computation of views is."""

    def __init__(
        self, session: Session, store: FeatureStore, todo: list[int], *, damaged: int
    ) -> None:
        self._session = session
        self._shape = store.shape
        self._folder = store.folder
        self._found = self._views(set(range(store.shape.blocks)) - set(todo))
        self._damaged = damaged
        self._begun = self._told_at = time.perf_counter()

    def _views(self, blocks: set[int]) -> int:
        """Views of all marks of some blocks."""
        marks = [self._shape.block(number) for number in blocks]
        return sum(each.stop - each.start for each in marks) * self._shape.views

    def tell(self, left: list[int]) -> None:
        """Journal the progress, now and then."""
        now = time.perf_counter()
        pause_s = max(_TOLD_S, _TOLD_SHARE * (now - self._begun))
        if not left or now - self._told_at >= pause_s:
            self.write(left)

    def write(self, left: list[int]) -> None:
        """Journal the progress."""
        self._told_at = time.perf_counter()
        seconds = self._told_at - self._begun
        total = self._shape.marks * self._shape.views
        done = total - self._views(set(left))
        new = done - self._found
        self._session.write(
            Views(
                segment=self._session.segment,
                step=self._session.step,
                epoch=self._session.epoch,
                done=done,
                total=total,
                found=self._found,
                damaged=self._damaged,
                seconds=seconds,
                seconds_left=seconds * (total - done) / new if new else None,
                gib=self._shape.bytes / 2**30,
                path=str(self._folder),
            )
        )


def _write_findings(session: Session, opened: OpenedStore) -> None:
    """Say what became of other stores, so that nobody forgets gigabytes."""
    if opened.removed:
        session.write_finding(
            "views-removed",
            "info",
            f"removed {_described(opened.removed)} of views that no run uses any more",
            "nothing to do; a run that needs them again computes them again",
        )
    if sum(store.size for store in opened.kept) >= _WORTH_TELLING:
        session.write_finding(
            "views-kept",
            "info",
            f"{_described(opened.kept)} of cached views are of other runs on these marks",
            "remove a run's folder and they go when the next run begins; or remove them by hand: "
            f"they are computed again when needed: {safe(opened.kept[0].folder.parent)}",
        )


def _described(stores: tuple[StoredViews, ...]) -> str:
    return f"{gib(sum(store.size for store in stores))} ({count(len(stores), 'store')})"
