#!/bin/sh
# Puts the fork into the LiteLLM that an image runs, and asserts that this is the copy that runs.
# deploy/Dockerfile calls it in the image's own working directory, as the image's own user.
#
# usage: patch_image.sh FORK COMMAND [TARGET]
#   FORK     the folder with litellm/ and patches/ of this repository
#   COMMAND  how the image starts LiteLLM, for example: litellm
#   TARGET   the folder whose litellm/ gets the fork; default: the one that COMMAND imports
set -eu
fork=$1 command=$2 target=${3:-}

# An image gets no bytecode from this, and nothing waits for a download of prices.
export PYTHONDONTWRITEBYTECODE=1 LITELLM_LOCAL_MODEL_COST_MAP=True

fail() {
    printf 'error: %s\nnext:  %s\n' "$1" "$2" >&2
    exit 1
}

# Prints the folder that COMMAND imports `litellm` from. The command itself is asked, with the image's environment and
# working directory: an image may hold two copies, and which one runs depends on how it is started.
imported_root() {
    seen=$(PYTHONVERBOSE=1 $command --version 2>&1) || {
        printf '%s\n' "$seen" | grep -v '^#\|^import ' | tail -n 20 >&2
        fail "\`$command --version\` fails in this image" "is BASE_IMAGE a LiteLLM proxy? if so, give LITELLM_COMMAND"
    }
    printf '%s\n' "$seen" |
        sed -n -e "s,^# code object from '*\(/.*\)/litellm/__init__\.py'*\$,\1,p" \
            -e "s,^# .* matches '*\(/.*\)/litellm/__init__\.py'*\$,\1,p" |
        while read -r root; do
            if [ -f "$root/litellm/proxy/proxy_cli.py" ]; then
                (cd -P "$root" && pwd)
                break
            fi
        done
}

# Prints the Python that COMMAND runs on: named in the first lines of the script, or COMMAND's own first word.
interpreter() {
    script=$(command -v "${command%% *}") || fail "this image has no ${command%% *}" "give LITELLM_COMMAND"
    case $(head -c 2 "$script") in
        '#!') ;;
        *) printf '%s\n' "$script" && return ;;
    esac
    named=$(sed -n -e '1s|^#! */usr/bin/env *||p' -e '1s|^#! *\(/[^ ]*python[^ ]*\).*|\1|p' \
        -e "2s|^'''exec' *\"\{0,1\}\(/[^\"]*python[^\" ]*\).*|\1|p" "$script" | head -n 1)
    command -v "${named:-python3}" || fail "$script names no Python in this image" "give LITELLM_COMMAND"
}

patches() {
    (unset PYTHONSAFEPATH && cd "$fork" && "$python" -m patches "$@")
}

python=$(interpreter)
if [ -z "$target" ]; then
    target=$(imported_root)
    [ -n "$target" ] || fail "\`$command\` does not say where it imports litellm from" "give TARGET, and check by hand"
fi
target=$(cd -P "$target" && pwd)
echo "command   $command, on $python, in $(pwd), as $(id -un 2>/dev/null || id -u)"

patches check --target "$target" >/dev/null
[ -w "$target/litellm/proxy" ] || fail "this image's user may not write $target" \
    "put \`USER root\` before the RUN line of deploy/Dockerfile and the image's own user after it"
patches apply --target "$target"

runs=$(imported_root)
[ "$runs" = "$target" ] || fail "the fork is in $target, but \`$command\` imports ${runs:-another litellm}" \
    "leave TARGET out, or give LITELLM_COMMAND, the command that this image is started with"
patches status --json --target "$runs" | grep -q '^  "state": "patched"' ||
    fail "$runs is not patched after apply" "python -m patches status --target $runs"
echo "asserted  $command imports $runs, which has the fork"
