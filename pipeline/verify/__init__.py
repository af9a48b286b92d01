"""Checking a finished set against its manifest and itself. A check yields a line for each thing that is wrong."""
