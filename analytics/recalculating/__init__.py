"""Working out every customer's figures: from sales to features, predictions, scores and segments.

    columns   numpy arrays from PostgreSQL
    sales     what customers bought, as the models take it
    learning  training, promoting
    figures   one row of CustomerFigures for each of some customers
    standing  cut points, scores and segments
    job       all of it for all customers of a merchant, chunk by chunk

Everything here imports numpy, so only processes of background work import it: `analytics.tasks` does so inside its functions, and
tests/analytics/test_serving.py sees that a serving process stays without.
"""
