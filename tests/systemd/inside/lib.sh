# shellcheck shell=bash
# What the scripts share. Each runs as root in a systemd of its own, in a copy of the project, with tokend in
# /opt/tokend and nothing installed; what it leaves behind ends with it.
set -euo pipefail
trap show_why ERR
STARTED=$(date +%s)
readonly STARTED

readonly SANDBOX=http://127.0.0.1:8700
# What the partner's tokens are signed with.
readonly FAKE_KEY=obviously-fake-and-long-enough-to-be-a-key

show_why() {
  set +e
  echo "FAILED at ${0##*/}:${BASH_LINENO[0]}: $BASH_COMMAND"
  systemctl --no-pager --lines=0 status tokend
  journalctl --no-pager --since="@$STARTED" --lines=60
  exit 1
}

fail() { echo "FAILED: $*"; return 1; }

# until_true SECONDS COMMAND…: wait for the command to succeed.
until_true() {
  local deadline=$((SECONDS + $1))
  shift
  until "$@" >/dev/null 2>&1; do
    ((SECONDS < deadline)) || fail "still not so: $*" || return
    sleep 0.05
  done
}

# refused STATUS COMMAND…: the command must end with this exit status.
refused() {
  local wanted=$1 status=0
  shift
  "$@" || status=$?
  ((status == wanted)) || fail "exit status $status instead of $wanted: $*"
}

contains() { [[ $1 == *"$2"* ]] || fail "no '$2' in: $1"; }
lacks() { [[ $1 != *"$2"* ]] || fail "'$2' in: $1"; }
show() { systemctl show --value --property="$1" "${2:-tokend}"; }
says() { [[ $(show StatusText) == *"$1"* ]]; }
# is PROPERTY VALUE [UNIT]
is() { [[ $(show "$1" "${3-tokend}") == "$2" ]]; }
# shellcheck disable=SC2120  # its arguments are optional
messages() { journalctl --quiet --no-pager --output=cat --unit=tokend "$@"; }
tokend() { /opt/tokend/bin/tokend "$@"; }

# The installation that systemd/tokend.service describes, with the configuration of standard input.
install_tokend() {
  mkdir -p /etc/sysusers.d /etc/tmpfiles.d
  cp systemd/sysusers.d/tokend.conf /etc/sysusers.d/
  systemd-sysusers
  cp systemd/tmpfiles.d/tokend.conf /etc/tmpfiles.d/
  install -m 644 systemd/tokend.service systemd/*.socket /etc/systemd/system/
  mkdir -p /etc/tokend
  cat >/etc/tokend/config.toml
  echo "$FAKE_KEY" >/etc/tokend/fake.key
  chown root:tokend /etc/tokend/fake.key
  chmod 640 /etc/tokend/fake.key
  systemd-tmpfiles --create tokend.conf
  systemctl daemon-reload
}

# drop_in UNIT NAME: standard input becomes a drop-in.
drop_in() {
  mkdir -p "/etc/systemd/system/$1.d"
  cat >"/etc/systemd/system/$1.d/$2.conf"
  systemctl daemon-reload
}

unit() {
  cat >"/etc/systemd/system/$1"
  systemctl daemon-reload
}

# The vendors, as a unit.
start_sandbox() {
  systemd-run --quiet --unit=sandbox /opt/tokend/bin/tokend sandbox --port "${SANDBOX##*:}"
  until_true 20 curl -sf "$SANDBOX/_sandbox"
}

# How many requests a vendor has seen.
requests() { curl -sf "$SANDBOX/_sandbox/requests" | python3 -c 'import json,sys; print(json.load(sys.stdin)["counts"].get(sys.argv[1], 0))' "$1"; }

partner() {
  printf '%s\n' '[providers.partner]' 'kind = "jwt"' 'secret = { file = "/etc/tokend/fake.key" }'
}

projectx() {
  printf '%s\n' '[providers.px]' 'kind = "projectx"' "base_url = \"$SANDBOX\"" 'username = "sandbox-user"' \
    "api_key = ${1-"{ file = \"/etc/tokend/px.key\" }"}"
}

px_key() {
  install -m 640 -o root -g tokend /dev/stdin /etc/tokend/px.key <<<"${1-sandbox-projectx-key}"
}
