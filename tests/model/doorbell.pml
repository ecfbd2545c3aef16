/*
 * The channel of one session: rings, doorbell, state and ends, step by step as the code has them.
 * tests/model/run lets spin try every order in which the steps can happen.  Marks such as P3 and W7
 * are explained, with the lines of code they stand for, in docs/RING.md.
 *
 *   program()   libtlsbroker/wait.c, stream.c, session.c: a program that sleeps in its calls, one with
 *               an event loop, or one that polls memory
 *   worker()    src/worker/pump.c, flow.c, linger.c and the event loop around them
 *   server()    sends INCOMING units and an end, takes what comes
 *   death()     ends one side between any two of its steps, or does not
 *   buffer()    one for each side: what it stored and the other does not see yet
 *
 * When nothing moves any more ("timeout"), whoever sleeps asserts that it is owed nothing.
 *
 * Memory.  Spin's own variables are sequentially consistent, a processor's are not.  So a plain store
 * goes into its side's buffer, and from there to memory in any order with other words' (weaker than
 * x86, whose buffer is a queue); one's own loads look into the buffer first.  A sequentially
 * consistent store, or a read-modify-write, waits until the buffer is empty and works on memory: what
 * a fence does.  A release store waits, too, but is itself buffered.  Loads are not reordered among
 * each other, so a missing acquire is not found here.
 *
 * A unit stands for some bytes; its value is its number, so stale, lost and doubled ones are seen.
 * What depends on time or size (where a batch ends, a bell within it, a look whether the other
 * side is alive) is left to chance, and so to spin.
 *
 * MUTATION leaves one thing out; spin must then find what it was for.
 */
#define PROGRAM 0
#define WORKER  1
#define NOBODY  2

/* From the environment, so that one compiled model is enough. */
byte mutation, mode, tasks, incoming, outgoing, deadly;

#define SLEEPER 0 /* its calls sleep */
#define LOOPER  1 /* tlsb_fd() at some time; calls that do not sleep; poll(), whenever it likes */
#define POLLER  2 /* calls that do not sleep, again and again */

#define READS  1
#define WRITES 2

#define NO_FENCE_WORKER_ARMS      1
#define NO_FENCE_PROGRAM_ARMS     2
#define NO_FENCE_WORKER_PRODUCES  3
#define NO_FENCE_PROGRAM_PRODUCES 4
#define NO_FENCE_PROGRAM_CONSUMES 5
#define NO_FENCE_FIN              6
#define NO_ORDER_OF_BYTES         7
#define NO_LOOK_WORKER            8
#define NO_LOOK_PROGRAM           9
#define NO_LOOK_AT_FIN            10
#define NO_ANSWER_AFTER_BATCH     11
#define NO_ANSWER_AFTER_READ      12
#define NO_ANSWER_ESTABLISHED     13
#define NO_LATE_ANSWER            14
#define NO_ARM_AFTER_TAKE         15
#define NO_KEPT_PROMISE           16
#define END_AFTER_BELL            17
#define END_LOOKED_AT_LAST        18
#define END_WITHOUT_HANG_UP       19
#define NO_LOOK_ESTABLISHED       20
#define SPIN_FOR_ANOTHER_CALL     21

#define NEVER 255

#define HAS(m) (mutation == (m))

/* ---- memory ---- */

#define CAPACITY 2 /* of a ring, in units */
#define WORTH    2 /* so many free are worth a bell */

#define STATE         0
#define ENDED         1
#define RX_HEAD       2
#define RX_TAIL       3
#define TX_HEAD       4
#define TX_TAIL       5
#define RX_END        6
#define TX_END        7
#define TX_FIN        8
#define PROGRAM_WANTS 9
#define WORKER_WANTS  10
#define RX_BYTES      11
#define TX_BYTES      13
#define WORDS         15

#define NONE 255

byte memory[WORDS];
byte stored[30]; /* by side and word: on its way to memory, or NONE */
byte pending[2]; /* how many are */
byte dead = NOBODY;

#define AT(me, word) ((me) * WORDS + (word))
#define VALUE(me, word) (stored[AT(me, word)] == NONE -> memory[word] : stored[AT(me, word)])
#define FENCE(me) pending[me] == 0

/*
 * A side is one long atomic sequence; before each step that the other could notice it lets anybody
 * else go first, here.
 */
chan gate[2] = [0] of { bit };

#define STEP(me) gate[me] ? 0

proctype turns(byte me)
{
	do
	:: atomic { dead != me -> gate[me] ! 0 }
	od
}

inline load(me, word, ret)
{
	STEP(me);
	ret = VALUE(me, word)
}

inline store(me, word, what)
{
	STEP(me);
	pending[me] = pending[me] + (stored[AT(me, word)] == NONE -> 1 : 0);
	stored[AT(me, word)] = what
}

/* Sequentially consistent; only a release if LESS is what is left out. */
inline publish(me, word, what, less)
{
	if
	:: HAS(less) -> FENCE(me); store(me, word, what)
	:: else -> STEP(me); FENCE(me); memory[word] = what
	fi
}

#define REACHES(word) \
	d_step { stored[AT(me, word)] != NONE -> \
		memory[word] = stored[AT(me, word)]; stored[AT(me, word)] = NONE; pending[me]-- }

proctype buffer(byte me)
{
	do
	:: REACHES(RX_HEAD)
	:: REACHES(RX_TAIL)
	:: REACHES(TX_HEAD)
	:: REACHES(TX_FIN)
	:: REACHES(PROGRAM_WANTS)
	:: REACHES(WORKER_WANTS)
	:: REACHES(RX_BYTES)
	:: REACHES(RX_BYTES + 1)
	od
}

/* ---- the session's socket ---- */

#define SOCKET_HOLDS 2

byte bells[2]; /* to be taken by a side */
bool closed[2];

/* A full socket has bells enough in it. */
inline ring_bell(me)
{
	STEP(me);
	FENCE(me);
	bells[1 - me] = bells[1 - me] + (closed[1 - me] || bells[1 - me] == SOCKET_HOLDS -> 0 : 1)
}

/* ---- src/ring/doorbell.h ---- */

inline doorbell_arm(me, word, wants, less)
{
	if
	:: HAS(less) -> store(me, word, memory[word] | (wants))
	:: else -> STEP(me); FENCE(me); memory[word] = memory[word] | (wants)
	fi
}

/* The look, and the taking away, which tells whether there was still something; then the bell. */
inline doorbell_answer(me, word, wants)
{
	load(me, word, owed);
	owed = owed & (wants);
	if
	:: owed != 0 ->
		STEP(me);
		FENCE(me);
		owed = memory[word] & (wants);
		memory[word] = memory[word] & (7 - (wants));
		if
		:: owed != 0 -> ring_bell(me); owed = 0
		:: else
		fi
	:: else
	fi
}

#define WANT_DATA  1
#define WANT_ROOM  2
#define WANT_STATE 4

/* ---- the server, and the network to it ---- */

#define OPEN  0
#define CLEAN 1 /* close_notify */
#define CUT   2

#define NETWORK_HOLDS 1

bool shaken;             /* the server has done its part of the handshake */
byte arrived;            /* units for us, in the kernel */
byte arrived_end;        /* behind them */
byte leaving;            /* units for the server, in the kernel */
bool goodbye;            /* close_notify went behind them */
bool readable, writable; /* edges for the worker's event loop */

/* For a program that only writes it has no end: that would wake the worker, whoever forgot to. */
proctype server()
{
	byte sent;

	d_step { shaken = true; readable = true };
	do
	:: d_step { sent < incoming -> sent++; arrived++; readable = true }
	:: atomic {
		sent == incoming && arrived_end == OPEN && (tasks & READS) ->
		if
		:: arrived_end = CLEAN
		:: deadly != NOBODY -> arrived_end = CUT
		fi;
		readable = true
	}
	:: d_step { leaving > 0 -> leaving--; writable = true }
	od
}

/* ---- the program ---- */

#define READ     0
#define WRITE    1
#define SHUTDOWN 2
#define REACH    3 /* tlsb_connect(), tlsb_handshake() */

#define WANTS (call == READ -> 5 : (call == REACH -> 4 : 6))

#define DONE  0
#define BLOCK 1
#define OVER  2

#define AWAITED ((seen == 1 -> 3 : 7) & (blocked | WANT_DATA))

/* P11: ready(), of what is awaited; its loads one by one. */
inline look_ready()
{
	if
	:: seen == 0 ->
		load(PROGRAM, STATE, p);
		found = (p != seen -> WANT_STATE : 0)
	:: else ->
		load(PROGRAM, RX_HEAD, p);
		if
		:: p != rx_own -> found = WANT_DATA
		:: else -> load(PROGRAM, RX_END, found)
		fi;
		if
		:: (blocked & WANT_ROOM) == 0
		:: (blocked & WANT_ROOM) != 0 && fin ->
			load(PROGRAM, TX_END, p);
			found = found | (p -> WANT_ROOM : 0)
		:: (blocked & WANT_ROOM) != 0 && !fin ->
			load(PROGRAM, TX_TAIL, p);
			found = found | (tx_own - p != CAPACITY -> WANT_ROOM : 0)
		fi
	fi;
	found = found & AWAITED;
	p = 0
}

/* P2 */
inline arm()
{
	p = AWAITED & (7 - armed);
	armed = armed | p;
	if
	:: p != 0 -> doorbell_arm(PROGRAM, PROGRAM_WANTS, p, NO_FENCE_PROGRAM_ARMS); p = 0
	:: else
	fi
}

/* P1: a bell, or the hang-up, is taken out. */
inline take()
{
	armed = (HAS(NO_ARM_AFTER_TAKE) -> armed : 0);
	asked = false;
	if
	:: hung
	:: else ->
		STEP(PROGRAM);
		if
		:: bells[PROGRAM] > 0 -> bells[PROGRAM]--
		:: bells[PROGRAM] == 0 && closed[WORKER] -> hung = true
		:: else
		fi
	fi
}

/* P4 */
inline keep_promise()
{
	if
	:: found == 0 || asked || HAS(NO_KEPT_PROMISE)
	:: else ->
		load(PROGRAM, PROGRAM_WANTS, p);
		if
		:: (p & armed) == armed ->
			arm();
			asked = true;
			ring_bell(PROGRAM)
		:: else
		fi;
		p = 0
	fi;
	found = 0
}

/* It looks once in 100 ms: now, or not now. */
inline look_alive()
{
	if
	:: take()
	:: skip
	fi
}

inline wait_after_read()
{
	if
	:: shown ->
		look_ready();
		if
		:: found == 0 ->
			take();
			arm();
			look_ready()
		:: else
		fi;
		keep_promise()
	:: else
	fi
}

inline try_read()
{
	if
	:: HAS(END_LOOKED_AT_LAST) -> load(PROGRAM, RX_HEAD, q); load(PROGRAM, RX_END, end)
	:: else -> load(PROGRAM, RX_END, end); load(PROGRAM, RX_HEAD, q) /* P7 */
	fi;
	q = q - rx_own;
	assert(q <= CAPACITY);
	if
	:: q == 0 ->
		read_all = end;
		result = (end -> DONE : (over -> OVER : BLOCK))
	:: else ->
		do
		:: q > 0 ->
			assert(memory[RX_BYTES + rx_own % CAPACITY] == rx_own + 1);
			rx_own++;
			q--
		:: q < CAPACITY -> break /* some of it */
		od;
		publish(PROGRAM, RX_TAIL, rx_own, NO_FENCE_PROGRAM_CONSUMES); /* P8 */
		if
		:: CAPACITY - q >= WORTH && !HAS(NO_ANSWER_AFTER_READ) ->
			doorbell_answer(PROGRAM, WORKER_WANTS, WANT_ROOM) /* P9 */
		:: else
		fi;
		q = 0;
		result = DONE;
		wait_after_read()
	fi;
	end = false
}

inline try_write()
{
	load(PROGRAM, TX_TAIL, p);
	p = CAPACITY - (tx_own - p);
	assert(p <= CAPACITY);
	result = (over -> OVER : (p == 0 -> BLOCK : DONE));
	p = 0;
	if
	:: result == DONE ->
		memory[TX_BYTES + tx_own % CAPACITY] = tx_own + 1;
		tx_own++;
		publish(PROGRAM, TX_HEAD, tx_own, NO_FENCE_PROGRAM_PRODUCES); /* P5 */
		doorbell_answer(PROGRAM, WORKER_WANTS, WANT_DATA) /* P6 */
	:: else
	fi
}

inline try_shutdown()
{
	if
	:: !fin -> /* P10 */
		fin = true;
		publish(PROGRAM, TX_FIN, 1, NO_FENCE_FIN);
		doorbell_answer(PROGRAM, WORKER_WANTS, WANT_DATA)
	:: else
	fi;
	load(PROGRAM, TX_END, wrote_all);
	result = (wrote_all -> DONE : (over -> OVER : BLOCK))
}

/* session_state() looks at the end first; then CALL. */
inline attempt()
{
	load(PROGRAM, ENDED, over);
	over = over || hung;
	if
	:: seen == 0 -> load(PROGRAM, STATE, seen)
	:: else /* it goes no further */
	fi;
	if
	:: seen == 0 || call == REACH -> result = (seen == 1 -> DONE : (over -> OVER : BLOCK))
	:: seen == 1 && call == READ -> try_read()
	:: seen == 1 && call == WRITE -> try_write()
	:: seen == 1 && call == SHUTDOWN -> try_shutdown()
	fi;
	over = false
}

/* P13: it looks for a moment, or not; what it has seen it need not be woken for. */
inline spin_or_arm()
{
	if
	:: look_ready(); found = found & (HAS(SPIN_FOR_ANOTHER_CALL) -> 7 : WANTS)
	:: found = 0
	fi;
	if
	:: found == 0 -> arm()
	:: else
	fi;
	found = 0
}

inline before_sleep()
{
	blocked = blocked | WANTS;
	if
	:: mode == SLEEPER -> spin_or_arm()
	:: mode != SLEEPER && !shown -> look_alive()
	:: shown ->
		look_ready();
		if
		:: (found & (7 - WANTS)) != 0 -> look_alive()
		:: else -> take()
		fi;
		arm()
	fi
}

/* try_twice() and the end of wait_for(): P3 is the second attempt. */
inline try_now()
{
	was = seen;
	do
	:: true ->
		attempt();
		if
		:: result != BLOCK || again || HAS(NO_LOOK_PROGRAM) -> break
		:: else -> before_sleep(); again = true
		fi
	od;
	if
	:: shown && (again || was != seen && !HAS(NO_LOOK_ESTABLISHED)) ->
		look_ready();
		found = found & (7 - (result == BLOCK -> WANTS : 0));
		keep_promise()
	:: else
	fi;
	found = 0;
	was = 0;
	again = false;
	blocked = (result == BLOCK -> blocked : blocked & (7 - WANTS))
}

/* What the promise in wait.c is about. */
#define READY \
	((blocked & WANT_STATE) && seen == 0 && memory[STATE] != 0 || \
	 seen == 1 && (memory[RX_HEAD] != rx_own || memory[RX_END] && !read_all || \
		(blocked & WANT_ROOM) && (fin -> memory[TX_END] : tx_own - memory[TX_TAIL] != CAPACITY)))

/* P12: poll() of the session's descriptor. */
inline sleep()
{
	if
	:: dead != PROGRAM && (bells[PROGRAM] > 0 || closed[WORKER])
	:: timeout -> assert(dead == PROGRAM || mode == LOOPER && !READY); false
	fi
}

/* Polling memory is the same without a bell. */
inline poll_memory()
{
	if
	:: dead != PROGRAM && (READY || memory[ENDED] || closed[WORKER])
	:: timeout -> assert(dead == PROGRAM); false
	fi
}

/* Any call that has something left to do. */
inline choose()
{
	if
	:: seen == 0 -> call = REACH
	:: seen == 1 && (tasks & READS) && !read_all -> call = READ
	:: seen == 1 && (tasks & WRITES) && !wrote_all ->
		call = (tx_own < outgoing -> WRITE : SHUTDOWN)
	fi
}

#define FINISHED ((read_all || !(tasks & READS)) && (wrote_all || !(tasks & WRITES)))

proctype program()
{
	byte call, result, rx_own, tx_own, armed, blocked, seen, was, found, p, q, owed;
	bool shown, asked, hung, fin, read_all, wrote_all, over, end, again;

	atomic {
	do
	:: result == OVER || FINISHED -> break
	:: result != OVER && !FINISHED ->
		if
		:: mode == LOOPER && !shown -> /* tlsb_fd() */
			shown = true;
			arm();
			look_ready();
			keep_promise()
		:: mode != LOOPER || shown || seen == 0 ->
			if
			:: mode == SLEEPER && result == BLOCK
			:: else -> choose()
			fi;
			try_now()
		fi;
		if
		:: result == OVER || FINISHED
		:: mode == POLLER && result == BLOCK -> poll_memory()
		:: mode == SLEEPER && result == BLOCK -> sleep(); take()
		:: mode == LOOPER && shown && !FINISHED -> sleep() /* though it has not tried all */
		:: mode == LOOPER || result == DONE
		fi
	od;
	STEP(PROGRAM);
	FENCE(PROGRAM);
	closed[PROGRAM] = true;
	/* Whoever is told that all went well has had everything. */
	assert(!read_all || rx_own == incoming);
	assert(!wrote_all || tx_own == outgoing && goodbye)
	}
}

/* ---- the worker ---- */

/* W4: pump_ring() */
inline pump_ring()
{
	w = (unrung_end -> 7 : unrung);
	unrung = 0;
	unrung_end = false;
	if
	:: w != 0 && !linger -> doorbell_answer(WORKER, PROGRAM_WANTS, w)
	:: else
	fi;
	w = 0
}

inline publish_end(word)
{
	if
	:: HAS(END_AFTER_BELL) ->
		unrung_end = true;
		pump_ring()
	:: else -> unrung_end = true
	fi;
	publish(WORKER, word, 1, NEVER)
}

/* After a unit: go on, ring within the batch, or let other sessions have a turn. */
inline go_on()
{
	if
	:: true
	:: pump_ring()
	:: more = false; turn = true
	fi
}

inline look_in()
{
	load(WORKER, RX_TAIL, w);
	w = CAPACITY - (rx_sent - w);
	assert(w <= CAPACITY)
}

inline pump_in()
{
	more = true;
	do
	:: more ->
		look_in();
		if
		:: w == 0 -> /* W2, W3 */
			doorbell_arm(WORKER, WORKER_WANTS, WANT_ROOM, NO_FENCE_WORKER_ARMS);
			if
			:: HAS(NO_LOOK_WORKER)
			:: else -> look_in()
			fi
		:: else
		fi;
		/* SSL_read_ex() */
		if
		:: w == 0 || drained -> more = false
		:: else ->
			STEP(WORKER);
			if
			:: arrived > 0 -> arrived--; result = 1
			:: arrived == 0 && arrived_end == OPEN -> drained = true; more = false
			:: arrived == 0 && arrived_end == CLEAN -> rx_end = true; more = false
			:: arrived == 0 && arrived_end == CUT -> ending = true; more = false
			fi
		fi;
		w = 0;
		if
		:: result == 1 -> /* W1 */
			result = 0;
			if
			:: HAS(NO_ORDER_OF_BYTES) ->
				store(WORKER, RX_BYTES + rx_sent % CAPACITY, rx_sent + 1);
				rx_sent++;
				store(WORKER, RX_HEAD, rx_sent)
			:: else ->
				memory[RX_BYTES + rx_sent % CAPACITY] = rx_sent + 1;
				rx_sent++;
				publish(WORKER, RX_HEAD, rx_sent, NO_FENCE_WORKER_PRODUCES)
			fi;
			unrung = unrung | WANT_DATA;
			go_on()
		:: else
		fi
	:: else -> break
	od;
	if
	:: rx_end -> publish_end(RX_END)
	:: else
	fi;
	ending = ending || rx_end && tx_end
}

/* W5: the end first, then the bytes. */
inline look_out()
{
	load(WORKER, TX_FIN, fin);
	load(WORKER, TX_HEAD, w);
	w = w - tx_sent;
	assert(w <= CAPACITY)
}

inline pump_out()
{
	more = true;
	do
	:: more ->
		look_out();
		if
		:: w == 0 && (!fin || HAS(NO_LOOK_AT_FIN)) -> /* W6 */
			doorbell_arm(WORKER, WORKER_WANTS, WANT_DATA, NO_FENCE_WORKER_ARMS);
			if
			:: HAS(NO_LOOK_WORKER)
			:: HAS(NO_LOOK_AT_FIN) -> load(WORKER, TX_HEAD, w); w = w - tx_sent
			:: else -> look_out()
			fi
		:: else
		fi;
		/* SSL_write_ex(), SSL_shutdown() */
		if
		:: w == 0 && !fin && !linger -> more = false
		:: w == 0 && (fin || linger) -> goodbye = fin; tx_end = true; more = false
		:: w > 0 ->
			STEP(WORKER);
			if
			:: leaving == NETWORK_HOLDS -> more = false
			:: else ->
				assert(memory[TX_BYTES + tx_sent % CAPACITY] == tx_sent + 1);
				leaving++;
				tx_sent++;
				result = 1
			fi
		fi;
		w = 0;
		if
		:: result == 1 -> /* W7 */
			result = 0;
			publish(WORKER, TX_TAIL, tx_sent, NEVER);
			unrung = unrung | WANT_ROOM;
			go_on()
		:: else
		fi
	:: else -> break
	od;
	fin = false;
	if
	:: tx_end -> publish_end(TX_END)
	:: else
	fi;
	ending = ending || rx_end && tx_end
}

inline flow_pump()
{
	if
	:: !rx_end && !linger -> pump_in()
	:: else
	fi;
	if
	:: !ending && !tx_end -> pump_out()
	:: else
	fi;
	if
	:: HAS(NO_ANSWER_AFTER_BATCH)
	:: else -> pump_ring()
	fi;
	ending = ending || linger && tx_end;
	/* W9: the last word; the hang-up is the bell for it. */
	if
	:: ending -> publish(WORKER, ENDED, 1, NEVER)
	:: else
	fi
}

inline session_pump()
{
	if
	:: !opened ->
		opened = shaken;
		if
		:: opened -> /* W10 */
			publish(WORKER, STATE, 1, NEVER);
			if
			:: HAS(NO_ANSWER_ESTABLISHED)
			:: else -> doorbell_answer(WORKER, PROGRAM_WANTS, WANT_STATE | WANT_ROOM)
			fi
		:: else
		fi
	:: else
	fi;
	if
	:: opened -> flow_pump()
	:: else
	fi
}

/* W8: the program asks to be rung for what is there. */
inline answer_late()
{
	load(WORKER, RX_TAIL, w);
	wants = WANT_STATE | (w != rx_sent || rx_end -> WANT_DATA : 0);
	if
	:: opened && tx_end -> wants = wants | WANT_ROOM
	:: opened && !tx_end ->
		load(WORKER, TX_HEAD, w);
		wants = wants | (w - tx_sent < CAPACITY -> WANT_ROOM : 0)
	:: else
	fi;
	w = 0;
	doorbell_answer(WORKER, PROGRAM_WANTS, wants);
	wants = 0
}

proctype worker()
{
	byte rx_sent, tx_sent, unrung, owed, w, wants, result;
	bool rx_end, tx_end, linger, drained, turn, unrung_end, more, fin, ending, opened, belled;

	atomic {
	do
	:: ending -> break
	:: else ->
		/* The event loop: a bell, the hang-up, the network, or what was left for the next turn. */
		if
		:: dead != WORKER && !linger && bells[WORKER] > 0 -> bells[WORKER]--; belled = true
		:: dead != WORKER && !linger && bells[WORKER] == 0 && closed[PROGRAM] ->
			linger = opened;
			ending = !opened
		:: dead != WORKER && (readable || writable) ->
			drained = drained && !readable;
			readable = false;
			writable = false
		:: dead != WORKER && turn -> turn = false
		:: timeout ->
			assert(dead == WORKER || !closed[PROGRAM] && memory[TX_HEAD] == tx_sent);
			false
		fi;
		if
		:: !ending -> session_pump()
		:: else
		fi;
		if
		:: belled && !ending && !HAS(NO_LATE_ANSWER) -> answer_late()
		:: else
		fi;
		belled = false
	od;
	STEP(WORKER);
	FENCE(WORKER);
	closed[WORKER] = !HAS(END_WITHOUT_HANG_UP);
	/* What the program wrote before it went away was sent. */
	assert(!linger || memory[TX_HEAD] == tx_sent)
	}
}

/* ---- a side that dies: its descriptors close, when what it stored is stored ---- */

proctype death()
{
	if
	:: deadly != NOBODY -> dead = deadly; atomic { pending[deadly] == 0 -> closed[deadly] = true }
	:: true
	fi
}

init
{
	atomic {
		c_code {
#define FROM_ENVIRONMENT(name, NAME) now.name = (unsigned char)atoi(getenv(NAME))
			FROM_ENVIRONMENT(mutation, "MUTATION");
			FROM_ENVIRONMENT(mode, "MODE");
			FROM_ENVIRONMENT(tasks, "TASKS");
			FROM_ENVIRONMENT(incoming, "INCOMING");
			FROM_ENVIRONMENT(outgoing, "OUTGOING");
			FROM_ENVIRONMENT(deadly, "DEADLY");
			memset(now.stored, 255, sizeof(now.stored));
		};
		run turns(PROGRAM);
		run turns(WORKER);
		run buffer(PROGRAM);
		run buffer(WORKER);
		run server();
		run program();
		run worker();
		run death()
	}
}
