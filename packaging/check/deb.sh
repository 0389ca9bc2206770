#!/usr/bin/env bash
# Installs, upgrades, removes and purges the deb in a Debian of its own, under a
# real systemd where this machine can boot one, and under the SysV script.
#
#   packaging/check/deb.sh [CACHE]    needs root, debootstrap, systemd-nspawn
#
# CACHE keeps the Debian, which takes about a minute to fetch, between runs.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
cache=${1:-/var/cache/calljournal-check}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

base=$cache/bookworm.tar
if [[ ! -s $base ]]; then
	mkdir -p "$cache"
	debootstrap --variant=minbase --include=systemd-sysv,dbus,adduser,lsb-base,init-system-helpers,procps \
		bookworm "$work/base" >"$work/debootstrap.log" 2>&1 || { tail "$work/debootstrap.log"; exit 1; }
	tar -C "$work/base" -cf "$base.new" .
	mv "$base.new" "$base"
	rm -rf "$work/base"
fi

for version in 0.1.0 0.2.0; do
	packaging/build.sh $version "$work/$version" amd64 >/dev/null
done
CGO_ENABLED=0 go build -o "$work/pbx" ./packaging/internal/pbx

debian() { # FOLDER: a new one, with what is to be checked
	mkdir "$1"
	tar -C "$1" -xf "$base"
	mkdir "$1/root/check"
	cp "$work"/0.1.0/*_amd64.deb "$1/root/check/old.deb"
	cp "$work"/0.2.0/*_amd64.deb "$1/root/check/new.deb"
	cp "$work/pbx" packaging/check/inside.sh "$1/root/check/"
}

verdict() { # HEADING LOG
	printf '== %s\n' "$1"
	cat "$2"
	grep -qx 'every check passed' "$2"
}

debian "$work/systemd"
cat >"$work/systemd/etc/systemd/system/check.service" <<'UNIT'
[Unit]
After=multi-user.target
SuccessAction=poweroff-force
FailureAction=poweroff-force
[Service]
Type=oneshot
TimeoutStartSec=300
ExecStart=/bin/bash -c 'exec bash /root/check/inside.sh >/root/check/log 2>&1'
UNIT
mkdir -p "$work/systemd/etc/systemd/system/default.target.wants"
ln -s ../check.service "$work/systemd/etc/systemd/system/default.target.wants/check.service"
timeout 400 systemd-nspawn --quiet --directory="$work/systemd" --boot --register=no --keep-unit --private-network \
	--link-journal=no >"$work/console" 2>&1 </dev/null || true
if [[ -s $work/systemd/root/check/log ]]; then
	verdict "under systemd" "$work/systemd/root/check/log"
else
	echo "== under systemd: NOT CHECKED, this machine cannot boot one:"
	tail -n 5 "$work/console"
fi

debian "$work/sysv"
timeout 300 systemd-nspawn --quiet --directory="$work/sysv" --as-pid2 --register=no --keep-unit --private-network \
	bash -c 'exec bash /root/check/inside.sh >/root/check/log 2>&1' >"$work/console" 2>&1 </dev/null || true
verdict "under the SysV script" "$work/sysv/root/check/log"
