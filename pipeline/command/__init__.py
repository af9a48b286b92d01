"""The command ``metaclip-pipeline``: what the files in ``jobs/`` and the targets of ``make`` run, by name.

``table.py`` lists the commands; a module is imported when its command is asked for.
"""
