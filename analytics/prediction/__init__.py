"""Predictions from purchase histories: lifetime value and churn. Pure: numpy in, numpy and plain JSON out.

Learning (a job, per merchant):
    table = features.purchase_table(customer=, day=, amount=, quantity=, customers=)    # index, ordinal, money, units
    run = training.train(table, as_of=, horizon_days=, kind=Kind.CHURN)     # or Kind.LIFETIME_VALUE; a ModelRunResult
    run.as_json(), ModelRunResult.from_json(row)                            # the row of a model run
    training.decide(run, current_run_or_none, table)                        # a Promotion: promoted, reason
    evaluation.drift(reference=, now=, reference_shares=, shares=)          # flags; now = training.evaluate(...).metrics

Scoring (in chunks of customers, each row on its own):
    histories = features.CustomerHistories(as_of=, first_day=, ...)         # columns from SQL, or features.histories_at(table)
    scores = training.score_churn(histories, run.parameters)                # a churn.ChurnScores: probability, band, ...
    reasons.in_words(scores.reason_codes[row], reasons.Facts(...))          # a list of reasons.Reason: sentence, raises, ...
    training.score_lifetime_value(histories, run.parameters)                # a lifetime_value.LifetimeValues: n x 90, 180, 365 d

Days are ordinals (`date.toordinal()`) in the store's zone. A purchase is a distinct day with a sale not wholly taken back.
A merchant without a model is scored with the parameters of `training.train` on no purchases at all: those of other shops.
Imports nothing of Django or of the project (checked by import-linter).
"""
