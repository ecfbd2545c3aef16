/*
 * Where the log goes: lines on standard error, or entries with fields in the journal.  Only the
 * supervisor writes; what the other roles have to say comes to it (logline.h).
 *
 *   2026-01-31T12:34:56.789Z INFO worker[123]: session established uid=1000 server=example.org:443
 *
 * Texts and values are escaped here, whoever they come from, so a line is always one line.
 */
#ifndef TLSB_SUPERVISOR_OUTPUT_H
#define TLSB_SUPERVISOR_OUTPUT_H

#include <stddef.h>
#include <time.h>

#include "base/log.h"

/* A line: what a pipe takes in one piece. */
#define OUTPUT_LINE 4096

enum output_target { OUTPUT_STDERR, OUTPUT_JOURNAL };

struct output {
	enum output_target target;
	int journal;   /* its socket, if that is the target */
	unsigned lost; /* lines for which there was no room; of these: */
	unsigned lost_audits;
	uint64_t *audits_lost; /* where all of them are counted, or NULL */
};

/*
 * "role[pid]: text name=value ..." into DST, cut to SIZE > 0.  Role and pid are the fields of that
 * name, else this process's.  Returns DST.
 */
char *output_message(char *dst, size_t size, const char *text, const struct log_pair *pairs,
		     size_t count);

/* The same behind time and level: a line for standard error, without its end.  Returns DST. */
char *output_line(char *dst, size_t size, const struct timespec *now, enum log_level level,
		  const char *text, const struct log_pair *pairs, size_t count);

/* A log_sink; ARG is a struct output.  Never waits: what the reader is too slow for is counted. */
void output_write(void *arg, enum log_level level, const char *text, const struct log_pair *pairs,
		  size_t count);

#endif
