"""``python -m pipeline.command``, and the file that ``spark-submit`` takes where there is no ``jobs/``."""

from pipeline.command.main import main

if __name__ == "__main__":
    main()
