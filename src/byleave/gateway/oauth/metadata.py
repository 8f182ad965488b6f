"""What the gateway says of itself: RFC 8414 (authorisation server) and RFC 9728 (protected resource)."""

from __future__ import annotations

from typing import Any

from byleave.gateway.oauth import client
from byleave.model import Mode

READ, SEND, REPORT, SIGNALS = "inbox.read", "send", "report", "signals"
SCOPES = (READ, SIGNALS, SEND, REPORT)
OF_A_GRANT = (READ, SIGNALS, SEND)
"""What an owner is asked for; `report` is the partner's own, by client_credentials."""
DETAILS_TYPE = "inbox_access"


def server(base_url: str, mode: Mode) -> dict[str, Any]:
    """RFC 8414 §2, with the members of RFC 9126, 9207, 9396 and 9449 that FAPI 2.0 asks for."""
    signing = list(client.ALGORITHMS)
    found: dict[str, Any] = {
        "issuer": base_url,
        "authorization_endpoint": f"{base_url}/oauth/authorize",
        "pushed_authorization_request_endpoint": f"{base_url}/oauth/par",
        "require_pushed_authorization_requests": True,
        "token_endpoint": f"{base_url}/oauth/token",
        "introspection_endpoint": f"{base_url}/oauth/introspect",
        "revocation_endpoint": f"{base_url}/oauth/revoke",
        "grant_management_endpoint": f"{base_url}/oauth/grants",
        "grant_management_actions_supported": ["query", "revoke"],
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": ["authorization_code", "refresh_token", "client_credentials"],
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": True,
        "authorization_details_types_supported": [DETAILS_TYPE],
        "scopes_supported": list(SCOPES),
        "dpop_signing_alg_values_supported": signing,
        "protected_resources": [f"{base_url}/jmap"],
        "byleave_mode": mode.value,
    }
    for endpoint in ("token", "introspection", "revocation"):
        found[f"{endpoint}_endpoint_auth_methods_supported"] = ["private_key_jwt"]
        found[f"{endpoint}_endpoint_auth_signing_alg_values_supported"] = signing
    return found


def resource(base_url: str, mode: Mode) -> dict[str, Any]:
    """RFC 9728 §2 for `/jmap`."""
    return {
        "resource": f"{base_url}/jmap",
        "authorization_servers": [base_url],
        "scopes_supported": list(SCOPES),
        "bearer_methods_supported": ["header"],
        "dpop_signing_alg_values_supported": list(client.ALGORITHMS),
        "authorization_details_types_supported": [DETAILS_TYPE],
        "resource_name": "Byleave inbox",
        "byleave_mode": mode.value,
    }
