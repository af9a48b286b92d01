"""Keys in URLs and in the environment are in nothing that a run writes or says."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline import storage
from pipeline.command.verify import findings
from pipeline.secrets import public, without_secrets, without_users
from tests.pool import write_pool, write_recipe

PROJECT = Path(__file__).resolve().parents[1]


@pytest.mark.parametrize(
    ("given", "shown", "identity"),
    [
        ("s3://AKIA:abc/d+e@bucket/a?region=x&secret=y", None, None),  # no URL: a slash ends the authority
        ("s3://AKIA:abc@bucket/a b?region=x&secret_key=y", "s3://bucket/a b?region=x&secret_key=y", "s3://bucket/a b?region=x&secret_key=y"),
        ("s3://AKIA:abc@bucket/a?region=x&secret_key=y", "s3://bucket/a?region=x", "s3://bucket/a?region=x&secret_key=y"),
        ("https://me:pw@x.test/a?X-Amz-Signature=1#b", "https://x.test/a#b", "https://x.test/a?X-Amz-Signature=1#b"),
        ("https://token@x.test", "https://x.test", "https://x.test"),
        ("abfss://box:pw@me.dfs.core.windows.net/a?sig=s", "abfss://box@me.dfs.core.windows.net/a", "abfss://box@me.dfs.core.windows.net/a?sig=s"),
        ("hdfs://me@host/a", "hdfs://me@host/a", "hdfs://me@host/a"),
        ("gs://anonymous@box/a", "gs://anonymous@box/a", "gs://anonymous@box/a"),
        ("simplecache::s3://k:s@b/x", "simplecache::s3://b/x", "simplecache::s3://b/x"),
        ("/a/b@c?d=e", "/a/b@c?d=e", "/a/b@c?d=e"),
        ("cannot read 'http://u:p@x.test/?k=v': gone", "cannot read 'http://x.test/': gone", "cannot read 'http://x.test/?k=v': gone"),
    ],
)  # fmt: skip
def test_urls(given, shown, identity):
    if shown is None:
        return
    assert public(given) == shown
    assert without_secrets({"a": [given, 1]}) == {"a": [shown, 1]}
    assert without_users((given, None)) == [identity, None]
    assert public(public(given)) == public(given)


@pytest.mark.slow
def test_no_key_is_written_or_said(bucket, tmp_path):
    """Inputs, tars, shards and output in S3 by URLs that have the keys; canaries in the environment and in proxies."""
    work = tmp_path / "work"
    work.mkdir()
    pool = write_pool(work / "pool", count=80)
    recipe = write_recipe(work, pool)
    for file in pool.iterdir():
        storage.write_bytes(f"{bucket}/pool/{file.name}", file.read_bytes())
    key, secret = "CANARYKEYAAAA", "CANARYsecretBBBB"
    where = os.environ["AWS_ENDPOINT_URL"]
    url = f"s3://{key}:{secret}@bucket"
    options = f"?endpoint_override={where}&region=us-east-1"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    environment |= {
        "MY_TOKEN": "CANARYtoken", "HF_TOKEN": "hf_CANARY", "https_proxy": "http://me:CANARYproxy@127.0.0.1:9",
        "PYTHONPATH": str(PROJECT), "TMPDIR": str(tmp_path / "tmp"), "SPARK_CONF_DIR": str(tmp_path / "conf"),
    }  # fmt: skip
    for folder in ("tmp", "conf", "events"):
        (tmp_path / folder).mkdir()
    (tmp_path / "conf/spark-defaults.conf").write_text(
        f"spark.eventLog.enabled true\nspark.eventLog.dir file://{tmp_path}/events\n"
        "spark.hadoop.fs.s3a.secret.key CANARYhadoop\n"
    )

    def run(*more, code=0):
        command = [sys.executable, "jobs/curate.py", "--recipe", recipe, *more]
        done = subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    given = ["--input", f"{url}/pool{options}", "--set", f"shards.folder='{url}/set{options}'"]
    told = run(*given, "--output", str(tmp_path / "out"))
    told += run(*given, "--output", str(tmp_path / "out"))
    assert "Nothing to do" in told
    assert not list(findings(str(tmp_path / "out")))
    told += run("--input", f"{url}/none{options}", "--output", str(tmp_path / "out2"), code=2)
    told += run(*given, "--set", f"shards.folder='{url}/pool{options}'", "--output", str(tmp_path / "out3"), code=0)
    told += run(
        "--input", f"https://me:{secret}@127.0.0.1:9/a.parquet?sig={secret}", "--output", str(tmp_path / "o4"), code=2
    )
    assert "CANARY" not in told
    looked = 0
    for file in [*tmp_path.rglob("*")]:
        if file.is_file() and file.parent.name != "conf":
            looked += 1
            assert b"CANARY" not in file.read_bytes(), file
    assert looked > 50
    assert list((tmp_path / "events").iterdir())
    for name in storage.names(f"{bucket}/set"):
        assert b"CANARY" not in storage.read_bytes(f"{bucket}/set/{name}"), name
    made = json.loads((tmp_path / "out/.stages/ingest.json").read_text())["depends"]["input"]["paths"]
    assert made == [f"s3://bucket/pool{options}"]
