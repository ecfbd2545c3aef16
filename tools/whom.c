#include "tools/whom.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/macros.h"
#include "base/text.h"
#include "tools/complain.h"

/* All of a file of /proc, as far as there is room; its length, 0 if it cannot be read. */
static size_t read_proc(const char *process, const char *name, char *dst, size_t size)
{
	char path[64];
	FILE *stream;
	size_t len;

	snprintf(path, sizeof(path), "/proc/%s/%s", process, name);
	stream = fopen(path, "re");
	len = stream ? fread(dst, 1, size - 1, stream) : 0;
	if (stream)
		fclose(stream);
	dst[len] = '\0';
	return len;
}

static void read_cgroup(const char *process, struct whom *whom)
{
	/* A part of it could be of another unit. */
	if (read_proc(process, "cgroup", whom->cgroup, sizeof(whom->cgroup)) ==
	    sizeof(whom->cgroup) - 1)
		whom->cgroup[0] = '\0';
}

static enum exit_code too_many(const char *title)
{
	return complain(EXIT_OTHER, title, "is in more than %d groups", LIMIT_INQUIRY_GROUPS);
}

enum exit_code whom_self(struct whom *ret)
{
	gid_t groups[LIMIT_INQUIRY_GROUPS];
	int count = getgroups(LIMIT_INQUIRY_GROUPS, groups);

	*ret = (struct whom){ .uid = geteuid(), .gid = getegid() };
	snprintf(ret->title, sizeof(ret->title), "user %u", ret->uid);
	if (count < 0)
		return too_many(ret->title);
	for (int i = 0; i < count; i++)
		ret->groups[ret->group_count++] = groups[i];
	read_cgroup("self", ret);
	return EXIT_OK;
}

enum exit_code whom_user(const char *name, struct whom *ret)
{
	gid_t groups[LIMIT_INQUIRY_GROUPS];
	int count = LIMIT_INQUIRY_GROUPS;
	const struct passwd *passwd;
	uint32_t uid;

	*ret = (struct whom){ .uid = 0 };
	passwd = getpwnam(name);
	if (!passwd && text_parse_u32(name, 0, UINT32_MAX - 1, &uid) == 0) {
		passwd = getpwuid(uid);
		snprintf(ret->title, sizeof(ret->title), "user %u", uid);
		ret->uid = uid;
		ret->gid = passwd ? passwd->pw_gid : UINT32_MAX; /* nobody's */
		if (!passwd)
			return EXIT_OK;
	}
	if (!passwd)
		return complain(EXIT_USAGE, name, "there is no such user");
	ret->uid = passwd->pw_uid;
	ret->gid = passwd->pw_gid;
	memcpy(ret->title, "user ", 5);
	text_escape_str(ret->title + 5, sizeof(ret->title) - 5, passwd->pw_name);
	if (getgrouplist(passwd->pw_name, passwd->pw_gid, groups, &count) < 0)
		return too_many(ret->title);
	for (int i = 0; i < count; i++)
		ret->groups[ret->group_count++] = groups[i];
	return EXIT_OK;
}

/* Behind "NAME:\t" in /proc/PID/status, or NULL. */
static const char *field(const char *text, const char *name)
{
	const size_t len = strlen(name);

	for (; text; text = strchr(text, '\n')) {
		text += *text == '\n';
		if (strncmp(text, name, len) == 0 && text[len] == ':')
			return text + len + 1;
	}
	return NULL;
}

/* Real, effective and more: the second is what the kernel tells of who connects. */
static bool read_effective(const char *text, const char *name, uint32_t *ret)
{
	const char *at = field(text, name);
	char *end;

	if (!at)
		return false;
	(void)strtoul(at, &end, 10);
	*ret = (uint32_t)strtoul(end, NULL, 10);
	return true;
}

enum exit_code whom_process(uint32_t pid, struct whom *ret)
{
	static char status[256 * 1024];
	const char *at;
	char process[16];

	*ret = (struct whom){ .uid = 0 };
	snprintf(process, sizeof(process), "%u", pid);
	snprintf(ret->title, sizeof(ret->title), "process %u", pid);
	if (read_proc(process, "status", status, sizeof(status)) == 0 ||
	    !read_effective(status, "Uid", &ret->uid) || !read_effective(status, "Gid", &ret->gid))
		return complain(EXIT_USAGE, ret->title, "is not there, or cannot be seen");
	at = field(status, "Groups");
	for (at = at ? at + strspn(at, " \t") : ""; *at >= '0' && *at <= '9'; at += strspn(at, " ")) {
		char *end;

		if (ret->group_count == LIMIT_INQUIRY_GROUPS)
			return too_many(ret->title);
		ret->groups[ret->group_count++] = (uint32_t)strtoul(at, &end, 10);
		at = end;
	}
	read_cgroup(process, ret);
	return EXIT_OK;
}
