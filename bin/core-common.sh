# What the core-* commands share; they read it with `.`, nobody runs it.
#
# Inside a CORE node PATH is the daemon's, no name resolves, and umask is 0. So: full paths, addresses
# only, builtins of the shell only, and files that not everybody may write.

set -eu
umask 022

fail() {
    printf '%s: error: %s\n' "${0##*/}" "$1" >&2
    exit 2
}

root=$(CDPATH='' cd -P -- "${0%/*}/.." && pwd)

# The first of these that there is; MCAST_PYTHON for one that lies elsewhere.
python=
for candidate in "${MCAST_PYTHON:-}" "$root/.venv/bin/python3" /usr/local/bin/python3 /usr/bin/python3; do
    if [ -n "$candidate" ] && [ -x "$candidate" ]; then
        python=$candidate
        break
    fi
done
[ -n "$python" ] || fail "no python3 in /usr/bin: set MCAST_PYTHON to the full path of Python 3.11 or newer"

# Sets `configs`: the scenario's files are $configs.core, $configs.bootstrap.toml, ...
use_scenario() {
    case $1 in
    */*) configs=$1 ;;
    *) configs=$root/resources/configs/$1 ;;
    esac
    [ -r "$configs.core" ] ||
        fail "$configs.core: no such file: give big_chungus, simple_1, or DIRECTORY/NAME of your own scenario"
}

need_node_name() {
    [ -n "${NODE_NAME:-}" ] || fail "NODE_NAME is not set: run this in a CORE node's shell, or set it"
}

# Sets `address` to what the scenario says of a name.
use_address_of() {
    address=
    while IFS='=' read -r key value || [ -n "$key" ]; do
        [ "$key" != "$1" ] || address=$value
    done <"$configs.core"
    [ -n "$address" ] || fail "$configs.core: no line '$1=HOST:PORT'"
}

# Is this name a server of the scenario? (Then it has a file of contents.)
is_server() { [ -e "$configs.server-$1.toml" ]; }
is_client() { ! is_server "$1"; }

# Sets `address` for the node that this runs in, which is to be a server or a client ($1).
use_address_of_this() {
    need_node_name
    kinds= is_one=
    while IFS='=' read -r key value || [ -n "$key" ]; do
        case $key in
        '' | \#* | bootstrap) continue ;;
        esac
        "is_$1" "$key" || continue
        kinds="$kinds${kinds:+, }$key"
        [ "$key" != "$NODE_NAME" ] || is_one=yes
    done <"$configs.core"
    [ -n "$is_one" ] ||
        fail "$NODE_NAME is no $1 of ${configs##*/}: run this in one of: ${kinds:-none, as $configs.core has none}"
    use_address_of "$NODE_NAME"
}
