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
expect "so is that of the centre" test "$(stat -c '%a %U %G' /etc/calljournal/collect.toml)" = "640 root calljournal"
if runs >/dev/null 2>&1; then fail "it must not start before it knows a PBX"; fi
code=0
calljournal status >/dev/null 2>&1 || code=$?
expect "status says that no daemon is there" test $code = 3
if $systemd; then
	expect "the service is enabled" systemctl is-enabled calljournal
	expect "the centre's is not" test "$(systemctl is-enabled calljournal-collect)" = disabled
	systemd-analyze verify --man=no calljournal.service calljournal-collect.service 2>verify.log || true
	! grep -i calljournal verify.log || fail "systemd-analyze verify"
	say "the units verify clean"
fi

# --- what its administrator does
./pbx calljournal of-the-pbx >pbx.address 2>pbx.log &
pbx=$!
trap 'kill $pbx 2>/dev/null || true' EXIT
within 10 "a PBX is there" test -s pbx.address
code=0
calljournal setup --yes --kind asterisk --address "$(cat pbx.address)" --secret-file - <<<wrong >setup.log 2>&1 || code=$?
expect "setup with a wrong secret says so" grep -q 'login refused' setup.log
expect "and starts nothing" test $code = 1
calljournal setup --yes --kind asterisk --address "$(cat pbx.address)" --secret-file - --replace <<<of-the-pbx >setup.log 2>&1 ||
	{ cat setup.log; fail "setup"; }
say "setup writes the configuration, tests the link and starts the service"
expect "the configuration is still for root and the service only" test "$(stat -c '%a %U %G' /etc/calljournal/calljournal.toml)" = "640 root calljournal"
expect "the secret is for nobody else" test "$(stat -c %A /etc/calljournal/ami.secret | cut -c8-10)" = ---
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

if $systemd; then # --- the centre, beside it
	code=0
	calljournal service install --collect >centre.log 2>&1 || code=$?
	expect "a centre without branches is not installed" test $code = 2
	cp -p /etc/calljournal/collect.toml keep.collect.toml
	sed -i 's|^# dsn_file|dsn_file|' /etc/calljournal/collect.toml
	(umask 077 && echo 'host=/run/postgresql dbname=calls user=calljournal' >/etc/calljournal/database.dsn)
	printf '[[agent]]\nname = "office-1"\nurl = "https://office-1.invalid:8420"\ntoken_file = "/etc/calljournal/office-1.token"\n' \
		>>/etc/calljournal/collect.toml
	(umask 077 && echo 'a token of sixteen letters' >/etc/calljournal/office-1.token)
	calljournal service install --collect >centre.log 2>&1 || { cat centre.log; fail "service install --collect"; }
	expect "the centre is enabled" systemctl is-enabled calljournal-collect
	systemctl start --no-block calljournal-collect
	centre() { systemctl show -p "$1" --value calljournal-collect; }
	listens() { curl -sf http://127.0.0.1:8430/healthz || bash -c 'exec 3<>/dev/tcp/127.0.0.1/8430'; }
	within 30 "it listens, with its secrets, and waits for the database" listens
	expect "not as root" test "$(stat -c %U "/proc/$(centre MainPID)")" != root
	say "exposure: $(systemd-analyze security --no-pager calljournal-collect | tail -n 1)"
	calljournal service stop --collect >centre.log 2>&1 || { cat centre.log; fail "service stop --collect"; }
	calljournal service uninstall --collect >centre.log 2>&1 || { cat centre.log; fail "service uninstall --collect"; }
	expect "it is off again" test "$(systemctl is-enabled calljournal-collect)" = disabled
	expect "its credentials are gone" absent /etc/systemd/system/calljournal-collect.service.d
	cp -p keep.collect.toml /etc/calljournal/collect.toml
	systemctl start --no-block calljournal-collect || true
	ended() { test "$(centre ExecMainStatus)" = 2; }
	within 10 "started without branches, it ends for good" ended
	systemctl stop calljournal-collect
	systemctl reset-failed calljournal-collect || true
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

verb() { # ACTION PROGRAM
	"$2" service "$1" >verb.log 2>&1 || { cat verb.log; fail "service $1"; }
	say "$2 service $1"
}
if $systemd; then # --- the program's own way to the service
	verb uninstall calljournal
	expect "it is not enabled any more" test "$(systemctl is-enabled calljournal)" = disabled
	expect "its credentials are gone" absent /etc/systemd/system/calljournal.service.d/credentials.conf
	verb install calljournal
	expect "it is enabled" systemctl is-enabled calljournal
	expect "nothing hides the package's unit" absent /etc/systemd/system/calljournal.service
	verb restart calljournal
	within 30 "it runs" runs
	verb stop calljournal
	expect "it stands still" test "$(systemctl is-active calljournal)" = inactive
	verb start calljournal
	within 30 "it runs again" runs
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

if $systemd; then # --- no package: a binary and a configuration
	mkdir -p /opt/calljournal /etc/calljournal
	dpkg-deb --fsys-tarfile new.deb | tar -xOf - ./usr/bin/calljournal >/opt/calljournal/calljournal
	chmod 0755 /opt/calljournal/calljournal
	PATH=/opt/calljournal:$PATH
	hash -r
	install -m 0600 keep.toml /etc/calljournal/calljournal.toml
	if calljournal service install >/dev/null 2>&1; then fail "it must say that the service cannot read its configuration"; fi
	chmod 0644 /etc/calljournal/calljournal.toml
	(umask 077 && echo of-the-pbx >/etc/calljournal/ami.secret)
	verb install calljournal
	verb start calljournal
	within 30 "without a package: it runs" runs
	within 30 "and takes calls" more_calls_than 3
	expect "as a user that systemd makes up" test "$(stat -c %U "/proc/$(pid)")" != root
	verb install calljournal
	verb restart calljournal
	within 30 "installed a second time, it runs" runs
	verb stop calljournal
	verb uninstall calljournal
	expect "its unit is gone" absent /etc/systemd/system/calljournal.service
fi
echo "every check passed"
