package api

import (
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"calljournal/storage"
)

// journalRoutes are about the file itself. They are for the control socket; over
// the network they need the scope admin.
func (s *Server) journalRoutes() {
	s.raw("GET /v1/backup", []string{ScopeAdmin}, s.backup)
	s.raw("GET /v1/check", []string{ScopeAdmin}, s.check)
}

// backupStall is how long a reader may leave a backup waiting: as long as it
// runs, the journal cannot use freed pages again.
const backupStall = 30 * time.Second

// backup streams the journal as it is now.
func (s *Server) backup(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/octet-stream")
	out := &steady{w: w, rc: http.NewResponseController(w)}
	if _, err := s.o.Store.Backup(out); err != nil {
		s.o.Logger.Error("backup failed", "err", err)
		if out.begun {
			panic(http.ErrAbortHandler) // the reader must not take half a file for a whole one
		}
		problem(w, http.StatusInternalServerError, "the backup failed; the log has the reason")
	}
}

// steady is a reader that must take each piece in time, however long all takes.
type steady struct {
	w     http.ResponseWriter
	rc    *http.ResponseController
	begun bool
}

func (s *steady) Write(p []byte) (int, error) {
	s.begun = true
	if err := s.rc.SetWriteDeadline(time.Now().Add(backupStall)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return 0, err
	}
	return s.w.Write(p)
}

// check reads the whole journal, which may take minutes.
func (s *Server) check(w http.ResponseWriter, _ *http.Request) {
	_ = http.NewResponseController(w).SetWriteDeadline(time.Time{})
	report, err := s.o.Store.Check()
	if err != nil {
		s.o.Logger.Error("check failed", "err", err)
		problem(w, http.StatusInternalServerError, "the check failed; the log has the reason")
		return
	}
	if report.Damage == nil {
		report.Damage = []storage.Damage{}
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(report)
}
