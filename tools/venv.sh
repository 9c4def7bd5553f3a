#!/bin/sh
# Set up .venv with what requirements-$1.txt lists: once, and again when a list or the Python has changed.
# With `auto` it is .venv-auto, with what untraced/requirements.txt lists. Without $1 it is .venv, and stays empty.
#
# PYTHON names the Python. Without it the one that is there stays, and a new one gets python3, or the newest that is on
# the PATH where python3 will not do. (.venv-auto gets that of .venv.)
set -eu
cd "$(dirname "$0")/.."

# nx-27017 is not said to run on Python 3.15, and does, so no list can name it for that one.
venv=.venv list=requirements-${1:-}.txt constraints=constraints.txt unlisted=nx-27017
if [ "${1:-}" = auto ]; then
  venv=.venv-auto list=untraced/requirements.txt constraints=untraced/constraints.txt unlisted=
  [ -n "${PYTHON:-}" ] || [ ! -x .venv/bin/python ] || PYTHON=.venv/bin/python # what is compared runs on one Python
fi

# Two makes in one clone take turns. (Where there is no flock, as on macOS, run one at a time.)
if command -v flock > /dev/null; then
  exec 9< tools/venv.sh
  flock 9
fi

will_do() {
  "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 16))' 2> /dev/null
}

which_python() { # where it is installed, and its version
  "$1" -c 'import sys; print(sys.base_prefix, *sys.version_info[:2])'
}

find_python() {
  for python in python3 python3.15 python3.14 python3.13 python3.12 python3.11; do
    if will_do "$python"; then
      echo "$python"
      return
    fi
  done
}

refuse() { # $1 will not do; $2, where there is one, would
  needs="This needs Python 3.11 to 3.15"
  if command -v "$1" > /dev/null; then
    echo "$needs, and $1 is: $("$1" --version 2>&1 | head -n 1)." >&2
  else
    echo "$needs, and there is no $1." >&2
  fi
  echo "Name another one: make PYTHON=${2:-/path/to/python3.14} ..." >&2
  exit 1
}

works() { # .venv was not left half made, and its Python is still there
  "$venv/bin/python" -c 'import pip' 2> /dev/null && will_do "$venv/bin/python"
}

python= # to make .venv with; none where it is there
if [ -n "${PYTHON:-}" ]; then
  will_do "$PYTHON" || refuse "$PYTHON" "$(find_python)"
  if ! works || [ "$(which_python "$PYTHON")" != "$(which_python "$venv/bin/python")" ]; then
    python=$PYTHON
  fi
elif ! works; then
  python=$(find_python)
  [ -n "$python" ] || refuse python3 ""
fi

if [ -n "$python" ]; then
  if ! "$python" -c 'import venv; from ensurepip import bootstrap' 2> /dev/null; then
    echo "$python cannot make virtual environments. On Debian or Ubuntu: apt install ${python##*/}-venv" >&2
    exit 1
  fi
  [ ! -L "$venv" ] || rm "$venv" # the link, not what somebody keeps behind it
  echo "Setting up $venv with $("$python" --version) (once; it takes a minute)"
  if ! "$python" -m venv --clear "$venv"; then
    rm -rf "$venv"
    exit 1
  fi
fi

[ $# -gt 0 ] || exit 0
done=$venv/$1
if [ ! -e "$done" ] || [ -n "$(find requirements*.txt constraints.txt untraced/*.txt -newer "$done")" ]; then
  [ -n "$python" ] || echo "Installing into $venv what $list lists"
  # All are pinned to what runs on each Python, whatever they say of it.
  if ! said=$("$venv/bin/python" -m pip install --quiet --disable-pip-version-check --ignore-requires-python \
    --constraint "$constraints" --requirement "$list" $unlisted 2>&1); then
    case $said in # of a network that is not there pip makes conflicting dependencies
      *"Retrying (Retry("*) said="Filling $venv needs a package index, PyPI or the one that pip is told, and none answers." ;;
    esac
    echo "$said" >&2
    exit 1
  fi
  [ -z "$said" ] || echo "$said" >&2
  touch "$done"
fi
