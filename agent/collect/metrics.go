package collect

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// metrics is what /metrics shows: what is known of the branches when it is asked.
type metrics struct{ registry *prometheus.Registry }

func newMetrics(c *Collector) *metrics {
	m := &metrics{prometheus.NewRegistry()}
	m.registry.MustRegister(states{c}, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

type states struct{ c *Collector }

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("calljournal_collect_"+name, help, labels, nil)
}

// Describe implements prometheus.Collector; the set differs by configuration.
func (s states) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (s states) Collect(out chan<- prometheus.Metric) {
	const gauge, counter = prometheus.GaugeValue, prometheus.CounterValue
	put := func(d *prometheus.Desc, t prometheus.ValueType, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, t, v, labels...)
	}
	is := func(b bool) float64 {
		if b {
			return 1
		}
		return 0
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	looks, err := s.c.Looks(ctx)
	put(desc("database_up", "1 while the database answers."), gauge, is(err == nil))
	now := s.c.o.Now()
	for _, l := range looks {
		put(desc("agent_up", "1 while the agent is followed.", "agent", "state"), gauge, is(l.State == Up), l.Name, l.State)
		put(desc("agent_lag", "Entries that the agent has and that are not stored.", "agent"), gauge, float64(l.Lag()), l.Name)
		put(desc("agent_lag_seconds", "Age of the newest stored entry, while there are newer ones.", "agent"), gauge, l.Behind(now).Seconds(), l.Name)
		put(desc("agent_cursor", "Number of the newest stored entry.", "agent"), gauge, float64(l.Cursor), l.Name)
		put(desc("agent_entries_total", "Entries stored.", "agent"), counter, float64(l.Entries), l.Name)
		put(desc("agent_refused_total", "Entries that the database would not take; they are in the table refused.", "agent"), counter, float64(l.Refused), l.Name)
		put(desc("agent_lost_total", "Entries that the agent did not keep until they were read.", "agent"), counter, float64(l.Lost), l.Name)
		put(desc("agent_resets_total", "How often the agent's journal was another one.", "agent"), counter, float64(l.Resets), l.Name)
		if err == nil {
			put(desc("agent_open_gaps", "Gaps of the agent that are not healed.", "agent"), gauge, float64(l.Gaps), l.Name)
		}
		if !l.LastSeen.IsZero() {
			put(desc("agent_last_seen_seconds", "How long ago the agent last answered.", "agent"), gauge, now.Sub(l.LastSeen).Seconds(), l.Name)
		}
	}
}
