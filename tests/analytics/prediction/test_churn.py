import numpy as np
import pytest

from analytics.prediction import churn_training, lifetime_value, reasons, training
from analytics.prediction.churn import (
    CONFIDENCE_HIGH_FROM_DAYS,
    MARGIN,
    NO_REASON,
    REASON_LOG_ODDS_MIN,
    Band,
    ChurnModel,
    ChurnScores,
    Confidence,
    Method,
    frequency_log_odds,
    score,
)
from analytics.prediction.features import (
    CustomerHistories,
    PurchaseTable,
    feature_matrix,
    histories_at,
    purchase_table,
)
from analytics.prediction.special import logistic
from analytics.prediction.themes import Theme
from analytics.prediction.training import Kind
from tests.analytics.prediction.merchants import TODAY, merchant, purchases_of
from tests.data import purchases

N = 90


def learn(table: PurchaseTable, *, as_of: int = TODAY) -> ChurnModel:
    return churn_training.learn(table, as_of=as_of, horizon_days=N)


@pytest.mark.parametrize(
    ("customers", "days", "method"),
    [
        (49, 900, Method.FIXED),
        (50, 900, Method.FITTED),
        (199, 900, Method.FITTED),
        (200, 900, Method.BLEND),
        (200, 150, Method.FIXED),
        (200, 185, Method.FITTED),
    ],
)
def test_the_ladder(customers: int, days: int, method: Method) -> None:
    table = merchant(customers=customers, purchases_each=8.0, days=days, seed=4)
    assert learn(table).method is method


def test_the_blend_needs_both_outcomes() -> None:
    table = merchant(customers=300, purchases_each=8.0, seed=4)
    assert learn(table).method is Method.BLEND
    # The same, and everybody comes once more in each quarter.
    customers = np.tile(np.arange(300), 12)
    days = np.repeat(TODAY - 80 * np.arange(12), 300)
    loyal = purchase_table(
        customer=np.append(table.customer, customers),
        day=np.append(table.day, days),
        amount=np.ones(len(table.day) + len(days)),
        quantity=np.ones(len(table.day) + len(days)),
        customers=300,
    )
    rows = churn_training.training_rows(loyal, as_of=TODAY, horizon_days=N, gap_prior_days=30.0)
    assert rows.churned.sum() < churn_training.BLEND_CLASS_MIN
    assert learn(loyal).method is Method.FITTED


def test_snapshots_are_a_quarter_apart_and_their_outcomes_are_over() -> None:
    table = merchant(customers=100, days=1_000)
    rows = churn_training.training_rows(table, as_of=TODAY, horizon_days=N, gap_prior_days=30.0)
    assert rows.cut_offs == (TODAY - 90, TODAY - 181, TODAY - 272, TODAY - 363)
    assert all(cut_off + N <= TODAY for cut_off in rows.cut_offs)
    sizes = [len(histories_at(table, as_of=cut_off)[0]) for cut_off in rows.cut_offs]
    assert len(rows.churned) == len(rows.matrix) == sum(sizes)


def test_a_snapshot_needs_a_horizon_of_history() -> None:
    first = TODAY - 280
    rows = churn_training.training_rows(
        purchases_of(first, TODAY - 100), as_of=TODAY, horizon_days=N, gap_prior_days=30.0
    )
    assert rows.cut_offs == (TODAY - 90, TODAY - 181)


def test_staying_away() -> None:
    table = purchases_of(TODAY, TODAY + 90)
    who = np.array([0])
    assert churn_training.stayed_away(table, who, cut_off=TODAY, horizon_days=89).tolist() == [True]
    assert churn_training.stayed_away(table, who, cut_off=TODAY, horizon_days=90).tolist() == [False]
    assert churn_training.stayed_away(table, who, cut_off=TODAY + 90, horizon_days=90).tolist() == [True]


@pytest.mark.parametrize("kind", list(Kind))
def test_what_happens_after_the_cut_off_changes_no_parameter(kind: Kind) -> None:
    table = merchant(customers=400, purchases_each=8.0, seed=4)
    as_of = TODAY - 200
    before = training.train(table, as_of=as_of, horizon_days=N, kind=kind)
    later = table.day > as_of
    assert later.any()
    changed = PurchaseTable(
        table.customer,
        table.day,
        np.where(later, table.amount * 100 + 1, table.amount),
        table.quantity,
        table.customers,
    )
    removed = table.until(as_of)
    for other in (changed, removed):
        assert training.train(other, as_of=as_of, horizon_days=N, kind=kind) == before


@pytest.mark.parametrize("learn", [churn_training.learn, lifetime_value.learn])
def test_learning_looks_at_nothing_later(learn) -> None:
    table = merchant(customers=400, purchases_each=8.0, seed=4)
    cut_off = TODAY - 200
    model, without = (learn(known, as_of=cut_off, horizon_days=N) for known in (table, table.until(cut_off)))
    assert model.to_parameters() == without.to_parameters()


@pytest.mark.parametrize("kind", list(Kind))
def test_a_trial_has_seen_nothing_of_its_window(kind: Kind, monkeypatch: pytest.MonkeyPatch) -> None:
    table = merchant(customers=400, purchases_each=8.0, seed=4)
    tried = []
    evaluate = training.evaluate

    def spy(parameters: dict, history: PurchaseTable, *, window: training.Window) -> training.Trial:
        tried.append((parameters, window))
        return evaluate(parameters, history, window=window)

    monkeypatch.setattr(training, "evaluate", spy)
    training.train(table, as_of=TODAY, horizon_days=N, kind=kind)
    ((parameters, window),) = tried
    assert (window.cut_off, window.until) == (TODAY - N, TODAY)
    # The same parameters without a purchase in the window.
    assert (
        training.train(table.until(TODAY - N), as_of=TODAY - N, horizon_days=N, kind=kind).parameters
        == parameters
    )


@pytest.mark.parametrize(
    ("load", "until", "auc", "brier", "active_auc"),
    [
        (purchases.cdnow, purchases.CDNOW_UNTIL, 0.838, 0.089, 0.72),
        (purchases.online_retail, purchases.ONLINE_RETAIL_UNTIL, 0.805, 0.189, 0.76),
    ],
    ids=["CDNOW", "Online Retail II"],
)
def test_on_public_data(load, until: int, auc: float, brier: float, active_auc: float) -> None:
    table = load()
    run = training.train(table, as_of=until, horizon_days=N, kind=Kind.CHURN)
    assert run.method is Method.BLEND
    assert run.window is not None
    assert run.window.customers == len(np.unique(table.customer[table.day <= until - N]))
    assert run.metrics["auc"] >= auc
    assert run.metrics["brier"] <= brier
    assert run.active_metrics["auc"] >= active_auc
    assert run.metrics["auc"] > run.rule_metrics["auc"]
    assert run.metrics["brier"] < run.rule_metrics["brier"]
    assert training.decide(run, None, table).promoted


def test_one_minus_alive_is_not_churn() -> None:
    """The reason for P(none in N): one-time buyers are alive for certain, and most of them never come again."""
    table = purchases.cdnow()
    cut_off = purchases.CDNOW_UNTIL - N
    _, histories = histories_at(table, as_of=cut_off)
    model = learn(table, as_of=cut_off)
    one_time = histories.repeats == 0
    assert score(model, histories).probability[one_time].min() > 0.8


def test_the_blend_is_the_mean_of_two_log_odds() -> None:
    table = merchant(customers=400, purchases_each=8.0, seed=4)
    model = learn(table)
    assert model.regression is not None
    _, histories = histories_at(table, as_of=TODAY)
    silence, then = frequency_log_odds(model.frequency, histories, horizon_days=N)
    matrix = feature_matrix(histories, gap_prior_days=model.gap_prior_days)
    regression = model.regression.intercept + model.regression.contributions(matrix).sum(axis=1)
    expected = logistic((silence + then + regression) / 2)
    assert score(model, histories).probability == pytest.approx(np.clip(expected, MARGIN, 1 - MARGIN))


@pytest.mark.parametrize("customers", [40, 100, 400])
def test_contributions_differ_as_the_log_odds_do(customers: int) -> None:
    table = merchant(customers=customers, purchases_each=8.0, seed=4)
    _, histories = histories_at(table, as_of=TODAY)
    scores = score(learn(table), histories)
    inside = (scores.probability > 2 * MARGIN) & (scores.probability < 1 - 2 * MARGIN)
    log_odds = np.log(scores.probability / (1 - scores.probability))
    rest = (log_odds - scores.contributions.sum(axis=1))[inside]
    assert rest == pytest.approx(rest[0])


def test_bands_and_confidence() -> None:
    table = merchant(customers=400, purchases_each=5.0, seed=4)
    _, histories = histories_at(table, as_of=TODAY)
    scores = score(learn(table), histories)
    for band, low, high in ((Band.LOW, 0.0, 0.3), (Band.MEDIUM, 0.3, 0.6), (Band.HIGH, 0.6, 1.0)):
        inside = scores.probability[scores.band == band]
        assert len(inside)
        assert low <= inside.min()
        assert inside.max() < high
    days = histories.purchase_days
    assert set(scores.confidence[days == 1]) == {Confidence.LOW}
    assert set(scores.confidence[(days > 1) & (days < CONFIDENCE_HIGH_FROM_DAYS)]) == {Confidence.MEDIUM}
    assert set(scores.confidence[days >= CONFIDENCE_HIGH_FROM_DAYS]) == {Confidence.HIGH}
    # With parameters of other shops nothing is very sure.
    small = learn(merchant(customers=10, purchases_each=5.0))
    assert set(score(small, histories).confidence) == {Confidence.LOW, Confidence.MEDIUM}


def test_chunks_are_scored_as_the_whole() -> None:
    table = merchant(customers=300, purchases_each=8.0, seed=4)
    model = learn(table)
    _, histories = histories_at(table, as_of=TODAY)
    whole = score(model, histories)
    _, part = histories_at(table.every(3), as_of=TODAY)
    assert score(model, part).probability == pytest.approx(whole.probability[::3], rel=1e-12)
    assert (score(model, part).reasons == whole.reasons[::3]).all()


def regular(*, last: int) -> PurchaseTable:
    return purchases_of(*range(last - 300, last + 1, 30), amount=12.5)


def codes(scores: ChurnScores, row: int) -> list[int]:
    return [code for code in scores.reason_codes[row].tolist() if code]


def facts(histories: CustomerHistories, row: int) -> reasons.Facts:
    return reasons.Facts(
        recency=int(histories.recency[row]),
        tenure=int(histories.tenure[row]),
        purchase_days=int(histories.purchase_days[row]),
        purchases_180d=int(histories.purchases_180d[row]),
        gap_sd=float(histories.gap_sd[row]),
        total=float(histories.total[row]),
        spend_90d=float(histories.spend_90d[row]),
        quantity=float(histories.quantity[row]),
    )


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (
            regular(last=TODAY - 120),
            {
                Theme.SILENCE: "The last purchase was 120 days ago; until then one came every 30 days",
                Theme.FREQUENCY: "Has bought on 11 days, 2 of them in the last 180 days",
                Theme.RHYTHM: "Buys every 30 days",
                Theme.TENURE: "A customer for 420 days",
                Theme.SPEND: "Spent 137.50 in all, 0.00 of it in the last 90 days",
                Theme.BASKET: "Takes 1.0 items at a time",
            },
        ),
        (
            purchases_of(TODAY - 200),
            {
                Theme.SILENCE: "The last purchase was 200 days ago",
                Theme.FREQUENCY: "Has bought on one day only",
                Theme.RHYTHM: "Has bought on one day only",
            },
        ),
        (
            purchases_of(TODAY - 401, TODAY - 400, TODAY - 395, TODAY - 375),
            {
                Theme.FREQUENCY: "Has bought on 4 days, none of them in the last 180 days",
                Theme.RHYTHM: "Buys every 9 days, give or take 10",
            },
        ),
        (
            purchases_of(TODAY),
            {Theme.SILENCE: "The last purchase was today", Theme.TENURE: "A customer since today"},
        ),
    ],
    ids=["regular", "once", "stopped", "today"],
)
def test_facts(table: PurchaseTable, words: dict[Theme, str]) -> None:
    _, histories = histories_at(table, as_of=TODAY)
    assert {theme: reasons.fact_in_words(theme, facts(histories, 0)) for theme in words} == words


def test_reasons_are_the_strongest_contributions() -> None:
    table = merchant(customers=400, purchases_each=8.0, seed=4)
    _, histories = histories_at(table, as_of=TODAY)
    scores = score(learn(table), histories)
    for row in range(len(histories)):
        contributions = scores.contributions[row]
        expected = sorted(Theme, key=lambda theme, found=contributions: -abs(found[theme]))[:3]
        expected = [theme for theme in expected if abs(contributions[theme]) >= REASON_LOG_ODDS_MIN]
        assert [code for code in scores.reasons[row] if code != NO_REASON] == expected
        found = reasons.in_words(codes(scores, row), facts(histories, row))
        assert [reason.theme for reason in found][:1] == expected[:1]
        assert len({reason.words for reason in found}) == len(found)
        for reason in found:
            assert reason.raises == (contributions[reason.theme] > 0)
            assert reason.sentence.endswith(": raises the risk." if reason.raises else ": lowers the risk.")


def test_who_has_been_silent_for_long_is_told_so() -> None:
    model = learn(merchant(customers=400, purchases_each=8.0, seed=4))
    for silence, raises in ((300, True), (1, False)):
        _, histories = histories_at(regular(last=TODAY - silence), as_of=TODAY)
        said = reasons.in_words(codes(score(model, histories), 0), facts(histories, 0))
        found = {reason.theme: reason.raises for reason in said}
        assert found[Theme.SILENCE] is raises
