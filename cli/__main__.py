"""`python -m cli` is `tmssl`, for children started by the monitor and the demo."""

from cli.app import main

if __name__ == "__main__":
    main()
