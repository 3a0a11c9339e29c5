# Sourced by the scripts beside it: where things are, which server is meant, and a few helpers.
#
#   PG=18            the server of that major version under /usr/lib/postgresql, else the one that scripts/build-server made
#   PG_CONFIG=path   exactly that server; without either, the one on the PATH, else the newest one installed
#   PROFILE=release  cargo profile of the installed library
# shellcheck shell=bash disable=SC2034

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
TARGET=${CARGO_TARGET_DIR:-$ROOT/target}
PROFILE=${PROFILE:-release}
cd "$ROOT" || exit

# All talk goes to stderr: stdout is for results (`scripts/cluster start` is meant for eval).
say() { printf '==> %s\n' "$*" >&2; }
die() { printf 'error: %s\n' "$*" >&2; exit 1; }

is_root() { [[ $EUID -eq 0 ]]; }

# As root, through sudo where that is needed.
as_root() {
  if is_root; then "$@"
  elif command -v sudo >/dev/null; then sudo -- "$@"
  else die "this needs root, and there is no sudo: $*"; fi
}

# As whom servers run: Postgres refuses to run as root.
as_server_user() {
  if is_root; then (cd / && runuser -u postgres -- "$@"); else "$@"; fi
}

# A server counts if it can run: `pg_config` alone comes with libpq-dev too.
has_server() { [[ -n $1 && -x $1 && -x $("$1" --bindir)/postgres ]]; }

newest_server() {
  local dir
  for dir in $(printf '%s\n' /usr/lib/postgresql/*/ | sort -Vr); do
    if has_server "${dir}bin/pg_config"; then echo "${dir}bin/pg_config"; return; fi
  done
}

# Where scripts/build-server puts servers: users other than root must be able to run them.
if is_root; then BUILT_SERVERS=/var/cache/tasker_pg; else BUILT_SERVERS=${XDG_CACHE_HOME:-$HOME/.cache}/tasker_pg; fi

# Prints the pg_config of the server of that major version; nothing when there is none.
server_of_version() {
  local candidate
  for candidate in "/usr/lib/postgresql/$1" "$BUILT_SERVERS/postgresql-$1"; do
    if has_server "$candidate/bin/pg_config"; then echo "$candidate/bin/pg_config"; return; fi
  done
}

# Prints the pg_config of the server that is meant; nothing when there is none.
find_server() {
  local candidate=${PG_CONFIG:-}
  if [[ -z $candidate && -n ${PG:-} ]]; then
    server_of_version "$PG"
    return
  fi
  if [[ -n $candidate ]]; then
    candidate=$(command -v "$candidate" || true)
    if has_server "$candidate"; then echo "$candidate"; fi
    return
  fi
  candidate=$(command -v pg_config || true)
  if has_server "$candidate"; then echo "$candidate"; else newest_server; fi
}

# Sets what follows from the server; the scripts that need one call this first.
use_server() {
  local found
  found=$(find_server)
  [[ -n $found ]] || die "no PostgreSQL server found${PG:+ of version $PG}${PG_CONFIG:+ at $PG_CONFIG}; run: make setup"
  PG_BINDIR=$("$found" --bindir)
  # /usr/bin/pg_config speaks for whatever server is the newest today: name the server's own where it has one.
  if [[ -x $PG_BINDIR/pg_config ]]; then PG_CONFIG=$PG_BINDIR/pg_config; else PG_CONFIG=$found; fi
  PG_MAJOR=$("$PG_CONFIG" --version | sed -E 's/^PostgreSQL ([0-9]+).*/\1/')
  PG_SHAREDIR=$("$PG_CONFIG" --sharedir)
  PG_LIBDIR=$("$PG_CONFIG" --pkglibdir)
  PG_TESTDIR=$PG_LIBDIR/pgxs/src/test
  FEATURES=(--no-default-features --features "pg$PG_MAJOR")
  export PG_CONFIG PG_BINDIR PG_MAJOR
}

# The version of this checkout.
version() { sed -nE '1,/^version/s/^version *= *"([^"]+)".*/\1/p' "$ROOT/Cargo.toml"; }

# The version that Cargo.toml pins pgrx to; cargo-pgrx has to be the same.
pgrx_pin() { sed -nE 's/^pgrx *= *(\{ *version *= *)?"=([0-9.]+)".*/\2/p' "$ROOT/Cargo.toml"; }

# A cargo-pgrx of our own, used only where the person has another version for another project.
OWN_TOOLS=${XDG_CACHE_HOME:-$HOME/.cache}/tasker_pg/cargo-pgrx-$(pgrx_pin)
[[ ! -x $OWN_TOOLS/bin/cargo-pgrx ]] || PATH=$OWN_TOOLS/bin:$PATH
# rustup puts cargo on the PATH of login shells only.
command -v cargo >/dev/null || PATH=$PATH:${CARGO_HOME:-$HOME/.cargo}/bin

[[ ! -e $TARGET || -w $TARGET ]] || die "$TARGET belongs to someone else (built as root?): sudo chown -R $(id -un) '$TARGET'"
