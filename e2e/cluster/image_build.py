"""Builds images with buildah and pushes them; knows no cluster.

Each becomes an OCI archive in the cache, so a cluster that is made anew imports it in seconds.
buildah's own storage lies in the cache too and may be deleted at any time.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from e2e.cluster import cache, debian, images, pip_settings
from e2e.cluster.images import IMAGES, Image
from e2e.cluster.progress import RigError, run_logged, say, step

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

SUITE = "bookworm"
BUILDS_AT_ONCE = 2


def build(image: Image) -> Path:
    """Return the image's OCI archive, built first if the cache has none."""
    if image.base:
        build(IMAGES[image.base])

    def make(directory: Path) -> None:
        title = f"building image {image.name}"
        log = cache.log_file(f"image-{image.name}")
        with step(title), TemporaryDirectory(dir=directory) as temporary:
            context = _context(image, Path(temporary), log)
            _build(image, context, title, log)
            if images.current_key(image) != images.key(image):
                raise RigError(f"{title}: its sources changed meanwhile; run it again")
            archive = directory / images.ARCHIVE
            target = f"oci-archive:{archive}:{images.reference(image)}"
            push = _buildah("push", "--quiet", "--disable-compression", images.reference(image))
            run_logged([*push, target], title=title, log=log)

    made = cache.artefact(f"image-{image.name}", images.key(image), make)
    return made / images.ARCHIVE


def build_all(
    wanted: Iterable[Image], then: Callable[[Image], None] = lambda _: None
) -> list[Image]:
    """Build images, two side by side, and call `then` on each that is built; return these.

    Says which cannot be built yet and leaves them out. One that fails does not stop the others,
    but raises RigError when they are done.
    """
    available = []
    for image in wanted:
        if image.available:
            available.append(image)
        else:
            path = image.containerfile.relative_to(images.REPOSITORY)
            say(f"  image {image.name} is left out: {path} does not exist")
    for base in {image.base for image in available if image.base}:
        build(IMAGES[base])

    def build_one(image: Image) -> None:
        build(image)
        then(image)

    with ThreadPoolExecutor(BUILDS_AT_ONCE) as pool:
        outcomes = [pool.submit(build_one, image) for image in available]
    for outcome in outcomes:
        outcome.result()
    return available


def push(image: Image, registry: str) -> str:
    """Push a built image and return its name there.

    `registry` is a host with an optional path, or a transport of buildah's such as ``oci:/folder``.
    """
    build(image)
    _ensure_in_storage(image)
    name = images.pushed_reference(image, registry)
    local = registry.startswith(("dir:", "oci:"))
    if local:
        Path(name.split(":", 1)[1]).parent.mkdir(parents=True, exist_ok=True)
    with step(f"pushing {name}"):
        command = _buildah("push", "--quiet", images.reference(image))
        run_logged(
            [*command, name if local else f"docker://{name}"],
            title=f"pushing {name}",
            log=cache.log_file(f"push-{image.name}"),
        )
    return name


def _build(image: Image, context: Path, title: str, log: Path) -> None:
    command = ["nice", *_buildah("bud", "--layers", "--isolation=chroot", "--network=host")]
    command += ["--file", str(image.containerfile), "--tag", images.reference(image)]
    if image.base:
        base = IMAGES[image.base]
        _ensure_in_storage(base)
        command += ["--pull=false", f"--build-arg=BASE_IMAGE={images.reference(base)}"]
    with pip_settings.mounts() as mounts:
        settings = mounts if image.needs_pip else []
        run_logged([*command, *settings, context], title=title, log=log, environment=_environment())


def _environment() -> dict[str, str]:
    # pip reads its settings from the mounted file; buildah would record what it is told directly.
    return {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}


def _context(image: Image, temporary: Path, log: Path) -> Path:
    """Return the folder to build from; inputs from outside the repository are put beside it."""
    additions = images.outside(image)
    if image.name != "base" and not additions:
        return image.context
    context = temporary / "context"
    shutil.copytree(image.context, context)
    for addition in additions:
        shutil.copy2(addition, context / addition.name)
    if image.name == "base":
        _bootstrap(image.context, context / "base.tar", log)
    return context


def _bootstrap(source: Path, archive: Path, log: Path) -> None:
    packages = ",".join((source / "packages.txt").read_text().split())
    hook = f'--customize-hook={source / "customize.sh"} "$1"'
    debian.bootstrap(SUITE, archive, "--variant=minbase", f"--include={packages}", hook, log=log)


def _ensure_in_storage(image: Image) -> None:
    """Load an image from its archive if buildah's storage was deleted since it was built."""
    name = images.reference(image)
    inspect = _buildah("inspect", "--type=image", name)
    if subprocess.run(inspect, capture_output=True, check=False).returncode:
        log = cache.log_file(f"load-{image.name}")
        load = _buildah("pull", "--quiet", f"oci-archive:{build(image)}")
        run_logged(load, title=f"loading image {image.name}", log=log)


def _buildah(*arguments: str) -> list[str]:
    storage = cache.root() / "buildah"
    return ["buildah", f"--root={storage / 'storage'}", f"--runroot={storage / 'run'}", *arguments]
