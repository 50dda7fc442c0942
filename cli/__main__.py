"""The program `tmssl`, also as `python -m cli`, for children started by the monitor and the demo."""

from tmssl.system import end_on_windows


def main() -> None:
    """Run the command line, or end on Windows before anything that it lacks is imported."""
    end_on_windows()
    from cli.app import main as run

    run()


if __name__ == "__main__":
    main()
