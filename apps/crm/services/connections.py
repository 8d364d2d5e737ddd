"""
Makes, changes, pauses and removes connections, and finds out whether one works. Secrets are sealed; no call
to a provider is made but by `test` and by giving the grant back.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from apps.crm.models import Connection
from rtx.kernel.actor import Actor


@dataclass(frozen=True, slots=True)
class Finding:
    """One step of a test. `advice` says what a person does about it; empty where it is well."""

    step: Literal["settings", "address", "access", "account", "object", "fields", "limits", "webhook"]
    outcome: Literal["ok", "warning", "failed", "skipped"]
    code: str
    detail: str
    advice: str = ""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What a real call found out, step by step."""

    findings: tuple[Finding, ...]

    @property
    def is_ok(self) -> bool:
        """Whether nothing failed (warnings may be there)."""
        return all(finding.outcome != "failed" for finding in self.findings)


def create(*, values: Mapping[str, Any], actor: Actor) -> Connection:
    """
    Make a connection that is not connected yet. `values`: the model's editable fields, and `client_secret`
    and `webhook_secret` in clear.

    :raises Invalid: a value does not fit.
    :raises Conflict: `connection_exists`: this provider has one already.
    """
    raise NotImplementedError


def change(*, connection_id: int, values: Mapping[str, Any], actor: Actor) -> Connection:
    """Change a connection's editable fields; secrets only where given and not empty. `provider` stays."""
    raise NotImplementedError


def pause(*, connection_id: int, actor: Actor) -> Connection:
    """Stop all calls; what changes meanwhile waits. Raises `Conflict` (`connection_state`) unless ACTIVE."""
    raise NotImplementedError


def resume(*, connection_id: int, actor: Actor) -> Connection:
    """Go on after a pause. Raises `Conflict` (`connection_state`) unless PAUSED."""
    raise NotImplementedError


def disconnect(*, connection_id: int, actor: Actor) -> Connection:
    """Give the grant back to the provider (best effort) and forget the tokens; mappings and links stay."""
    raise NotImplementedError


def remove(*, connection_id: int, actor: Actor) -> Connection:
    """Disconnect, and delete secrets, mappings and links; the logs stay (REMOVED)."""
    raise NotImplementedError


def test(*, connection_id: int, actor: Actor) -> Diagnosis:
    """Make real calls and say clearly what works, what does not, and what to do about it."""
    raise NotImplementedError
