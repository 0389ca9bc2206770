#!/bin/bash
# Runs inside the Debian of packaging/check/deb.sh: installs the package as an
# administrator would, lets it take calls, upgrades, removes and purges it.
set -euo pipefail
cd /root/check
export PATH=/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive
systemd=false
[[ ! -d /run/systemd/system ]] || systemd=true

say() { printf '%s\n' "- $*"; }
fail() {
	printf 'FAILED: %s\n' "$*"
	calljournal status || true
	if $systemd; then journalctl --no-pager -u calljournal -n 30 || true; else tail -n 30 /var/lib/calljournal/calljournal.log || true; fi
	exit 1
}
# within SECONDS WHAT COMMAND...: until it succeeds
within() {
	local n=$(($1 * 5)) what=$2
	shift 2
	while ! "$@" >/dev/null 2>&1; do
		((n-- > 0)) || fail "$what: not in time"
		sleep 0.2
	done
	say "$what"
}
expect() { # WHAT COMMAND...
	local what=$1
	shift
	"$@" >/dev/null 2>&1 || fail "$what"
	say "$what"
}
calls() { calljournal calls --limit 1000 --json | grep -c '"id":'; }
more_calls_than() { (($(calls) > $1)); }
pid() { if $systemd; then systemctl show -p MainPID --value calljournal; else cat /run/calljournal/calljournal.pid; fi; }
runs() { calljournal status; }
absent() { [[ ! -e $1 ]]; }

# --- a first installation
dpkg -i old.deb >dpkg.log 2>&1 || { cat dpkg.log; fail "install"; }
expect "installed, with its user" getent passwd calljournal
expect "the configuration is for root and the service only" test "$(stat -c '%a %U %G' /etc/calljournal/calljournal.toml)" = "640 root calljournal"
if runs >/dev/null 2>&1; then fail "it must not start before it knows a PBX"; fi
code=0
calljournal status >/dev/null 2>&1 || code=$?
expect "status says that no daemon is there" test $code = 3
if $systemd; then
	expect "the service is enabled" systemctl is-enabled calljournal
	systemd-analyze verify --man=no calljournal.service 2>verify.log || true
	! grep -i calljournal verify.log || fail "systemd-analyze verify"
	say "the unit verifies clean"
fi

# --- what its administrator does
./pbx calljournal of-the-pbx >pbx.address 2>pbx.log &
pbx=$!
trap 'kill $pbx 2>/dev/null || true' EXIT
within 10 "a PBX is there" test -s pbx.address
(umask 077 && echo of-the-pbx >/etc/calljournal/ami.secret)
sed -i "s/^address *=.*/address = \"$(cat pbx.address)\"/" /etc/calljournal/calljournal.toml
if $systemd; then
	mkdir -p /etc/systemd/system/calljournal.service.d
	printf '[Service]\nLoadCredential=ami.secret:/etc/calljournal/ami.secret\n' >/etc/systemd/system/calljournal.service.d/credentials.conf
	systemctl daemon-reload
else
	chgrp calljournal /etc/calljournal/ami.secret
	chmod 0640 /etc/calljournal/ami.secret
fi
service calljournal start || fail "start"
within 30 "it runs and the link is up" runs
within 30 "calls arrive" more_calls_than 3
expect "it does not run as root" test "$(stat -c %U "/proc/$(pid)")" != root
if $systemd; then
	say "exposure: $(systemd-analyze security --no-pager calljournal | tail -n 1)"
	kill -9 "$(pid)"
	sleep 1
	within 30 "killed, it is there again" runs
	cp /etc/calljournal/calljournal.toml keep.toml
	echo 'nonsense = 1' >>/etc/calljournal/calljournal.toml
	systemctl restart calljournal || true
	sleep 5
	expect "a wrong configuration ends it for good" test "$(systemctl show -p ExecMainStatus --value calljournal)" = 2
	cp keep.toml /etc/calljournal/calljournal.toml
	systemctl reset-failed calljournal
	systemctl start calljournal
	within 30 "mended, it runs" runs
fi

# --- an upgrade
before=$(calls)
echo '# of the administrator' >>/etc/calljournal/calljournal.toml
dpkg -i new.deb >dpkg.log 2>&1 || { cat dpkg.log; fail "upgrade"; }
expect "the new version is there" test "$(calljournal version | head -n 1)" = "calljournal 0.2.0"
expect "the configuration is the administrator's" grep -q '^# of the administrator' /etc/calljournal/calljournal.toml
within 30 "it runs after the upgrade" runs
expect "the running program is the new one" test "$(readlink "/proc/$(pid)/exe")" = /usr/bin/calljournal
expect "no call was lost" test "$(calls)" -ge "$before"
within 30 "and new ones arrive" more_calls_than "$before"

if $systemd; then # --- the other way to the service: no package, service install
	calljournal service install >install.log 2>&1 || { cat install.log; fail "service install"; }
	calljournal service restart >>install.log 2>&1 || { cat install.log; fail "service restart"; }
	within 30 "service install and restart work under systemd" runs
	calljournal service stop || fail "service stop"
	expect "service stop stops" test "$(systemctl is-active calljournal)" = inactive
	calljournal service uninstall >>install.log 2>&1 || { cat install.log; fail "service uninstall"; }
	systemctl daemon-reload
	mkdir -p /etc/systemd/system/calljournal.service.d
	printf '[Service]\nLoadCredential=ami.secret:/etc/calljournal/ami.secret\n' >/etc/systemd/system/calljournal.service.d/credentials.conf
	systemctl daemon-reload
	systemctl start calljournal
	within 30 "the package's unit runs again" runs
fi

# --- removal, installation again, purge
before=$(calls)
dpkg -r calljournal >dpkg.log 2>&1 || { cat dpkg.log; fail "remove"; }
if pgrep -x calljournal >/dev/null; then fail "removed, it still runs"; fi
expect "removed: the program is gone" absent /usr/bin/calljournal
expect "removed: the journal stays" test -s /var/lib/calljournal/journal.db
expect "removed: the configuration stays" test -s /etc/calljournal/calljournal.toml
dpkg -i new.deb >dpkg.log 2>&1 || { cat dpkg.log; fail "install again"; }
service calljournal start || fail "start again"
within 30 "installed again, it runs" runs
expect "and has its calls" test "$(calls)" -ge "$before"
dpkg -P calljournal >dpkg.log 2>&1 || { cat dpkg.log; fail "purge"; }
for path in /var/lib/calljournal /var/lib/private/calljournal /etc/calljournal /run/calljournal /usr/bin/calljournal; do
	expect "purged: $path is gone" absent $path
done
echo "every check passed"
