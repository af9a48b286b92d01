#!/bin/sh
# A run on Kubernetes: sh cluster/kubernetes.sh CONF IMAGE RECIPE INPUT OUTPUT [options of curate]
# KUBERNETES is the API server, such as https://host:6443. The recipe is one that the image has, or on a store.
set -eu
conf=$1 image=$2 recipe=$3 input=$4 output=$5
shift 5
export PATH="$PWD/.venv/bin:$PATH"
exec spark-submit --master "k8s://${KUBERNETES:?the API server}" --deploy-mode cluster \
  --name metaclip-pipeline --properties-file "$conf" \
  --packages org.apache.hadoop:hadoop-aws:3.5.0 --conf spark.jars.ivy=/tmp/ivy \
  --conf spark.kubernetes.container.image="$image" \
  --conf spark.kubernetes.namespace="${NAMESPACE:-spark}" \
  --conf spark.kubernetes.authenticate.driver.serviceAccountName="${ACCOUNT:-spark}" \
  --conf spark.kubernetes.executor.podTemplateFile=cluster/executor-pod.yaml \
  --conf spark.pyspark.python=/opt/environment/bin/python \
  local:///opt/jobs/curate.py --recipe "$recipe" --input "$input" --output "$output" "$@"
