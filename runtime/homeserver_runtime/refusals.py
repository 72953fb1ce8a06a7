"""What Synapse refuses only when it is connected and makes its parts: asked while it can be told.

By then the processes before this one have ended for it. Where Synapse's own function needs no
database it is called; else its condition stands here, next to where Synapse has it.
"""

from __future__ import annotations

import logging
from typing import Any

from synapse.config._base import ConfigError
from synapse.config.appservice import load_appservices


def refuse_early(config: Any) -> None:
    """Looks at a parsed configuration.

    Raises:
        ConfigError: with Synapse's words, or what its readers of registrations raise.

    """
    for file in config.appservice.app_service_config_files:
        _read_registration(config.server.server_name, file)
    if not config.mas.enabled:
        _require_what_can_be_had(config)
    if config.worker.worker_app is None:
        _require_notices_for_consent(config)


def _read_registration(server_name: str, file: str) -> None:
    """One alone: what it says of two that are alike quotes a token. The operator compares them."""
    logger = logging.getLogger(load_appservices.__module__)
    # Whoever refuses says why, and it would say so twice.
    logger.disabled = True
    try:
        load_appservices(server_name, [file])
    finally:
        logger.disabled = False


def _require_what_can_be_had(config: Any) -> None:
    """As `_calculate_registration_flows` does (rest/client/register.py)."""
    required = config.registration.registrations_require_3pid
    if "email" in required and not config.email.can_verify_email:
        raise ConfigError(
            "registrations_require_3pid names email, but email validation is not configured",
            ("registrations_require_3pid",),
        )
    by_telephone = "msisdn" in required and not config.registration.disable_msisdn_registration
    if by_telephone and not config.registration.account_threepid_delegate_msisdn:
        raise ConfigError(
            "registrations_require_3pid names msisdn, but account_threepid_delegates does not",
            ("registrations_require_3pid",),
        )


def _require_notices_for_consent(config: Any) -> None:
    """As `ConsentServerNotices` does (server_notices/consent_server_notices.py)."""
    content = config.consent.user_consent_server_notice_content
    if content is None:
        return
    path = ("user_consent", "server_notice_content")
    if config.servernotices.server_notices_mxid is None:
        raise ConfigError("it requires server_notices, which are not configured", path)
    if "body" not in content:
        raise ConfigError("it must contain a 'body' key", path)
