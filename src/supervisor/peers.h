/*
 * Where a client runs: the kernel's file about its process, opened for the frontdoor, which cannot open
 * files and asks when a rule is for a systemd unit.  It is not looked at here: what is in it is partly
 * the client's choice.
 */
#ifndef TLSB_SUPERVISOR_PEERS_H
#define TLSB_SUPERVISOR_PEERS_H

#include "conf/conf.h"
#include "wire/chan.h"

/* A badge that asks for a unit, where nobody could find out, goes to ERRORS. */
void peers_check(const struct conf *conf, struct conf_errors *errors);

chan_handler peers_on_wanted;

#endif
