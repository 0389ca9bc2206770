package collect

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// job is a batch that waits to be stored.
type job struct {
	b    batch
	done chan outcome // room for one
}

type outcome struct {
	refused int // entries that were set aside
	err     error
}

// maxTogether is how many entries may share a transaction.
const maxTogether = 5000

// put has a batch stored: its entries, and the cursor moved past them, in one
// transaction, or, if there is an error, not at all as far as is known. Batches of
// other agents that wait at the same moment share the transaction: so the disk is
// waited for once, and many small batches cost little more than one large one.
func (s *store) put(ctx context.Context, b batch) (refused int, err error) {
	j := job{b, make(chan outcome, 1)}
	select {
	case s.jobs <- j:
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	select {
	case o := <-j.done:
		return o.refused, o.err
	case <-ctx.Done():
		return 0, ctx.Err() // stored or not: the cursor in the database tells
	}
}

// write stores what waits, until ctx ends. Several writers may run: an agent never
// has two batches waiting, so that they do not get into each other's way.
func (s *store) write(ctx context.Context) {
	for {
		var jobs []job
		select {
		case j := <-s.jobs:
			jobs = append(jobs, j)
		case <-ctx.Done():
			return
		}
		entries := len(jobs[0].b.entries)
		for more := true; more && entries < maxTogether; {
			select {
			case j := <-s.jobs:
				jobs = append(jobs, j)
				entries += len(j.b.entries)
			default:
				more = false
			}
		}
		s.writeJobs(ctx, jobs)
	}
}

func (s *store) writeJobs(ctx context.Context, jobs []job) {
	var err error
	if len(jobs) > 1 {
		err = s.together(ctx, jobs)
		if err == nil || !blames(err) {
			for _, j := range jobs {
				j.done <- outcome{0, err}
			}
			return
		}
	}
	// One of them is to blame, or there is only one.
	for _, j := range jobs {
		refused, err := s.alone(ctx, j.b)
		j.done <- outcome{refused, err}
	}
}

// blames says that an error is that of one batch, not of the database.
func blames(err error) bool {
	var no *pgconn.PgError
	return errors.Is(err, errMoved) || errors.Is(err, errUnfit) || errors.As(err, &no) && dataError(no.Code)
}

// errUnfit: an entry that is known beforehand to be refused.
var errUnfit = errors.New("an entry cannot be stored")

// together stores batches in one transaction: all or none.
func (s *store) together(ctx context.Context, jobs []job) error {
	for _, j := range jobs {
		for i := range j.b.entries {
			if j.b.entries[i].check() != nil {
				return errUnfit
			}
		}
	}
	return pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		var q pgx.Batch
		moved := int64(0)
		for _, j := range jobs {
			queueMove(&q, j.b, &moved)
			queue(&q, j.b)
		}
		if err := tx.SendBatch(ctx, &q).Close(); err != nil {
			return err
		}
		if moved != int64(len(jobs)) {
			return errMoved
		}
		return nil
	})
}
