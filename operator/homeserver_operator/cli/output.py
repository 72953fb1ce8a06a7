"""What people read: tables, documents, and errors."""

import json
import sys
from collections.abc import Iterable, Sequence
from typing import Any

import yaml


class CliError(Exception):
    """The question cannot be answered; the message says why and what helps."""


def say(text: str) -> None:
    """Print a text."""
    sys.stdout.write(f"{text}\n")


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Columns as kubectl prints them; the last one is as long as it is."""
    lines = [tuple(headings), *map(tuple, rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def document(content: Any, form: str) -> str:
    """A document as JSON or YAML."""
    if form == "json":
        return json.dumps(content, indent=2)
    return yaml.safe_dump(content, sort_keys=False, width=100).rstrip()
