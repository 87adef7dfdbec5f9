# Everfix. `make help` lists the commands; each sets up what it needs.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
BIN := .venv/bin
ENV := .venv/.stamp
PORT ?= 4000
WORKERS ?= 2

.PHONY: help env assets demo serve test check format docs bench bench-scale bench-learn bench-quality bench-proof lock clean

help: ## list the commands
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 16

env: $(ENV) assets ## create or update .venv and the page assets

$(ENV): requirements.lock pyproject.toml scripts/environment
	scripts/environment
	touch $@

assets: $(ENV) ## build the pages' one script bundle (seconds; nothing when unchanged)
	$(BIN)/python -m everfix.web.assets

demo: env ## everything from a fresh clone: a simulated company through the loop to the first report, then serve on :4000
	$(BIN)/everfix demo --port $(PORT)

serve: env ## serve your own failures on :4000
	$(BIN)/everfix serve --port $(PORT)

test: env ## everything from a fresh clone: all tests, browser tests included
	scripts/browser
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile

check: env ## what a reviewer would say first: lint, format and types
	$(BIN)/ruff check everfix tests bench
	$(BIN)/mypy

docs: env ## write docs/reference from the code
	$(BIN)/everfix docs --out docs/reference

bench: env ## measure beside the peers, write bench/results.md
	$(BIN)/python -m bench.run

bench-scale: env ## a million issues in fifty workspaces: every list, search and act, write bench/scale.md and bench/plans.md (some minutes)
	EVERFIX_BENCH_ISSUES=$${EVERFIX_BENCH_ISSUES:-1000000} $(BIN)/python -m bench.scale

bench-learn: env ## what one more failure costs among ten thousand, a hundred thousand and a million, write bench/learn.md (some minutes)
	EVERFIX_BENCH_LEARN=$${EVERFIX_BENCH_LEARN:-10000,100000,1000000} $(BIN)/python -m bench.scale_learn

bench-quality: env ## score forecasts, grouping, fixes and their cost on the public sets, write bench/quality.md
	$(BIN)/python -m bench.quality

bench-proof: env ## how many verdicts on fixes are right and how soon, write bench/proof.md
	$(BIN)/python -m bench.proof

lock: $(ENV) ## resolve the dependencies anew (needs `uv` on the path)
	uv pip compile pyproject.toml --extra dev --extra ml --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate -o requirements.lock

clean: ## remove what the commands above made (your data in everfix-data stay)
	rm -rf .venv node_modules everfix/web/static/dist out build *.egg-info .pytest_cache .mypy_cache .ruff_cache
