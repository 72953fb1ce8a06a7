"""The command line of the rig: ``python3 -m e2e.cluster COMMAND``."""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
import sys

from e2e.cluster import api, bringup, debian, gobuild, image_build, status
from e2e.cluster.images import IMAGES
from e2e.cluster.instance import Instance
from e2e.cluster.progress import RigError, say

TOOLS = {program: module for module in gobuild.MODULES for program in module.programs}


def main() -> int:
    """Run one command; an error that a person can act on is printed without a traceback."""
    arguments = _parser().parse_args()
    os.environ["PATH"] = debian.PATH
    try:
        run: int = arguments.run(arguments)
    except RigError as error:
        say(f"error: {error}")
        return 1
    except BrokenPipeError:
        # The reader, such as `head`, has seen enough; nothing is left to be flushed to it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        say("interrupted; `up` or `down` goes on from here")
        return 130
    return run


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python3 -m e2e.cluster", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    up = commands.add_parser("up", help="bring the cluster up, with all images")
    up.add_argument("--no-images", action="store_true", help="leave out the product's images")
    up.add_argument("--registry", action="store_true", help="with a registry to push images to")
    up.set_defaults(run=_up)

    down = commands.add_parser("down", help="take the cluster and its data away")
    down.set_defaults(run=_down)

    shown = commands.add_parser("status", help="say what runs; status 1 if not all of it does")
    shown.set_defaults(run=lambda _: status.show(Instance.from_environment()))

    env = commands.add_parser("env", help='print shell exports: eval "$(… env)"')
    env.set_defaults(run=_env)

    built = commands.add_parser("images", help="build images, and import or push them")
    built.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(IMAGES)}")
    built.add_argument("--push", metavar="REGISTRY", help="push them there instead")
    built.set_defaults(run=_images)

    tool = commands.add_parser("tool", help="print the path of a Go program, built if need be")
    tool.add_argument("program", choices=sorted(TOOLS))
    tool.set_defaults(run=_tool)

    ctr = commands.add_parser("ctr", help="run containerd's client on the node's containers")
    ctr.add_argument("arguments", nargs=argparse.REMAINDER)
    ctr.set_defaults(run=_ctr)
    return parser


def _up(arguments: argparse.Namespace) -> int:
    instance = Instance.from_environment()
    bringup.up(instance)
    if not arguments.no_images:
        bringup.images(instance, _pushable())
    if arguments.registry:
        registry = bringup.registry(instance)
        say(
            f"registry {registry.host}, trusted with SSL_CERT_FILE={registry.authority.certificate}"
        )
    say('use it with: eval "$(python3 -m e2e.cluster env)"')
    return 0


def _down(_: argparse.Namespace) -> int:
    bringup.down(Instance.from_environment())
    return 0


def _env(_: argparse.Namespace) -> int:
    for name, value in api.cluster().environment().items():
        if name == "PATH":
            print(f'export PATH={shlex.quote(value)}:"$PATH"')
        else:
            print(f"export {name}={shlex.quote(value)}")
    return 0


def _images(arguments: argparse.Namespace) -> int:
    names = arguments.names or _pushable()
    unknown = sorted(set(names) - set(IMAGES))
    if unknown:
        raise RigError(f"no such image: {', '.join(unknown)}; there are {', '.join(IMAGES)}")
    debian.require_root()
    debian.install_missing(debian.NODE)
    if arguments.push:
        for name in names:
            if IMAGES[name].available:
                print(image_build.push(IMAGES[name], arguments.push))
        say(f"tests and demonstrations take them with {api.REGISTRY_VARIABLE}={arguments.push}")
        return 0
    for name, reference in bringup.images(Instance.from_environment(), names).items():
        print(f"{name} {reference}")
    return 0


def _tool(arguments: argparse.Namespace) -> int:
    print(gobuild.binaries(TOOLS[arguments.program]) / arguments.program)
    return 0


def _ctr(arguments: argparse.Namespace) -> int:
    node = bringup.Cluster.of(Instance.from_environment()).node
    return subprocess.run(node.ctr(*arguments.arguments), check=False).returncode


def _pushable() -> list[str]:
    return [name for name, image in IMAGES.items() if image.pushed]


if __name__ == "__main__":
    sys.exit(main())
