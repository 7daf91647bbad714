"""The service's routes as they are with an e-mail service configured."""

from typing import Any

from cloudpos.urls import urlpatterns as _always
from marketing.tracking.urls import email_reports


class _Late(list[Any]):
    """Asked for when the settings of the test are there."""

    def __iter__(self) -> Any:
        return iter([*email_reports(), *_always])

    def __reversed__(self) -> Any:
        return reversed([*email_reports(), *_always])


urlpatterns = _Late()
