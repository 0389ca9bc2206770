package media

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"
	"time"

	"calljournal/agent/call"
)

// Before says which files of calls need not be kept: those of older calls that
// were last written before then. The zero time spares all.
type Before struct {
	Recordings, Voicemail time.Time
}

// Removed is what became of files that need not be kept.
type Removed struct {
	Recordings, Messages int
	Bytes                int64
	Left                 int   // files that could not be deleted, or messages whose mailbox was in use
	Err                  error // why, of the first of them
}

func (r *Removed) left(err error) {
	if r.Left++; r.Err == nil {
		r.Err = err
	}
}

// Remove deletes files of calls for good: recordings, each in all its formats, and
// messages in Asterisk's mailboxes. FreeSWITCH keeps its messages in a database as
// well and would go on offering what is gone: they stay. Only regular files that
// Look would find are deleted, never what a symbolic link leads to.
func (l *Library) Remove(recs []*call.Record, before Before) (done Removed) {
	k := l.begin()
	defer k.end()
	for _, r := range recs {
		if older(r, before.Recordings) {
			k.removeRecordings(r, before.Recordings, &done)
		}
		if older(r, before.Voicemail) && r.Voicemail != nil && r.PBXKind != "freeswitch" {
			k.removeMessage(r, before.Voicemail, &done)
		}
	}
	return done
}

func older(r *call.Record, than time.Time) bool {
	return !than.IsZero() && r.StartedAt.Time().Before(than)
}

func (k *look) removeRecordings(rec *call.Record, before time.Time, done *Removed) {
	f := k.folder(k.l.folders[rec.PBX].Recordings)
	if f == nil || len(rec.Recordings) == 0 && rec.AnsweredAt == 0 {
		return
	}
	began := rec.StartedAt.Add(-time.Minute).Time()
	for _, names := range k.recordingNames(rec) {
		for _, name := range names {
			for _, n := range withKinds(name, sounds()) {
				st, err := f.root.Lstat(n.name)
				// A file that was finished before the call, or written of late, is another
				// call's: its name is used again.
				if err != nil || !st.Mode().IsRegular() || st.ModTime().Before(began) || !st.ModTime().Before(before) {
					continue
				}
				if err := f.root.Remove(n.name); err != nil {
					if !errors.Is(err, fs.ErrNotExist) {
						done.left(err)
					}
					continue
				}
				done.Recordings++
				done.Bytes += st.Size()
			}
		}
	}
}

func (k *look) removeMessage(rec *call.Record, before time.Time, done *Removed) {
	f := k.folder(k.l.folders[rec.PBX].Voicemail)
	if f == nil {
		return
	}
	for range 100 { // a call that leaves more messages is none
		m := k.message(f, rec)
		if m == nil || !m.at.Time().Before(before) {
			return
		}
		delete(k.boxes, f.path+"\x00"+rec.Voicemail.Mailbox)
		files, bytes, err := deleteMessage(f, m)
		done.Bytes += bytes
		if err != nil {
			done.left(err)
			return
		}
		if files == 0 {
			return // numbered anew between our looks: next time
		}
		done.Messages++
	}
}

// deleteMessage deletes a message as Asterisk itself does: with the lock on its
// folder, the .txt first. The hole in the numbers Asterisk closes when the mailbox
// is next opened.
func deleteMessage(f *folder, m *message) (files int, bytes int64, err error) {
	lock := path.Join(m.dir, ".lock") // ast_lock_path: who makes the file has the folder
	held, err := f.root.OpenFile(lock, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return 0, 0, fmt.Errorf("lock the mailbox: %w", err)
	}
	defer func() { err = errors.Join(err, held.Close(), f.root.Remove(lock)) }()
	if now := readMessage(f, m.dir, m.stem); now == nil || !now.same(m) {
		return 0, 0, nil
	}
	names := []string{m.stem + ".txt"}
	entries := f.list(m.dir, mostMessages*4)
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), m.stem+".") && isSound(e.Name()) {
			names = append(names, e.Name())
		}
	}
	for _, name := range names {
		st, err := f.root.Lstat(path.Join(m.dir, name))
		if err != nil || !st.Mode().IsRegular() {
			continue
		}
		if err := f.root.Remove(path.Join(m.dir, name)); err != nil {
			return files, bytes, err
		}
		files++
		bytes += st.Size()
	}
	return files, bytes, nil
}
