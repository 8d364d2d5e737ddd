"""Value at risk and correlation against small series computed by hand."""

from math import exp, log, sqrt

import numpy as np
import pytest

from apps.risk.selectors.price_history import Closes, aligned_returns, common_returns
from apps.risk.services.correlations import pearson
from apps.risk.services.value_at_risk import historical, parametric

DAY = 86_400_000


def series(*prices: float, first: int = 0, skip: tuple[int, ...] = ()) -> Closes:
    """Closes of consecutive days from day `first`, without the days to skip."""
    days = [day for day in range(first, first + len(prices) + len(skip)) if day not in skip]
    return Closes(np.array(days, dtype=np.int64) * DAY, np.array(prices, dtype=np.float64))


@pytest.mark.parametrize(
    ("confidence", "amount", "shortfall"),
    [
        (0.95, 90.0, 95.0),  # 20 results: one may be worse; the worst two are -90 and -100
        (0.90, 80.0, 90.0),
        (0.99, 100.0, 100.0),
    ],
)
def test_historical_takes_the_loss_that_leaves_the_tail(
    confidence: float, amount: float, shortfall: float
) -> None:
    results = np.array([-100.0, -90.0, -80.0, *range(17)])

    found = historical(results, confidence=confidence)

    assert (found.amount, found.shortfall) == (amount, shortfall)


def test_a_book_that_never_lost_risks_nothing_rather_than_a_gain() -> None:
    found = historical(np.array([1.0, 2.0, 3.0]), confidence=0.95)

    assert (found.amount, found.shortfall) == (0.0, 0.0)


def test_parametric_is_z_times_the_deviation_of_the_book() -> None:
    returns = np.array([[0.01, -0.01], [-0.01, 0.02], [0.02, 0.0], [-0.02, -0.01]])
    weights = np.array([1000.0, 500.0])
    # sample covariance by hand: means 0 and 0; sums of squares 0.001 and 0.0006; of products -0.0001
    variance = (1000**2 * 0.001 + 500**2 * 0.0006 + 2 * 1000 * 500 * -0.0001) / 3

    found = parametric(weights, returns, confidence=0.975)

    assert found.amount == pytest.approx(1.959963984540054 * sqrt(variance))
    assert found.shortfall == pytest.approx(sqrt(variance) * 0.05844506 / 0.025, rel=1e-6)


def test_a_closed_day_has_no_return_and_a_gap_when_it_opens() -> None:
    daily = series(100, 101, 102, 103)
    weekly = series(50, 55, skip=(1, 2))

    names, returns, steps = aligned_returns({"A": daily, "B": weekly})

    assert names == ["A", "B"]
    assert list(steps // DAY) == [1, 2, 3]
    assert returns[:, 1] == pytest.approx([0, 0, log(1.1)])


def test_a_day_on_which_few_trade_is_no_step_of_the_others() -> None:
    week = {name: series(1, 1, 1, skip=(1, 2)) for name in "AB"}

    _, returns, steps = aligned_returns({**week, "C": series(100, 110, 121, 133.1, 146.41)})

    assert list(steps // DAY) == [3, 4]
    assert returns[:, 2] == pytest.approx([log(1.331), log(1.1)])


def test_the_common_history_begins_with_the_youngest_symbol() -> None:
    _, returns, steps = aligned_returns({"A": series(1, 2, 4, 8), "B": series(5, 5, first=2)})

    assert list(steps // DAY) == [3]
    assert returns[0] == pytest.approx([log(2), 0])


def test_correlation_is_pearsons_of_common_returns() -> None:
    up, down = [0.01, -0.02, 0.03, 0.01], [0.02, -0.01, 0.02, -0.01]
    first = series(*(100 * exp(sum(up[:n])) for n in range(5)))
    second = series(*(50 * exp(sum(down[:n])) for n in range(5)))
    # by hand: means 0.0075 and 0.005; sum of products 0.0009; squares 0.001275 and 0.0009
    expected = (0.0009 - 4 * 0.0075 * 0.005) / sqrt((0.0015 - 4 * 0.0075**2) * (0.001 - 4 * 0.005**2))

    value, observations = pearson(first, second)

    assert value == pytest.approx(expected)
    assert observations == 4


def test_only_days_of_both_count_for_a_correlation() -> None:
    one, other = common_returns(series(100, 110, 121, 133.1), series(10, 20, skip=(1, 2)))

    assert one == pytest.approx([log(1.331)])
    assert other == pytest.approx([log(2)])


def test_a_price_that_stood_still_correlates_with_nothing() -> None:
    value, observations = pearson(series(1, 1, 1, 1), series(1, 2, 3, 4))

    assert (value, observations) == (None, 3)


def test_opposite_prices_correlate_to_minus_one() -> None:
    prices = [100, 101, 99, 103]

    value, _ = pearson(series(*prices), series(*(1 / price for price in prices)))

    assert value == pytest.approx(-1.0)
