# make serve    answers on http://127.0.0.1:8000 with the shipped model        (make serve PORT=9000 WORKERS=1)
# make test     installs the rest and passes the tests
# make verify   adds what needs Debian packages, containers, browsers or a long run, and says which of them are missing
# make bench    measures its speed; bench-peers measures other servers beside it
# make train    trains and publishes the next version of the shipped model     (make train ARGS="--seed 2")

PYTHON ?= python3
ARGS ?=
VENV := .venv
RUN := $(VENV)/bin/python

# `make serve PORT=9000`: the settings as make variables.
PORT ?= $(or $(CONVOLVE_PORT),8000)
HOST ?= $(or $(CONVOLVE_HOST),127.0.0.1)
WORKERS ?= $(or $(CONVOLVE_WORKERS),0)

.PHONY: serve test verify train lint bench bench-peers lock proto clean

serve: $(VENV)/.serve
	$(RUN) -m service --host $(HOST) --port $(PORT) --workers $(WORKERS) $(ARGS)

test: $(VENV)/.dev lint
	$(RUN) -m pytest -m "not verify" $(ARGS)

verify: $(VENV)/.verify
	$(RUN) -m pytest -m verify $(ARGS)

train: $(VENV)/.dev
	$(RUN) -m training $(ARGS)

lint: $(VENV)/.dev
	$(RUN) -m ruff check
	$(RUN) -m ruff format --check
	$(RUN) -m mypy

# Needs wrk: apt-get install wrk.
bench: $(VENV)/.dev
	$(RUN) -m benchmarks $(ARGS)

# Each peer in an environment of its own, and we beside them, on the same Python: one build may be a seventh slower than
# another. Triton's wheel embeds Debian's Python 3.11: a newer one may not do.
PEER_PYTHON ?= /usr/bin/python3.11
PEERS := benchmarks/.venvs/convolve/.installed \
	$(patsubst benchmarks/peers/%.txt,benchmarks/.venvs/%/.installed,$(wildcard benchmarks/peers/*.txt))

bench-peers: $(VENV)/.dev $(PEERS)
	$(RUN) -m benchmarks $(or $(ARGS),peers)

benchmarks/.venvs/%/.installed: benchmarks/peers/%.txt
	test -x $(@D)/bin/python || $(PEER_PYTHON) -m venv $(@D)
	$(@D)/bin/python -m pip install --quiet --disable-pip-version-check -r $<
	touch $@

benchmarks/.venvs/convolve/.installed: requirements/serve.txt
	test -x $(@D)/bin/python || $(PEER_PYTHON) -m venv $(@D)
	$(@D)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	touch $@

# What is installed is exactly what was locked. A half-made environment has no stamp and is made anew.
$(VENV)/.serve: requirements/serve.txt
	test -x $(RUN) || $(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/serve.txt
	touch $@

$(VENV)/.dev: requirements/dev.txt
	test -x $(RUN) || $(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	touch $@ $(VENV)/.serve

# What is not here is skipped, and said at the end. All of it, on Debian: apt-get install chromium firefox-esr
# webkit2gtk-driver xvfb prometheus curl docker.io docker-compose.
$(VENV)/.verify: requirements/verify.txt $(VENV)/.dev
	$(RUN) -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/verify.txt
	touch $@

# What the named extras of pyproject.toml ask for, without the client: an image of the server has no use for it.
EXTRAS := $(PYTHON) -c "import sys, tomllib; \
	extras = tomllib.load(open('pyproject.toml', 'rb'))['project']['optional-dependencies']; \
	print(*(package for name in sys.argv[1:] for package in extras[name]), sep='\n')"
LOCK := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url \
	--no-emit-find-links

# Needs uv. The files carry hashes and no addresses. The largest set comes first, so that the others agree with it.
lock:
	$(LOCK) pyproject.toml --extra serve --extra grpc --extra training --group dev -o requirements/dev.txt
	$(LOCK) --group verify -c requirements/dev.txt -o requirements/verify.txt
	$(EXTRAS) serve training | $(LOCK) - -c requirements/dev.txt -o requirements/train.txt
	$(EXTRAS) serve | $(LOCK) - -c requirements/dev.txt -o requirements/serve.txt

# After a change to service/inference.proto. Needs grpcio-tools.
proto:
	$(RUN) -m grpc_tools.protoc -I service --descriptor_set_out=service/inference.binpb service/inference.proto

clean:
	rm -rf $(VENV)
