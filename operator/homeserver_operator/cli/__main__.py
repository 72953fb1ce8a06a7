"""The plugin's entry: words in, exit status out (also `python -m homeserver_operator.cli`).

Exit status 0 means that all is well, 1 that something was found, 2 that the question could not be
answered.
"""

import sys
from collections.abc import Sequence
from importlib import import_module

from homeserver_operator.cli.arguments import parser
from homeserver_operator.cli.output import CliError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    options = parser().parse_args(arguments)
    # Only now: the API server's client takes longer to import than `--help` may take.
    command = import_module(f"homeserver_operator.cli.{options.command}")
    try:
        status: int = command.run(options)
    except CliError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    except KeyboardInterrupt:
        return 130
    return status


if __name__ == "__main__":
    sys.exit(main())
