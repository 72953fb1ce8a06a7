"""An image's name follows from what its Containerfile copies, and from nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from e2e.cluster import images
from e2e.cluster.images import Image

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def image(tmp_path: Path) -> Image:
    for name in ("app/main.py", "requirements.txt", "notes.md"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    containerfile = tmp_path / "Containerfile"
    containerfile.write_text(
        "FROM scratch AS builder\n"
        "COPY --chown=1:1 requirements.txt \\\n     /build/\n"
        "FROM scratch\n"
        "COPY --from=builder /notes.md /\n"
        "COPY app /app\n"
    )
    return Image(name="example", containerfile=containerfile, context=tmp_path)


@pytest.mark.parametrize("name", ["app/main.py", "requirements.txt", "Containerfile"])
def test_the_name_changes_with(name: str, image: Image) -> None:
    before = images.current_key(image)
    with (image.context / name).open("a") as file:
        file.write("# changed\n")
    assert images.current_key(image) != before


def test_the_name_stays_when_something_changes_that_is_not_copied(image: Image) -> None:
    before = images.current_key(image)
    (image.context / "notes.md").write_text("changed")
    assert images.current_key(image) == before


def test_an_image_changes_with_its_base(image: Image, monkeypatch: pytest.MonkeyPatch) -> None:
    based = Image(
        name="based", containerfile=image.containerfile, context=image.context, base="example"
    )
    monkeypatch.setitem(images.IMAGES, "example", image)
    before = images.current_key(based)
    monkeypatch.setattr(images, "key", lambda _: "another")
    assert images.current_key(based) != before
