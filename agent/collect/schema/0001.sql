-- calls: the latest revision of each call, flat, for people who ask in SQL. The
-- names are those of the record; raw is the whole record, with its legs,
-- transfers, timeline and recordings.
CREATE TABLE calls (
	agent              text NOT NULL,
	id                 text NOT NULL,
	rev                bigint NOT NULL,
	journal            text NOT NULL,
	seq                bigint NOT NULL,
	stored_at          timestamptz NOT NULL DEFAULT now(),
	pbx                text,
	pbx_kind           text,
	pbx_ids            text[],
	direction          text,
	origin             text,
	from_number        text,
	from_e164          text,
	from_name          text,
	from_extension     text,
	from_employee      text,
	from_department    text,
	to_number          text,
	to_e164            text,
	to_name            text,
	to_extension       text,
	to_employee        text,
	to_department      text,
	line_number        text,
	line_name          text,
	line_source        text,
	trunk              text,
	status             text,
	missed             boolean,
	abandoned_in       text,
	ended_by           text,
	cause_q850         integer,
	cause_text         text,
	cause_sip          integer,
	started_at         timestamptz,
	pbx_answered_at    timestamptz,
	ringing_at         timestamptz,
	answered_at        timestamptz,
	ended_at           timestamptz,
	wait_ms            bigint,
	total_wait_ms      bigint,
	ivr_ms             bigint,
	queue_ms           bigint,
	ring_ms            bigint,
	talk_ms            bigint,
	hold_ms            bigint,
	total_ms           bigint,
	answered_by        text,
	last_talked_by     text,
	queues             text[],
	voicemail_mailbox  text,
	fax_direction      text,
	fax_pages          bigint,
	fax_result         text,
	types              text[],
	healed_by          text,
	account            text,
	cost_amount        numeric,
	cost_currency      text,
	cost_billed_ms     bigint,
	tags               text[],
	quality            text,
	doubts             text[],
	raw                jsonb NOT NULL,
	PRIMARY KEY (agent, id)
);
CREATE INDEX calls_started_at ON calls (started_at);
-- Most updates change no indexed column: room on the page keeps them cheap.
ALTER TABLE calls SET (fillfactor = 90);

-- deleted: calls that were erased, or folded into another. An older entry that
-- comes late must not bring them back.
CREATE TABLE deleted (
	agent      text NOT NULL,
	id         text NOT NULL,
	journal    text NOT NULL,
	seq        bigint NOT NULL,
	into_id    text,
	deleted_at timestamptz NOT NULL DEFAULT now(),
	PRIMARY KEY (agent, id)
);

-- gaps: when an agent did not see its PBX.
CREATE TABLE gaps (
	agent   text NOT NULL,
	pbx     text NOT NULL,
	from_at timestamptz NOT NULL,
	to_at   timestamptz,
	reason  text,
	healed  boolean NOT NULL,
	journal text NOT NULL,
	seq     bigint NOT NULL,
	PRIMARY KEY (agent, pbx, from_at)
);

-- refused: entries that PostgreSQL will not take as what they are, and why.
CREATE TABLE refused (
	agent      text NOT NULL,
	journal    text NOT NULL,
	seq        bigint NOT NULL,
	error      text NOT NULL,
	entry      bytea NOT NULL,
	refused_at timestamptz NOT NULL DEFAULT now(),
	PRIMARY KEY (agent, journal, seq)
);

-- agents: how far each is read. lost counts entries that an agent did not keep
-- until they were read, resets how often its journal was another one.
CREATE TABLE agents (
	name          text PRIMARY KEY,
	journal       text NOT NULL DEFAULT '',
	cursor        bigint NOT NULL DEFAULT 0,
	head          bigint NOT NULL DEFAULT 0,
	oldest        bigint NOT NULL DEFAULT 0,
	entries       bigint NOT NULL DEFAULT 0,
	refused       bigint NOT NULL DEFAULT 0,
	lost          bigint NOT NULL DEFAULT 0,
	resets        bigint NOT NULL DEFAULT 0,
	last_entry_at timestamptz,
	last_seen     timestamptz
);
