"""Kubernetes quantities as numbers."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

_SUFFIXES: Final[Mapping[str, int | Decimal]] = {
    "": 1, "m": Decimal("1e-3"), "u": Decimal("1e-6"), "n": Decimal("1e-9"),
    "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "P": 10**15, "E": 10**18,
    "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40, "Pi": 2**50, "Ei": 2**60,
}  # fmt: skip


def quantity(value: Any) -> Decimal | None:
    """A Kubernetes quantity ("1024Mi", "100m", 2) as a number, None if it is none."""
    text = str(value)
    digits = text.rstrip("numkKMGTPEi")
    factor = _SUFFIXES.get(text[len(digits) :])
    try:
        return None if factor is None else Decimal(digits) * factor
    except ArithmeticError:
        return None
