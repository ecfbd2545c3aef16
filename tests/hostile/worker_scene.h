/*
 * A worker under attack, in a test: one program is well-behaved and has a session, whose server sends
 * back what it gets; another program's sessions are the attackers'.  Whatever happens, the good one
 * is to notice nothing.  Header-only.
 */
#ifndef TLSB_TESTS_WORKER_SCENE_H
#define TLSB_TESTS_WORKER_SCENE_H

#include "tests/unit/testing_clock.h"
#include "tests/unit/worker_rig.h"

#include "mutate.h"
#include "oddities.h"
#include "witness.h"
#include "worker/client.h"

struct scene {
	struct one good;
	struct program host;
	struct oddities odd;
	struct witness log, expected;
	uint64_t seed, sent;
	unsigned violations;
	int fds;
};

static inline void scene_init(struct scene *scene)
{
	memset(scene, 0, sizeof(*scene));
	scene->seed = mutant_seed();
	one_init(&scene->good, &anything);
	scene->good.peer.echo = true;
	rig_program(&scene->good.rig, &scene->host);
	oddities_open(&scene->odd);
	scene->fds = testing_count_fds();
	witness_init(&scene->log, NULL);
}

/* The good program's session sends bytes through the server and back, exactly. */
static inline void expect_echo(struct scene *scene)
{
	struct testing_text sent = noise(1 + testing_random(&scene->seed) % 100, scene->seed);
	struct testing_text got = { 0 };

	assert_int_equal(session_write(&scene->good.session, sent.data, sent.len), sent.len);
	RIG_UNTIL(&scene->good.rig,
		  (session_read(&scene->good.session, &got, 999), got.len >= sent.len));
	assert_true(same(&sent, &got));
	free(sent.data);
	free(got.data);
}

/* Nothing is left of the attackers, and nobody else has noticed. */
static inline void expect_unharmed(struct scene *scene)
{
	struct rig *rig = &scene->good.rig;

	expect_echo(scene);
	RIG_UNTIL(rig, rig_count(rig, COUNTER_sessions) == 1);
	RIG_UNTIL(rig, rig_worker(rig)->client_count == 2);
	assert_int_equal(rig_worker(rig)->quota.sessions, 1);
	assert_int_equal(rig_worker(rig)->quota.ca_bytes, 0);
	program_listen(&scene->good.program);
	program_listen(&scene->host);
	assert_false(scene->good.program.hung || scene->host.hung);
	assert_false(scene->good.program.refused || scene->host.refused);
	session_listen(&scene->good.session);
	assert_false(scene->good.session.hung);
	RIG_UNTIL(rig, rig_keeps_nothing(rig));
	assert_int_equal(testing_count_fds(), scene->fds);
	witness_expect(&scene->log, &scene->expected);
	assert_int_equal(rig_count(rig, COUNTER_violations), witness_count(&scene->expected));
}

static inline void scene_deinit(struct scene *scene)
{
	expect_unharmed(scene);
	attacks_count("messages", scene->sent, scene->sent);
	oddities_close(&scene->odd);
	fd_close(scene->host.fd);
	one_deinit(&scene->good);
}

/* What an attack did is put down; BROKEN as the one that sent it saw it. */
static inline void expect_rule(struct scene *scene, enum msg_rule rule)
{
	scene->expected.rules[rule] += rule != RULE_NONE;
}


static inline void dispatch(struct scene *scene, int fd, const struct mutant *mutant)
{
	oddities_send(&scene->odd, fd, mutant, &scene->seed);
	scene->sent++;
}

#endif
