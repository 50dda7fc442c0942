"""Each verdict follows from facts alone, so any machine can be looked at here."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from msgspec.structs import replace

from tmssl.doctor.facts import GIB, Disk, Facts, Terminal, Torch
from tmssl.doctor.gather import measured_disk, parsed_driver
from tmssl.doctor.machine import usable_cores, usable_memory, worker_count
from tmssl.doctor.terminal import colours, image_protocol
from tmssl.doctor.verdicts import Check, can_train, recommended, verdicts

CARD = Torch(
    torch="2.6.0+cu124",
    torchvision="0.21.0+cu124",
    timm="1.0.16",
    cuda="12.4",
    available=True,
    gpus=["NVIDIA GeForce RTX 4090"],
    gpu_bytes=24 * GIB - 200_000_000,
    capability="sm_89",
    built_for=["sm_50", "sm_80", "sm_86", "sm_90"],
)
BLIND = replace(CARD, available=False, gpus=[], gpu_bytes=0, cuda_error="no device")
GOOD = Facts(
    python=(3, 12, 1),
    torch=CARD,
    driver="550.54.15",
    cores=16,
    machine_cores=32,
    memory=64 * GIB,
    shared_memory=8 * GIB,
    disk=Disk(path="/data", free=200 * GIB, write_s=1e9),
    terminal=Terminal(columns=120, lines=40, colours="true", multiplexer="tmux"),
)


def check(facts: Facts, name: str) -> Check:
    return next(one for one in verdicts(facts) if one.name == name)


def test_a_good_machine_has_nothing_to_do() -> None:
    assert {one.level for one in verdicts(GOOD)} == {"good"}
    assert not any(one.advice for one in verdicts(GOOD))


@pytest.mark.parametrize(
    ("driver", "cuda", "told", "advice"),
    [
        (
            "470.82.01",
            "12.4",
            "driver 470.82.01 is too old for this CUDA build: CUDA 12.4 needs 525",
            "built for CUDA 11",
        ),
        ("550.54.15", "13.0", "CUDA 13.0 needs 580", "built for CUDA 12"),
        ("440.33", "11.8", "CUDA 11.8 needs 450", "driver 450 or newer ("),
    ],
)
def test_a_driver_too_old_for_the_cuda_build_is_named_with_its_fix(
    driver: str, cuda: str, told: str, advice: str
) -> None:
    found = check(replace(GOOD, driver=driver, torch=replace(BLIND, cuda=cuda)), "gpu")
    assert found.level == "bad"
    assert told in found.found
    assert advice in found.advice


@pytest.mark.parametrize(
    ("facts", "name", "level", "words"),
    [
        (replace(GOOD, python=(3, 10, 4)), "python", "bad", "3.10.4"),
        (
            replace(
                GOOD, torch=Torch(error="RuntimeError: operator torchvision::nms does not exist")
            ),
            "torch",
            "bad",
            "nms",
        ),
        (replace(GOOD, torch=replace(CARD, torch="2.5.1")), "torch", "bad", "2.5.1"),
        (
            replace(GOOD, torch=replace(CARD, torchvision="0.20.1")),
            "torchvision",
            "bad",
            "not the release for torch 2.6.0",
        ),
        (replace(GOOD, torch=replace(BLIND, cuda="")), "gpu", "warning", "this torch has no CUDA"),
        (replace(GOOD, torch=BLIND), "gpu", "bad", "CUDA does not work: no device"),
        (replace(GOOD, torch=BLIND, driver=""), "gpu", "warning", "the CPU trains"),
        (
            replace(GOOD, torch=replace(CARD, capability="sm_37")),
            "gpu",
            "bad",
            "no kernels for sm_37",
        ),
        (replace(GOOD, cores=1.5), "cores", "warning", "1.5 of 32"),
        (replace(GOOD, memory=GIB), "memory", "bad", "1.0 GiB"),
        (replace(GOOD, memory=4 * GIB), "memory", "warning", "4.0 GiB"),
        (replace(GOOD, shared_memory=64 << 20), "shared memory", "warning", "/dev/shm"),
        (
            replace(GOOD, disk=Disk(path="/full", free=GIB // 2, write_s=1e9)),
            "disk",
            "bad",
            "/full",
        ),
        (
            replace(GOOD, disk=Disk(path="/small", free=5 * GIB, write_s=1e9)),
            "disk",
            "warning",
            "5.0 GiB",
        ),
        (
            replace(GOOD, disk=Disk(path="/slow", free=50 * GIB, write_s=1e6)),
            "disk",
            "warning",
            "1 MiB/s",
        ),
        (
            replace(GOOD, disk=Disk(path="/locked", free=50 * GIB)),
            "disk",
            "bad",
            "cannot be written",
        ),
        (
            replace(GOOD, terminal=Terminal(columns=60, lines=20, colours="256")),
            "terminal",
            "warning",
            "60x20",
        ),
        (
            replace(GOOD, terminal=Terminal(columns=80, lines=24, colours="16", utf8=False)),
            "terminal",
            "warning",
            "colours 16",
        ),
        (replace(GOOD, terminal=Terminal()), "terminal", "good", "plain"),
    ],
)
def test_each_trouble_has_its_verdict(facts: Facts, name: str, level: str, words: str) -> None:
    found = check(facts, name)
    assert found.level == level
    assert words in found.found
    assert bool(found.advice) == (level != "good")
    assert can_train(verdicts(facts)) == (level != "bad")


def test_a_gpu_of_another_name_cannot_write_to_the_terminal() -> None:
    odd = replace(GOOD, torch=replace(CARD, gpus=["\x1b]0;x\x07"]))
    assert "\x1b" not in "".join(one.found for one in verdicts(odd))


def test_the_batch_is_the_same_on_every_card_and_the_chunk_fits_it() -> None:
    assert recommended(0) == (64, 32)
    sizes = [recommended(int(gib * GIB)) for gib in (7.8, 11.6, 23.6, 79.0)]
    assert sizes == [(1024, 64), (1024, 128), (1024, 256), (1024, 512)]
    told = check(replace(GOOD, torch=replace(CARD, gpus=["a", "b"])), "settings").found
    assert "--batch-size 2048 --chunk-size 256 --gpus 2" in told


def test_limits_of_control_groups_are_respected(tmp_path: Path) -> None:
    assert usable_cores(tmp_path) >= 1
    (tmp_path / "cpu.max").write_text("50000 100000\n")
    (tmp_path / "memory.max").write_text("1073741824\n")
    assert usable_cores(tmp_path) == 0.5
    assert usable_memory(tmp_path) == GIB
    (tmp_path / "cpu.max").write_text("max 100000\n")
    (tmp_path / "memory.max").write_text("max\n")
    assert usable_cores(tmp_path) >= 1
    assert usable_memory(tmp_path) > GIB


def test_the_strictest_group_around_a_process_decides(tmp_path: Path) -> None:
    root, own = tmp_path / "cgroup", tmp_path / "own"
    inner = root / "jobs" / "mine"
    inner.mkdir(parents=True)
    own.write_text("0::/jobs/mine\n")
    (root / "jobs" / "cpu.max").write_text("50000 100000\n")
    (inner / "cpu.max").write_text("max 100000\n")
    (inner / "memory.max").write_text(f"{GIB}\n")
    assert usable_cores(root, own) == 0.5
    assert usable_memory(root, own) == GIB
    own.write_text("0::/jobs\n")
    assert usable_memory(root, own) > GIB
    own.write_text("0::/../../outside\n")  # the group of a container whose namespace hides it
    assert usable_cores(root, own) >= 1


def test_groups_of_version_1_count_as_well(tmp_path: Path) -> None:
    root, own = tmp_path / "cgroup", tmp_path / "own"
    for controller in ("cpu", "memory"):
        (root / controller / "mine").mkdir(parents=True)
    own.write_text("4:cpu,cpuacct:/mine\n3:memory:/mine\n1:name=systemd:/other\n")
    (root / "cpu" / "mine" / "cpu.cfs_quota_us").write_text("-1\n")
    (root / "cpu" / "cpu.cfs_quota_us").write_text("25000\n")
    (root / "cpu" / "cpu.cfs_period_us").write_text("50000\n")
    (root / "memory" / "memory.limit_in_bytes").write_text(f"{(1 << 63) - 4096}\n")
    (root / "memory" / "mine" / "memory.limit_in_bytes").write_text(f"{GIB}\n")
    assert usable_cores(root, own) == 0.5
    assert usable_memory(root, own) == GIB


def test_affinity_limits_the_workers() -> None:
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        assert worker_count() == 1
    finally:
        os.sched_setaffinity(0, before)


def test_a_disk_is_measured_where_the_runs_will_be(tmp_path: Path) -> None:
    found = measured_disk(tmp_path / "runs" / "not" / "yet")
    assert found.path == str(tmp_path)
    assert found.write_s
    assert list(tmp_path.iterdir()) == []


def test_the_driver_is_read_from_the_kernels_words() -> None:
    told = "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.161.07  Sat Feb 17 22:55:48 UTC 2024\nGCC"
    assert parsed_driver(told) == "535.161.07"
    assert parsed_driver("") == ""


@pytest.mark.parametrize(
    ("environment", "shown"),
    [
        ({"TERM": "xterm-256color"}, ("256", "blocks")),
        ({"TERM": "xterm-kitty", "COLORTERM": "truecolor"}, ("true", "kitty")),
        ({"TERM": "xterm-kitty", "TMUX": "/tmp/t"}, ("256", "blocks")),
        ({"TERM": "xterm-256color", "TERM_PROGRAM": "iTerm.app"}, ("256", "iterm2")),
        ({"TERM": "foot", "NO_COLOR": "1"}, ("none", "sixel")),
        ({"TERM": "linux"}, ("16", "blocks")),
        ({}, ("none", "none")),
    ],
)
def test_the_environment_tells_what_a_terminal_shows(
    environment: dict[str, str], shown: tuple[str, str]
) -> None:
    assert (colours(environment), image_protocol(environment)) == shown


def test_the_command_tells_this_machine_as_json(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "cli", "doctor", "--json", "--runs", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    told = json.loads(done.stdout)
    assert done.returncode == (0 if told["can_train"] else 1)
    assert {"python", "torch", "gpu", "disk", "terminal"} <= {c["name"] for c in told["checks"]}
    assert told["facts"]["torch"]["torch"]
