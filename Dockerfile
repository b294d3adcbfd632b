# syntax=docker/dockerfile:1
# The worker, and `python -m db` for its schema. How to run it: docs/deploy.md.

FROM python:3.13-slim-trixie AS base
# Without the second, onnxruntime (Silero VAD) reports its use to its maker, and writes an id to disk.
ENV PATH=/opt/venv/bin:$PATH \
    ORT_DISABLE_TELEMETRY=1 \
    PYTHONUNBUFFERED=1

FROM base AS build
ENV UV_PROJECT_ENVIRONMENT=/opt/venv \
    UV_LINK_MODE=copy \
    UV_PYTHON_DOWNLOADS=never
RUN pip install --no-cache-dir uv==0.13.9
WORKDIR /app
# Dependencies before source: an edit of the agent leaves this layer, the large one, as it is.
COPY pyproject.toml uv.lock ./
RUN --mount=type=cache,target=/root/.cache/uv \
    uv sync --locked --no-default-groups --group worker --no-install-project --no-build \
        --compile-bytecode
COPY LICENSE ./
COPY agent ./agent
COPY callrecord ./callrecord
COPY db ./db
COPY migrations ./migrations
RUN python -m compileall -q agent callrecord db \
    && install -d -m 0700 /var/lib/voice/outbox /var/lib/voice/speech

FROM base
ENV AGENT_HTTP_PORT=8081 \
    AGENT_OUTBOX_DIR=/var/lib/voice/outbox \
    AGENT_SPEECH_CACHE_DIR=/var/lib/voice/speech
WORKDIR /app
COPY --from=build /opt/venv /opt/venv
COPY --from=build /app ./
COPY --from=build --chown=10001:10001 /var/lib/voice /var/lib/voice

# The models (Silero VAD, end of turn) lie in their packages: there is nothing to download, and this
# proves that they load and run. A plugin with files of its own needs here, before USER:
#   ENV HF_HOME=/opt/models
#   RUN python -m livekit.agents download-files
# It also leaves the bytecode of the standard library's part in use, which the base image lacks.
RUN python -c "import http.client, numpy, agent.__main__, callrecord.operator.main; \
from livekit.local_inference import EOT; \
from livekit.plugins import silero; \
silero.VAD.load(); \
EOT().predict(numpy.zeros(19200, 'int16'))"

USER 10001:10001
# Mount a volume at /var/lib/voice. There is no VOLUME here on purpose: it would make a nameless
# volume where none is given, which no later container finds, and silence the worker's warning.
EXPOSE 8081
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import http.client as h, os; c = h.HTTPConnection('127.0.0.1', int(os.environ['AGENT_HTTP_PORT']), timeout=4); c.request('GET', '/'); raise SystemExit(c.getresponse().status != 200)"]
CMD ["python", "-m", "agent", "start"]
