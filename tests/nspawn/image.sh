# shellcheck shell=bash
# The file system that tests/nspawn/run boots; sourced.  A change here makes a new image.

# Names that changed in later releases, where time_t became 64 bits wide everywhere.
image_newer_names()
{
	echo "$1" | sed 's/libssl3/libssl3t64/; s/libevent-core-2.1-7/libevent-core-2.1-7t64/'
}

# Apt sources of this machine that name its release.
image_sources()
{
	grep -ls "$1" /etc/apt/sources.list /etc/apt/sources.list.d/*.list \
		/etc/apt/sources.list.d/*.sources || true
}

# What takes time at boot and has nothing to do here.
image_mask()
{
	local units="$1/etc/systemd/system" generators="$1/etc/systemd/system-generators" name

	mkdir -p "$generators"
	for name in "$1"/usr/lib/systemd/system-generators/*; do
		ln -sf /dev/null "$generators/${name##*/}"
	done
	for name in getty.target getty-static.service dev-hugepages.mount dev-mqueue.mount \
		sys-kernel-config.mount sys-kernel-debug.mount sys-kernel-tracing.mount \
		sys-fs-fuse-connections.mount proc-sys-fs-binfmt_misc.automount \
		modprobe@.service kmod-static-nodes.service systemd-modules-load.service \
		systemd-random-seed.service systemd-update-utmp.service \
		systemd-update-utmp-runlevel.service systemd-journal-flush.service \
		systemd-ask-password-console.path systemd-ask-password-wall.path \
		systemd-user-sessions.service systemd-logind.service systemd-remount-fs.service \
		systemd-sysusers.service systemd-journald-audit.socket systemd-initctl.socket \
		systemd-tmpfiles-clean.timer dpkg-db-backup.timer fstrim.timer; do
		ln -sf /dev/null "$units/$name"
	done
}

# SUITE PACKAGES IMAGE WORK: make the folder IMAGE, whole or not at all.
image_build()
{
	local suite=$1 packages=$2 image=$3 work=$4 root=$3.new sources

	echo "tests/nspawn: building $image (once)" >&2
	mapfile -t sources < <(image_sources "$suite")
	rm -rf "$root"
	# mmdebstrap reads the sources' own signing keys, so they are the machine's to trust.
	(
		umask 022
		mmdebstrap --quiet --mode=root --variant=essential --include="$packages" \
			--dpkgopt=force-unsafe-io "$suite" "$root" "${sources[@]}"
	) >"$work/image.log" 2>&1 || return 1
	rm -rf "$root"/usr/share/{doc,man,locale,zoneinfo}/* "$root"/var/cache/apt/* \
		"$root"/var/lib/apt/lists/* "${root:?}"/boot/*
	echo tlsbroker-check >"$root/etc/hostname"
	printf '%032d\n' 1 >"$root/etc/machine-id"
	printf '127.0.0.1 localhost server.test\n' >"$root/etc/hosts"
	: >"$root/etc/fstab"
	image_mask "$root"
	mv "$root" "$image"
}
