"""What HAProxy's manual says of the rules that choose a route, read from the rendered files.

Shares nothing with what writes them.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import unquote_plus

from tests.core.requests import Request

_RULE = re.compile(
    r"  http-request set-var\(txn\.(?P<variable>row|own)\) path,"
    r"map_(?P<by>reg|str)\((?P<map>[^,)]+)(?:,(?P<otherwise>[^)]+))?\)(?P<conditions>.*)"
)
_METHODS = re.compile(r"\{ method ([A-Z ]+) \}")
_WITHOUT = re.compile(r"!\{ urlp\((\w+)\) -m len gt 0 \}")
_WITH = re.compile(r"\{ urlp\((\w+)\),url_dec\(1\) -m reg -f (\S+) \}")
_USER = re.compile(r"\{ var\(txn\.user\) -m reg -f (\S+) \}")


@dataclass(frozen=True)
class Evaluator:
    """Answers for the files of one router; `whoami` is whom the homeserver says a token is of."""

    files: Mapping[str, str]
    whoami: str | None = None

    def facts(self, request: Request) -> str:
        """Where a request goes: class, what may be sent again, what it hashes by."""
        found = self._found("own", request) or self._found("row", request)
        assert found, "no rule has the rest"
        return found

    def _found(self, variable: str, request: Request) -> str | None:
        for line in self.files["haproxy.cfg"].splitlines():
            rule = _RULE.fullmatch(line)
            if not rule or rule["variable"] != variable:
                continue
            if self._holds(rule["conditions"], request):
                for entry, found in self._map(rule["map"]):
                    if _matches(rule["by"], entry, request.path):
                        return found
                if rule["otherwise"]:
                    return rule["otherwise"]
        return None

    def _map(self, name: str) -> list[tuple[str, str]]:
        lines = self.files[name].splitlines()
        return [(line.split()[0], line.split()[1]) for line in lines if not line.startswith("#")]

    def _holds(self, conditions: str, request: Request) -> bool:
        known = re.sub(r" if !\{ var\(txn\.(row|own)\) -m found \}", "", conditions)
        known = known.replace(" unless { var(txn.row) -m found }", "")
        holds = True
        for found in _METHODS.finditer(conditions):
            known = known.replace(found[0], "")
            holds &= request.method in found[1].split()
        for found in _WITHOUT.finditer(conditions):
            known = known.replace(found[0], "")
            holds &= not self._raw(request, found[1])
        for found in _WITH.finditer(conditions):
            known = known.replace(found[0], "")
            value = self._raw(request, found[1])
            holds &= self._matches(found[2], None if value is None else unquote_plus(value))
        for found in _USER.finditer(conditions):
            known = known.replace(found[0], "")
            named = self._raw(request, "user_id")
            holds &= self._matches(found[1], unquote_plus(named) if named else self.whoami)
        assert not known.strip(), f"not understood: {known}"
        return holds

    def _matches(self, file: str, value: str | None) -> bool:
        pattern = self.files[file].rstrip("\n").replace("\\z", "\\Z")
        return value is not None and bool(re.search(pattern, value))

    @staticmethod
    def _raw(request: Request, name: str) -> str | None:
        parts = (part.partition("=") for part in request.query.split("&"))
        return next((value for key, _, value in parts if key == name), None)


def _matches(by: str, entry: str, path: str) -> bool:
    return entry == path if by == "str" else bool(re.search(entry, path))
