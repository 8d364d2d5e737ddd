"""Versions of terms, restore, effective terms beside live prices, several symbols edited at once."""

from decimal import Decimal
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from apps.accounts.models import User
from apps.audit.models import Approval, StaffAction
from apps.groups.domain.terms import client_quote
from apps.groups.models import GroupSymbol, MarginBand, MarginSchedule, TradingGroup
from apps.groups.selectors import terms_book, terms_version
from apps.market.models import ConfigurationChange, Symbol
from apps.market.selectors import history
from apps.market.selectors.versions import Version, versions_of
from apps.market.services.board import own_board
from tests.factories.house import staff
from tests.factories.rows import Holder, make_group
from tests.integration.admin.conftest import signed_in
from tests.integration.groups.test_terms_changes import confirm, post_group

pytestmark = pytest.mark.django_db
D = Decimal
PARTS = ((GroupSymbol, "group"),)


def versions(group: TradingGroup) -> list[Version]:
    return versions_of(group, parts=PARTS)


def restore(http: Client, group: TradingGroup, version: Version, reason: str = "back to spring") -> Any:
    url = reverse("admin:groups_tradinggroup_versions", args=[group.pk])
    return http.post(url, {"restore": version.change_id, "change_reason": reason})


def told_after(http: Client, answer: Any) -> list[str]:
    """Return what the page says that an answer leads to."""
    assert answer.status_code == 302
    return [str(one) for one in http.get(answer.url).context["messages"]]


def override(group: TradingGroup, symbol: Symbol, **values: Any) -> dict[str, Any]:
    """Return the form's fields of one override."""
    fields = {"symbol": symbol.pk, "group": group.pk, "is_offered": "on", "book": "b", **values}
    return {
        "symbol_terms-TOTAL_FORMS": 1,
        **{f"symbol_terms-0-{name}": value for name, value in fields.items()},
    }


# -- versions


def test_a_save_is_one_version_with_its_author_and_reason(
    symbols: dict[str, Symbol], group: TradingGroup, http: Client, boss: User
) -> None:
    post_group(http, group, markup_bid_points="3", **override(group, symbols["EURUSD"], leverage_max="20"))

    newest, made = versions(group)

    assert (newest.number, newest.user_id, newest.reason) == (2, boss.pk, "agreed with risk")
    told = {change.label: change for change in newest.changes}
    assert set(told) == {"trading group usd", "group symbol EURUSD"}
    (one,) = told["trading group usd"].differences
    assert (one.name, one.before, one.after) == ("markup bid points", "0", "3")
    assert told["group symbol EURUSD"].deed == "added"
    assert (made.number, made.user_id, [change.deed for change in made.changes]) == (1, None, ["added"])


def test_a_restore_brings_the_old_terms_back_as_a_new_version(
    symbols: dict[str, Symbol], group: TradingGroup, http: Client
) -> None:
    post_group(
        http, group, markup_bid_points="3", **override(group, symbols["EURUSD"], markup_ask_points="7")
    )
    wanted, price = terms_book(), _client_bid(group)
    version = versions(group)[0]
    kept = GroupSymbol.objects.values().get()
    GroupSymbol.objects.all().delete()
    post_group(http, group, markup_bid_points="9", leverage_max="50")
    before = terms_version()

    answer = restore(http, group, version)

    assert told_after(http, answer)[-1] == "usd is as it was then: 2 rows changed."
    assert terms_version() > before
    assert GroupSymbol.objects.values().get() == kept
    book = terms_book()
    assert book.groups == wanted.groups
    assert _client_bid(group) == price == D("1.09997")
    assert versions(group)[0].reason == "back to spring"
    assert StaffAction.objects.get(operation="groups.restore_tradinggroup").after["trading group usd"] == {
        "leverage max": "100",
        "markup bid points": "3",
    }


def _client_bid(group: TradingGroup) -> Decimal:
    terms = terms_book().terms[group.pk]["EURUSD"]
    return client_quote(raw=own_board().latest["EURUSD"], terms=terms).bid


def test_a_restore_is_checked_like_any_change(group: TradingGroup, holder: Holder, http: Client) -> None:
    TradingGroup.objects.update(leverage_max=50)
    version = versions(group)[0]
    TradingGroup.objects.update(leverage_max=100)

    page = restore(http, group, version)

    assert "90.12" in page.content.decode()
    assert TradingGroup.objects.get().leverage_max == 100
    assert confirm(http, page).status_code == 302
    assert TradingGroup.objects.get().leverage_max == 50


def test_levels_are_not_restored_by_one_person(
    symbols: dict[str, Symbol], group: TradingGroup, http: Client, request: pytest.FixtureRequest
) -> None:
    TradingGroup.objects.update(stop_out_pct=20)
    version = versions(group)[0]
    TradingGroup.objects.update(stop_out_pct=50, description="now")
    request.getfixturevalue("holder")

    told = told_after(http, restore(http, group, version))

    saved = TradingGroup.objects.get()
    assert (saved.stop_out_pct, saved.description) == (50, "")
    assert Approval.objects.get().summary == "Group usd: stop out % 50 → 20"
    assert told == [
        "usd is restored but for what waits: 1 row changed.",
        "Group usd: stop out % 50 → 20: this waits for a second person.",
    ]
    entry = StaffAction.objects.get(operation="groups.restore_tradinggroup")
    left = f"Restored to what it was after change {version.change_id} but for what waits for a second person."
    assert (entry.outcome, entry.before, entry.after, entry.detail) == (
        "done",
        {"trading group usd": {"description": "now"}},
        {"trading group usd": {"description": "–"}},
        left,
    )


def test_a_restore_of_levels_alone_only_waits(
    symbols: dict[str, Symbol], group: TradingGroup, http: Client, request: pytest.FixtureRequest
) -> None:
    TradingGroup.objects.update(stop_out_pct=20)
    version = versions(group)[0]
    TradingGroup.objects.update(stop_out_pct=50)
    request.getfixturevalue("holder")

    told = told_after(http, restore(http, group, version))

    assert TradingGroup.objects.get().stop_out_pct == 50
    assert told == ["Group usd: stop out % 50 → 20: this waits for a second person."]
    logged = StaffAction.objects.filter(reason="back to spring")
    assert list(logged.values_list("operation", "outcome")) == [("groups.stop_out.requested", "requested")]


def test_what_no_longer_fits_is_refused_with_its_cause(
    symbols: dict[str, Symbol], group: TradingGroup, http: Client, request: pytest.FixtureRequest
) -> None:
    schedule = MarginSchedule.objects.create(name="steep", kind="volume")
    MarginBand.objects.create(schedule=schedule, value=2)
    TradingGroup.objects.update(margin_schedule=schedule)
    scheduled = versions(group)[0]
    TradingGroup.objects.update(margin_schedule=None)
    schedule.delete()
    TradingGroup.objects.update(currency="EUR")
    euro = versions(group)[0]
    TradingGroup.objects.update(currency="USD")
    request.getfixturevalue("holder")

    told = [
        str(next(iter(http.get(restore(http, group, version).url).context["messages"])))
        for version in (scheduled, euro)
    ]

    assert "margin schedule instance with id" in told[0]
    assert "create another group" in told[1]
    assert TradingGroup.objects.get().currency == "USD"


def test_the_page_shows_versions_and_what_a_restore_would_change(group: TradingGroup, http: Client) -> None:
    post_group(http, group, markup_bid_points="3")
    url = reverse("admin:groups_tradinggroup_versions", args=[group.pk])

    page = http.get(url, {"restore": versions(group)[1].change_id}).content.decode()

    assert "agreed with risk" in page
    assert "<s>3</s> → <b>0</b>" in page
    assert http.post(url, {"restore": versions(group)[1].change_id, "change_reason": ""}).status_code == 302
    assert TradingGroup.objects.get().markup_bid_points == 3


# -- effective terms and live prices


def test_the_page_shows_sources_and_the_price_that_clients_see(
    symbols: dict[str, Symbol], group: TradingGroup, http: Client
) -> None:
    TradingGroup.objects.update(markup_bid_points=4, markup_ask_points=6)
    row = GroupSymbol.objects.create(group=group, symbol=symbols["EURUSD"], markup_bid_points=10)

    page = http.get(reverse("admin:groups_tradinggroup_terms", args=[group.pk])).content.decode()
    live = http.get(reverse("admin:groups_tradinggroup_terms_live", args=[group.pk])).json()["prices"]

    assert reverse("admin:groups_groupsymbol_change", args=[row.pk]) in page
    assert "set for this symbol in this group; it would inherit 4" in page
    shown = {one["symbol"]: one for one in live}
    eurusd = shown["EURUSD"]
    assert (eurusd["raw_bid"], eurusd["bid"]) == ("1.10000", "1.09990")
    assert (eurusd["raw_ask"], eurusd["ask"]) == ("1.10017", "1.10023")
    assert (eurusd["raw_spread_points"], eurusd["spread_points"]) == ("17", "33")
    quote = client_quote(raw=own_board().latest["USDJPY"], terms=terms_book().terms[group.pk]["USDJPY"])
    assert (shown["USDJPY"]["bid"], shown["USDJPY"]["ask"]) == (str(quote.bid), str(quote.ask))


def test_a_symbols_page_shows_the_groups_within_reach(
    symbols: dict[str, Symbol], group: TradingGroup, admin: User
) -> None:
    foreign = make_group("foreign")
    http = signed_in(admin)
    symbol = symbols["EURUSD"].pk

    page = http.get(reverse("admin:groups_symbol_terms", args=[symbol])).content.decode()
    live = http.get(reverse("admin:groups_symbol_terms_live", args=[symbol])).json()["prices"]

    assert "usd" in page
    assert "foreign" not in page
    assert [one["group"] for one in live] == ["usd"]
    for name in (
        "groups_tradinggroup_terms",
        "groups_tradinggroup_terms_live",
        "groups_tradinggroup_versions",
    ):
        assert http.get(reverse(f"admin:{name}", args=[foreign.pk])).status_code == 404


# -- several at once


def bulk(http: Client, pairs: list[str], **fields: Any) -> Any:
    sent = {"pair": pairs, "change_reason": "agreed with risk", **fields}
    return http.post(reverse("admin:groups_bulk_terms"), sent)


def test_several_symbols_are_changed_after_a_preview(
    symbols: dict[str, Symbol], group: TradingGroup, http: Client
) -> None:
    TradingGroup.objects.update(markup_bid_points=4)
    GroupSymbol.objects.create(group=group, symbol=symbols["EURUSD"], markup_bid_points=10, swap_long=-1)
    pairs = [f"{group.pk}-{symbols[name].pk}" for name in ("EURUSD", "GBPUSD")]
    fields = {
        "markup_bid_points_how": "add",
        "markup_bid_points": "2",
        "swap_long_how": "inherit",
        "book": "a",
    }

    preview = bulk(http, pairs, **fields)
    untouched = list(GroupSymbol.objects.values_list("markup_bid_points", flat=True))
    saved = bulk(http, pairs, **fields, save="1")

    assert len(preview.context["plans"]) == 2
    assert untouched == [10]
    assert saved.status_code == 302
    rows = GroupSymbol.objects.order_by("symbol__name").values_list("markup_bid_points", "swap_long", "book")
    assert list(rows) == [(12, None, "a"), (6, None, "a")]
    assert StaffAction.objects.filter(reason="agreed with risk").count() == 2


def test_a_bulk_edit_is_checked_and_stays_within_reach(
    symbols: dict[str, Symbol], group: TradingGroup, holder: Holder, admin: User
) -> None:
    foreign = make_group("foreign")
    http = signed_in(admin)
    pairs = [f"{one.pk}-{symbols['EURUSD'].pk}" for one in (group, foreign)]
    fields = {"leverage_max_how": "set", "leverage_max": "50", "save": "1"}

    page = bulk(http, pairs, **fields)

    assert "90.12" in page.content.decode()
    assert not GroupSymbol.objects.exists()
    assert confirm(http, page).status_code == 302
    assert list(GroupSymbol.objects.values_list("group__name", "leverage_max")) == [("usd", 50)]
    dealer = signed_in(staff("dealer@example.com", groups=(group,)))
    assert bulk(dealer, pairs, **fields).status_code == 403


# -- fresh proof


def test_terms_are_changed_only_after_a_fresh_sign_in(
    symbols: dict[str, Symbol], group: TradingGroup, http: Client, boss: User
) -> None:
    post_group(http, group, markup_bid_points="3")
    old = signed_in(boss, proved_s_ago=3600)
    made = versions(group)[-1]
    pair = f"{group.pk}-{symbols['EURUSD'].pk}"
    rows = reverse("admin:groups_groupsymbol_changelist")

    answers = [
        post_group(old, group, markup_bid_points="9"),
        restore(old, group, made),
        bulk(old, [pair], markup_bid_points="4", save="1"),
        old.post(
            rows,
            {
                "action": "delete_selected",
                "_selected_action": [1],
                "post": "yes",
                "change_reason": "not needed any more",
            },
        ),
    ]

    assert [answer["Location"].split("?")[0] for answer in answers] == [reverse("mfa_reauthenticate")] * 4
    group.refresh_from_db()
    assert (group.markup_bid_points, GroupSymbol.objects.count()) == (3, 0)


def test_a_restore_reads_only_what_belongs_to_the_row(
    symbols: dict[str, Symbol], group: TradingGroup, http: Client
) -> None:
    other = make_group("other")
    for held in (group, other):
        GroupSymbol.objects.create(group=held, symbol=symbols["EURUSD"], markup_bid_points=1)
    last = ConfigurationChange.objects.latest("id").pk
    GroupSymbol.objects.update(markup_bid_points=2)

    then = history.rows_after_change(GroupSymbol, change_id=last, column="group_id", value=group.pk)

    assert [(row.group_id, row.markup_bid_points) for row in then] == [(group.pk, 1)]
