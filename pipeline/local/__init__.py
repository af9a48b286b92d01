"""A run's tasks on one machine without Java: what the stages use of Spark, by processes that are forked ahead.

``session.py`` stands for the SparkSession and ``rows.py`` for its DataFrames, as far as ``pipeline.buckets.spark`` and
the stages made of it need them: tasks that read and write with Arrow, and the shuffle between them. ``workers.py`` has
the processes, ``server.py`` is what they are forked from, and ``task.py`` what each of them does.
"""
