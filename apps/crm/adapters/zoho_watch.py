"""
The channel of notifications: opened, and renewed well before it ends (a week at most). What is remembered of
it is no secret: of the token only a digest, to see that it was changed.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from apps.crm.adapters import zoho_errors as errors
from apps.crm.adapters.provider import CallRefused, Session, Unavailable
from apps.crm.domain import signatures
from rtx.kernel import clock

LIFETIME = timedelta(days=6, hours=12)
RENEWED = timedelta(days=3)  # so long before the end


class Watch:
    """The channel of one connection."""

    def __init__(self, session: Session, *, path: str, modules: Sequence[str], token: str) -> None:
        self._session, self._path, self._modules, self._token = session, path, modules, token

    def renewed(self, *, notify_url: str, watched: Mapping[str, Any], now: datetime) -> dict[str, Any]:
        """Return what to remember; what there is stays where it will do for days."""
        if not self._token:
            return {}
        wanted = {
            "notify_url": notify_url,
            "events": [f"{module}.all" for module in self._modules],
            "proof": signatures.digest(b"zoho channel", self._token.encode()),
        }
        ends = _instant(watched.get("expires_at"))
        is_same = all(watched.get(name) == value for name, value in wanted.items())
        if is_same and ends is not None and ends > now + RENEWED:
            return dict(watched)
        fresh = str(int(now.timestamp() * 1000))
        known = str(watched.get("channel_id") or "") if ends is not None and ends > now else ""
        try:
            return {**wanted, **self._opened(known or fresh, wanted, now)}
        except CallRefused as error:
            if not known or error.code == "missing_scopes":
                raise
            return {**wanted, **self._opened(fresh, wanted, now)}

    def _opened(self, channel_id: str, wanted: Mapping[str, Any], now: datetime) -> dict[str, Any]:
        channel = {
            "channel_id": channel_id,
            "events": wanted["events"],
            "channel_expiry": (now + LIFETIME).astimezone(UTC).isoformat(timespec="seconds"),
            "token": self._token,
            "notify_url": wanted["notify_url"],
        }
        answer = self._session.call(
            "POST",
            self._path,
            operation="watch",
            is_write=True,
            json={"watch": [channel]},
            expected=(400,),
        )
        item = errors.first(answer.body)
        if not errors.is_success(item):
            refused = errors.failure(answer) if answer.status == 400 else errors.of_record(item)
            raise refused.of("watch", "")
        return {"channel_id": channel_id, "expires_at": clock.rfc3339(_end(item))}


def _end(item: Mapping[str, Any]) -> datetime:
    """Return when the channel ends, as Zoho tells it: it may be sooner than was asked for."""
    details = item.get("details")
    events = details.get("events") if isinstance(details, dict) else None
    told = [
        at
        for one in (events if isinstance(events, list) else [])
        if isinstance(one, dict) and (at := _instant(one.get("channel_expiry"))) is not None
    ]
    if not told:
        raise Unavailable("Zoho does not say how long the channel lasts.", code="provider_malformed")
    return min(told)


def _instant(given: Any) -> datetime | None:
    try:
        at = datetime.fromisoformat(given) if isinstance(given, str) else None
    except ValueError:
        return None
    return at.replace(tzinfo=UTC) if at is not None and at.tzinfo is None else at
