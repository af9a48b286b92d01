"""The errors that a user sees: one line each, with the exit code that it ends a job with."""


class PipelineError(Exception):
    """A run that failed. The message is one line; the job ends with exit code 1."""

    exit_code = 1


class UsageError(PipelineError):
    """Wrong usage or configuration: names the option, what was found and what is allowed. Exit code 2."""

    exit_code = 2
