#!/bin/sh
# A run on YARN: sh cluster/yarn.sh CONF RECIPE INPUT OUTPUT [options of curate]
# Before: make package, and HADOOP_CONF_DIR. The driver runs here; executors unpack the environment where they start.
set -eu
conf=$1 recipe=$2 input=$3 output=$4
shift 4
export PATH="$PWD/.venv/bin:$PATH"
exec spark-submit --master yarn --deploy-mode client --properties-file "$conf" \
  --archives output/environment.tar.gz#environment \
  --conf spark.pyspark.python=./environment/bin/python \
  --conf spark.pyspark.driver.python="$PWD/.venv/bin/python" \
  jobs/curate.py --recipe "$recipe" --input "$input" --output "$output" "$@"
