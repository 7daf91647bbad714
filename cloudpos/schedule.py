"""What runs by the clock: the schedule of Celery's beat, in seconds or as a crontab in UTC."""

from typing import Any

from celery.schedules import crontab

BEAT_SCHEDULE: dict[str, dict[str, Any]] = {
    # Sweeps that a busy worker did not get to before the next ones are due are dropped, not piled up.
    "relay-sweep": {"task": "cloudpos.tasks.sweep_events", "schedule": 3.0, "options": {"expires": 3.0}},
    "send-webhooks": {
        "task": "marketing.tasks.send_due_deliveries",
        "schedule": 2.0,
        "options": {"expires": 2.0},
    },
    "tell-owners-of-webhooks": {
        "task": "marketing.tasks.tell_owners_of_disabled_webhooks",
        "schedule": 60.0,
        "options": {"expires": 60.0},
    },
    "send-consent-requests": {
        "task": "marketing.tasks.send_consent_requests",
        "schedule": 30.0,
        "options": {"expires": 30.0},
    },
    "run-campaigns": {
        "task": "marketing.tasks.run_campaigns",
        "schedule": 2.0,
        "options": {"expires": 2.0},
    },
    "tidy-webhooks": {
        "task": "marketing.tasks.tidy_deliveries",
        "schedule": 600.0,
        "options": {"expires": 600.0},
    },
    # A job is rung for when it is asked for; this finds those whose process has died.
    "run-jobs": {"task": "cloudpos.jobs.tasks.run_jobs", "schedule": 10.0, "options": {"expires": 10.0}},
    "forget-old-jobs": {"task": "cloudpos.jobs.tasks.forget_old_jobs", "schedule": 86400.0},
    "forget-old-imports": {"task": "customers.tasks.forget_old_imports", "schedule": 3600.0},
    "forget-old-exports": {"task": "cloudpos.exports.tasks.forget_old_exports", "schedule": 3600.0},
    "compact-counts": {"task": "customers.tasks.compact_counts", "schedule": 60.0},
    "forget-idempotency-keys": {"task": "cloudpos.api.tasks.forget_idempotency_keys", "schedule": 3600.0},
    "forget-expired-tokens": {"task": "cloudpos.tenancy.tasks.forget_expired_tokens", "schedule": 86400.0},
    # Asks for the recalculation of each merchant whose day has begun; most times there is none.
    "start-recalculations": {"task": "analytics.tasks.start_due_recalculations", "schedule": 600.0},
    # What a till has reserved and forgotten is free at its instant anyway; this writes it down.
    "lapse-holds": {"task": "loyalty.tasks.lapse_holds", "schedule": 15.0, "options": {"expires": 15.0}},
    # Points end at a midnight of their merchant's, which is at some full quarter of an hour of ours.
    "expire-points": {"task": "loyalty.tasks.expire_points", "schedule": crontab(minute="0,15,30,45")},
    # Tiers too end at a midnight of their merchant's, and hold from it anyway.
    "review-tiers": {"task": "loyalty.tasks.review_due_tiers", "schedule": crontab(minute="1,16,31,46")},
    # Each merchant after a midnight of its own, which every clock shows at some full hour or less than one before.
    "announce-expiring-points": {
        "task": "loyalty.tasks.announce_expiring_points",
        "schedule": crontab(minute="5"),
    },
    # A request sums up what came since; after a large import this is what does it.
    "refresh-program-analytics": {
        "task": "loyalty.tasks.refresh_program_analytics",
        "schedule": 300.0,
        "options": {"expires": 300.0},
    },
    # Reading sums up by itself what came since; the less there is of it, the quicker it is.
    "refresh-rollups": {
        "task": "analytics.tasks.refresh_rollups",
        "schedule": 30.0,
        "options": {"expires": 30.0},
    },
    # Days begin at midnight, in each shop's own time; and rules that were changed wait for it.
    "build-segments": {
        "task": "marketing.tasks.start_due_segment_rebuilds",
        "schedule": 60.0,
        "options": {"expires": 60.0},
    },
    "refresh-tiers": {"task": "loyalty.tasks.refresh_stale_tiers", "schedule": 60.0},
}
