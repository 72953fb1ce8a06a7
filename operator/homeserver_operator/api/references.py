"""How the spec points at other objects of the HomeServer's namespace."""

from dataclasses import dataclass


@dataclass(frozen=True)
class SecretRef:
    """One key of a Secret in the HomeServer's namespace."""

    secret_name: str
    key: str


@dataclass(frozen=True)
class ForeignService:
    """A Service in the HomeServer's namespace that somebody else runs."""

    name: str
    port: int
