"""The launcher's half of the contract with whoever writes the pods: paths and launcher.yaml.

Reads and checks; starts nothing and must not import Synapse, so that the probes answer early.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import yaml

if TYPE_CHECKING:
    from collections.abc import Mapping

FORMAT_VERSION = 1
"""The only `version` of launcher.yaml that this launcher reads."""

Role = Literal["main", "worker"]


class ConfigurationRefusedError(Exception):
    """A configuration that cannot work however often the process restarts.

    The message is for the person who wrote it: it names the file or field, and the remedy.
    """


@dataclasses.dataclass(frozen=True, kw_only=True)
class Paths:
    """Where a process finds its files and may write."""

    config: Path = Path("/config")
    """Holds homeserver.yaml, log.yaml and launcher.yaml. Never written."""
    run: Path = Path("/run/homeserver")
    """In memory: receives the finished homeserver.yaml and libpq's pgpass."""
    termination_log: Path = Path("/dev/termination-log")

    @property
    def homeserver_yaml(self) -> Path:
        """Synapse's settings, without what config_from brings."""
        return self.config / "homeserver.yaml"

    @property
    def log_yaml(self) -> Path:
        """Python's dictConfig for this process."""
        return self.config / "log.yaml"

    @property
    def launcher_yaml(self) -> Path:
        """What the launcher itself has to know."""
        return self.config / "launcher.yaml"

    @property
    def finished_homeserver_yaml(self) -> Path:
        """What Synapse is started with. Holds what config_from brings: for this user alone."""
        return self.run / "homeserver.yaml"

    @property
    def pgpass(self) -> Path:
        """The passfile of libpq."""
        return self.run / "pgpass"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Launch:
    """launcher.yaml, checked."""

    name: str
    """Synapse's worker_name; `main` for the main process."""
    role: Role
    probe_port: int
    username_file: Path | None = None
    password_file: Path | None = None
    config_from: tuple[Path, ...] = ()
    fences: Mapping[str, int] = dataclasses.field(default_factory=dict)
    """Fences that this process must hold to run, with their epochs; none: it just runs."""
    fence_contents: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """A hash of what the holders of each of these epochs agree on; may be left out."""
    late_seconds: float = 0
    """For how long at most a process that is to stop still accepts clients' connections: whoever
    dials pods by their own addresses learns late that one goes."""
    well_known_server: str | None = None
    """What /.well-known/matrix/server answers, where Synapse's own answer is another."""
    pod_name: str | None = None
    """The pod that runs this process, as its database connections are labelled."""
    pod_address: str | None = None
    """Where others reach that pod, for who stops and sends its clients here."""

    @classmethod
    def read(cls, path: Path, *, pod_name: str | None, pod_address: str | None = None) -> Launch:
        """Reads launcher.yaml at `path`; a process without a name of its own is called `pod_name`.

        Raises:
            ConfigurationRefusedError: for anything that this version cannot act on.

        """
        return _Reader(path, read_mapping(path)).launch(pod_name, pod_address)


def read_mapping(path: Path, *, secret: bool = False) -> dict[str, Any]:
    """The YAML mapping in `path`; of a `secret` file no content is quoted in messages.

    Raises:
        ConfigurationRefusedError: if the file is missing, is no YAML or holds no mapping.

    """
    text = read_text(path)
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" at line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        # The parser's own words can quote the file: an alias, a tag, a line of context.
        what = "" if secret else f": {getattr(error, 'problem', error)}"
        # Nor may a traceback in the log bring them back.
        raise ConfigurationRefusedError(f"{path} is not valid YAML{where}{what}") from None
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise ConfigurationRefusedError(
            f"{path} must hold a YAML mapping, but holds a {type(content).__name__}"
        )
    return content


def read_text(path: Path) -> str:
    """The text of a mounted file.

    Raises:
        ConfigurationRefusedError: if it cannot be read or is not UTF-8.

    """
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigurationRefusedError(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError:
        raise ConfigurationRefusedError(f"{path} is not UTF-8 text") from None


_KEYS = {
    *("version", "name", "role", "probe_port", "database", "config_from", "well_known_server"),
    *("fences", "fence_contents", "late_seconds"),
}


class _Reader:
    """Takes launcher.yaml apart, naming the field in every refusal."""

    def __init__(self, path: Path, content: Mapping[str, Any]) -> None:
        self._path = path
        self._content = content

    def launch(self, pod_name: str | None, pod_address: str | None) -> Launch:
        version = self._content.get("version")
        if version != FORMAT_VERSION:
            raise self._refusal(
                "version",
                f"is {version!r}, but this image reads version {FORMAT_VERSION} only; "
                "use a runtime image and an operator that belong together",
            )
        self._refuse_unknown("", self._content, _KEYS)
        database = self._content.get("database")
        database = {} if database is None else database
        if not isinstance(database, dict):
            raise self._refusal("database", f"must be a mapping, not {database!r}")
        self._refuse_unknown("database.", database, {"username_file", "password_file"})
        role = self._content.get("role")
        if role not in ("main", "worker"):
            raise self._refusal("role", f"must be main or worker, not {role!r}")
        name = self._name(pod_name)
        if role == "worker" and name in ("main", "master"):
            raise self._refusal(
                "name", f"is {name!r}, which only the main process is called; rename the worker"
            )
        return Launch(
            name=name,
            role=role,
            probe_port=self._port(),
            username_file=self._file("database.username_file", database.get("username_file")),
            password_file=self._file("database.password_file", database.get("password_file")),
            config_from=self._config_from(),
            fences=self._fences(),
            fence_contents=self._fence_contents(),
            late_seconds=self._late_seconds(),
            well_known_server=self._well_known_server(),
            pod_name=pod_name,
            pod_address=pod_address,
        )

    def _name(self, pod_name: str | None) -> str:
        name = self._content.get("name")
        if name is None:
            if not pod_name:
                raise self._refusal(
                    "name", "is null and the environment variable POD_NAME is not set; set one"
                )
            return pod_name
        if not isinstance(name, str) or not name:
            raise self._refusal("name", f"must be a name or null, not {name!r}")
        return name

    def _port(self) -> int:
        port = self._content.get("probe_port")
        if not isinstance(port, int) or isinstance(port, bool) or not 0 < port < 65536:
            raise self._refusal("probe_port", f"must be a port number, not {port!r}")
        return port

    def _file(self, field: str, value: object) -> Path | None:
        if value is None:
            return None
        if not isinstance(value, str) or not value.startswith("/"):
            raise self._refusal(field, f"must be an absolute path or null, not {value!r}")
        return Path(value)

    def _config_from(self) -> tuple[Path, ...]:
        value = self._content.get("config_from")
        if value is None:
            return ()
        if not isinstance(value, list):
            raise self._refusal("config_from", f"must be a list of absolute paths, not {value!r}")
        files = (self._file(f"config_from[{index}]", item) for index, item in enumerate(value))
        return tuple(file for file in files if file is not None)

    def _well_known_server(self) -> str | None:
        value = self._content.get("well_known_server")
        if value is not None and (not isinstance(value, str) or not value):
            raise self._refusal("well_known_server", f"must be host:port or null, not {value!r}")
        return value

    def _fences(self) -> dict[str, int]:
        value = self._content.get("fences")
        fences = {} if value is None else value
        if not isinstance(fences, dict):
            raise self._refusal("fences", f"must map names to epochs, not {value!r}")
        for name, epoch in fences.items():
            if not isinstance(epoch, int) or isinstance(epoch, bool) or not 0 < epoch < 2**31:
                raise self._refusal(f"fences.{name}", f"must be a positive epoch, not {epoch!r}")
        return {str(name): epoch for name, epoch in fences.items()}

    def _fence_contents(self) -> dict[str, str]:
        value = self._content.get("fence_contents")
        contents = {} if value is None else value
        if not isinstance(contents, dict):
            raise self._refusal("fence_contents", f"must map fences to hashes, not {value!r}")
        for name, content in contents.items():
            if not isinstance(content, str):
                raise self._refusal(f"fence_contents.{name}", f"must be text, not {content!r}")
            if name not in self._fences():
                raise self._refusal(f"fence_contents.{name}", "names none of `fences`")
        return dict(contents)

    def _late_seconds(self) -> float:
        value = self._content.get("late_seconds", 0)
        if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= 10:
            raise self._refusal("late_seconds", f"must be 0 to 10 seconds, not {value!r}")
        return value

    def _refuse_unknown(self, prefix: str, content: Mapping[str, Any], known: set[str]) -> None:
        # A key that is passed over in silence is a setting that somebody believes to be in force.
        for key in content:
            if key not in known:
                raise self._refusal(f"{prefix}{key}", "is not a key of this file")

    def _refusal(self, field: str, problem: str) -> ConfigurationRefusedError:
        return ConfigurationRefusedError(f"{self._path}: {field} {problem}")
