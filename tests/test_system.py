"""What is asked of the operating system, and what is said where it does not answer."""

import subprocess
import sys

import pytest

from tests.helpers.command import environment
from tmssl.system import is_utf8


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ({"LANG": "C.UTF-8"}, True),
        ({"LANG": "en_US.utf8"}, True),
        ({"LANG": "de_DE.UTF-8@euro"}, True),
        ({"LC_CTYPE": "UTF-8"}, True),  # macOS
        ({"LC_ALL": "", "LC_CTYPE": "", "LANG": "ja_JP.UTF-8"}, True),
        ({"LC_ALL": "C", "LC_CTYPE": "C.UTF-8", "LANG": "C.UTF-8"}, False),
        ({"LC_CTYPE": "POSIX", "LANG": "C.UTF-8"}, False),
        ({"LC_CTYPE": "C.UTF-8", "LANG": "C"}, True),
        ({"LANG": "ja_JP.eucJP"}, False),
        ({"LANG": "en_US.ISO-8859-1"}, False),
        ({"LANG": "de_DE@euro"}, False),
        ({"LANG": "C", "LC_MESSAGES": "C.UTF-8", "LANGUAGE": "de.UTF-8"}, False),
        ({}, False),
    ],
)
def test_the_first_locale_that_is_set_decides(told: dict[str, str], expected: bool) -> None:
    assert is_utf8(told) == expected


def test_what_python_puts_in_place_of_the_locale_is_not_the_persons() -> None:
    code = (
        "import os; from tmssl.system import started_environment; os.environ['HOME'] = '/else'; "
        "print(os.environ['LC_CTYPE'], started_environment()['LC_CTYPE'], started_environment()['HOME'])"
    )
    told = environment(LC_CTYPE="POSIX", HOME="/h\xfc=\n")
    told.pop("LC_ALL", None)
    done = subprocess.run([sys.executable, "-c", code], env=told, capture_output=True, check=True)
    assert done.stdout == "C.UTF-8 POSIX /h\xfc=\n\n".encode()
