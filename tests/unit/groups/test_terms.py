"""Terms of a symbol in a group: set for the symbol in the group, else the group, else the symbol."""

from dataclasses import replace
from decimal import Decimal

import pytest

from apps.groups.domain.schedules import MarginSchedule, ScheduleKind
from apps.groups.domain.terms import Commission, CommissionMode, Override, Terms, price_profiles, resolve
from apps.market.domain.symbols import SwapMode
from tests.factories.books import GROUP, SYMBOLS

D = Decimal
EURUSD = replace(
    SYMBOLS["EURUSD"],
    swap_mode=SwapMode.POINTS,
    swap_long=D(-7),
    swap_short=D(2),
    swap_multipliers=(1, 1, 1, 1, 3, 0, 0),
    stop_level_points=20,
    freeze_level_points=5,
)
PER_LOT = Commission(mode=CommissionMode.PER_LOT, value=D(5), minimum=D(1), tiers=((D(10), D(4)),))


def schedule(name: str) -> MarginSchedule:
    made = MarginSchedule.of(
        name=name, kind=ScheduleKind.VOLUME, is_pooled=False, bands=[(None, D(2)), (D(10), D(1))]
    )
    assert made is not None
    return made


def terms(override: Override | None = None, **group) -> Terms:
    return resolve(
        symbol=EURUSD, group=replace(GROUP, commission=PER_LOT, **group), override=override, version=1
    )


def test_swap_is_the_symbols_where_the_group_sets_none():
    swap = terms().swap

    assert (swap.mode, swap.long, swap.short) == (SwapMode.POINTS, D(-7), D(2))
    assert swap.multipliers == (1, 1, 1, 1, 3, 0, 0)


def test_group_sets_one_side_of_the_swap():
    swap = terms(Override(swap_long=D(-12))).swap

    assert (swap.mode, swap.long, swap.short) == (SwapMode.POINTS, D(-12), D(2))


def test_zero_is_a_value_of_its_own():
    found = terms(Override(swap_long=D(0), stop_level_points=0, commission_minimum=D(0)))

    assert (found.swap.long, found.stop_level_points, found.commission.minimum) == (D(0), 0, D(0))
    assert found.freeze_level_points == 5


def test_swap_mode_can_be_switched_off_for_a_group():
    assert terms(Override(swap_mode="none")).swap.mode is SwapMode.NONE


@pytest.mark.parametrize(
    ("override", "tiers"),
    [
        (None, ((D(10), D(4)),)),
        (Override(commission_minimum=D(2)), ((D(10), D(4)),)),
        (Override(commission_value=D(3)), ()),  # tiers were made for the group's own value
        (Override(commission_mode="per_deal"), ()),
        (Override(commission_value=D(3), commission_tiers=((D(5), D(2)),)), ((D(5), D(2)),)),
        (Override(commission_tiers=((D(5), D(2)),)), ((D(5), D(2)),)),
    ],
)
def test_tiers_belong_to_the_rule_they_were_made_for(override, tiers):
    assert terms(override).commission.tiers == tiers


def test_highest_tier_that_a_deal_reaches_sets_the_value():
    rule = replace(PER_LOT, tiers=((D(10), D(4)), (D(50), D(3))))

    values = [rule.value_for(volume_lots=D(lots), notional=D(0)) for lots in ("9.99", "10", "50", "999")]

    assert values == [D(5), D(4), D(3), D(3)]


def test_tiers_of_a_rule_per_million_go_by_notional():
    rule = replace(PER_LOT, mode=CommissionMode.PER_MILLION, tiers=((D(1_000_000), D(4)),))

    assert rule.value_for(volume_lots=D(1), notional=D(999_999)) == D(5)
    assert rule.value_for(volume_lots=D(1), notional=D(1_000_000)) == D(4)


def test_schedule_of_the_symbol_wins_over_the_groups():
    own, shared = schedule("own"), schedule("shared")

    assert terms(margin_schedule=shared).margin_schedule is shared
    assert terms(Override(margin_schedule=own), margin_schedule=shared).margin_schedule is own
    assert terms().margin_schedule is None


def test_bands_are_ordered_and_survive_their_text():
    made = schedule("own")

    assert [band.up_to for band in made.bands] == [D(10), None]
    assert MarginSchedule.from_json(made.as_json()) == made


def test_schedule_without_bands_is_none():
    assert MarginSchedule.of(name="empty", kind=ScheduleKind.VOLUME, is_pooled=False, bands=[]) is None


def test_groups_with_the_same_prices_share_a_profile():
    plain, same, wide = terms(), terms(swap_free=True), terms(markup_ask_points=D(9))

    profiles = price_profiles({1: [plain], 2: [same], 3: [wide]})

    assert profiles[1] == profiles[2] != profiles[3]
