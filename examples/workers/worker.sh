#!/usr/bin/env bash
# A worker in nothing but bash and psql.
#
#     worker.sh NAMESPACE [HANDLERS [CONNECTION]]
#     worker.sh analytics handlers.sh "host=db dbname=shop"
#
# HANDLERS defines a function step_NAME for each step NAME that this worker does; it takes no others. The function gets
# the message as $1 and the attempt as $2. Exit status 0: it printed the results, as JSON. 75: it printed why it failed,
# try again; `Retry-After: SECONDS` in it says when. Any other: failed for good.
# Without CONNECTION the usual PGHOST, PGDATABASE, ... count. SIGTERM: ends the step at hand, gives back the rest, ends.
set -euo pipefail

namespace=${1:?usage: worker.sh NAMESPACE [HANDLERS [CONNECTION]]}
handlers=${2:-$(dirname "$0")/handlers.sh}
connection=${3:-}

# Values travel as psql variables, in SQL they stand as :'name': psql quotes them, whatever they hold. (Linux allows
# 128 kB for each.) Control characters are escaped in jsonb's text: a row is a line, and a tab divides columns.
sql() { psql -XqAt -F $'\t' -v ON_ERROR_STOP=1 "$@" "$connection"; }

# Should we be killed while psql waits for work, the server is to notice, not to hand out steps to nobody.
export PGOPTIONS="${PGOPTIONS:-} -c client_connection_check_interval=500"

# shellcheck source=examples/workers/handlers.sh
source "$handlers"
steps=$(compgen -A function step_ | sed 's/^step_//' | paste -sd,)

poll() {
  sql -v namespace="$namespace" -v worker="$HOSTNAME:$$" -v steps="$steps" <<'SQL'
select step_id, attempt, message ->> 'step_name', message
from tasker.poll_steps(:'namespace', qty => 5, max_wait => '2 seconds', worker_id => :'worker',
                       step_names => string_to_array(:'steps', ','));
SQL
}

complete() {
  sql -v id="$1" -v attempt="$2" -v results="$3" <<'SQL' >/dev/null
select tasker.complete_step(:id, :attempt, nullif(:'results', '')::jsonb);
SQL
}

fail() {
  sql -v id="$1" -v attempt="$2" -v message="$3" -v retryable="$4" <<'SQL' >/dev/null
select tasker.fail_step(:id, :attempt, jsonb_build_object('message', :'message'), retryable => :'retryable',
  orchestration_metadata => jsonb_strip_nulls(jsonb_build_object('headers',
    jsonb_build_object('retry-after', substring(:'message' from '(?i)retry-after: *([0-9]+)')))));
SQL
}

work() {
  local id=$1 attempt=$2 step=$3 message=$4 output status=0
  output=$("step_$step" "$message" "$attempt") || status=$?
  case $status in
    0) complete "$id" "$attempt" "$output" || fail "$id" "$attempt" "could not complete with: $output" true ;;
    75) fail "$id" "$attempt" "$output" true ;;
    *) fail "$id" "$attempt" "$output" false ;;
  esac || echo "$step $id attempt $attempt: not ours any more" >&2 # TK001, TK002: somebody else has it, or nobody
}

stopping=
trap 'stopping=yes' TERM INT
while [[ -z $stopping ]]; do
  rows=$(poll)
  [[ -n $rows ]] || continue
  mapfile -t batch <<<"$rows"
  for row in "${batch[@]}"; do
    IFS=$'\t' read -r id attempt step message <<<"$row"
    if [[ -n $stopping ]]; then
      sql -c "select tasker.release_steps(array[$id], array[$attempt])" >/dev/null
    else
      work "$id" "$attempt" "$step" "$message"
    fi
  done
done
