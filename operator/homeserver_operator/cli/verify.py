"""`kubectl homeserver verify`: whether requests reach the processes that the table names."""

import argparse
import asyncio
import os
import secrets
import time
from collections import Counter
from pathlib import Path
from typing import Any, Final

from homeserver_operator.api.names import MAIN
from homeserver_operator.cli.access import Access, connect
from homeserver_operator.cli.edge import Edge, make_edge
from homeserver_operator.cli.output import CliError, document, say, table
from homeserver_operator.cli.probing import prober
from homeserver_operator.cli.samples import Sample, samples
from homeserver_operator.cli.sightings import LogsUnreadableError, Seen, sightings
from homeserver_operator.cli.source import parsed
from homeserver_operator.cli.verdicts import Answer, Finding, Verdict, judge

TOKEN_VARIABLE: Final = "HOMESERVER_ACCESS_TOKEN"  # noqa: S105 - a name

_HEADINGS: Final = ("VERDICT", "CLASS", "GROUP", "ANSWERS", "PATH")
_MARGIN: Final = 5
"""Seconds of logs from before the first request, for clocks and starts of connections."""


def run(options: argparse.Namespace) -> int:
    """Probe, and print what was found."""
    url, findings, note = asyncio.run(_verify(options))
    if options.output == "table":
        say(_table(findings, note))
    else:
        say(document(_document(url, findings, note), options.output))
    return 0 if all(finding.verdict.good for finding in findings) else 1


async def _verify(options: argparse.Namespace) -> tuple[str, list[Finding], str]:
    async with connect(options) as access:
        edge = make_edge(parsed(await access.homeserver(options.name)))
        if not (options.url or edge.server.ingress.enabled):
            raise CliError("the HomeServer has no Ingress: name its way in with --url")
        url = options.url or f"https://{edge.host}"
        probes = [*samples(edge.told)]
        mark, started = secrets.token_hex(4), time.monotonic()
        async with prober(
            url,
            host=options.host,
            token=_token(options.token_file),
            ca_file=options.ca_file,
            insecure=options.insecure,
            run=mark,
        ) as asking:
            await asking.reach()
            answers = await asking.all(probes)
        seen: Seen = {}
        note = "not checked: --no-logs"
        if not options.no_logs:
            seconds = round(time.monotonic() - started) + _MARGIN
            seen, note = await _seen(access, options.name, mark, answers, seconds)
    pairs = zip(probes, answers, strict=True)
    return url, [judge(probe, tried, _groups(edge, probe), seen) for probe, tried in pairs], note


async def _seen(
    access: Access,
    name: str,
    mark: str,
    answers: list[tuple[tuple[Answer, ...], ...]],
    seconds: int,
) -> tuple[Seen, str]:
    """Who answered, and a word on how much is known."""
    asked = frozenset(answer.name for tried in answers for each in tried for answer in each)
    try:
        seen = await sightings(access, name, run=mark, names=asked, seconds=seconds)
    except LogsUnreadableError as error:
        return {}, f"not checked: {error}"
    found = len(asked & seen.keys())
    return seen, f"checked for {found} of {len(asked)} requests, in the pods' logs"


def _groups(edge: Edge, sample: Sample) -> tuple[str, ...]:
    """The groups that the table names for a sample."""
    if sample.route is None:
        return (MAIN,)
    return next(target.groups for target in edge.told if sample.route in target.routes)


def _token(file: str | None) -> str | None:
    try:
        text = Path(file).read_text(encoding="utf-8") if file else os.environ.get(TOKEN_VARIABLE)
    except (OSError, UnicodeDecodeError) as error:
        raise CliError(f"{file}: {error}") from None
    return (text or "").strip() or None


def _table(findings: list[Finding], note: str) -> str:
    rows = [
        (each.verdict.value, each.route_class, _shown(each), each.answers, each.path)
        for each in findings
    ]
    wrong = [f"  {each.path}: {each.detail}" for each in findings if each.verdict is not Verdict.OK]
    lines = [table(_HEADINGS, rows), ""]
    if wrong:
        lines += ["What is not as it should be, or not there:", *wrong, ""]
    return "\n".join([*lines, _summary(findings), f"Who answered: {note}."])


def _shown(finding: Finding) -> str:
    """Who answered, with a question mark who should have where that is all that is known."""
    return ",".join(finding.answered or (f"{group}?" for group in finding.expected))


def _summary(findings: list[Finding]) -> str:
    counts = Counter(each.verdict for each in findings)
    parts = ", ".join(f"{counts[verdict]} {verdict}" for verdict in Verdict if counts[verdict])
    return f"{len(findings)} endpoints: {parts}."


def _document(url: str, findings: list[Finding], note: str) -> dict[str, Any]:
    return {
        "url": url,
        "good": all(each.verdict.good for each in findings),
        "whoAnswered": note,
        "endpoints": [
            {
                "verdict": each.verdict.value,
                "class": each.route_class,
                "path": each.path,
                "expected": list(each.expected),
                "answered": list(each.answered),
                "answers": each.answers,
                "detail": each.detail,
            }
            for each in findings
        ],
    }
