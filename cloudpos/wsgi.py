"""What gunicorn serves: see gunicorn.conf.py."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "cloudpos.settings")
application = get_wsgi_application()
