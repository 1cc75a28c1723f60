# The product as one image: compose.yaml runs each of its processes from it.
# It holds code and packages and no secret: .dockerignore lets nothing else in, and what production must be given comes
# from the environment of a container.

FROM python:3.11-slim-bookworm AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /srv/noteassist
COPY requirements.txt .
RUN python -m venv /opt/venv && /opt/venv/bin/python -m pip install --quiet --require-hashes -r requirements.txt
COPY . .
# Settings demand these values; collecting static files connects to none of them, and none is kept.
RUN ENVIRONMENT=production \
    SECRET_KEY=only-for-the-build-0123456789-abcdefghijklmnopqrstuvwxyz-ABCDEF \
    JWT_SIGNING_KEY=only-for-the-build-9876543210-abcdefghijklmnopqrstuvwxyz-ABCDEF \
    DATABASE_URL=postgresql://nobody@127.0.0.1:1/nothing \
    REDIS_URL=redis://127.0.0.1:1/0 \
    EMAIL_URL=smtp://127.0.0.1:1 \
    ALLOWED_HOSTS=localhost \
    /opt/venv/bin/python manage.py collectstatic --noinput --verbosity=0

FROM python:3.11-slim-bookworm
ENV PATH=/opt/venv/bin:$PATH ENVIRONMENT=production PYTHONUNBUFFERED=1
RUN groupadd --system --gid 10001 noteassist && \
    useradd --system --uid 10001 --gid noteassist --no-create-home --shell /usr/sbin/nologin noteassist
COPY --from=build /opt/venv /opt/venv
COPY --from=build /srv/noteassist /srv/noteassist
RUN install --directory --owner=noteassist --group=noteassist --mode=0700 /srv/files
WORKDIR /srv/noteassist
USER 10001:10001
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s CMD ["python", "-c", "import os, urllib.request as u; u.urlopen('http://127.0.0.1:' + os.environ.get('PORT', '8000') + '/healthz/live', timeout=4)"]
CMD ["gunicorn", "NoteAssist_AI.wsgi:application", "-c", "gunicorn.conf.py"]
