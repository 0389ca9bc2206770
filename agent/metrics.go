package agent

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"calljournal/agent/api"
	"calljournal/agent/call"
	"calljournal/agent/mail"
	"calljournal/agent/uplink"
)

// metrics is what /metrics shows. What status knows is read when it is asked
// for; only durations are gathered as they happen.
type metrics struct {
	registry *prometheus.Registry
	commits  prometheus.Histogram
	delay    prometheus.Histogram
	panics   prometheus.Counter
}

func newMetrics(a *Agent) *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		commits: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "calljournal_commit_seconds", Help: "How long one commit to the journal took.", Buckets: prometheus.ExponentialBuckets(0.0005, 2, 14),
		}),
		delay: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "calljournal_record_delay_seconds", Help: "From the bytes that completed a record to its being in the feed.", Buckets: prometheus.ExponentialBuckets(0.001, 2, 16),
		}),
		panics: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "calljournal_tracker_panics_total", Help: "Faults of the program itself while it took in what a PBX said; each is in the log.",
		}),
	}
	m.registry.MustRegister(m.commits, m.delay, m.panics, states{a}, collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// states reads the links and the journal at the moment of asking.
type states struct{ a *Agent }

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("calljournal_"+name, help, labels, nil)
}

// Describe implements prometheus.Collector; the set differs by configuration.
func (s states) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (s states) Collect(out chan<- prometheus.Metric) {
	put := func(d *prometheus.Desc, t prometheus.ValueType, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, t, v, labels...)
	}
	const gauge, counter = prometheus.GaugeValue, prometheus.CounterValue
	for _, l := range s.a.links {
		st := l.look()
		up := 0.0
		if st.State == api.LinkUp {
			up = 1
		}
		put(desc("link_up", "1 while the link to the PBX is up.", "pbx"), gauge, up, st.PBX)
		put(desc("link_session", "Number of the connection, over all runs.", "pbx"), gauge, float64(st.Session), st.PBX)
		put(desc("link_bytes_total", "Bytes read from the PBX.", "pbx"), counter, float64(st.Bytes), st.PBX)
		put(desc("link_messages_total", "Messages read from the PBX.", "pbx"), counter, float64(st.Messages), st.PBX)
		put(desc("link_thinned_total", "Messages that no rule needs.", "pbx"), counter, float64(st.Thinned), st.PBX)
		put(desc("link_events_total", "Facts stated by the PBX.", "pbx"), counter, float64(st.Events), st.PBX)
		put(desc("link_dropped_total", "Messages lost because memory was full; each is in a gap.", "pbx"), counter, float64(st.Dropped), st.PBX)
		put(desc("link_queue_bytes", "Bytes that wait to be taken in.", "pbx"), gauge, float64(st.QueueBytes), st.PBX)
		put(desc("link_anomalies_total", "Facts that fit nothing that is known.", "pbx"), counter, float64(st.Anomalies), st.PBX)
		for kind, n := range st.Malformed {
			put(desc("link_malformed_total", "Malformed input, by kind.", "pbx", "kind"), counter, float64(n), st.PBX, kind)
		}
	}
	j := s.a.store.Stats()
	stuck := 0.0
	if s.a.trouble.get() != nil {
		stuck = 1
	}
	put(desc("journal_stuck", "1 while nothing can be written."), gauge, stuck)
	put(desc("journal_head", "Number of the newest entry of the feed."), gauge, float64(j.Head))
	put(desc("journal_oldest", "Number of the oldest entry of the feed that is kept."), gauge, float64(j.Oldest))
	put(desc("journal_calls", "Calls in the journal."), gauge, float64(j.Calls))
	put(desc("journal_file_bytes", "Size of the journal's file."), gauge, float64(j.FileBytes))
	put(desc("journal_used_bytes", "What of it is in use: what retention by size is about."), gauge, float64(j.UsedBytes))
	put(desc("journal_disk_free_bytes", "Free space on its disk."), gauge, float64(j.DiskFree))
	put(desc("retention_dropped_total", "Entries of the feed that need not be kept any more."), counter, float64(s.a.retention.count()))
	for _, f := range s.a.forwards.Status() {
		stuck := 0.0
		if f.State == api.ForwarderStuck {
			stuck = 1
		}
		age := 0.0
		if f.Waiting != 0 {
			age = max(0, call.MomentOf(s.a.now()).Sub(f.Waiting).Seconds())
		}
		put(desc("forward_lag", "Entries that a forwarder has not sent.", "forward"), gauge, float64(f.Lag), f.Name)
		put(desc("forward_lag_seconds", "Age of the oldest entry that waits to be sent.", "forward"), gauge, age, f.Name)
		put(desc("forward_stuck", "1 while a forwarder cannot deliver.", "forward"), gauge, stuck, f.Name)
		put(desc("forward_dead", "Entries that the far side refused, set aside.", "forward"), gauge, float64(f.Dead), f.Name)
		put(desc("forward_missed", "Entries that retention dropped before they were sent.", "forward"), gauge, float64(f.Missed), f.Name)
		put(desc("forward_sent_total", "Entries that the far side took.", "forward"), counter, float64(f.Sent), f.Name)
		put(desc("forward_failed_total", "Tries that failed.", "forward"), counter, float64(f.Failed), f.Name)
		put(desc("forward_live_sent_total", "Live events told.", "forward"), counter, float64(f.LiveSent), f.Name)
		put(desc("forward_live_lost_total", "Live events that could not be told.", "forward"), counter, float64(f.LiveLost), f.Name)
	}
	s.mailings(put)
	if u := s.a.uplinkStatus(); u != nil {
		up := 0.0
		if u.State == uplink.Up {
			up = 1
		}
		put(desc("uplink_up", "1 while the connection to the centre is up."), gauge, up)
		put(desc("uplink_sessions_total", "Connections to the centre."), counter, float64(u.Sessions))
		put(desc("uplink_requests_total", "What the centre asked over them."), counter, float64(u.Requests))
	}
	put(desc("access_lost_total", "Entries of the access log that could not be written."), counter, float64(s.a.access.Lost()))
	recordings, messages := s.a.sweeping.deleted()
	put(desc("files_deleted_total", "Files of old calls that were deleted in the PBXs' folders.", "kind"), counter, float64(recordings), "recording")
	put(desc("files_deleted_total", "Files of old calls that were deleted in the PBXs' folders.", "kind"), counter, float64(messages), "message")
	put(desc("media_slow_total", "Looks for files of calls that were given up because a folder did not answer."), counter, float64(s.a.media.Slow()))
	consumers, err := s.a.store.Consumers()
	if err != nil {
		return
	}
	for _, k := range consumers {
		c := s.a.consumer(k)
		put(desc("consumer_lag", "Entries that a consumer has not stored.", "consumer"), gauge, float64(c.Lag), c.Name)
		put(desc("consumer_lag_seconds", "Age of the oldest entry that a consumer has not stored.", "consumer"), gauge, float64(c.LagMs)/1000, c.Name)
		put(desc("consumer_position", "Number of the newest entry that a consumer has stored, as it says.", "consumer"), gauge, float64(c.Seq), c.Name)
		put(desc("consumer_missed", "Entries that a consumer had not stored and that are no longer kept.", "consumer"), gauge, float64(c.Missed), c.Name)
	}
}

// mailings adds up what goes to several addresses: a label is no place for those.
func (s states) mailings(put func(*prometheus.Desc, prometheus.ValueType, float64, ...string)) {
	type of struct{ kind, name string }
	type sum struct{ stuck, aside, waiting, sent, failed float64 }
	sums := map[of]sum{}
	for _, m := range s.a.mailings.Status() {
		k := of{m.Kind, m.Name}
		x := sums[k]
		if m.State == mail.StateStuck {
			x.stuck++
		}
		x.aside += float64(len(m.Aside))
		x.waiting = max(x.waiting, float64(m.Waiting))
		x.sent += float64(m.Sent)
		x.failed += float64(m.Failed)
		sums[k] = x
	}
	const gauge, counter = prometheus.GaugeValue, prometheus.CounterValue
	for k, x := range sums {
		put(desc("mail_stuck", "Addresses that a report or an alert cannot be mailed to.", "kind", "name"), gauge, x.stuck, k.kind, k.name)
		put(desc("mail_aside", "Mails that were refused or given up since one last got through.", "kind", "name"), gauge, x.aside, k.kind, k.name)
		put(desc("mail_waiting", "Missed calls that an alert has still to mail.", "kind", "name"), gauge, x.waiting, k.kind, k.name)
		put(desc("mail_sent_total", "Mails that the mail server took.", "kind", "name"), counter, x.sent, k.kind, k.name)
		put(desc("mail_failed_total", "Tries that failed.", "kind", "name"), counter, x.failed, k.kind, k.name)
	}
}
