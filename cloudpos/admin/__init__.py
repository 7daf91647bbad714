"""The pages of the admin that bring several domains together: the customer page, the overview, the navigation.

Found by `admin.autodiscover()` as the `admin` module of the app `cloudpos`.
"""

from cloudpos.admin import customers as customers
from cloudpos.admin import event_tasks as event_tasks
