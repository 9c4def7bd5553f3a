#!/bin/sh
# Write to $1 the newest versions that the list of requirements $2 allows, with any packages named after it.
set -eu
cd "$(dirname "$0")/.."

constraints=$1
shift
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
.venv/bin/python -m venv "$scratch"
# On Python 3.15 nx-27017 would be refused (tools/venv.sh). Nothing wants a newer one, so there no version is too new.
anyway=$("$scratch/bin/python" -c 'import sys; print("--ignore-requires-python" if sys.version_info >= (3, 15) else "")')
"$scratch/bin/python" -m pip install --quiet --disable-pip-version-check $anyway -r "$@"
{
  echo "# The versions that the tests ran with, for Python 3.11 to 3.15."
  echo "# Made by \`make constraints\` on $(date +%F), with $("$scratch/bin/python" --version)."
  "$scratch/bin/python" -m pip freeze
} > "$scratch/pins"
cp "$scratch/pins" "$constraints"
