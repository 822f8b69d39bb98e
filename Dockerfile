# Three images from one file:
#   docker build --target app    -t winnow-app    .    the API; no torch, no onnx, no numpy
#   docker build --target worker -t winnow-worker .    inspector and workers, for the CPU
#   docker build --target worker -t winnow-worker-cuda \
#     --build-arg EXTRAS=cuda,postgres,s3 --build-arg CONSTRAINTS=constraints-cuda.txt \
#     --build-arg TORCH_INDEX=https://pypi.org/simple .    workers that train and measure on NVIDIA's GPUs
# A release should pin PYTHON_IMAGE by digest: --build-arg PYTHON_IMAGE=python:3.11-slim-bookworm@sha256:…
ARG PYTHON_IMAGE=python:3.11-slim-bookworm

# Dependencies come before the source, so that an edit does not download torch again.
FROM ${PYTHON_IMAGE} AS dependencies
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /src
RUN python -m venv /opt/winnow
COPY pyproject.toml constraints.txt constraints-cuda.txt README.md LICENSE ./
COPY winnow/pyproject.toml winnow/
# Folders in place of the packages, which the two pyproject.toml name.
RUN mkdir -p app worker winnow/agents winnow/cli winnow/client/parts winnow/contract/bundle winnow/contract/forecast winnow/contract/steps winnow/contract/strict_tar winnow/contract/strict_zip winnow/contract/target_rules

FROM dependencies AS build-app
RUN /opt/winnow/bin/pip install ./winnow '.[postgres,oidc,s3]' --constraint constraints.txt
COPY app app
COPY winnow winnow
COPY worker worker
RUN /opt/winnow/bin/pip install --no-deps --force-reinstall ./winnow .

FROM dependencies AS build-worker
# PyPI's torch for Linux brings CUDA, this index's does not: its version is the higher one (2.13.0+cpu).
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
# To measure on OpenVINO as well: --build-arg EXTRAS=worker,postgres,s3,openvino
ARG EXTRAS=worker,postgres,s3
# What holds besides for other extras.
ARG CONSTRAINTS=constraints.txt
RUN /opt/winnow/bin/pip install ./winnow ".[${EXTRAS}]" --constraint constraints.txt --constraint "${CONSTRAINTS}" \
    --extra-index-url "${TORCH_INDEX}"
COPY app app
COPY winnow winnow
COPY worker worker
RUN /opt/winnow/bin/pip install --no-deps --force-reinstall ./winnow .

FROM ${PYTHON_IMAGE} AS runtime
# A fixed uid, so that volumes keep their owner from one release to the next.
RUN groupadd --gid 10001 winnow \
    && useradd --uid 10001 --gid winnow --home-dir /var/lib/winnow --no-create-home --shell /usr/sbin/nologin winnow \
    && install --directory --owner winnow --group winnow /var/lib/winnow
ENV PATH=/opt/winnow/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 WINNOW_DATA_DIR=/var/lib/winnow
WORKDIR /var/lib/winnow
USER 10001:10001

FROM runtime AS app
COPY --from=build-app /opt/winnow /opt/winnow
ENV WINNOW_HOST=0.0.0.0 WINNOW_AUTH=keys
# `winnow keys create --admin` in the container, or WINNOW_ADMIN_KEY_FILE, makes the first key. Set WINNOW_ALLOWED_HOSTS to the names by which the service is called, beside loopback's.
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s --retries=3 \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8000/readyz', timeout=4)"]
CMD ["winnow", "serve", "--no-workers"]

FROM runtime AS worker
COPY --from=build-worker /opt/winnow /opt/winnow
STOPSIGNAL SIGTERM
# The parent and its pool process: a worker that cannot start a pool process takes no work. It answers no pings, because
# remote control is off.
HEALTHCHECK --interval=30s --timeout=10s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import psutil; exit(sum('worker.celery_app' in (p.info['cmdline'] or []) for p in psutil.process_iter(['cmdline'])) < 2)"]
CMD ["winnow", "worker"]
