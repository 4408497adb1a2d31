# Everything the project needs is installed by `make`: nothing by hand.
PYTHON ?= python3
BIN := .venv/bin
DEMO := runs/demo
PYTEST := $(BIN)/python -P -m pytest
# cuda, or cpu: the same versions without CUDA's libraries
VARIANT ?= cuda
IMAGE ?= augrgb$(if $(filter-out cuda,$(VARIANT)),:$(VARIANT))
# more words for `docker build`, such as --network=host or --build-arg BASE_IMAGE=...
IMAGE_OPTIONS ?=

# child processes never import from the current folder
export PYTHONSAFEPATH := 1

.PHONY: help install demo test check test-fast test-slow image image-test weights lock clean docs figures screenshots

help:
	@echo "make demo       render practice videos, run the whole pipeline on them, show the results"
	@echo "make test       lint, types, import rules, tests"
	@echo "make test-slow  tests that take minutes"
	@echo "make check      lint, types and import rules alone"
	@echo "make image      build the Docker image (VARIANT=cpu: without CUDA); make image-test runs it, too"
	@echo "make docs       build the documentation: runs/docs/index.html"
	@echo "make figures    the documentation's pictures that are made of the demo; make screenshots: of its page"
	@echo "make weights    train the small weights that ship in the package (two hours on 2 cores)"
	@echo "make lock       resolve requirements/augrgb.in anew"
	@echo "make clean      remove what make made: .venv, runs, caches"

install: .venv/installed

# The lock is complete and hash-pinned, so it is installed as it is, without dependency resolution.
.venv/installed: requirements/augrgb.lock requirements/uv.lock setup.cfg pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "augrgb needs Python 3.11 or newer")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements/uv.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --require-hashes -r requirements/augrgb.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	PYTHONPATH=$(CURDIR) $(BIN)/python -P -m scripts.compiled
	@touch $@

demo: install
	$(BIN)/augrgb synth $(DEMO)/practice --seconds 16
	$(BIN)/augrgb run $(DEMO)/practice --annotations $(DEMO)/practice/labels.csv --out $(DEMO)/out --preset tiny \
	  --teachers flow,skeleton
	@echo "scores: $(DEMO)/out/scores   page: $(DEMO)/out/report/index.html"

test: check test-fast

check: install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test-fast: install
	$(PYTEST) -m "not slow" -n 2

test-slow: install
	$(PYTEST) -m slow

image:
	docker build $(IMAGE_OPTIONS) --build-arg VARIANT=$(VARIANT) --tag $(IMAGE) .
	@docker image inspect --format '$(IMAGE): {{.Size}} bytes' $(IMAGE)

image-test: install image
	AUGRGB_IMAGE=$(IMAGE) $(PYTEST) tests/test_image.py

docs: install
	$(BIN)/sphinx-build -W --keep-going -q -j auto docs runs/docs
	@echo "runs/docs/index.html"

# the pictures of README and docs that are made of figures and of the demo
figures: export PYTHONPATH := $(CURDIR)
figures: demo
	$(BIN)/python -P -m scripts.figures --demo $(DEMO) --to docs/images

# pictures of the demo's page; needs Chromium
screenshots: export PYTHONPATH := $(CURDIR)
screenshots: demo
	$(BIN)/augrgb report $(DEMO)/out
	$(BIN)/python -P -m scripts.screenshots $(DEMO)/out --to docs/images

# Each step goes on where it was stopped; flow needs the flow network, pose is measured with the detector.
weights: export PYTHONPATH := $(CURDIR)
weights: install
	$(BIN)/python -P -m scripts.pretrain_rgb --work runs/pretrain
	$(BIN)/python -P -m scripts.train_raft --work runs/train_raft
	$(BIN)/python -P -m scripts.pretrain_flow --work runs/pretrain_flow
	$(BIN)/python -P -m scripts.train_detector --work runs/people
	$(BIN)/python -P -m scripts.train_pose --work runs/people
	$(BIN)/python -P -m scripts.train_gcn --work runs/train_gcn

lock: install
	$(BIN)/uv pip compile requirements/augrgb.in --override requirements/overrides.txt --python-version 3.11 \
	  --generate-hashes --no-emit-index-url --no-header --quiet --upgrade -o requirements/augrgb.lock
	$(BIN)/uv pip compile setup.cfg --extra pose --extra ray --constraint requirements/augrgb.lock \
	  --override requirements/overrides.txt --python-version 3.11 --generate-hashes --no-emit-index-url \
	  --no-header --quiet --upgrade -o requirements/image.lock
	grep -A 40 '^uv==' requirements/augrgb.lock | sed '/^uv==/b; /^    --hash/b; q' | sed '$$d' > requirements/uv.lock

clean:
	rm -rf .venv runs build dist *.egg-info .mypy_cache .ruff_cache .import_linter_cache .pytest_cache .hypothesis
