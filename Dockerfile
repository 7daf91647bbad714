# The production image: only what requirements.lock names, an unprivileged user, no compiler.
FROM python:3.11-slim-bookworm AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv --copies /opt/venv
ENV PATH=/opt/venv/bin:$PATH
WORKDIR /app
COPY requirements.lock .
RUN pip install --require-hashes --no-deps -r requirements.lock && pip uninstall --yes pip setuptools
COPY . .
# Static files are collected under production settings; the secret and the database are never used and not kept.
RUN ENVIRONMENT=production DATABASE_URL=postgresql://nobody@localhost/nothing \
    JWT_SECRET="$(python -c 'import secrets; print(secrets.token_urlsafe(48))')" \
    python manage.py collectstatic --no-input --verbosity 0 \
    && python -m compileall -q cloudpos customers loyalty analytics marketing

FROM python:3.11-slim-bookworm
RUN useradd --system --uid 10001 --user-group --home-dir /app --shell /usr/sbin/nologin cloudpos
COPY --from=build /opt/venv /opt/venv
COPY --from=build /app /app
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    ENVIRONMENT=production \
    PORT=3002 \
    PROMETHEUS_MULTIPROC_DIR=/tmp/cloudpos-metrics
WORKDIR /app
USER 10001:10001
EXPOSE 3002
STOPSIGNAL SIGTERM
# Long start period: the first replica of a release migrates.
HEALTHCHECK --interval=5s --timeout=5s --start-period=120s --retries=3 \
    CMD ["python", "script/healthcheck.py"]
ENTRYPOINT ["script/start"]
CMD ["web"]
