"""URLs without what opens them, for all that is written or said: no user, no password, no key.

Who runs a recipe again gives keys as its store takes them: in the environment, or in the URL once more.
"""

import re
from typing import Any

URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*(?:::[A-Za-z][A-Za-z0-9+.-]*)*://[^\s'\"<>`|]+")
_USER = re.compile(r"([A-Za-z0-9+.-]+://)([^/?#\s]*)@")
# Where what is before the @ is a container or a name that all may know; what follows its colon is not.
NAMED = ("abfs", "abfss", "hdfs", "viewfs", "wasb", "wasbs", "sftp", "ssh")
_QUERY = re.compile(r"\?([^#]*)")
# The options of Arrow's stores that say where a store is and how it is asked. Values of all others may be keys.
HARMLESS = {
    "allow_bucket_creation", "allow_bucket_deletion", "background_writes", "blob_storage_authority",
    "blob_storage_scheme", "buffer_size", "check_directory_existence_before_creation", "default_block_size",
    "default_bucket_location", "dfs_storage_authority", "dfs_storage_scheme", "enable_tls", "endpoint_override",
    "project_id", "region", "replication", "retry_limit_seconds", "scheme", "tls_verify_certificates",
}  # fmt: skip


def public(text: str) -> str:
    """A text whose URLs have neither user and password nor options that may be keys."""
    return URL.sub(lambda found: _public_url(found.group()), text) if "://" in text else text


def without_secrets(value: Any) -> Any:
    """Plain values, nested in lists and mappings, with every text as ``public`` gives it."""
    if isinstance(value, str):
        return public(value)
    if isinstance(value, dict):
        return {key: without_secrets(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [without_secrets(inner) for inner in value]
    return value


def without_users(value: Any) -> Any:
    """As ``without_secrets``, but with the options of a URL: they say which file it is."""
    if isinstance(value, str):
        return without_user(value) if "://" in value else value
    if isinstance(value, dict):
        return {key: without_users(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [without_users(inner) for inner in value]
    return value


def _public_url(url: str) -> str:
    return _QUERY.sub(_harmless, without_user(url), count=1)


def without_user(url: str) -> str:
    """A URL without its user and password, but with a container that stands in their place."""
    return _USER.sub(_named, url)


def _named(found: re.Match[str]) -> str:
    scheme, user = found.groups()
    open_to_all = user == "anonymous" or scheme.removesuffix("://").lower() in NAMED
    name = user.partition(":")[0] if open_to_all else ""
    return f"{scheme}{name}@" if name else scheme


def _harmless(query: re.Match[str]) -> str:
    kept = [option for option in query[1].split("&") if option.partition("=")[0] in HARMLESS]
    return "?" + "&".join(kept) if kept else ""
