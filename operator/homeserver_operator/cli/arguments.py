"""The words that the plugin understands. A command is a module of its name with `run(options)`."""

import argparse
from typing import Final

_VERIFY: Final = """\
Sends sample requests for every row of the route table through the homeserver's own way in, and
tells which were answered by a process that does not know them. It finds:

  - paths that reach a process without their endpoint (M_UNRECOGNIZED), or no process at all
  - requests that end in an error of a proxy or of Synapse (5xx)
  - if you may read the pods' logs: requests that another group answered than the table names

Nothing is changed by it. The requests carry no credentials, so Synapse refuses them before it does
anything; those that need none carry ids that are not valid and a body that is not JSON, which is
refused too. With a token only GET requests carry it, and none that would mark a user as online.
Without the right to read logs, requests of a stream that reach a process which does not write it
look right as long as Synapse asks for credentials first.

Exit status: 0 all is well, 1 something is misrouted, 2 could not run.
"""


def parser() -> argparse.ArgumentParser:
    """Every command with its options."""
    root = argparse.ArgumentParser(
        prog="kubectl homeserver",
        description="Questions about Matrix homeservers that homeserver-operator runs.",
    )
    commands = root.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _approve(commands.add_parser("approve", help="let the restarts happen that wait for your word"))
    _plan(commands.add_parser("plan", help="what a change would restart, before it is made"))
    _routes(commands.add_parser("routes", help="which request goes to which process"))
    _status(commands.add_parser("status", help="how a homeserver fares, on one page"))
    _verify(
        commands.add_parser(
            "verify",
            help="whether a running homeserver's requests reach the right processes",
            description=_VERIFY,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
    )
    return root


def _approve(command: argparse.ArgumentParser) -> None:
    command.description = (
        "Prints what the plan restarts that a HomeServer with spec.restartPolicy.approval: Manual "
        "holds back, or that an upgrade of the operator waits with, and why, and approves it. An "
        "edit that changes the plan needs a new approval. Nothing but an annotation of the "
        "HomeServer is written."
    )
    command.add_argument("name", metavar="NAME", help="a HomeServer of the cluster")
    command.add_argument(
        "--plan", metavar="ID", help="approve this plan alone (that which is held)"
    )
    _common(command)


def _plan(command: argparse.ArgumentParser) -> None:
    command.description = (
        "Prints which processes a HomeServer in a file would restart if it were applied, in which "
        "order and why; or, of one in the cluster, which restart when what waits is approved, such "
        "as an upgrade of the operator. It reads the cluster and writes nothing. Exit status 1 if "
        "the operator would refuse the HomeServer."
    )
    which = command.add_mutually_exclusive_group(required=True)
    which.add_argument("name", nargs="?", metavar="NAME", help="a HomeServer of the cluster")
    which.add_argument("-f", "--filename", metavar="FILE", help="a HomeServer (- is stdin)")
    _common(command)


def _routes(command: argparse.ArgumentParser) -> None:
    command.description = (
        "Prints who answers which requests: by class, and with --wide by each row of the table."
    )
    which = command.add_mutually_exclusive_group(required=True)
    which.add_argument("name", nargs="?", metavar="NAME", help="a HomeServer of the cluster")
    which.add_argument(
        "-f", "--filename", metavar="FILE", help="a HomeServer in a file instead (- is stdin)"
    )
    command.add_argument(
        "--try",
        dest="request",
        metavar="REQUEST",
        help="where one request goes and why, such as 'GET /_matrix/client/v3/sync?since=s1'",
    )
    command.add_argument("--wide", action="store_true", help="with the patterns of each class")
    _common(command)


def _status(command: argparse.ArgumentParser) -> None:
    command.description = (
        "Prints conditions, planned restarts, groups and pods. Exit status 1 if the homeserver is "
        "not ready."
    )
    command.add_argument("name", metavar="NAME", help="a HomeServer of the cluster")
    _common(command)


def _verify(command: argparse.ArgumentParser) -> None:
    command.add_argument("name", metavar="NAME", help="a HomeServer of the cluster")
    command.add_argument("--url", help="where clients come in (https:// and spec.ingress.host)")
    command.add_argument("--host", help="the Host header, if the URL names an address")
    command.add_argument(
        "--token-file",
        metavar="FILE",
        help="an access token for GET requests (also: the variable HOMESERVER_ACCESS_TOKEN)",
    )
    command.add_argument("--ca-file", metavar="FILE", help="certificates to trust, as PEM")
    command.add_argument(
        "--insecure", action="store_true", help="do not check the homeserver's certificate"
    )
    command.add_argument("--no-logs", action="store_true", help="do not read the pods' logs")
    _common(command)


def _common(command: argparse.ArgumentParser) -> None:
    command.add_argument("-n", "--namespace", help="(that of the kubeconfig's context)")
    command.add_argument("--context", help="the kubeconfig's context (its current one)")
    command.add_argument("--kubeconfig", metavar="FILE", help="($KUBECONFIG, or ~/.kube/config)")
    command.add_argument(
        "-o", "--output", choices=("table", "json", "yaml"), default="table", help="(table)"
    )
