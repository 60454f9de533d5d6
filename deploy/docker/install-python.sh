#!/bin/sh
# Install Python where an image has none that can make environments: NVIDIA's images have none.
set -eu
if python3 -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
  exit 0
fi
apt-get update
DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends python3 python3-venv
rm -rf /var/lib/apt/lists/*
