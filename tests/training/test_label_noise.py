import csv
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.helpers.marks import draw_marks
from tests.helpers.training import SMALL_MODEL, history_of
from tmssl.config import Config, changed, read_config, write_config
from tmssl.data.pack.builder import build_pack
from tmssl.data.pack.cache import pack_size
from tmssl.data.pack.reader import Pack
from tmssl.data.sources.catalogue import read_catalogue
from tmssl.runs.events import Positives, Segment
from tmssl.runs.findings.diagnose import diagnose
from tmssl.runs.folder import create_run
from tmssl.runs.history import read_history
from tmssl.training.label_noise import auc, measure_positives
from tmssl.training.learner import create_learner
from tmssl.training.loop import train
from tmssl.training.session import create_sampler
from tmssl.training.signals import SignalFlags

TINY = {**SMALL_MODEL, "epochs": 1, "positives": "vienna", "lr": 0.01}


def coded_pack(folder: Path, codes: list[str], *, alike: bool) -> Pack:
    """A pack of marks with these codes; `alike` draws every two marks the same."""
    draw_marks(folder / "m", len(codes))
    images = folder / "m" / "images"
    with (folder / "m" / "labels.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["path", "vienna"])
        table.writerows([f"images/{i:04d}.png", code] for i, code in enumerate(codes))
    if alike:
        for i in range(0, len(codes), 2):
            (images / f"{i + 1:04d}.png").write_bytes((images / f"{i:04d}.png").read_bytes())
    return build_pack(read_catalogue(folder / "m"), folder / "pack", pack_size(32))


def measured(pack: Pack, **settings: object) -> Positives:
    config = changed(Config(), {**TINY, "data.pack": str(pack.folder), **settings})
    learner = create_learner(config, torch.device("cpu"))
    before = {name: value.clone() for name, value in learner.model.state_dict().items()}
    sampler = create_sampler(pack, config)
    event = measure_positives(
        learner, pack, sampler, sampler.mixture[0], epoch=0, image_size=32, stop=lambda: False
    )
    assert event is not None
    assert learner.model.encoder.training
    assert all(torch.equal(v, before[k]) for k, v in learner.model.state_dict().items())
    return event


def codes_found(event: Positives) -> list[str]:
    return [f.code for f in diagnose(read_history([Segment(chance=5.0, solved=1.0), event]))]


PAIRED = [f"{1 + i // 2:02d}.01" for i in range(48)]


def test_partners_that_are_copies_are_no_noise(tmp_path: Path) -> None:
    event = measured(coded_pack(tmp_path, PAIRED, alike=True))
    assert event.pairs == 48
    assert event.with_partner == 1
    assert event.encoder_partners == pytest.approx(1, abs=1e-4)
    assert event.hash_partners == pytest.approx(1, abs=1e-4)
    assert event.encoder_random is not None
    assert event.encoder_random < 0.999
    assert event.noise is not None
    assert event.noise < 0.1
    assert codes_found(event) == []


def test_partners_by_a_meaningless_code_are_noise_and_called_so(tmp_path: Path) -> None:
    event = measured(coded_pack(tmp_path, PAIRED, alike=False))
    assert event.noise is not None
    assert event.noise > 0.8
    assert codes_found(event) == ["noisy-positives"]


def test_marks_without_a_partner_are_told(tmp_path: Path) -> None:
    pack = coded_pack(tmp_path, [*(["03.01"] * 6), *([""] * 34)], alike=False)
    event = measured(pack)
    assert event.with_partner == pytest.approx(6 / 40)
    assert "few-partners" in codes_found(event)
    nobody = measured(pack, vienna_level="section")  # the codes end at divisions
    assert (nobody.pairs, nobody.with_partner, nobody.noise) == (0, 0, None)
    assert codes_found(nobody) == ["few-partners"]


@given(
    st.lists(st.integers(-5, 5), min_size=1, max_size=12),
    st.lists(st.integers(-5, 5), min_size=1, max_size=12),
)
def test_the_auc_is_counted_over_all_pairs(alike: list[int], random: list[int]) -> None:
    wins = sum((a > r) + 0.5 * (a == r) for a in alike for r in random)
    told = auc(np.array(alike, float), np.array(random, float))
    assert told == pytest.approx(wins / len(alike) / len(random))


def test_each_kind_of_a_mixture_is_measured(tmp_path: Path) -> None:
    pack = coded_pack(tmp_path, PAIRED, alike=True)
    with (tmp_path / "m" / "labels.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["path", "group", "title"])  # groups are copies, texts are of two others
        table.writerows([f"images/{i:04d}.png", f"g{i // 2}", f"text {i % 24}"] for i in range(48))
    pack = build_pack(read_catalogue(tmp_path / "m"), tmp_path / "labelled", pack_size(32))
    run = create_run(tmp_path / "runs", "r")
    settings = {**TINY, "positives": "instance=0.5,title=0.2,group=0.3"}
    write_config(changed(Config(), {**settings, "data.pack": str(pack.folder)}), run.config)
    train(run, SignalFlags())
    history = history_of(run)
    group, title = history.positives
    assert (group.by, group.share, group.level, group.with_partner) == ("group", 0.3, "", 1.0)
    assert (title.by, title.share, title.with_partner) == ("title", 0.2, 1.0)
    assert group.noise is not None
    assert title.noise is not None
    assert group.noise < 0.1
    assert title.noise > 0.5
    told = [f.text for f in history.findings if f.code == "noisy-positives"]
    assert all("share their text" in text for text in told)


def test_each_segment_with_vienna_positives_says_how_alike_they_are(tmp_path: Path) -> None:
    pack = coded_pack(tmp_path, PAIRED, alike=False)
    run = create_run(tmp_path / "runs", "r")
    write_config(changed(Config(), {**TINY, "data.pack": str(pack.folder)}), run.config)
    train(run, SignalFlags())
    for epochs, positives in ((2, "instance"), (3, "mixed")):
        now = changed(read_config(run.config), {"epochs": epochs, "positives": positives})
        write_config(now, run.config)
        train(run, SignalFlags())
    history = history_of(run)
    assert [(event.segment, event.step, event.level) for event in history.positives] == [
        (0, 0, "division"),
        (2, 12, "division"),
    ]
    noisy = [f for f in history.findings if f.code == "noisy-positives"]
    assert [f.step for f in noisy] == [1, 13]
    assert history.segments[1].changed["data.positives"] == ["vienna", "instance"]
