package asterisk

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"calljournal/agent/call"
	"calljournal/connectors"
	"calljournal/connectors/spool"
)

// Records reads the rows of cdr_csv's Master.csv, or of a file of cdr_custom,
// into facts. A row is about a channel and one that it was connected with, or that
// was called for it, for a while; a call may have many.
//
// Their times are local ones of the PBX, or UTC (usegmtime), and the row does not
// say which. But a Uniqueid begins with the second in which its channel was made,
// in UTC, and the first row of a channel begins in that second.
type Records struct {
	columns []string       // nil: found out
	zone    *time.Location // of this machine
	offset  time.Duration  // of the PBX's stamps, as the last row that could tell had it
	known   bool           // there was one
	agrees  bool           // and this machine's zone says the same
	rumour  time.Duration  // another offset that a row told of and was not believed,
	teller  call.Moment    // the row's channel; zero: none did
}

// NewRecords reads with the columns in the order given, by the names that
// Asterisk has for them (start, answer, uniqueid, …). Without, the order is found
// out: cdr_csv's, that of the sample cdr_custom.conf, or what a heading says. zone
// is the time zone to assume where no row can tell.
func NewRecords(columns []string, zone *time.Location) *Records {
	return &Records{columns: columns, zone: zone}
}

var _ connectors.Records = (*Records)(nil)

// The orders of the columns (cdr_csv.c: build_csv_record; cdr_custom.conf.sample).
// Behind the last column that is always there come those that can be switched on.
var (
	csvColumns = []string{"accountcode", "src", "dst", "dcontext", "clid", "channel", "dstchannel", "lastapp", "lastdata",
		"start", "answer", "end", "duration", "billsec", "disposition", "amaflags"}
	customColumns = []string{"clid", "src", "dst", "dcontext", "channel", "dstchannel", "lastapp", "lastdata",
		"start", "answer", "end", "duration", "billsec", "disposition", "amaflags", "accountcode", "uniqueid", "userfield", "sequence"}
)

// Read reads one row.
func (r *Records) Read(record []byte, seen call.Moment) (call.Event, error) {
	fields, open := spool.Fields(string(record))
	if open {
		return call.Event{}, connectors.ErrUnfinished
	}
	if len(fields) == 1 && fields[0] == "" {
		return call.Event{}, nil
	}
	for i, f := range fields {
		fields[i] = connectors.Text(f)
	}
	if slices.Contains(fields, "channel") && slices.Contains(fields, "start") {
		r.columns = fields // a heading
		return call.Event{}, nil
	}
	row, err := r.row(fields)
	if err != nil {
		return call.Event{}, err
	}
	return r.fact(row, seen)
}

type row map[string]string

func (r *Records) row(fields []string) (row, error) {
	columns := r.columns
	if columns == nil {
		switch first := slices.IndexFunc(fields, connectors.IsStamp); {
		case first == 9 && len(fields) >= len(csvColumns):
			columns = csvColumns
		case first == 8 && len(fields) >= len(customColumns)-3:
			columns = customColumns
		default:
			return nil, errors.New("the order of its columns is not known: name them in cdr_columns, or write a heading into the file")
		}
	}
	if len(fields) < min(len(columns), len(csvColumns)) {
		return nil, fmt.Errorf("it has %d columns where %d were expected", len(fields), len(columns))
	}
	out := make(row, len(columns)+2)
	for i, f := range fields {
		if i < len(columns) && (out[columns[i]] == "" || strings.Contains(f, ".")) {
			out[columns[i]] = f
		}
	}
	if r.columns == nil {
		// uniqueid, and with newcdrcolumns linkedid, are where they look like it
		for _, f := range fields[15:] {
			switch _, ok := bornAt(f); {
			case !ok:
			case out["uniqueid"] == "":
				out["uniqueid"] = f
			case out["linkedid"] == "" && f != out["uniqueid"]:
				out["linkedid"] = f
			}
		}
		if columns[0] == "clid" && out["linkedid"] == out["uniqueid"] {
			out["linkedid"] = ""
		}
	}
	return out, nil
}

// bornAt is the second in UTC with which a Uniqueid begins, behind the name of
// the system if it has one: "pbx1-1795376013.4".
func bornAt(uniqueid string) (call.Moment, bool) {
	id := uniqueid[strings.LastIndexByte(uniqueid, '-')+1:]
	whole, serial, ok := strings.Cut(id, ".")
	if !ok || len(whole) < 9 || len(whole) > 10 || serial == "" {
		return 0, false
	}
	if _, err := strconv.ParseUint(serial, 10, 64); err != nil {
		return 0, false
	}
	s, err := strconv.ParseInt(whole, 10, 64)
	if err != nil || s <= 0 {
		return 0, false
	}
	return call.Moment(s * 1e6), true
}

// dispositions are cdr.h's in the words of DIALSTATUS.
var dispositions = map[string]string{"ANSWERED": "ANSWER", "NO ANSWER": "NOANSWER", "BUSY": "BUSY", "FAILED": "CHANUNAVAIL", "CONGESTION": "CONGESTION"}

// mostlyLeft are the applications that go on until the caller hangs up or presses
// a key: a call that is over in one of them was left by the caller.
var mostlyLeft = map[string]bool{"background": true, "waitexten": true, "read": true, "wait": true, "musiconhold": true, "echo": true, "queue": true}

func (r *Records) fact(f row, seen call.Moment) (call.Event, error) {
	born, ok := bornAt(f["uniqueid"])
	if !ok {
		return call.Event{}, fmt.Errorf("%w: set loguniqueid=yes in the [csv] section of cdr.conf, or add uniqueid to cdr_custom.conf", connectors.ErrNoID)
	}
	result, ok := dispositions[f["disposition"]]
	if !ok {
		return call.Event{}, fmt.Errorf("disposition %.20q is not known", f["disposition"])
	}
	h, doubt, err := r.times(f, born)
	if err != nil {
		return call.Event{}, err
	}
	e := call.Event{Kind: call.Reported, At: h.HungUp, Seen: seen, History: h, Doubt: doubt, Result: result,
		Leg: call.LegID(f["uniqueid"]), Link: f["linkedid"], Channel: f["channel"], PeerChannel: f["dstchannel"],
		Number: f["src"], Dialled: f["dst"], Context: f["dcontext"], Account: f["accountcode"], State: call.StateCalling}
	if e.Channel == "" {
		return call.Event{}, errors.New("it names no channel")
	}
	e.Endpoint, e.Local = endpoint(e.Channel)
	e.CallerName = callerName(f["clid"])
	app := strings.ToLower(f["lastapp"])
	args := strings.Split(f["lastdata"], ",")
	arg := func(i int) string {
		if i < len(args) {
			return args[i]
		}
		return ""
	}
	switch {
	case app == "dial":
		e.App, e.DurationMs = call.AppDial, limit(arg(1))
		if !strings.Contains(arg(0), "&") {
			e.Connected = dialledNumber(arg(0))
		}
	case app == "queue":
		e.App, e.Queue, e.DurationMs = call.AppQueue, arg(0), limit(arg(4))
	case app == "appdial" || app == "appdial2": // a channel that the PBX called
		e.App, e.State, e.Originated = call.AppOther, call.StateDown, app == "appdial2"
		if e.Originated && e.Number != e.Endpoint && !e.Local {
			e.Connected, e.Number = e.Number, "" // what its phone was shown
		}
	default:
		e.App = call.AppOther
		if kind, ok := applications[app]; ok && kind != call.AppRecord && kind != call.AppBusy {
			e.App = kind
			e.Data, _, _ = strings.Cut(arg(0), "&")
			if kind == call.AppFax {
				e.Data = "receive"
				if strings.HasPrefix(app, "send") || strings.HasPrefix(app, "tx") {
					e.Data = "send"
				}
			}
		}
	}
	if mostlyLeft[app] {
		e.By = call.EndedByFarEnd
	}
	// A program had this one called: nobody dials from the outer half of a Local
	// channel, and nobody calls himself by the number that he dials.
	if strings.HasSuffix(e.Channel, ";1") && e.App != call.AppOther || e.Number != "" && e.Number == e.Dialled && e.Number != e.Endpoint && !e.Local {
		e.State, e.Originated, e.Number = call.StateDown, true, ""
	}
	return e, nil
}

// limit is a time limit as Dial and Queue have it, seconds; 0 is none.
func limit(s string) int64 {
	s, _, _ = strings.Cut(s, "^")
	n, err := strconv.ParseFloat(s, 64)
	if err != nil || !(n > 0) || n > 1e6 {
		return 0
	}
	return int64(n * 1000)
}

// callerName is the name in `"Name" <number>`.
func callerName(clid string) string {
	name, _, ok := strings.Cut(clid, "<")
	if !ok {
		return ""
	}
	return strings.TrimSuffix(strings.TrimPrefix(strings.TrimSpace(name), `"`), `"`)
}

// times finds when the row's stretch really was. Its length counts more than the
// difference of its stamps, which an hour's change of the clock may be in.
func (r *Records) times(f row, born call.Moment) (*call.LegHistory, string, error) {
	start, doubt, err := r.start(f["start"], born)
	if err != nil {
		return nil, "", err
	}
	if age := start.Sub(born); age < -26*time.Hour || age > 400*24*time.Hour {
		return nil, "", fmt.Errorf("its start %.30q is not that of a channel with its unique id", f["start"])
	}
	length, exact, ok := seconds(f["duration"])
	local, endOK := difference(f["start"], f["end"])
	switch {
	case ok && (exact || !endOK || local-length < -2*time.Second || local-length > 2*time.Second):
	case endOK:
		length = local
	default:
		return nil, "", fmt.Errorf("neither its end %.30q nor its duration %.20q can be read", f["end"], f["duration"])
	}
	if length < 0 || length > 400*24*time.Hour {
		return nil, "", fmt.Errorf("it lasts from %.30q to %.30q", f["start"], f["end"])
	}
	h := &call.LegHistory{Created: start, HungUp: start.Add(length)}
	if f["answer"] != "" {
		billed, exact, ok := seconds(f["billsec"])
		until, stampOK := difference(f["start"], f["answer"])
		switch {
		case ok && (exact || !stampOK || until < 0 || until > length+time.Second):
			h.Answered = h.HungUp.Add(-min(billed, length))
		case stampOK && until >= 0:
			h.Answered = start.Add(min(until, length))
		}
	}
	return h, doubt, nil
}

// start is the beginning of a row in UTC.
func (r *Records) start(stamp string, born call.Moment) (start call.Moment, doubt string, err error) {
	if s, _, ok := seconds(stamp); ok && s > 30*365*24*time.Hour {
		return call.Moment(s.Microseconds()), "", nil // ${CDR(start,f)}: since the epoch
	}
	local, ok := connectors.Stamp(stamp, time.UTC)
	if !ok {
		return 0, "", fmt.Errorf("its start %.30q is no time", stamp)
	}
	ahead := local.Sub(born.Time())
	const quarter = 15 * time.Minute // zones differ by these
	offset := ahead.Round(quarter)
	off := ahead - offset
	first := off >= -2*time.Second && off <= 2*time.Second && offset.Abs() <= 15*time.Hour
	if change := offset - r.offset; first && r.known && change > 0 && change != 30*time.Minute && change != time.Hour {
		// Clocks do not change so: it is a later row that happens to begin then. But
		// that does not happen twice: somebody set the PBX's zone, or usegmtime.
		first = r.teller != 0 && r.teller != born && r.rumour == offset
		r.rumour, r.teller = offset, born
	}
	if first {
		r.teller = 0
		_, here := born.Time().In(r.zone).Zone()
		r.offset, r.known, r.agrees = offset, true, time.Duration(here)*time.Second == offset
		return call.MomentOf(local.Add(-offset)), "", nil
	}
	// A later row of its channel. The rows before it were of the same clock.
	if r.known && !r.agrees {
		return call.MomentOf(local.Add(-r.offset)), "", nil
	}
	there, _ := connectors.Stamp(stamp, r.zone)
	at := call.MomentOf(there)
	if r.known { // of an hour that the clock goes through twice, the one in which it still was
		same := local.Add(-r.offset)
		if _, here := same.In(r.zone).Zone(); time.Duration(here)*time.Second == r.offset {
			at = call.MomentOf(same)
		}
	}
	if !r.known {
		doubt = call.DoubtZoneAssumed
	}
	return at, doubt, nil
}

// seconds reads a number of seconds; exact says that it has a fraction.
func seconds(s string) (d time.Duration, exact, ok bool) {
	n, err := strconv.ParseFloat(s, 64)
	if err != nil || n < 0 || n > math.MaxInt32*4 {
		return 0, false, false
	}
	return time.Duration(math.Round(n*1e6)) * time.Microsecond, strings.Contains(s, "."), true
}

// difference is how far apart two stamps of one clock are.
func difference(from, to string) (time.Duration, bool) {
	a, ok := connectors.Stamp(from, time.UTC)
	b, ok2 := connectors.Stamp(to, time.UTC)
	return b.Sub(a), ok && ok2
}
