# Every target does its own set-up; `make` alone explains them.
SHELL := bash
.DEFAULT_GOAL := help
.PHONY: help setup demo test fmt lint type bench chaos pins kafka broker

python := .venv/bin/python
pytest := $(python) -m pytest
KILLS ?= 200
SEED ?= 1

help: ## Show this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 10

setup: ## Install everything into .venv (needs only Python 3.11+)
	@scripts/setup.sh

demo: setup ## See it work: embedded broker, simulated provider, a storm, the accounts
	@.venv/bin/llm-stream demo

test: setup kafka lint type ## Run every check and every test, nothing skipped (needs Java 17+ and Maven too)
	@KILLS=12 $(pytest) -n 2 --dist loadfile

fmt: setup ## Format the code and repair what can be repaired
	@.venv/bin/ruff format .
	@.venv/bin/ruff check --fix .

lint: setup ## Check style, formatting and the direction of imports
	@.venv/bin/ruff check --quiet .
	@.venv/bin/ruff format --check --quiet .
	@.venv/bin/lint-imports --no-cache >/dev/null || .venv/bin/lint-imports --no-cache

type: setup ## Check types
	@.venv/bin/mypy --no-error-summary

bench: setup kafka ## Measure: throughput, latency, memory, against references run beside it
	@$(python) -m benchmarks

chaos: setup kafka ## Kill workers and count what is lost or doubled: make chaos KILLS=200 SEED=1
	@$(python) -m tests.chaos --kills $(KILLS) --seed $(SEED)

pins: setup ## Renew requirements/*.txt; UPGRADE=1 moves every pin to its newest release
	@scripts/pins.sh

broker: setup kafka ## Run a Kafka at localhost:9092 to try things with, until Ctrl-C (needs Java 17+ and Maven)
	@$(python) scripts/run_kafka.py

kafka: setup
	@$(python) scripts/fetch_kafka.py
