"""What kopf is set to: to watch, to write nothing, and never to give up by itself."""

import kopf

from homeserver_operator.api import names
from homeserver_operator.pauses import PATIENT, Pauses
from homeserver_operator.resources import PAGE


def settings(pauses: Pauses = PATIENT) -> kopf.OperatorSettings:
    """Settings for kopf; every line has its reason."""
    configured = kopf.OperatorSettings()
    # Leadership is our own Lease: peering freezes everybody at equal priorities (kopf#1266).
    configured.peering.standalone = True
    # Events come from transitions of our conditions.
    configured.posting.enabled = False
    # Without this, namespaced Roles do not suffice: it lists namespaces and CRDs (kopf#1184).
    configured.scanning.disabled = True
    configured.watching.chunk_size = PAGE
    # Sent to the API server as text, so it must be whole.
    configured.watching.server_timeout = 300
    configured.watching.client_timeout = 310
    configured.watching.connect_timeout = 10
    configured.networking.request_timeout = 30
    # A watch whose attempts come to an end ends kopf, and with it the watches of all namespaces.
    configured.networking.error_backoffs = pauses
    # An idle worker per object would be kept for 5 s; a worker_limit on top makes starts crawl.
    configured.queueing.idle_timeout = 0.2
    # Ending is for us to decide, never by SIGKILL.
    configured.process.ultimate_exiting_timeout = None
    # Never used with on.event; named in case it ever is.
    configured.persistence.finalizer = f"{names.GROUP}/finalizer"
    return configured
