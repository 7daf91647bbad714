"""`manage.py migrate_locked`: migrate while nobody else does. Any number of replicas may start at once."""

import time
from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand
from django.db import DEFAULT_DB_ALIAS, OperationalError, connections
from django.db.migrations.executor import MigrationExecutor

# Any number will do, as long as nothing else in the database takes it.
MIGRATION_LOCK_KEY = 3_002_001
DATABASE_WAIT_SECONDS_MAX = 60
LOCK_ASKED_SECONDS = 0.2


class Command(BaseCommand):
    help = "Waits for the database, takes an advisory lock, and migrates if there is anything to do."
    requires_system_checks: list[str] = []

    def handle(self, *args: Any, **options: Any) -> None:
        self._wait_for_database()
        # A connection of its own: a migration may close the one it runs on, and the lock with it.
        lock = connections[DEFAULT_DB_ALIAS].copy()
        try:
            with lock.cursor() as cursor:
                # The first replica may take minutes; the limits of requests don't hold for waiting for it.
                cursor.execute("SET idle_session_timeout = 0")
                # Asked again and again: an index that is built concurrently waits for every statement that is under way, and a
                # statement that waits for the lock is one.
                while not self._takes_lock(cursor):
                    time.sleep(LOCK_ASKED_SECONDS)
            self._migrate()
        finally:
            # Closing the session gives the lock back, also when the process is killed.
            lock.close()

    @staticmethod
    def _takes_lock(cursor: Any) -> bool:
        cursor.execute("SELECT pg_try_advisory_lock(%s)", [MIGRATION_LOCK_KEY])
        return bool(cursor.fetchone()[0])

    def _wait_for_database(self) -> None:
        deadline = time.monotonic() + DATABASE_WAIT_SECONDS_MAX
        while True:
            try:
                connections[DEFAULT_DB_ALIAS].ensure_connection()
                return
            except OperationalError as error:
                if time.monotonic() > deadline:
                    raise
                self.stderr.write(f"waiting for the database: {error}")
                time.sleep(1)

    def _migrate(self) -> None:
        connection = connections[DEFAULT_DB_ALIAS]
        executor = MigrationExecutor(connection)
        pending = executor.migration_plan(executor.loader.graph.leaf_nodes())
        if not pending:
            self.stdout.write("Migrations: nothing to do.")
            return
        with connection.cursor() as cursor:
            # Building an index takes longer than any request may; waiting for a lock holds up the requests behind it.
            cursor.execute(
                "SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0; SET lock_timeout = '10s'"
            )
        self.stdout.write(f"Migrations: {len(pending)} to apply.")
        call_command("migrate", interactive=False, verbosity=1, skip_checks=True)
