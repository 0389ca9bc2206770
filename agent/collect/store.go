package collect

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

//go:embed schema/*.sql
var schema embed.FS

// store is the database. Its connections are few; what is to be stored goes to
// those who write.
type store struct {
	pool *pgxpool.Pool
	jobs chan job
}

// openStore makes a store; nothing is connected yet. The error does not show the
// password that dsn may hold.
func openStore(dsn string, connections int) (*store, error) {
	c, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		return nil, fmt.Errorf("the address of the database: %w", err)
	}
	c.MaxConns = int32(connections) + spareConnections
	c.MaxConnIdleTime = 5 * time.Minute
	c.ConnConfig.ConnectTimeout = 10 * time.Second
	if c.ConnConfig.RuntimeParams["application_name"] == "" {
		c.ConnConfig.RuntimeParams["application_name"] = "calljournal collect"
	}
	// What a statement waits for ends: a lock that somebody forgot must not stop
	// all branches without a word.
	c.ConnConfig.RuntimeParams["lock_timeout"] = "30s"
	c.ConnConfig.RuntimeParams["statement_timeout"] = "5min"
	pool, err := pgxpool.NewWithConfig(context.Background(), c)
	if err != nil {
		return nil, fmt.Errorf("the address of the database: %w", err)
	}
	return &store{pool, make(chan job)}, nil
}

// spareConnections are for what does not wait behind those who write: cursors, the
// page.
const spareConnections = 2

func (s *store) close() { s.pool.Close() }

// migrate brings the tables to the version of this program, one file of schema
// after the other, all or nothing.
func (s *store) migrate(ctx context.Context) error {
	files, err := fs.Glob(schema, "schema/*.sql")
	if err != nil {
		return err
	}
	return pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		// Two centres that start at once: one waits for the other.
		if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock(hashtext('calljournal collect'))`); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `CREATE TABLE IF NOT EXISTS calljournal_schema (version integer PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now())`); err != nil {
			return err
		}
		var have int
		if err := tx.QueryRow(ctx, `SELECT coalesce(max(version), 0) FROM calljournal_schema`).Scan(&have); err != nil {
			return err
		}
		if have > len(files) {
			return fmt.Errorf("%w: its version is %d, this program knows %d: update this program", errSchema, have, len(files))
		}
		for i, name := range files[have:] {
			text, err := fs.ReadFile(schema, name)
			if err != nil {
				return err
			}
			if _, err := tx.Exec(ctx, string(text)); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			if _, err := tx.Exec(ctx, `INSERT INTO calljournal_schema (version) VALUES ($1)`, have+i+1); err != nil {
				return err
			}
		}
		return nil
	})
}

// errSchema: the tables are those of a later version. Only a human can help.
var errSchema = errors.New("the database was made by a later version of calljournal")

// position is where an agent is read.
type position struct {
	Journal string // "": never read yet
	Cursor  int64

	Head, Entries, Refused, Lost, Resets int64
	LastEntry                            time.Time // zero: none yet
}

// position reads where an agent is; one that is new begins at the beginning.
func (s *store) position(ctx context.Context, agent string) (p position, err error) {
	var last *time.Time
	err = s.pool.QueryRow(ctx, `
		WITH new AS (INSERT INTO agents (name) VALUES ($1) ON CONFLICT DO NOTHING)
		SELECT journal, cursor, head, entries, refused, lost, resets, last_entry_at FROM agents WHERE name = $1
		UNION ALL SELECT '', 0, 0, 0, 0, 0, 0, NULL LIMIT 1`, agent).
		Scan(&p.Journal, &p.Cursor, &p.Head, &p.Entries, &p.Refused, &p.Lost, &p.Resets, &last)
	if last != nil {
		p.LastEntry = *last
	}
	if err != nil {
		return p, fmt.Errorf("read the cursor: %w", err)
	}
	return p, nil
}

// errMoved: the cursor is not where this program left it. Another one reads the
// same agent into the same database.
var errMoved = errors.New("the cursor was moved by somebody else: does a second collect write to this database?")

// restart sets the cursor to where an agent's feed begins now.
func (s *store) restart(ctx context.Context, agent string, from position, journal string, cursor, lost int64) error {
	resets := 0
	if from.Journal != "" && from.Journal != journal {
		resets = 1
	}
	tag, err := s.pool.Exec(ctx, `
		UPDATE agents SET journal = $4, cursor = $5, lost = lost + $6, resets = resets + $7, last_seen = now()
		WHERE name = $1 AND journal = $2 AND cursor = $3`, agent, from.Journal, from.Cursor, journal, cursor, lost, resets)
	if err != nil {
		return fmt.Errorf("set the cursor: %w", err)
	}
	if tag.RowsAffected() != 1 {
		return errMoved
	}
	return nil
}

// seen notes an answer that had nothing new.
func (s *store) seen(ctx context.Context, agent string, head, oldest int64) error {
	_, err := s.pool.Exec(ctx, `UPDATE agents SET head = $2, oldest = $3, last_seen = now() WHERE name = $1`, agent, head, oldest)
	if err != nil {
		return fmt.Errorf("note the agent: %w", err)
	}
	return nil
}

// batch is a stretch of one agent's feed.
type batch struct {
	agent, journal string
	// from is the cursor that the stretch begins after; -1 for what the agent
	// pushes, where the cursor only tells how far it came: a filter leaves holes,
	// and what was set aside comes late.
	from         int64
	head, oldest int64 // 0: the agent did not say
	entries      []entry
}

func (b *batch) to() int64 { return b.entries[len(b.entries)-1].Seq }

// alone stores a batch by itself. What the database will not take is set aside, so
// that the rest goes on: then there are several transactions. It gives how many
// entries were set aside.
func (s *store) alone(ctx context.Context, b batch) (refused int, err error) {
	for i := range b.entries {
		if why := b.entries[i].check(); why != nil {
			return s.around(ctx, b, i, why)
		}
	}
	if len(b.entries) == 0 {
		return 0, nil
	}
	err = s.transaction(ctx, b, func(q *pgx.Batch) { queue(q, b) })
	var no *pgconn.PgError
	if !errors.As(err, &no) || !dataError(no.Code) {
		return 0, err
	}
	if len(b.entries) == 1 {
		return 1, s.refuse(ctx, b, no)
	}
	// One of them is to blame: half and half again finds it.
	return s.halves(ctx, b, len(b.entries)/2)
}

// halves stores b in two parts, one after the other.
func (s *store) halves(ctx context.Context, b batch, at int) (refused int, err error) {
	first, second := b, b
	first.entries, second.entries = b.entries[:at], b.entries[at:]
	refused, err = s.alone(ctx, first)
	if err != nil {
		return refused, err
	}
	if b.from >= 0 && at > 0 {
		second.from = first.to()
	}
	n, err := s.alone(ctx, second)
	return refused + n, err
}

// around stores what is before entry i, sets that one aside, and goes on.
func (s *store) around(ctx context.Context, b batch, i int, why error) (refused int, err error) {
	before, bad, after := b, b, b
	before.entries, bad.entries, after.entries = b.entries[:i], b.entries[i:i+1], b.entries[i+1:]
	if refused, err = s.alone(ctx, before); err != nil {
		return refused, err
	}
	if b.from >= 0 {
		if i > 0 {
			bad.from = before.to()
		}
		after.from = bad.to()
	}
	if err := s.refuse(ctx, bad, why); err != nil {
		return refused, err
	}
	n, err := s.alone(ctx, after)
	return refused + 1 + n, err
}

func (s *store) refuse(ctx context.Context, b batch, why error) error {
	e := b.entries[0]
	return s.transaction(ctx, b, func(q *pgx.Batch) {
		q.Queue(`INSERT INTO refused (agent, journal, seq, error, entry) VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING`,
			b.agent, b.journal, e.Seq, noNUL(strings.ToValidUTF8(why.Error(), "\uFFFD")), []byte(e.text))
		q.Queue(`UPDATE agents SET refused = refused + 1 WHERE name = $1`, b.agent)
	})
}

// dataError says that a statement failed because of what it was given, and will
// again: bad values, violated constraints, values that are too large.
func dataError(code string) bool {
	return strings.HasPrefix(code, "22") || strings.HasPrefix(code, "23") || strings.HasPrefix(code, "54")
}

// transaction moves the cursor past b, and does with it what work queues.
func (s *store) transaction(ctx context.Context, b batch, work func(*pgx.Batch)) error {
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		var q pgx.Batch
		moved := int64(0)
		queueMove(&q, b, &moved)
		work(&q)
		if err := tx.SendBatch(ctx, &q).Close(); err != nil {
			return err
		}
		if moved != 1 {
			return errMoved
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("store entries to %d: %w", b.to(), err)
	}
	return nil
}

// queueMove queues what moves the cursor past a batch, and counts in moved that it
// was where it should be.
func queueMove(q *pgx.Batch, b batch, moved *int64) {
	last := b.entries[len(b.entries)-1]
	var at *time.Time
	if !last.At.IsZero() {
		at = &last.At
	}
	q.Queue(moveCursor, b.agent, b.journal, b.from, last.Seq, b.head, b.oldest, at, len(b.entries)).Exec(func(t pgconn.CommandTag) error {
		*moved += t.RowsAffected()
		return nil
	})
}

// moveCursor locks the agent's row first of all: nobody else is in between.
const moveCursor = `
	UPDATE agents SET
		cursor = CASE WHEN $3::bigint < 0 AND journal = $2 THEN greatest(cursor, $4) ELSE $4 END,
		resets = resets + CASE WHEN $3::bigint < 0 AND journal <> $2 AND journal <> '' THEN 1 ELSE 0 END,
		journal = $2, head = greatest($5::bigint, $4), oldest = $6, entries = entries + $8, last_seen = now(),
		last_entry_at = greatest(last_entry_at, $7)
	WHERE name = $1 AND ($3::bigint < 0 OR journal = $2 AND cursor = $3)`

// queue turns entries into statements: of each call and gap the last word, for
// what came before it within the batch nobody can have seen.
func queue(q *pgx.Batch, b batch) {
	lastCall, lastDelete, lastGap := map[string]int{}, map[string]int{}, map[string]int{}
	for i := range b.entries {
		e := &b.entries[i]
		switch e.Op {
		case "call":
			if n, ok := lastCall[e.ID]; !ok || b.entries[n].rev < e.rev {
				lastCall[e.ID] = i
			}
		case "delete":
			lastDelete[e.ID] = i
			delete(lastCall, e.ID)
		case "gap":
			lastGap[gapKey(e.Gap)] = i
		}
	}
	var ids, into []string
	var seqs []int64
	for i := range b.entries {
		if e := &b.entries[i]; e.Op == "delete" && lastDelete[e.ID] == i {
			ids, into, seqs = append(ids, e.ID), append(into, e.Into), append(seqs, e.Seq)
		}
	}
	if len(ids) > 0 {
		q.Queue(putDeleted, b.agent, b.journal, ids, into, seqs)
		q.Queue(dropCalls, b.agent, b.journal, ids, seqs)
	}
	var revs []int64
	var texts []string
	ids, seqs = nil, nil
	for i := range b.entries {
		if e := &b.entries[i]; e.Op == "call" {
			if n, ok := lastCall[e.ID]; ok && n == i {
				ids, revs, seqs, texts = append(ids, e.ID), append(revs, e.rev), append(seqs, e.Seq), append(texts, string(e.Call))
			}
		}
	}
	if len(ids) > 0 {
		q.Queue(putCalls, b.agent, b.journal, ids, revs, seqs, texts)
	}
	seqs, texts = nil, nil
	for i := range b.entries {
		if e := &b.entries[i]; e.Op == "gap" && lastGap[gapKey(e.Gap)] == i {
			seqs, texts = append(seqs, e.Seq), append(texts, string(e.Gap))
		}
	}
	if len(seqs) > 0 {
		q.Queue(putGaps, b.agent, b.journal, seqs, texts)
	}
}

const putDeleted = `
	INSERT INTO deleted (agent, id, journal, seq, into_id)
	SELECT $1, d.id, $2, d.seq, nullif(d.into_id, '') FROM unnest($3::text[], $4::text[], $5::bigint[]) AS d(id, into_id, seq)
	ON CONFLICT (agent, id) DO UPDATE SET journal = excluded.journal, seq = excluded.seq, into_id = excluded.into_id, deleted_at = excluded.deleted_at
	WHERE deleted.journal <> excluded.journal OR deleted.seq < excluded.seq`

const dropCalls = `
	DELETE FROM calls c USING unnest($3::text[], $4::bigint[]) AS d(id, seq)
	WHERE c.agent = $1 AND c.id = d.id AND (c.journal <> $2 OR c.seq <= d.seq)`

const putGaps = `
	INSERT INTO gaps (agent, journal, seq, pbx, from_at, to_at, reason, healed)
	SELECT $1, $2, e.seq, e.g->>'pbx', coalesce((e.g->>'from')::timestamptz, '-infinity'), (e.g->>'to')::timestamptz, e.g->>'reason', coalesce((e.g->>'healed')::boolean, false)
	FROM (SELECT seq, text::jsonb AS g FROM unnest($3::bigint[], $4::text[]) AS t(seq, text)) AS e
	ON CONFLICT (agent, pbx, from_at) DO UPDATE SET journal = excluded.journal, seq = excluded.seq, to_at = excluded.to_at, reason = excluded.reason, healed = excluded.healed
	WHERE gaps.journal <> excluded.journal OR gaps.seq < excluded.seq`

// gaps counts the gaps of each agent that are not healed.
func (s *store) gaps(ctx context.Context) (map[string]int64, error) {
	rows, err := s.pool.Query(ctx, `SELECT agent, count(*) FROM gaps WHERE NOT healed GROUP BY agent`)
	if err != nil {
		return nil, fmt.Errorf("count the gaps: %w", err)
	}
	out := map[string]int64{}
	var agent string
	var n int64
	if _, err := pgx.ForEachRow(rows, []any{&agent, &n}, func() error { out[agent] = n; return nil }); err != nil {
		return nil, fmt.Errorf("count the gaps: %w", err)
	}
	return out, nil
}
