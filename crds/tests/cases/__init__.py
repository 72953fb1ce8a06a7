"""Pairs of specs, one accepted and one refused, for each rule of the schema."""

from crds.tests.cases.backends import BACKENDS, REST
from crds.tests.cases.case import Case, Spec, spec
from crds.tests.cases.names import NAMES
from crds.tests.cases.restarts import RESTARTS
from crds.tests.cases.router import ROUTER
from crds.tests.cases.services import SERVICES
from crds.tests.cases.workers import WORKERS

CASES = (*NAMES, *WORKERS, *BACKENDS, *REST, *RESTARTS, *ROUTER, *SERVICES)

__all__ = ["CASES", "Case", "Spec", "spec"]
