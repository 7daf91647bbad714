"""Workers that are killed in the middle of a campaign: nobody gets a message twice, and nobody who withdrew gets one later."""

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from urllib.parse import urlsplit

import pytest
from django.conf import settings
from django.db import connection
from django.utils.timezone import now

from marketing.campaigns.claiming import end_leases
from marketing.campaigns.sending import GROUP_MAX
from marketing.models import Campaign, CampaignMessage
from tests.fixtures import Shop
from tests.marketing.campaigns.conftest import launch, person, say
from tests.marketing.sink import mail_sink
from tests.ops.processes import wait_for

PEOPLE = 60
KILLS = 2
WORKER = """
import django; django.setup()
from marketing.campaigns import sending
while True:
    sending.work(seconds=30)
"""


@pytest.mark.django_db(transaction=True)
def test_workers_are_killed_and_nobody_gets_it_twice(shop: Shop) -> None:
    people = [person(shop, f"P{number}") for number in range(PEOPLE)]
    launch(shop)
    with mail_sink(seconds_each=0.01) as sink:
        url = urlsplit(settings.DATABASE_URL)._replace(path=f"/{connection.settings_dict['NAME']}").geturl()
        environment = {
            **os.environ,
            "DATABASE_URL": url,
            "REDIS_URL": "none",
            "ENVIRONMENT": "development",
            "DJANGO_SETTINGS_MODULE": "cloudpos.settings",
            "EMAIL_URL": f"smtp://127.0.0.1:{sink.port}",
        }
        chance = random.Random(3031)
        withdrawn: dict[str, float] = {}
        workers = [
            subprocess.Popen([sys.executable, "-c", WORKER], cwd=settings.BASE_DIR, env=environment)
            for _ in range(KILLS + 1)
        ]
        try:
            for worker in workers[:KILLS]:
                before = len(sink.received)
                wait_for(lambda before=before: len(sink.received) > before)  # type: ignore[misc]
                alice = people.pop()
                say(shop, alice, "withdrawn")
                withdrawn[alice.email] = time.time()
                time.sleep(chance.uniform(0, 0.05))
                worker.send_signal(signal.SIGKILL)
                worker.wait()
                # As if its leases had run out; those of the others too: whoever lives writes nothing that it lost.
                CampaignMessage.objects.filter(leased_until__isnull=False).update(leased_until=now())
                end_leases(at=now())
            wait_for(Campaign.objects.filter(state="sent").exists)
        finally:
            for worker in workers:
                worker.kill()
                worker.wait()
        counts = Counter(mail.to for mail in sink.received)
    assert max(counts.values()) == 1
    states = dict(CampaignMessage.objects.values_list("customer__email", "state"))
    assert len(states) == PEOPLE
    unknown = {email for email, state in states.items() if state == "unknown"}
    skipped = {email for email, state in states.items() if state == "skipped"}
    # What was in the hands of one that died is in doubt, and no more than a group of each.
    assert len(unknown) <= GROUP_MAX * KILLS
    assert {email for email, state in states.items() if state == "sent"} <= counts.keys()
    assert set(states) - counts.keys() <= unknown | skipped
    for mail in sink.received:
        assert mail.begun <= withdrawn.get(mail.to, float("inf")) + 1
    assert skipped <= withdrawn.keys()
