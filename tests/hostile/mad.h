/*
 * A supervisor that has gone mad, for a child role in a test.  It is trusted, but its messages are
 * checked like any: a role that gets a bad one ends, and who started it sees that.  Header-only.
 */
#ifndef TLSB_TESTS_MAD_H
#define TLSB_TESTS_MAD_H

#include "oddities.h"
#include "role/role.h"

struct mad {
	struct child *child;
	int *far; /* its end of the child's channel */
	bool lost;
	enum msg_rule rule;
};

static struct mad mad;

static inline void mad_on_lost(struct chan *chan unused_, enum msg_rule rule,
			       const char *what unused_)
{
	assert_false(mad.lost);
	mad.lost = true;
	mad.rule = rule;
}

/* In place of the supervisor that was there. */
static inline void mad_connect(struct child *child, int *far)
{
	int pair[2];

	mad = (struct mad){ .child = child, .far = far };
	chan_deinit(&child->supervisor);
	fd_close(*far);
	assert_int_equal(fd_seqpacket_pair(pair), 0);
	*far = pair[1];
	assert_int_equal(chan_init(&child->supervisor, child->base, pair[0], &internal_messages,
				   child->role, ROLE_SUPERVISOR, RUN, child->ops->handlers,
				   mad_on_lost, child),
			 0);
}

/* Send a mutant that IS_IN_ITS_POWER does not forbid: what a supervisor may do it could do anyway. */
static inline void mad_attack(const struct oddities *odd, uint64_t *seed,
			      bool (*is_in_its_power)(const struct mutant *mutant))
{
	const struct msg_context ctx = { &internal_messages, mad.child->role, ROLE_SUPERVISOR, RUN };
	static struct mutant mutant;
	enum msg_rule rule;

	do {
		mutant_draw(&mutant, &ctx, seed, NULL, NULL);
		rule = mutant_rule(&mutant);
	} while (rule == RULE_NONE && !mutant_is_end(&mutant) && is_in_its_power(&mutant));
	oddities_send(odd, *mad.far, &mutant, seed);
	for (int i = 0; i < 4; i++)
		event_base_loop(mad.child->base, EVLOOP_NONBLOCK);
	if (rule != RULE_NONE && (!mad.lost || mad.rule != rule))
		fail_msg("%s", mutant_text(&mutant));
	if (mutant_is_end(&mutant))
		assert_true(mad.lost && mad.rule == RULE_NONE);
	else if (rule == RULE_NONE && mad.lost)
		assert_int_equal(mad.rule, RULE_CONTENT);
	if (mad.lost)
		mad_connect(mad.child, mad.far);
}

#endif
