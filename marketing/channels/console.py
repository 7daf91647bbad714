"""For development: a line in the log for each message, and the message itself in a file."""

import logging
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import orjson
from django.conf import settings

from marketing.channels.outgoing import Outcome, Outgoing

logger = logging.getLogger(__name__)


class ConsoleSender:
    """The line holds nothing personal. Files: settings.MESSAGES_FOLDER, none where that is empty."""

    def __init__(self, channel: str) -> None:
        self._channel = channel

    def open(self) -> None:
        if settings.MESSAGES_FOLDER:
            Path(settings.MESSAGES_FOLDER).mkdir(parents=True, exist_ok=True)

    def close(self) -> None:
        pass

    def send(self, messages: Sequence[Outgoing], *, until: float | None = None) -> list[Outcome]:
        for message in messages:
            said = {
                name: value
                for name, value in asdict(message.rendered).items()
                if value and isinstance(value, str)
            }
            logger.info(
                "message_not_really_sent",
                extra={
                    "channel": self._channel,
                    "message_id": str(message.message_id),
                    "characters": sum(map(len, said.values())),
                },
            )
            if settings.MESSAGES_FOLDER:
                path = Path(settings.MESSAGES_FOLDER) / f"{message.message_id}.json"
                shown = {"channel": self._channel, "to": message.address, **said}
                path.write_bytes(orjson.dumps(shown, option=orjson.OPT_INDENT_2))
        return [Outcome("sent", provider_id=message.message_id.hex) for message in messages]
