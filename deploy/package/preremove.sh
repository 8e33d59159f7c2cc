#!/bin/sh
# dpkg says "remove", rpm how many versions are left; an upgrade leaves the daemon alone.
# Units that somebody has taken away are no reason to stay.
case "$1" in
remove | 0)
	if [ -d /run/systemd/system ]; then
		systemctl disable --now buildkit.service buildkit.socket || true
	fi
	;;
esac
