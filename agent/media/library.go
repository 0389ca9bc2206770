package media

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"path"
	"slices"
	"sync/atomic"
	"time"

	"calljournal/agent/call"
)

// Folders are where one PBX keeps its files, as this machine sees them. An empty
// one is not configured: then those files are never available.
type Folders struct {
	PBX                        string
	Recordings, Voicemail, Fax string
}

// Options of New.
type Options struct {
	Folders []Folders
	Zone    *time.Location // of the names of folders by date; nil is UTC
	Logger  *slog.Logger
	Now     func() time.Time
}

// Library is all folders of all PBXs. It may be used by many at a time.
type Library struct {
	folders map[string]Folders
	zone    *time.Location
	log     *slog.Logger
	now     func() time.Time
	names   listings
	looking chan struct{} // one slot for each look
	slow    atomic.Uint64
}

const (
	looksAtATime = 8
	lookWithin   = 3 * time.Second
)

// New makes a Library. No folder is opened yet: they may come and go.
func New(o Options) *Library {
	l := &Library{folders: map[string]Folders{}, zone: o.Zone, log: o.Logger, now: o.Now, looking: make(chan struct{}, looksAtATime)}
	l.names = listings{now: o.Now, of: map[string]listing{}}
	if l.zone == nil {
		l.zone = time.UTC
	}
	for _, f := range o.Folders {
		l.folders[f.PBX] = f
	}
	return l
}

// Slow is how many looks were given up because a folder did not answer.
func (l *Library) Slow() uint64 { return l.slow.Load() }

// within runs work, which must only read what it was given, and says whether it
// ended in time. Work that did not goes on and keeps its slot, so that a folder
// that hangs stops no more than the slots.
func (l *Library) within(ctx context.Context, work func()) bool {
	timer := time.NewTimer(lookWithin)
	defer timer.Stop()
	select {
	case l.looking <- struct{}{}:
	case <-timer.C:
		return l.tooSlow()
	case <-ctx.Done():
		return false
	}
	done := make(chan struct{})
	go func() {
		defer func() { <-l.looking; close(done) }()
		work()
	}()
	select {
	case <-done:
		return true
	case <-timer.C:
		return l.tooSlow()
	case <-ctx.Done():
		return false
	}
}

func (l *Library) tooSlow() bool {
	if n := l.slow.Add(1); n&(n-1) == 0 { // 1, 2, 4, 8 ...: not every time
		l.log.Warn("a folder of recordings, voicemail or fax does not answer: calls are shown without their files", "times", n)
	}
	return false
}

// Look fills in which files of the calls are there: size, duration, available,
// and recordings of which only the file is known. It only looks at what recs
// hold; of a call that has no files it costs next to nothing.
func (l *Library) Look(ctx context.Context, recs []*call.Record) {
	type found struct {
		recordings []call.Recording
		voicemail  *call.VoicemailEntry
		fax        *call.FaxEntry
	}
	all := make([]found, len(recs))
	if !slices.ContainsFunc(recs, l.mayHave) || !l.within(ctx, func() {
		k := l.begin()
		defer k.end()
		for i, r := range recs {
			if ctx.Err() != nil {
				return
			}
			if l.mayHave(r) {
				all[i] = found{k.recordings(r), k.voicemail(r), k.fax(r)}
			}
		}
	}) {
		return
	}
	for i, r := range recs {
		if l.mayHave(r) {
			r.Recordings, r.Voicemail, r.Fax = all[i].recordings, all[i].voicemail, all[i].fax
		}
	}
}

// Trouble says which folders cannot be looked into, and why. What a folder holds
// is then shown as not available.
func (l *Library) Trouble(ctx context.Context) []Trouble {
	var found []Trouble
	if !l.within(ctx, func() {
		for _, pbx := range slices.Sorted(maps.Keys(l.folders)) {
			f := l.folders[pbx]
			for _, d := range []struct{ key, dir string }{{"recordings_dir", f.Recordings}, {"voicemail_dir", f.Voicemail}, {"fax_dir", f.Fax}} {
				if d.dir == "" {
					continue
				}
				if err := lookInto(d.dir); err != nil {
					found = append(found, Trouble{pbx, d.key, err})
				}
			}
		}
	}) {
		return []Trouble{{}}
	}
	return found
}

// Trouble is a folder that cannot be read. Without a PBX: some folder that does not
// even answer.
type Trouble struct {
	PBX    string
	Folder string // its key in the configuration
	Err    error
}

func (t Trouble) String() string {
	if t.PBX == "" {
		return "a folder of recordings, voicemail or fax does not answer: calls are shown without their files"
	}
	return fmt.Sprintf("pbx %s: %s cannot be read: %v", t.PBX, t.Folder, t.Err)
}

func lookInto(dir string) error {
	f, err := openFolder(dir)
	if err != nil {
		return err
	}
	defer f.close()
	d, err := f.root.Open(".")
	if err != nil {
		return err
	}
	defer d.Close()
	if _, err = d.ReadDir(1); errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// mayHave says that it is worth looking for files of a call.
func (l *Library) mayHave(r *call.Record) bool {
	f, ok := l.folders[r.PBX]
	return ok && (f.Recordings != "" && (len(r.Recordings) > 0 || r.AnsweredAt != 0) || f.Voicemail != "" && r.Voicemail != nil || f.Fax != "" && r.Fax != nil)
}

// Recording opens the n-th recording of a call, as Look counts them, or gives
// ErrGone.
func (l *Library) Recording(ctx context.Context, rec *call.Record, n int) (*File, error) {
	return l.open(ctx, func(k *look) (*File, error) {
		names := k.recordingNames(rec)
		if n < 0 || n >= len(names) {
			return nil, ErrGone
		}
		return k.openRecording(rec, names[n])
	})
}

// Voicemail opens the message that a call left, or gives ErrGone.
func (l *Library) Voicemail(ctx context.Context, rec *call.Record) (*File, error) {
	return l.open(ctx, func(k *look) (*File, error) {
		file, _, err := k.openVoicemail(rec)
		return file, err
	})
}

// Fax opens the fax of a call, or gives ErrGone.
func (l *Library) Fax(ctx context.Context, rec *call.Record) (*File, error) {
	return l.open(ctx, func(k *look) (*File, error) { return k.openFax(rec) })
}

// ErrSlow: the folder did not answer in time.
var ErrSlow = errors.New("the folder does not answer")

func (l *Library) open(ctx context.Context, find func(*look) (*File, error)) (*File, error) {
	var (
		file   *File
		err    error
		parted atomic.Bool // one of the two is done with it: who looks, or who waits
	)
	if !l.within(ctx, func() {
		k := l.begin()
		defer k.end()
		file, err = find(k)
		if parted.Swap(true) && file != nil {
			file.Close() // nobody waits for it any more
		}
	}) && !parted.Swap(true) {
		return nil, ErrSlow
	}
	return file, err
}

// look is one look into the folders. What it opened and read it uses for all the
// calls that it is about.
type look struct {
	l     *Library
	open  map[string]*folder // by path; nil: cannot be opened
	boxes map[string][]*message
}

func (l *Library) begin() *look {
	return &look{l, map[string]*folder{}, map[string][]*message{}}
}

func (k *look) end() {
	for _, f := range k.open {
		f.close()
	}
}

func (k *look) folder(dir string) *folder {
	f, ok := k.open[dir]
	if !ok {
		var err error
		if f, err = openFolder(dir); err != nil {
			f = nil
		}
		k.open[dir] = f
	}
	return f
}

// ---- recordings

// recordingNames are the places of each recording of a call: first of those that
// the events told of, then of files that have the call's id in their names.
func (k *look) recordingNames(rec *call.Record) [][]string {
	names := make([][]string, len(rec.Recordings))
	f := k.folder(k.l.folders[rec.PBX].Recordings)
	if f == nil {
		return names
	}
	var known []string
	for i, r := range rec.Recordings {
		if r.File != nil {
			names[i] = f.places(*r.File)
			for _, n := range names[i] {
				known = append(known, path.Base(stemOf(n)))
			}
		}
	}
	var others []string
	for _, dir := range dayFolders(rec.StartedAt, k.l.zone) {
		for _, n := range k.l.names.find(f, dir, idsOf(rec)) {
			stem := path.Base(stemOf(n))
			if !slices.Contains(known, stem) {
				known = append(known, stem)
				others = append(others, n)
				continue
			}
			// moved into a folder of its day, under its own name
			for i := range names {
				if len(names[i]) > 0 && path.Base(stemOf(names[i][0])) == stem && !slices.Contains(names[i], n) {
					names[i] = append(names[i], n)
				}
			}
		}
	}
	for i := range names {
		if rec.Recordings[i].File == nil && len(others) > 0 {
			names[i], others = others[:1:1], others[1:]
		}
	}
	for _, n := range others {
		names = append(names, []string{n})
	}
	return names
}

// stemOf is a name without its ending.
func stemOf(name string) string {
	for _, n := range withKinds(name, sounds()) {
		return n.name[:len(n.name)-len(n.kind.ending)]
	}
	return name
}

func (k *look) openRecording(rec *call.Record, names []string) (*File, error) {
	f := k.folder(k.l.folders[rec.PBX].Recordings)
	if f == nil {
		return nil, ErrGone
	}
	// A file that was finished before the call began is not this call's: its name
	// was used before.
	return f.find(names, sounds(), func(st fs.FileInfo) bool {
		return !st.ModTime().Before(rec.StartedAt.Add(-time.Minute).Time())
	})
}

func (k *look) recordings(rec *call.Record) []call.Recording {
	if k.l.folders[rec.PBX].Recordings == "" {
		return rec.Recordings
	}
	out := append(make([]call.Recording, 0, len(rec.Recordings)), rec.Recordings...)
	for i, names := range k.recordingNames(rec) {
		file, err := k.openRecording(rec, names)
		if i == len(out) {
			if err != nil {
				// It was there a moment ago: leave its number to it.
				out = append(out, call.Recording{File: &names[0]})
				continue
			}
			out = append(out, call.Recording{})
		}
		r := &out[i]
		if r.Available = err == nil; err != nil {
			continue
		}
		if r.File == nil {
			r.File = &file.Path
		}
		r.Size = &file.sizeNow
		if ms := file.durationMs(); ms != nil {
			r.DurationMs = ms
		}
		file.Close()
	}
	return out
}

// ---- voicemail

// openVoicemail gives the sound of a call's message, and of Asterisk what its
// .txt says. If the call left several, it is the last one.
func (k *look) openVoicemail(rec *call.Record) (*File, *message, error) {
	f := k.folder(k.l.folders[rec.PBX].Voicemail)
	if f == nil || rec.Voicemail == nil {
		return nil, nil, ErrGone
	}
	if rec.PBXKind == "freeswitch" {
		file, err := freeSwitchMessage(f, rec)
		return file, nil, err
	}
	for range 3 { // Asterisk may number anew between our looks
		m := k.message(f, rec)
		if m == nil {
			return nil, nil, ErrGone
		}
		if file, err := openMessage(f, m); err == nil {
			return file, m, nil
		}
		delete(k.boxes, f.path+"\x00"+rec.Voicemail.Mailbox)
	}
	return nil, nil, ErrGone
}

func (k *look) message(f *folder, rec *call.Record) (last *message) {
	box := rec.Voicemail.Mailbox
	key := f.path + "\x00" + box
	all, ok := k.boxes[key]
	if !ok {
		all = messages(f, box)
		k.boxes[key] = all
	}
	for _, m := range all {
		if m.of(rec) && (last == nil || m.at > last.at) {
			last = m
		}
	}
	return last
}

func (k *look) voicemail(rec *call.Record) *call.VoicemailEntry {
	if rec.Voicemail == nil || k.l.folders[rec.PBX].Voicemail == "" {
		return rec.Voicemail
	}
	v := *rec.Voicemail
	file, m, err := k.openVoicemail(rec)
	if v.Available = err == nil; err != nil {
		return &v
	}
	defer file.Close()
	v.File, v.Size = &file.Path, &file.sizeNow
	if ms := file.durationMs(); ms != nil {
		v.DurationMs = ms
	} else if m != nil && m.durationMs != nil {
		v.DurationMs = m.durationMs
	}
	return &v
}

// ---- fax

func (k *look) openFax(rec *call.Record) (*File, error) {
	f := k.folder(k.l.folders[rec.PBX].Fax)
	if f == nil || rec.Fax == nil || rec.Fax.File == nil {
		return nil, ErrGone
	}
	received := rec.Fax.Direction == "received"
	return f.find(f.places(*rec.Fax.File), faxes(), func(st fs.FileInfo) bool {
		return !received || !st.ModTime().Before(rec.StartedAt.Add(-time.Minute).Time())
	})
}

func (k *look) fax(rec *call.Record) *call.FaxEntry {
	if rec.Fax == nil || k.l.folders[rec.PBX].Fax == "" {
		return rec.Fax
	}
	x := *rec.Fax
	file, err := k.openFax(rec)
	if x.Available = err == nil; err != nil {
		return &x
	}
	defer file.Close()
	if x.Pages == nil {
		x.Pages = file.pages()
	}
	return &x
}
