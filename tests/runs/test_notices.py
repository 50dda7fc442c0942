"""Notices reach a service that answers, and one that hangs, refuses or breaks off costs training nothing."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.service import listening, serving
from tmssl.config import Config, changed, differences, published, write_config
from tmssl.errors import ConfigError
from tmssl.runs.events import End, Event, Finding, Segment, Step
from tmssl.runs.folder import Run
from tmssl.runs.history import read_history
from tmssl.runs.notices.address import NOTIFY_VARIABLE, address_of, check_address
from tmssl.runs.notices.sending import LONGEST_S, send, tell_of_death
from tmssl.runs.notices.words import Notice, end_notice, finding_notice

SEGMENT = Segment(chance=8.9, steps_per_epoch=10, epochs=50)
STEP = Step(step=240, epoch=24.0, loss=4.79)
SECRET = "json://user:hunter2@example.org/topic"


def history(*events: Event) -> Any:
    return read_history([SEGMENT, STEP, *events])


def test_a_notice_says_name_state_finding_and_figures() -> None:
    finding = Finding(code="at-chance", level="bad", text="the loss is chance", advice="lower it")
    told = finding_notice("a", history(), finding)
    assert told == Notice(
        "a: at-chance",
        "the loss is chance - lower it\nepoch 24.00/50, loss 4.790 (chance 8.900)",
    )
    end = End(status="finished", reason="50 epochs done")
    assert end_notice("a", history(end), end).title == "a: finished"
    assert end_notice("a", history(), None).title == "a: dead"


def test_a_notice_repeats_no_error_that_may_name_a_mark() -> None:
    finding = Finding(code="evaluation-failed", level="bad", text="cannot read marks/acme.png")
    assert "acme" not in finding_notice("a", history(), finding).body
    end = End(status="failed", reason="cannot read marks/acme.png")
    assert "acme" not in end_notice("a", history(end), end).body


def test_a_notice_holds_no_control_byte() -> None:
    finding = Finding(code="x", level="bad", text="\x1b]0;gone\x07", advice="\x9b2J")
    told = finding_notice("a\x1b[2J", history(), finding)
    assert not any(ord(c) < 32 and c != "\n" for c in told.title + told.body)


def test_a_service_that_answers_is_told_once() -> None:
    with serving() as service:
        assert send(service.address, Notice("a: finished", "loss 4.79")).wait(60) == 0
    assert [(told["title"], told["message"]) for told in service.told] == [
        ("a: finished", "loss 4.79")
    ]


@pytest.mark.slow
def test_a_service_that_fails_is_asked_three_times() -> None:
    with serving(answer=500) as service:
        assert send(service.address, Notice("a", "b")).wait(60) == 1
    assert len(service.told) == 3


@pytest.mark.slow
@pytest.mark.parametrize(
    "treat",
    [
        lambda connection: None,
        lambda connection: connection.close(),
        lambda connection: connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\nhalf"),
    ],
    ids=["hangs", "closes", "breaks-off"],
)
def test_a_bad_service_ends_its_sender_in_time(treat: Callable[[socket.socket], None]) -> None:
    with listening(treat) as address:
        begun = time.monotonic()
        code = send(address, Notice("a", "b")).wait(2 * LONGEST_S)
        assert code != 0
        assert time.monotonic() - begun < LONGEST_S + 10


@pytest.mark.slow
def test_a_service_that_refuses_ends_its_sender_with_a_code() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    assert send(f"json://127.0.0.1:{port}/", Notice("a", "b")).wait(60) == 1


def test_an_address_is_shown_by_its_service_alone() -> None:
    config = changed(Config(), {"notify": SECRET})
    assert published(config).train.notify == "json://"
    assert differences(Config(), config) == {"train.notify": ["", "json://"]}
    other = changed(Config(), {"notify": SECRET.replace("topic", "other")})
    assert differences(config, other) == {}


@pytest.mark.parametrize("address", ["nonsense://x", "hello", "://", "json://", "\x1b[2J://"])
def test_an_address_of_no_service_is_refused_in_a_line(address: str) -> None:
    with pytest.raises(ConfigError, match="apprise can send to no such address") as refusal:
        check_address(address)
    assert "\x1b" not in str(refusal.value)


def test_the_settings_name_the_address_before_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert address_of("") == ""
    monkeypatch.setenv(NOTIFY_VARIABLE, "json://b")
    assert [address_of(""), address_of("json://a")] == ["json://b", "json://a"]


def test_of_those_who_follow_a_run_one_tells_of_its_death(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMSSL_CACHE", str(tmp_path / "cache"))
    run = Run(tmp_path / "a")
    run.path.mkdir()
    with serving() as service:
        write_config(changed(Config(), {"notify": service.address}), run.config)
        senders = [tell_of_death(run, history()) for _ in range(3)]
        assert [sender.wait(60) for sender in senders if sender] == [0]
    assert [told["title"] for told in service.told] == ["a: dead"]


def test_without_an_address_nothing_is_started(tmp_path: Path) -> None:
    run = Run(tmp_path / "a")
    assert tell_of_death(run, history()) is None
    run.path.mkdir()
    write_config(Config(), run.config)
    assert tell_of_death(run, history()) is None


def test_the_sender_does_not_import_from_the_current_folder(tmp_path: Path) -> None:
    (tmp_path / "apprise.py").write_text("raise SystemExit(7)")
    command = [sys.executable, "-P", "-m", "tmssl.runs.notices"]
    with serving() as service:
        request = json.dumps({"address": service.address, "title": "a", "body": "b"})
        done = subprocess.run(
            command, input=request, text=True, cwd=tmp_path, env=dict(os.environ), check=False
        )
    assert done.returncode == 0
