# syntax=docker/dockerfile:1
# Two stages: the first makes the virtual environment from the lock, every file checked against its hash; the
# second holds that environment and nothing else. No compiler is in either.

FROM python:3.12-slim AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PATH=/opt/coopd/bin:$PATH
RUN python -m venv /opt/coopd
WORKDIR /src
COPY requirements.lock ./
# The build backend first: two pure Python dependencies are published as source only.
RUN awk '/^[^ #]/ { keep = ($0 ~ /^setuptools==/) } keep' requirements.lock > build.lock \
    && pip install --no-deps --require-hashes -r build.lock \
    && pip install --no-deps --require-hashes --no-build-isolation --use-pep517 -r requirements.lock
COPY pyproject.toml README.md ./
COPY protocol protocol
COPY node node
RUN pip install --no-index --no-deps --no-build-isolation . \
    && pip uninstall --yes \
        beancount hatchling httpx hypothesis import-linter mypy pytest pytest-trio pytest-xdist ruff setuptools

FROM python:3.12-slim
RUN useradd --system --uid 10001 --user-group --home-dir /var/lib/coopd --create-home coopd
COPY --from=build /opt/coopd /opt/coopd
ENV PATH=/opt/coopd/bin:$PATH PYTHONUNBUFFERED=1 COOPD_HOME=/var/lib/coopd
USER 10001
WORKDIR /var/lib/coopd
VOLUME /var/lib/coopd
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s --retries=3 CMD ["python", "-c", \
    "import os, urllib.request as r; r.urlopen(f'http://127.0.0.1:{os.environ.get(\"COOPD_GATEWAY_PORT\", 9500)}/readyz', timeout=2)"]
ENTRYPOINT ["coopd"]
CMD ["run"]
