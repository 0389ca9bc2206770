package agent

import (
	"context"
	"fmt"
	"sync"
	"time"

	"calljournal/agent/api"
	"calljournal/agent/config"
	"calljournal/agent/media"
	"calljournal/storage"
)

// sweeping is what was deleted of the PBXs' files in this run, for status.
type sweeping struct {
	mu                   sync.Mutex
	recordings, messages uint64
	bytes                int64
	err                  string // why the last walk left something
	left                 int
}

const (
	sweepFirst = 5 * time.Minute // after the start, which has better to do
	sweepEvery = time.Hour
	sweepSlice = 100 // calls looked at together
	// Between two slices the disks are left to others for so many times as long as
	// the slice took.
	sweepBreath      = 9
	sweepBreathLeast = 10 * time.Millisecond
)

// sweep deletes, until ctx ends, the files of old calls that the configuration
// says need not be kept. Each walk begins where the one before met the first file
// that stayed; after a start, at the oldest call.
func (a *Agent) sweep(ctx context.Context) {
	var from storage.Position
	for wait := sweepFirst; sleep(ctx, wait); wait = sweepEvery {
		from = a.sweepOnce(ctx, from)
	}
}

// sweepOnce walks through the calls that are old enough and gives where the next
// walk is to begin.
func (a *Agent) sweepOnce(ctx context.Context, at storage.Position) (next storage.Position) {
	keep := a.config.Load().Retention
	before := filesBefore(keep, a.now())
	s := &a.sweeping
	if before == (media.Before{}) {
		s.note(media.Removed{})
		return storage.Position{} // begin anew should that change
	}
	newest := before.Recordings
	if before.Voicemail.After(newest) {
		newest = before.Voicemail
	}
	var all media.Removed
	stay := false
	for {
		begin := a.now()
		recs, to, err := a.store.CallsAfter(at, sweepSlice)
		if err != nil {
			all.Left, all.Err = all.Left+1, err
			break
		}
		for i, r := range recs {
			if !r.StartedAt.Time().Before(newest) {
				recs = recs[:i]
				break
			}
		}
		if len(recs) == 0 {
			break
		}
		done := a.media.Remove(recs, before)
		s.count(done)
		all.Recordings, all.Messages, all.Bytes, all.Left = all.Recordings+done.Recordings, all.Messages+done.Messages, all.Bytes+done.Bytes, all.Left+done.Left
		if all.Err == nil {
			all.Err = done.Err
		}
		// What is old for one kind may be young for the other.
		young := !before.Recordings.IsZero() && !recs[len(recs)-1].StartedAt.Time().Before(before.Recordings) ||
			!before.Voicemail.IsZero() && !recs[len(recs)-1].StartedAt.Time().Before(before.Voicemail)
		if stay = stay || young || done.Left > 0 || len(recs) < sweepSlice; !stay {
			next = to
		}
		at = to
		if len(recs) < sweepSlice || !sleep(ctx, max(sweepBreathLeast, sweepBreath*a.now().Sub(begin))) {
			break
		}
	}
	if all.Recordings+all.Messages > 0 {
		a.log.Info("deleted files of old calls", "recordings", all.Recordings, "messages", all.Messages, "bytes", all.Bytes)
	}
	if all.Left > 0 {
		a.log.Warn("files of old calls stay; tried again", "files", all.Left, "err", all.Err)
	}
	s.note(all)
	return next
}

func filesBefore(keep config.Retention, now time.Time) (b media.Before) {
	if age := keep.RecordingsAge(); age > 0 {
		b.Recordings = now.Add(-age)
	}
	if age := keep.VoicemailAge(); age > 0 {
		b.Voicemail = now.Add(-age)
	}
	return b
}

func (s *sweeping) count(done media.Removed) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.recordings += uint64(done.Recordings)
	s.messages += uint64(done.Messages)
	s.bytes += done.Bytes
}

func (s *sweeping) deleted() (recordings, messages uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.recordings, s.messages
}

// note keeps what a whole walk left.
func (s *sweeping) note(walk media.Removed) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.left, s.err = walk.Left, ""
	if walk.Err != nil {
		s.err = walk.Err.Error()
	}
}

func (a *Agent) sweepStatus(st *api.Status) {
	c := a.config.Load().Retention
	s := &a.sweeping
	s.mu.Lock()
	defer s.mu.Unlock()
	st.Retention.RecordingsDays, st.Retention.VoicemailDays = c.RecordingsDays, c.VoicemailDays
	st.Retention.RecordingsDeleted, st.Retention.MessagesDeleted, st.Retention.BytesDeleted = s.recordings, s.messages, s.bytes
	if s.left > 0 {
		st.AddWarning("files_left", fmt.Sprintf("retention: %d files of old calls could not be deleted: %s", s.left, s.err), "count", fmt.Sprint(s.left), "error", s.err)
	}
}
