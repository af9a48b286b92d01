#!/bin/sh
# A standalone cluster on this machine, from the pip package alone: sh cluster/standalone.sh FOLDER WORKERS CORES MEMORY
# The master's and the workers' logs and work lie in FOLDER; `kill $(cat FOLDER/*.pid)` ends them.
set -eu
folder=${1:?a folder for logs and work} workers=${2:-2} cores=${3:-1} memory=${4:-2g}
spark=$(.venv/bin/python -m pyspark.find_spark_home)
JAVA_HOME=${JAVA_HOME:-$(.venv/bin/python -c 'from pipeline.java import use_java; print(use_java())')}
export JAVA_HOME SPARK_LOCAL_IP=127.0.0.1
mkdir -p "$folder"
begin() {
  name=$1
  shift
  nohup "$spark/bin/spark-class" "$@" >"$folder/$name.log" 2>&1 &
  echo $! >"$folder/$name.pid"
}
begin master org.apache.spark.deploy.master.Master --host 127.0.0.1 --port 7077 --webui-port 8080
until grep -q 'elected leader' "$folder/master.log"; do sleep 1; done
for number in $(seq "$workers"); do
  begin "worker-$number" org.apache.spark.deploy.worker.Worker --host 127.0.0.1 --cores "$cores" --memory "$memory" \
    --webui-port $((8080 + number)) --work-dir "$folder/work" spark://127.0.0.1:7077
done
echo "spark://127.0.0.1:7077, page http://127.0.0.1:8080"
