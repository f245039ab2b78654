"""`python -m netforge`, and what the program `netforge` starts with."""

import sys


def main() -> None:
    """Run the command line; Ctrl-C while it is being loaded ends without a traceback."""
    try:
        from netforge.cli import main as command_line
    except KeyboardInterrupt:
        sys.exit(130)
    command_line()


if __name__ == "__main__":
    main()
