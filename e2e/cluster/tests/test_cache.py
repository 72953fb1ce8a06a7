"""The cache never hands out a stale or half artefact."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from e2e.cluster import cache

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return cache.root()


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    folder = tmp_path / "sources"
    (folder / "inner").mkdir(parents=True)
    (folder / "inner/one.txt").write_text("one")
    (folder / "two.sh").write_text("two")
    return folder


def _write(directory: Path) -> None:
    (directory / "result").write_text("made")


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda s: (s / "two.sh").write_text("zwei"), id="a file's content changes"),
        pytest.param(lambda s: (s / "two.sh").chmod(0o755), id="a file becomes executable"),
        pytest.param(lambda s: (s / "two.sh").rename(s / "three.sh"), id="a file is renamed"),
        pytest.param(lambda s: (s / "inner/new").write_text(""), id="an empty file is added"),
        pytest.param(lambda s: (s / "inner/one.txt").unlink(), id="a file is removed"),
    ],
)
def test_the_key_changes_when(change: object, sources: Path) -> None:
    before = cache.input_hash([sources])
    assert callable(change)
    change(sources)
    assert cache.input_hash([sources]) != before


def test_the_key_stays_when_python_compiles_a_source(sources: Path) -> None:
    before = cache.input_hash([sources])
    (sources / "__pycache__").mkdir()
    (sources / "__pycache__/one.cpython-311.pyc").write_bytes(b"compiled")
    assert cache.input_hash([sources]) == before


def test_the_boundary_between_two_inputs_counts() -> None:
    assert cache.input_hash(["ab", "c"]) != cache.input_hash(["a", "bc"])


def test_an_artefact_is_made_once() -> None:
    first = cache.artefact("thing", "k" * 16, _write)
    again = cache.artefact("thing", "k" * 16, lambda _: pytest.fail("was made a second time"))
    assert again == first
    assert (again / "result").read_text() == "made"


def test_a_failed_build_leaves_nothing_and_can_be_repeated(own_cache: Path) -> None:
    def fail(directory: Path) -> None:
        _write(directory)
        message = "the compiler gave up"
        raise RuntimeError(message)

    with pytest.raises(RuntimeError, match="gave up"):
        cache.artefact("thing", "k" * 16, fail)
    assert list((own_cache / "artefacts").iterdir()) == []
    assert cache.artefact("thing", "k" * 16, _write).is_dir()


def test_a_build_that_was_killed_is_not_taken_for_an_artefact(own_cache: Path) -> None:
    unfinished = own_cache / "artefacts/thing.unfinished"
    unfinished.mkdir(parents=True)
    (unfinished / "half").write_text("half")
    assert not cache.present("thing", "k" * 16)
    made = cache.artefact("thing", "k" * 16, _write)
    assert [file.name for file in made.iterdir()] == ["result"]


def test_two_runs_do_not_make_the_same_artefact() -> None:
    making, made = threading.Event(), []

    def slow(directory: Path) -> None:
        made.append(directory)
        making.set()
        other.start()
        # The other run must wait for the lock, whether it has come to it by now or not.
        other.join(0.2)
        assert other.is_alive()
        _write(directory)

    other = threading.Thread(target=cache.artefact, args=("thing", "k" * 16, slow))
    cache.artefact("thing", "k" * 16, slow)
    other.join(10)
    assert not other.is_alive()
    assert len(made) == 1


def test_only_the_latest_versions_are_kept(own_cache: Path) -> None:
    for number in range(cache.KEPT_PER_NAME + 2):
        cache.artefact("thing", f"{number:016}", _write)
    cache.artefact("thing-else", "k" * 16, _write)
    kept = sorted(path.name for path in (own_cache / "artefacts").glob("thing-0*"))
    assert len(kept) == cache.KEPT_PER_NAME
    assert kept[-1] == f"thing-{cache.KEPT_PER_NAME + 1:016}"
