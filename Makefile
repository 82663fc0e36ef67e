# Raw order events in Google Cloud Storage to dimension tables in BigQuery. `make help` lists the targets.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# Configuration: the environment, then the file that ENV names.
PYTHON ?= python3.11
ENV ?= local.env
PWD := $(CURDIR)
$(if $(wildcard $(ENV)),,$(error $(ENV) does not exist: copy gcp.env.sample to it and fill it in))
# (a value may use one above it)
$(foreach line,$(shell sed -n 's/^\([A-Z_]*\)=\(.*\)$$/\1?=\2/p' $(ENV)),$(eval $(line)))
export $(shell sed -n 's/^\([A-Z_]*\)=.*$$/\1/p' $(ENV))
export SQL FORCE
export PYTHONPATH := $(CURDIR):$(CURDIR)/spark
# Nothing calls home.
export DBT_SEND_ANONYMOUS_USAGE_STATS := false
export GX_ANALYTICS_ENABLED := False
export SPARK_LOCAL_IP ?= 127.0.0.1

MAIN := .venv/main/bin
UV := .venv/uv/bin/uv

WINDOW = $(if $(FROM),--from $(FROM)) $(if $(TO),--to $(TO))

##@ Run

.PHONY: help
help: ## List the targets
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} /^[a-z-]+:.*## / {printf "  %-12s %s\n", $$1, $$2}' Makefile

.PHONY: pipeline
pipeline: up ## From what is new in raw events to published tables; makes events if there are none [FROM=2026-01-03T00 TO=]
	@$(MAIN)/python -m events --if-none
	@$(MAIN)/python -m pipeline $(WINDOW)

.PHONY: events
events: up ## Make raw events [ROWS=20000 SEED=1 HOURS=6 START=2026-01-03T00], or import the DataCo CSV [CSV=path]
	@$(MAIN)/python -m events $(if $(ROWS),--rows $(ROWS)) $(if $(SEED),--seed $(SEED)) $(if $(HOURS),--hours $(HOURS)) \
		$(if $(START),--start $(START)) $(if $(CSV),--csv "$(CSV)")

.PHONY: query
query: up ## Ask the warehouse [SQL='select ...']
	@$(MAIN)/python -m pipeline.query "$$SQL"

.PHONY: quarantine
quarantine: up ## Show the rows that were set aside, or write them to a file [EXPORT=rows.jsonl REASON='order_status is']
	@$(MAIN)/python -m pipeline.quarantine $(if $(EXPORT),--export "$(EXPORT)" --reason "$(REASON)")

.PHONY: replay
replay: up ## Run again what was set aside, after the contract changed or with corrected rows [FILE=rows.jsonl]
	@$(if $(FILE),$(MAIN)/python -m pipeline.quarantine --correct "$(FILE)")
	@$(MAIN)/python -m pipeline --replay

.PHONY: backfill
backfill: up ## Make a long range of hours anew in steps; the same command goes on where it stopped [FROM= TO= DAYS=31]
	@$(MAIN)/python -m pipeline.backfill $(WINDOW) $(if $(DAYS),--days $(DAYS))

.PHONY: summary
summary: up ## Count everything there is, by stage
	@$(MAIN)/python -m pipeline --only summary

##@ One stage

.PHONY: dimensions load transform quality publish
dimensions: up ## Spark: raw events to the Parquet of the dimensions [FROM= TO=]
load: up ## Mage: Parquet to BigQuery staging [FROM= TO=]
transform: up ## dbt: staging to the candidate dimensions, tested [FROM= TO= FULL=1]
quality: up ## Great Expectations: the gate over the candidate
publish: up ## dbt: the checked candidate to the warehouse [FORCE='why publish what the gate did not pass']
dimensions load transform quality publish:
	@$(MAIN)/python -m pipeline --only $@ $(WINDOW) $(if $(FULL),--full) $(if $(FORCE),--force "$$FORCE")

.PHONY: rollback
rollback: up ## Put back what was published before the last run
	@$(MAIN)/python -m pipeline --only rollback

##@ Check

.PHONY: test
test: setup ## Run every test, on servers that the tests start themselves [ONLY=tests/spark DATACO_SAMPLE=csv]
	@$(MAIN)/python -m pytest $(ONLY)

.PHONY: lint
lint: setup ## ruff, mypy, sqlfluff, and dbt-bouncer: a description, contract and test for every model
	@$(MAIN)/ruff format --check .
	@$(MAIN)/ruff check .
	@$(MAIN)/mypy
	@$(MAIN)/sqlfluff lint --disable-progress-bar dbt_project/models
	@DBT_TARGET_PATH=$(CURDIR)/build/lint DBT_LOG_PATH=$(CURDIR)/build/lint $(MAIN)/dbt --quiet parse --project-dir dbt_project --profiles-dir dbt_project
	@$(MAIN)/dbt-bouncer run --config-file dbt_project/dbt-bouncer.yml

.PHONY: freshness
freshness: up ## Whether staging was loaded lately: a warning after a day, an error after a week
	@DBT_TARGET_PATH=$(BUILD_DIR)/freshness DBT_LOG_PATH=$(BUILD_DIR)/logs/dbt $(MAIN)/dbt --no-use-colors source freshness \
		--project-dir dbt_project --profiles-dir dbt_project

.PHONY: bench
bench: setup ## Measure how time, bytes and memory grow; an hour on 2 cores [BENCH='--windows 1 10 --full 200000']
	@$(MAIN)/python -m tests.bench.growth $(BENCH)

.PHONY: docs
docs: up ## Write dbt's documentation as one page, with lineage
	@PYTHONWARNINGS=ignore DBT_TARGET_PATH=$(BUILD_DIR)/dbt DBT_LOG_PATH=$(BUILD_DIR)/logs/dbt $(MAIN)/dbt --quiet docs generate --static \
		--project-dir dbt_project --profiles-dir dbt_project
	@echo "open $(BUILD_DIR)/dbt/static_index.html"

.PHONY: fields
fields: setup ## Write the descriptions of dimensions.toml into dbt's doc blocks
	@$(MAIN)/python -c "from gcs_export_pipeline import declaration; print(declaration.doc_blocks(), end='')" > dbt_project/models/fields.md

##@ Local platform

.PHONY: up
up: setup ## Start the emulators of Cloud Storage and BigQuery
	@$(if $(STORAGE_EMULATOR_HOST),.venv/emulators/bin/python -m emulators up)

.PHONY: down
down: ## Stop the emulators; their data stays
	@[ ! -x .venv/emulators/bin/python ] || .venv/emulators/bin/python -m emulators down

.PHONY: mage
mage: up ## Open Mage's UI with the pipeline [http://127.0.0.1:6789]
	@# No sign-in: it listens on this machine alone.
	@MAGE_DATA_DIR=$(BUILD_DIR)/mage REQUIRE_USER_AUTHENTICATION=0 exec .venv/mage/bin/mage start mage --host 127.0.0.1 --port 6789

.PHONY: clean-data
clean-data: down ## Delete the local platform's data and what runs wrote; Google Cloud is not touched
	@rm -rf "$(LOCAL_STATE_DIR)" "$(BUILD_DIR)"

.PHONY: status
status: setup ## Show what runs where
	@.venv/emulators/bin/python -m emulators status

##@ Set-up

.PHONY: setup
setup: prerequisites .venv/main/.installed .venv/mage/.installed .venv/emulators/.installed .venv/jars/.installed ## Install what the project needs (the other targets do it by themselves)

.PHONY: prerequisites
prerequisites:
	@command -v $(PYTHON) >/dev/null && $(PYTHON) -c 'import sys, venv; sys.exit(sys.version_info[:2] != (3, 11))' || { \
		echo "Python 3.11 is missing: apt-get install python3.11 python3.11-venv; if it is there by another name: make PYTHON=name" >&2; exit 1; }
	@java -version 2>&1 | grep -q 'version "17' || { \
		echo "Java 17 is missing: apt-get install openjdk-17-jre-headless, and have it first on PATH" >&2; exit 1; }

$(UV): requirements/uv.txt
	@echo "installing uv"
	@$(PYTHON) -m venv --clear .venv/uv
	@.venv/uv/bin/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/uv.txt
	@touch $@

.venv/%/.installed: requirements/%.txt | $(UV)
	@echo "installing the environment $*"
	@[ -x .venv/$*/bin/python ] || $(UV) venv --quiet --python $(PYTHON) .venv/$*
	@$(UV) pip sync --quiet --compile-bytecode --require-hashes --python ./.venv/$*/bin/python requirements/$*.txt
	@touch $@

.venv/jars/.installed: requirements/jars.ivy.xml requirements/jars.ivysettings.xml requirements/jars.sha256 .venv/main/.installed
	@echo "installing the Cloud Storage connector of Spark"
	@rm -rf .venv/jars
	@java -cp ".venv/main/lib/python3.11/site-packages/pyspark/jars/*" org.apache.ivy.Main -warn \
		-settings requirements/jars.ivysettings.xml -ivy requirements/jars.ivy.xml -cache .venv/ivy \
		-retrieve '.venv/jars/[artifact]-[revision](-[classifier]).[ext]' > .venv/ivy.log 2>&1 || { cat .venv/ivy.log; exit 1; }
	@cd .venv/jars && sha256sum --check --quiet $(CURDIR)/requirements/jars.sha256
	@touch $@

.PHONY: clean
clean: clean-data ## Delete that, and the environments
	@rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .hypothesis

.PHONY: lock
lock: $(UV) ## Compile the lock files anew from pyproject.toml
	@for group in main mage emulators; do \
		$(UV) pip compile --quiet --group $$group --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
			-o requirements/$$group.txt; done
