# The service:   docker build --target serve -t convolve .
#                docker run --rm --read-only -p 127.0.0.1:8000:8000 convolve
# The training:  see `train` in docker-compose.yml
#
# Nothing here needs BuildKit: DOCKER_BUILDKIT=0 builds the same images.

FROM python:3.11-slim-bookworm AS base
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1
WORKDIR /app


FROM base AS serve-packages
COPY requirements/serve.txt .
# The environment has no pip of its own. Bytecode is made here, since a read-only container could not keep it.
RUN python -m venv --without-pip /opt/venv \
    && pip --python /opt/venv install --no-cache-dir --require-hashes -r serve.txt
# A third of that never runs here. OpenVINO looks which plugins and frontends lie there, and we need those that put a
# SavedModel on a processor.
RUN cd /opt/venv/lib/python3.11/site-packages \
    && rm -r openvino/include openvino/libs/cache.json openvino/libs/libopenvino_intel_gpu_plugin.so \
        openvino/libs/libopenvino_intel_npu_plugin.so \
    && find openvino/libs -name '*_frontend.so*' ! -name '*_tensorflow_frontend*' ! -name '*_ir_frontend*' -delete \
    && find . -type d -name tests -prune -exec rm -r {} +


FROM base AS serve
COPY --from=serve-packages /opt/venv /opt/venv
COPY service service
RUN python -m compileall -q service
COPY models models
COPY examples examples
ENV CONVOLVE_HOST=0.0.0.0 CONVOLVE_PORT=8000
# By number, so that an orchestrator can tell that it is not root.
USER 10001:10001
EXPOSE 8000
# http.client rather than urllib, which would ask a proxy where the environment names one.
HEALTHCHECK --interval=5s --timeout=3s --start-period=30s CMD ["python", "-c", "\
import http.client, os, sys; \
server = http.client.HTTPConnection('127.0.0.1', int(os.environ['CONVOLVE_PORT']), timeout=2); \
server.request('GET', '/health/ready'); \
sys.exit(server.getresponse().status != 200)"]
CMD ["python", "-m", "service"]


FROM base AS train
COPY requirements/train.txt .
RUN python -m venv --without-pip /opt/venv \
    && pip --python /opt/venv install --no-cache-dir --no-compile --require-hashes -r train.txt
COPY service service
COPY training training
# Open to whoever runs it, whose number we do not know: unfinished runs, and Keras' download where no data is mounted.
RUN mkdir -m 777 runs models
ENV KERAS_HOME=/app/runs/keras
USER 10001:10001
ENTRYPOINT ["python", "-m", "training"]


# What a plain `docker build .` makes.
FROM serve
