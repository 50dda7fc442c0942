"""A teacher beside the contrast: its loss, its views, its cached features, exact resume, and bad names."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.helpers.training import draw_pack, history_of, losses, new_run
from tmssl.config import Config, changed, read_config, write_config
from tmssl.data.pack.reader import open_pack
from tmssl.data.views.augment import augmented_view
from tmssl.data.views.recipe import VIEW_SETS
from tmssl.errors import CheckpointError, ConfigError
from tmssl.retrieval.vectors.embed import trained_encoder
from tmssl.runs.checkpoints import find_checkpoint
from tmssl.runs.folder import Run
from tmssl.training.checkpoints.store import load_payload, load_weights
from tmssl.training.encoder.teacher import create_teacher
from tmssl.training.loop import train
from tmssl.training.loss import teacher_loss
from tmssl.training.moco import Lesson, MoCo, moco_step
from tmssl.training.session import open_session
from tmssl.training.signals import SignalFlags

CPU = torch.device("cpu")
GRID: dict[str, object] = {
    "model.features": "grid",
    "model.train": "head",
    "model.heads": "none",
    "stages": [1, 2],
    "whiten": 8,
    "cached_views": 2,
}


def test_the_loss_is_one_minus_the_mean_cosine() -> None:
    torch.manual_seed(0)
    predicted, target = torch.randn(5, 7), torch.randn(5, 7)
    slow = np.mean(
        [
            1 - float(p @ t) / np.sqrt(float(p @ p) * float(t @ t))
            for p, t in zip(predicted.double(), target.double(), strict=True)
        ]
    )
    assert float(teacher_loss(predicted, target)) == pytest.approx(slow, abs=1e-6)
    assert float(teacher_loss(target * 3, target)) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_a_step_has_the_gradient_of_both_losses_by_their_shares(share: float) -> None:
    torch.manual_seed(0)
    encoder = torch.nn.Linear(6, 4)
    model = MoCo(encoder, 8, 4, "none", teacher_width=5).double()
    views, targets = torch.randn(2, 12, 6).double(), torch.randn(2, 12, 5).double()

    def of_encoder() -> list[Tensor]:
        return [p.grad.clone() for p in encoder.parameters() if p.grad is not None]

    def gradients(chunk_size: int, lesson: Lesson | None) -> tuple[list[Tensor], Tensor]:
        model.zero_grad()

        def backward(loss: Tensor) -> None:
            loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped

        result = moco_step(
            model,
            views[0],
            views[1],
            temperature=0.2,
            chunk_size=chunk_size,
            backward=backward,
            lesson=lesson,
        )
        return of_encoder(), result.figures

    contrast, _ = gradients(12, None)
    model.zero_grad()
    assert model.to_teacher is not None
    cosine = torch.nn.functional.cosine_similarity
    taught = sum(
        (1 - cosine(model.to_teacher(encoder(view)).float(), target.float())).mean() / 2
        for view, target in zip(views, targets, strict=True)
    )
    assert isinstance(taught, Tensor)
    taught.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
    alone = of_encoder()
    lesson = Lesson(lambda view, chunk: targets[view][chunk], share)
    found, figures = gradients(12, lesson)
    for own, one, other in zip(found, contrast, alone, strict=True):
        assert torch.allclose(own, (1 - share) * one + share * other, atol=1e-6)
    assert float(figures[-1]) == pytest.approx(float(taught.detach()), abs=1e-6)


def test_the_packaged_weights_teach_at_their_own_size() -> None:
    teacher = create_teacher("timm:tf_efficientnet_lite0", CPU)
    assert (teacher.size, teacher.width) == (224, 1280)
    assert not teacher.network.training
    assert not any(p.requires_grad for p in teacher.network.parameters())
    assert teacher.digest == create_teacher("timm:tf_efficientnet_lite0", CPU).digest


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_pack(tmp_path_factory.mktemp("taught"), 32)


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory, pack: Path) -> Run:
    """A small run that teaches, at views of another size than its pupils'."""
    folder = tmp_path_factory.mktemp("teacher")
    run = new_run(folder, pack, "", image_size=48, epochs=1)
    train(run, SignalFlags())
    return run


@pytest.mark.parametrize("settings", [{}, GRID], ids=["all", "head"])
def test_a_taught_run_resumes_exactly_and_tells_its_losses_apart(
    tmp_path: Path, pack: Path, teacher: Run, settings: dict[str, object]
) -> None:
    unplanned = {"schedule": "constant", "optim.momentum": 1.0}  # the same for any end
    taught = {**settings, **unplanned, "model.teacher": str(teacher.path), "epochs": 2}
    parts = new_run(tmp_path, pack, "", **{**taught, "epochs": 1})
    straight = new_run(tmp_path, pack, "", **taught)
    train(parts, SignalFlags())
    write_config(changed(read_config(parts.config), {"epochs": 2}), parts.config)
    train(parts, SignalFlags())
    train(straight, SignalFlags())
    assert losses(parts) == losses(straight)
    both = [[step.teacher_loss for step in history_of(run).steps] for run in (parts, straight)]
    assert both[0] == both[1]
    told = [step.teacher_loss for step in history_of(straight).steps]
    assert all(loss is not None and 0 < loss < 2 for loss in told)
    assert history_of(straight).epochs[-1].teacher_loss is not None
    assert "weight" in load_payload(find_checkpoint(straight, "last"))["to_teacher"]
    names = trained_encoder(load_weights(find_checkpoint(straight, "last"))).state_dict()
    assert not any("teacher" in name for name in names)
    plain = new_run(tmp_path, pack, "", **{**settings, "epochs": 1})
    train(plain, SignalFlags())
    assert all(step.teacher_loss is None for step in history_of(plain).steps)


def test_cached_features_are_those_of_the_views_at_the_teachers_size(
    tmp_path: Path, pack: Path, teacher: Run
) -> None:
    run = new_run(tmp_path, pack, "", **{**GRID, "model.teacher": str(teacher.path), "epochs": 1})
    train(run, SignalFlags())
    session = open_session(run, None)
    assert [opened.store.shape.features for opened in session.cached][1] == create_teacher(
        str(teacher.path), CPU
    ).width
    assert len({opened.store.folder for opened in session.cached}) == 2
    taught = session.loader.views(0).teacher
    session.loader.close()
    assert taught is not None
    rows = np.arange(3)
    images = torch.from_numpy(open_pack(pack).read(rows))
    network = create_teacher(str(teacher.path), CPU)
    for view in range(2):
        seen = augmented_view(
            images,
            rows,
            seed=0,
            epoch=0,
            view=view,
            recipe=VIEW_SETS["logo"][view],
            size=48,
        )
        kept = session.cached[1].store.read(rows, np.full(3, view))
        assert np.allclose(kept, network.features(seen).numpy(), atol=5e-3, rtol=5e-3)


def test_another_teacher_is_refused_at_a_resume(tmp_path: Path, pack: Path, teacher: Run) -> None:
    run = new_run(tmp_path, pack, "", **{"model.teacher": str(teacher.path), "epochs": 1})
    train(run, SignalFlags())
    other = changed(read_config(run.config), {"model.teacher": "", "epochs": 2})
    write_config(other, run.config)
    with pytest.raises(CheckpointError, match="trained with another teacher"):
        train(run, SignalFlags())


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("timm:resnet1O", "the teacher cannot be had: timm has no model 'resnet1O'"),
        ("timm:test_nothing", "timm has no model"),
        ("nowhere", "nothing is there; give timm:NAME"),
        (__file__, "is no run or checkpoint of tmssl"),
    ],
)
def test_a_bad_teacher_is_one_line(name: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said) as refused:
        create_teacher(name, CPU)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("share", [-0.1, 1.5, float("nan")])
def test_a_share_outside_of_0_to_1_is_one_line(share: float) -> None:
    with pytest.raises(ConfigError, match="teacher_share is"):
        changed(Config(), {"teacher_share": share})
