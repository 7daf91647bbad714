"""gunicorn.conf.py: what it does around the fork."""

import subprocess
import sys

from django.conf import settings

WATCHED = """
import gc, runpy, sys
configuration = runpy.run_path("gunicorn.conf.py")
print(gc.isenabled())
configuration["{hook}"](None, None)
print(gc.isenabled())
"""


def test_the_collector_rests_while_the_application_is_loaded_and_works_in_every_worker() -> None:
    """Also in workers of a reload, after which gunicorn calls no when_ready."""
    done = subprocess.run(
        [sys.executable, "-c", WATCHED.format(hook="post_fork")],
        cwd=settings.BASE_DIR,
        env={"DJANGO_SETTINGS_MODULE": "django.conf.global_settings"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["False", "True"]
