# Everything runs in .venv, from hashed pins; nothing is installed outside of it but the jars in ~/.m2.
.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules --no-print-directory

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
PYTEST := $(BIN)/python -m pytest
# Test processes at once; each has a Spark, a PostgreSQL and an AWS of its own (3 GiB).
WORKERS ?= 2
# Settings of `make demo`: MSD's CSV or track_metadata.db, and the number of days. Empty: the command's own defaults.
SONGS ?=
DAYS ?=
# Of `make benchmark`: names of benchmarks and options, as benchmarks/suite.py takes them. Empty: all.
BENCHMARK ?=
# The one tag of all images, and the version that `make release` gives them.
TAG ?= dev
VERSION ?=

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

##### Use

.PHONY: setup
setup: $(VENV)/.project ## Make .venv from hashed pins (done once); mend a copied one
	@if [ -L $(VENV) ]; then echo "note: $(VENV) is a link to $(HERE): its commands run the code beside that, not this"; fi

.PHONY: spark
spark: setup $(VENV)/.spark ## Add Spark, its Java and its jars: for DEFTUNES_ENGINE=spark, `maintain`, and the tests

.PHONY: demo
demo: setup ## Run the whole platform once on this machine: [SONGS=file] [DAYS=number]
	$(BIN)/deftunes demo $(if $(SONGS),--songs "$(SONGS)") $(if $(DAYS),--days "$(DAYS)")

.PHONY: down
down: setup ## Stop the embedded services; their data stays in .deftunes
	$(BIN)/deftunes down

##### Images

.PHONY: images
images: ## Build every image under one tag: [TAG=tag]
	DEFTUNES_RELEASE=$(TAG) DEFTUNES_REVISION=$$(git rev-parse HEAD) \
	  DEFTUNES_SOURCE=$$(git config --get remote.origin.url | sed 's,//[^/@]*@,//,' || echo unknown) \
	  docker buildx bake --file compose.yaml --file docker-bake.hcl --load images

.PHONY: release
release: ## Build and tag the images of a release, and give CHANGELOG.md its heading: VERSION=x.y.z
	@refuse() { echo "make release: $$1" >&2; exit 1; }; \
	[[ "$(VERSION)" =~ ^[0-9]+\.[0-9]+\.[0-9]+$$ ]] || refuse "expected VERSION=x.y.z, got '$(VERSION)'"; \
	[ -z "$$(git status --porcelain)" ] || refuse "expected a tree without changes: commit or drop what git status shows"; \
	! grep -qF "## $(VERSION) " CHANGELOG.md || refuse "CHANGELOG.md has $(VERSION) already: choose the next version"; \
	built=$$(docker image inspect --format '{{index .Config.Labels "org.opencontainers.image.revision"}}' deftunes/extract:$(VERSION) 2>/dev/null || true); \
	[ -z "$$built" ] || [ "$$built" = "$$(git rev-parse HEAD)" ] || refuse "images of $(VERSION) are there already, of $$built: choose the next version"
	$(MAKE) images TAG=$(VERSION)
	sed -i "s/^## Unreleased$$/&\n\n## $(VERSION) - $$(date -u +%F)/" CHANGELOG.md
	@echo "Commit CHANGELOG.md and tag it: git commit -m 'Release $(VERSION)' CHANGELOG.md && git tag v$(VERSION)"

##### Develop

.PHONY: pictures
pictures: setup ## Take the pictures of README and docs, of the platform on Docker; starts what is not up
	$(BIN)/python docs/pictures/take.py

.PHONY: test
test: lint $(VENV)/.checkov $(VENV)/.airflow ## Lint, types and all tests but drills and those that need Docker, fast ones first
	MYPYPATH=dags $(BIN)/mypy --cache-dir .mypy_cache/airflow --python-executable $(VENV)/airflow/bin/python dags
	$(PYTEST) -n $(WORKERS) --dist loadgroup --no-loadscope-reorder -m "not docker and not drill"

.PHONY: test-unit
test-unit: spark ## Tests that need no network and no JVM
	$(PYTEST) tests/unit

.PHONY: deploy
deploy: setup ## Bring a release to AWS, images and what Glue runs: E=dev|prod TAG=x.y.z
	$(BIN)/python release/deploy.py --environment "$(E)" --release "$(TAG)"

.PHONY: smoke
smoke: spark images ## One day through both DAGs in containers (needs Docker)
	DEFTUNES_E2E_RELEASE=$(TAG) $(PYTEST) -m docker tests/e2e/test_images.py tests/e2e/test_demo.py

.PHONY: e2e
e2e: spark images ## Everything in containers: the demo, reruns, kills and restarts; forty minutes (needs Docker)
	DEFTUNES_E2E_RELEASE=$(TAG) $(PYTEST) -m docker tests/e2e

.PHONY: drills
drills: spark ## Every order of intervals, every bad record, every kill -9, two runs at once, a busy S3: half an hour
	$(PYTEST) -n $(WORKERS) --dist loadgroup --no-loadscope-reorder -m drill tests/drills

.PHONY: benchmark
benchmark: spark $(VENV)/.benchmark ## The platform beside what others would use, in one table: [BENCHMARK="NAME --option ..."]
	PYTHONPATH=benchmarks:tests $(BIN)/python benchmarks/suite.py $(BENCHMARK)

.PHONY: world
world: setup ## Draw the board's world map again, after its geometry or the drawing library changed
	$(BIN)/python release/world.py

.PHONY: lint
lint: spark ## Style, import directions, types, SQL
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/mypy
	$(BIN)/sqlfluff lint --disable-progress-bar dbt_modeling/models dbt_modeling/tests

.PHONY: format
format: setup ## Put the code in its format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

.PHONY: lock
lock: ## Pin every package anew (needs uv), to be reviewed like code
	@command -v uv >/dev/null || { echo "make lock needs uv: python -m pip install uv" >&2; exit 1; }
	$(LOCK) $(EXTRAS:%=--extra %) --output-file requirements.txt pyproject.toml
	$(LOCK) --constraints requirements.txt --extra spark --extra java --output-file requirements-spark.txt pyproject.toml
	$(LOCK) --extra benchmark --output-file requirements-benchmark.txt pyproject.toml
	$(LOCK) --constraints requirements.txt --output-file requirements-build.txt requirements-build.in
	$(LOCK) --output-file terraform/requirements-checkov.txt terraform/requirements-checkov.in
	$(LOCK) --constraints requirements.txt --output-file terraform/requirements-glue.txt terraform/requirements-glue.in
	$(LOCK) --constraints requirements.txt --extra extract --output-file images/extract/requirements.txt pyproject.toml
	$(LOCK) --constraints requirements.txt --extra transform --output-file images/transform/requirements.txt pyproject.toml
	$(LOCK) --constraints requirements.txt --constraints requirements-spark.txt --extra transform --extra spark \
	  --output-file images/glue/requirements.txt pyproject.toml
	$(LOCK) --constraints requirements.txt --extra load --extra model --output-file images/dbt/requirements.txt pyproject.toml
	$(LOCK) --constraints requirements.txt --constraints requirements-spark.txt --extra board --extra extract \
	  --extra transform --extra spark --extra load --extra model \
	  --output-file images/cli/requirements.txt pyproject.toml
	$(LOCK) --constraints requirements.txt --extra aws-local --output-file images/aws-local/requirements.txt pyproject.toml
	$(LOCK) --constraints requirements.txt --output-file images/purchase-api/requirements.txt images/purchase-api/requirements.in
	$(LOCK) --output-file images/superset/requirements.txt images/superset/requirements.in
	$(LOCK) --output-file tests/e2e/browser/requirements.txt tests/e2e/browser/requirements.in
	$(LOCK) --exclude-newer 2025-08-30 --output-file images/airflow/requirements.txt images/airflow/requirements.in

# All but spark and its Java, which are a file of their own: the demo needs none of it.
EXTRAS := extract transform load model board embedded sources aws-local dev
LOCK := uv pip compile --quiet --upgrade --generate-hashes --python-version 3.11 --no-header --no-annotate \
	--no-strip-extras --no-emit-index-url --no-emit-find-links

.PHONY: clean
clean: ## Stop the embedded services and delete their data, the caches and what was built
	if [ -x $(BIN)/deftunes ]; then $(BIN)/deftunes down; fi
	rm -rf .deftunes .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis build dist
	rm -rf dbt_modeling/target dbt_modeling/logs

.PHONY: distclean
distclean: clean ## The same, and .venv
	rm -rf $(VENV) deftunes.egg-info

##### How .venv comes to be

$(VENV)/bin/python:
	@python=; \
	for candidate in python3.11 python3; do \
	  if $$candidate -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null; then python=$$candidate; break; fi; \
	done; \
	if [ -z "$$python" ]; then \
	  echo "expected Python 3.11 as python3.11 or python3, found $$(python3 --version 2>&1 || true). Install it (Debian, Ubuntu: python3.11 and python3.11-venv), then run make again" >&2; \
	  exit 1; \
	fi; \
	echo "making $(VENV) with $$($$python --version)"; \
	$$python -m venv --clear $(VENV)

# The tools that build source packages first: pip would fetch them unpinned into an environment of its own.
$(VENV)/.packages: requirements.txt requirements-build.txt | $(VENV)/bin/python
	@echo "installing the pinned packages into $(VENV), which takes minutes the first time"
	$(PIP) install --require-hashes --no-deps --only-binary :all: -r requirements-build.txt
	$(PIP) install --require-hashes --no-deps --no-build-isolation --no-compile -r requirements.txt
	@touch $@

# It names itself by absolute paths, so in a checkout that was copied or moved its commands run the code of the first
# one, or nothing. `command` in pyvenv.cfg says where it was made; a link to that of another checkout stays as it is.
HERE := $(shell cd $(VENV) 2>/dev/null && pwd -P)
MADE_AT := $(shell sed -n 's/^command = .* -m venv --clear //p' $(VENV)/pyvenv.cfg 2>/dev/null)
define RELOCATE
import os, pathlib, sys
old, new = (os.fsencode(path) for path in sys.argv[1:])
venv = pathlib.Path(sys.argv[2])
(venv / ".project").unlink(missing_ok=True)  # so that the project is installed anew even if this is interrupted
for path in (*venv.glob("bin/*"), *venv.glob("*/bin/*"), *venv.glob("*/*.cfg"), venv / "pyvenv.cfg"):
    text = b"" if path.is_symlink() or path.is_dir() else path.read_bytes()
    if old + b"/" in text.replace(b"\n", b"/") and b"\0" not in text:
        # Not in place: the file may be a hard link that a copy shares with the first checkout.
        temporary = path.with_name(path.name + ".new")
        temporary.write_bytes(text.replace(old, new))
        temporary.chmod(path.stat().st_mode)
        temporary.replace(path)
endef
export RELOCATE

ifneq "$(or $(MADE_AT),$(HERE))" "$(HERE)"
.PHONY: relocated
relocated:
	@echo "$(VENV) was made at $(MADE_AT): setting its paths to where it is now"
	@$(BIN)/python -c "$$RELOCATE" "$(MADE_AT)" "$(HERE)"
$(VENV)/.project: relocated
endif

$(VENV)/.project: pyproject.toml $(VENV)/.packages
	$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.spark: requirements-spark.txt jobs/deftunes/adapters/jars.txt $(VENV)/.project
	@echo "installing Spark into $(VENV) and fetching its jars into ~/.m2"
	$(PIP) install --require-hashes --no-deps --no-build-isolation --no-compile -r $<
	$(BIN)/python -m deftunes.adapters.jars
	@touch $@

# The scanner of Terraform pins what the platform pins otherwise, so it lives by itself.
$(VENV)/.checkov: terraform/requirements-checkov.txt $(VENV)/bin/python
	$(BIN)/python -m venv $(VENV)/checkov
	$(VENV)/checkov/bin/python -m pip --disable-pip-version-check --quiet install --require-hashes -r $<
	@touch $@

# What the benchmarks compare with pins other versions of what the platform uses.
$(VENV)/.benchmark: requirements-benchmark.txt $(VENV)/bin/python
	@echo "installing what the benchmarks compare with into $(VENV)/benchmark, which takes a minute the first time"
	$(BIN)/python -m venv --clear $(VENV)/benchmark
	$(VENV)/benchmark/bin/python -m pip --disable-pip-version-check --quiet install --require-hashes --no-deps --only-binary :all: -r $<
	@touch $@

# Airflow as well. Its empty database is made once: the tests copy it.
$(VENV)/.airflow: images/airflow/requirements.txt $(VENV)/bin/python
	@echo "installing Airflow into $(VENV)/airflow, which takes a minute the first time"
	$(BIN)/python -m venv --clear $(VENV)/airflow
	$(VENV)/airflow/bin/python -m pip --disable-pip-version-check --quiet install --require-hashes --no-deps --only-binary :all: -r $<
	AIRFLOW_HOME=$(CURDIR)/$(VENV)/airflow $(VENV)/airflow/bin/airflow db migrate >/dev/null
	@touch $@
