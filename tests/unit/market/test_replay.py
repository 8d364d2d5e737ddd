"""The replay: what of a recording plays at which moment, and with which times."""

from array import array
from decimal import Decimal

from apps.market.adapters.feed import RawTick
from apps.market.adapters.library import Tape
from apps.market.adapters.recordings import RecordingError
from apps.market.adapters.replay import DAY_MS, REPEAT_MS, SEAM_MS, ReplayFeed, Timeline

HOUR_MS, MINUTE_MS = 3_600_000, 60_000
RECORDED_MS = 16_198 * DAY_MS  # 2014-05-08
TODAY_MS = 20_468 * DAY_MS  # an even number of days later: the first recorded day of two


def tape(*times_ms: int) -> Tape:
    bids = [Decimal(100) + Decimal(index) / 100 for index in range(len(times_ms))]
    return Tape(array("q", times_ms), list(bids), [bid + Decimal("0.02") for bid in bids])


def every(step_ms: int, *, start_ms: int, end_ms: int) -> range:
    return range(start_ms, end_ms + 1, step_ms)


def feed(made: Tape, *, start_ms: int, speed: float = 1.0, digits: int = 2) -> ReplayFeed:
    return ReplayFeed(
        load=lambda: made, provider="oanda", digits=digits, start_ms=start_ms, speed=speed, waits=True
    )


def played(made: ReplayFeed, *, start_ms: int, seconds: int) -> list[RawTick]:
    ticks = []
    for now_ms in range(start_ms, start_ms + seconds * 1000 + 1, 20):
        if made.next_due_ms() <= now_ms:
            ticks += made.take(now_ms)
    return ticks


def moved(time_line: Timeline, moment: int) -> tuple[int, int]:
    """Return the recorded time that plays at a moment and the lap's limit, each counted from its day."""
    lap = time_line.lap(moment)
    return moment - lap.shift - RECORDED_MS, lap.until - TODAY_MS


def test_recording_plays_at_its_own_time_of_day():
    line = Timeline(list(every(MINUTE_MS, start_ms=RECORDED_MS, end_ms=RECORDED_MS + DAY_MS - 1)))

    assert moved(line, TODAY_MS + 9 * HOUR_MS) == (9 * HOUR_MS, DAY_MS)
    assert moved(line, TODAY_MS + 5 * DAY_MS + 9 * HOUR_MS)[0] == 9 * HOUR_MS


def test_days_follow_each_other_and_begin_again():
    line = Timeline(list(every(MINUTE_MS, start_ms=RECORDED_MS, end_ms=RECORDED_MS + 2 * DAY_MS - 1)))

    first, second, third = (moved(line, TODAY_MS + day * DAY_MS + HOUR_MS)[0] for day in range(3))

    assert (first, second, third) == (HOUR_MS, DAY_MS + HOUR_MS, HOUR_MS)


def test_evening_without_a_recording_plays_the_evening_before():
    friday_close = RECORDED_MS + DAY_MS + 21 * HOUR_MS
    line = Timeline(list(every(MINUTE_MS, start_ms=RECORDED_MS, end_ms=friday_close)))

    recorded, until = moved(line, TODAY_MS + DAY_MS + 22 * HOUR_MS)

    assert recorded == 22 * HOUR_MS
    assert until == 2 * DAY_MS  # then the first day begins again


def test_short_recording_is_a_loop_at_every_hour():
    line = Timeline(
        list(every(1000, start_ms=RECORDED_MS + 22 * HOUR_MS, end_ms=RECORDED_MS + 22 * HOUR_MS + 60_000))
    )
    lap_ms = 60_000 + SEAM_MS
    since_ms = (TODAY_MS + 9 * HOUR_MS) - (TODAY_MS - 2 * HOUR_MS)

    recorded, _ = moved(line, TODAY_MS + 9 * HOUR_MS)

    assert recorded == 22 * HOUR_MS + since_ms % lap_ms


def test_break_of_the_session_plays_what_came_before_it_until_trading_goes_on():
    times = [
        *every(MINUTE_MS, start_ms=RECORDED_MS, end_ms=RECORDED_MS + 21 * HOUR_MS),
        *every(MINUTE_MS, start_ms=RECORDED_MS + 22 * HOUR_MS, end_ms=RECORDED_MS + 24 * HOUR_MS - 1),
    ]

    recorded, until = moved(Timeline(times), TODAY_MS + 21 * HOUR_MS + 30 * MINUTE_MS)

    assert recorded == 30 * MINUTE_MS - SEAM_MS
    assert until == 22 * HOUR_MS


def test_ticks_keep_their_distances_and_get_present_times():
    start_ms = TODAY_MS + HOUR_MS
    made = feed(
        tape(*every(MINUTE_MS, start_ms=RECORDED_MS, end_ms=RECORDED_MS + HOUR_MS - 1),
             *every(700, start_ms=RECORDED_MS + HOUR_MS + 100, end_ms=RECORDED_MS + 2 * HOUR_MS)),
        start_ms=start_ms,
    )  # fmt: skip

    ticks = played(made, start_ms=start_ms, seconds=3)

    assert [tick.time_ms - start_ms for tick in ticks] == [0, 100, 800, 1500, 2200, 2900]
    assert [tick.after_break for tick in ticks] == [True] + [False] * 5
    assert [tick.bid for tick in ticks[:3]] == [Decimal("100.59"), Decimal("100.60"), Decimal("100.61")]


def test_speed_shortens_the_distances():
    start_ms = TODAY_MS + HOUR_MS
    made = feed(
        tape(*every(1000, start_ms=RECORDED_MS, end_ms=RECORDED_MS + 2 * HOUR_MS)),
        start_ms=start_ms,
        speed=10,
    )

    ticks = played(made, start_ms=start_ms, seconds=1)

    assert [tick.time_ms - start_ms for tick in ticks] == [0, 0, *range(100, 1001, 100)]


def test_silence_repeats_that_the_last_price_stands():
    start_ms = TODAY_MS + HOUR_MS
    made = feed(
        tape(*every(MINUTE_MS, start_ms=RECORDED_MS, end_ms=RECORDED_MS + 2 * HOUR_MS)), start_ms=start_ms + 1
    )

    ticks = played(made, start_ms=start_ms + 1, seconds=12)

    assert [tick.is_repeat for tick in ticks] == [False, True, True]
    assert ticks[1].time_ms - ticks[0].time_ms >= REPEAT_MS
    assert ticks[1].bid is None


def test_seam_of_a_loop_is_a_break():
    start_ms = TODAY_MS
    times = every(100, start_ms=RECORDED_MS, end_ms=RECORDED_MS + 3000)
    made = feed(tape(*times), start_ms=start_ms)

    ticks = played(made, start_ms=start_ms, seconds=8)

    breaks = [tick.time_ms - start_ms for tick in ticks if tick.after_break]
    assert breaks == [0, 3000 + SEAM_MS, 2 * (3000 + SEAM_MS)]
    assert [tick.time_ms for tick in ticks] == sorted(tick.time_ms for tick in ticks)


def test_tick_out_of_order_stays_out_of_order_for_the_filter():
    start_ms = TODAY_MS
    times = [RECORDED_MS + offset for offset in (0, 200, 100, 300, *range(400, 4000, 100))]
    made = feed(tape(*times), start_ms=start_ms)

    ticks = played(made, start_ms=start_ms, seconds=1)

    assert [tick.time_ms - start_ms for tick in ticks][1:5] == [0, 200, 100, 300]


def test_prices_carry_the_symbols_digits():
    made = feed(
        tape(*every(100, start_ms=RECORDED_MS, end_ms=RECORDED_MS + 5000)), start_ms=TODAY_MS, digits=3
    )

    assert str(made.take(TODAY_MS)[0].bid) == "100.000"


def test_feed_that_was_asleep_goes_on_from_now():
    made = feed(tape(*every(100, start_ms=RECORDED_MS, end_ms=RECORDED_MS + DAY_MS // 4)), start_ms=TODAY_MS)
    made.take(TODAY_MS)

    ticks = made.take(TODAY_MS + HOUR_MS)

    assert [tick.time_ms - TODAY_MS for tick in ticks] == [HOUR_MS]


def test_recording_that_cannot_be_read_leaves_the_feed_silent():
    def load() -> Tape:
        raise RecordingError("line 3")

    made = ReplayFeed(load=load, provider="oanda", digits=2, start_ms=TODAY_MS, waits=True)

    assert made.take(TODAY_MS) == []
    assert made.next_due_ms() > TODAY_MS + DAY_MS


def test_every_minute_of_the_day_has_moving_prices():
    line = Timeline(
        [*every(1000, start_ms=RECORDED_MS + 7 * HOUR_MS, end_ms=RECORDED_MS + 9 * HOUR_MS),
         *every(1000, start_ms=RECORDED_MS + 13 * HOUR_MS, end_ms=RECORDED_MS + 14 * HOUR_MS)]
    )  # fmt: skip

    for moment in every(17 * MINUTE_MS, start_ms=TODAY_MS, end_ms=TODAY_MS + 2 * DAY_MS):
        lap = line.lap(moment)
        due_ms = line.origin + line.offsets[lap.index] + lap.shift
        assert 0 <= due_ms - moment <= 1000
        assert lap.until > moment
