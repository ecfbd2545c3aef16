/* Messages that it may not send, or not so; and what it says in the log. */
#include "tests/lib/treason/treason.h"

#include "base/log.h"

const char *try_gone_clients_of_others(void)
{
	for (uint64_t id = 1; id < 10; id++)
		tell(ROLE_FRONTDOOR, MSG_CLIENT_GONE, &(struct msg_client_gone){ .id = id }, NULL, 0);
	return cut_off(ROLE_FRONTDOOR);
}

const char *try_more_clients_than_there_can_be(void)
{
	const struct msg_clients body = { .count = UINT32_MAX };

	tell(ROLE_FRONTDOOR, MSG_CLIENTS, &body, NULL, 0);
	return cut_off(ROLE_FRONTDOOR);
}

const char *try_a_header_that_is_cut(void)
{
	tell_raw(ROLE_FRONTDOOR, MSG_CLIENTS, 3, -1, 0);
	return cut_off(ROLE_FRONTDOOR);
}

const char *try_a_message_as_long_as_can_be(void)
{
	tell_raw(ROLE_CONNECTOR, MSG_DIAL, LIMIT_MESSAGE + 1, -1, 0);
	return cut_off(ROLE_CONNECTOR);
}

const char *try_a_hundred_descriptors(void)
{
	const size_t len = sizeof(struct msg_header) + sizeof(struct msg_client_gone);

	tell_raw(ROLE_FRONTDOOR, MSG_CLIENT_GONE, len, me.trust, 100);
	return cut_off(ROLE_FRONTDOOR);
}

const char *try_status_of_root(void)
{
	const struct msg_status_ask body = { .uid = 0 };

	tell(ROLE_SUPERVISOR, MSG_STATUS_ASK, &body, NULL, 0);
	return not_ended();
}

/* NOTHING: no row of any badge or worker but our own. */
static const char *ask(uint32_t what, uint32_t worker, uint64_t session)
{
	const struct msg_question body = { .tag = 1, .what = what, .worker = worker, .session = session };
	const struct msg_status_row *row;
	struct msg msg;

	tell(ROLE_SUPERVISOR, MSG_QUESTION, &body, NULL, 0);
	while (hear(ROLE_SUPERVISOR, SOON_MS, &msg) == HEARD) {
		row = msg.body;
		if (msg.type == MSG_SESSIONS)
			return NOTHING; /* ours */
		if (msg.type != MSG_STATUS_ROW)
			return msg.info->name;
		if (row->row.kind == ROW_BADGE && msg.tail_len == 7 && memcmp(msg.tail, "hostile", 7) == 0)
			continue;
		if (row->row.kind != ROW_END)
			return SUCCEEDED;
		return row->row.value[0] == TLSB_E_POLICY ? REFUSED : NOTHING;
	}
	return "no answer";
}

const char *try_sessions_of_others(void)
{
	return ask(ASK_SESSIONS, 0, UINT64_MAX);
}

const char *try_the_end_of_others_sessions(void)
{
	const char *outcome = REFUSED;

	/* The first worker is the other user's. */
	for (uint64_t session = 1; session < 20 && strcmp(outcome, REFUSED) == 0; session++)
		outcome = ask(ASK_KILL, 1, session);
	return outcome;
}

const char *try_a_reload(void)
{
	return ask(ASK_RELOAD, 0, 0);
}

const char *supervisor_goes_on(void)
{
	const char *outcome = try_a_reload();

	return strcmp(outcome, REFUSED) == 0 ? NOTHING : outcome;
}

const char *try_the_other_badges(void)
{
	return ask(ASK_BADGES, 0, 0);
}

const char *try_answers_that_nobody_asked_for(void)
{
	const struct msg_session_row body = { .id = 12345, .row = { .kind = ROW_LISTED } };

	tell(ROLE_SUPERVISOR, MSG_SESSION_ROW, &body, NULL, 0);
	return supervisor_goes_on();
}

const char *try_ready_again(void)
{
	static const struct msg_ready body;

	tell(ROLE_SUPERVISOR, MSG_READY, &body, NULL, 0);
	return not_ended();
}

const char *try_a_reserved_field(void)
{
	static const struct msg_status_ask body = { .reserved = 1 };

	tell(ROLE_SUPERVISOR, MSG_STATUS_ASK, &body, NULL, 0);
	return not_ended();
}

const char *try_questions_without_end(void)
{
	const struct msg_question body = { .what = ASK_BADGES };

	endless(ROLE_SUPERVISOR, MSG_QUESTION, &body, NULL, 0);
	return not_ended();
}

const char *try_other_process_ids(void)
{
	union {
		struct cmsghdr head;
		char bytes[CMSG_SPACE(sizeof(struct ucred))];
	} control = { .head = { CMSG_LEN(sizeof(struct ucred)), SOL_SOCKET, SCM_CREDENTIALS } };
	const struct ucred other = { (pid_t)me.order.victim, 0, 0 };
	struct iovec iov = { me.bytes, 16 };
	const struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control,
				    .msg_controllen = sizeof(control) };

	memcpy(CMSG_DATA(&control.head), &other, sizeof(other));
	return returned(sendmsg(SUPERVISOR_FD, &msg, MSG_NOSIGNAL));
}

const char *forge(enum role peer, uint32_t type)
{
	static const char zeros[256];

	tell(peer, type, zeros, NULL, 0);
	return peer == ROLE_SUPERVISOR ? not_ended() : cut_off(peer);
}

/* ---- the log ---- */

/* FIELDS: a tag, a string with its NUL, and so on. */
static void say_line(uint32_t level, const char *text, const char *fields, size_t len)
{
	const struct msg_log body = { .level = level };
	char tail[512];
	size_t at = strlen(text) + 1;

	memcpy(tail, text, at);
	memcpy(tail + at, fields, len);
	tell(ROLE_SUPERVISOR, MSG_LOG, &body, tail, at + len);
}

const char *try_another_roles_line(void)
{
	const char fields[] = { FIELD_ROLE + 1, 'k', 'e', 'y', 0 };

	say_line(LOG_L_ERROR, "forged", fields, sizeof(fields));
	return not_ended();
}

const char *try_another_process_line(void)
{
	const char fields[] = { FIELD_PID + 1, '1', 0 };

	say_line(LOG_L_ERROR, "forged", fields, sizeof(fields));
	return not_ended();
}

const char *try_a_field_twice(void)
{
	const char fields[] = { FIELD_SERVER + 1, 'a', 0, FIELD_SERVER + 1, 'b', 0 };

	say_line(LOG_L_ERROR, "forged", fields, sizeof(fields));
	return not_ended();
}

const char *try_a_level_that_is_none(void)
{
	say_line(0, "forged", "", 0);
	return not_ended();
}

const char *try_another_badges_line(void)
{
	const char fields[] = { FIELD_BADGE + 1, 'h', 'o', 'n', 'e', 's', 't', 0, FIELD_UID + 1, '0', 0 };

	say_line(LOG_L_ERROR, "turncoat says whose it is", fields, sizeof(fields));
	return supervisor_goes_on();
}

const char *try_lines_within_a_line(void)
{
	const char fields[] = { FIELD_SERVER + 1, '\n', 'E', 'R', 'R', 'O', 'R', 0 };

	say_line(LOG_L_ERROR, "turncoat begins\nERROR supervisor[1]: false\r\033[2J", fields,
		 sizeof(fields));
	return supervisor_goes_on();
}

const char *try_lines_without_end(void)
{
	for (unsigned i = 0; i < ENDLESS; i++)
		say_line(LOG_L_ERROR, "turncoat floods", "", 0);
	return supervisor_goes_on();
}
