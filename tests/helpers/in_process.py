"""The command line in the process of the test: quicker than a child, and its errors are raised."""

from typer.testing import CliRunner

from cli.app import app
from tmssl.errors import TmsslError


def tmssl_in_process(*words: str, stdin: bytes | None = None, code: int = 0) -> tuple[str, str]:
    """Stdout and stderr of `tmssl WORDS`, which must end with this exit code.

    Raises:
        TmsslError: the command raised it.
    """
    done = CliRunner().invoke(app, list(words), input=stdin)
    if isinstance(done.exception, TmsslError):
        raise done.exception
    assert done.exit_code == code, (done.output, done.exception)
    return done.stdout, done.stderr
