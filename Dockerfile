# The command line on mounted folders: docker run -v "$PWD/videos:/in:ro" -v "$PWD/out:/out" augrgb run /in --out /out
# Builds with BuildKit and with the classic builder: no --mount, no syntax line that has to be fetched.
ARG BASE_IMAGE=python:3.11-slim-bookworm
# cuda, or cpu: the same versions without CUDA's libraries
ARG VARIANT=cuda

# Everything that is not ours, as it was locked: a layer that only a new lock makes anew.
FROM ${BASE_IMAGE} AS packages
WORKDIR /build
COPY requirements/uv.lock requirements/image.lock requirements/
RUN python -m venv uv \
    && uv/bin/python -m pip install --quiet --no-cache-dir --disable-pip-version-check \
        --require-hashes --no-deps -r requirements/uv.lock
# The one package without a wheel is built with the locked setuptools. Byte code is made here: where the
# command runs, nobody may write it, and importing torch and mmpose without it costs seconds each time.
RUN python -m venv --without-pip /opt/augrgb \
    && uv/bin/uv pip install --quiet --python /opt/augrgb/bin/python --no-cache --compile-bytecode \
        --require-hashes --no-deps --build-constraints requirements/image.lock -r requirements/image.lock
ARG VARIANT
COPY scripts/drop_cuda.py scripts/
RUN case "$VARIANT" in \
        cuda) ;; \
        cpu) unused=$(/opt/augrgb/bin/python scripts/drop_cuda.py) \
            && uv/bin/uv pip uninstall --quiet --python /opt/augrgb/bin/python $unused ;; \
        *) echo "VARIANT is cuda or cpu, not '$VARIANT'" >&2; exit 1 ;; \
    esac

# Ours: a small layer of its own.
FROM packages AS source
COPY setup.cfg pyproject.toml README.md LICENSE ./
COPY pipeline pipeline/
COPY extractors extractors/
COPY models models/
COPY scripts/entrypoint.sh /opt/source/bin/entrypoint
# chmod: a file that only its owner may read would be lost on whoever runs the image.
RUN uv/bin/uv pip install --quiet --python /opt/augrgb/bin/python --no-cache --compile-bytecode \
        --no-deps --no-build-isolation --prefix /opt/source . \
    && chmod -R u=rwX,go=rX /opt/source

FROM ${BASE_IMAGE} AS runtime
LABEL org.opencontainers.image.title="augrgb" \
      org.opencontainers.image.description="Temporal action detection from raw video: MP4 in, per-frame action scores out" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=packages /opt/augrgb /opt/augrgb
# Any user may run it (docker run --user), also one without a name: home and caches are where all may write.
# Public weights are looked for in /cache/augrgb, and fetched to it.
RUN install -d -m 1777 /cache
ENV PATH=/opt/augrgb/bin:$PATH \
    HOME=/tmp \
    USER=augrgb \
    XDG_CACHE_HOME=/cache \
    MPLCONFIGDIR=/tmp/matplotlib \
    LANG=C.UTF-8 \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1

FROM runtime AS runtime-cuda
ENV NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility,video

# No GPU is seen, whatever `docker run` offers.
FROM runtime AS runtime-cpu
ENV NVIDIA_VISIBLE_DEVICES=void \
    CUDA_VISIBLE_DEVICES=

FROM runtime-${VARIANT}
COPY --from=source /opt/source /opt/augrgb
# Starts as root to become the owner of what is mounted; as anyone else with `docker run --user`.
ENTRYPOINT ["entrypoint"]
CMD ["--help"]
