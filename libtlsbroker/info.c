#include <errno.h>
#include <string.h>

#include "base/macros.h"
#include "libtlsbroker/internal.h"
#include "wire/errors.h"

int tlsb_error_code(const struct tlsb_session *session)
{
	return (int)session->code;
}

const char *tlsb_error_text(const struct tlsb_session *session)
{
	return session->text;
}

int tlsb_error_is_fatal(int code)
{
	return error_info((uint32_t)code)->fatal;
}

/*
 * The broker has escaped what it had from elsewhere, with backslashes: escaping again would double
 * them.  One that sends other bytes lies, and gets no more than this.
 */
void info_make_printable(char *text, size_t size, char also)
{
	text[size - 1] = '\0';
	for (; *text; text++) {
		if ((*text < 0x20 || *text > 0x7e) && *text != also)
			*text = '?';
	}
}

int tlsb_info(const struct tlsb_session *session, struct tlsb_info *info, size_t sizeof_info)
{
	struct tlsb_info copy;

	if (!info || sizeof_info == 0) {
		errno = EINVAL;
		return -1;
	}
	if (!session->channel.page ||
	    atomic_load_explicit(&session->channel.page->state, memory_order_acquire) !=
		    STATE_ESTABLISHED) {
		errno = ENOTCONN;
		return -1;
	}
	page_copy(&copy, &session->channel.page->info, sizeof(copy)); /* from the worker: hostile */
	copy.step_count = MIN(copy.step_count, (uint32_t)TLSB_INFO_STEPS);
	info_make_printable(copy.cipher, sizeof(copy.cipher), ' ');
	info_make_printable(copy.group, sizeof(copy.group), ' ');
	info_make_printable(copy.alpn, sizeof(copy.alpn), ' ');
	info_make_printable(copy.address, sizeof(copy.address), ' ');
	info_make_printable(copy.subject, sizeof(copy.subject), ' ');
	info_make_printable(copy.chain, sizeof(copy.chain), '\n');
	info_make_printable(copy.identity, sizeof(copy.identity), ' ');
	info_make_printable(copy.psk, sizeof(copy.psk), ' ');
	memset(info, 0, sizeof_info);
	memcpy(info, &copy, MIN(sizeof_info, sizeof(copy)));
	return 0;
}
