"""Django's backend, with one connection per thread that is kept and looked at before each request."""

import select
from typing import Any

import psycopg
from django.db.backends.postgresql import base
from psycopg.pq import ConnStatus, TransactionStatus

from cloudpos.postgres import NoConnection

USABLE = (TransactionStatus.IDLE, TransactionStatus.INTRANS)


class DatabaseWrapper(base.DatabaseWrapper):
    """`DATABASES["default"]["ENGINE"] = "cloudpos.postgres"`."""

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        """A session. Raises NoConnection."""
        try:
            return super().get_new_connection(conn_params)
        except psycopg.OperationalError as error:
            raise NoConnection(str(error)) from error

    def create_cursor(self, name: str | None = None) -> Any:
        """Without Django's loader of times: sessions are in UTC, and `read_times_fast` has said who reads them."""
        if name:
            return self.connection.cursor(name, scrollable=False, withhold=self.connection.autocommit)
        return self.connection.cursor()

    def is_usable(self) -> bool:
        """Whether the server still holds the session, and no statement of its transaction failed.

        Asked before a request's first statement (CONN_HEALTH_CHECKS) and after one that failed. A server that ends a
        session says so on its socket: looking there takes one microsecond, asking with a statement fifty.
        """
        if self.connection is None:
            return False
        session = self.connection.pgconn
        try:
            poll = select.poll()
            poll.register(session.socket, select.POLLIN)
            # Its last words come first, then the end, which raises.
            while poll.poll(0):
                session.consume_input()
        except psycopg.OperationalError:
            return False
        return session.status == ConnStatus.OK and session.transaction_status in USABLE
