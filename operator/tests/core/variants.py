"""Configurations of Synapse that register more or fewer endpoints than the usual one."""

from typing import Any, Final

VARIANTS: Final[dict[str, dict[str, Any]]] = {
    "usual": {},
    "sso": {
        "cas_config": {"enabled": True, "server_url": "https://cas.invalid"},
        "oidc_providers": [
            {
                "idp_id": "idp",
                "idp_name": "idp",
                "discover": False,
                "issuer": "https://idp.invalid",
                "client_id": "id",
                "client_secret": "word",
                "authorization_endpoint": "https://idp.invalid/a",
                "token_endpoint": "https://idp.invalid/t",
                "jwks_uri": "https://idp.invalid/j",
                "scopes": ["openid"],
                "backchannel_logout_enabled": True,
            }
        ],
        "login_via_existing_session": {"enabled": True, "require_ui_auth": False},
        "email": {"smtp_host": "mail.invalid", "notif_from": "x@mail.invalid"},
    },
    "mas": {
        "matrix_authentication_service": {
            "enabled": True, "endpoint": "https://mas.invalid/", "secret": "word",
        },
        "experimental_features": {"msc4108_enabled": True},
    },
    "experimental": {
        "max_event_delay_duration": "1d",
        "matrix_rtc": {"transports": []},
        "experimental_features": dict.fromkeys(
            ("msc2666_enabled", "msc3391_enabled", "msc3720_enabled", "msc3881_enabled",
             "msc3983_appservice_otk_claims", "msc4133_enabled", "msc4143_enabled",
             "msc4306_enabled", "msc4370_enabled"),
            True,
        ),
    },
}  # fmt: skip
"""Configurations that register more or less than the usual one.

The experimental one comes last, because Synapse adds some of its patterns to a class for good.
"""
