#!/bin/sh
# kubectl metal3 COMMAND, on a machine without Python: runs the commands of this release's image with podman or docker, as the user of the
# kubeconfig's current context. Put this file on the PATH, and make it executable. METAL3_ENGINE and METAL3_IMAGE replace what it chooses.
# Under the name kubectl_complete-metal3, it tells kubectl's completion the commands and names that may follow.
set -eu
image="${METAL3_IMAGE:-@IMAGE@}"
engine="${METAL3_ENGINE:-}"
for found in podman docker; do
  [ -n "$engine" ] || ! command -v "$found" > /dev/null 2>&1 || engine=$found
done
[ -n "$engine" ] || { echo "kubectl metal3: install podman or docker, or set METAL3_ENGINE" >&2; exit 1; }
for word in "$@"; do
  case "$word" in
    --kubeconfig | --kubeconfig=* | --context | --context=*)
      echo "kubectl metal3: choose the cluster by KUBECONFIG and \`kubectl config use-context\`, because the container sees no other files" >&2
      exit 1
      ;;
  esac
done
case "$(basename "$0")" in kubectl_complete-*) program="--entrypoint=kubectl_complete-metal3" ;; *) program="" ;; esac
umask 077
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
kubectl config view --minify --flatten --raw > "$folder/kubeconfig"
case "$(basename "$engine")" in podman) keep="--userns=keep-id" ;; *) keep="" ;; esac
# The host's network: the server of a kubeconfig may be on this machine.
# shellcheck disable=SC2086 # no word when empty
"$engine" run --rm --network=host --user="$(id -u):$(id -g)" $keep $program --security-opt=label=disable --read-only --cap-drop=ALL \
  --volume="$folder:/kube:ro" --env=KUBECONFIG=/kube/kubeconfig "$image" "$@"
