#!/bin/sh
# Install TensorRT: from the tarball in /context/tensorrt if there is one, else $TENSORRT_VERSION by apt.
#
#   unpack  the tarball, to /opt/tensorrt
#   build   headers and compilers, to build ONNX Runtime; prints where TensorRT is
#   prune   from /opt/tensorrt what programs do not need
#   run     what programs need
set -eu
export DEBIAN_FRONTEND=noninteractive
home=/opt/tensorrt

install() {
  apt-get update >&2
  apt-get install -y --no-install-recommends "$@" >&2
  rm -rf /var/lib/apt/lists/*
}

case $1 in
  unpack)
    mkdir -p "$home"
    for tarball in /context/tensorrt/*.tar.gz; do
      if [ -e "$tarball" ]; then
        tar -xzf "$tarball" -C "$home" --strip-components=1
      fi
    done
    ;;
  build)
    compilers='ca-certificates g++ git make python3-dev'
    if [ -e "$home/lib" ]; then
      install $compilers
      echo "$home"
    else
      version=$TENSORRT_VERSION-1+cuda13.0
      install $compilers "libnvinfer10=$version" "libnvinfer-plugin10=$version" "libnvonnxparsers10=$version" \
        "libnvinfer-dev=$version" "libnvinfer-headers-dev=$version" "libnvinfer-plugin-dev=$version" \
        "libnvinfer-headers-plugin-dev=$version" "libnvonnxparsers-dev=$version"
      echo /usr
    fi
    ;;
  prune)
    find "$home" -mindepth 1 -maxdepth 1 ! -name lib ! -name bin ! -name targets -exec rm -rf {} +
    find "$home" -name '*.a' -delete
    ;;
  run)
    if [ ! -e "$home/lib" ]; then
      version=$TENSORRT_VERSION-1+cuda13.0
      install "libnvinfer10=$version" "libnvinfer-plugin10=$version" "libnvonnxparsers10=$version" \
        "libnvinfer-bin=$version"
    fi
    ;;
esac
