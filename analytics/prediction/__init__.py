"""Predictions from purchase histories: lifetime value and churn. Pure: numpy in, numpy and plain JSON out.

What the rest of the project uses, all of it in `training`, `features`, `lifetime_value`, `churn` and `evaluation`:

Learning (a job, per merchant):
    table = features.purchase_table(customer=, day=, amount=, quantity=, customers=)    # index, ordinal, money, units
    run = training.train(table, as_of=, horizon_days=, kind=Kind.CHURN | Kind.LIFETIME_VALUE)   # a ModelRunResult
    run.as_json(), ModelRunResult.from_json(row)                       # the row of a model run
    evaluation.promotable(run.metrics, current_metrics, run.rule_metrics)       # a Promotion: promoted, reason

Scoring (in chunks of customers, each row on its own):
    histories = features.CustomerHistories(as_of=, first_day=, ...)    # columns from SQL
    training.score_churn(histories, run.parameters)                    # a churn.ChurnScores: probability, band, reasons ...
    churn.reasons_in_words(scores, histories, row)                     # sentences
    training.score_lifetime_value(histories, run.parameters)           # a lifetime_value.LifetimeValues: n x 90, 180, 365 days

Days are ordinals (`date.toordinal()`) in the store's zone. A purchase is a distinct day with a sale not wholly taken back.
Imports nothing of Django or of the project (checked by import-linter).
"""
