"""``metaclip-pipeline entries build`` for ``spark-submit``: an entry list of WordNet, Wikipedia and others."""

from pipeline.command.main import run_job

if __name__ == "__main__":
    run_job("entries", "build")
