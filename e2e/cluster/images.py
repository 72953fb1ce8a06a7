"""The container images of the rig and of the product: what each is made of, and its name.

An image is named by the hash of its inputs, so that its name alone says whether it is current.
Must know nothing of the cluster that will run it.
"""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from functools import cache as once
from pathlib import Path

from e2e.cluster import cache, gobuild

REPOSITORY = Path(__file__).parents[2]
SOURCES = REPOSITORY / "e2e/images"
PREFIX = "localhost/homeserver-operator"
ARCHIVE = "image.oci.tar"


@dataclass(frozen=True, kw_only=True)
class Image:
    """One image: a Containerfile, the folder that it copies from, and the image below it.

    Those `of_the_node` run the cluster itself; `pushed` are those that a test may put in a pod.
    """

    name: str
    containerfile: Path
    context: Path
    base: str | None = None
    needs_pip: bool = False
    of_the_node: bool = False
    pushed: bool = True

    @property
    def available(self) -> bool:
        """False as long as the part of the product that it is built from does not exist."""
        return self.containerfile.is_file()


def _stand_in(name: str, *, base: str | None = "base", of_the_node: bool = False) -> Image:
    folder = SOURCES / name
    return Image(
        name=name,
        containerfile=folder / "Containerfile",
        context=folder,
        base=base,
        of_the_node=of_the_node,
        pushed=not of_the_node,
    )


IMAGES = {
    image.name: image
    for image in (
        _stand_in("base", base=None, of_the_node=True),
        _stand_in("pause", base=None, of_the_node=True),
        _stand_in("coredns", base=None, of_the_node=True),
        _stand_in("postgres"),
        _stand_in("redis"),
        Image(
            name="runtime",
            containerfile=REPOSITORY / "runtime/Containerfile",
            context=REPOSITORY / "runtime",
            base="base",
            needs_pip=True,
        ),
        Image(
            name="router",
            containerfile=REPOSITORY / "router/Containerfile",
            context=REPOSITORY / "router",
            base="base",
            needs_pip=True,
        ),
        Image(
            name="operator",
            containerfile=REPOSITORY / "operator/Containerfile",
            context=REPOSITORY,
            base="base",
            needs_pip=True,
        ),
    )
}


@once
def key(image: Image) -> str:
    """Return the hash of everything that goes into the image; the same all through a run."""
    return current_key(image)


def current_key(image: Image) -> str:
    """Return the hash of everything that goes into the image by now, its base image included."""
    inputs: list[str | bytes | Path] = [image.containerfile, *copied(image), *outside(image)]
    if image.base:
        inputs.append(key(IMAGES[image.base]))
    return cache.input_hash(inputs)


def reference(image: Image) -> str:
    """Return the image's name in the local cluster."""
    return f"{PREFIX}/{image.name}:{key(image)}"


def pushed_reference(image: Image, registry: str) -> str:
    """Return the image's name in a registry that it was pushed to."""
    return f"{registry.rstrip('/')}/homeserver-operator/{image.name}:{key(image)}"


def copied(image: Image) -> list[Path]:
    """Return the files and folders of the context that the Containerfile copies."""
    if image.context.parent == SOURCES:
        return [image.context]
    text = image.containerfile.read_text().replace("\\\n", " ")
    found: list[Path] = []
    for line in re.findall(r"^(?:COPY|ADD)\s+(.*)$", text, re.MULTILINE):
        words = line.split()
        if any(word.startswith("--from") for word in words):
            continue
        sources = [word for word in words if not word.startswith("--")][:-1]
        for source in sources:
            found.extend(sorted(image.context.glob(source.removeprefix("/"))))
    return found


def outside(image: Image) -> list[Path]:
    """Return the inputs that come from outside the repository."""
    if image.name == "pause":
        return [Path(shutil.which("catatonit") or "/usr/bin/catatonit")]
    if image.name == "coredns":
        return [gobuild.binaries(gobuild.TOOLS) / "coredns"]
    return []


def archive(image: Image) -> Path | None:
    """Return the image's OCI archive if it was built."""
    name = f"image-{image.name}"
    if not cache.present(name, key(image)):
        return None
    return cache.artefact(name, key(image), _never) / ARCHIVE


def _never(_: Path) -> None:
    message = "the artefact vanished while it was looked up"
    raise FileNotFoundError(message)
