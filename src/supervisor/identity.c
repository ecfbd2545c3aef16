#include "supervisor/identity.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <string.h>
#include <unistd.h>

int identity_is_root(void)
{
	return getuid() == 0 || geteuid() == 0;
}

int identity_find(const char *given, const char *default_name, struct identity *ret_identity,
		  struct failure *failure)
{
	const struct passwd *entry;
	const char *name;

	if (!given && !identity_is_root()) {
		*ret_identity = (struct identity){ getuid(), getgid() };
		return 0;
	}
	name = given ? given : default_name;
	errno = 0;
	entry = getpwnam(name);
	if (!entry)
		return failure_set(failure, -ENOENT, "--user %s: %s%s", name,
				   errno ? strerror(errno) : "there is no such user",
				   given ? "" : "; make it, or say --user NAME");
	if (entry->pw_uid == 0 || entry->pw_gid == 0)
		return failure_set(failure, -EPERM, "--user %s: must not be root", name);
	if (!identity_is_root() && entry->pw_uid != getuid())
		return failure_set(failure, -EPERM, "--user %s: only root can become another user",
				   name);
	*ret_identity = (struct identity){ entry->pw_uid, entry->pw_gid };
	return 0;
}

/* A saved id, a capability that was kept, a kernel that lies: whatever it is, root is not near. */
static int no_way_back(const struct identity *identity)
{
	uid_t real, effective, saved;

	if (getresuid(&real, &effective, &saved) < 0)
		return 0;
	if (real != identity->uid || effective != identity->uid || saved != identity->uid)
		return 0;
	/* An ordinary user whose own group is 0, as in some containers, has no more to win. */
	return setuid(0) < 0 && seteuid(0) < 0 && (identity->gid == 0 || setgid(0) < 0);
}

int identity_assume(const struct identity *identity, struct failure *failure)
{
	if (identity_is_root()) {
		if (setgroups(0, NULL) < 0 ||
		    setresgid(identity->gid, identity->gid, identity->gid) < 0 ||
		    setresuid(identity->uid, identity->uid, identity->uid) < 0)
			return failure_set(failure, -errno, "becoming user %u: %s",
					   (unsigned)identity->uid, strerror(errno));
	}
	if (!no_way_back(identity))
		return failure_set(failure, -EPERM,
				   "becoming user %u: root's rights are still within reach",
				   (unsigned)identity->uid);
	return 0;
}
