/*
 * Landlock: the files, ports and signals that are out of reach whatever system call is tried.
 *
 * Children get nothing at all.  The supervisor may read the files it was given and what replaces
 * them, list one folder, remove its socket, and execute one program: this one.  It writes no file and makes none.
 *
 * Rules hang on inodes.  A file that is replaced by rename is another inode, so a rule on a file
 * that somebody updates has to be one on its folder; the kernel looks at where a path ends, so
 * folders that symbolic links lead to are granted, too.  A link on the way that leads to a folder
 * beside or below itself is one that is turned to another such folder for an update: then all that is
 * in the folder with the link is granted.
 *
 * The kernel's header is not used: an older one knows only a part of what a newer kernel can do.
 */
#include "sandbox/steps.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fd.h"

enum fs_access {
	FS_EXECUTE = 1 << 0,
	FS_READ_FILE = 1 << 2,
	FS_READ_FOLDER = 1 << 3,
	FS_REMOVE_FILE = 1 << 5,
	FS_ABI_1 = (1 << 13) - 1, /* everything but the three below */
	FS_REFER = 1 << 13,
	FS_TRUNCATE = 1 << 14,
	FS_IOCTL_DEV = 1 << 15,
	FS_FOR_FILES = FS_EXECUTE | FS_READ_FILE, /* those of ours that a plain file can have */
};

enum net_access { NET_BIND_TCP = 1 << 0, NET_CONNECT_TCP = 1 << 1 };
enum scope { SCOPE_ABSTRACT_UNIX = 1 << 0, SCOPE_SIGNAL = 1 << 1 };

/* struct landlock_ruleset_attr of ABI 6; older kernels take it if what they lack is zero. */
struct ruleset_attr {
	uint64_t fs;
	uint64_t net;
	uint64_t scoped;
};

struct path_attr {
	uint64_t allowed;
	int32_t parent_fd;
} __attribute__((packed));

#define CREATE_VERSION 1
#define RULE_PATH      1

/* As the dynamic loader does, stop following links somewhere (the kernel: 40). */
#define LINKS_MAX 40

static int kernel_abi(void)
{
	long r = syscall(SYS_landlock_create_ruleset, NULL, 0, CREATE_VERSION);

	if (r < 0)
		return errno == ENOSYS ? -EOPNOTSUPP : -errno;
	return (int)r;
}

/* Everything is handled, that is denied unless a rule allows it, so far as the kernel knows it. */
static struct ruleset_attr denied(enum role role, int abi)
{
	struct ruleset_attr attr = { .fs = FS_ABI_1 };

	if (abi >= 2)
		attr.fs |= FS_REFER;
	if (abi >= 3)
		attr.fs |= FS_TRUNCATE;
	if (abi >= 5)
		attr.fs |= FS_IOCTL_DEV;
	if (abi >= 4) {
		/* The supervisor's rules hold for the connector's dials as well: inherited. */
		attr.net = NET_BIND_TCP;
		if (role != ROLE_SUPERVISOR && role != ROLE_CONNECTOR)
			attr.net |= NET_CONNECT_TCP;
	}
	if (abi >= 6) {
		/*
		 * Signals reach only processes that this one started.  The service manager's
		 * notification socket may be an abstract one: the supervisor has to reach it.
		 */
		attr.scoped = SCOPE_SIGNAL;
		if (role != ROLE_SUPERVISOR)
			attr.scoped |= SCOPE_ABSTRACT_UNIX;
	}
	return attr;
}

static int allow_fd(int ruleset, int fd, uint64_t access)
{
	struct path_attr attr = { .parent_fd = fd };
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	attr.allowed = S_ISDIR(st.st_mode) ? access : access & FS_FOR_FILES;
	if (attr.allowed == 0)
		return 0;
	if (syscall(SYS_landlock_add_rule, ruleset, RULE_PATH, &attr, 0) < 0)
		return -errno;
	return 0;
}

/* PATH and, if it is a folder, what lies below it. */
static int allow(int ruleset, const char *path, uint64_t access)
{
	cleanup_close_ int fd = open(path, O_PATH | O_CLOEXEC);

	return fd < 0 ? -errno : allow_fd(ruleset, fd, access);
}

/* The folder that PATH lies in or, while that is not there yet, the nearest one above it. */
static int allow_folder(int ruleset, const char *path, uint64_t access)
{
	char buf[PATH_MAX];
	const char *folder;
	size_t len = strlen(path);
	int r;

	if (len >= sizeof(buf))
		return -ENAMETOOLONG;
	memcpy(buf, path, len + 1);
	folder = dirname(buf);
	while ((r = allow(ruleset, folder, access)) == -ENOENT && strcmp(folder, ".") != 0)
		folder = dirname(buf);
	return r == -EACCES ? 0 : r; /* what we may not reach now, we do not reach later */
}

/* Replace PATH, a symbolic link, by what it leads to.  -EINVAL: it is none. */
static int follow_link(char path[PATH_MAX])
{
	char target[PATH_MAX], next[PATH_MAX];
	ssize_t n = readlink(path, target, sizeof(target) - 1);
	int len;

	if (n < 0)
		return -errno;
	target[n] = '\0';
	if (target[0] == '/')
		len = snprintf(next, sizeof(next), "%s", target);
	else
		len = snprintf(next, sizeof(next), "%s/%s", dirname(path), target);
	if ((size_t)len >= sizeof(next))
		return -ENAMETOOLONG;
	memcpy(path, next, (size_t)len + 1);
	return 0;
}

/* LINK, as a step of a path: if it leads to somewhere below the folder that it is in, that folder. */
static int allow_link(int ruleset, const char *link)
{
	char above[PATH_MAX], folder[PATH_MAX], target[PATH_MAX];
	struct stat st;
	size_t len;

	memcpy(above, link, strlen(link) + 1);
	if (lstat(link, &st) < 0 || !S_ISLNK(st.st_mode) || !realpath(link, target) ||
	    !realpath(dirname(above), folder))
		return 0;
	len = strlen(folder);
	if (len == 1 || strncmp(target, folder, len) != 0 || target[len] != '/')
		return 0; /* never the root */
	return allow(ruleset, folder, FS_READ_FILE);
}

static int allow_links(int ruleset, char path[PATH_MAX])
{
	int r = 0;

	for (char *slash = strchr(path, '/'); r == 0 && slash; slash = strchr(slash + 1, '/')) {
		if (slash == path)
			continue;
		*slash = '\0';
		r = allow_link(ruleset, path);
		*slash = '/';
	}
	return r == -EACCES ? 0 : r;
}

static int allow_reading(int ruleset, const char *file)
{
	char path[PATH_MAX];
	int r = 0, links = 0;

	if (strlen(file) >= sizeof(path))
		return -ENAMETOOLONG;
	memcpy(path, file, strlen(file) + 1);
	do {
		r = allow_links(ruleset, path);
		if (r == 0)
			r = allow_folder(ruleset, path, FS_READ_FILE);
	} while (r == 0 && links++ < LINKS_MAX && follow_link(path) == 0);
	return r;
}

/* A folder that may come later: then the one that it will be in. */
static int allow_listing(int ruleset, const char *folder)
{
	int r = allow(ruleset, folder, FS_READ_FILE | FS_READ_FOLDER);

	if (r == -ENOENT)
		r = allow_folder(ruleset, folder, FS_READ_FILE | FS_READ_FOLDER);
	return r == -EACCES ? 0 : r;
}

struct loaded {
	int ruleset;
	int error;
};

/*
 * A library's folder rather than the library: after an update of the system, children still have to
 * start.  Only the dynamic loader's own has anything executed from it by the kernel.
 */
static int allow_library(struct dl_phdr_info *info, size_t size unused_, void *arg)
{
	struct loaded *loaded = arg;
	uint64_t access = FS_READ_FILE;
	cleanup_free_ char *path = NULL;

	if (!strchr(info->dlpi_name, '/'))
		return 0; /* ourselves, or the kernel's vDSO */
	path = realpath(info->dlpi_name, NULL);
	if (!path)
		return 0; /* updated since we started: its successor is where others are */
	if (info->dlpi_addr == getauxval(AT_BASE))
		access |= FS_EXECUTE;
	loaded->error = allow_folder(loaded->ruleset, path, access);
	return loaded->error;
}

/*
 * To start a child: this program, which is exec'd as /proc/self/exe, so that an update of the file
 * does not mix two versions; its libraries; and what libraries read before a child is sandboxed,
 * all of it in /etc but the random numbers.
 */
static int allow_exec(int ruleset)
{
	struct loaded loaded = { .ruleset = ruleset };
	int r = allow(ruleset, "/proc/self/exe", FS_READ_FILE | FS_EXECUTE);

	if (r == 0)
		dl_iterate_phdr(allow_library, &loaded);
	if (r == 0)
		r = loaded.error;
	if (r == 0)
		r = allow(ruleset, "/etc", FS_READ_FILE);
	if (r == 0)
		r = allow(ruleset, "/dev/urandom", FS_READ_FILE);
	return r;
}

static int allow_supervisor(int ruleset, const struct sandbox_files *files)
{
	int r = allow_exec(ruleset);

	if (r < 0)
		return r;
	if (!files)
		return allow(ruleset, "/", FS_READ_FILE);
	for (const char *const *file = files->read; r == 0 && *file; file++)
		r = allow_reading(ruleset, *file);
	/* Which control group a client is in.  What is secret there, the kernel keeps by ptrace(2)'s
	 * rules, and Landlock lets a process trace nobody. */
	if (r == 0)
		r = allow(ruleset, "/proc", FS_READ_FILE);
	if (r == 0 && files->list)
		r = allow_listing(ruleset, files->list);
	if (r == 0 && files->remove)
		r = allow_folder(ruleset, files->remove, FS_REMOVE_FILE);
	return r;
}

int landlock_enter(enum role role, const struct sandbox_files *files)
{
	cleanup_close_ int ruleset = -1;
	struct ruleset_attr attr;
	int r, abi = kernel_abi();

	if (abi < 0)
		return abi;
	attr = denied(role, abi);
	ruleset = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr), 0);
	if (ruleset < 0)
		return -errno;
	r = role == ROLE_SUPERVISOR ? allow_supervisor(ruleset, files) : 0;
	if (r < 0)
		return r;
	return syscall(SYS_landlock_restrict_self, ruleset, 0) < 0 ? -errno : 0;
}
