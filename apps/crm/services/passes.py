"""
What a run does, step by step: pull what the CRM has, send what differs, then the accounts. A step is one page
or one batch; where the run stands is written in its transaction, by the worker that holds the run alone.

A full run compares every client; links that differ, or are new, wait to be sent and are sent as any other.
While sending one kind of links is refused the run passes it by: they wait for `pushing.push_all`.
"""

from collections.abc import Mapping
from typing import Any

from django.db import transaction
from django.db.models import F

from apps.accounts.models import Client, TradingAccount
from apps.crm.adapters.provider import CallRefused, Forbidden, Provider
from apps.crm.domain import mapping, merging
from apps.crm.domain.mapping import Pair
from apps.crm.models import Connection, FieldMapping, Link, SyncRun
from apps.crm.selectors.mappings import names_read, pairs_of
from apps.crm.selectors.values import account_values, client_values
from apps.crm.services import calling, claims, faults, pulling, pushing
from apps.crm.services.merging import base_of
from rtx.kernel import clock

CHUNK = 500
CLIENT, ACCOUNT = FieldMapping.Kind.CLIENT, FieldMapping.Kind.ACCOUNT
Kind = SyncRun.Kind
PULL, PUSH, ACCOUNTS = "pull", "push", "accounts"


class ClaimLost(Exception):
    """The run is in other hands, or has ended: what was just done is not written."""


class Pass:
    """One worker's part of a run. Reads its place from the run's row at each step."""

    def __init__(self, run: SyncRun, connection: Connection, provider: Provider) -> None:
        self._run, self._connection, self._provider = run, connection, provider
        self._pairs: dict[str, list[Pair]] = {kind: pairs_of(connection, kind) for kind in (CLIENT, ACCOUNT)}

    def step(self) -> bool:
        """
        Do the next piece; return whether the run is over.

        :raises ClaimLost: the run's claim ran out and was taken, or the run has ended.
        """
        run = self._run
        run.refresh_from_db(fields=["phase", "cursor"])
        if not run.phase:
            self._begin()
        match run.phase:
            case "pull":
                self._pull()
                return False
            case "push":
                return self._send(CLIENT, then=ACCOUNTS if self._connection.account_object else "")
            case _:
                return self._send(ACCOUNT, then="")

    @property
    def _is_preview(self) -> bool:
        return self._run.kind == Kind.PREVIEW

    @property
    def _is_full(self) -> bool:
        return self._run.kind in (Kind.FULL, Kind.PREVIEW)

    def _begin(self) -> None:
        total = 0
        if self._is_full:
            total = Client.objects.filter(data_key__isnull=False).count()
            if self._connection.account_object:
                total += TradingAccount.objects.filter(client__data_key__isnull=False).count()
        pull = {} if self._is_full else self._connection.pull_cursor
        self._save(phase=PULL, total=total, cursor={"pull": pull})

    def _save(self, *, add: Mapping[str, int] | None = None, **values: Any) -> None:
        """Write where the run stands, and add to its counts; failures and refusals in a row are over."""
        cursor = values.get("cursor")
        if cursor is not None:
            cursor.pop("failures", None)
            cursor.pop("refusals", None)
        added: Any = {name: F(name) + count for name, count in (add or {}).items() if count}
        held = SyncRun.objects.filter(pk=self._run.pk, claim=self._run.claim, status=SyncRun.Status.RUNNING)
        if not held.update(**values, **added):
            raise ClaimLost
        for name, value in values.items():
            setattr(self._run, name, value)

    # Pulling.

    def _pull(self) -> None:
        run, names = self._run, names_read(self._pairs[CLIENT])
        page = self._provider.changes(self._connection.customer_object, run.cursor.get("pull") or {}, names)
        cursor = {**run.cursor, "pull": page.cursor}
        if self._is_preview:
            found = pulling.preview_page(self._connection, page.records)
            cursor["joined"] = int(cursor.get("joined", 0)) + found.joined
            self._save(cursor=cursor, phase=PUSH if page.is_last else PULL, add=_counts(found))
            return

        def then(taken: pulling.Taken) -> None:
            self._save(cursor=cursor, phase=PUSH if page.is_last else PULL, add=_counts(taken))
            if page.is_last or not self._is_full:
                Connection.objects.filter(pk=self._connection.pk).update(
                    pull_cursor=page.cursor, pulled_at=clock.now()
                )

        pulling.take_page(self._connection, page.records, cause="run", run=run, then=then)

    # Sending.

    def _send(self, kind: str, *, then: str) -> bool:
        """Compare a chunk, or send a batch once there is a full one or nothing is left to compare."""
        is_compared = not self._is_full or bool(self._run.cursor.get(f"compared_{kind}"))
        if not self._is_preview and self._is_batch_sent(kind, is_last=is_compared):
            return False
        if not is_compared:
            self._compare(kind)
            return False
        if then:
            self._save(phase=then, cursor=self._run.cursor)
        return not then

    def _is_batch_sent(self, kind: str, *, is_last: bool) -> bool:
        """Send a batch where there is a full one, or a last one; nothing while that kind is refused."""
        self._connection.refresh_from_db(fields=list(faults.NOT_BEFORE))
        if faults.is_held(self._connection, kind):
            return False
        enough = self._provider.batch_max
        if not is_last and pushing.count_due(self._connection, kind, up_to=enough) < enough:
            return False
        try:
            pushed = pushing.push_due(self._connection, self._provider, run=self._run, kind=kind)
        except calling.NotConnected:
            raise
        except (Forbidden, CallRefused) as error:
            faults.note(connection_id=self._connection.pk, error=error, sending=kind)
            return False
        return bool(pushed.taken)

    def _compare(self, kind: str) -> None:
        cursor = dict(self._run.cursor)
        after = cursor.get(f"after_{kind}", 0)
        rows: list[Any]
        if kind == CLIENT:
            clients = Client.objects.filter(data_key__isnull=False, number__gt=after).order_by("number")
            rows = list(clients[:CHUNK])
            last = rows[-1].number if rows else after
        else:
            accounts = TradingAccount.objects.filter(client__data_key__isnull=False, login__gt=after)
            rows = list(accounts.select_related("group", "state", "client").order_by("login")[:CHUNK])
            last = rows[-1].login if rows else after
            if not self._is_preview and not cursor.get("unseen"):
                cursor["unseen"] = not self._is_seen(rows)
        cursor[f"after_{kind}"] = last
        if len(rows) < CHUNK:
            cursor[f"compared_{kind}"] = True
        with transaction.atomic():
            missing, differing, same = self._differing(kind, rows)
            counts = {"done": len(rows), "unchanged": same}
            if self._is_preview:
                joined = min(missing, int(cursor.get("joined", 0)))
                cursor["joined"] = int(cursor.get("joined", 0)) - joined
                counts |= {"created": missing - joined, "updated": differing + joined}
            self._save(cursor=cursor, add=counts)

    def _is_seen(self, accounts: list[TradingAccount]) -> bool:
        """
        Read accounts' records, which no pull brings: they may be deleted there, or lack the login. False: the
        provider refuses that; they are compared with what is known of them.
        """
        mine = Link.objects.filter(connection=self._connection, kind=ACCOUNT, account__in=accounts)
        ids = list(mine.filter(status=Link.Status.ACTIVE).exclude(crm_id="").values_list("crm_id", flat=True))
        name, batch = self._connection.account_object, self._provider.batch_max
        fields = [pair.crm_field for pair in self._pairs[ACCOUNT]][:1]
        try:
            for start in range(0, len(ids), batch):
                records = self._provider.get_many(name, ids[start : start + batch], fields)
                pulling.take_accounts(self._connection, name, records, cause="run")
        except calling.NotConnected:
            raise
        except (Forbidden, CallRefused) as error:
            faults.note(connection_id=self._connection.pk, error=error)
            return False
        return True

    def _differing(self, kind: str, rows: list[Any]) -> tuple[int, int, int]:
        """Let what is new or differs wait to be sent; return how many are new, differ, and are in step."""
        by_key = {row.pk: row for row in rows}
        key = "client_id" if kind == CLIENT else "account_id"
        mine = Link.objects.filter(connection=self._connection, kind=kind, **{f"{key}__in": list(by_key)})
        links = {getattr(link, key): link for link in mine}
        new = [row for row in rows if row.pk not in links]
        known = [row for row in rows if row.pk in links and links[row.pk].status == Link.Status.ACTIVE]
        idle = [row for row in known if links[row.pk].wanted == links[row.pk].sent]
        names = {pair.rtx_field for pair in self._pairs[kind]}
        values: Any = client_values(idle, names) if kind == CLIENT else account_values(idle, names)
        differing = [row for row in idle if self._differs(kind, links[row.pk], row, values.get(row.pk))]
        waiting = len(known) - len(idle)
        if not self._is_preview:
            claims.add(self._connection, [_wanted(kind, row) for row in new])
            now = clock.now()
            Link.objects.filter(pk__in=[links[row.pk].pk for row in differing]).update(
                wanted=F("wanted") + 1, wanted_at=now, due_at=now
            )
        return len(new), len(differing) + waiting, len(idle) - len(differing)

    def _differs(self, kind: str, link: Link, row: Any, values: dict[str, Any] | None) -> bool:
        if values is None:
            return True  # sending tells what is wrong
        pairs = self._pairs[kind]
        base = base_of(link, row if kind == CLIENT else row.client)
        return not link.crm_id or bool(merging.unsent(pairs, base, mapping.made(pairs, values).fields))


def _counts(taken: pulling.Taken) -> dict[str, int]:
    return {"pulled": taken.pulled, "conflicts": taken.conflicts, "failed": taken.failed}


def _wanted(kind: str, row: Any) -> claims.Wanted:
    if kind == CLIENT:
        return row.pk, None, row.created_at
    return row.client_id, row.pk, row.opened_at
