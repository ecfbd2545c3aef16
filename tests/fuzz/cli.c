/*
 * What tlsbroker-cli prints of what it was told: by a broker that lies, about a server that lies.
 * Whatever it is, a terminal gets printable ASCII and ends of lines.  First byte: which.
 *
 *   INFO     a struct tlsb_info as a worker wrote it, by way of the library
 *   STATUS   messages: rows, refusals, welcomes
 *   ERRORS   a session's code and text, by way of the library; a subject as it was typed
 *   EXPLAIN  messages: rows about rules
 */
#include "tests/fuzz/stage.h"

#include <unistd.h>

#include "libtlsbroker/internal.h"

/* The tool's objects are no part of the daemon that targets are linked with. */
#include "tools/complain.c"
#include "tools/exits.c"
#include "tools/explain.c"
#include "tools/explain_json.c"
#include "tools/report.c"
#include "tools/status.c"
#include "tools/status_json.c"
#include "tools/status_text.c"
#include "tools/whom.c"

enum kind { INFO, STATUS_TEXT, STATUS_JSON, ERRORS, EXPLAIN_TEXT, EXPLAIN_JSON, KINDS };

#define MOST_MESSAGES 16

static FILE *real_stderr, *terminal;

/* Everything that is printed comes here. */
static ssize_t judge(void *cookie unused_, const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if ((text[i] < 0x20 || text[i] > 0x7e) && text[i] != '\n') {
			stderr = real_stderr;
			must(!"what is printed is printable");
		}
	}
	return (ssize_t)len;
}

static void prepare(void)
{
	const cookie_io_functions_t functions = { .write = judge };

	if (terminal)
		return;
	real_stderr = stderr;
	terminal = fopencookie(NULL, "w", functions);
	must(terminal);
}

static void info(struct input *input)
{
	static struct control_page page;
	struct tlsb_session session = { .channel.page = &page };
	struct tlsb_info info;

	take_into(input, &page.info, sizeof(page.info));
	page.state = STATE_ESTABLISHED;
	must(tlsb_info(&session, &info, sizeof(info)) == 0);
	must(info.step_count <= TLSB_INFO_STEPS);
	report_established(terminal, &info);
	report_ended(terminal, info.tls_us, info.name_us);
}

static void status(struct input *input, int (*print)(const struct status *status))
{
	struct status status = { .fd = -1, .socket = "/run/tlsbroker/tlsbroker.sock" };
	enum progress progress = MORE;
	struct packet_space space;
	int fd = stage_fd();

	for (int i = 0; i < MOST_MESSAGES && progress == MORE && input->left > 0; i++) {
		struct packet packet = stage_take_packet(input, &client_messages, &space);

		stage_put(fd, &packet);
		if (receive(&status, fd, clock_ms() + 1, &progress) != EXIT_OK)
			break;
	}
	must(status.count <= MOST_MESSAGES);
	must(print(&status) == 0);
	status_deinit(&status);
	close(fd);
}

static int explain_text(const struct status *status)
{
	print_text("user", status);
	return 0;
}

static int explain_json(const struct status *status)
{
	const struct options options = { .subject = "\xff:1" };

	return explain_json_print(&options, "user", status);
}

/* As connect.c says how a session ended. */
static void errors(struct input *input)
{
	static struct control_page page;
	struct tlsb_session session = {
		.channel.page = &page, .stage = STAGE_OPEN, .fd = stage_fd(), .theirs = -1,
	};
	char *subject;
	int code;

	page.ended = 1;
	page.error = take_u32(input);
	page.rx_end = take_u8(input);
	take_into(input, page.text, sizeof(page.text));
	subject = take_string(input, LIMIT_HOST + 8);
	if (tlsb_handshake(&session) < 0 && (code = tlsb_error_code(&session)) != TLSB_E_NONE)
		must(complain(exits_from_error((uint32_t)code), subject, "%s",
			      tlsb_error_text(&session)) != EXIT_OK);
	free(subject);
	close(session.fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input input = { data, size };
	FILE *real_stdout = stdout;

	prepare();
	stdout = stderr = terminal;
	switch ((enum kind)(take_u8(&input) % KINDS)) {
	case INFO:
		info(&input);
		break;
	case STATUS_TEXT:
		status(&input, status_text_print);
		break;
	case STATUS_JSON:
		status(&input, status_json_print);
		break;
	case EXPLAIN_TEXT:
		status(&input, explain_text);
		break;
	case EXPLAIN_JSON:
		status(&input, explain_json);
		break;
	default:
		errors(&input);
	}
	must(fflush(terminal) == 0);
	stdout = real_stdout;
	stderr = real_stderr;
	kernel.polls = 0;
	must(stage_fds() == 0);
	return 0;
}
