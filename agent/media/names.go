package media

import (
	"path"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"calljournal/agent/call"
)

// callID matches the PBX's own id of a channel in a file's name: Asterisk's
// seconds and number, FreeSWITCH's UUID.
var callID = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|\d{9,10}\.\d{1,9}`)

// idsOf are the ids by which files may name a call.
func idsOf(rec *call.Record) []string {
	_, own, _ := strings.Cut(rec.ID, ":")
	var ids []string
	for _, id := range append([]string{own}, rec.PBXIDs...) {
		if found := callID.FindString(id); found != "" && !slices.Contains(ids, found) {
			ids = append(ids, found)
		}
	}
	return ids
}

const (
	mostNames    = 200_000 // of one folder that are looked at
	mostListings = 64
	listingFresh = 10 * time.Second // a busy folder is not read anew for each call
)

// listings remember which files of a folder hold which ids in their names.
type listings struct {
	mu  sync.Mutex
	now func() time.Time
	of  map[string]listing // by path
}

type listing struct {
	modified, read time.Time
	byID           map[string][]string // id → names, in order
}

// find gives the files of a folder whose names hold one of ids.
func (l *listings) find(f *folder, dir string, ids []string) (names []string) {
	it := l.list(f, dir)
	for _, id := range ids {
		for _, name := range it.byID[id] {
			if name = path.Join(dir, name); !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	return names
}

// list gives a listing that is younger than listingFresh, or of a folder that did
// not change since. A folder that is not there has an empty one.
func (l *listings) list(f *folder, dir string) listing {
	key, now := path.Join(f.path, dir), l.now()
	l.mu.Lock()
	it, ok := l.of[key]
	l.mu.Unlock()
	if ok && now.Sub(it.read).Abs() < listingFresh {
		return it
	}
	var modified time.Time
	if st, err := f.root.Stat(dir); err == nil && st.IsDir() {
		modified = st.ModTime()
	}
	// A change within the clock tick of the last look would not show.
	if !ok || !modified.Equal(it.modified) || it.read.Sub(modified) < listingFresh {
		it.byID = map[string][]string{}
		if !modified.IsZero() {
			entries := f.list(dir, mostNames)
			for _, e := range entries {
				if isSound(e.Name()) {
					for _, id := range callID.FindAllString(e.Name(), 4) {
						it.byID[id] = append(it.byID[id], e.Name())
					}
				}
			}
		}
	}
	it.modified, it.read = modified, now
	l.mu.Lock()
	if len(l.of) >= mostListings {
		clear(l.of)
	}
	l.of[key] = it
	l.mu.Unlock()
	return it
}

func isSound(name string) bool {
	return slices.ContainsFunc(sounds(), func(k kind) bool { return strings.HasSuffix(name, k.ending) })
}

// dayFolders are where recordings of a moment may lie: in the folder itself, or in
// one of those by date that PBXs and their panels make.
func dayFolders(at call.Moment, zone *time.Location) []string {
	dirs := []string{"."}
	for _, t := range []time.Time{at.Time().In(zone), at.Time()} {
		for _, layout := range []string{"2006/01/02", "2006/01/02/15", "2006/01", "2006/Jan/02", "archive/2006/Jan/02", "20060102", "2006-01-02", "2006-01"} {
			if d := t.Format(layout); !slices.Contains(dirs, d) {
				dirs = append(dirs, d)
			}
		}
	}
	return dirs
}
